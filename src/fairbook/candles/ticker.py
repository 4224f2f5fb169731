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
from dataclasses import dataclass
from itertools import chain, takewhile
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

    @classmethod
    def of(cls, bar: Bar) -> Totals:
        return cls(bar.open, bar.close, bar.high, bar.low, bar.lots, bar.quote, bar.trades)


NO_TRADES: Final = Totals(first=0, last=0, high=0, low=0, lots=0, quote=0, trades=0)


@dataclass(slots=True)
class _MinuteRange:
    """The highest and lowest price of a minute; too wide after one of its seconds has left."""

    minute: int
    high: int
    low: int


class _Window:
    """Seconds that have ended, oldest first, and their totals."""

    def __init__(self) -> None:
        self.high = self.low = 0  # valid while `trades` is not 0
        self.lots = self.quote = self.trades = 0
        self._records = bytearray()
        self._minutes: deque[_MinuteRange] = deque()

    def first(self) -> int:
        """The oldest price. There must be one."""
        return self._bar_at(0).open

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
            newest.high = max(newest.high, high)
            newest.low = min(newest.low, low)
            self.high = max(self.high, high)
            self.low = min(self.low, low)

    def expire(self, until_s: int) -> None:
        """Drop the seconds up to and including this one."""
        records = self._records
        if not records or self._bar_at(0).start_s > until_s:
            return
        if self._bar_at(len(records) - _RECORD.size).start_s <= until_s:
            self.lots = self.quote = self.trades = 0
            records.clear()
            self._minutes.clear()
            return
        at = 0
        has_extreme = False  # whether a second that leaves had the highest or lowest price
        while (bar := self._bar_at(at)).start_s <= until_s:
            at += _RECORD.size
            self.trades -= bar.trades
            self.lots -= bar.lots
            self.quote -= bar.quote
            has_extreme = has_extreme or bar.high == self.high or bar.low == self.low
        del records[:at]
        while self._minutes[0].minute < bar.start_s // 60:
            self._minutes.popleft()
        if has_extreme:
            self._find_extremes()

    def bars(self) -> Iterator[Bar]:
        return map(self._bar_at, range(0, len(self._records), _RECORD.size))

    def _bar_at(self, offset: int) -> Bar:
        """The second of one record. Its close is not kept: the open stands in its place."""
        second_s, first_id, trades, first, high, low, *volumes = _RECORD.unpack_from(
            self._records, offset
        )
        lots, lots_high, quote, quote_high = volumes
        return Bar(
            second_s, open=first, high=high, low=low, close=first,
            lots=lots | lots_high << 64, quote=quote | quote_high << 64, trades=trades,
            first_id=first_id, last_id=first_id + trades - 1,  # ids are dense
        )  # fmt: skip

    def _find_extremes(self) -> None:
        oldest = self._minutes[0]
        bars = list(takewhile(lambda bar: bar.start_s // 60 == oldest.minute, self.bars()))
        oldest.high = max([bar.high for bar in bars])
        oldest.low = min([bar.low for bar in bars])
        self.high = max([minute.high for minute in self._minutes])
        self.low = min([minute.low for minute in self._minutes])


class RollingTicker(RunningSecond):
    """The last 24 hours of one market, up to the last call."""

    def __init__(self) -> None:
        super().__init__()
        self._window = _Window()  # the seconds before the running one
        self._last: int | None = None  # the last price before it

    def advance(self, time_ns: int) -> None:
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
        if second is None:
            if self._last is None:
                return None
            second = Bar.flat(self._second_s, self._last)
        window = self._window
        if not window.trades:
            return Totals.of(second)
        return Totals(
            window.first(),
            second.close,
            max(window.high, second.high),
            min(window.low, second.low),
            window.lots + second.lots,
            window.quote + second.quote,
            window.trades + second.trades,
        )

    def _end_second(self, bar: Bar | None, now_s: int) -> None:
        if bar is not None:
            self._last = bar.close
            self._window.push((bar,))
        self._window.expire(now_s - WINDOW_S)
