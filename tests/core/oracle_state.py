"""The state of the naive exchange, and queries on it.

Design: little is stored that can be computed. The locked amount is the sum over open orders and
open holds, a price level the sum over its orders, a book the sorted open orders. The core maintains
all of these incrementally, and must agree.
"""

from __future__ import annotations

from tests.core import wire
from tests.core.oracle_records import (
    EXCHANGE_PARAMETERS,
    Account,
    Asset,
    Credential,
    Gateway,
    Market,
    Order,
    Reference,
    Remembered,
    at_listing,
)

EXTERNAL, FEE, FIRST_USER = 0, 1, 2
OF_ACCOUNT, OF_OPERATOR, OF_GATEWAYS = range(3)

SECOND = 10**9
DAY_NS = 86_400 * SECOND
REMEMBERED_MAX = 256
REMEMBERED_NS = 600 * SECOND
SIGNATURE_NS = 130 * SECOND


class State:
    """The whole state."""

    def __init__(self) -> None:
        self.sequence = 0
        self.time_ns = 0
        self.rules = 0
        self.is_test = False
        self.is_signed = False
        self.log_id = 0
        self.parameters = at_listing(EXCHANGE_PARAMETERS)
        self.accounts = [Account(0), Account(0)]  # EXTERNAL, FEE
        self.assets: list[Asset] = []
        self.markets: list[Market] = []
        self.owned: dict[tuple[int, int], int] = {}  # account, asset -> atoms, with locked ones
        self.orders: dict[int, Order] = {}  # open ones
        self.at_price: dict[tuple[int, int], dict[int, list[Order]]] = {}  # market, side -> price
        self.orders_of: dict[int, dict[int, Order]] = {}  # account -> id
        self.remembered: dict[tuple[int, int | bytes], Remembered] = {}  # account, client id
        self.closed: dict[int, list[Remembered]] = {}  # by account, oldest first
        self.signatures: dict[bytes, int] = {}  # used ones -> time
        self.references: dict[bytes, Reference] = {}
        self.held_in_day: dict[tuple[int, int, int], int] = {}  # account, asset, day -> atoms
        self.credentials: dict[tuple[int, int], dict[int, Credential]] = {}  # owner -> slots
        self.revoked: dict[bytes, None] = {}  # hashes, oldest first
        self.operators: list[int] = []  # roles, by id
        self.pauses: dict[int, tuple[int, bytes]] = {}  # cause -> reason, hash
        self.gateways: dict[int, Gateway] = {}  # alive or waiting for ENDED; ended ones by end
        self.last_begins: dict[bytes, int] = {}  # key -> number of its last begin
        self.instance = 0  # that the commands now belong to

    # Accounts, assets, markets.

    def account(self, number: int) -> Account | None:
        """Of a user; house accounts do not count."""
        return self.accounts[number] if FIRST_USER <= number < len(self.accounts) else None

    def asset(self, number: int) -> Asset | None:
        """By id."""
        return self.assets[number - 1] if 1 <= number <= len(self.assets) else None

    def market(self, number: int) -> Market | None:
        """By id."""
        return self.markets[number - 1] if 1 <= number <= len(self.markets) else None

    # Money.

    def locked(self, account: int, asset: int) -> int:
        """Atoms that open orders and holds reserve."""
        orders = [o for o in self.orders_of.get(account, {}).values() if o.spends.id == asset]
        holds = [
            reference.atoms
            for reference in self.accounts[account].open_holds.values()
            if reference.asset == asset
        ]
        return sum(order.reserved for order in orders) + sum(holds)

    def available(self, account: int, asset: int) -> int:
        """Atoms that a new order may use."""
        return self.owned.get((account, asset), 0) - self.locked(account, asset)

    def supply(self, asset: int) -> int:
        """Atoms that were credited from outside and not paid out."""
        return -self.owned.get((EXTERNAL, asset), 0)

    def pay(self, giver: int, receiver: int, asset: int, atoms: int) -> None:
        """Move atoms. The caller has checked that they are available."""
        self.owned[giver, asset] = self.owned.get((giver, asset), 0) - atoms
        self.owned[receiver, asset] = self.owned.get((receiver, asset), 0) + atoms

    # Orders.

    def add_order(self, order: Order) -> None:
        """It is open from now on."""
        self.orders[order.id] = order
        self.orders_of.setdefault(order.account, {})[order.id] = order
        prices = self.at_price.setdefault((order.market.id, order.side), {})
        prices.setdefault(order.price, []).append(order)

    def remove_order(self, order: Order) -> None:
        """It is not open any more, or about to change its price."""
        if self.orders.pop(order.id, None) is None:
            return
        del self.orders_of[order.account][order.id]
        prices = self.at_price[order.market.id, order.side]
        prices[order.price].remove(order)
        if not prices[order.price]:
            del prices[order.price]

    def prices(self, market: Market, side: int) -> list[int]:
        """Of the open orders of one side, best first."""
        found = self.at_price.get((market.id, side), {})
        return sorted(found, reverse=side == wire.BID)

    def orders_at(self, market: Market, side: int, price: int) -> list[Order]:
        """In order of priority."""
        found = self.at_price.get((market.id, side), {}).get(price, [])
        return sorted(found, key=lambda order: order.priority)

    def lots_at(self, market: Market, side: int, price: int) -> int:
        """Open lots at one price."""
        return sum(order.rest for order in self.orders_at(market, side, price))

    def levels(self, market: Market, side: int) -> list[tuple[int, int]]:
        """(price, lots), best first."""
        prices = self.prices(market, side)
        return [(price, self.lots_at(market, side, price)) for price in prices]

    def open_orders(self, account: int) -> list[Order]:
        """Lowest id first."""
        own = self.orders_of.get(account, {})
        return sorted(own.values(), key=lambda order: order.id)

    def orders_in(self, market: Market) -> list[Order]:
        """All open ones."""
        return [order for order in self.orders.values() if order.market is market]

    def orders_of_instance(self, instance: int) -> list[Order]:
        """Those with a session, lowest id first."""
        own = [o for o in self.orders.values() if o.session and o.instance == instance]
        return sorted(own, key=lambda order: order.id)

    # Client ids and signatures.

    def forget(self) -> None:
        """Forget client ids of orders that were closed ten minutes ago, and old signatures."""
        for account, closed in self.closed.items():
            while closed and self.time_ns >= (closed[0].closed_ns or 0) + REMEMBERED_NS:
                del self.remembered[account, closed.pop(0).client_id]
        for signature, used_ns in list(self.signatures.items()):  # oldest first
            if self.time_ns < used_ns + SIGNATURE_NS:
                break
            del self.signatures[signature]

    def close_client_id(self, order: Order) -> None:
        """Its order is closed; only the last 256 of an account are kept."""
        if order.client_key is None:
            return
        known = self.remembered[order.account, order.client_key]
        known.closed_ns = self.time_ns
        closed = self.closed.setdefault(order.account, [])
        closed.append(known)
        if len(closed) > REMEMBERED_MAX:
            del self.remembered[order.account, closed.pop(0).client_id]

    # Credentials.

    def live(self, owner_kind: int, owner: int, slot: int) -> Credential | None:
        """The credential in a slot, if it has not ended."""
        found = self.credentials.get((owner_kind, owner), {}).get(slot)
        return None if found is None or found.has_ended(self.time_ns) else found

    def in_slots(self) -> dict[bytes, Credential]:
        """By hash: every credential that has a slot, ended ones included."""
        slots = [each for slots in self.credentials.values() for each in slots.values()]
        return {credential.hash: credential for credential in slots}

    def known_hashes(self) -> int:
        """How many hashes of credentials are known."""
        return len(self.revoked) + sum(each not in self.revoked for each in self.in_slots())
