"""Clocks of tests: a clock that a test sets, and a clock that runs fast, with its event loop."""

import asyncio
import selectors
import time


class ManualClock:
    """Wall time in nanoseconds that only `advance` changes."""

    def __init__(self, now_ns: int = 0) -> None:
        self.now_ns = now_ns

    def ns(self) -> int:
        return self.now_ns

    def ms(self) -> int:
        return self.now_ns // 1_000_000

    def advance(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1_000_000_000)


class FastClock:
    """Wall time that runs `speed` times as fast as the system's, for log time and event loops."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._start_ns = time.time_ns()
        self._start_s = time.monotonic()

    def seconds(self) -> float:
        return (time.monotonic() - self._start_s) * self.speed

    def ns(self) -> int:
        return self._start_ns + int(self.seconds() * 1e9)

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """A loop with this time: timers end sooner, I/O takes as long as ever."""
        return _FastLoop(self)


class _FastSelector(selectors.DefaultSelector):
    def __init__(self, speed: float) -> None:
        super().__init__()
        self._speed = speed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout / self._speed)


class _FastLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: FastClock) -> None:
        super().__init__(_FastSelector(clock.speed))
        self._fast_clock = clock

    def time(self) -> float:
        return self._fast_clock.seconds()
