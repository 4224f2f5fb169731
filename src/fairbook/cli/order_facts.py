"""The facts behind what happened to an order: the book, balance or limit that it met.

`before` is the state that its command met. Each function gives a clause, or an empty text if there
is nothing to add to the sentence of the reason (reason_text.py).
"""

from collections.abc import Callable, Iterator
from typing import Final

from fairbook.cli.amount_text import MarketAmounts, amount_text, percent_text
from fairbook.cli.command_text import time_text
from fairbook.cli.order_text import is_listed, self_trade_prevention
from fairbook.cli.record_names import (
    CAUSE_NAMES,
    MARKET_STATES,
    PERMISSION_NAMES,
    SELF_TRADE_NAMES,
    bits_text,
    name_of,
)
from fairbook.core import records
from fairbook.core.book import Book, Order
from fairbook.core.exchange import Exchange
from fairbook.core.records import Command
from fairbook.core.units import ppm_floor
from fairbook.followers.pauses import AUDIT_REASONS, OPERATOR_REASONS


class Arrival:
    """An order that comes to the book: by PLACE, or by AMEND with its new terms."""

    def __init__(
        self, before: Exchange, *, account: int, market: int, side: int, flags: int, price: int
    ) -> None:
        """price: its limit in ticks; 0: a market order."""
        self.before = before
        self.account = account
        self.side = side
        self.flags = flags
        self.price = price
        self.book: Book = before.tables.books[market]
        self.amounts = MarketAmounts(before, market)
        self.opposite = "ask" if side == records.BID else "bid"
        self._within = "at or below" if side == records.BID else "at or above"

    @property
    def best(self) -> int | None:
        """The best price of the other side, in ticks."""
        bids, asks = self.before.depth(self.book.market.id, 1)
        levels = asks if self.side == records.BID else bids
        return levels[0][0] if levels else None

    @property
    def limit(self) -> str:
        return f"its limit of {self.amounts.price(self.price)}"

    def crosses(self) -> bool:
        """Whether the best price of the other side satisfies the limit."""
        best = self.best
        if best is None or self.price == 0:
            return best is not None
        return best <= self.price if self.side == records.BID else best >= self.price

    def book_text(self) -> str:
        """What it met, such as "the best ask was 142 USDC, above its limit of 141 USDC"."""
        best = self.best
        if best is None:
            return f"there were no {self.opposite}s"
        found = f"the best {self.opposite} was {self.amounts.price(best)}"
        if self.price == 0:
            return found
        beyond = "above" if self.side == records.BID else "below"
        return f"{found}, {self._within if self.crosses() else beyond} {self.limit}"

    def none_left_text(self) -> str:
        """What it did not find any more, after it traded with all that its limit accepts."""
        if self.price == 0:
            return f"no {self.opposite}s were left"
        return f"no {self.opposite} {self._within} {self.limit} was left"

    def too_little_text(self, lots: int) -> str:
        """What the other side had for a fill-or-kill order that wanted `lots`."""
        bids, asks = self.before.depth(self.book.market.id, self.book.market.levels_max)
        within = sum(
            found for price, found in (asks if self.side == records.BID else bids)
            if (price <= self.price if self.side == records.BID else price >= self.price)
        )  # fmt: skip
        if within >= lots:
            return f"some of what was {self._within} {self.limit} was of its own account"
        return f"only {self.amounts.quantity(within)} was {self._within} {self.limit}"

    def band_text(self) -> str:
        """How far a market order may go."""
        best, band_ppm = self.best, self.book.market.band_ppm
        if best is None or band_ppm == 0:
            return ""
        way = ppm_floor(best, band_ppm)
        last = best + way if self.side == records.BID else best - way
        return (
            f"from the best {self.opposite}, {self.amounts.price(best)}, it may go no further than"
            f" {self.amounts.price(last)} ({percent_text(band_ppm)})"
        )

    def is_less_than_a_lot(self, total: int) -> bool:
        """Whether it is an order by quote whose total, in atoms, pays no lot at the best price."""
        best = self.best
        is_by_quote = self.flags & records.BY_QUOTE != 0
        return is_by_quote and best is not None and total < best * self.book.market.tick_atoms

    def own_order_met(self) -> Order | None:
        """The first order of its own account on the other side: it stops there."""
        side = self.book.asks if self.side == records.BID else self.book.bids
        for key in side.keys.best(len(side.levels)):
            order = side.levels[key].head
            while order is not None:
                if order.account == self.account:
                    return order
                order = order.next
        return None


def rest_text(arrival: Arrival, lots: int) -> str:
    """Why `lots` of an order rest."""
    rests = f"{arrival.amounts.quantity(lots)} rests at {arrival.amounts.price(arrival.price)}"
    if arrival.crosses():
        return f"{rests}: {arrival.none_left_text()}"
    return f"{rests}: {arrival.book_text()}, so nothing crossed"


def expiry_facts(arrival: Arrival, reason: int, total: int) -> str:
    """What a taker met that expired. total: its quantity in lots, or by quote in atoms."""
    if reason == records.SELF_TRADE:
        order = arrival.own_order_met()
        prevention = self_trade_prevention(arrival.flags)
        name = name_of(SELF_TRADE_NAMES, prevention, "self-trade prevention")
        name = "RejectTaker" if prevention == records.REJECT_TAKER else name
        assert order is not None, "the order that stopped it is in the book that it met"
        return f"it met order {order.id}; its rule is {name}"
    if reason == records.WALK_LIMIT:
        return f"the market allows {arrival.book.market.walk_max} orders for one command"
    if reason == records.PRICE_OUT_OF_BOUNDS:
        return arrival.band_text()
    if reason == records.FILL_OR_KILL and arrival.crosses():
        return arrival.too_little_text(total)
    if reason == records.INSUFFICIENT_LIQUIDITY and arrival.is_less_than_a_lot(total):
        return f"{arrival.book_text()}, and its total is less than one lot there"
    return arrival.none_left_text() if arrival.crosses() else arrival.book_text()


class Refusal:
    """A PLACE or AMEND that was refused. price, quantity: as in the command."""

    def __init__(self, before: Exchange, command: Command, *, market: int, side: int) -> None:
        """market: listed, or 0 if it is not known."""
        self.before = before
        self.command = command
        self.market = before.markets[market]
        self.side = side

    def facts(self, reason: int) -> str:
        """The clause of a reject; empty if there is nothing to add."""
        about_market = _ABOUT_MARKET.get(reason)
        if about_market is not None:
            known = is_listed(self.market.id, self.before)
            return about_market(self) if known else ""
        about = _ABOUT_ACCOUNT.get(reason)
        return "" if about is None else about(self)

    @property
    def amounts(self) -> MarketAmounts:
        return MarketAmounts(self.before, self.market.id)

    def funds(self) -> str:
        asset = self.market.quote if self.side == records.BID else self.market.base
        cell = self.before.tables.ledger.find(self.command.account, asset)
        available, locked = (0, 0) if cell is None else (cell.available, cell.locked)
        had = (
            f"{amount_text(self.before, asset, available)} was available,"
            f" {amount_text(self.before, asset, locked)} locked"
        )
        needed = self._needed()
        needs = "" if needed is None else f"it needed {amount_text(self.before, asset, needed)}; "
        return needs + had

    def _needed(self) -> int | None:
        """What a PLACE needs to be available; None if that depends on the book."""
        command = self.command
        by_quote = command.flags & records.BY_QUOTE != 0
        is_market = command.flags & records.MARKET_ORDER != 0
        if command.kind != records.PLACE or (is_market and by_quote != (self.side == records.BID)):
            return None
        quantity = int(command.quantity)
        if self.side == records.ASK:
            return quantity * self.market.lot_atoms
        if is_market:
            return quantity
        return int(command.price) * quantity * self.market.tick_atoms

    def price_range(self) -> str:
        market, amounts = self.market, self.amounts
        return (
            f"the market took prices from {amounts.price(market.price_min)}"
            f" to {amounts.price(market.price_max)}"
        )

    def quantity_range(self) -> str:
        market, amounts = self.market, self.amounts
        return (
            f"the market took quantities from {amounts.quantity(market.quantity_min)}"
            f" to {amounts.quantity(market.quantity_max)}"
        )

    def market_state(self) -> str:
        return f"{self.market.name} was {MARKET_STATES[self.market.state]}"

    def best_price(self) -> str:
        bids, asks = self.before.depth(self.market.id, 1)
        best = asks[0][0] if self.side == records.BID else bids[0][0]
        opposite = "ask" if self.side == records.BID else "bid"
        return f"the best {opposite} was {self.amounts.price(best)}"

    def open_orders(self) -> str:
        count = self.before.open_order_count(self.command.account)
        return f"it had {count} open orders, the limit was {self.before.tables.orders_max}"

    def credential(self) -> str:
        slot = self.command.credential()
        found = self.before.tables.accounts[self.command.account].credential(slot)
        if found is None:
            return f"there is no credential {slot}"
        if found.revoked_ns:
            return f"credential {slot} was revoked at {time_text(found.revoked_ns)}"
        if not found.is_live(self.before.time_ns):
            return f"credential {slot} expired at {time_text(found.expires_ns)}"
        return f"permissions of credential {slot}: {bits_text(PERMISSION_NAMES, found.permissions)}"

    def pauses(self) -> str:
        return ", ".join(pause_lines(self.before))


def pause_lines(exchange: Exchange) -> Iterator[str]:
    """The pauses that stand, and why."""
    for cause, name in CAUSE_NAMES.items():
        reason = int(exchange.pause(cause).reason)
        if reason:
            reasons = AUDIT_REASONS if name == "the audit" else OPERATOR_REASONS
            yield f"paused by {name}: {reasons.get(reason, f'reason {reason}')}"


_ABOUT_MARKET: Final[dict[int, Callable[[Refusal], str]]] = {
    records.INSUFFICIENT_FUNDS: Refusal.funds,
    records.BAD_PRICE: Refusal.price_range,
    records.BAD_QUANTITY: Refusal.quantity_range,
    records.MARKET_CLOSED: Refusal.market_state,
    records.WOULD_CROSS: Refusal.best_price,
}
_ABOUT_ACCOUNT: Final[dict[int, Callable[[Refusal], str]]] = {
    records.TOO_MANY_ORDERS: Refusal.open_orders,
    records.BAD_CREDENTIAL: Refusal.credential,
    records.NOT_PERMITTED: Refusal.credential,
    records.TRADING_PAUSED: Refusal.pauses,
}
