"""The command log: every frame ever accepted, in order, durable.

One writer appends frames. The log gives each the next position and a time that never decreases, and
chains them by hash, so that a changed or missing entry is noticed. Times and hashes of frames are
enough to compute a chain from an earlier one. Adapters: file_log.py, and memory_log.py for tests;
both pass tests/contracts/test_log.py.

Invariant: `append` returns an entry only when it will be read again after any crash.
"""

from collections.abc import Iterator
from hashlib import blake2b
from struct import Struct
from typing import Final, NamedTuple, Protocol

CHAIN_BYTES = 32
GENESIS_CHAIN = bytes(CHAIN_BYTES)
FRAME_BYTES_MAX = 4 * 1024 * 1024
TIME_MAX_NS = 2**63 - 1

_POSITION_TIME: Final = Struct("<QQ")


class Entry(NamedTuple):
    """A frame in the log. Positions count from 1 without gaps."""

    position: int
    time_ns: int
    chain: bytes
    frame: bytes
    before: bytes = b""
    """The chain of the entry before it; empty unless the frame is there and verified."""

    def without_frame(self) -> "Entry":
        return Entry(self.position, self.time_ns, self.chain, b"")


GENESIS = Entry(0, 0, GENESIS_CHAIN, b"")
"""Before the first entry."""


class LogDamaged(Exception):
    """The log is damaged. The message names segment, offset, position, and what was expected."""


class LogFailed(Exception):
    """An append may not be durable. The log takes no more; reopening it shows what it contains."""


class LogLocked(Exception):
    """Another process, which the message names, writes this log."""


class CommandLog(Protocol):
    """A log of frames. `last` is the newest entry without its frame; GENESIS in an empty log."""

    @property
    def last(self) -> Entry: ...

    def append(self, frame: bytes, time_ns: int) -> Entry:
        """Store one frame; returns its entry once it is durable. Blocks: call it in a thread.

        frame: 1..FRAME_BYTES_MAX bytes; time_ns: 0..TIME_MAX_NS; else ValueError. The entry's time
        is max(time_ns, the last entry's time). Raises LogFailed, from then on at every call.
        """

    def read(self, first: int) -> Iterator[Entry]:
        """The entries from position `first` (>= 1) to the end at the time of the call.

        Raises LogDamaged in place of one whose chain does not follow from `before` and its frame.
        """

    def require(self, position: int, chain: bytes) -> None:
        """Raise LogDamaged if the log ends before `position` or has another chain there.

        For callers that know an entry from elsewhere: a snapshot, a checkpoint.
        """

    def close(self) -> None:
        """Idempotent. An append after it raises LogFailed."""


def hash_frame(frame: bytes) -> bytes:
    """blake2b, CHAIN_BYTES long."""
    return blake2b(frame, digest_size=CHAIN_BYTES).digest()


def chain_after(chain: bytes, position: int, time_ns: int, frame_hash: bytes) -> bytes:
    """The chain of an entry: blake2b over the chain before it, position, time and frame_hash."""
    content = chain + _POSITION_TIME.pack(position, time_ns) + frame_hash
    return blake2b(content, digest_size=CHAIN_BYTES).digest()


def entry_after(last: Entry, frame: bytes, time_ns: int) -> Entry:
    """The entry of an append. Raises ValueError if frame or time are out of bounds."""
    if not 0 < len(frame) <= FRAME_BYTES_MAX:
        raise ValueError(f"a frame has 1 to {FRAME_BYTES_MAX} bytes, not {len(frame)}")
    if not 0 <= time_ns <= TIME_MAX_NS:
        raise ValueError(f"a time is 0 to {TIME_MAX_NS} ns, not {time_ns}")
    position = last.position + 1
    time_ns = max(time_ns, last.time_ns)
    chain = chain_after(last.chain, position, time_ns, hash_frame(frame))
    return Entry(position, time_ns, chain, frame, last.chain)


def require_entry(last: Entry, position: int, chain: bytes, found: bytes | None) -> None:
    """Raise LogDamaged unless the chain that was `found` at `position` is `chain`.

    last: the newest entry, for the message.
    """
    if found is None:
        raise LogDamaged(
            f"the log ends at position {last.position}, but a snapshot or checkpoint refers to"
            f" position {position}: acknowledged entries are missing"
        )
    if found != chain:
        raise LogDamaged(
            f"the log has another history: its chain at position {position} is {found.hex()},"
            f" expected {chain.hex()}"
        )
