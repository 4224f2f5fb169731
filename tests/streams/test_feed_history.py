"""A feed that begins in the middle of a day: ticker and candles include the trades before."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple

import pytest

from fairbook.candles.bars import INTERVALS, Bar, bucket_start
from fairbook.core import admin_records
from fairbook.core.records import FILL, Fill, kind_at, next_at
from fairbook.ports.history import HistoryBehind
from tests.streams.feed_harness import ANN, BOB, MARKET, SECOND_NS, FeedHarness, buy, folded, sell

NAMES = ("ticker.SOL_USDC", *[f"kline.{interval}.SOL_USDC" for interval in INTERVALS])
LONGER = ("kline.1d", "kline.3d", "kline.1w", "kline.1month")
DAY_S = 86_400


class Trade(NamedTuple):
    trade_id: int
    time_s: int
    price: int
    lots: int


class Recorded:
    """TradeBars of recorded trades; `meanwhile` runs during each query."""

    def __init__(self) -> None:
        self.trades: list[Trade] = []
        self.meanwhile: Callable[[], Coroutine[Any, Any, None]] | None = None
        self.behind = 0
        """The number of queries that raise HistoryBehind."""

    def record(self, time_ns: int, events: bytes) -> None:
        at = 0
        while at < len(events):
            if kind_at(events, at) == FILL:
                fill = Fill(events, at)
                self.trades.append(
                    Trade(fill.trade_id, time_ns // SECOND_NS, fill.price, fill.lots)
                )
            at = next_at(events, at)

    async def seconds(self, market: int, *, since_s: int, trade_id_max: int) -> Sequence[Bar]:
        return await self._bars(market, "1s", since_s, trade_id_max)

    async def bars(self, market: int, *, since_s: int, trade_id_max: int) -> Sequence[Bar]:
        # A mix: days, the last of them in hours, and the last hour in minutes.
        days = await self._bars(market, "1d", since_s, trade_id_max)
        hours = await self._bars(market, "1h", max(since_s, days[-1].start_s), trade_id_max)
        minutes = await self._bars(market, "1m", max(since_s, hours[-1].start_s), trade_id_max)
        return [*days[:-1], *hours[:-1], *minutes]

    async def _bars(
        self, market: int, interval: str, since_s: int, trade_id_max: int
    ) -> Sequence[Bar]:
        assert market == MARKET
        if self.behind:
            self.behind -= 1
            raise HistoryBehind
        if self.meanwhile is not None:
            await self.meanwhile()
        made: dict[int, Bar] = {}
        for trade_id, time_s, price, lots in self.trades:
            if (time_s < since_s and trade_id < trade_id_max) or trade_id > trade_id_max:
                continue
            quote = price * lots * 100
            start_s = bucket_start(interval, time_s)
            if start_s in made:
                made[start_s].add(trade_id, price, lots, quote)
            else:
                made[start_s] = Bar.of_trade(
                    start_s, trade_id=trade_id, price=price, lots=lots, quote=quote
                )
        return list(made.values())


async def two_feeds(seed: int, *, quiet_s: int) -> None:
    """One feed has seen everything, the other begins after two days and a time without trades."""
    chance = random.Random(seed)
    old = FeedHarness()
    recorded = Recorded()

    def trade() -> list[bytes]:
        price = 10_000 + chance.randrange(-50, 51)
        lots = chance.randrange(1, 100)
        return [sell(ANN, price, lots), buy(BOB, price, lots)]

    for _ in range(2 * 24 * 20):
        commands = trade() if chance.random() < 0.7 else [admin_records.tick()]
        events = await old.run(*commands, seconds=chance.randrange(300))
        recorded.record(old.time_ns, events)
    await old.run(admin_records.tick(), seconds=quiet_s)

    new = FeedHarness(old.exchange)
    for name in NAMES:
        await new.join(name)

    async def both(*commands: bytes, seconds: float) -> None:
        events = await old.run(*commands, seconds=seconds)
        new.time_ns = old.time_ns
        new.feed.on_frame(0, old.time_ns, b"", events)
        await folded(new.feed)
        recorded.record(old.time_ns, events)

    if not quiet_s:
        await both(*trade(), seconds=0.1)  # In the second of the last unseen trade.
    if quiet_s < 2 * DAY_S:
        recorded.meanwhile = lambda: both(*trade(), seconds=chance.randrange(3))
    recorded.behind = 2
    for _ in range(2):
        with pytest.raises(HistoryBehind):
            await new.feed.backfill(recorded)
    for _ in range(2):  # The second one finds nothing missing.
        await new.feed.backfill(recorded)
    recorded.meanwhile = None
    received = {}
    for name in NAMES:
        new.leave(name)
        received[name] = await old.join(name), await new.join(name)
    for step in range(80):
        for name, (received_old, received_new) in received.items():
            assert received_old == received_new, name
            received_old.clear()
            received_new.clear()
        commands = trade() if chance.random() < 0.5 else [admin_records.tick()]
        seconds = DAY_S if step == 40 else chance.choice((0.1, 1, 1, 60, 400))
        await both(*commands, seconds=seconds)


@pytest.mark.parametrize("quiet_s", [0, 100, DAY_S - 200, 2 * DAY_S, 60 * DAY_S])
def test_a_feed_that_begins_later_continues_like_one_that_saw_everything(quiet_s: int) -> None:
    """Trades that come while it loads are neither lost nor counted twice."""
    asyncio.run(two_feeds(quiet_s, quiet_s=quiet_s))


async def without_history(seed: int) -> None:
    """Two feeds again, and the second one gets no history."""
    chance = random.Random(seed)
    old = FeedHarness()

    def trade() -> list[bytes]:
        price = 10_000 + chance.randrange(-50, 51)
        return [sell(ANN, price, 1), buy(BOB, price, 1)]

    for _ in range(200):
        await old.run(*trade(), seconds=chance.randrange(300))
    new = FeedHarness(old.exchange)
    names = [name for name in NAMES if name != "kline.1s.SOL_USDC"]  # Too many.
    received = {name: (await old.join(name), await new.join(name)) for name in names}
    assert not any(received_new for _, received_new in received.values()), (
        "no initial message would be right"
    )
    for received_old, _ in received.values():
        received_old.clear()
    for _ in range(1_000):  # More than a day.
        commands = trade() if chance.random() < 0.5 else [admin_records.tick()]
        events = await old.run(*commands, seconds=chance.choice((0.1, 1, 1, 20, 600)))
        new.feed.on_frame(0, old.time_ns, b"", events)
        await folded(new.feed)
    for name, (received_old, received_new) in received.items():
        if not name.startswith("ticker"):
            received_old = [bar for bar in received_old if bar["X"]]
            received_new = [bar for bar in received_new if bar["X"]]
        if received_new:  # From some time on it has all that it publishes.
            assert received_old[-len(received_new) :] == received_new, name
        assert received_new or name.startswith(LONGER), name


@pytest.mark.parametrize("seed", [1, 2])
def test_without_history_nothing_unknown_is_published(seed: int) -> None:
    asyncio.run(without_history(seed))


async def test_a_market_without_trades_needs_no_history() -> None:
    harness = FeedHarness()
    await harness.feed.backfill(None)  # type: ignore[arg-type]
    assert (await harness.join("ticker.SOL_USDC"))[0]["n"] == 0
    assert await harness.join("kline.1m.SOL_USDC") == []
