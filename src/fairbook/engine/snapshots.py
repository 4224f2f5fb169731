"""Snapshots: the whole state at one position, in one file; a restart replays what came after.

How it works: a file is written aside, synced, renamed to `<position>.snapshot`, and its directory
synced; only then are old ones removed. Layout, little-endian: magic (8 bytes), format version u32,
reserved u32, position i64, time_ns i64, length of the body i64, chain (32), digest of the state
(32), running hash of all events (32), the body, and a blake2b (32) over all of it.

Always true:
- a file of that name is whole: every state that a crash can leave is either a leftover, removed at
  the next start, or sound;
- a snapshot is used only if checksum, format, name and digest all agree; one that does not is left
  alone and reported;
- a sound one is removed only when three newer ones are on disk.

Not here: what a state consists of (core/state.py), what follows from a snapshot that the log denies
(recovery.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

from fairbook.core import state
from fairbook.core.exchange import Exchange
from fairbook.log.durable_file import NEW_SUFFIX, make_directory, write_file

DIRECTORY: Final = "snapshots"
FORMAT_VERSION: Final = 2
KEPT: Final = 3

_MAGIC: Final = b"FAIRSNAP"
_HEAD: Final = Struct("<8sIIqqq32s32s32s")
_CHECKSUM_BYTES: Final = 32
_HEAD_BYTES: Final = _HEAD.size + _CHECKSUM_BYTES
_SUFFIX: Final = ".snapshot"


class SnapshotInvalid(Exception):
    """A snapshot file that must not be used. The message says which, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state, and of the last entry in it: position, time, chain and running hash of events."""

    position: int
    time_ns: int
    chain: bytes
    event_hash: bytes
    body: bytes
    """What core/state.py made of it."""

    @property
    def digest(self) -> bytes:
        """Of the state: what state.digest says of the exchange that was dumped."""
        return blake2b(self.body, digest_size=state.DIGEST_BYTES).digest()

    def restore(self, *, is_checked: bool = True) -> Exchange:
        """The exchange as it was. Raises Unsound if what comes out is not what went in, which costs
        more than to load it.
        """
        try:
            exchange = state.load(self.body)
        except Exception as error:
            raise SnapshotInvalid(
                f"snapshot of position {self.position} cannot be read: {error!r}"
            ) from error
        if exchange.time_ns != self.time_ns or (is_checked and state.dump(exchange) != self.body):
            raise SnapshotInvalid(
                f"snapshot of position {self.position} is not the state that it names"
            )
        return exchange


class Head(NamedTuple):
    """What a snapshot says of itself; `length`, `digest`: of its body. The others as Snapshot."""

    position: int
    time_ns: int
    length: int
    chain: bytes
    digest: bytes
    event_hash: bytes


class Snapshots:
    """DIR/snapshots. For one process at a time: the lock is the log's."""

    def __init__(self, directory: Path | str) -> None:
        """directory: of all data; `snapshots` is made in it if missing. Raises OSError."""
        self._directory = Path(directory) / DIRECTORY
        self._unsound: set[Path] = set()
        make_directory(self._directory)

    def write(self, snapshot: Snapshot) -> Path:
        """Store it; return once it is durable, and only three are left. Raises OSError."""
        path = self._directory / _name(snapshot.position, _SUFFIX)
        head = _HEAD.pack(
            _MAGIC,
            FORMAT_VERSION,
            0,
            snapshot.position,
            snapshot.time_ns,
            len(snapshot.body),
            snapshot.chain,
            snapshot.digest,
            snapshot.event_hash,
        )
        write_file(path, (head, _checksum(head), snapshot.body))
        self._unsound.discard(path)
        self._remove_older_than(path)
        return path

    def remove_leftovers(self) -> None:
        """Remove what a crash left half written."""
        for new in self._directory.glob(f"*{_SUFFIX}{NEW_SUFFIX}"):
            new.unlink()

    def paths(self) -> list[Path]:
        """The files named as snapshots, newest first, sound or not."""
        return sorted(self._directory.glob(f"*{_SUFFIX}"), reverse=True)

    def read(self, path: Path) -> Snapshot:
        """The snapshot in that file. Raises Unsound."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise SnapshotInvalid(f"{path.name}: {error}") from error
        head = _parse_head(content[:_HEAD_BYTES], path.name)
        body = content[_HEAD_BYTES:]
        if len(body) != head.length:
            raise SnapshotInvalid(
                f"{path.name}: says it holds {head.length} bytes, has {len(body)}"
            )
        snapshot = Snapshot(
            position=head.position,
            time_ns=head.time_ns,
            chain=head.chain,
            event_hash=head.event_hash,
            body=body,
        )
        if snapshot.digest != head.digest:
            raise SnapshotInvalid(f"{path.name}: its digest is not that of the state in it")
        return snapshot

    def read_head(self, path: Path) -> Head:
        """What the snapshot in that file knows of the log; its state is not looked at.

        Raises Unsound.
        """
        try:
            with path.open("rb") as file:
                return _parse_head(file.read(_HEAD_BYTES), path.name)
        except OSError as error:
            raise SnapshotInvalid(f"{path.name}: {error}") from error

    def newest_known(self) -> int:
        """The newest position that a sound head names, 0 if there is none: it was durable."""
        for path in self.paths():
            try:
                return self.read_head(path).position
            except SnapshotInvalid:
                continue  # `recover` reports it.
        return 0

    def pass_over(self, path: Path) -> None:
        """That file is not sound: it does not count as one of the three that are kept."""
        self._unsound.add(path)

    def _remove_older_than(self, newest: Path) -> None:
        """Unsound ones stay, for whoever wants to know what happened to them."""
        sound = [path for path in self.paths() if path <= newest and path not in self._unsound]
        for path in sound[KEPT:]:
            path.unlink()


def _parse_head(octets: bytes, name: str) -> Head:
    if len(octets) < _HEAD_BYTES:
        raise SnapshotInvalid(f"{name}: {len(octets)} bytes are too few")
    if _checksum(octets[: _HEAD.size]) != octets[_HEAD.size :]:
        raise SnapshotInvalid(f"{name}: its checksum is wrong")
    magic, version, _, *fields = _HEAD.unpack_from(octets)
    if magic != _MAGIC or version != FORMAT_VERSION:
        raise SnapshotInvalid(f"{name}: not a snapshot of format {FORMAT_VERSION}")
    head = Head(*fields)
    if name != _name(head.position, _SUFFIX):
        raise SnapshotInvalid(f"{name}: is of position {head.position}")
    return head


def _name(position: int, suffix: str) -> str:
    """Of equal length, so that names sort as positions do."""
    return f"{position:020d}{suffix}"


def _checksum(octets: bytes) -> bytes:
    return blake2b(octets, digest_size=_CHECKSUM_BYTES).digest()
