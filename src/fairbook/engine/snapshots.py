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

import os
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import Final

from fairbook.core import state
from fairbook.core.exchange import Exchange

DIRECTORY: Final = "snapshots"
FORMAT_VERSION: Final = 2
KEPT: Final = 3

_MAGIC: Final = b"FAIRSNAP"
_HEAD: Final = Struct("<8sIIqqq32s32s32s")
_CHECKSUM_BYTES: Final = 32
_SUFFIX: Final = ".snapshot"
_ASIDE: Final = ".snapshot.aside"


class Unsound(Exception):
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

    def restore(self) -> Exchange:
        """The exchange as it was. Raises Unsound if what comes out is not what went in."""
        try:
            exchange = state.load(self.body)
        except Exception as error:
            raise Unsound(
                f"snapshot of position {self.position} cannot be read: {error!r}"
            ) from error
        if state.digest(exchange) != self.digest or exchange.time_ns != self.time_ns:
            raise Unsound(f"snapshot of position {self.position} is not the state that it names")
        return exchange


class Snapshots:
    """DIR/snapshots. For one process at a time: the lock is the log's."""

    def __init__(self, directory: Path | str) -> None:
        """directory: of all data; `snapshots` is made in it if missing. Raises OSError."""
        self._directory = Path(directory) / DIRECTORY
        self._unsound: set[Path] = set()
        if not self._directory.is_dir():
            self._directory.mkdir(parents=True)
            _sync_directory(self._directory.parent)

    def write(self, snapshot: Snapshot) -> Path:
        """Store it; return once it is durable, and only three are left. Raises OSError."""
        path = self._directory / _name(snapshot.position, _SUFFIX)
        aside = self._directory / _name(snapshot.position, _ASIDE)
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
        with aside.open("wb") as file:
            file.write(head)
            file.write(snapshot.body)
            file.write(_checksum(head, snapshot.body))
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
        _sync_directory(self._directory)
        self._unsound.discard(path)
        self._remove_older_than(path)
        return path

    def remove_leftovers(self) -> None:
        """Remove what a crash left half written."""
        for aside in self._directory.glob(f"*{_ASIDE}"):
            aside.unlink()

    def paths(self) -> list[Path]:
        """The files named as snapshots, newest first, sound or not."""
        return sorted(self._directory.glob(f"*{_SUFFIX}"), reverse=True)

    def read(self, path: Path) -> Snapshot:
        """The snapshot in that file. Raises Unsound."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise Unsound(f"{path.name}: {error}") from error
        return _parse(content, path.name)

    def newest_sound(self) -> int:
        """The position of the newest sound one, 0 if there is none. Reads whole files."""
        for path in self.paths():
            try:
                return self.read(path).position
            except Unsound:
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


def _parse(content: bytes, name: str) -> Snapshot:
    if len(content) < _HEAD.size + _CHECKSUM_BYTES:
        raise Unsound(f"{name}: {len(content)} bytes are too few")
    whole = memoryview(content)[:-_CHECKSUM_BYTES]
    if _checksum(whole) != content[-_CHECKSUM_BYTES:]:
        raise Unsound(f"{name}: its checksum is wrong")
    magic, version, _, position, time_ns, length, *hashes = _HEAD.unpack_from(whole)
    chain, digest, event_hash = hashes
    if magic != _MAGIC or version != FORMAT_VERSION:
        raise Unsound(f"{name}: not a snapshot of format {FORMAT_VERSION}")
    if length != len(whole) - _HEAD.size:
        raise Unsound(f"{name}: says it holds {length} bytes, has {len(whole) - _HEAD.size}")
    if name != _name(position, _SUFFIX):
        raise Unsound(f"{name}: is of position {position}")
    snapshot = Snapshot(
        position=position,
        time_ns=time_ns,
        chain=chain,
        event_hash=event_hash,
        body=bytes(whole[_HEAD.size :]),
    )
    if snapshot.digest != digest:
        raise Unsound(f"{name}: its digest is not that of the state in it")
    return snapshot


def _name(position: int, suffix: str) -> str:
    """Of equal length, so that names sort as positions do."""
    return f"{position:020d}{suffix}"


def _checksum(*parts: bytes | memoryview) -> bytes:
    digest = blake2b(digest_size=_CHECKSUM_BYTES)
    for part in parts:
        digest.update(part)
    return digest.digest()


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
