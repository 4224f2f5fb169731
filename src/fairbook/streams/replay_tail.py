"""The newest frames of a replay: the depth changes that a feed begins with.

They let clients that reconnect after a restart receive the changes that they have missed. Frames
follow each other without a gap, except for those that change nothing.
"""

from collections import deque
from typing import Final

from fairbook.core.records import LEVEL, LevelChange, kind_at, next_at
from fairbook.streams.depth_streams import DepthDelta

BYTES_MAX: Final = 1024 * 1024
_TICK_BYTES: Final = 56  # one OUTCOME and nothing else


class ReplayTail:
    """Keeps the newest events while the log is replayed, in bounded memory."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self.frames: deque[tuple[int, bytes]] = deque()  # (time_ns, events), oldest first
        self._bytes_max = bytes_max
        self._bytes = 0

    def on_frame(self, _position: int, time_ns: int, _frame: bytes, events: bytes) -> None:
        if len(events) <= _TICK_BYTES:
            return
        self.frames.append((time_ns, events))
        self._bytes += len(events)
        while self._bytes > self._bytes_max:
            self._bytes -= len(self.frames.popleft()[1])

    def depth_deltas(self) -> dict[int, list[DepthDelta]]:
        """By market, what each frame has changed in its book, oldest first."""
        found: dict[int, list[DepthDelta]] = {}
        for time_ns, events in self.frames:
            changed: dict[int, DepthDelta] = {}
            at = 0
            while at < len(events):
                if kind_at(events, at) == LEVEL:
                    level = LevelChange(events, at)
                    delta = changed.get(level.market)
                    if delta is None:
                        delta = changed[level.market] = DepthDelta(
                            level.update_id, level.update_id - 1, time_ns
                        )
                        found.setdefault(level.market, []).append(delta)
                    delta.set(level.side, level.price, level.lots, level.update_id, time_ns)
                at = next_at(events, at)
        return found
