"""What the engine counts while it works: whole numbers that only grow, read by others at any time.

Cost: one addition for each command, and two clock readings for each frame.
"""

from bisect import bisect_left
from typing import Final

BOUNDS_S: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
)  # fmt: skip
"""Upper bounds of the buckets of a histogram; the last bucket has no bound."""
STATUSES: Final = 8  # of outcomes
KINDS: Final = 256  # of commands: a malformed one may have any


class Histogram:
    """Seconds, in buckets."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float, weight: int = 1) -> None:
        self.counts[bisect_left(BOUNDS_S, seconds)] += weight
        self.sum_s += seconds * weight


class Measurements:
    """Of one engine, since its process began."""

    def __init__(self) -> None:
        self.frames = 0
        self.outcomes = [0] * (KINDS * STATUSES)
        """Commands by kind and status: `kind * STATUSES + status`."""
        self.refused = 0  # because the queue was full: nothing was logged
        self.sync = Histogram()
        """Of each frame: writing it and syncing it to disk."""
        self.answered = Histogram()
        """Of each command: from when the oldest of its frame was queued until it was answered."""
