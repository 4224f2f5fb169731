"""The last 24 hours of one market.

Design: the trades of each second are one record in a queue; seconds that leave the window are
subtracted from the totals. The highest and lowest price are searched again, minute by minute, only
when a second leaves that had one of them.

Invariants:
- at second t a trade of second s counts while s > t - 86,400, and the totals are exact at every t;
- a market keeps at most 86,400 records of 80 bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from struct import Struct
from typing import Final, NamedTuple

from fairbook.candles.bars import DAY_S, Bar, RunningSecond

WINDOW_S: Final = DAY_S

# Second, first trade's id, trades, open, high, low; then lots and quote in two words each: the
# volume of a second may exceed 64 bits.
_RECORD: Final = Struct("<qqqqqqQQQQ")
_LOW: Final = (1 << 64) - 1


class Totals(NamedTuple):
    """Of 24 hours: prices in ticks, `lots`, `quote` in atoms, the number of trades."""

    first: int
    last: int
    high: int
    low: int
    lots: int
    quote: int
    trades: int


class _MinuteRange:
    """The highest and lowest price of a minute; too wide after one of its seconds has left."""

    __slots__ = ("minute", "high", "low")

    def __init__(self, minute: int, high: int, low: int) -> None:
        self.minute = minute
        self.high = high
        self.low = low


class _Window:
    """Seconds that have ended, oldest first, and their totals."""

    def __init__(self) -> None:
        self.high = self.low = 0  # valid while `trades` is not 0
        self.lots = self.quote = self.trades = 0
        self._records = bytearray()
        self._minutes: deque[_MinuteRange] = deque()

    def first(self) -> int:
        """The oldest price. There must be one."""
        return int(_RECORD.unpack_from(self._records)[3])

    def push(self, bars: Iterable[Bar]) -> None:
        """Add the newest seconds, by rising start."""
        records = self._records
        minutes = self._minutes
        for bar in bars:
            lots, quote, high, low = bar.lots, bar.quote, bar.high, bar.low
            records += _RECORD.pack(
                bar.start_s, bar.first_id, bar.trades, bar.open, high, low,
                lots & _LOW, lots >> 64, quote & _LOW, quote >> 64,
            )  # fmt: skip
            self.lots += lots
            self.quote += quote
            self.trades += bar.trades
            minute = bar.start_s // 60
            newest = minutes[-1] if minutes else None
            if newest is None:
                self.high, self.low = high, low
            if newest is None or newest.minute != minute:
                newest = _MinuteRange(minute, high, low)
                minutes.append(newest)
            if high > newest.high:
                newest.high = high
            if low < newest.low:
                newest.low = low
            if high > self.high:
                self.high = high
            if low < self.low:
                self.low = low

    def expire(self, until_s: int) -> None:
        """Drop the seconds up to and including this one."""
        records = self._records
        if not records or _RECORD.unpack_from(records)[0] > until_s:
            return
        if _RECORD.unpack_from(records, len(records) - _RECORD.size)[0] <= until_s:
            self.lots = self.quote = self.trades = 0
            records.clear()
            self._minutes.clear()
            return
        at = 0
        has_extreme = False  # whether a second that leaves had the highest or lowest price
        while True:
            record = _RECORD.unpack_from(records, at)
            second_s, _, trades, _, high, low = record[:6]
            lots, lots_high, quote, quote_high = record[6:]
            if second_s > until_s:
                break
            at += _RECORD.size
            self.trades -= trades
            self.lots -= lots | lots_high << 64
            self.quote -= quote | quote_high << 64
            has_extreme = has_extreme or high == self.high or low == self.low
        del records[:at]
        while self._minutes[0].minute < second_s // 60:
            self._minutes.popleft()
        if has_extreme:
            self._find_extremes()

    def bars(self) -> Iterator[Bar]:
        """The seconds. Their close is not kept: the open stands in its place."""
        for record in _RECORD.iter_unpack(self._records):
            second_s, first_id, trades, first, high, low = record[:6]
            lots, lots_high, quote, quote_high = record[6:]
            yield Bar(
                second_s, open=first, high=high, low=low, close=first,
                lots=lots | lots_high << 64, quote=quote | quote_high << 64, trades=trades,
                first_id=first_id, last_id=first_id + trades - 1,  # ids are dense
            )  # fmt: skip

    def _find_extremes(self) -> None:
        oldest = self._minutes[0]
        oldest.high = 0
        at = 0
        while at < len(self._records):
            second_s, _, _, _, high, low = _RECORD.unpack_from(self._records, at)[:6]
            if second_s // 60 != oldest.minute:
                break
            if oldest.high == 0:
                oldest.low = low
            oldest.high = max(oldest.high, high)
            oldest.low = min(oldest.low, low)
            at += _RECORD.size
        self.high = max([minute.high for minute in self._minutes])
        self.low = min([minute.low for minute in self._minutes])


class RollingTicker(RunningSecond):
    """The last 24 hours of one market, up to the last call."""

    def __init__(self) -> None:
        super().__init__()
        self._window = _Window()  # the seconds before the running one
        self._last: int | None = None  # the last price before it

    def advance(self, time_ns: int) -> None:
        """Move log time on."""
        if time_ns >= self._end_ns:
            self._next_second(time_ns)

    def backfill(self, bars: Iterable[Bar]) -> None:
        """Add one-second bars of trades before the first live one, by rising start. Those that have
        left the window only give the last price. To be called after `advance`.
        """
        assert self._second_s >= 0, "advance() first: the running second is not known"
        running = [] if self._second is None else [self._second]
        seen, self._window = self._window, _Window()
        newest: Bar | None = None

        def ended() -> Iterator[Bar]:
            """All seconds but the newest."""
            nonlocal newest
            for bar in chain(bars, seen.bars(), running):
                if bar.trades == 0:
                    continue
                if newest is not None and newest.start_s == bar.start_s:
                    newest = newest.copy()  # a second that was partly live
                    newest.join(bar)
                    continue
                if newest is not None:
                    yield newest
                newest = bar

        self._window.push(ended())
        if newest is None:
            return
        if newest.start_s >= self._second_s:
            self._second = newest.copy()
        else:
            self._window.push((newest,))
            if self._last is None:
                self._last = newest.close
        self._window.expire(self._second_s - WINDOW_S)

    def totals(self) -> Totals | None:
        """The window as of the last call; None before the market's first trade."""
        second = self._second
        window = self._window
        last = self._last
        if second is None:
            if last is None:
                return None
            if window.trades == 0:
                return Totals(last, last, last, last, 0, 0, 0)
            return Totals(
                window.first(), last, window.high, window.low, window.lots, window.quote,
                window.trades,
            )  # fmt: skip
        has_more = window.trades > 0
        return Totals(
            window.first() if has_more else second.open,
            second.close,
            max(window.high, second.high) if has_more else second.high,
            min(window.low, second.low) if has_more else second.low,
            window.lots + second.lots,
            window.quote + second.quote,
            window.trades + second.trades,
        )

    def _end_second(self, bar: Bar | None, now_s: int) -> None:
        if bar is not None:
            self._last = bar.close
            self._window.push((bar,))
        self._window.expire(now_s - WINDOW_S)
