"""The file of signed checkpoints, compared with a replay of the log.

Each checkpoint has the hash of the one before it, so one that was changed is found without a key;
that the last one is signed by the exchange is checked at its start.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from fairbook.checkpoints.checkpoint_file import CheckpointFile
from fairbook.checkpoints.signed_checkpoint import SignedCheckpoint, parse
from fairbook.checkpoints.signed_note import NoteInvalid
from fairbook.core import state
from fairbook.engine.runner import Runner
from fairbook.log.command_log import CommandLog, LogDamaged

LOOK_S: Final = 1.0  # between two looks whether the file has grown


class CheckpointContradicted(Exception):
    """The log, or the checkpoint after it, is not that of a checkpoint. The message names it."""


class _Cursor:
    """Goes through the file once; at its end it looks again from time to time."""

    def __init__(
        self, file: CheckpointFile, position_of: Callable[[SignedCheckpoint], int], after: int
    ) -> None:
        """position_of: what the notes are read by. after: only those of a later position."""
        self._file = file
        self._position_of = position_of
        self._next: SignedCheckpoint | None = None
        self._notes: Iterator[str] = iter(())
        self._since = after + 1  # position of the note to be read next, or before it
        self._after = after
        self._looked_s = 0.0
        self.last: SignedCheckpoint | None = None
        """The one that was read before the next one."""

    def peek(self) -> SignedCheckpoint | None:
        """The next one, or None if there is none yet. Raises NoteInvalid, OSError."""
        while self._next is None:
            note = next(self._notes, None)
            if note is None:
                now_s = time.monotonic()
                if now_s - self._looked_s < LOOK_S:
                    return None
                self._looked_s = now_s
                self._notes = self._file.notes(self._since)
                note = next(self._notes, None)
                if note is None:
                    return None
            found = parse(note)
            self._since = found.position + 1
            if self._position_of(found) > self._after:
                self._next = found
        return self._next

    def take(self) -> None:
        """The next one is done with."""
        assert self._next is not None
        self.last, self._next = self._next, None
        self._after = self._position_of(self.last)


class ReplayedCheckpoints:
    """Of one replay."""

    def __init__(self, path: Path, position: int) -> None:
        """position: where the replay begins."""
        self._name = path.name
        file = CheckpointFile(path)
        self._logs = _Cursor(file, lambda found: found.position, position)
        self._states = _Cursor(file, lambda found: found.state_position, position)

    def compare(self, runner: Runner, log: CommandLog) -> None:
        """After each entry; log: in which what was passed already is looked up. Raises
        CheckpointContradicted: once for each one, and from then on if the file cannot be read.
        """
        try:
            while (found := self._logs.peek()) and found.position <= runner.position:
                before = self._logs.last
                self._logs.take()
                self._compare_log(found, before, runner, log)
            while (found := self._states.peek()) and found.state_position <= runner.position:
                self._states.take()
                if found.state_position == runner.position:
                    self._compare_state(found, runner)
        except NoteInvalid as problem:
            raise CheckpointContradicted(f"{self._name}: {problem}") from None

    def _compare_log(
        self,
        found: SignedCheckpoint,
        before: SignedCheckpoint | None,
        runner: Runner,
        log: CommandLog,
    ) -> None:
        place = f"{self._name}: the checkpoint of position {found.position}"
        if before is not None and found.previous != before.hash:
            raise CheckpointContradicted(
                f"{place} does not follow the one of position {before.position}"
            )
        if found.position == runner.position:
            if found.chain != runner.chain:
                raise CheckpointContradicted(f"{place} has another chain than the log")
            if found.event_hash != runner.event_hash:
                raise CheckpointContradicted(f"{place} has other events than the replay")
            return
        try:  # It was written after the replay had passed.
            log.require(found.position, found.chain)
        except LogDamaged as problem:
            raise CheckpointContradicted(f"{place}: {problem}") from None

    def _compare_state(self, found: SignedCheckpoint, runner: Runner) -> None:
        if found.state_digest != state.digest(runner.exchange):
            raise CheckpointContradicted(
                f"{self._name}: the state of position {found.state_position} in the checkpoint of"
                f" position {found.position} is not that of the replay"
            )
