"""Candles equal those recomputed from the list of trades, in every interval."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairbook.candles.bars import INTERVALS, Bar, bucket_end, bucket_start, gapless
from fairbook.candles.candles import QUIET_BARS_MAX, Candles
from tests.candles.market import (
    SECOND_NS,
    Trade,
    bar_of,
    feed,
    naive_bars,
    naive_start,
    seconds,
    walk,
)

LOG_TIME_END_S = (2**63 - 1) // SECOND_NS


@given(interval=st.sampled_from(INTERVALS), time_s=st.integers(0, LOG_TIME_END_S))
@settings(max_examples=500, deadline=None)
def test_every_second_is_in_exactly_one_bucket(interval: str, time_s: int) -> None:
    start_s = bucket_start(interval, time_s)
    end_s = bucket_end(interval, start_s)
    assert start_s <= time_s < end_s
    assert bucket_start(interval, end_s - 1) == start_s
    assert bucket_start(interval, end_s) == end_s
    assert start_s == naive_start(interval, time_s)


@pytest.mark.parametrize(
    ("interval", "time", "start", "end"),
    [
        ("1month", "2024-02-29T23:59:59", "2024-02-01", "2024-03-01"),
        ("1month", "2023-02-28T23:59:59", "2023-02-01", "2023-03-01"),
        ("1month", "2100-02-28T12:00:00", "2100-02-01", "2100-03-01"),  # No leap year.
        ("1month", "2024-12-31T23:59:59", "2024-12-01", "2025-01-01"),
        ("1w", "2024-03-03T23:59:59", "2024-02-26", "2024-03-04"),  # Monday to Sunday.
        ("1w", "2024-03-04T00:00:00", "2024-03-04", "2024-03-11"),
        ("1w", "1970-01-01T00:00:00", "1969-12-29", "1970-01-05"),
        ("3d", "1970-01-03T23:59:59", "1970-01-01", "1970-01-04"),
        ("1d", "2024-02-29T00:00:00", "2024-02-29", "2024-03-01"),
        ("8h", "2024-02-29T15:59:59", "2024-02-29T08:00", "2024-02-29T16:00"),
    ],
)
def test_buckets_follow_the_calendar(interval: str, time: str, start: str, end: str) -> None:
    assert bucket_start(interval, seconds(time)) == seconds(start)
    assert bucket_end(interval, seconds(start)) == seconds(end)


def ended_and_running(trades: list[Trade], end_ns: int) -> dict[str, dict[int, Bar]]:
    """All bars of one pass over the trades; none may be returned twice."""
    candles = Candles()
    found: dict[str, dict[int, Bar]] = {interval: {} for interval in INTERVALS}

    def take(time_ns: int) -> None:
        for interval, bar in candles.advance(time_ns):
            assert bar.start_s not in found[interval]
            assert bucket_end(interval, bar.start_s) * SECOND_NS <= time_ns
            found[interval][bar.start_s] = bar

    for trade in trades:
        take(trade.time_ns)
        feed(candles, trade)
    take(end_ns)
    for interval in INTERVALS:
        running = candles.current(interval)
        assert running is not None
        assert running.start_s not in found[interval]
        found[interval][running.start_s] = running
    return found


def assert_series(found: dict[str, dict[int, Bar]], trades: list[Trade]) -> None:
    """Bars with trades are right, and there are flat bars at the previous close between them."""
    for interval, bars in found.items():
        expected = naive_bars(trades, interval)
        assert {start_s: bar for start_s, bar in bars.items() if bar.trades} == expected, interval
        ordered = [bars[start_s] for start_s in sorted(bars)]
        assert list(bars.values()) == ordered, "by rising start"
        for before, bar in pairwise(ordered):
            assert bar.start_s == bucket_end(interval, before.start_s), interval
            if bar.trades == 0:
                assert bar == Bar.flat(bar.start_s, before.close)


@pytest.mark.parametrize("seed", range(4))
def test_a_busy_market_with_equal_timestamps(seed: int) -> None:
    """Many trades share a time; a few of the gaps are minutes."""
    trades = walk(
        Random(seed),
        start_s=seconds("2024-02-29T23:55:00"),
        trades=4_000,
        gap_ns=lambda chance: chance.choice(
            (0, 0, 0, 1, 10**8, 10**9, chance.randint(0, 9 * 10**10))
        ),
    )
    assert_series(ended_and_running(trades, trades[-1].time_ns), trades)


@pytest.mark.parametrize("seed", range(4))
def test_a_market_with_few_trades(seed: int) -> None:
    """Gaps of up to 15 minutes, and a quiet end: every flat bar is returned."""
    chance = Random(seed)
    trades = walk(
        chance,
        start_s=seconds("2023-12-31T20:00:00") + chance.randint(0, 7_200),
        trades=60,
        gap_ns=lambda chance: chance.randint(0, 900 * SECOND_NS),
    )
    assert_series(ended_and_running(trades, trades[-1].time_ns + 600 * SECOND_NS), trades)


def test_every_interval_over_half_a_year() -> None:
    """The gaps are so long that only the newest flat bars of short intervals are returned."""
    trades = walk(
        Random(7),
        start_s=seconds("2024-01-30T07:00:00"),
        trades=220,
        gap_ns=lambda chance: chance.randint(0, 100_000 * SECOND_NS),
    )
    found = ended_and_running(trades, trades[-1].time_ns)
    for interval in INTERVALS:
        expected = naive_bars(trades, interval)
        assert {s: bar for s, bar in found[interval].items() if bar.trades} == expected
    assert len(found["1month"]) >= 4


def test_trades_alone_advance_time() -> None:
    """One call of `advance` at the end returns all ended bars."""
    trades = walk(
        Random(9), start_s=seconds("2024-05-01T00:00:00"), trades=300,
        gap_ns=lambda chance: chance.randint(0, 8 * SECOND_NS),
    )  # fmt: skip
    expected = ended_and_running(trades, trades[-1].time_ns)
    candles = Candles()
    for trade in trades:
        feed(candles, trade)
    found = [(interval, bar) for interval, bar in candles.advance(trades[-1].time_ns)]
    assert len(found) == sum(len(bars) - 1 for bars in expected.values())
    for interval, bar in found:
        assert expected[interval][bar.start_s] == bar


def test_an_hour_is_made_of_its_minutes() -> None:
    """bar(5m) is the aggregate of its five 1m bars, and so on up."""
    trades = walk(
        Random(3), start_s=seconds("2024-05-01T00:00:00"), trades=5_000,
        gap_ns=lambda chance: chance.randint(0, 4 * SECOND_NS),
    )  # fmt: skip
    found = ended_and_running(trades, trades[-1].time_ns)
    for shorter, longer in (("1s", "1m"), ("1m", "3m"), ("1m", "5m"), ("5m", "15m"), ("15m", "1h")):
        for start_s, bar in found[longer].items():
            parts = [
                part.copy()
                for at, part in found[shorter].items()
                if start_s <= at < bucket_end(longer, start_s)
            ]
            Random(start_s).shuffle(parts)
            whole = parts[0]
            for part in parts[1:]:
                whole.join(part)
            whole.start_s = start_s
            assert whole == bar


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_bars_join_in_any_order(data: st.DataObject) -> None:
    """Open and close go by id, whatever the order of trades and of parts."""
    trades = walk(Random(data.draw(st.integers(0, 999))), start_s=60, trades=12, gap_ns=lambda _: 0)
    shuffled = data.draw(st.permutations(trades))
    parts: list[list[Trade]] = [[], [], []]
    for trade in shuffled:
        parts[data.draw(st.integers(0, 2))].append(trade)
    joined = Bar.flat(60, 999)
    for part in parts:
        bar = Bar.flat(60, 5)
        for _, trade_id, price, lots, quote in part:
            bar.add(trade_id, price, lots, quote)
        joined.join(bar)
    assert joined == bar_of(trades, 60)
    copied = joined.copy()
    assert copied == joined
    copied.add(99, 1, 1, 1)
    assert copied != joined


def test_a_bar_is_final_and_current_ones_are_copies() -> None:
    """A returned bar is not changed by later trades."""
    candles = Candles()
    candles.advance(0)
    candles.trade(10 * SECOND_NS, 1, 100, 5, 500)
    running = {interval: candles.current(interval) for interval in INTERVALS}
    before = repr(running)
    ended = candles.advance(60 * SECOND_NS)
    shown = repr(ended)
    candles.trade(60 * SECOND_NS, 2, 900, 5, 500)
    candles.trade(61 * SECOND_NS, 3, 800, 5, 500)
    candles.advance(3_600 * SECOND_NS)
    assert repr(running) == before
    assert repr(ended) == shown


def test_before_the_first_trade_there_is_nothing() -> None:
    candles = Candles()
    assert candles.current("1m") is None
    assert candles.advance(0) == []
    assert candles.advance(10**18) == []
    assert [candles.current(interval) for interval in INTERVALS] == [None] * len(INTERVALS)


def test_a_long_pause_gives_the_newest_flat_bars_only() -> None:
    """A log without trades for five years does not fill the memory."""
    start_s = seconds("2020-01-01T00:00:30")
    candles = Candles()
    candles.trade(start_s * SECOND_NS, 1, 100, 5, 500)
    now_s = seconds("2025-01-01T00:00:00")
    ended = candles.advance(now_s * SECOND_NS)
    counts = Counter(interval for interval, _ in ended)
    assert counts["1s"] == counts["1m"] == counts["4h"] == QUIET_BARS_MAX + 1
    assert counts["1month"] == 60
    for interval in INTERVALS:
        starts = [bar.start_s for name, bar in ended if name == interval]
        assert starts[0] == bucket_start(interval, start_s)
        assert bucket_end(interval, starts[-1]) == bucket_start(interval, now_s)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shape", ["seconds", "minutes", "days", "trades", "mixed"])
def test_backfilled_bars_are_joined(seed: int, shape: str) -> None:
    """Whatever bars the older trades come in, and however many trades were seen live before them,
    the running bars that are no shorter are those of all trades.
    """
    chance = Random(seed)
    trades = walk(
        chance,
        start_s=seconds("2024-02-26T10:00:00"),
        trades=2_500,
        gap_ns=lambda chance: chance.choice((0, 10**9, chance.randint(0, 400 * SECOND_NS))),
    )
    cut = len(trades) - chance.choice((0, 1, 30))
    older, live = trades[:cut], trades[cut:]
    loaded_s = older[-1].time_ns // SECOND_NS
    candles = Candles()
    candles.advance(older[-1].time_ns)
    for trade in live[: len(live) // 2]:
        candles.advance(trade.time_ns)
        feed(candles, trade)
    bars = list(_stored(older, shape, loaded_s))
    chance.shuffle(bars)
    candles.backfill(bars)
    for trade in live[len(live) // 2 :]:
        candles.advance(trade.time_ns)
        feed(candles, trade)
    now_s = trades[-1].time_ns // SECOND_NS
    shortest = {"minutes": "1m", "days": "1d"}.get(shape, "1s")
    for interval in INTERVALS[INTERVALS.index(shortest) :]:
        expected = naive_bars(trades, interval)[naive_start(interval, now_s)]
        assert candles.current(interval) == expected, interval


def _stored(trades: list[Trade], shape: str, now_s: int) -> list[Bar]:
    """Trades as bars that do not overlap. `mixed`: each of the largest interval that ended."""
    if shape == "trades":
        return [bar_of([trade], trade.time_ns // SECOND_NS) for trade in trades]
    interval = {"seconds": "1s", "minutes": "1m", "days": "1d"}.get(shape)
    if interval is not None:
        return list(naive_bars(trades, interval).values())
    buckets: dict[tuple[str, int], list[Trade]] = {}
    for trade in trades:
        time_s = trade.time_ns // SECOND_NS
        of = next(
            (
                name
                for name in ("1d", "1h", "5m", "1m")
                if bucket_end(name, bucket_start(name, time_s)) <= now_s
            ),
            "1s",
        )
        buckets.setdefault((of, bucket_start(of, time_s)), []).append(trade)
    return [bar_of(found, start_s) for (_, start_s), found in buckets.items()]


def test_a_backfilled_close_is_the_price_of_quiet_buckets() -> None:
    """After a start in a quiet market the running bars are flat at the last older price."""
    candles = Candles()
    now_s = seconds("2024-03-04T12:00:00")
    candles.advance(now_s * SECOND_NS)
    old = [
        Bar.of_trade(now_s - day * 86_400, trade_id=90 - day, price=day, lots=1, quote=1)
        for day in (40, 41)
    ]
    candles.backfill(old)
    for interval in INTERVALS:
        assert candles.current(interval) == Bar.flat(bucket_start(interval, now_s), 40)
    ended = candles.advance((now_s + 60) * SECOND_NS)
    assert ("1m", Bar.flat(now_s, 40)) in ended


def test_gapless_fills_empty_buckets() -> None:
    bars = [bar_of([Trade(0, 1, 7, 1, 1)], 120), bar_of([Trade(0, 2, 9, 1, 1)], 300)]
    flat = Bar.flat

    def series(start_s: int, end_s: int, close: int | None, bars_max: int = 100) -> list[Bar]:
        held = [bar for bar in bars if start_s <= bar.start_s <= end_s]
        return gapless(held, "1m", start_s=start_s, end_s=end_s, close=close, bars_max=bars_max)

    middle = [bars[0], flat(180, 7), flat(240, 7), bars[1]]
    assert series(0, 300, None) == middle
    assert series(60, 420, 5) == [flat(60, 5), *middle, flat(360, 9), flat(420, 9)]
    assert series(1, 301, 5) == [flat(60, 5), *middle]
    assert series(130, 250, 7) == [flat(180, 7), flat(240, 7)]
    assert series(0, 300, 5, bars_max=1) == [flat(0, 5)]
    assert series(0, 300, None, bars_max=2) == middle[:2]
    assert series(0, 300, None, bars_max=4) == middle
    assert series(400, 800, None) == []
    assert series(500, 400, 5) == []


def test_a_gapless_series_of_months() -> None:
    start_s, end_s = seconds("2023-11-01"), seconds("2024-03-15")
    found = gapless([], "1month", start_s=start_s, end_s=end_s, close=3, bars_max=99)
    assert [bar.start_s for bar in found] == [
        seconds(text)
        for text in ("2023-11-01", "2023-12-01", "2024-01-01", "2024-02-01", "2024-03-01")
    ]
