"""Signed checkpoints in a file, oldest first: those of an exchange, or those that a witness keeps.

Invariants:
- what `append` was given is durable when it returns;
- notes are whole: the beginning of one, which a crash has left, is cut off by `newest`.
"""

import logging
import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

from fairbook.checkpoints.signed_checkpoint import SignedCheckpoint, parse, split_notes
from fairbook.checkpoints.signed_note import NoteInvalid

BEGIN: Final = b"fairbook checkpoint\n"
POSITION: Final = BEGIN + b"position "
SIGNATURE_BEGIN: Final = "\n\u2014 ".encode()
TAIL_BYTES: Final = 64 * 1024  # of the file, in which the newest checkpoint stands
NEAR_BYTES: Final = 8 * 1024  # a few notes
_SIGNED: Final = re.compile("\n\n\u2014 [^\n]+\n")

logger = logging.getLogger(__name__)


class CheckpointFile:
    """One file. All methods block."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def newest(self) -> SignedCheckpoint | None:
        """The last checkpoint, its signature not checked; None if there is none. Raises
        NoteInvalid, OSError.
        """
        try:
            with self.path.open("rb+") as file:
                begin = max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES)
                file.seek(begin)
                tail = file.read()
                end = _end_of_last_note(tail)
                left = tail[end:]
                # A power cut may leave zeros.
                if not BEGIN.startswith(left.rstrip(b"\0")[: len(BEGIN)]):
                    raise NoteInvalid(f"{self.path} is no file of checkpoints")
                if left:
                    logger.warning("%s: a checkpoint that is not whole was cut off", self.path)
                    file.truncate(begin + end)
        except FileNotFoundError:
            return None
        notes = list(split_notes(tail[:end].decode(errors="replace").splitlines(keepends=True)))
        return parse(notes[-1]) if notes else None

    def append(self, note: str) -> None:
        """Nothing of it is left in the file if this raises OSError, unless cutting it off fails,
        too.
        """
        with self.path.open("ab") as file:
            size = file.tell()
            try:
                file.write(note.encode())
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), size)
                os.fsync(file.fileno())
                raise

    def notes(self, position: int = 0) -> Iterator[str]:
        """Those at `position` and after it, as they stand there. Raises OSError; NoteInvalid for
        what is no note, unless that is the beginning of the last one.
        """
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(_offset_before(file, position))
            lines = (line.decode(errors="replace") for line in file)
            unfinished = ""
            for note in split_notes(lines):
                if unfinished:
                    raise NoteInvalid(f"{self.path.name}: no checkpoint: {unfinished[:100]!r}")
                if not _SIGNED.search(note):
                    unfinished = note
                    continue
                found = _position_of(note)
                if found is None or found >= position:
                    yield note
            # The last one may be being written.
            begin = BEGIN.decode()
            if unfinished and not (unfinished.startswith(begin) or begin.startswith(unfinished)):
                raise NoteInvalid(f"{self.path.name}: no checkpoint: {unfinished[:100]!r}")

    def notes_from(self, position: int, count_max: int) -> list[str]:
        """The first notes of `notes`."""
        return list(islice(self.notes(position), count_max))


def _offset_before(file: BinaryIO, position: int) -> int:
    """Where a note begins behind which all notes of at least `position` stand: a binary search."""
    low, high = 0, file.seek(0, os.SEEK_END)
    while high - low > NEAR_BYTES:
        middle = (low + high) // 2
        file.seek(middle)
        piece = file.read(NEAR_BYTES)
        at = piece.find(POSITION)
        digits = piece[at + len(POSITION) : at + len(POSITION) + 20].partition(b"\n")[0]
        if at >= 0 and digits.isdigit() and int(digits) < position:
            low = middle + at
        else:
            high = middle
    return low


def _position_of(note: str) -> int | None:
    """None if that cannot be read: its reader is to see it."""
    digits = note[len(POSITION) :].partition("\n")[0]
    return int(digits) if digits.isascii() and digits.isdigit() else None


def _end_of_last_note(tail: bytes) -> int:
    """Behind the last whole line that is a signature; 0: there is none."""
    signature = tail.rfind(SIGNATURE_BEGIN, 0, tail.rfind(b"\n"))
    return tail.find(b"\n", signature + 1) + 1 if signature >= 0 else 0
