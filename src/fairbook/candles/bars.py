"""Bars: the trades of one market in one bucket of time, and how time is cut into buckets.

Invariants:
- a bar knows its first and last trade id, so bars join in any order; open and close go by trade id;
- every interval but `1s` is made of whole minutes, every one but `1s` and `1m` of whole bars of a
  shorter one; weeks begin on Monday, `3d` counts from 1970-01-01; all in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from fairbook.core.units import NS_PER_SECOND

DAY_S: Final = 86_400
MONTH: Final = "1month"
LENGTH_S: Final = {
    "1s": 1, "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1_800, "1h": 3_600, "2h": 7_200,
    "4h": 14_400, "6h": 21_600, "8h": 28_800, "12h": 43_200, "1d": DAY_S, "3d": 3 * DAY_S,
    "1w": 7 * DAY_S,
}  # fmt: skip
INTERVALS: Final = (*LENGTH_S, MONTH)
_WEEK_OFFSET_S: Final = 3 * DAY_S  # 1970-01-01 was a Thursday.


def bucket_start(interval: str, time_s: int) -> int:
    """The start of the interval's bucket that contains a second; both since 1970 (UTC)."""
    if interval == MONTH:
        now = datetime.fromtimestamp(time_s, UTC)
        return int(datetime(now.year, now.month, 1, tzinfo=UTC).timestamp())
    length_s = LENGTH_S[interval]
    if interval == "1w":
        return time_s - (time_s + _WEEK_OFFSET_S) % length_s
    return time_s - time_s % length_s


def bucket_end(interval: str, start_s: int) -> int:
    """The end of the bucket that starts at `start_s`, which is where the next one starts."""
    if interval == MONTH:
        start = datetime.fromtimestamp(start_s, UTC)
        year, month = (start.year + 1, 1) if start.month == 12 else (start.year, start.month + 1)
        return int(datetime(year, month, 1, tzinfo=UTC).timestamp())
    return start_s + LENGTH_S[interval]


@dataclass(slots=True)
class Bar:
    """The trades of one bucket: prices in ticks, `lots`, `quote` in atoms."""

    start_s: int  # of the bucket, since 1970
    open: int
    high: int
    low: int
    close: int
    lots: int
    quote: int
    trades: int
    first_id: int
    last_id: int

    @classmethod
    def of_trade(cls, start_s: int, *, trade_id: int, price: int, lots: int, quote: int) -> Bar:
        return cls(start_s, price, price, price, price, lots, quote, 1, trade_id, trade_id)

    @classmethod
    def flat(cls, start_s: int, price: int) -> Bar:
        """A bar without trades, at the close of the one before it."""
        return cls(start_s, price, price, price, price, 0, 0, 0, 0, 0)

    def add(self, trade_id: int, price: int, lots: int, quote: int) -> None:
        """Add one trade of the bucket, in any order."""
        if self.trades == 0:
            self.open = self.high = self.low = self.close = price
            self.first_id = self.last_id = trade_id
        elif trade_id > self.last_id:
            self.last_id = trade_id
            self.close = price
        elif trade_id < self.first_id:
            self.first_id = trade_id
            self.open = price
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.lots += lots
        self.quote += quote
        self.trades += 1

    def join(self, other: Bar) -> None:
        """Add the trades of another bar, in any order; the two share none."""
        if other.trades == 0:
            return
        if self.trades == 0:
            self.open, self.close = other.open, other.close
            self.high, self.low = other.high, other.low
            self.first_id, self.last_id = other.first_id, other.last_id
        else:
            if other.last_id > self.last_id:
                self.last_id = other.last_id
                self.close = other.close
            if other.first_id < self.first_id:
                self.first_id = other.first_id
                self.open = other.open
            self.high = max(self.high, other.high)
            self.low = min(self.low, other.low)
        self.lots += other.lots
        self.quote += other.quote
        self.trades += other.trades

    def copy(self, start_s: int | None = None) -> Bar:
        """A copy, of the bucket at `start_s` if given."""
        return replace(self, start_s=self.start_s if start_s is None else start_s)


class RunningSecond:
    """Collects the trades of the running second of log time. Times of calls never decrease."""

    def __init__(self) -> None:
        self._second_s = -1  # unknown before the first call
        self._end_ns = 0  # of the running second
        self._second: Bar | None = None  # None: no trade in it yet

    def trade(self, time_ns: int, trade_id: int, price: int, lots: int, quote: int) -> None:
        """Add one trade, at log time. Ids are dense."""
        if time_ns >= self._end_ns:
            self._next_second(time_ns)
        bar = self._second
        if bar is None:
            self._second = Bar.of_trade(
                self._second_s, trade_id=trade_id, price=price, lots=lots, quote=quote
            )
        else:
            bar.add(trade_id, price, lots, quote)

    def _next_second(self, time_ns: int) -> None:
        now_s = time_ns // NS_PER_SECOND
        bar, self._second = self._second, None
        self._end_second(bar, now_s)
        self._second_s = now_s
        self._end_ns = (now_s + 1) * NS_PER_SECOND

    def _end_second(self, bar: Bar | None, now_s: int) -> None:
        """Process the second that has ended, which is still `_second_s`; `now_s` begins."""
        raise NotImplementedError


def gapless(
    bars: Iterable[Bar],
    interval: str,
    *,
    start_s: int,
    end_s: int,
    close: int | None,
    bars_max: int,
) -> list[Bar]:
    """The earliest `bars_max` bars of all buckets that start in [start_s, end_s], with flat bars at
    the previous close where there are no trades.

    bars: those with trades that start in the range, by rising start. close: of the last trade
    before the range; None if there was none: the series then begins with the first of `bars`.
    """
    traded = {bar.start_s: bar for bar in bars}
    # The first bucket that starts at or after `start_s`.
    at = bucket_end(interval, bucket_start(interval, start_s - 1))
    if close is None:
        at = min(traded, default=end_s + 1)
        close = 0  # not used: the first bar has trades
    found: list[Bar] = []
    while at <= end_s and len(found) < bars_max:
        bar = traded.get(at) or Bar.flat(at, close)
        found.append(bar)
        close = bar.close
        at = bucket_end(interval, at)
    return found
