"""Results equal those of the reference model; queries are limited and do not block."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from pathlib import Path

import pytest

from fairbook.candles.bars import INTERVALS, Bar
from fairbook.history.sqlite_bars import fewest_bars
from fairbook.history.sqlite_history import SqliteHistory
from fairbook.history.sqlite_pool import ReadConnection, ReadPool
from fairbook.history.sqlite_store import FILE_NAME, SqliteStore, bar_row, move_aside
from fairbook.history.store import LENGTHS_S, RowBatch
from fairbook.log.command_log import GENESIS_CHAIN
from fairbook.ports.history import MONEY_IN, MONEY_OUT, HistoryBehind, Page, Span
from tests.history.recorded_history import START_NS, NeverBehind, RecordedHistory, asked
from tests.world import naive_history

MARKETS = (1, 2, 3, 4)
OTHER_MOVEMENTS = tuple({*range(8)} - {*MONEY_IN, *MONEY_OUT})
ACCOUNTS = (0, 1, 2, 3, 4, 5, 6, 99)


def past_of(directory: Path, seed: int, frames: int = 700) -> RecordedHistory:
    past = RecordedHistory(directory, seed)
    past.play(frames)
    past.store.close()
    return past


@pytest.mark.parametrize("seed", range(2))
def test_klines_equal_the_model(tmp_path: Path, seed: int) -> None:
    """All intervals, any range, in pages."""
    past = past_of(tmp_path, seed)
    chance = random.Random(seed)
    now_s = past.naive.time_ns // 10**9
    asks: list[tuple[int, str, int, int, int]] = []
    for interval in INTERVALS:
        for market in MARKETS:
            start_s = chance.choice((0, now_s, now_s - chance.randrange(10**6), START_NS // 10**9))
            end_s = chance.choice((2**40, now_s - chance.randrange(10**5), start_s))
            asks.append((market, interval, start_s, end_s, chance.choice((1, 7, 1000))))
            asks.append((market, interval, 0, 2**40, 1000))

    async def ask(history: SqliteHistory) -> int:
        bars = 0
        for market, interval, start_s, end_s, bars_max in asks:
            limits = {"start_s": start_s, "end_s": end_s, "bars_max": bars_max}
            found = await history.klines(market, interval, **limits)
            if interval == "1s" and len(past.naive.market(market)) > 0 and start_s > START_NS:
                continue  # Millions of seconds, one by one.
            assert found == past.naive.klines(market, interval, **limits), (interval, limits)
            bars += len(found)
        return bars

    assert past.ask(ask) > 5_000


def test_the_newest_candle_runs_until_log_time(tmp_path: Path) -> None:
    """Also without a trade, and it is the last one."""
    past = RecordedHistory(tmp_path, 4)
    past.play(300)
    past._time_ns += 3 * 86_400 * 10**9 + 17
    past.frame(b"")
    past.commit()
    past.store.close()
    now_s = past.naive.time_ns // 10**9
    for interval in ("1m", "1h", "1month"):
        begin_s, end_s = naive_history.bucket(interval, now_s)
        limits = {"start_s": begin_s - 9 * (end_s - begin_s), "end_s": 2**60, "bars_max": 10_000}
        bars = list(past.ask(lambda history: history.klines(1, interval, **limits)))  # noqa: B023
        assert bars == past.naive.klines(1, interval, **limits)
        assert bars[-1].start_s == begin_s
        assert (bars[-1].trades > 0) == (interval == "1month")


@pytest.mark.parametrize("seed", range(2))
def test_the_ticker_covers_24_hours(tmp_path: Path, seed: int) -> None:
    """At whatever second the recording ends."""
    past = RecordedHistory(tmp_path, seed)
    for _ in range(12):
        past.play(60)
        for market in MARKETS:
            found = past.ask(lambda history: history.ticker(market))  # noqa: B023
            assert found == past.naive.ticker(market)
    past.store.close()


def test_the_window_of_the_ticker_is_exact_to_a_second(tmp_path: Path) -> None:
    """A trade counts for exactly 86,400 seconds."""
    past = RecordedHistory(tmp_path, 5)
    past.play(200)
    first = past.naive.market(1)[0].time_ns // 10**9
    for second in (86_399, 86_400, 86_401):
        past._time_ns = max((first + second) * 10**9, past._time_ns)
        past.frame(b"")
        past.commit()
        assert past.ask(lambda history: history.ticker(1)) == past.naive.ticker(1)
    past.store.close()


@pytest.mark.parametrize("seed", range(2))
def test_bars_up_to_a_trade_contain_every_trade_once(tmp_path: Path, seed: int) -> None:
    """Long bars in the middle, short ones at the ends, none beyond the trade."""
    past = past_of(tmp_path, seed)
    chance = random.Random(seed)
    for market in (1, 2):
        trades = past.naive.market(market)
        for last in chance.sample(trades, 12):
            last_s = last.time_ns // 10**9
            since_s = last_s - chance.choice((0, 50, 5_000, 200_000, 10**9))

            async def ask(history: SqliteHistory) -> tuple[list[Bar], list[Bar]]:
                limits = {"since_s": since_s, "trade_id_max": last.trade_id}  # noqa: B023
                bars = await history.bars(market, **limits)  # noqa: B023
                return bars, await history.seconds(market, **limits)  # noqa: B023

            bars, seconds = past.ask(ask)
            expected = [
                trade
                for trade in trades[: last.trade_id]
                if trade.time_ns // 10**9 >= min(since_s, last_s)
            ]
            for found in (bars, seconds):
                assert [bar.start_s for bar in found] == sorted(bar.start_s for bar in found)
                total = found[0].copy()
                for bar in found[1:]:
                    assert bar.first_id == total.last_id + 1
                    total.join(bar)
                assert total == naive_history.joined(total.start_s, expected, 0)
                assert found[-1].start_s == last_s
            assert all(seconds[at].start_s < seconds[at + 1].start_s for at in range(len(bars) - 1))
            assert len(bars) <= 2 * (59 + 14 + 3 + 23) + (last_s - since_s) // 86_400
            assert len(bars) <= len(seconds)


def test_bars_up_to_trade_0_and_to_an_unknown_trade(tmp_path: Path) -> None:
    past = past_of(tmp_path, 3, 300)
    ids = len(past.naive.market(1))
    assert past.ask(lambda history: history.bars(1, since_s=0, trade_id_max=0)) == []
    assert len(past.ask(lambda history: history.bars(1, since_s=2**40, trade_id_max=ids))) == 1
    with pytest.raises(HistoryBehind, match="not recorded"):
        past.ask(lambda history: history.seconds(1, since_s=0, trade_id_max=ids + 1))


def test_ranges_are_covered_once_by_the_fewest_bars() -> None:
    """By available lengths, with no neighbours that a longer bar could replace."""
    chance = random.Random(1)
    for _ in range(300):
        from_s = chance.randrange(400_000)
        to_s = from_s + chance.randrange(10 ** chance.randrange(1, 7))
        at = from_s
        for length_s, begin_s, end_s in fewest_bars(from_s, to_s):
            assert begin_s == at < end_s
            assert begin_s % length_s == end_s % length_s == 0
            longer = [each for each in LENGTHS_S if each > length_s]
            assert not longer or -(-begin_s // longer[0]) * longer[0] + longer[0] > end_s
            at = end_s
        assert at == to_s
    assert list(fewest_bars(5, 5)) == list(fewest_bars(9, 5)) == []


def test_volumes_beyond_64_bits(tmp_path: Path) -> None:
    """Bars add up exactly, in the store and when read."""
    store = SqliteStore(tmp_path / FILE_NAME)
    big = 2**62
    for number in range(10):
        bar = Bar.of_trade(
            60, trade_id=number + 1, price=5, lots=big - number, quote=3 * big + number
        )
        rows = RowBatch(bars=[bar_row(1, length_s, bar) for length_s in (1, 60)])
        store.write(rows, position=number + 1, time_ns=100 * 10**9, chain=GENESIS_CHAIN)
    store.close()
    for interval in ("1s", "1m"):
        limits = {"start_s": 60, "end_s": 60, "bars_max": 1}
        (bar,) = asked(tmp_path, lambda history: history.klines(1, interval, **limits))  # noqa: B023
        assert bar.lots == 10 * big - 45
        assert bar.quote == 30 * big + 45


EVERYTHING = Page(10**6)
OLDEST_FIRST = Page(10**6, oldest_first=True)


def test_trades_in_pages_newest_or_oldest_first(tmp_path: Path) -> None:
    past = past_of(tmp_path, 1)
    newest_first = past.naive.market(1)[::-1]
    for limit, offset in ((10, 0), (3, 5), (1000, 0), (1000, len(newest_first) - 2), (5, 10**9)):
        for oldest_first, trades in ((False, newest_first), (True, newest_first[::-1])):
            page = Page(limit, offset, oldest_first)
            found = past.ask(lambda history: history.trades(1, page))  # noqa: B023
            assert found == trades[offset : offset + limit]
    assert past.ask(lambda history: history.trades(77, Page(5))) == []


def test_orders_by_account_market_and_ids(tmp_path: Path) -> None:
    """In pages, newest or oldest first."""
    past = past_of(tmp_path, 2)
    every = [past.naive.orders[order_id] for order_id in sorted(past.naive.orders)]
    chance = random.Random(2)

    async def ask(history: SqliteHistory) -> None:
        for account in ACCOUNTS:
            own = [order for order in every if order.account == account]
            for market in (0, *MARKETS):
                these = [order for order in own if market in (0, order.market)]
                limit, offset = chance.choice((1, 5, 1000)), chance.choice((0, 0, 1, 7))
                falling, rising = [
                    await history.orders(account, Page(limit, offset, way), market=market)
                    for way in (False, True)
                ]
                assert falling == these[::-1][offset : offset + limit]
                assert rising == these[offset : offset + limit]
            for order in [*own[:5], every[0]]:
                mine = [order] if order.account == account else []
                assert await history.orders(account, Page(9), order_id=order.order_id) == mine
            for client_id in {order.client_id for order in own}:
                found = await history.orders(account, Page(1000), client_id=client_id)
                assert found == [
                    order for order in own[::-1] if order.flags & 1 and order.client_id == client_id
                ]
            for text in {order.client_text for order in own if order.client_text is not None}:
                found = await history.orders(account, Page(1000), client_id=text)
                assert found == [order for order in own[::-1] if order.client_text == text] != []

    past.ask(ask)


def test_fills_are_the_sides_of_trades(tmp_path: Path) -> None:
    """By account, market, order, time; in pages, newest or oldest first."""
    past = past_of(tmp_path, 3)
    times = sorted({trade.time_ns for trade in past.naive.trades})
    early_ns, late_ns = times[len(times) // 4], times[3 * len(times) // 4]

    async def ask(history: SqliteHistory) -> int:
        seen = 0
        for account in ACCOUNTS:
            own = past.naive.fills(account)
            seen += len(own)
            assert await history.fills(account, EVERYTHING) == own[::-1]
            assert await history.fills(account, OLDEST_FIRST) == own
            assert await history.fills(account, Page(3, 2)) == own[::-1][2:5]
            for market in MARKETS:
                these = [fill for fill in own if fill.market == market]
                assert await history.fills(account, EVERYTHING, market=market) == these[::-1]
            within = [fill for fill in own if early_ns <= fill.time_ns <= late_ns]
            span = Span(early_ns, late_ns)
            assert await history.fills(account, OLDEST_FIRST, span=span) == within
            for order_id in {fill.order_id for fill in own[::7]}:
                these = [fill for fill in own if fill.order_id == order_id]
                assert await history.fills(account, Page(99), order_id=order_id) == these[::-1]
                these = [fill for fill in within if fill.order_id == order_id]
                found = await history.fills(account, Page(99), span=span, order_id=order_id)
                assert found == these[::-1]
                assert await history.fills(account + 1, Page(99), order_id=order_id) == [
                    fill for fill in past.naive.fills(account + 1)[::-1]
                    if fill.order_id == order_id
                ]  # fmt: skip
        return seen

    assert past.ask(ask) == 2 * len(past.naive.trades)


def test_transfers_in_and_out(tmp_path: Path) -> None:
    past = past_of(tmp_path, 4)
    middle_ns = past.naive.transfers[len(past.naive.transfers) // 2].time_ns

    async def ask(history: SqliteHistory) -> int:
        seen = 0
        for account in ACCOUNTS:
            for some in (MONEY_IN, MONEY_OUT, OTHER_MOVEMENTS):
                own = [
                    each
                    for each in past.naive.transfers[::-1]
                    if each.account == account and each.movement in some
                ]
                seen += len(own)
                assert await history.transfers(account, EVERYTHING, movements=some) == own
                rising = await history.transfers(account, OLDEST_FIRST, movements=some)
                assert rising == own[::-1]
                assert await history.transfers(account, Page(2, 1), movements=some) == own[1:3]
                for reference in {each.reference for each in own} | {bytes(16)}:
                    found = await history.transfers(
                        account, Page(9), movements=some, reference=reference
                    )
                    assert found == [each for each in own if each.reference == reference]
                until = await history.transfers(
                    account, EVERYTHING, movements=some, span=Span(to_ns=middle_ns)
                )
                assert until == [each for each in own if each.time_ns <= middle_ns]
        return seen

    assert past.ask(ask) == len(past.naive.transfers)


def test_before_anything_is_recorded(tmp_path: Path) -> None:
    """HistoryBehind without a file; empty results from an empty one."""
    with pytest.raises(HistoryBehind, match="nothing is recorded"):
        asked(tmp_path, lambda history: history.trades(1, Page(5)))
    SqliteStore(tmp_path / FILE_NAME).close()

    async def ask(history: SqliteHistory) -> None:
        assert await history.trades(1, Page(5)) == []
        assert await history.klines(1, "1m", start_s=0, end_s=2**40, bars_max=5) == []
        assert await history.ticker(1) is None
        assert await history.fills(2, Page(5)) == []

    asked(tmp_path, ask)


def test_a_replaced_store_is_opened_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A damaged replacement is reported, and logged once."""
    past = RecordedHistory(tmp_path, 6)
    past.play(200)

    async def ask(history: SqliteHistory) -> None:
        assert len(await history.trades(1, Page(1))) == 1
        past.store.close()
        aside = move_aside(tmp_path / FILE_NAME)
        store = SqliteStore(tmp_path / FILE_NAME)
        assert await history.trades(1, Page(1)) == []
        store.close()
        assert await history.ticker(1) is None
        assert aside.exists()
        move_aside(tmp_path / FILE_NAME)
        (tmp_path / FILE_NAME).write_bytes(b"damaged" * 1000)
        for _ in range(3):
            with pytest.raises(HistoryBehind, match="not a database"):
                await history.trades(1, Page(1))

    asked(tmp_path, ask)
    assert [record.getMessage() for record in caplog.records] == [
        "history cannot be read: file is not a database"
    ]


def test_a_store_that_is_far_behind_is_not_read(tmp_path: Path) -> None:
    """By log time, so that a store that is being rebuilt is not taken for current."""
    past = past_of(tmp_path, 6, 100)
    trade_id = len(past.naive.market(1))
    minute_ns = 60 * 10**9

    async def main() -> None:
        engine = NeverBehind(past.naive.time_ns + minute_ns)
        history = SqliteHistory(tmp_path / FILE_NAME, engine)
        assert await history.trades(1, Page(1))
        engine.time_ns += 10**9
        with pytest.raises(HistoryBehind, match="61 s behind"):
            await history.trades(1, Page(1))
        with pytest.raises(HistoryBehind, match="61 s behind"):
            await history.klines(1, "1m", start_s=0, end_s=1, bars_max=1)
        with pytest.raises(HistoryBehind, match="61 s behind"):
            await history.ticker(1)
        # Bars up to a given trade are complete or refused, so age does not matter.
        assert await history.bars(1, since_s=0, trade_id_max=trade_id)
        await history.close()

    asyncio.run(main())


def test_a_store_with_less_than_was_committed_is_not_read(tmp_path: Path) -> None:
    """An older copy in its place would make a withdrawal seem not to have happened."""
    past = past_of(tmp_path, 6, 100)

    async def main() -> None:
        recorded = NeverBehind(past.naive.time_ns)
        recorded.committed = past.naive.position
        history = SqliteHistory(tmp_path / FILE_NAME, recorded)
        assert await history.trades(1, Page(1))
        recorded.committed += 1
        for question in (
            history.trades(1, Page(1)),
            history.orders(2, Page(1)),
            history.fills(2, Page(1)),
            history.transfers(2, Page(1), movements=MONEY_OUT),
            history.klines(1, "1m", start_s=0, end_s=1, bars_max=1),
            history.ticker(1),
        ):
            with pytest.raises(HistoryBehind, match="not the one"):
                await question
        await history.close()

    asyncio.run(main())


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def test_queries_are_limited_in_number_and_time(tmp_path: Path) -> None:
    """A cancelled query is interrupted."""
    past_of(tmp_path, 6, 50)

    async def main() -> None:
        pool = ReadPool(tmp_path / FILE_NAME, queries_max=5, query_s=0.3)
        endless = [
            asyncio.ensure_future(pool.read(lambda reader: reader.row(ENDLESS))) for _ in range(5)
        ]
        await asyncio.sleep(0)  # all five are queued
        with pytest.raises(HistoryBehind, match="too many"):
            await pool.read(lambda reader: reader.row("SELECT 1"))
        endless[0].cancel()
        for query in endless[1:]:
            with pytest.raises(HistoryBehind, match="too long"):
                await query
        assert endless[0].cancelled()
        assert await pool.read(lambda reader: reader.row("SELECT 1")) == (1,)
        await pool.close()

    asyncio.run(main())


def test_a_query_cannot_write(tmp_path: Path) -> None:
    past_of(tmp_path, 6, 50)

    async def main() -> None:
        pool = ReadPool(tmp_path / FILE_NAME)
        with pytest.raises(HistoryBehind, match="readonly"):
            await pool.read(lambda reader: reader.row("DELETE FROM trades"))
        await pool.close()

    asyncio.run(main())


def test_reading_while_writing(tmp_path: Path) -> None:
    """Every result is of one moment: never half a transaction, never back in time."""
    past = RecordedHistory(tmp_path, 13)
    past.play(100)
    is_done = threading.Event()

    def question(reader: ReadConnection) -> tuple[int, int, int]:
        (position,) = reader.row("SELECT position FROM place")
        (bars,) = reader.row("SELECT coalesce(sum(trades), 0) FROM bars WHERE length_s = 1")
        (trades,) = reader.row("SELECT count(*) FROM trades")
        return position, bars, trades

    async def read() -> int:
        pool = ReadPool(tmp_path / FILE_NAME)
        before, asked = 0, 0
        while not is_done.is_set():
            position, bars, trades = await pool.read(question)
            assert bars == trades
            assert position >= before
            before = position
            asked += 1
        await pool.close()
        return asked

    asked: list[int] = []
    reader = threading.Thread(target=lambda: asked.append(asyncio.run(read())))
    reader.start()
    try:
        deadline = time.monotonic() + 20
        for _ in range(40):
            past.play(20)
            assert time.monotonic() < deadline
    finally:
        is_done.set()
        reader.join()
    past.store.close()
    assert asked and asked[0] >= 5
