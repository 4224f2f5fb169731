"""The clock that frames are stamped with: the wall clock without its jumps.

Design: each reading is compared with the last one. A wall clock that jumps back freezes log time
until it has caught up. One that runs ahead of the monotonic clock by more than a minute is not
trusted: time goes on by the monotonic clock until an operator confirms it, or the engine restarts.

Invariant: a reading is never lower than the one before, and at most JUMP_MAX_NS ahead of what the
monotonic clock allows. (The log takes the maximum of this and its last entry's time, which may be
from before this start.)
"""

import time
from collections.abc import Callable
from typing import Final

from fairbook.core.units import NS_PER_SECOND

JUMP_MAX_NS: Final = 60 * NS_PER_SECOND

# It counts the time that the machine sleeps, as the wall clock does: waking up is not a jump.
_CLOCK_WITH_SLEEP: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def monotonic_ns() -> int:
    """Nanoseconds since a fixed moment, including the time that the machine sleeps."""
    return time.clock_gettime_ns(_CLOCK_WITH_SLEEP)


class Clock:
    """Log time for one sequencer. Not thread-safe."""

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        elapsed_ns: Callable[[], int] = monotonic_ns,
    ) -> None:
        """wall_ns: nanoseconds since 1970; elapsed_ns: since any fixed moment, never decreasing."""
        self._wall_ns = wall_ns
        self._elapsed_ns = elapsed_ns
        self._time_ns = 0
        self._at_ns = 0
        self.jump_ns = 0
        """By how much the wall clock is ahead of log time; 0 while it is trusted."""
        self.confirm()

    def now_ns(self) -> int:
        """Nanoseconds since 1970, never less than before."""
        wall_ns = self._wall_ns()
        if wall_ns <= self._time_ns:
            self.jump_ns = 0
            return self._time_ns
        elapsed_ns = self._elapsed_ns()
        expected_ns = self._time_ns + elapsed_ns - self._at_ns
        if wall_ns - expected_ns > JUMP_MAX_NS:
            self.jump_ns = wall_ns - expected_ns
            self._time_ns = expected_ns
        else:
            self.jump_ns = 0
            self._time_ns = wall_ns
        self._at_ns = elapsed_ns
        return self._time_ns

    def confirm(self) -> None:
        """An operator says that the wall clock is right: trust it, however far ahead it is."""
        self._time_ns = max(self._time_ns, self._wall_ns())
        self._at_ns = self._elapsed_ns()
        self.jump_ns = 0
