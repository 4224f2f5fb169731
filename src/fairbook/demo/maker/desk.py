"""One market's maker and taker, without the world: what to send next, given what was heard.

How it works: the bot tells a desk the time, the book, its orders' fate and its balances, and asks
for the next commands. Between a plan and the last answer to it there is no other plan.

Always true: a plan's commands make, of the orders known to be open, the wanted book, or come as
near to it as PLAN_COMMANDS_MAX of them can; a market that refuses us is left alone for REST_MS.

Not here: connections and the budget (bot.py). The desk has no clock and sends nothing, so a
simulation can run it against a core (tests/maker).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Final

from fairbook.client.errors import RequestRefused
from fairbook.client.grid import Grid
from fairbook.client.local_book import LocalBook, LocalBookSide
from fairbook.client.messages import Order, OrderUpdate
from fairbook.demo.maker.own_orders import OwnOrders
from fairbook.demo.maker.quotes import ASK, BID, RandomWalk, quotes
from fairbook.demo.maker.reconcile import Amend, Cancel, CancelAll, Command, reconcile, replace_all
from fairbook.demo.maker.style import Style
from fairbook.demo.maker.takers import Take, Taker

REST_MS: Final = 5_000
FIRST_TAKE_MS: Final = 1_000
PLAN_COMMANDS_MAX: Final = 8  # longer, and its prices would be old before its last command
CROSSING: Final = "immediately match"  # what the exchange says to a post-only order that would
NOT_OPEN: Final = "Order Not Found"
BAD_QUANTITY: Final = "INVALID_QUANTITY"


class Desk:
    """One market."""

    def __init__(
        self, grid: Grid, style: Style, *, reference_ticks: int, chance: random.Random
    ) -> None:
        self.grid = grid
        self.style = style
        self.orders = OwnOrders(grid)
        self.walk = RandomWalk(style, chance, reference_ticks)
        self.maker_lots = 0
        """How much more of the base asset than at the start the maker owns; negative: less."""
        self.taker_lots = 0
        self.plan_ms = 0
        """When to ask for the next plan."""
        self.take_ms = 0
        """When to ask for the next take."""
        self._move_ms = 0  # when the reference moves next
        self._taker = Taker(style, chance)
        self._has_leftovers = False

    def begin(
        self, now_ms: int, reference_ticks: int | None, leftovers: Sequence[Order] = ()
    ) -> None:
        """A new connection. The price is what it is; None: nobody knows, it goes on from where it
        was.

        leftovers: our open orders of before. No connection holds them, so the first plan replaces
        them all.
        """
        self.orders = OwnOrders(self.grid)
        for order in leftovers:
            self.orders.answered(order)
        self._has_leftovers = bool(leftovers)
        if reference_ticks is not None:
            self.walk.move_to(reference_ticks)
        self.plan_ms = self._move_ms = now_ms
        self.take_ms = now_ms + min(self._wait_ms(), FIRST_TAKE_MS)

    def plan(self, now_ms: int, book: LocalBook) -> list[Command]:
        """What to send now, in this order. If that is not all, the next plan is due at once."""
        if now_ms >= self._move_ms:
            self.walk.step()
            self._move_ms = now_ms + self.style.move_ms
        commands = self._commands(book)
        is_all = len(commands) <= PLAN_COMMANDS_MAX
        self.plan_ms = self._move_ms if is_all else now_ms
        return commands[:PLAN_COMMANDS_MAX]

    def _commands(self, book: LocalBook) -> list[Command]:
        ours = self.orders.levels()
        wanted = quotes(
            self.style,
            self.walk.reference_parts,
            inventory_lots=self.maker_lots,
            foreign_bid=_foreign(BID, book.bids, ours),
            foreign_ask=_foreign(ASK, book.asks, ours),
        )
        if self._has_leftovers:
            self._has_leftovers = False
            return replace_all(wanted)
        return reconcile(wanted, self.orders.open())

    def withdraw(self, now_ms: int) -> list[Command]:
        """Leave the market for a while."""
        self.plan_ms = now_ms + REST_MS
        return [CancelAll()] if len(self.orders) else []

    def take(self, now_ms: int, book: LocalBook) -> Take | None:
        """What the taker sends now."""
        self.take_ms = now_ms + self._wait_ms()
        return self._taker.take(
            bid=book.bids.best(),
            ask=book.asks.best(),
            reference_parts=self.walk.reference_parts,
            inventory_lots=self.taker_lots,
        )

    def answered(self, command: Command, answer: Order | list[Order]) -> None:
        """A command was executed."""
        if isinstance(command, CancelAll):
            self.orders.clear()
        else:
            assert isinstance(answer, Order)
            self.orders.answered(answer)

    def refused(self, command: Command, refusal: RequestRefused, now_ms: int) -> bool:
        """A command was refused. False: this is no accident of timing, but a market that will not
        have us; it is left alone for a while.
        """
        if NOT_OPEN in refusal.message and isinstance(command, Amend | Cancel):
            self.orders.gone(command.order_id)
            return True
        if CROSSING in refusal.message:
            return True
        if isinstance(command, Amend) and refusal.code == BAD_QUANTITY:
            return True  # It was filled further than its new total, and we do not know yet.
        self.plan_ms = max(
            self.plan_ms, now_ms + REST_MS, now_ms + int(refusal.retry_after_s * 1e3)
        )
        return False

    def updated(self, update: OrderUpdate) -> None:
        """A private update of the maker."""
        self.orders.updated(update)

    def taken(self, order: Order) -> None:
        """The taker's order was executed."""
        lots = self.grid.quantity.units(order.executed_quantity)
        self.taker_lots += lots if order.side == BID else -lots

    def _wait_ms(self) -> int:
        return self._taker.wait_ms() if self.style.take_ms else 0


def _foreign(side: str, levels: LocalBookSide, ours: Mapping[tuple[str, int], int]) -> int | None:
    """The best price of others. ours: our own lots by (side, price)."""
    for price, lots in levels.levels():
        if lots > ours.get((side, price), 0):
            return price
    return None
