"""The state of the naive exchange: accounts, assets, markets, open orders, remembered client ids.

Design: nothing is stored that can be computed. The locked amount is the sum over the open orders, a
price level the sum over its orders, a book the sorted open orders. The core maintains all of these
incrementally, and must agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.core import wire

EXTERNAL, FEE, FIRST_USER = 0, 1, 2

MAX_UNITS = 2**40
MAX_ATOMS = 2**62
MILLION = 10**6
REMEMBERED_MAX = 256
REMEMBERED_NS = 600 * 10**9

# Parameter -> (lowest, highest, at listing), as the table in docs/reference/protocol.md.
RESERVE_CAP = 1
ASSET_PARAMETERS = {RESERVE_CAP: (0, MAX_ATOMS, MAX_ATOMS)}
STATE, MAKER_FEE, TAKER_FEE, PRICE_MIN, PRICE_MAX, QUANTITY_MIN, QUANTITY_MAX, BAND, LEVELS = range(
    1, 10
)
MARKET_PARAMETERS = {
    STATE: (0, 4, 4),
    MAKER_FEE: (0, 999_999, 0),
    TAKER_FEE: (0, 999_999, 0),
    PRICE_MIN: (1, MAX_UNITS, 1),
    PRICE_MAX: (1, MAX_UNITS, MAX_UNITS),
    QUANTITY_MIN: (1, MAX_UNITS, 1),
    QUANTITY_MAX: (1, MAX_UNITS, MAX_UNITS),
    BAND: (0, 1_000_000, 0),
    LEVELS: (1, 2**20, 100_000),
}
FROZEN = 1
ACCOUNT_PARAMETERS = {FROZEN: (0, 1, 0)}
ORDERS_MAX, ACCOUNTS_MAX = 2, 3
EXCHANGE_PARAMETERS = {
    STATE: (0, 1, 0),
    ORDERS_MAX: (1, 2**20, 10_000),
    ACCOUNTS_MAX: (2, 2**31 - 1, 1_000_000),
}
OPEN, ONLY_POST, ONLY_LIMIT, ONLY_CANCEL, CLOSED = range(5)


def at_listing(parameters: dict[int, tuple[int, int, int]]) -> dict[int, int]:
    """The values before any is set."""
    return {parameter: start for parameter, (_, _, start) in parameters.items()}


@dataclass
class Asset:
    id: int
    name: bytes
    decimals: int
    parameters: dict[int, int] = field(default_factory=lambda: at_listing(ASSET_PARAMETERS))


@dataclass
class Market:
    """Two assets, their units, and two counters."""

    id: int
    name: bytes
    base: Asset
    quote: Asset
    lot_atoms: int
    tick_atoms: int
    update_id: int = 12
    last_trade_id: int = 0
    parameters: dict[int, int] = field(default_factory=lambda: at_listing(MARKET_PARAMETERS))


@dataclass
class Account:
    """Of one user."""

    user_id: int
    parameters: dict[int, int] = field(default_factory=lambda: at_listing(ACCOUNT_PARAMETERS))


@dataclass(eq=False)
class Order:
    """The terms of an order and its progress. `quantity` is quote atoms with BY_QUOTE."""

    id: int
    priority: int
    account: int
    market: Market
    side: int
    tif: int
    flags: int
    client_id: int
    session: int
    price: int
    quantity: int
    created_ns: int
    filled: int = 0
    quote: int = 0
    rate_times_received: int = 0  # ppm * atoms, exact

    @property
    def is_market(self) -> bool:
        """Whether it takes any price."""
        return bool(self.flags & wire.MARKET)

    @property
    def is_by_quote(self) -> bool:
        """Whether its quantity is in quote atoms."""
        return bool(self.flags & wire.BY_QUOTE)

    @property
    def self_trade(self) -> int:
        """The mode of self-trade prevention: two bits of the flags."""
        return self.flags >> 4 & 3

    @property
    def rest(self) -> int:
        """Lots that are not filled."""
        return self.quantity - self.filled

    @property
    def fee(self) -> int:
        """Atoms paid so far: the exact sum, rounded up once."""
        return -(-self.rate_times_received // MILLION)

    @property
    def spends(self) -> Asset:
        """The asset that it pays with: quote for a buy, base for a sell."""
        return self.market.quote if self.side == wire.BID else self.market.base

    @property
    def reserved(self) -> int:
        """Atoms locked while it is open."""
        if self.side == wire.BID:
            return self.price * self.rest * self.market.tick_atoms
        return self.rest * self.market.lot_atoms

    def satisfied_by(self, price: int) -> bool:
        """Whether its limit allows this price."""
        if self.is_market:
            return True
        return price <= self.price if self.side == wire.BID else price >= self.price

    def record(self, status: int, reason: int = 0) -> wire.Record:
        """The order as events carry it."""
        return wire.Record(
            self.side, reason, self.market.id, status, self.flags,
            self.account, self.client_id, self.session, self.tif, self.id,
            self.price, self.quantity, self.filled, self.quote, self.created_ns, self.fee,
        )  # fmt: skip


@dataclass
class Receipt:
    """A remembered client id: the payload of the order and the outcome of its PLACE."""

    client_id: int
    payload: tuple[int, ...]
    order_id: int
    outcome: wire.Outcome | None = None
    closed_ns: int | None = None


class State:
    """The whole state, and queries on it."""

    def __init__(self) -> None:
        self.sequence = 0
        self.time_ns = 0
        self.rules = 0
        self.parameters = at_listing(EXCHANGE_PARAMETERS)
        self.accounts = [Account(0), Account(0)]  # EXTERNAL, FEE
        self.assets: list[Asset] = []
        self.markets: list[Market] = []
        self.owned: dict[
            tuple[int, int], int
        ] = {}  # (account, asset) -> atoms, locked ones included
        self.orders: dict[int, Order] = {}  # open ones
        self.receipts: dict[tuple[int, int], Receipt] = {}  # by account and client id
        self.closed_receipts: dict[int, list[Receipt]] = {}  # by account, oldest first

    def account(self, number: int) -> Account | None:
        """Of a user; house accounts do not count."""
        return self.accounts[number] if FIRST_USER <= number < len(self.accounts) else None

    def asset(self, number: int) -> Asset | None:
        """By id."""
        return self.assets[number - 1] if 1 <= number <= len(self.assets) else None

    def market(self, number: int) -> Market | None:
        """By id."""
        return self.markets[number - 1] if 1 <= number <= len(self.markets) else None

    def locked(self, account: int, asset: int) -> int:
        """Atoms that open orders reserve."""
        own = (order for order in self.orders.values() if order.account == account)
        return sum(order.reserved for order in own if order.spends.id == asset)

    def available(self, account: int, asset: int) -> int:
        """Atoms that a new order may use."""
        return self.owned.get((account, asset), 0) - self.locked(account, asset)

    def supply(self, asset: int) -> int:
        """Atoms that were credited from outside and not paid out."""
        return -self.owned.get((EXTERNAL, asset), 0)

    def book(self, market: Market, side: int) -> list[Order]:
        """The open orders of one side, in order of priority."""
        sign = -1 if side == wire.BID else 1
        found = [o for o in self.orders.values() if o.market is market and o.side == side]
        return sorted(found, key=lambda order: (sign * order.price, order.priority))

    def levels(self, market: Market, side: int) -> list[tuple[int, int]]:
        """(price, lots), best first."""
        lots: dict[int, int] = {}
        for order in self.book(market, side):
            lots[order.price] = lots.get(order.price, 0) + order.rest
        return list(lots.items())

    def open_orders(self, account: int) -> list[Order]:
        """Lowest id first."""
        own = [order for order in self.orders.values() if order.account == account]
        return sorted(own, key=lambda order: order.id)

    def pay(self, giver: int, receiver: int, asset: Asset, atoms: int) -> None:
        """Move atoms. The caller has checked that they are available."""
        self.owned[giver, asset.id] = self.owned.get((giver, asset.id), 0) - atoms
        self.owned[receiver, asset.id] = self.owned.get((receiver, asset.id), 0) + atoms

    def forget_old_receipts(self, time_ns: int) -> None:
        """Forget receipts that were closed ten minutes ago."""
        for account, closed in self.closed_receipts.items():
            while closed and time_ns >= (closed[0].closed_ns or 0) + REMEMBERED_NS:
                del self.receipts[account, closed.pop(0).client_id]

    def close_receipt(self, order: Order, time_ns: int) -> None:
        """Mark a receipt as closed; only the last 256 of an account are kept."""
        if not order.flags & wire.HAS_CLIENT_ID:
            return
        receipt = self.receipts[order.account, order.client_id]
        receipt.closed_ns = time_ns
        closed = self.closed_receipts.setdefault(order.account, [])
        closed.append(receipt)
        if len(closed) > REMEMBERED_MAX:
            del self.receipts[order.account, closed.pop(0).client_id]
