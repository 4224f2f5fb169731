"""The bot against the real gateway, streams and core: trading, its rate limit, and its end."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import fairbook
from fairbook.client.credentials import BearerToken
from fairbook.client.messages import NewOrder
from fairbook.client.rest import RestClient
from fairbook.core import admin_records
from fairbook.demo.demo_venue import demo_venue, market_plans
from fairbook.demo.maker.bot import Bot, CredentialsRefused
from fairbook.demo.maker.plan import MarketPlan
from tests.world.clock import FastClock
from tests.world.direct_exchange import DirectExchange, demo_exchange
from tests.world.memory_accounts import ALICE_TOKEN, BOB_TOKEN
from tests.world.running_exchange import HOST, RunningExchange, play_live, with_live_exchange
from tests.world.waiting import until

MAKER, TAKER = 2, 3
TOKENS = {"maker": ALICE_TOKEN, "taker": BOB_TOKEN}
MARKETS = (1, 2, 3)
PLANS = list(market_plans(demo_venue()))
QUICK = (MarketPlan("SOL_USDC", "140", move_ms=100, take_ms=200),)
SOURCE = Path(fairbook.__file__).parents[1]
SPEED = 4.0  # of the clocks of bot and exchange, where a test would only wait


def play_fast(story: Callable[[RunningExchange], Awaitable[Any]]) -> None:
    clock = FastClock(SPEED)
    play_live(story, lambda: demo_exchange(clock.ns), clock.new_event_loop)


@asynccontextmanager
async def running(bot: Bot) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(bot.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait((task,))
        if not task.cancelled():
            task.result()


def is_two_sided(exchange: DirectExchange, market: int) -> bool:
    bids, asks = exchange.core.depth(market, 1)
    return bool(bids and asks)


def trades(exchange: DirectExchange, market: int) -> int:
    return int(exchange.core.markets[market].last_trade_id)


def has_more_trades(exchange: DirectExchange, than: int) -> bool:
    return trades(exchange, 1) > than


def own(exchange: DirectExchange) -> int:
    return own_in(exchange, 0)


def own_in(exchange: DirectExchange, market: int) -> int:
    return len(exchange.core.open_orders(MAKER, market))


def test_all_markets_are_made() -> None:
    """The demo's own plans: two-sided, traded, moving; at most 20 commands in any second."""

    async def story(venue: RunningExchange) -> None:
        exchange = venue.exchange
        bot = Bot(venue.http_url, venue.ws_url, TOKENS, seed=1, plans=PLANS)
        best: dict[int, set[Any]] = {market: set() for market in MARKETS}
        began = len(exchange.received)
        async with running(bot):
            await until(
                lambda: all(is_two_sided(exchange, m) and trades(exchange, m) for m in MARKETS),
                within_s=5,
            )
            for _ in range(80):
                await asyncio.sleep(0.05)
                for market in MARKETS:
                    bids, asks = exchange.core.depth(market, 1)
                    assert bids[0][0] < asks[0][0]
                    best[market].add((bids[0], asks[0]))
        assert all(len(seen) >= 2 for seen in best.values())
        assert all(trades(exchange, market) >= 2 for market in MARKETS)
        times = [at_s for at_s, _ in exchange.received[began:]]
        assert len(times) == bot.commands + 1, "and one END_SESSION"
        busiest = max(sum(at <= t < at + 1 for t in times) for at in times)
        assert busiest <= 20
        await until(lambda: own(exchange) == 0)

    play_fast(story)


@with_live_exchange(demo_exchange)
async def test_earlier_orders_are_replaced(venue: RunningExchange) -> None:
    """Orders that were not placed on the connection (a ladder of the first start) are cancelled."""
    async with RestClient(venue.http_url, BearerToken(ALICE_TOKEN)) as rest:
        for step in range(10):
            for side, price in (("Bid", 130 - step), ("Ask", 150 + step)):
                await rest.place(
                    NewOrder(symbol="SOL_USDC", side=side, price=str(price), quantity="1")
                )
    ladder = {order.order_id for order in venue.exchange.core.open_orders(MAKER, 0)}
    async with running(Bot(venue.http_url, venue.ws_url, TOKENS, seed=2, plans=QUICK)):
        await until(lambda: trades(venue.exchange, 1) > 0)
        now = venue.exchange.core.open_orders(MAKER, 0)
        assert not ladder & {order.order_id for order in now}
        assert all(order.session for order in now)


def test_it_reconnects() -> None:
    async def story(venue: RunningExchange) -> None:
        exchange = venue.exchange
        async with running(Bot(venue.http_url, venue.ws_url, TOKENS, seed=3, plans=QUICK)):
            for _ in range(2):
                before = trades(exchange, 1)
                await until(partial(has_more_trades, exchange, before))
                for connection in list(venue.streams.connections):
                    connection.abort()
                await until(lambda: own(exchange) == 0)
            await venue.close()
            await venue.open()
            before = trades(exchange, 1)
            await until(lambda: is_two_sided(exchange, 1) and trades(exchange, 1) > before)

    play_fast(story)


class StallingProxy:
    """A TCP proxy that can stop forwarding without closing a connection."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.flows = asyncio.Event()
        self.flows.set()
        self.accepted = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "StallingProxy":
        self._server = await asyncio.start_server(self._accept, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        self.accepted += 1
        far, to_far = await asyncio.open_connection(HOST, self._to)
        for source, sink, stalls in ((near, to_far, False), (far, to_near, True)):
            task = asyncio.create_task(self._carry(source, sink, stalls))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, stalls: bool
    ) -> None:
        try:
            while part := await source.read(65_536):
                if stalls:
                    await self.flows.wait()
                sink.write(part)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()


def test_a_silent_feed_ends_the_connection() -> None:
    """Nothing is received on an open connection: its orders are cancelled, and it reconnects."""

    async def story(venue: RunningExchange) -> None:
        exchange = venue.exchange
        async with StallingProxy(venue.ws_port) as proxy:
            ws_url = f"ws://{HOST}:{proxy.port}/ws"
            bot = Bot(venue.http_url, ws_url, TOKENS, seed=4, plans=QUICK, stale_s=2.0)
            async with running(bot):
                await until(lambda: trades(exchange, 1) > 2)
                await asyncio.sleep(2.5)
                assert proxy.accepted == 1, "the feed was not stale"
                proxy.flows.clear()
                await until(lambda: own(exchange) == 0)
                proxy.flows.set()
                before = trades(exchange, 1)
                await until(lambda: own(exchange) > 0 and trades(exchange, 1) > before)
                assert proxy.accepted >= 2

    play_fast(story)


def test_a_market_that_is_closed_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """One market closes: it gets few commands, and the others go on. The log says so once, and when
    the market opens, it is made again.
    """
    caplog.set_level(logging.INFO, "fairbook.demo.maker")

    def logged(text: str) -> int:
        return sum(record.getMessage().startswith(text) for record in caplog.records)

    async def story(venue: RunningExchange) -> None:
        exchange = venue.exchange
        plans = [MarketPlan(p.symbol, p.anchor, move_ms=100, take_ms=200) for p in PLANS[:2]]
        bot = Bot(venue.http_url, venue.ws_url, TOKENS, seed=5, plans=plans, back_off_ms=1000)
        async with running(bot):
            await until(lambda: trades(exchange, 1) and trades(exchange, 2))
            state = admin_records.set_market(
                market=1, parameter=admin_records.STATE, value=admin_records.ONLY_CANCEL
            )
            exchange.do(state)
            began, before = len(exchange.received), trades(exchange, 2)
            await until(lambda: trades(exchange, 2) > before + 2)
            await until(lambda: own_in(exchange, 1) == 0)
            to_closed = [
                command
                for _, command in exchange.received[began:]
                if int.from_bytes(command[4:6], "little") == 1 and command[8] == MAKER
            ]
            assert len(to_closed) <= 20
            exchange.do(
                admin_records.set_market(
                    market=1, parameter=admin_records.STATE, value=admin_records.OPEN
                )
            )
            await until(lambda: logged("making SOL_USDC again") == 1)
            assert is_two_sided(exchange, 1)
        assert logged("not making SOL_USDC for a while") == 1
        assert logged("not taking in SOL_USDC for a while") <= 1

    play_fast(story)


@with_live_exchange(demo_exchange)
async def test_refused_credentials_end_it(venue: RunningExchange) -> None:
    bot = Bot(venue.http_url, venue.ws_url, {"maker": "no", "taker": "no"}, seed=1, plans=PLANS)
    with pytest.raises(CredentialsRefused):
        await bot.run()


def test_a_rate_above_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="20"):
        Bot("", "", TOKENS, seed=1, plans=PLANS, commands_per_s=21)


PROCESS = """
import sys
from fairbook.cli.maker import run_maker
from fairbook.demo.maker.bot import Bot
from fairbook.demo.demo_venue import demo_venue, market_plans
from fairbook.demo.maker.plan import MarketPlan
plans = [MarketPlan("SOL_USDC", "140", move_ms=100, take_ms=200)]
tokens = {"maker": sys.argv[3], "taker": sys.argv[4]}
bot = Bot(sys.argv[1], sys.argv[2], tokens, seed=7, plans=plans)
sys.exit(run_maker(bot, lifeline=0))
"""


def start_process(venue: RunningExchange, *tokens: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, venue.http_url, venue.ws_url, *tokens],
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "the end of its pipe"])
@with_live_exchange(demo_exchange)
async def test_the_process_ends_when_it_is_stopped(venue: RunningExchange, how: str) -> None:
    """With status 0, at once, and its orders are cancelled."""
    process = start_process(venue, ALICE_TOKEN, BOB_TOKEN)
    try:
        assert process.stdin is not None
        await until(lambda: trades(venue.exchange, 1) > 0, within_s=20)
        if how == "the end of its pipe":
            process.stdin.close()
        else:
            process.send_signal(getattr(signal, how))
        status = await asyncio.to_thread(process.wait, 5)
        assert status == 0
        await until(lambda: own(venue.exchange) == 0)
    finally:
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


@pytest.mark.parametrize("tokens", [("no", BOB_TOKEN), (ALICE_TOKEN, "no")])
@with_live_exchange(demo_exchange)
async def test_the_process_ends_when_a_token_is_refused(
    venue: RunningExchange, tokens: tuple[str, str]
) -> None:
    """An unknown token of either account: status 1, and nothing is left in the book."""
    process = start_process(venue, *tokens)
    try:
        assert await asyncio.to_thread(process.wait, 20) == 1
        await until(lambda: own(venue.exchange) == 0)
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()
