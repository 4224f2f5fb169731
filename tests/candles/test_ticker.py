"""The window of 24 hours is exact at every second."""

from __future__ import annotations

from collections import deque
from random import Random

import pytest

from fairbook.candles.bars import Bar
from fairbook.candles.ticker import RollingTicker, Totals
from tests.candles.market import SECOND_NS, Trade, bar_of, feed, naive_totals, seconds, walk

START_S = seconds("2024-03-01T00:00:00")


class Window:
    """The reference model: all trades of the window in a queue."""

    def __init__(self) -> None:
        self.held: deque[Trade] = deque()
        self.found: Totals | None = None
        self.last = 0  # once the queue is empty

    def add(self, trade: Trade) -> None:
        self.held.append(trade)
        self.found = None

    def totals(self, now_s: int) -> Totals:
        last = self.held[-1].price if self.held else self.last
        while self.held and self.held[0].time_ns // SECOND_NS <= now_s - 86_400:
            self.last = self.held.popleft().price
            self.found = None
        if self.found is None:
            found = naive_totals(self.held, now_s)
            self.found = found or Totals(last, last, last, last, 0, 0, 0)
        return self.found


@pytest.mark.parametrize("seed", range(2))
def test_exact_at_every_second_of_thirty_hours(seed: int) -> None:
    """Busy hours, quiet hours, and a last hour without a trade."""
    trades = walk(
        Random(seed),
        start_s=START_S,
        trades=420,
        gap_ns=lambda chance: chance.choice((0, 10**8, chance.randint(0, 1_400 * SECOND_NS))),
        price=100_000,
    )
    ticker = RollingTicker()
    window = Window()
    waiting = deque(trades)
    for now_s in range(trades[0].time_ns // SECOND_NS, START_S + 30 * 3_600):
        ticker.advance(now_s * SECOND_NS)
        while waiting and waiting[0].time_ns // SECOND_NS == now_s:
            trade = waiting.popleft()
            feed(ticker, trade)
            window.add(trade)
        assert ticker.totals() == window.totals(now_s)
    assert not waiting or waiting[0].time_ns > (START_S + 30 * 3_600) * SECOND_NS - SECOND_NS


def test_a_trade_counts_for_exactly_a_day() -> None:
    ticker = RollingTicker()
    ticker.trade(START_S * SECOND_NS + 999_999_999, 1, 100, 5, 500)
    ticker.advance((START_S + 86_399) * SECOND_NS + 999_999_999)
    assert ticker.totals() == Totals(100, 100, 100, 100, 5, 500, 1)
    ticker.advance((START_S + 86_400) * SECOND_NS)
    assert ticker.totals() == Totals(100, 100, 100, 100, 0, 0, 0)
    ticker.trade((START_S + 90_000) * SECOND_NS, 2, 90, 1, 90)
    assert ticker.totals() == Totals(90, 90, 90, 90, 1, 90, 1)


def test_before_the_first_trade_there_is_nothing() -> None:
    ticker = RollingTicker()
    assert ticker.totals() is None
    ticker.advance(START_S * SECOND_NS)
    assert ticker.totals() is None


def test_falling_prices_all_day() -> None:
    """The worst case: every second that leaves had the highest price."""
    ticker = RollingTicker()
    for second in range(88_000):
        ticker.trade((START_S + second) * SECOND_NS, second + 1, 200_000 - second, 1, 1)
        if second % 997 == 0:
            oldest = max(0, second - 86_399)
            found = ticker.totals()
            assert found is not None
            assert (found.high, found.low) == (200_000 - oldest, 200_000 - second)
            assert found.trades == found.lots == second - oldest + 1


def test_volumes_beyond_64_bits() -> None:
    ticker = RollingTicker()
    for trade_id in range(1, 6):
        ticker.trade(START_S * SECOND_NS, trade_id, 1, 2**62 - 1, 2**62)
    ticker.advance((START_S + 1) * SECOND_NS)
    found = ticker.totals()
    assert found is not None
    assert (found.lots, found.quote) == (5 * (2**62 - 1), 5 * 2**62)
    ticker.advance((START_S + 86_401) * SECOND_NS)
    assert ticker.totals() == Totals(1, 1, 1, 1, 0, 0, 0)


@pytest.mark.parametrize("seed", range(8))
def test_backfilled_seconds_are_counted(seed: int) -> None:
    """Before or after the first live trades, also when a second is partly live."""
    chance = Random(seed)
    trades = walk(
        chance,
        start_s=START_S,
        trades=1_500,
        gap_ns=lambda chance: chance.choice((0, 0, 10**8, chance.randint(0, 250 * SECOND_NS))),
    )
    cut = len(trades) - chance.choice((0, 1, 2, 30))
    seen = cut + (len(trades) - cut) // 2
    ticker = RollingTicker()
    ticker.advance(trades[cut - 1].time_ns)
    for trade in trades[cut:seen]:
        feed(ticker, trade)
    ticker.backfill(_seconds(trades[:cut]))
    now_s = max(trades[seen - 1].time_ns, trades[cut - 1].time_ns) // SECOND_NS
    assert ticker.totals() == naive_totals(trades[:seen], now_s)
    for number, trade in enumerate(trades[seen:], start=seen + 1):
        feed(ticker, trade)
        assert ticker.totals() == naive_totals(trades[:number], trade.time_ns // SECOND_NS)
    for later_s in range(now_s, now_s + 100_000, 613):
        if later_s * SECOND_NS >= trades[-1].time_ns:
            ticker.advance(later_s * SECOND_NS)
            assert ticker.totals() == naive_totals(trades, later_s)


def test_a_backfilled_second_of_long_ago_is_the_last_price() -> None:
    ticker = RollingTicker()
    ticker.advance((START_S + 200_000) * SECOND_NS)
    ticker.backfill(
        [Bar.of_trade(START_S, trade_id=1, price=70, lots=1, quote=1), Bar.flat(START_S + 5, 3)]
    )
    assert ticker.totals() == Totals(70, 70, 70, 70, 0, 0, 0)


def _seconds(trades: list[Trade]) -> list[Bar]:
    held: dict[int, list[Trade]] = {}
    for trade in trades:
        held.setdefault(trade.time_ns // SECOND_NS, []).append(trade)
    return [bar_of(found, start_s) for start_s, found in held.items()]
