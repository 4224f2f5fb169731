"""What `fairbook watch` does: collect the checkpoints of an exchange, and check each one.

Design: a round asks the exchange for the checkpoints after the newest one that is kept, checks them
as witness.py says, and keeps them; asks for a random old one, which must be the one that is kept;
and compares with other witnesses. What contradicts is kept in NAME.contradictions, with the notes
that prove it. The keys are in NAME.key.

Invariants:
- nothing is kept that was not checked, and nothing that is kept is changed;
- what is kept is durable before it is reported.
"""

import logging
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from fairbook.checkpoints.checkpoint_file import CheckpointFile
from fairbook.checkpoints.kept_keys import KeptKeys
from fairbook.checkpoints.remote_checkpoints import RemoteCheckpoints
from fairbook.checkpoints.signed_checkpoint import SignedCheckpoint, is_signed_by, parse
from fairbook.checkpoints.signed_note import NoteInvalid, key_text, parse_key_text
from fairbook.checkpoints.witness import (
    HistoryContradicted,
    Witness,
    first_difference,
    require_proof,
)
from fairbook.core.units import NS_PER_SECOND
from fairbook.log.durable_file import write_file

KEY_SUFFIX: Final = ".key"
CONTRADICTIONS_SUFFIX: Final = ".contradictions"
CONTRADICTIONS_MAX: Final = 1_000  # that are shown
PROOFS_CHARACTERS_MAX: Final = 4_000_000  # that are kept
SILENT_S: Final = 3_900.0  # the longest time between two checkpoints is an hour
PROBLEM_CHARACTERS_MAX: Final = 500

logger = logging.getLogger(__name__)


class WatchRefused(Exception):
    """The file that is kept does not fit what was asked. The message says why."""


class Watcher:
    """One exchange, watched. All methods block, and are for one thread."""

    def __init__(
        self,
        exchange: RemoteCheckpoints,
        path: Path,
        *,
        key: str | None,
        others: Sequence[RemoteCheckpoints],
        report: Callable[[str], None],
    ) -> None:
        """path: where checkpoints are kept. key: that must have signed them; None: the one of
        before, or else the one that the exchange names. report: prints a line. Raises WatchRefused,
        NoteInvalid, OSError.
        """
        self.file = CheckpointFile(path)
        self.contradictions: list[str] = []
        """What was found since the start."""
        self.problem: str | None = None
        """Why the last round could not be finished."""
        self._exchange = exchange
        self._others = others
        self._report = report
        self._keys = KeptKeys(path.with_name(path.name + KEY_SUFFIX))
        self._contradictions_path = path.with_name(path.name + CONTRADICTIONS_SUFFIX)
        self._first = next((parse(note) for note in self.file.notes()), None)
        self._require_key(key)
        self._witness = self._known(self.file.newest())
        if self.has_contradictions:
            report(f"earlier contradictions are in {self._contradictions_path}")

    @property
    def has_contradictions(self) -> bool:
        """Ever, not only in this run."""
        return self._contradictions_path.exists()

    def _require_key(self, key: str | None) -> None:
        keys = self._keys
        if key is not None and keys.newest is not None and parse_key_text(key) not in keys:
            raise WatchRefused(f"{keys.path} does not have this key")
        if keys.newest is None and self._first is not None:
            raise WatchRefused(f"{keys.path} is missing: it belongs to {self.file.path}")
        if keys.newest is None:
            if key is None:
                key = self._exchange.newest().key
                self._report(f"key {key}, as the exchange says: compare it with what others know")
            keys.add(parse_key_text(key))

    def _known(self, newest: SignedCheckpoint | None) -> Witness:
        keys = self._keys
        if newest is not None:
            if not is_signed_by(newest.note, keys.at(newest.position)):
                raise WatchRefused(
                    f"the last checkpoint in {self.file.path} is not signed by the key in"
                    f" {keys.path}"
                )
            if newest.next_key is not None:
                keys.add(newest.next_key, newest.position)
        assert keys.newest is not None
        return Witness(keys.newest, newest)

    def status(self) -> dict[str, Any]:
        last = self._witness.last
        return {
            "exchange": self._exchange.url,
            "key": key_text(self._witness.public),
            "first": None if self._first is None else str(self._first.position),
            "newest": None if last is None else str(last.position),
            "contradicted": self.has_contradictions,
            "contradictions": self.contradictions,
            "problem": self.problem,
        }

    def newest(self) -> tuple[str, str | None]:
        """Key and note of the newest checkpoint that is kept."""
        last = self._witness.last
        if last is None:
            return key_text(self._witness.public), None
        return key_text(self._keys.at(last.position)), last.note

    def round(self) -> None:
        """Collect and compare; what goes wrong is reported."""
        before, self.problem = self.problem, None
        for step in (self._collect, self._look_back, *map(self._comparison, self._others)):
            try:
                step()
            except HistoryContradicted as found:
                self._contradicted(found)
            except (OSError, NoteInvalid) as problem:
                self.problem = str(problem)[:PROBLEM_CHARACTERS_MAX]
        if self.problem is not None and self.problem != before:
            self._report(f"not finished: {self.problem}")

    def _collect(self) -> None:
        witness = self._witness
        if witness.last is None:
            note = self._exchange.newest().note
            if note is None:
                return
            if not is_signed_by(note, witness.public):
                self._follow_keys()
            self._first = self._keep(witness.accept(note, self._exchange.chain))
            self._report("a first look: nothing is known about the time before it")
        else:
            for note in self._exchange.notes(witness.last.position + 1):
                self._keep(witness.accept(note, self._exchange.chain))
        assert witness.last is not None
        if time.time() - witness.last.time_ns / NS_PER_SECOND > SILENT_S:
            raise OSError(f"{self._exchange.url} has signed nothing for more than an hour")

    def _follow_keys(self) -> None:
        """From the key that was given to the one that signs now, by the checkpoints that name the
        next one. Raises NoteInvalid.
        """
        for note in self._exchange.notes():
            found = parse(note, self._witness.public)
            if found.next_key is not None:
                self._witness.public = found.next_key
                self._keys.add(found.next_key, found.position)

    def _keep(self, accepted: SignedCheckpoint) -> SignedCheckpoint:
        self.file.append(accepted.note)
        if accepted.next_key is not None:
            self._keys.add(accepted.next_key, accepted.position)
            self._report(f"from here on the key is {key_text(accepted.next_key)}")
        self._report(f"position {accepted.position}, chain {accepted.chain.hex()}")
        return accepted

    def _look_back(self) -> None:
        """Ask for the newest one that is kept, and for a random old one."""
        first, last = self._first, self._witness.last
        if first is None or last is None:
            return
        shown = self._exchange.notes_from(0, 1)
        begin = first.position if not shown else max(first.position, parse(shown[0]).position)
        self._require_same(self._exchange, min(begin, last.position), last.position)
        position = random.randint(first.position, last.position)
        if position < begin:
            raise OSError(f"{self._exchange.url} shows nothing before position {begin} any more")
        for kept in self.file.notes_from(position, 1):
            self._require_same(self._exchange, begin, parse(kept).position)

    def _comparison(self, other: RemoteCheckpoints) -> Callable[[], None]:
        return lambda: self._compare_with(other)

    def _compare_with(self, other: RemoteCheckpoints) -> None:
        """Where both have something: each checkpoint has the hash of those before."""
        first, last = self._first, self._witness.last
        note, oldest = other.newest().note, other.notes_from(0, 1)
        if first is None or last is None or note is None or not oldest:
            return
        begin = max(first.position, parse(oldest[0]).position)
        end = min(last.position, parse(note).position)
        if begin <= end:
            self._require_same(other, begin, end)

    def _require_same(self, other: RemoteCheckpoints, first: int, last: int) -> None:
        """Both have all checkpoints between these positions. Raises HistoryContradicted."""
        found = first_difference(first, last, self.file.notes_from, other.notes_from)
        if found is not None:
            mine, theirs = found
            require_proof(mine, theirs, other.url, self._keys.at(mine.position))

    def _contradicted(self, found: HistoryContradicted) -> None:
        sentence, path = str(found), self._contradictions_path
        if sentence in self.contradictions:
            return
        known = path.read_text(errors="replace") if path.exists() else ""
        if sentence not in known and len(known) < PROOFS_CHARACTERS_MAX:
            at = datetime.now(UTC)
            proof = f"{at:%Y-%m-%d %H:%M:%S} UTC: {sentence}\n\n" + "\n".join(found.notes) + "\n"
            write_file(path, [(known + proof).encode()])
        if len(self.contradictions) < CONTRADICTIONS_MAX:
            self.contradictions.append(sentence)
        self._report(f"CONTRADICTION: {sentence}; the proof is in {path}")
