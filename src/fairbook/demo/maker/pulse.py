"""Whether a market's streams still tell what happens.

How it works: a candle of one second is sent every second from the first trade on; and every command
of ours that was answered changes the book, and so must be heard of. What is due and does not come
makes the feed stale.

Always true: silence alone proves nothing: a market where nothing is due is not stale.
"""

from __future__ import annotations


class Pulse:
    """Of one market and one connection. Times in seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._beats = False
        self._due_s: float | None = None  # since when something is due

    def beat(self, now_s: float) -> None:
        """A candle came: from now on they come every second."""
        self._beats = True
        self._due_s = now_s

    def heard(self, now_s: float) -> None:
        """Anything else came."""
        self._due_s = now_s if self._beats else None

    def acted(self, now_s: float) -> None:
        """A command of ours was answered."""
        if self._due_s is None:
            self._due_s = now_s

    def is_stale(self, now_s: float, *, after_s: float) -> bool:
        """Whether something is due for longer than that."""
        return self._due_s is not None and now_s - self._due_s > after_s
