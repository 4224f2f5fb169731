"""Depth streams of one market: as changes come, or merged over a stretch of time.

How it works: a ring holds the newest changes of a market, for whoever subscribes: public clients
take no snapshot before some have come. It begins with those that a start has replayed. They become
deltas only when somebody wants them. A merged stream has a ring of its own, of what it sent,
because a newcomer goes on with what it sends next; it begins with the market's ring.

Always true: deltas of a ring, and what is published after they were read, follow each other without
a gap; a delta that was published is never changed.

Not here: texts (api/streams.py).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from fairbook.core.markets import FIRST_UPDATE_ID
from fairbook.core.records import LevelChange
from fairbook.streams.depth_view import Delta
from fairbook.streams.outlet import Outlet
from fairbook.streams.ports import MERGE, Channel, Message

RING_MAX: Final = 16  # deltas kept for newcomers
EMPTY_AT_START: Final = 12  # empty ones that a ring begins with; clients wait for 11

Encode = Callable[[Channel, Delta], bytes]


def first_deltas(update_id: int, time_ns: int) -> list[Delta]:
    """What a ring begins with, when nothing after this update is known of.

    In a market that was never traded on nothing has changed up to its first id. Otherwise what
    changed is not known here, and none of them names an id: to name the ids before would tell
    whoever comes back that he has missed nothing.
    """
    if update_id == FIRST_UPDATE_ID:
        first = update_id - EMPTY_AT_START + 1
        return [Delta(number, number, time_ns) for number in range(first, update_id + 1)]
    return [Delta(update_id + 1, update_id, time_ns) for _ in range(EMPTY_AT_START)]


class Frame:
    """What one frame changed in the book of a market."""

    __slots__ = ("_delta", "changes", "time_ns")

    def __init__(self, time_ns: int) -> None:
        self.time_ns = time_ns
        self.changes: list[LevelChange] = []
        self._delta: Delta | None = None

    def delta(self) -> Delta:
        """The same as a delta. All changes of the frame must be here."""
        delta = self._delta
        if delta is None:
            first_id = self.changes[0].update_id
            delta = self._delta = Delta(first_id, first_id - 1, self.time_ns)
            for change in self.changes:
                delta.set(change.side, change.price, change.lots, change.update_id, self.time_ns)
            self.changes = []
        return delta


class Ring:
    """The newest deltas, by rising id."""

    def __init__(self, deltas: Iterable[Delta | Frame]) -> None:
        self._deltas: deque[Delta | Frame] = deque(deltas, RING_MAX)
        self._messages: list[Message] | None = None

    def add(self, delta: Delta | Frame) -> None:
        """The next one."""
        self._deltas.append(delta)
        self._messages = None

    def deltas(self) -> list[Delta]:
        """All of them."""
        return [one.delta() if isinstance(one, Frame) else one for one in self._deltas]

    def messages(self, channel: Channel, encode: Encode) -> list[Message]:
        """The deltas as messages. Made once for all who join before the next delta."""
        if self._messages is None:
            self._messages = [
                Message(encode(channel, delta), MERGE, delta) for delta in self.deltas()
            ]
        return self._messages


class Merged:
    """An open stream that is sent at most every so often, with all that changed meanwhile."""

    def __init__(
        self, channel: Channel, *, every_ms: int, ring: Ring, outlet: Outlet, encode: Encode
    ) -> None:
        """ring: the market's. Publishes from the first change after this on, until `close`."""
        self._channel = channel
        self._every_s = every_ms / 1000
        self._ring = Ring(ring.deltas())
        self._outlet = outlet
        self._encode = encode
        self._waiting: Delta | None = None
        self._timer: asyncio.TimerHandle | None = None

    def add(self, delta: Delta) -> None:
        """The next change of the market."""
        waiting = self._waiting
        if waiting is None:
            waiting = self._waiting = Delta(delta.first_id, delta.first_id - 1, delta.time_ns)
            self._timer = asyncio.get_running_loop().call_later(self._every_s, self.flush)
        assert delta.first_id == waiting.last_id + 1
        waiting.bids.update(delta.bids)  # In place: nobody else has seen it yet.
        waiting.asks.update(delta.asks)
        waiting.last_id = delta.last_id
        waiting.time_ns = delta.time_ns

    def flush(self) -> None:
        """Send what waits."""
        delta, self._waiting = self._waiting, None
        assert delta is not None
        try:
            self._ring.add(delta)
            text = self._encode(self._channel, delta)
            self._outlet.send(self._channel, Message(text, MERGE, delta))
        except Exception as bug:
            self._outlet.fail(bug)
            raise

    def messages(self) -> list[Message]:
        """What a newcomer is sent first."""
        return self._ring.messages(self._channel, self._encode)

    def close(self) -> None:
        """Send nothing more."""
        if self._timer is not None:
            self._timer.cancel()
