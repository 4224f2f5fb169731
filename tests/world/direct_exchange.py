"""The real core behind the gateway's ports, without a log: what is submitted is applied at once.

`delay` makes it late on purpose, `busy` and `stopped` make it refuse.
"""

import asyncio
from collections.abc import Sequence

from fairbook.core import records
from fairbook.core.exchange import Exchange
from fairbook.core.markets import Asset, Market
from fairbook.core.records import OrderRecord
from fairbook.ports.commands import Answer, Busy, Stopped
from fairbook.ports.queries import BookDepth

MS = 1_000_000
START_NS = 1_800_000_000_000 * MS


class DirectExchange:
    """Commands, Queries, View and Catalogue in one."""

    def __init__(self) -> None:
        self.core = Exchange()
        self.position = 0
        self.time_ns = START_NS
        self.busy = False
        self.stopped = False
        self.held: list[tuple[bytes, asyncio.Future[Answer]]] | None = None
        self.barriers: list[asyncio.Future[int]] = []
        self.submitted = asyncio.Event()  # set whenever something is held

    def apply(self, command: bytes) -> Answer:
        self.position += 1
        self.time_ns += MS
        return Answer(self.position, self.time_ns, self.core.apply(command, self.time_ns))

    def do(self, *commands: bytes) -> None:
        """Set something up: every command must be accepted."""
        for command in commands:
            outcome = records.read_outcome(self.apply(command).events)
            assert outcome.status != records.REJECTED, f"reject {outcome.reason}"

    # Commands.

    def submit(self, command: bytes) -> asyncio.Future[Answer]:
        if self.stopped:
            raise Stopped("stopped")
        if self.busy:
            raise Busy("busy")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if self.held is None:
            future.set_result(self.apply(command))
        else:
            self.held.append((command, future))
            self.submitted.set()
        return future

    def release(self) -> None:
        """Apply what was held, in order, and answer whoever still waits."""
        held, self.held = self.held or [], None
        for command, future in held:
            answer = self.apply(command)
            if not future.done():
                future.set_result(answer)
        for barrier in self.barriers:
            if not barrier.done():
                barrier.set_result(self.position)

    def settled(self) -> asyncio.Future[int]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if self.held:
            self.barriers.append(future)
        else:
            future.set_result(self.position)
        return future

    # Queries and View.

    async def at(self, position: int) -> "DirectExchange":
        assert position <= self.position
        if self.stopped:
            raise Stopped("stopped")
        return self

    def balances(self, account: int) -> Sequence[tuple[int, int, int]]:
        return self.core.balances(account)

    def open_orders(self, account: int, market: int = 0) -> Sequence[OrderRecord]:
        return self.core.open_orders(account, market)

    def order(
        self, account: int, *, market: int = 0, order_id: int = 0, client_id: int | None = None
    ) -> OrderRecord | None:
        if client_id is not None:
            return self.core.order_of_client(account, market, client_id)
        return self.core.order(account, market, order_id)

    def depth(self, market: int, levels_max: int) -> BookDepth:
        bids, asks = self.core.depth(market, levels_max)
        return BookDepth(self.core.markets[market].update_id, self.core.time_ns, bids, asks)

    def paused(self) -> bool:
        return self.core.paused

    def sessions(self) -> Sequence[tuple[int, int]]:
        return self.core.sessions()

    # Catalogue.

    def asset(self, asset_id: int) -> Asset:
        return self.core.assets[asset_id]

    def asset_named(self, name: str) -> Asset | None:
        return next((a for a in self.assets() if a.name == name), None)

    def market(self, market_id: int) -> Market:
        return self.core.markets[market_id]

    def market_named(self, name: str) -> Market | None:
        return next((m for m in self.markets() if m.name == name), None)

    def assets(self) -> Sequence[Asset]:
        return self.core.assets[1:]

    def markets(self) -> Sequence[Market]:
        return self.core.markets[1:]


SOL, USDC, BTC = 1, 2, 3
SOL_USDC, BTC_USDC = 1, 2
ALICE, BOB = 2, 3


def small_exchange() -> DirectExchange:
    """SOL_USDC (tick and step 0.01, fees 8 and 10 bp), BTC_USDC; Alice and Bob own 1000 of each."""
    exchange = DirectExchange()
    list_and_fund(exchange)
    return exchange


def list_and_fund(exchange: DirectExchange) -> None:
    """What `small_exchange` says, in an exchange of any kind."""
    exchange.do(
        records.rules(),
        records.list_asset(asset=SOL, decimals=9, name="SOL"),
        records.list_asset(asset=USDC, decimals=6, name="USDC"),
        records.list_asset(asset=BTC, decimals=8, name="BTC"),
        records.list_market(
            market=SOL_USDC, base=SOL, quote=USDC, lot_atoms=10**7, tick_atoms=100, name="SOL_USDC"
        ),
        records.list_market(
            market=BTC_USDC, base=BTC, quote=USDC, lot_atoms=1000, tick_atoms=1, name="BTC_USDC"
        ),
    )
    for market in (SOL_USDC, BTC_USDC):
        for parameter, value in (
            (records.MAKER_FEE_PPM, 800),
            (records.TAKER_FEE_PPM, 1000),
            (records.STATE, records.OPEN),
        ):
            exchange.do(records.set_market(market=market, parameter=parameter, value=value))
    for user_id, account in ((1, ALICE), (2, BOB)):
        exchange.do(
            records.open_account(user_id),
            records.credit(account=account, asset=SOL, atoms=1000 * 10**9),
            records.credit(account=account, asset=USDC, atoms=1000 * 10**6),
            records.credit(account=account, asset=BTC, atoms=1000 * 10**8),
        )
