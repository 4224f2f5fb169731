"""The newest frames of a replay, for a feed that begins after it.

How it works: a subscriber of the runner that recovers; of what it is shown it keeps the newest, in
bounded memory. From these frames the rings of the feed begin (depth.py), so that whoever comes back
after a restart gets what has changed since he left, and not an assurance that nothing has.

Always true: frames follow each other without a gap, but for those that change nothing.

Not here: what is in them (feed.py).
"""

from __future__ import annotations

from collections import deque
from typing import Final

BYTES_MAX: Final = 1024 * 1024
_OF_A_TICK: Final = 56  # one OUTCOME and nothing else


class ReplayTail:
    """Kept while the log is replayed."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self.frames: deque[tuple[int, bytes]] = deque()
        """(time_ns, events), oldest first."""
        self._bytes_max = bytes_max
        self._bytes = 0

    def take(self, _position: int, time_ns: int, _frame: bytes, events: bytes) -> None:
        """A frame was applied."""
        if len(events) <= _OF_A_TICK:
            return
        self.frames.append((time_ns, events))
        self._bytes += len(events)
        while self._bytes > self._bytes_max:
            self._bytes -= len(self.frames.popleft()[1])
