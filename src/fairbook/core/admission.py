"""Admission: every reason why an order may not be placed, checked before anything changes.

How it works: the checks stand in the order of precedence of docs/reference/protocol.md.
Bounds come before
every multiplication.

Always true: nothing here changes anything.

Not here: what accepted orders do (matching.py); who asks (exchange.py).
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64

from fairbook.core.accounts import Account
from fairbook.core.book import Book, Order
from fairbook.core.markets import Market
from fairbook.core.matching import NO_BUDGET, Matcher, lowest_key
from fairbook.core.records import (
    ACCOUNT_FROZEN,
    ASK,
    BAD_PRICE,
    BAD_QUANTITY,
    BID,
    BOOK_FULL,
    BY_QUOTE,
    FOK,
    GTC,
    INSUFFICIENT_FUNDS,
    IOC,
    LOW,
    MARKET_CLOSED,
    MARKET_ORDER,
    ONLY_CANCEL,
    ONLY_LIMIT,
    ONLY_POST,
    POST_ONLY,
    STP_MASK,
    STP_SHIFT,
    TOO_MANY_ORDERS,
    TRADING_PAUSED,
    WOULD_CROSS,
)
from fairbook.core.registry import Registry
from fairbook.core.units import MAX_ATOMS, MAX_UNITS, fits

EVERY_LOT: Final = MAX_ATOMS  # "no bound in lots" for an order by quote
FLAGS_KNOWN: Final = 63


def malformed_place(side: i64, tif: i64, flags: i64, price: i64) -> bool:
    """Whether the terms of a PLACE contradict themselves."""
    if side > ASK or tif > FOK or flags > FLAGS_KNOWN or flags >> STP_SHIFT & STP_MASK == STP_MASK:
        return True
    if flags & MARKET_ORDER != 0:
        return tif != IOC or price != 0 or flags & POST_ONLY != 0
    return flags & BY_QUOTE != 0 or (flags & POST_ONLY != 0 and tif != GTC)


def bad_lots(market: Market, flags: i64, price: i64, lots: i64) -> bool:
    """Whether a quantity in lots is out of range, alone or times the price."""
    if lots < 1 or lots > MAX_UNITS or lots < market.quantity_min or lots > market.quantity_max:
        return True
    if not fits(lots, market.lot_atoms):
        return True
    # price * lots is at most 2^80: divide twice instead of multiplying.
    return flags & MARKET_ORDER == 0 and price > MAX_ATOMS // market.tick_atoms // lots


def bad_price(market: Market, price: i64) -> bool:
    """Whether a limit price is out of the market's range, which lies in 1..2^40."""
    return price < market.price_min or price > market.price_max


def may_trade(market: Market, flags: i64) -> bool:
    """Whether the market's state admits an order with these flags."""
    state = market.state
    if state >= ONLY_CANCEL:
        return False
    if state == ONLY_POST:
        return flags & POST_ONLY != 0
    return state != ONLY_LIMIT or flags & MARKET_ORDER == 0


@final
class Admission:
    """The checks that need the state."""

    def __init__(self, registry: Registry, matcher: Matcher) -> None:
        self.registry = registry
        self.matcher = matcher

    def refusal(
        self,
        account: Account,
        book: Book,
        side: i64,
        tif: i64,
        flags: i64,
        price: i64,
        quantity: i64,
    ) -> i64:
        """Why an order may not be placed, whatever money there is; 0 if it may."""
        market = book.market
        if account.frozen:
            return ACCOUNT_FROZEN
        if self.registry.cancel_only:
            return TRADING_PAUSED
        if not may_trade(market, flags):
            return MARKET_CLOSED
        if flags & MARKET_ORDER == 0 and bad_price(market, price):
            return BAD_PRICE
        if flags & BY_QUOTE != 0:
            if quantity < 1 or quantity > MAX_ATOMS:
                return BAD_QUANTITY
        elif bad_lots(market, flags, price, quantity):
            return BAD_QUANTITY
        if tif == GTC:
            if account.open >= self.registry.orders_max:
                return TOO_MANY_ORDERS
            half = book.half(side)
            if len(half.keys) >= market.levels_max and not half.has(price):
                return BOOK_FULL
        if self.matcher.slots.full():
            return BOOK_FULL
        return 0

    def unfunded(
        self,
        account: i64,
        book: Book,
        side: i64,
        flags: i64,
        price: i64,
        quantity: i64,
        key_min: i64,
    ) -> i64:
        """INSUFFICIENT_FUNDS if an order needs more than is available, else 0."""
        market = book.market
        ledger = self.registry.ledger
        asset = market.quote if side == BID else market.base
        available = ledger.cell(account, asset).available
        if flags & MARKET_ORDER == 0 or (flags & BY_QUOTE == 0) == (side == ASK):
            # What it needs is known: the notional, the base atoms, or the budget.
            needed = quantity
            if side == ASK:
                needed = quantity * market.lot_atoms
            elif flags & MARKET_ORDER == 0:
                needed = price * quantity * market.tick_atoms
            return INSUFFICIENT_FUNDS if needed > available else 0
        lots_cap: i64 = MAX_ATOMS
        quote_cap: i64 = MAX_ATOMS
        if side == BID:
            quote_cap = available
        else:
            lots_cap = available // market.lot_atoms
        by_quote = flags & BY_QUOTE != 0
        walk = self.matcher.walk
        walk.run(
            book,
            side,
            account,
            flags >> STP_SHIFT & STP_MASK,
            key_min,
            EVERY_LOT if by_quote else quantity,
            quantity if by_quote else NO_BUDGET,
            lots_cap,
            quote_cap,
        )
        return INSUFFICIENT_FUNDS if walk.over else 0

    def amend_refusal(self, order: Order, price: i64, quantity: i64) -> i64:
        """Why an open order may not get these terms; 0 if it may. `quantity` is the new total."""
        book = order.book
        market = book.market
        side = order.side
        account = order.who & LOW
        if self.registry.accounts[account].frozen:
            return ACCOUNT_FROZEN
        if self.registry.cancel_only:
            return TRADING_PAUSED
        if not may_trade(market, order.flags):
            return MARKET_CLOSED
        if bad_price(market, price):
            return BAD_PRICE
        if quantity <= order.filled or bad_lots(market, order.flags, price, quantity):
            return BAD_QUANTITY
        half = book.half(side)
        if price != order.price and len(half.keys) >= market.levels_max and not half.has(price):
            return BOOK_FULL
        rest = quantity - order.filled
        ledger = self.registry.ledger
        if side == BID:
            more = (price * rest - order.price * order.rest) * market.tick_atoms
            available = ledger.cell(account, market.quote).available
        else:
            more = (rest - order.rest) * market.lot_atoms
            available = ledger.cell(account, market.base).available
        if more > available:
            return INSUFFICIENT_FUNDS
        if order.flags & POST_ONLY != 0 and book.half(1 - side).crosses(lowest_key(side, price)):
            return WOULD_CROSS
        return 0
