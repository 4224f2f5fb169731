"""An exchange in this process: the gateway, and the streams if needed, on ports of their own.

Design: the real core (DirectExchange) takes the place of log and engine. With a DirectExchange that
follows the system clock, everything runs in real time, with streams and a tick each second;
otherwise the gateway's clock stands still at START_NS.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import uvloop

from fairbook.core import admin_records
from fairbook.engine import local_instance
from fairbook.gateway.authentication import Authenticator
from fairbook.gateway.gateway import Gateway, GatewayLimits
from fairbook.gateway.http_server import HttpServer
from fairbook.gateway.routes import Routes
from fairbook.gateway.server_state import ServerLimits
from fairbook.ports.accounts import Transfers
from fairbook.ports.history import History
from fairbook.ports.liabilities import Liabilities
from fairbook.streams.feed import Feed
from fairbook.streams.hub import Hub
from fairbook.streams.ws_server import StreamServer
from tests.world.clock import ManualClock
from tests.world.direct_exchange import START_NS, DirectExchange, small_exchange
from tests.world.http_client import HttpClient
from tests.world.memory_accounts import MemoryAccounts
from tests.world.stories import runner_of

HOST = "127.0.0.1"
LoopFactory = Callable[[], asyncio.AbstractEventLoop]
NO_LIMITS = GatewayLimits(account_per_minute=0, address_per_minute=0, guesses_per_minute=0)
BEFORE_S = 10  # What is signed within this time before a start may have been taken before it.


class Extras(NamedTuple):
    """Optional parts of a gateway."""

    history: History | None = None
    transfers: Transfers | None = None
    faucet_atoms: Mapping[str, int] | None = None
    more: Routes | None = None
    liabilities: Liabilities | None = None


class RunningExchange:
    """Servers over one DirectExchange. They may be closed and opened again on the same ports."""

    def __init__(
        self,
        exchange: DirectExchange,
        limits: GatewayLimits = NO_LIMITS,
        server_limits: ServerLimits | None = None,
        *,
        extras: Extras = Extras(),  # noqa: B008  It never changes.
        streams: bool = False,
    ) -> None:
        self.exchange = exchange
        self.limits = limits
        self.server_limits = server_limits
        self.extras = extras
        self.has_streams = streams or exchange.is_live
        self.accounts = MemoryAccounts()
        self.clients: list[HttpClient] = []
        self.clock = ManualClock(START_NS)
        self.gateway: Gateway
        self.server: HttpServer
        self.feed: Feed
        self.hub: Hub
        self.streams: StreamServer
        self.http_port = self.ws_port = 0

    @property
    def http_url(self) -> str:
        return f"http://{HOST}:{self.http_port}"

    @property
    def ws_url(self) -> str:
        return f"ws://{HOST}:{self.ws_port}/ws"

    @property
    def now_ms(self) -> int:
        return self.clock.ms()

    async def open(self) -> None:
        """Start the servers, as a new process would."""
        if self.exchange.is_live:
            await local_instance.begin_instance(self.exchange, self.exchange.core)
        self.gateway = Gateway(
            commands=self.exchange,
            queries=self.exchange,
            catalogue=self.exchange,
            accounts=self.accounts,
            limits=self.limits,
            authenticator=self._authenticator(),
            **self.extras._asdict(),
        )
        self.server = HttpServer(self.gateway, self.server_limits)
        self.http_port = await self.server.start(HOST, self.http_port)
        if self.has_streams:
            self.feed = Feed(view=self.exchange, catalogue=self.exchange)
            self.exchange.publish = self.feed.on_frame
            gateway = self.gateway
            self.hub = Hub(self.feed, authority=gateway.logins, requests=gateway.ws_orders)
            self.streams = StreamServer(self.hub)
            self.server.state.upgrade = self.streams.adopt
            self.ws_port = await self.streams.start(HOST, self.ws_port)

    def _authenticator(self) -> Authenticator:
        if self.exchange.is_live:
            # No earlier process took requests, so one that is signed in this millisecond is new.
            return Authenticator(self.accounts, taken_until_ms=0)
        self.clock.advance(-BEFORE_S)
        authenticator = Authenticator(self.accounts, now_ms=self.clock.ms)
        self.clock.advance(BEFORE_S)
        return authenticator

    async def close(self, drain_s: float = 0.1) -> None:
        if self.has_streams:
            await self.streams.stop(drain_s)
        await self.server.stop(drain_s=drain_s)
        if self.has_streams:
            self.feed.stop()
            assert not self.hub.failed.done()

    async def connect(self, receive_bytes: int = 0) -> HttpClient:
        """A new connection; receive_bytes: the size of its receive buffer, 0: the system's."""
        sock = socket.socket()
        if receive_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (HOST, self.http_port))
        except OSError:
            sock.close()
            raise
        client = HttpClient(*await asyncio.open_connection(sock=sock))
        self.clients.append(client)
        return client


@asynccontextmanager
async def run_exchange(
    limits: GatewayLimits = NO_LIMITS,
    server_limits: ServerLimits | None = None,
    *,
    exchange: DirectExchange | None = None,
    extras: Extras = Extras(),  # noqa: B008
    streams: bool = False,
) -> AsyncIterator[RunningExchange]:
    exchange = exchange or small_exchange()
    venue = RunningExchange(exchange, limits, server_limits, extras=extras, streams=streams)
    await venue.open()
    ticks = asyncio.create_task(_tick(exchange)) if exchange.is_live else None
    try:
        yield venue
    finally:
        if ticks is not None:
            ticks.cancel()
        for client in venue.clients:
            client.writer.transport.abort()
        await venue.close()


async def _tick(exchange: DirectExchange) -> None:
    assert exchange.now_ns is not None
    while True:
        await asyncio.sleep(1 - exchange.now_ns() / 1e9 % 1)
        exchange.apply(admin_records.tick())


def play(
    story: Callable[[RunningExchange, HttpClient], Awaitable[None]],
    limits: GatewayLimits = NO_LIMITS,
    server_limits: ServerLimits | None = None,
    *,
    exchange: DirectExchange | None = None,
    extras: Extras = Extras(),  # noqa: B008
    streams: bool = False,
    within_s: float = 20.0,
    loop_factory: LoopFactory = uvloop.new_event_loop,
) -> None:
    """Run a story against a new RunningExchange, with one HTTP connection."""

    async def main() -> None:
        async with run_exchange(
            limits, server_limits, exchange=exchange, extras=extras, streams=streams
        ) as venue:
            await asyncio.wait_for(story(venue, await venue.connect()), within_s)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


def play_live(
    story: Callable[[RunningExchange], Awaitable[Any]],
    make_exchange: Callable[[], DirectExchange],
    loop_factory: LoopFactory = uvloop.new_event_loop,
) -> None:
    """Run a story with streams; the exchange follows its clock, which must be the loop's too."""
    exchange = make_exchange()
    assert exchange.is_live

    async def main(venue: RunningExchange, _: HttpClient) -> None:
        await story(venue)

    play(main, exchange=exchange, within_s=30.0, loop_factory=loop_factory)


with_exchange = runner_of(play, 2)
with_live_exchange = runner_of(play_live, 1)
