"""The lines of one order's life, as its commands and events come."""

from typing import Final

from fairbook.cli.amount_text import MarketAmounts
from fairbook.cli.command_text import time_text
from fairbook.cli.executed_units import ExecutedUnit
from fairbook.cli.order_facts import Arrival, expiry_facts, rest_text
from fairbook.cli.order_text import (
    account_words,
    amended_text,
    closed_text,
    fill_text,
    result_text,
    terms_text,
    with_client_id,
)
from fairbook.core import records
from fairbook.core.exchange import Exchange
from fairbook.core.records import Command, Fill, OrderRecord, Placed
from fairbook.log.command_log import Entry

BY_COMMAND: Final = (records.BY_REQUEST, records.BY_CANCEL_ALL)


def moment_text(entry: Entry) -> str:
    return f"[{entry.position}] {time_text(entry.time_ns)}"


class OrderStory:
    """An order that was accepted. `begin` gives each frame that says something of it a head."""

    def __init__(
        self, order_id: int, placed: Placed, client_id: int | str | None, exchange: Exchange
    ) -> None:
        """exchange: its names of markets and assets are used."""
        self.order_id = order_id
        self.placed = placed
        self.client_id = client_id
        heading = f"order {order_id} of {account_words(placed.account, exchange)}"
        self.lines = [with_client_id(heading, client_id)]
        self._exchange = exchange
        self._amounts = MarketAmounts(exchange, placed.market)
        self._price: int = placed.price
        self._quantity: int = placed.quantity
        self._filled = 0
        self._arrival: Arrival | None = None  # while its own command is executed
        self._is_open = True
        self._result = ""
        self._position = 0

    def begin(self, entry: Entry) -> None:
        if entry.position != self._position:
            self._position = entry.position
            self.lines.append(moment_text(entry))

    def place(self, by: str, before: Exchange) -> None:
        """before: the state that the PLACE met."""
        self._say(f"placed to {terms_text(self.placed, before)}")
        self._say(f"by {by}{session_words(self.placed.session)}")
        self._arrive(before)

    def repeat(self, by: str) -> None:
        self._say(f"sent again by {by}: answered with the first result, nothing changed")

    def fill(self, fill: Fill) -> None:
        self._filled += fill.lots
        self._say(fill_text(fill, self.order_id, self._exchange))

    def amend(self, order: OrderRecord, by: str, before: Exchange) -> None:
        """before: the state that the AMEND met."""
        keeps_place = order.price == self._price and order.quantity < self._quantity
        self._price, self._quantity = order.price, order.quantity
        self._say(f"amended by {by}: {amended_text(order, before)}")
        if keeps_place:
            self._say("it keeps its place in the queue: only the quantity was lowered")
            return
        self._say("it lost its place in the queue, and is matched like a new order")
        self._arrive(before)

    def close(self, order: OrderRecord, executed: ExecutedUnit, by: str, instance: int) -> None:
        """by: who ordered the command, if one did; else instance: of the gateway that ended."""
        self._is_open = False
        self._result = result_text(order, self._exchange)
        detail = self._close_detail(order, executed, by)
        if instance:
            detail = f"; it was gateway {instance}"
        self._say(closed_text(order) + detail)

    def _close_detail(self, order: OrderRecord, executed: ExecutedUnit, by: str) -> str:
        if order.reason in BY_COMMAND:
            return f" by {by}"
        if order.reason == records.BY_SESSION_END:
            return f"; it was session {order.session}"
        if order.reason in (records.BY_FILL, records.BY_GATEWAY_END):
            return ""
        if self._arrival is not None:
            return f"; {expiry_facts(self._arrival, order.reason, order.quantity)}"
        # It rested, and an order of its own account came whose rule removes resting ones.
        assert executed.outcome is not None
        return f"; order {executed.outcome.order_id} of the same account came"

    def refused_change(self, command: Command, by: str, why: str) -> None:
        """A CANCEL or AMEND that changed nothing."""
        word = "cancel" if command.kind == records.CANCEL else "amendment"
        self._say(f"{word} by {by} was refused: {why}")

    def end_command(self, status: int) -> None:
        """Its own PLACE or AMEND is done."""
        if self._arrival is not None and status in (records.NEW, records.PARTIALLY_FILLED):
            self._say(rest_text(self._arrival, self._quantity - self._filled))
        self._arrival = None

    def state_text(self, exchange: Exchange) -> str:
        """What became of it. exchange: at the end."""
        if not self._is_open:
            return f"closed, {self._result}"
        order = exchange.tables.books[self.placed.market].slots.find(self.order_id)
        assert order is not None, "an order without CLOSED is open"
        ahead, lots, before = 0, 0, order.prev
        while before is not None:
            ahead, lots, before = ahead + 1, lots + before.remaining, before.prev
        queue = "first in the queue at this price"
        if ahead:
            orders = "1 order" if ahead == 1 else f"{ahead} orders"
            queue = f"{orders} with {self._amounts.quantity(lots)} before it at this price"
        return (
            f"open, {self._amounts.quantity_of(order.remaining, order.filled + order.remaining)}"
            f" left at {self._amounts.price(order.price)}, {queue}"
        )

    def _arrive(self, before: Exchange) -> None:
        placed = self.placed
        self._arrival = Arrival(
            before, account=placed.account, market=placed.market, side=placed.side,
            flags=placed.flags, price=self._price,
        )  # fmt: skip
        if self._arrival.crosses():
            self._say(f"{self._arrival.book_text()}: it could trade at once")

    def _say(self, text: str) -> None:
        self.lines.append(f"  {text}")


def session_words(session: int) -> str:
    """How the order came."""
    if session == records.GENERATED_SESSION:
        return ", in the generated day"
    return f", over WebSocket session {session}: cancelled when that ends" if session else ""
