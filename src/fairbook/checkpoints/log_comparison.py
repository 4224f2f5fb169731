"""Checkpoints that were kept elsewhere, to be compared with a log that is replayed."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from fairbook.checkpoints.checkpoint_file import CheckpointFile
from fairbook.checkpoints.remote_checkpoints import RemoteCheckpoints
from fairbook.checkpoints.signed_checkpoint import SignedCheckpoint, parse
from fairbook.checkpoints.signed_note import key_digest


class LogContradicted(Exception):
    """A log that is not the one of which a checkpoint was made. The message says where."""


def read_checkpoints(source: str, public: bytes | None) -> Iterator[SignedCheckpoint]:
    """Of a file of notes, or of an exchange or a witness at a URL. public: the key that must have
    signed the first one, and each up to one that names the next key; None: any. Raises
    NoteInvalid, OSError.
    """
    if urlsplit(source).scheme in ("http", "https"):
        notes = RemoteCheckpoints(source).notes()
    else:
        Path(source).stat()  # A missing file is no empty one.
        notes = CheckpointFile(Path(source)).notes()
    for note in notes:
        found = parse(note, public)
        if public is not None and found.next_key is not None:
            public = found.next_key
        yield found


class CheckpointComparison:
    """Compares the log with checkpoints while it is replayed."""

    def __init__(self, checkpoints: Iterable[SignedCheckpoint]) -> None:
        """Raises LogContradicted if two of them contradict each other."""
        self.count = 0
        self._logs: dict[int, SignedCheckpoint] = {}
        self._states: dict[int, set[bytes]] = defaultdict(set)
        self._keys: dict[int, bytes] = {}  # note of each change of key, by position of the first
        for each in checkpoints:
            known = self._logs.setdefault(each.position, each)
            if known.text != each.text:
                raise LogContradicted(
                    f"two checkpoints of position {each.position} contradict each other: the"
                    " exchange has shown two histories"
                )
            if each.state_position > 0:
                self._states[each.state_position].add(each.state_digest)
            if each.next_key is not None:
                self._keys[each.position] = b"key " + key_digest(each.next_key).hex().encode()
            self.count += 1

    def take(
        self, position: int, *,
        frame: bytes, chain: bytes, event_hash: bytes, digest: Callable[[], bytes],
    ) -> None:  # fmt: skip
        """After each entry. digest: of the state then. Raises LogContradicted."""
        for named_at, note in list(self._keys.items()):
            if note in frame:
                del self._keys[named_at]
            elif named_at <= position:
                raise LogContradicted(
                    f"the checkpoint of position {named_at} names another key, which no operator"
                    " has put into the log before it"
                )
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
