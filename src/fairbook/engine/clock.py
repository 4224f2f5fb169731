"""The time that frames are stamped with: the wall clock, kept from jumping.

How it works: each reading is compared with the last one that moved on. The log itself never goes
back, so a wall clock that jumps back only freezes log time until it catches up. One that runs ahead
of the monotonic clock by more than a minute is not believed: time goes on by the monotonic clock
until a person confirms, or the engine is started anew.

Always true: a reading is at most `JUMP_MAX_NS` further on than the monotonic clock says it can be,
and never lower than the one before.

Not here: max() with the last entry's time, which is the log's (a log may hold times from before
this start).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from fairbook.core.units import NS_PER_SECOND

JUMP_MAX_NS: Final = 60 * NS_PER_SECOND

# The clock that counts time asleep: the wall clock does too, and waking up is not a jump.
_AWAKE_OR_ASLEEP: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def monotonic_ns() -> int:
    """Nanoseconds since some fixed moment, time asleep included."""
    return time.clock_gettime_ns(_AWAKE_OR_ASLEEP)


class Clock:
    """Log time for one sequencer. Not for several threads."""

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
        """By how much the wall clock is ahead of what is believed; 0 when it is believed."""
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
        """A person says that the wall clock is right: believe it, however far ahead."""
        self._time_ns = max(self._time_ns, self._wall_ns())
        self._at_ns = self._elapsed_ns()
        self.jump_ns = 0
