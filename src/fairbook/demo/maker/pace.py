"""One budget for everything the bot sends: never more than so many commands in any second.

Always true: two turns are at least `1 / per_s` apart, in the order in which they were asked for.
"""

from __future__ import annotations


class Pace:
    """Turns, one after the other. Times are those of one monotonic clock, in seconds."""

    def __init__(self, per_s: float) -> None:
        self._gap_s = 1.0 / per_s
        self._free_s = 0.0

    def turn(self, now_s: float) -> float:
        """Take the next turn; returns how long to wait for it, in seconds."""
        at_s = max(now_s, self._free_s)
        self._free_s = at_s + self._gap_s
        return at_s - now_s
