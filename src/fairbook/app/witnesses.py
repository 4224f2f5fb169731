"""The witnesses that an operator has named: what they keep of this exchange's checkpoints.

Design: a start asks each one for the newest checkpoint that it keeps, and goes on only with a log
that has it. While the exchange runs they are asked again from time to time, so that status and page
say up to where they have confirmed its history.
"""

import asyncio
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from fairbook.app.identity import Identity
from fairbook.app.settings import SettingError
from fairbook.checkpoints.checkpoint_file import CheckpointFile
from fairbook.checkpoints.remote_checkpoints import RemoteCheckpoints
from fairbook.checkpoints.signed_checkpoint import SignedCheckpoint, parse
from fairbook.checkpoints.signed_note import NoteInvalid
from fairbook.log.command_log import CommandLog, LogDamaged
from fairbook.log.durable_file import write_file
from fairbook.ports.queries import WitnessSeen

TRIES: Final = 4  # at a start
PAUSE_S: Final = 2.0  # between them
WAIT_S: Final = 5.0  # for an answer

logger = logging.getLogger(__name__)


@dataclass
class WitnessStatus:
    """What is known of one witness. position: up to where it has confirmed; 0: nothing yet."""

    position: int = 0
    at_s: float = 0.0
    problem: str | None = None
    contradicts: bool = False


class WitnessContradicts(Exception):
    """A witness keeps a checkpoint that this exchange does not have."""


class Witnesses:
    """All that are named."""

    def __init__(
        self, urls: tuple[str, ...], file: CheckpointFile, identity: Identity, *, every_s: float
    ) -> None:
        """every_s: between two looks."""
        self._seen = {RemoteCheckpoints(url, wait_s=WAIT_S): WitnessStatus() for url in urls}
        self._file = file
        self._identity = identity
        self._every_s = every_s

    def require(self, log: CommandLog, newest: SignedCheckpoint | None) -> SignedCheckpoint | None:
        """At a start: ask all of them. newest: in the file; None: it is lost, or there was none,
        and is made from what a witness has. Returns the newest then. Blocks. Raises LogDamaged if
        the log is not the one that a witness has seen; SettingError if one does not answer, or
        keeps what is not in the file; OSError.
        """
        is_lost = newest is None
        for witness, seen in self._seen.items():
            found = _asked(witness)
            if found is None:
                continue
            try:
                log.require(found.position, found.chain)
            except LogDamaged as problem:
                raise LogDamaged(f"{problem} (kept by witness {witness.url})") from None
            if newest is None or (is_lost and found.position > newest.position):
                self._take_from(witness, found)
                newest, is_lost = found, True
            try:
                self._confirm(found, witness)
            except WitnessContradicts as problem:
                raise SettingError(str(problem)) from None
            seen.position, seen.at_s = found.position, time.time()
        return newest

    async def run(self) -> None:
        """Until it is cancelled."""
        await asyncio.gather(*(self._watch(*each) for each in self._seen.items()))

    async def _watch(self, witness: RemoteCheckpoints, seen: WitnessStatus) -> None:
        while True:
            await asyncio.to_thread(self._look, witness, seen)
            await asyncio.sleep(self._every_s)

    def seen(self) -> list[WitnessSeen]:
        return [
            WitnessSeen(
                witness.url, seen.position, round(seen.at_s * 1000), seen.problem, seen.contradicts
            )
            for witness, seen in self._seen.items()
        ]

    def status(self) -> list[dict[str, Any]]:
        return [each._asdict() for each in self.seen()]

    def _look(self, witness: RemoteCheckpoints, seen: WitnessStatus) -> None:
        before, seen.contradicts = seen.problem, False
        try:
            note = witness.newest().note
            if note is not None:
                found = parse(note)
                self._confirm(found, witness)
                seen.position, seen.at_s = found.position, time.time()
            seen.problem = None
        except (OSError, NoteInvalid, WitnessContradicts) as problem:
            seen.problem = str(problem)
            seen.contradicts = isinstance(problem, WitnessContradicts)
        if seen.problem is not None and seen.problem != before:
            logger.error("witness %s: %s", witness.url, seen.problem)

    def _confirm(self, found: SignedCheckpoint, witness: RemoteCheckpoints) -> None:
        """Each checkpoint has the hash of the one before: the newest stands for all."""
        own = self._file.notes_from(found.position, 1)
        if not own or parse(own[0]).text != found.text:
            raise WitnessContradicts(
                f"{witness.url} keeps a checkpoint of position {found.position} that is not in"
                f" {self._file.path.name}"
            )

    def _take_from(self, witness: RemoteCheckpoints, found: SignedCheckpoint) -> None:
        """The file is lost: make it anew from what a witness has, up to `found`."""
        place = f"{witness.url} keeps a checkpoint of position {found.position}"
        if not self._identity.has_signed(found):
            raise SettingError(f"{place} that the key of this exchange has not signed")
        if found.next_key is not None:
            raise SettingError(f"{place} that names another key: put the file with it back")
        try:
            write_file(self._file.path, _notes_up_to(found, witness))
        except NoteInvalid as problem:
            raise SettingError(f"the checkpoints of {witness.url}: {problem}") from None
        logger.warning("%s was lost, and is that of %s now", self._file.path, witness.url)


def _notes_up_to(newest: SignedCheckpoint, witness: RemoteCheckpoints) -> Iterator[bytes]:
    """All that a witness has, which `newest` vouches for. Raises NoteInvalid, OSError."""
    last: SignedCheckpoint | None = None
    for note in witness.notes():
        each = parse(note)
        if last is not None and each.previous != last.hash:
            raise NoteInvalid(f"position {each.position} does not follow")
        yield note.encode()
        last = each
        if each == newest:
            return
    raise NoteInvalid(f"position {newest.position} is not there any more")


def _asked(witness: RemoteCheckpoints) -> SignedCheckpoint | None:
    for tries_left in range(TRIES - 1, -1, -1):
        try:
            note = witness.newest().note
            return None if note is None else parse(note)
        except OSError as problem:
            if not tries_left:
                raise SettingError(f"witness {witness.url} does not answer: {problem}") from None
            time.sleep(PAUSE_S)
        except NoteInvalid as problem:
            raise SettingError(f"witness {witness.url}: {problem}") from None
    raise AssertionError("the last try returns or raises")
