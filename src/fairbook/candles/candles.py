"""The running candles of one market, in every interval.

Design: a trade touches the running second alone. When that has ended, the running minute takes it
over; longer intervals take over whole minutes.

Invariant: a bar is final once log time has reached its end.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from fairbook.candles.bars import INTERVALS, LENGTH_S, Bar, RunningSecond, bucket_end, bucket_start

QUIET_BARS_MAX: Final = 1_000  # of one interval and one stretch without trades, from `advance`
_ENDED_MAX: Final = 2 * len(INTERVALS) * QUIET_BARS_MAX


class _RunningBucket:
    """The running bucket of one interval."""

    __slots__ = ("interval", "start_s", "end_s", "bar")

    def __init__(self, interval: str, time_s: int) -> None:
        self.interval = interval
        self.start_s = bucket_start(interval, time_s)
        self.end_s = bucket_end(interval, self.start_s)
        self.bar: Bar | None = None  # its trades that are in no shorter running bucket, if any

    def join(self, bar: Bar | None) -> None:
        """Take over the trades of a shorter bucket."""
        if bar is None:
            return
        if self.bar is None:
            self.bar = bar.copy(self.start_s)
        else:
            self.bar.join(bar)


class Candles(RunningSecond):
    """The running bars of one market, in every interval."""

    def __init__(self) -> None:
        super().__init__()
        self._longer: list[_RunningBucket] = []  # by length; [0] is the minute
        self._close: int | None = None  # before the running second
        self._close_id = -1
        self._ended: deque[tuple[str, Bar]] = deque(maxlen=_ENDED_MAX)

    def advance(self, time_ns: int) -> list[tuple[str, Bar]]:
        """Move log time on; return (interval, bar) of what has ended since the last call.

        The bars are final, and the caller's own. Shorter intervals come first, each by rising
        start; bars without trades are included, the newest QUIET_BARS_MAX of them. To be called
        before the trades of a time, or the oldest ended bars are lost.
        """
        if time_ns >= self._end_ns:
            self._next_second(time_ns)
        ended = list(self._ended)
        self._ended.clear()
        return ended

    def current(self, interval: str) -> Bar | None:
        """A copy of the running bar: flat without trades, None before the market's first one."""
        if not self._longer:
            return None
        if interval == "1s":
            start_s, parts = self._second_s, [self._second]
        else:
            minute = self._longer[0]
            bucket = next(bucket for bucket in self._longer if bucket.interval == interval)
            start_s, parts = bucket.start_s, [bucket.bar, self._second]
            if bucket is not minute:
                parts.append(minute.bar)
        traded = [part for part in parts if part is not None]
        if not traded:
            return None if self._close is None else Bar.flat(start_s, self._close)
        found = traded[0].copy(start_s)
        for part in traded[1:]:
            found.join(part)
        return found

    def backfill(self, bars: Iterable[Bar]) -> None:
        """Add bars of trades before the first live one, in any order; no trade is in two of them.

        Bars older than the running buckets only give the last price. A bar counts in each running
        bucket in which it starts: so trades of the running second must come in one-second bars,
        those of the running minute in bars of a minute or less, those of the running day in bars of
        a day or less, and none in longer ones. To be called after `advance`, which decides what
        runs. Bars that have ended before this call stay as they were.
        """
        assert self._longer, "advance() first: the running buckets are not known"
        minute = self._longer[0]
        for bar in bars:
            if bar.trades == 0:
                continue
            self._set_close(bar)
            if bar.start_s >= self._second_s:
                if self._second is None:
                    self._second = bar.copy(self._second_s)
                else:
                    self._second.join(bar)
            elif bar.start_s >= minute.start_s:
                minute.join(bar)
            else:
                for bucket in self._longer[1:]:
                    if bar.start_s >= bucket.start_s:
                        bucket.join(bar)

    def _set_close(self, bar: Bar) -> None:
        if bar.last_id > self._close_id:
            self._close_id = bar.last_id
            self._close = bar.close

    def _end_second(self, bar: Bar | None, now_s: int) -> None:
        """End the running second, and every bucket that ends by `now_s`."""
        if not self._longer:
            self._longer = [_RunningBucket(interval, now_s) for interval in INTERVALS[1:]]
            return
        if bar is not None:
            self._set_close(bar)
        minute = self._longer[0]
        minute.join(bar)
        self._append("1s", bar, start_s=self._second_s, now_s=now_s)
        if now_s < minute.end_s:
            return
        for bucket in self._longer[1:]:
            bucket.join(minute.bar)
        for index, bucket in enumerate(self._longer):
            if now_s >= bucket.end_s:
                running = _RunningBucket(bucket.interval, now_s)
                self._longer[index] = running
                self._append(
                    bucket.interval, bucket.bar, start_s=bucket.start_s, now_s=running.start_s
                )

    def _append(self, interval: str, bar: Bar | None, *, start_s: int, now_s: int) -> None:
        """Queue the ended bar that began at `start_s`, and the flat ones until `now_s`."""
        close = self._close
        if close is None:
            return  # no trade ever
        self._ended.append((interval, bar or Bar.flat(start_s, close)))
        start_s = bucket_end(interval, start_s)
        if interval in LENGTH_S:
            start_s = max(start_s, now_s - QUIET_BARS_MAX * LENGTH_S[interval])
        while start_s < now_s:
            self._ended.append((interval, Bar.flat(start_s, close)))
            start_s = bucket_end(interval, start_s)
