"""The real core behind the gateway's ports, without a log: a submitted command is applied at once.

Set `held` to a list to delay commands until `release`; `busy` and `stopped` refuse them.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from fairbook.core import admin_records, records
from fairbook.core.credential_table import Credential
from fairbook.core.exchange import ORDER_ID_MAX, Exchange
from fairbook.core.markets import Asset, Market
from fairbook.core.records import OrderRecord
from fairbook.core.references import Reference
from fairbook.demo import first_state as demo
from fairbook.ports.commands import Answer, Busy, Stopped, Waiter
from fairbook.ports.queries import BookDepth
from tests.world.markets import BTC, SOL, USDC, open_accounts, two_markets
from tests.world.memory_accounts import ALICE, BOB

MS = 1_000_000
START_NS = 1_800_000_000_000 * MS


class DirectExchange:
    """Commands, Queries, StateView and Catalogue in one."""

    def __init__(self, now_ns: Callable[[], int] | None = None) -> None:
        """now_ns: the clock of log time; by default each command comes a millisecond later."""
        self.core = Exchange()
        self.position = 0
        self.now_ns = now_ns
        self.time_ns = START_NS if now_ns is None else 0
        self.busy = False
        self.stopped = False
        self.held: list[tuple[bytes, Waiter]] | None = None
        self.barriers: list[asyncio.Future[int]] = []
        self.submitted = asyncio.Event()  # set whenever something is held
        self.received: list[tuple[float, bytes]] = []
        """(seconds by the loop, command) of each that was submitted."""
        self.applied: list[bytes] = []
        self.answers: list[Answer] = []
        """Of each applied command."""
        self.publish: Callable[[int, int, bytes, bytes], None] = lambda *_: None
        """Called with position, time, frame and events of each command."""

    @property
    def is_live(self) -> bool:
        return self.now_ns is not None

    def apply(self, command: bytes) -> Answer:
        self.position += 1
        self.time_ns = (
            self.time_ns + MS if self.now_ns is None else max(self.time_ns, self.now_ns())
        )
        events = self.core.apply(command, self.time_ns)
        (of_command,) = records.split(events)
        answer = Answer(self.position, self.time_ns, of_command)
        self.applied.append(command)
        self.answers.append(answer)
        self.publish(self.position, self.time_ns, command, events)
        return answer

    def record_commands(self) -> list[bytes]:
        """The list to which each command is appended from now on."""
        self.applied = []
        return self.applied

    def do(self, *commands: bytes) -> None:
        """Set something up: every command must be accepted."""
        for command in commands:
            outcome = records.read_outcome(self.apply(command).events)
            assert outcome.status != records.REJECTED, f"reject {outcome.reason}"

    # Commands.

    def enqueue(self, command: bytes, waiter: Waiter) -> None:
        self.received.append((asyncio.get_running_loop().time(), command))
        if self.stopped:
            raise Stopped("stopped")
        if self.busy:
            raise Busy("busy")
        if self.held is None:
            asyncio.get_running_loop().call_soon(_answer, waiter, self.apply(command))
        else:
            self.held.append((command, waiter))
            self.submitted.set()

    def submit(self, command: bytes) -> asyncio.Future[Answer]:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.enqueue(command, future)
        return future

    def release(self) -> None:
        """Apply the held commands in order, and answer those that are still awaited."""
        held, self.held = self.held or [], None
        for command, waiter in held:
            _answer(waiter, self.apply(command))
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

    def withdrawable_today(self, account: int, asset: int) -> int:
        return self.core.withdrawable_today(account, asset)

    def open_orders(
        self,
        account: int,
        market: int = 0,
        after: OrderRecord | None = None,
        orders_max: int = ORDER_ID_MAX,
    ) -> Sequence[OrderRecord]:
        return self.core.open_orders(account, market, after, orders_max)

    def open_order_count(self, account: int, market: int = 0) -> int:
        return self.core.open_order_count(account, market)

    def order(
        self,
        account: int,
        *,
        market: int = 0,
        order_id: int = 0,
        client_id: int | str | None = None,
    ) -> OrderRecord | None:
        if client_id is not None:
            return self.core.order_of_client(account, market, client_id)
        return self.core.order(account, market, order_id)

    def stored_outcome(self, unit: bytes) -> bytes:
        return self.core.stored_outcome(unit)

    def text_of(self, order: OrderRecord) -> str | None:
        return self.core.text_of(order)

    def depth(self, market: int, levels_max: int) -> BookDepth:
        bids, asks = self.core.depth(market, levels_max)
        return BookDepth(self.core.markets[market].update_id, self.core.time_ns, bids, asks)

    def paused(self) -> bool:
        return self.core.paused

    def credential(self, digest: bytes) -> Credential | None:
        return self.core.credential(digest)

    def credentials(self, account: int) -> Sequence[Credential]:
        return self.core.credentials(admin_records.OF_ACCOUNT, account)

    def account_of_user(self, user_id: int) -> int:
        return self.core.account_of_user(user_id)

    def reference(self, reference: bytes) -> Reference | None:
        return self.core.reference(reference)

    def log_time_ns(self) -> int:
        return self.core.time_ns

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


def _answer(waiter: Waiter, answer: Answer) -> None:
    if not waiter.done():
        waiter.set_result(answer)


ATOMS = {SOL: 1000 * 10**9, USDC: 1000 * 10**6, BTC: 1000 * 10**8}


def small_exchange() -> DirectExchange:
    """`two_markets`; Alice and Bob own 1000 of each asset."""
    exchange = DirectExchange()
    list_and_fund(exchange)
    return exchange


def list_and_fund(exchange: DirectExchange) -> None:
    exchange.do(*two_markets(), *open_accounts({1: ALICE, 2: BOB}, ATOMS))


def live_exchange() -> DirectExchange:
    """As `small_exchange`, by the system clock."""
    exchange = DirectExchange(time.time_ns)
    list_and_fund(exchange)
    return exchange


def demo_exchange(now_ns: Callable[[], int] = time.time_ns) -> DirectExchange:
    """The demo's markets by a clock; ALICE and BOB own what a demo account does."""
    exchange = DirectExchange(now_ns)
    exchange.do(admin_records.rules(), *demo.missing_listings(exchange))
    exchange.do(*demo.missing_market_openings(exchange))
    for user_id, account in ((1, ALICE), (2, BOB)):
        exchange.do(admin_records.open_account(user_id))
        exchange.do(*demo.missing_credits(exchange, account))
    return exchange
