"""A MarketMaker against a real core, without connections, in simulated time.

The demo's first market with its fees, one account for the maker and one for the taker. Commands
become records; events become the answers and private updates that gateway and streams would send,
through the same functions where there are any.
"""

import random
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from fairbook.api import numbers
from fairbook.api.errors import ApiError
from fairbook.api.orders import (
    AmendCommand,
    CancelAllCommand,
    CancelCommand,
    OrderCommand,
    PlaceCommand,
)
from fairbook.client.errors import RequestRefused
from fairbook.client.grid import Grid
from fairbook.client.local_book import LocalBook
from fairbook.client.messages import Depth, OrderState, OrderUpdate
from fairbook.core import admin_records, records
from fairbook.core.exchange import Exchange
from fairbook.core.records import OrderRecord
from fairbook.demo.demo_venue import demo_venue, market_plans
from fairbook.demo.maker.market_maker import COMMANDS_MAX, MarketMaker
from fairbook.demo.maker.plan import MarketPlan, QuotingParameters
from fairbook.demo.maker.quotes import ASK, BID, LimitOrder
from fairbook.demo.maker.reconcile import AmendOrder, CancelAll, CancelOrder, Command
from tests.demo.maker.test_quotes import GRIDS
from tests.world.markets import open_accounts, open_market

MAKER, TAKER, STRANGER = 2, 3, 4
MARKET = 1
MS = 1_000_000
SIDES = {BID: records.BID, ASK: records.ASK}


def no_text(_order: records.OrderRecord) -> None:
    """The maker's orders have no client ids."""


DEMO_PLAN = next(market_plans(demo_venue()))


class MakerSimulation:
    """One market, its maker, and a simulated clock."""

    def __init__(self, *, seed: int, plan: MarketPlan = DEMO_PLAN) -> None:
        self.core = Exchange()
        self.now_ms = 0
        self.refusals: list[str] = []
        self.updates: deque[OrderUpdate] = deque()
        """Private updates that are not delivered yet."""
        self.delays_updates = False
        self.sent = 0
        self.trades = 0
        self.traded_lots = 0
        self.grid: Grid = GRIDS["SOL_USDC"]
        self._list()
        catalogue = self.core
        market = catalogue.markets[MARKET]
        self.scales = numbers.MarketScales(
            market, base=catalogue.assets[market.base], quote=catalogue.assets[market.quote]
        )
        self.parameters = QuotingParameters(plan, self.grid)
        self.maker = MarketMaker(
            self.grid,
            self.parameters,
            rng=random.Random(seed),
        )
        self.meanwhile: Callable[[], object] = lambda: None
        """Called before each command of a plan."""
        self.maker.restart(0, None)
        self.start_atoms = self.base_atoms()

    def _list(self) -> None:
        self.do(admin_records.rules())
        venue = demo_venue()
        numbers = {asset.name: number for number, asset in enumerate(venue.assets, start=1)}
        for asset in venue.assets:
            self.do(
                admin_records.list_asset(
                    asset=numbers[asset.name], decimals=asset.decimals, name=asset.name
                )
            )
        market = venue.markets[0]
        for command in open_market(
            MARKET, market.name, base=numbers[market.base], quote=numbers[market.quote],
            lot_atoms=market.lot_atoms, tick_atoms=market.tick_atoms,
            maker_fee_ppm=market.parameters["maker_fee_ppm"],
            taker_fee_ppm=market.parameters["taker_fee_ppm"],
        ):  # fmt: skip
            self.do(command)
        atoms = {numbers[name]: atoms for name, atoms in venue.accounts[0].balances.items()}
        accounts = {account: account for account in (MAKER, TAKER, STRANGER)}
        for command in open_accounts(accounts, atoms):
            self.do(command)

    def apply(self, command: bytes) -> bytes:
        self.now_ms += 1
        return self.core.apply(command, self.now_ms * MS)

    def do(self, command: bytes) -> bytes:
        """A command that must be accepted."""
        events = self.apply(command)
        assert records.read_outcome(events).status != records.REJECTED
        return events

    def base_atoms(self) -> int:
        base = self.core.markets[MARKET].base
        _, available, locked = self.core.balances(MAKER)[base - 1]
        return available + locked

    def owned_lots(self) -> int:
        """What the maker owns more than at the start."""
        return int((self.base_atoms() - self.start_atoms) // self.scales.market.lot_atoms)

    def book(self) -> LocalBook:
        """The book as the client has it."""
        book = LocalBook(self.grid)
        bids, asks = self.core.depth(MARKET, 100)
        price, quantity = self.grid.price.text, self.grid.quantity.text
        assert book.load(
            Depth(
                asks=[(price(p), quantity(q)) for p, q in asks],
                bids=[(price(p), quantity(q)) for p, q in reversed(bids)],
                last_update_id="12",
                timestamp=0,
            )
        )
        return book

    def plan(self) -> int:
        """Let the maker move, and send its commands until its book is as wanted; returns their
        number.
        """
        self.now_ms = max(self.now_ms, self.maker.next_plan_ms)
        before = self.sent
        while True:
            self.maker.maker_lots = self.owned_lots()
            commands = self.maker.next_commands(self.now_ms, self.book())
            assert len(commands) <= COMMANDS_MAX
            for command in commands:
                self.meanwhile()
                self.send(command)
            if self.maker.next_plan_ms > self.now_ms:
                return self.sent - before

    def send(self, command: Command) -> None:
        self.sent += 1
        made = self._record(command)
        events = self.apply(made.command)
        try:
            text = made.result(events)
        except ApiError as error:
            refusal = RequestRefused(error.status, error.code, error.message)
            self.refusals.append(error.message)
            self.maker.on_refusal(command, refusal, self.now_ms)
            return
        assert isinstance(text, str)
        kind: Any = list[OrderState] if isinstance(command, CancelAll) else OrderState
        self.maker.on_answer(command, msgspec.json.decode(text, type=kind))

    def _record(self, command: Command) -> OrderCommand:
        match command:
            case CancelAll():
                record = records.cancel_all(account=MAKER, market=MARKET)
                return CancelAllCommand(record, self.scales, no_text)
            case CancelOrder():
                order_id = int(command.order_id)
                record = records.cancel(account=MAKER, market=MARKET, order_id=order_id)
                return CancelCommand(record, self.scales, no_text)
            case AmendOrder():
                record = records.amend(
                    account=MAKER,
                    market=MARKET,
                    order_id=int(command.order_id),
                    price=command.price,
                    quantity=command.total,
                )
                return AmendCommand(record, self.scales, no_text)
        return self._place(MAKER, command.side, command.price, command.lots, post_only=True)

    def _place(
        self, account: int, side: str, price: int, lots: int, *, post_only: bool = False
    ) -> PlaceCommand:
        command = records.place(
            account=account,
            market=MARKET,
            side=SIDES[side],
            price=price,
            quantity=lots,
            tif=records.GTC if post_only else records.IOC,
            flags=records.POST_ONLY if post_only else 0,
        )
        return PlaceCommand(command, self.scales)

    def take(self) -> LimitOrder | None:
        """Let the taker take."""
        take = self.maker.next_taker_order(self.now_ms, self.book())
        if take is not None:
            self.sent += 1
            command = self._place(TAKER, take.side, take.price, take.lots)
            events = self.do(command.command)
            self.queue_updates(events)
            self.maker.on_taker_answer(msgspec.json.decode(command.result(events), type=OrderState))
        return take

    def stranger(self, side: str, price: int, lots: int, *, rests: bool) -> None:
        """An order of another account."""
        self.queue_updates(
            self.do(self._place(STRANGER, side, price, lots, post_only=rests).command)
        )

    def queue_updates(self, events: bytes) -> None:
        """Queue the maker's private updates of a command."""
        closed = {order.order_id: order for order in records.order_records(events)}
        at = 0
        while at < len(events):
            if records.kind_at(events, at) == records.FILL:
                fill = records.Fill(events, at)
                self.trades += 1
                self.traded_lots += fill.lots
                assert fill.maker_account != fill.taker_account
                if fill.maker_account == MAKER:
                    self.updates.append(self._update_of(fill, closed))
            at = records.next_at(events, at)
        if not self.delays_updates:
            self.deliver(len(self.updates))

    def _update_of(self, fill: records.Fill, closed: dict[int, OrderRecord]) -> OrderUpdate:
        order_id = int(fill.maker_order_id)
        order = closed.get(order_id) or self.core.order(MAKER, MARKET, order_id)
        assert order is not None
        return OrderUpdate(
            event="orderFill",
            symbol=self.grid.symbol,
            side=ASK if fill.side == records.BID else BID,
            status="Filled" if order_id in closed else "PartiallyFilled",
            order_id=str(order_id),
            executed=self.grid.quantity.text(order.filled),
        )

    def deliver(self, count: int) -> None:
        """Deliver the next private updates."""
        for _ in range(min(count, len(self.updates))):
            self.maker.orders.on_update(self.updates.popleft())

    def own_book(self) -> dict[tuple[int, int], int]:
        """(side, price) -> lots of the maker in the core."""
        found: dict[tuple[int, int], int] = {}
        for order in self.core.open_orders(MAKER, MARKET):
            key = order.side, order.price
            found[key] = found.get(key, 0) + order.quantity - order.filled
        return found
