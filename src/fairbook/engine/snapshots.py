"""Snapshots: the whole state at one position, in one file; a restart replays what came after.

Layout of `<position>.snapshot`, little-endian: magic (8 bytes), format u32, reserved u32, position
i64, time_ns i64, length of the body i64, chain (32), digest of the state (32), running hash of all
events (32), a blake2b (32) of all these, and the body, which is `state.dump`.

Invariants:
- a file of that name is complete; a crash leaves at most a `.new` file, removed at the next start;
- a snapshot is used only if checksum, format, name and digest all agree; others are left alone and
  reported;
- a valid one is removed only when three newer ones are on disk;
- one whose state is not what the log gives is renamed to `.snapshot.contradicted` and kept.
"""

from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

from fairbook.core import state
from fairbook.core.exchange import Exchange
from fairbook.log.durable_file import NEW_SUFFIX, make_directory, rename, write_file

DIRECTORY: Final = "snapshots"
FORMAT: Final = 4
"""Of the body, too: raised whenever core/state.py changes."""
KEPT: Final = 3

_MAGIC: Final = b"FAIRSNAP"
_HEAD: Final = Struct("<8sIIqqq32s32s32s")
_CHECKSUM_BYTES: Final = 32
_HEAD_BYTES: Final = _HEAD.size + _CHECKSUM_BYTES
_SUFFIX: Final = ".snapshot"
ASIDE_SUFFIX: Final = ".contradicted"


class SnapshotInvalid(Exception):
    """A snapshot file that cannot be used. The message names it and says why."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state, with position, time, chain and running hash of events of the last entry in it."""

    position: int
    time_ns: int
    chain: bytes
    event_hash: bytes
    body: bytes
    """The `state.dump` of the exchange."""

    @property
    def digest(self) -> bytes:
        """The `state.digest` of the exchange."""
        return blake2b(self.body, digest_size=state.DIGEST_BYTES).digest()

    def restore(self, *, is_checked: bool = True) -> Exchange:
        """is_checked: compare a new dump, which takes as long again. Raises SnapshotInvalid."""
        try:
            exchange = state.load(self.body)
        except Exception as error:
            raise SnapshotInvalid(
                f"snapshot of position {self.position} cannot be read: {error!r}"
            ) from error
        if exchange.time_ns != self.time_ns or (is_checked and state.dump(exchange) != self.body):
            raise SnapshotInvalid(
                f"the state in the snapshot of position {self.position} is not that of its header"
            )
        return exchange


class Head(NamedTuple):
    """`length` and `digest` are those of the body; the rest as in Snapshot."""

    format: int
    position: int
    time_ns: int
    length: int
    chain: bytes
    digest: bytes
    event_hash: bytes

    def is_of(self, snapshot: Snapshot) -> bool:
        """Whether the state and the events are those of `snapshot`, which has the same position."""
        return (self.digest, self.event_hash) == (snapshot.digest, snapshot.event_hash)


class Snapshots:
    """DIR/snapshots. For one process at a time: the one that holds the log's lock."""

    def __init__(self, directory: Path | str) -> None:
        """directory: the data directory; `snapshots` is created in it. Raises OSError."""
        self._directory = Path(directory) / DIRECTORY
        self._invalid: set[Path] = set()
        make_directory(self._directory)

    def write(self, snapshot: Snapshot) -> Path:
        """Store it durably, and remove all but the three newest valid ones. Raises OSError."""
        path = self.path_of(snapshot.position)
        head = _HEAD.pack(
            _MAGIC,
            FORMAT,
            0,
            snapshot.position,
            snapshot.time_ns,
            len(snapshot.body),
            snapshot.chain,
            snapshot.digest,
            snapshot.event_hash,
        )
        write_file(path, (head, _checksum(head), snapshot.body))
        self._invalid.discard(path)
        self._remove_older_than(path)
        return path

    def remove_leftovers(self) -> None:
        for new in self._directory.glob(f"*{_SUFFIX}*{NEW_SUFFIX}"):
            new.unlink(missing_ok=True)  # Another process may have removed it.

    def paths(self) -> list[Path]:
        """The files named as snapshots, newest first, valid or not."""
        return sorted(self._directory.glob(f"*{_SUFFIX}"), reverse=True)

    def path_of(self, position: int) -> Path:
        return self._directory / _name(position)

    def read(self, path: Path) -> Snapshot:
        """Raises SnapshotInvalid."""
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
        snapshot = Snapshot(head.position, head.time_ns, head.chain, head.event_hash, body)
        if snapshot.digest != head.digest:
            raise SnapshotInvalid(f"{path.name}: its digest is not that of the state in it")
        return snapshot

    def read_head(self, path: Path) -> Head:
        """Only the head. Raises SnapshotInvalid."""
        try:
            with path.open("rb") as file:
                return _parse_head(file.read(_HEAD_BYTES), path.name)
        except OSError as error:
            raise SnapshotInvalid(f"{path.name}: {error}") from error

    def heads(self, least: int = 0) -> dict[int, tuple[Path, Head]]:
        """File and head of each snapshot with a valid one, by position, from `least` on."""
        found = {}
        for path in self.paths():
            with suppress(SnapshotInvalid):  # Nothing loads it.
                head = self.read_head(path)
                if head.position >= least:
                    found[head.position] = path, head
        return found

    def newest_known(self) -> int:
        """The newest position that a valid head names, or 0. The log had made it durable."""
        for path in self.paths():
            try:
                return self.read_head(path).position
            except SnapshotInvalid:
                continue  # Reported by `recover`.
        return 0

    def put_aside(self, path: Path) -> Path:
        """Rename a file whose state the log contradicts, so that it is never loaded again; returns
        its new path. Raises OSError.
        """
        aside = path.with_name(path.name + ASIDE_SUFFIX)
        rename(path, aside)
        return aside

    def pass_over(self, path: Path) -> None:
        """Do not count this file, which is invalid, as one of the three that are kept."""
        self._invalid.add(path)

    def _remove_older_than(self, newest: Path) -> None:
        """Invalid ones stay, so that their damage can be examined."""
        valid = [path for path in self.paths() if path <= newest and path not in self._invalid]
        for path in valid[KEPT:]:
            path.unlink()


def _parse_head(data: bytes, name: str) -> Head:
    if len(data) < _HEAD_BYTES:
        raise SnapshotInvalid(f"{name}: {len(data)} bytes are too few")
    if _checksum(data[: _HEAD.size]) != data[_HEAD.size :]:
        raise SnapshotInvalid(f"{name}: its checksum is wrong")
    magic, found, _, *fields = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        raise SnapshotInvalid(f"{name}: it begins with {magic!r}, expected {_MAGIC!r}")
    if found != FORMAT:
        raise SnapshotInvalid(f"{name}: snapshot format {found}, this release reads {FORMAT}")
    head = Head(found, *fields)
    if name != _name(head.position):
        raise SnapshotInvalid(f"{name}: it has position {head.position}")
    return head


def _name(position: int) -> str:
    """Names sort as positions do."""
    return f"{position:020d}{_SUFFIX}"


def _checksum(data: bytes) -> bytes:
    return blake2b(data, digest_size=_CHECKSUM_BYTES).digest()
