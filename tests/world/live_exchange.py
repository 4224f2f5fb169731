"""Both ports of an exchange in this process: the gateway and the streams over one real core.

How it works: the parts that processes.py joins, joined over an exchange without a log; log time is
the clock's, and a tick passes it on every second. What the gateway is asked can be held back and
counted (`exchange.held`, `received`).

Not here: durability, history, processes (tests/e2e).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import uvloop

from fairbook.core import records
from fairbook.demo import first_state as demo
from fairbook.gateway.auth import Authenticator
from fairbook.gateway.cancel_on_disconnect import end_old_sessions
from fairbook.gateway.gateway import Gateway, GatewayLimits
from fairbook.gateway.http_server import HttpServer
from fairbook.ports.commands import Answer
from fairbook.streams.feed import Feed
from fairbook.streams.hub import Hub
from fairbook.streams.server import StreamServer
from tests.world.direct_exchange import DirectExchange, list_and_fund
from tests.world.running_exchange import DictAccounts

LIMITS = GatewayLimits(account_per_minute=0, address_per_minute=0)
HOST = "127.0.0.1"


class LiveExchange(DirectExchange):
    """A core whose time is the clock's, and that tells of every frame."""

    def __init__(self) -> None:
        super().__init__()
        self.tell: Callable[[int, int, bytes, bytes], None] = lambda *_: None
        self.received: list[tuple[float, bytes]] = []
        """(monotonic seconds, command) of everything that was submitted."""

    def submit(self, command: bytes) -> asyncio.Future[Answer]:
        self.received.append((time.monotonic(), command))
        return super().submit(command)

    def apply(self, command: bytes) -> Answer:
        self.position += 1
        self.time_ns = max(self.time_ns, time.time_ns())
        events = self.core.apply(command, self.time_ns)
        self.tell(self.position, self.time_ns, command, events)
        return Answer(self.position, self.time_ns, events)


class LiveStack:
    """Addresses, and what is behind them."""

    def __init__(self, exchange: LiveExchange) -> None:
        self.exchange = exchange
        self.accounts = DictAccounts()
        self.gateway: Gateway
        self.feed: Feed
        self.hub: Hub
        self.http: HttpServer
        self.streams: StreamServer
        self.http_port = self.ws_port = 0

    @property
    def http_url(self) -> str:
        return f"http://{HOST}:{self.http_port}"

    @property
    def ws_url(self) -> str:
        return f"ws://{HOST}:{self.ws_port}/ws"

    async def open(self) -> None:
        """Listen, on the same ports as before, as a new process would."""
        exchange = self.exchange
        await end_old_sessions(exchange, exchange)
        self.gateway = Gateway(
            commands=exchange,
            queries=exchange,
            catalogue=exchange,
            accounts=self.accounts,
            limits=LIMITS,
            # No process was here before: what is signed in this very millisecond is new.
            authenticator=Authenticator(self.accounts, taken_until_ms=0),
        )
        self.feed = Feed(view=exchange, catalogue=exchange)
        exchange.tell = self.feed.take
        self.hub = Hub(self.feed, authority=self.gateway.authority, requests=self.gateway.entry)
        self.http = HttpServer(self.gateway)
        self.http_port = await self.http.start(HOST, self.http_port)
        self.streams = StreamServer(self.hub)
        self.ws_port = await self.streams.start(HOST, self.ws_port)

    async def close(self) -> None:
        await self.streams.stop(0.1)
        await self.http.stop(drain_s=0.1)
        self.feed.end()


@asynccontextmanager
async def run_live_exchange(exchange: LiveExchange) -> AsyncIterator[LiveStack]:
    venue = LiveStack(exchange)
    await venue.open()
    ticking = asyncio.create_task(_tick(exchange))
    try:
        yield venue
    finally:
        ticking.cancel()
        await venue.close()


async def _tick(exchange: LiveExchange) -> None:
    while True:
        await asyncio.sleep(1 - time.time() % 1)
        exchange.apply(records.tick())


def small() -> LiveExchange:
    """As tests.world.direct_exchange.small_exchange: Alice and Bob, SOL_USDC and BTC_USDC."""
    exchange = LiveExchange()
    exchange.time_ns = 0
    list_and_fund(exchange)
    return exchange


def demo_exchange() -> LiveExchange:
    """The demo's markets, and two accounts with its funds: 2 and 3, Alice's and Bob's ids."""
    exchange = LiveExchange()
    exchange.time_ns = 0
    exchange.do(records.rules())
    for number, asset in enumerate(demo.ASSETS, start=1):
        exchange.do(records.list_asset(asset=number, decimals=asset.decimals, name=asset.name))
    for number, market in enumerate(demo.MARKETS, start=1):
        exchange.do(
            records.list_market(
                market=number,
                base=market.base,
                quote=market.quote,
                lot_atoms=market.lot_atoms,
                tick_atoms=market.tick_atoms,
                name=market.name,
            )
        )
        for parameter, value in (
            (records.STATE, records.OPEN),
            (records.MAKER_FEE_PPM, demo.MAKER_FEE_PPM),
            (records.TAKER_FEE_PPM, demo.TAKER_FEE_PPM),
        ):
            exchange.do(records.set_market(market=number, parameter=parameter, value=value))
    for user_id, account in ((1, 2), (2, 3)):
        exchange.do(records.open_account(user_id))
        for number, asset in enumerate(demo.ASSETS, start=1):
            atoms = asset.start_units * 10**asset.decimals
            exchange.do(records.credit(account=account, asset=number, atoms=atoms))
    return exchange


def play(story: Callable[[LiveStack], Coroutine[Any, Any, None]], exchange: LiveExchange) -> None:
    """Run a story against a fresh house."""

    async def scene() -> None:
        async with run_live_exchange(exchange) as venue:
            await asyncio.wait_for(story(venue), 30)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene())
