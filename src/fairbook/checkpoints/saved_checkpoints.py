"""Checkpoints that were kept elsewhere, to be compared with a log that is replayed."""

import json
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fairbook.checkpoints.signed_checkpoint import (
    CheckpointInvalid,
    SignedCheckpoint,
    parse,
    split_notes,
)

PATH: Final = "/api/v1/checkpoints"
WAIT_S: Final = 30.0
BYTES_MAX: Final = 64 * 1024 * 1024


class LogContradicted(Exception):
    """A log that is not the one of which a checkpoint was made. The message says where."""


def read_checkpoints(source: str, public: bytes | None) -> list[SignedCheckpoint]:
    """Of a file of notes, or of an exchange at a URL. public: as `parse`. Raises CheckpointInvalid,
    OSError.
    """
    if urlsplit(source).scheme in ("http", "https"):
        notes = _notes_at(source)
    else:
        with Path(source).open(encoding="utf-8", errors="replace") as file:
            notes = list(split_notes(file))
    return [parse(note, public) for note in notes]


def _notes_at(url: str) -> list[str]:
    with urllib.request.urlopen(url.rstrip("/") + PATH, timeout=WAIT_S) as answer:
        content = answer.read(BYTES_MAX)
    try:
        rows = json.loads(content)
        return [row["note"] for row in rows if row.get("note")]
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointInvalid(f"{url} has no checkpoints: {error}") from error


class CheckpointComparison:
    """Compares the log with checkpoints while it is replayed."""

    def __init__(self, checkpoints: Iterable[SignedCheckpoint]) -> None:
        """Raises LogContradicted if two of them contradict each other."""
        self.count = 0
        self._logs: dict[int, SignedCheckpoint] = {}
        self._states: dict[int, set[bytes]] = defaultdict(set)
        for each in checkpoints:
            known = self._logs.setdefault(each.position, each)
            if (known.chain, known.event_hash) != (each.chain, each.event_hash):
                raise LogContradicted(
                    f"two checkpoints of position {each.position} contradict each other: the"
                    " exchange has shown two histories"
                )
            if each.state_position > 0:
                self._states[each.state_position].add(each.state_digest)
            self.count += 1

    def take(
        self, position: int, *, chain: bytes, event_hash: bytes, digest: Callable[[], bytes]
    ) -> None:
        """After each entry. digest: of the state then. Raises LogContradicted."""
        known = self._logs.pop(position, None)
        if known is not None and known.chain != chain:
            raise LogContradicted(f"the chain at position {position} is not that of a checkpoint")
        if known is not None and known.event_hash != event_hash:
            raise LogContradicted(f"the events up to position {position} are not of a checkpoint")
        states = self._states.pop(position, None)
        if states is not None and states != {digest()}:
            raise LogContradicted(f"the state at position {position} is not that of a checkpoint")

    def finish(self, position: int) -> None:
        """At the end of the log. Raises LogContradicted."""
        later = [*self._logs, *self._states]
        if later:
            raise LogContradicted(
                f"the log ends at position {position}, but there is a checkpoint of position"
                f" {max(later)}: acknowledged commands are missing"
            )
