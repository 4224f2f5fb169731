"""The command log: every frame ever accepted, in order, durable. Knows nothing of orders.

Design: one writer appends frames; the log gives each the next position and a time that never
decreases, and chains them, so that a changed or missing one shows. Adapters: files.py, memory.py
(for tests); both pass tests/contracts/test_log.py.

Invariants: an entry is returned by `append` only when it will be read again after any crash.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from struct import Struct
from typing import Final, NamedTuple, Protocol

CHAIN_BYTES = 32
GENESIS_CHAIN = bytes(CHAIN_BYTES)
FRAME_BYTES_MAX = 4 * 1024 * 1024
TIME_MAX_NS = 2**63 - 1

_PLACE: Final = Struct("<QQ")  # Position and time, as they go into the chain.


class Entry(NamedTuple):
    """One frame as the log holds it. Positions count from 1 without gaps."""

    position: int
    time_ns: int
    chain: bytes
    frame: bytes


GENESIS = Entry(0, 0, GENESIS_CHAIN, b"")
"""What comes before the first entry."""


class LogDamaged(Exception):
    """The log cannot be trusted. The message names segment, offset and position, and what was
    expected.
    """


class LogFailed(Exception):
    """An append could not be made durable. The log takes nothing more; what was appended is unknown
    until it is opened again.
    """


class LogLocked(Exception):
    """Another process writes this log. The message names it."""


class CommandLog(Protocol):
    """Every frame ever accepted."""

    @property
    def last(self) -> Entry:
        """Position, time and chain of the newest entry, its frame left empty; position 0 in an
        empty log.
        """

    def append(self, frame: bytes, time_ns: int) -> Entry:
        """Store one frame and return its entry once it is durable. May block: call it in a worker
        thread.

        frame: 1..FRAME_BYTES_MAX bytes; time_ns: 0..TIME_MAX_NS; else ValueError, and nothing has
        happened. Its time is max(time_ns, the last entry's time). Raises LogFailed, also ever
        after.
        """

    def read(self, first: int) -> Iterator[Entry]:
        """Yield the entries from position `first` (>= 1) to the end there was at the call. Raises
        LogDamaged.
        """

    def require(self, position: int, chain: bytes) -> None:
        """Refuse a log that is shorter than `position` or has another chain there: raises
        LogDamaged.

        For whoever knows of an entry by other means: a snapshot, a checkpoint.
        """

    def close(self) -> None:
        """Release the log; idempotent. An append after it raises LogFailed."""


def chain_after(chain: bytes, position: int, time_ns: int, frame: bytes) -> bytes:
    """The chain value of an entry: blake2b over the one before it, position, time and frame."""
    digest = blake2b(chain + _PLACE.pack(position, time_ns), digest_size=CHAIN_BYTES)
    digest.update(frame)
    return digest.digest()


def entry_after(last: Entry, frame: bytes, time_ns: int) -> Entry:
    """The entry that an append makes. Raises ValueError if frame or time are out of bounds."""
    if not 0 < len(frame) <= FRAME_BYTES_MAX:
        raise ValueError(f"a frame has 1 to {FRAME_BYTES_MAX} bytes, not {len(frame)}")
    if not 0 <= time_ns <= TIME_MAX_NS:
        raise ValueError(f"a time is 0 to {TIME_MAX_NS} ns, not {time_ns}")
    position = last.position + 1
    time_ns = max(time_ns, last.time_ns)
    return Entry(position, time_ns, chain_after(last.chain, position, time_ns, frame), frame)


def require_entry(last: Entry, position: int, chain: bytes, found: bytes | None) -> None:
    """What `require` says, given the newest entry and the chain that was `found` at the position,
    if it is there.
    """
    if found is None:
        raise LogDamaged(
            f"the log ends at position {last.position}, but position {position} is known of:"
            " acknowledged entries are missing"
        )
    if found != chain:
        raise LogDamaged(
            f"the log has another history: its chain at position {position} is {found.hex()},"
            f" expected {chain.hex()}"
        )
