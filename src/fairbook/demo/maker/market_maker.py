"""One market's maker and taker without I/O: what to send next, given what was received.

Design: the bot passes the time, the book, answers, updates and balances, and asks for the next
commands. It asks again only when all commands before were answered. There is no clock here, so that
a simulation can run it against a core.

Invariants: the commands turn the orders known to be open into the wanted book, or come as near as
COMMANDS_MAX of them can; a market that refuses orders is left alone for `back_off_ms`.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Final

from fairbook.client.errors import RequestRefused
from fairbook.client.grid import Grid
from fairbook.client.local_book import LocalBook, LocalBookSide
from fairbook.client.messages import OrderState
from fairbook.demo.maker import reconcile
from fairbook.demo.maker.own_orders import OwnOrders
from fairbook.demo.maker.plan import PARTS, QuotingParameters
from fairbook.demo.maker.quotes import ASK, BID, LimitOrder, RandomWalk, quotes
from fairbook.demo.maker.reconcile import AmendOrder, CancelAll, CancelOrder, Command

BACK_OFF_MS: Final = 5_000
FIRST_TAKE_MS: Final = 1_000
COMMANDS_MAX: Final = 8  # with more, the prices would be outdated before the last command
CROSSING: Final = "immediately match"  # of the refusal of a post-only order that would cross
NOT_OPEN: Final = "Order Not Found"
BAD_QUANTITY: Final = "INVALID_QUANTITY"


class MarketMaker:
    """The maker in one market. Times are in ms of one monotonic clock."""

    def __init__(
        self,
        grid: Grid,
        parameters: QuotingParameters,
        *,
        rng: random.Random,
        back_off_ms: int = BACK_OFF_MS,
    ) -> None:
        self.grid = grid
        self.parameters = parameters
        self.orders = OwnOrders(grid)
        self.reference = RandomWalk(parameters, rng)
        self.maker_lots = 0
        """The maker's base asset beyond that at the start; negative: less."""
        self.taker_lots = 0
        self.next_plan_ms = 0
        """When to call `next_commands`."""
        self.next_take_ms = 0
        """When to call `next_taker_order`."""
        self._next_move_ms = 0  # of the reference
        self._back_off_ms = back_off_ms
        self._taker = Taker(parameters, rng)
        self._has_leftovers = False

    def restart(
        self, now_ms: int, reference_ticks: int | None, leftovers: Sequence[OrderState] = ()
    ) -> None:
        """Begin with a new connection. reference_ticks: None if the market's price is unknown.
        leftovers: the maker's open orders, which the first commands replace.
        """
        self.orders = OwnOrders(self.grid)
        for order in leftovers:
            self.orders.on_answer(order)
        self._has_leftovers = bool(leftovers)
        if reference_ticks is not None:
            self.reference.move_to(reference_ticks)
        self.next_plan_ms = self._next_move_ms = now_ms
        self.next_take_ms = now_ms + min(self._taker.wait_ms(), FIRST_TAKE_MS)

    def next_commands(self, now_ms: int, book: LocalBook) -> list[Command]:
        """The commands to send now, in this order. If there are more, call it again at once."""
        if now_ms >= self._next_move_ms:
            self.reference.step()
            self._next_move_ms = now_ms + self.parameters.plan.move_ms
        commands = self._commands(book)
        is_all = len(commands) <= COMMANDS_MAX
        self.next_plan_ms = self._next_move_ms if is_all else now_ms
        return commands[:COMMANDS_MAX]

    def _commands(self, book: LocalBook) -> list[Command]:
        own = self.orders.levels()
        wanted = quotes(
            self.parameters,
            self.reference.reference_parts,
            inventory_lots=self.maker_lots,
            foreign_bid=_foreign(BID, book.bids, own),
            foreign_ask=_foreign(ASK, book.asks, own),
        )
        if self._has_leftovers:
            self._has_leftovers = False
            return reconcile.replace_all(wanted)
        return reconcile.reconcile(wanted, self.orders.open())

    def withdraw(self, now_ms: int) -> list[Command]:
        """Leave the market for `back_off_ms`."""
        self.next_plan_ms = now_ms + self._back_off_ms
        return [CancelAll()] if len(self.orders) else []

    def next_taker_order(self, now_ms: int, book: LocalBook) -> LimitOrder | None:
        self.next_take_ms = now_ms + self._taker.wait_ms()
        return self._taker.next_order(
            bid=book.bids.best(),
            ask=book.asks.best(),
            reference_parts=self.reference.reference_parts,
            inventory_lots=self.taker_lots,
        )

    def on_answer(self, command: Command, answer: OrderState | list[OrderState]) -> None:
        if isinstance(command, CancelAll):
            self.orders.clear()
        else:
            assert isinstance(answer, OrderState)
            self.orders.on_answer(answer)

    def on_refusal(self, command: Command, refusal: RequestRefused, now_ms: int) -> bool:
        """True: an accident of timing. False: the market is left alone for a while."""
        if NOT_OPEN in refusal.message and isinstance(command, AmendOrder | CancelOrder):
            self.orders.remove(command.order_id)
            return True
        if CROSSING in refusal.message:
            return True
        if isinstance(command, AmendOrder) and refusal.code == BAD_QUANTITY:
            return True  # More is filled than the new total; the update is on its way.
        wait_ms = max(self._back_off_ms, int(refusal.retry_after_s * 1e3))
        self.next_plan_ms = max(self.next_plan_ms, now_ms + wait_ms)
        return False

    def on_taker_answer(self, order: OrderState) -> None:
        lots = self.grid.quantity.units(order.executed_quantity)
        self.taker_lots += lots if order.side == BID else -lots

    def on_taker_error(self, now_ms: int) -> None:
        self.next_take_ms = now_ms + self._back_off_ms


def _foreign(side: str, levels: LocalBookSide, own: Mapping[tuple[str, int], int]) -> int | None:
    """The best price of others. own: the maker's lots by (side, price)."""
    for price, lots in levels.levels():
        if lots > own.get((side, price), 0):
            return price
    return None


class Taker:
    """Random orders for trades in one market; the inventory stays within `inventory_lots`."""

    def __init__(self, parameters: QuotingParameters, rng: random.Random) -> None:
        self._parameters = parameters
        self._rng = rng

    def wait_ms(self) -> int:
        """The wait before the next order: a fifth to nine fifths of the average."""
        average = self._parameters.plan.take_ms
        return self._rng.randrange(average // 5, average * 9 // 5 + 1)

    def next_order(
        self,
        *,
        bid: tuple[int, int] | None,
        ask: tuple[int, int] | None,
        reference_parts: int,
        inventory_lots: int,
    ) -> LimitOrder | None:
        """The next order, which is IOC; None if the book has no two sides or there is no room.

        It is the more likely a buy, the further the reference price is above the middle of the book
        and the smaller the inventory. bid, ask: the best (price, lots) of each side.
        """
        p, rng = self._parameters, self._rng
        if bid is None or ask is None:
            return None
        ahead = reference_parts - (bid[0] + ask[0]) * PARTS // 2
        for_price = 150 * ahead // (p.step_ticks * PARTS)
        for_stock = -600 * inventory_lots // p.inventory_lots
        buys = rng.randrange(1_000) < min(max(500 + for_price + for_stock, 50), 950)
        room = p.inventory_lots - inventory_lots if buys else p.inventory_lots + inventory_lots
        lots = p.take_lots * rng.randrange(100, 1_901) // 1_000
        if rng.randrange(10) == 0:
            lots *= 4
        lots = min(max(lots, 1), room)
        if lots <= 0:
            return None
        if buys:
            return LimitOrder(BID, ask[0] + p.step_ticks, lots)
        return LimitOrder(ASK, max(bid[0] - p.step_ticks, 1), lots)
