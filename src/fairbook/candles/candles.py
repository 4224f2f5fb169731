"""Candles of one market: bars of trades over stretches of time.

How it works: a bar knows the first and the last trade in it, so bars join in any order, and open
and close go by trade id, never by time. Only the running second is touched by a trade; the running
minute takes it over when it has ended, longer bars take over whole minutes.

Always true:
- a bar is final once log time has reached its end, and never changes after;
- every interval but `1s` is made of whole minutes, every one but `1s` and `1m` of whole bars of
  some shorter one; weeks begin on Monday, `3d` counts from 1970-01-01; all of it in UTC.

Not here: where old bars are kept (history), what they look like to clients.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from fairbook.core.units import NS_PER_SECOND

INTERVALS: Final = (
    "1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w",
    "1month",
)  # fmt: skip
QUIET_BARS_MAX: Final = 1_000
"""Of one stretch without trades, `advance` returns at most this many bars of each interval."""
GAPLESS_BARS_MAX: Final = 1_000

_ENDED_MAX: Final = 2 * len(INTERVALS) * QUIET_BARS_MAX
_DAY_S: Final = 86_400
_MONTH: Final = "1month"
_WEEK_OFFSET_S: Final = 3 * _DAY_S  # 1970-01-01 was a Thursday.
_LENGTH_S: Final = {
    "1s": 1, "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1_800, "1h": 3_600, "2h": 7_200,
    "4h": 14_400, "6h": 21_600, "8h": 28_800, "12h": 43_200, "1d": _DAY_S, "3d": 3 * _DAY_S,
    "1w": 7 * _DAY_S,
}  # fmt: skip


def bucket_start(interval: str, time_s: int) -> int:
    """Where the bucket of an interval begins that a second is in.

    Both in seconds since 1970 (UTC), up to the year 2262, where log time ends.
    """
    if interval == _MONTH:
        now = datetime.fromtimestamp(time_s, UTC)
        return int(datetime(now.year, now.month, 1, tzinfo=UTC).timestamp())
    length_s = _LENGTH_S[interval]
    if interval == "1w":
        return time_s - (time_s + _WEEK_OFFSET_S) % length_s
    return time_s - time_s % length_s


def bucket_end(interval: str, start_s: int) -> int:
    """Where the next bucket begins, after the one that begins at `start_s`."""
    if interval == _MONTH:
        start = datetime.fromtimestamp(start_s, UTC)
        year, month = (start.year + 1, 1) if start.month == 12 else (start.year, start.month + 1)
        return int(datetime(year, month, 1, tzinfo=UTC).timestamp())
    return start_s + _LENGTH_S[interval]


class Bar:
    """Trades of one stretch of time: prices in ticks, `lots`, `quote` in atoms."""

    __slots__ = (
        "start_s", "open", "high", "low", "close", "lots", "quote", "trades", "first_id", "last_id",
    )  # fmt: skip

    def __init__(self, start_s: int, *, trade_id: int, price: int, lots: int, quote: int) -> None:
        """The bar of one trade. start_s: where its bucket begins, in seconds since 1970."""
        self.start_s = start_s
        self.open = self.high = self.low = self.close = price
        self.lots = lots
        self.quote = quote
        self.trades = 1
        self.first_id = self.last_id = trade_id

    @classmethod
    def flat(cls, start_s: int, price: int) -> Bar:
        """A bar without trades, at the close of the one before it."""
        bar = cls(start_s, trade_id=0, price=price, lots=0, quote=0)
        bar.trades = 0
        return bar

    @classmethod
    def restored(
        cls,
        start_s: int,
        *,
        open: int,
        high: int,
        low: int,
        close: int,
        lots: int,
        quote: int,
        trades: int,
        first_id: int,
        last_id: int,
    ) -> Bar:
        """A bar as it was stored."""
        bar = cls(start_s, trade_id=first_id, price=open, lots=lots, quote=quote)
        bar.high = high
        bar.low = low
        bar.close = close
        bar.trades = trades
        bar.last_id = last_id
        return bar

    def add(self, trade_id: int, price: int, lots: int, quote: int) -> None:
        """Take in one trade of the bar's stretch, in any order."""
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
        """Take in the trades of another bar, in any order; the two share none."""
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

    def copy(self) -> Bar:
        """The same bar, to be changed by itself."""
        return self._moved(self.start_s)

    def _moved(self, start_s: int) -> Bar:
        return Bar.restored(
            start_s,
            open=self.open,
            high=self.high,
            low=self.low,
            close=self.close,
            lots=self.lots,
            quote=self.quote,
            trades=self.trades,
            first_id=self.first_id,
            last_id=self.last_id,
        )

    def _fields(self) -> tuple[int, ...]:
        return (
            self.start_s, self.open, self.high, self.low, self.close, self.lots, self.quote,
            self.trades, self.first_id, self.last_id,
        )  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bar) and self._fields() == other._fields()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        names = ", ".join(f"{name}={getattr(self, name)}" for name in self.__slots__)
        return f"Bar({names})"


class _Running:
    """The running bucket of one interval."""

    __slots__ = ("interval", "start_s", "end_s", "bar")

    def __init__(self, interval: str, time_s: int) -> None:
        self.interval = interval
        self.start_s = bucket_start(interval, time_s)
        self.end_s = bucket_end(interval, self.start_s)
        self.bar: Bar | None = None
        """The trades in it that no shorter running bucket has; None: there are none."""

    def join(self, bar: Bar | None) -> None:
        """Take over what a shorter bucket had."""
        if bar is None:
            return
        if self.bar is None:
            self.bar = bar._moved(self.start_s)
        else:
            self.bar.join(bar)


class Candles:
    """The running bars of one market, in every interval. Times of calls never decrease."""

    def __init__(self) -> None:
        self._second_s = -1  # Unknown before the first call.
        self._end_ns = 0  # Where the running second ends.
        self._second: Bar | None = None  # None: no trade in it yet.
        self._longer: list[_Running] = []  # By length; [0] is the minute.
        self._close: int | None = None  # Before the running second.
        self._close_id = -1
        self._ended: deque[tuple[str, Bar]] = deque(maxlen=_ENDED_MAX)

    def trade(self, time_ns: int, trade_id: int, price: int, lots: int, quote: int) -> None:
        """Take in one trade, at log time."""
        if time_ns >= self._end_ns:
            self._turn(time_ns // NS_PER_SECOND)
        bar = self._second
        if bar is None:
            self._second = Bar(
                self._second_s, trade_id=trade_id, price=price, lots=lots, quote=quote
            )
        else:
            bar.add(trade_id, price, lots, quote)

    def advance(self, time_ns: int) -> list[tuple[str, Bar]]:
        """Let log time pass; return (interval, bar) of what has ended since the last call.

        The bars are final, and the caller's; shorter intervals come first, in each the bars by
        rising start, those without trades included, as far as QUIET_BARS_MAX goes (then the newest
        of them). To be called before the trades of a time; whoever does not loses the oldest bars.
        """
        if time_ns >= self._end_ns:
            self._turn(time_ns // NS_PER_SECOND)
        ended = list(self._ended)
        self._ended.clear()
        return ended

    def current(self, interval: str) -> Bar | None:
        """The running bar as of the last call, as a copy: flat if there is no trade in it, None
        before the market's first trade.
        """
        if not self._longer:
            return None
        if interval == "1s":
            bar = self._second
            if bar is not None:
                return bar.copy()
            return None if self._close is None else Bar.flat(self._second_s, self._close)
        minute = self._longer[0]
        bucket = next(bucket for bucket in self._longer if bucket.interval == interval)
        parts = (bucket.bar, None if bucket is minute else minute.bar, self._second)
        found: Bar | None = None
        for part in parts:
            if part is None:
                continue
            if found is None:
                found = part._moved(bucket.start_s)
            else:
                found.join(part)
        if found is None and self._close is not None:
            return Bar.flat(bucket.start_s, self._close)
        return found

    def adopt(self, bars: Iterable[Bar]) -> None:
        """Take in bars of trades before the first one that was seen live.

        They come in any order and no trade is in two of them; what is older than the running
        buckets is passed over, but for the price. A bar counts in each running bucket in which it
        begins: so trades of the running second must come in one-second bars, those of the running
        minute in bars of a minute or less, those of the running day in bars of a day or less, and
        none in longer ones. To be called after `advance`, which says what runs. What ended before
        this call stays as it was.
        """
        assert self._longer, "advance() first: which buckets run is not known"
        minute = self._longer[0]
        for bar in bars:
            if bar.trades == 0:
                continue
            if bar.last_id > self._close_id:
                self._close_id = bar.last_id
                self._close = bar.close
            if bar.start_s >= self._second_s:
                if self._second is None:
                    self._second = bar._moved(self._second_s)
                else:
                    self._second.join(bar)
            elif bar.start_s >= minute.start_s:
                minute.join(bar)
            else:
                for bucket in self._longer[1:]:
                    if bar.start_s >= bucket.start_s:
                        bucket.join(bar)

    def _turn(self, now_s: int) -> None:
        """Begin a new second, and whatever begins with it."""
        if not self._longer:
            self._longer = [_Running(interval, now_s) for interval in INTERVALS[1:]]
        else:
            self._end(now_s)
        self._second_s = now_s
        self._end_ns = (now_s + 1) * NS_PER_SECOND

    def _end(self, now_s: int) -> None:
        """End the running second, and whatever ends by `now_s`."""
        second, self._second = self._second, None
        if second is not None and second.last_id > self._close_id:
            self._close_id = second.last_id
            self._close = second.close
        minute = self._longer[0]
        minute.join(second)
        self._append("1s", second, start_s=self._second_s, now_s=now_s)
        if now_s < minute.end_s:
            return
        for bucket in self._longer[1:]:
            bucket.join(minute.bar)
        for place, bucket in enumerate(self._longer):
            if now_s >= bucket.end_s:
                running = _Running(bucket.interval, now_s)
                self._longer[place] = running
                self._append(
                    bucket.interval, bucket.bar, start_s=bucket.start_s, now_s=running.start_s
                )

    def _append(self, interval: str, bar: Bar | None, *, start_s: int, now_s: int) -> None:
        """Put the bar that began at `start_s` and has ended, and the flat ones after it that ended
        by `now_s`, with what `advance` returns.
        """
        close = self._close
        if close is None:
            return  # No trade ever.
        self._ended.append((interval, bar or Bar.flat(start_s, close)))
        start_s = bucket_end(interval, start_s)
        if interval != _MONTH:
            start_s = max(start_s, now_s - QUIET_BARS_MAX * _LENGTH_S[interval])
        while start_s < now_s:
            self._ended.append((interval, Bar.flat(start_s, close)))
            start_s = bucket_end(interval, start_s)


def gapless(
    bars: Iterable[Bar],
    interval: str,
    *,
    start_s: int,
    end_s: int,
    close: int | None,
    bars_max: int = GAPLESS_BARS_MAX,
) -> list[Bar]:
    """The series of an interval over all buckets that begin in [start_s, end_s], both included:
    the earliest `bars_max` of them, empty ones filled with flat bars at the close before.

    bars: those with trades that begin in the range, by rising start. close: of the last trade
    before the range, None if there was none: then the series begins with the first of `bars`.
    """
    found: list[Bar] = []
    at = bucket_start(interval, start_s)
    if at < start_s:
        at = bucket_end(interval, at)
    for bar in bars:
        if close is None:
            at = bar.start_s
        while at < bar.start_s and close is not None and len(found) < bars_max:
            found.append(Bar.flat(at, close))
            at = bucket_end(interval, at)
        if len(found) >= bars_max:
            return found
        found.append(bar)
        close = bar.close
        at = bucket_end(interval, bar.start_s)
    while close is not None and at <= end_s and len(found) < bars_max:
        found.append(Bar.flat(at, close))
        at = bucket_end(interval, at)
    return found
