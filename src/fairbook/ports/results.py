"""What comes back to whoever handed in a command, or asked for depth.

Always true: plain values and exceptions, no behaviour. The engine makes them, the gateway reads
them, and neither imports the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Answer(NamedTuple):
    """What came of one command: `events` are its own, and end with its OUTCOME."""

    position: int
    time_ns: int
    events: bytes


class Busy(Exception):
    """Too many commands are waiting: nothing was logged, nothing will happen."""


class Stopped(Exception):
    """The exchange takes no more commands: it is shutting down, or its log failed."""


class HistoryBehind(Exception):
    """What is recorded does not go as far as was asked for, or cannot be read. Trading goes on."""


class Depth(NamedTuple):
    """One market's book: (price_ticks, lots) per level, best first, as of `update_id`."""

    update_id: int
    time_ns: int
    bids: Sequence[tuple[int, int]]
    asks: Sequence[tuple[int, int]]


class Checkpoint(NamedTuple):
    """Where the log and one slice of the state stood, for replicas and auditors to compare."""

    position: int
    chain: bytes
    event_hash: bytes
    """Running hash of the events of all frames up to there."""
    slice_index: int
    """Of `slice_count` that make up the state. 0 of 0: no slice."""
    slice_count: int
    slice_digest: bytes
    engines: list[str]
    """Who has come to these values so far. Grows."""
