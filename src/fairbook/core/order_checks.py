"""The reasons why an order cannot be placed or amended, checked before anything changes.

The checks stand in the order of precedence of docs/reference/protocol.md. Values are bounded before
they are multiplied. Nothing here changes the state.
"""

from typing import Final, final

from mypy_extensions import i64

from fairbook.core import records
from fairbook.core.admin_records import ONLY_CANCEL, ONLY_LIMIT, ONLY_POST
from fairbook.core.book import Book, Order
from fairbook.core.ledger import Cell
from fairbook.core.markets import Market
from fairbook.core.matching import NO_BUDGET, NO_CAP, Matcher, lowest_key
from fairbook.core.records import Command
from fairbook.core.tables import Tables
from fairbook.core.trading_account import Account
from fairbook.core.units import MAX_ATOMS, MAX_UNITS

EVERY_LOT: Final = MAX_ATOMS  # "no bound in lots" for an order by quote
FLAGS_KNOWN: Final = 63
_SMALL: Final = 1 << 31  # two numbers below it have a product below 2^62
LAST_ORDER_SEQUENCE: Final = (1 << 43) - (1 << 40)  # ids end at 2^43


def is_malformed_place(command: Command) -> bool:
    """Whether the terms of a PLACE contradict themselves."""
    tif, flags = command.tif, command.flags
    if tif > records.FOK or flags > FLAGS_KNOWN:
        return True
    if flags >> records.STP_SHIFT & records.STP_MASK == records.STP_MASK:
        return True
    if flags & records.MARKET_ORDER != 0:
        return tif != records.IOC or command.price != 0 or flags & records.POST_ONLY != 0
    return flags & records.BY_QUOTE != 0 or (flags & records.POST_ONLY != 0 and tif != records.GTC)


def bad_lots(market: Market, lots: i64, price: i64) -> bool:
    """Whether a quantity in lots is out of range, alone or times the price; 0: any price."""
    if lots < 1 or lots > MAX_UNITS or lots < market.quantity_min or lots > market.quantity_max:
        return True
    if lots > market.lots_max:
        return True
    if price < _SMALL and lots < _SMALL:
        return price * lots > market.tick_lots_max
    # The product is at most 2^80: divide instead of multiplying.
    return price > market.tick_lots_max // lots


def bad_price(market: Market, price: i64) -> bool:
    """Whether a limit price is out of the market's range, which lies in 1..2^40."""
    return price < market.price_min or price > market.price_max


def state_admits(market: Market, flags: i64) -> bool:
    state = market.state
    if state >= ONLY_CANCEL:
        return False
    if state == ONLY_POST:
        return flags & records.POST_ONLY != 0
    return state != ONLY_LIMIT or flags & records.MARKET_ORDER == 0


def credential_reject(account: Account, slot: i64, permission: i64, time_ns: i64) -> i64:
    """Whether the credential that acts is live and may do this. Slot 0: the exchange itself."""
    if slot == 0:
        return 0
    credential = account.credential(slot)
    if credential is None or not credential.is_live(time_ns):
        return records.BAD_CREDENTIAL
    return 0 if credential.permissions & permission != 0 else records.NOT_PERMITTED


@final
class OrderChecks:
    """The checks that need the state. Each returns a reject code, or 0."""

    def __init__(self, tables: Tables, matcher: Matcher) -> None:
        self.tables = tables
        self.matcher = matcher

    def place_reject(self, command: Command, account: Account, book: Book) -> i64:
        """All reasons but the lack of money."""
        market = book.market
        flags, price = command.flags, command.price
        if account.frozen:
            return records.ACCOUNT_FROZEN
        if self.tables.paused:
            return records.TRADING_PAUSED
        if not state_admits(market, flags):
            return records.MARKET_CLOSED
        if flags & records.MARKET_ORDER == 0 and bad_price(market, price):
            return records.BAD_PRICE
        if flags & records.BY_QUOTE != 0:
            if command.quantity < 1 or command.quantity > MAX_ATOMS:
                return records.BAD_QUANTITY
        elif bad_lots(market, command.quantity, price):
            return records.BAD_QUANTITY
        if command.tif == records.GTC:
            if account.open >= self.tables.orders_max:
                return records.TOO_MANY_ORDERS
            own_side = book.side(command.side)
            if len(own_side.levels) >= market.levels_max and not own_side.has(price):
                return records.BOOK_FULL
        if book.slots.is_full():
            return records.BOOK_FULL
        if command.sequence >= LAST_ORDER_SEQUENCE:
            return records.TABLE_FULL
        return 0

    def funds_reject(self, command: Command, pays: Cell, book: Book, key_min: i64) -> i64:
        """INSUFFICIENT_FUNDS if an order needs more than the cell has that pays it, else 0."""
        market = book.market
        side, flags, quantity = command.side, command.flags, command.quantity
        available = pays.available
        by_quote = flags & records.BY_QUOTE != 0
        if flags & records.MARKET_ORDER == 0 or by_quote == (side == records.BID):
            # What it needs is known: the notional, the base atoms, or the budget.
            needed = quantity
            if side == records.ASK:
                needed = quantity * market.lot_atoms
            elif flags & records.MARKET_ORDER == 0:
                needed = command.price * quantity * market.tick_atoms
            return records.INSUFFICIENT_FUNDS if needed > available else 0
        book.begin_walk(self.matcher.frame, command.sequence)
        dry_run = self.matcher.dry_run
        dry_run.run(
            book,
            side=side,
            account=command.account,
            prevention=flags >> records.STP_SHIFT & records.STP_MASK,
            key_min=key_min,
            lots=EVERY_LOT if by_quote else quantity,
            budget=quantity if by_quote else NO_BUDGET,
            lots_cap=NO_CAP if side == records.BID else available // market.lot_atoms,
            quote_cap=available if side == records.BID else NO_CAP,
        )
        return records.INSUFFICIENT_FUNDS if dry_run.over else 0

    def amend_reject(self, order: Order, price: i64, quantity: i64) -> i64:
        """`quantity` is the new total."""
        book = order.book
        market = book.market
        if self.tables.accounts[order.account].frozen:
            return records.ACCOUNT_FROZEN
        if self.tables.paused:
            return records.TRADING_PAUSED
        if not state_admits(market, order.flags):
            return records.MARKET_CLOSED
        if bad_price(market, price):
            return records.BAD_PRICE
        if quantity <= order.filled or bad_lots(market, quantity, price):
            return records.BAD_QUANTITY
        remaining = quantity - order.filled
        keeps_place = price == order.price and remaining < order.remaining
        # Its fills after this may add 2^62 at once, and then its rest: below 2^63 in all.
        if not keeps_place and order.quote > MAX_ATOMS - price * remaining * market.tick_atoms:
            return records.BAD_QUANTITY
        if price != order.price:
            own_side = book.side(order.side)
            if len(own_side.levels) >= market.levels_max and not own_side.has(price):
                return records.BOOK_FULL
        if order.side == records.BID:
            more = (price * remaining - order.price * order.remaining) * market.tick_atoms
        else:
            more = (remaining - order.remaining) * market.lot_atoms
        if more > order.pays.available:
            return records.INSUFFICIENT_FUNDS
        post_only = order.flags & records.POST_ONLY != 0
        if post_only and book.side(1 - order.side).crosses(lowest_key(order.side, price)):
            return records.WOULD_CROSS
        return 0
