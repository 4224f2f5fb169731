"""What the state of the naive exchange consists of; parameters as docs/reference/protocol.md lists
them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.core import wire

MAX_UNITS = 2**40
MAX_ATOMS = 2**62
MILLION = 10**6

# Parameter -> (lowest, highest, at listing).
Ranges = dict[int, tuple[int, int, int]]

RESERVE_CAP, CREDIT_MAX, DAILY_WITHDRAWAL_MAX = range(1, 4)
ASSET_PARAMETERS: Ranges = {
    RESERVE_CAP: (0, MAX_ATOMS, MAX_ATOMS),
    CREDIT_MAX: (0, MAX_ATOMS, MAX_ATOMS),
    DAILY_WITHDRAWAL_MAX: (0, MAX_ATOMS, MAX_ATOMS),
}
(
    STATE, MAKER_FEE, TAKER_FEE, PRICE_MIN, PRICE_MAX, QUANTITY_MIN, QUANTITY_MAX, BAND, LEVELS,
    WALK_MAX,
) = range(1, 11)  # fmt: skip
MARKET_PARAMETERS: Ranges = {
    STATE: (0, 4, 4),
    MAKER_FEE: (0, 999_999, 0),
    TAKER_FEE: (0, 999_999, 0),
    PRICE_MIN: (1, MAX_UNITS, 1),
    PRICE_MAX: (1, MAX_UNITS, MAX_UNITS),
    QUANTITY_MIN: (1, MAX_UNITS, 1),
    QUANTITY_MAX: (1, MAX_UNITS, MAX_UNITS),
    BAND: (0, 1_000_000, 0),
    LEVELS: (1, 2**20, 100_000),
    WALK_MAX: (1, 4_000, 1_000),
}
FROZEN, FEE_GROUP = 1, 2
ACCOUNT_PARAMETERS: Ranges = {
    FROZEN: (0, 1, 0),
    FEE_GROUP: (0, 255, 0),
    DAILY_WITHDRAWAL_MAX: (-1, MAX_ATOMS, -1),
}
(
    ORDERS_MAX, ACCOUNTS_MAX, CREDENTIALS_MAX, OWNER_CREDENTIALS_MAX, REFERENCES_MAX,
    WITHDRAWAL_DELAY_S,
) = range(1, 7)  # fmt: skip
EXCHANGE_PARAMETERS: Ranges = {
    ORDERS_MAX: (1, 16_384, 10_000),
    ACCOUNTS_MAX: (2, 2**31 - 1, 1_000_000),
    CREDENTIALS_MAX: (1, 2**31 - 1, 2_000_000),
    OWNER_CREDENTIALS_MAX: (1, 65_535, 128),
    REFERENCES_MAX: (1, 2**31 - 1, 1_000_000),
    WITHDRAWAL_DELAY_S: (0, 10**9, 0),
}
OPEN, ONLY_POST, ONLY_LIMIT, ONLY_CANCEL, CLOSED = range(5)


def at_listing(parameters: Ranges) -> dict[int, int]:
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
    """Two assets, their units, counters, and what the commands of this frame have looked at."""

    id: int
    name: bytes
    base: Asset
    quote: Asset
    lot_atoms: int
    tick_atoms: int
    update_id: int = 12
    last_trade_id: int = 0
    parameters: dict[int, int] = field(default_factory=lambda: at_listing(MARKET_PARAMETERS))
    group_fees: dict[tuple[int, int], int] = field(default_factory=dict)  # group, parameter -> ppm
    given_back: list[int] = field(default_factory=list)  # slots of order ids, the last one last
    slots_used: int = 0
    looked_at: int = 0

    def fee_ppm(self, parameter: int, group: int) -> int:
        """MAKER_FEE or TAKER_FEE of the accounts of a group."""
        own = self.group_fees.get((group, parameter), -1)
        return self.parameters[parameter] if own == -1 else own

    def take_slot(self) -> int:
        """For an order id."""
        if self.given_back:
            return self.given_back.pop()
        self.slots_used += 1
        return self.slots_used - 1


@dataclass
class Account:
    """Of one user."""

    user_id: int
    parameters: dict[int, int] = field(default_factory=lambda: at_listing(ACCOUNT_PARAMETERS))
    daily_max: dict[int, int] = field(default_factory=dict)  # asset -> atoms, or -1
    open_holds: dict[bytes, Reference] = field(default_factory=dict)


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
    instance: int
    client_key: int | bytes | None
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
    def notional(self) -> int:
        """Quote atoms of its rest."""
        return self.price * self.rest * self.market.tick_atoms

    @property
    def reserved(self) -> int:
        """Atoms locked while it is open."""
        return self.notional if self.side == wire.BID else self.rest * self.market.lot_atoms

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
class Remembered:
    """A remembered client id: the payload of the order and the outcome of its PLACE."""

    client_id: int | bytes
    payload: tuple[int, ...]
    order_id: int
    outcome: wire.Outcome | None = None
    closed_ns: int | None = None


@dataclass
class Reference:
    """A CREDIT, DEBIT or HOLD that was executed, and what became of it: the last movement."""

    reference: bytes
    payload: tuple[int | bytes, ...]
    account: int
    asset: int
    atoms: int
    operator: int
    sequence: int
    day: int
    was_pending: bool
    movement: int

    @property
    def is_hold(self) -> bool:
        """Whether it was made by HOLD."""
        return self.movement in (wire.HELD, wire.RELEASED, wire.CAPTURED)


@dataclass
class Credential:
    """In a slot of its owner."""

    hash: bytes
    owner_kind: int
    owner: int
    slot: int
    type: int
    permissions: int
    expires_ns: int
    added_ns: int
    revoked_ns: int | None = None

    def has_ended(self, time_ns: int) -> bool:
        """Whether it was revoked or has expired."""
        return self.revoked_ns is not None or 0 < self.expires_ns <= time_ns

    @property
    def ended_ns(self) -> int:
        """Of one that has ended: when."""
        ends = [self.revoked_ns, self.expires_ns or None]
        return min(end for end in ends if end is not None)


@dataclass
class Gateway:
    """An instance."""

    instance: int
    key: bytes
    last_ns: int
    last_number: int = 0
    has_ended: bool = False
