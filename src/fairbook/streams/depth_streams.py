"""Depth streams of one market: every change of the book, or changes merged over an interval.

Design: a ring holds the newest changes of a market, which new receivers are sent first: public
clients take no snapshot before some have come. At the start it is filled with the changes that were
replayed from the log. A merged stream has a ring of its own, of what it has sent, because its
receivers continue with what it sends next.

Invariants:
- every change raises the update id by one; the deltas of a ring, and what is published after they
  were read, follow each other without a gap;
- a book plus all deltas after it is the later book, however the deltas were merged;
- a delta that was published is never changed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from fairbook.core import records
from fairbook.core.markets import FIRST_UPDATE_ID
from fairbook.streams.channel_source import MERGE, Channel, ChannelMessage
from fairbook.streams.publisher import Publisher

RING_MAX: Final = 16  # deltas kept for new receivers
EMPTY_AT_START: Final = 12  # empty deltas at the start of a ring; public clients wait for 11


class DepthDelta:
    """The new quantities of the levels that changed from update id `first_id` to `last_id`."""

    __slots__ = ("first_id", "last_id", "time_ns", "bids", "asks")

    def __init__(self, first_id: int, last_id: int, time_ns: int) -> None:
        """Without a changed level. last_id may be first_id - 1: no change yet."""
        assert last_id >= first_id - 1
        self.first_id = first_id
        self.last_id = last_id
        self.time_ns = time_ns  # of the newest change
        self.bids: dict[int, int] = {}  # price in ticks to lots; 0: the level is gone; in no order
        self.asks: dict[int, int] = {}

    def set(self, side: int, price: int, lots: int, update_id: int, time_ns: int) -> None:
        assert update_id == self.last_id + 1, f"update {update_id} after {self.last_id}"
        self.last_id = update_id
        self.time_ns = time_ns
        levels = self.bids if side == records.BID else self.asks
        levels[price] = lots

    def extend(self, newer: DepthDelta) -> None:
        """Add the changes of a delta that follows this one."""
        assert newer.first_id == self.last_id + 1, f"{newer.first_id} after {self.last_id}"
        self.bids.update(newer.bids)
        self.asks.update(newer.asks)
        self.last_id = newer.last_id
        self.time_ns = newer.time_ns

    def merged(self, newer: DepthDelta) -> DepthDelta:
        """A new delta with the changes of both; `newer` must follow this one."""
        both = DepthDelta(self.first_id, self.last_id, self.time_ns)
        both.bids = self.bids.copy()
        both.asks = self.asks.copy()
        both.extend(newer)
        return both


Encode = Callable[[Channel, DepthDelta], bytes]


def first_deltas(update_id: int, time_ns: int) -> list[DepthDelta]:
    """The beginning of a ring, when nothing is known of the changes up to this update.

    In a market without any order so far nothing has changed up to its first id. Otherwise the
    changes are unknown, and the deltas name no id: naming the ids before would assure a client that
    reconnects that it has missed nothing.
    """
    if update_id == FIRST_UPDATE_ID:
        first = update_id - EMPTY_AT_START + 1
        return [DepthDelta(number, number, time_ns) for number in range(first, update_id + 1)]
    return [DepthDelta(update_id + 1, update_id, time_ns) for _ in range(EMPTY_AT_START)]


class DeltaRing:
    """The newest deltas, by rising id."""

    def __init__(self, deltas: Iterable[DepthDelta]) -> None:
        self.deltas = deque(deltas, RING_MAX)
        self._messages: list[ChannelMessage] | None = None

    def add(self, delta: DepthDelta) -> None:
        self.deltas.append(delta)
        self._messages = None

    def messages(self, channel: Channel, encode: Encode) -> list[ChannelMessage]:
        """The deltas as messages, encoded once for all receivers until the next delta."""
        if self._messages is None:
            self._messages = [
                ChannelMessage(encode(channel, delta), MERGE, delta) for delta in self.deltas
            ]
        return self._messages


class MergedDepthStream:
    """An open stream that sends at most one delta per interval, of all changes meanwhile."""

    def __init__(
        self,
        channel: Channel,
        *,
        every_ms: int,
        ring: DeltaRing,
        publisher: Publisher,
        encode: Encode,
    ) -> None:
        """Begins with the market's ring; publishes from the next change on, until `close`."""
        self._channel = channel
        self._every_s = every_ms / 1000
        self._ring = DeltaRing(ring.deltas)
        self._publisher = publisher
        self._encode = encode
        self._waiting: DepthDelta | None = None
        self._timer: asyncio.TimerHandle | None = None

    def add(self, delta: DepthDelta) -> None:
        """The next change of the market."""
        if self._waiting is None:
            self._waiting = DepthDelta(delta.first_id, delta.first_id - 1, delta.time_ns)
            self._timer = asyncio.get_running_loop().call_later(self._every_s, self._flush)
        self._waiting.extend(delta)

    def initial_messages(self) -> list[ChannelMessage]:
        return self._ring.messages(self._channel, self._encode)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _flush(self) -> None:
        delta, self._waiting = self._waiting, None
        assert delta is not None
        try:
            self._ring.add(delta)
            payload = self._encode(self._channel, delta)
            self._publisher.publish(self._channel, ChannelMessage(payload, MERGE, delta))
        except Exception as bug:
            self._publisher.fail(bug)
            raise
