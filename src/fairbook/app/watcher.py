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
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from fairbook.checkpoints.checkpoint_file import CheckpointFile
from fairbook.checkpoints.kept_keys import KeptKeys
from fairbook.checkpoints.remote_checkpoints import RemoteCheckpoints
from fairbook.checkpoints.signed_checkpoint import SignedCheckpoint, is_signed_by, parse
from fairbook.checkpoints.signed_note import NoteInvalid, key_text, parse_key_text
from fairbook.checkpoints.witness import HistoryContradicted, Witness, compare

KEY_SUFFIX: Final = ".key"
CONTRADICTIONS_SUFFIX: Final = ".contradictions"
CONTRADICTIONS_MAX: Final = 1_000  # that are kept and shown
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
        if self._contradictions_path.exists():
            report(f"earlier contradictions are in {self._contradictions_path}")

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
            "contradictions": self.contradictions,
            "problem": self.problem,
        }

    def newest(self) -> tuple[str, str | None]:
        """Key and note of the newest checkpoint that is kept."""
        last = self._witness.last
        return key_text(self._witness.public), None if last is None else last.note

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
            if note is not None:
                parse(note, witness.public)  # Another key proves nothing: there is no history yet.
                self._first = self._keep(witness.accept(note, self._exchange.chain))
                self._report("a first look: nothing is known about the time before it")
            return
        for _, note in self._exchange.notes(witness.last.position + 1):
            self._keep(witness.accept(note, self._exchange.chain))

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
        position = random.randint(first.position, last.position)
        for kept in (last.note, *self.file.notes_from(position, 1)):
            shown = self._exchange.notes_from(parse(kept).position, 1)
            compare(kept, shown, self._exchange.url, self._keys.at)

    def _comparison(self, other: RemoteCheckpoints) -> Callable[[], None]:
        return lambda: self._compare_with(other)

    def _compare_with(self, other: RemoteCheckpoints) -> None:
        """At the newest position that both should have: each one has the hash of those before."""
        first, last = self._first, self._witness.last
        note = other.newest().note
        if first is None or last is None or note is None:
            return
        theirs = parse(note)
        if theirs.position >= last.position:
            oldest = other.notes_from(0, 1)
            if oldest and parse(oldest[0]).position <= last.position:
                shown = other.notes_from(last.position, 1)
                compare(last.note, shown, other.url, self._keys.at)
        elif theirs.position >= first.position:
            parse(note, self._keys.at(theirs.position))
            kept = self.file.notes_from(theirs.position, 1)
            compare(note, kept, "this witness", self._keys.at)

    def _contradicted(self, found: HistoryContradicted) -> None:
        sentence = str(found)
        if sentence in self.contradictions or len(self.contradictions) >= CONTRADICTIONS_MAX:
            return
        at = datetime.now(UTC)
        with self._contradictions_path.open("a", encoding="utf-8") as file:
            file.write(f"{at:%Y-%m-%d %H:%M:%S} UTC: {sentence}\n\n" + "\n".join(found.notes))
        self.contradictions.append(sentence)
        self._report(f"CONTRADICTION: {sentence}; the proof is in {self._contradictions_path}")
