"""Stateless checks of the naive exchange; each is one sentence of docs/reference/protocol.md
("Parts", "Rejects", "Rules").
"""

from __future__ import annotations

from fractions import Fraction

from tests.core import wire
from tests.core.commands import Command
from tests.core.oracle_records import (
    ACCOUNT_PARAMETERS,
    ASSET_PARAMETERS,
    BAND,
    EXCHANGE_PARAMETERS,
    MARKET_PARAMETERS,
    MAX_ATOMS,
    MILLION,
    PRICE_MAX,
    PRICE_MIN,
    QUANTITY_MAX,
    QUANTITY_MIN,
    Asset,
    Market,
    Order,
    Ranges,
)
from tests.core.wire import Kind, Reject

LISTED_MAX = 4096
LISTED_ATOMS_MAX = 10**18
NAME_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
TEXT_CHARACTERS = NAME_CHARACTERS + b"abcdefghijklmnopqrstuvwxyz.:/-"
TEXT, SIGNATURE, DETAIL, OPERATOR = 1, 2, 4, 8
ALLOWED_PARTS = {
    **dict.fromkeys((Kind.PLACE, Kind.CANCEL, Kind.AMEND), TEXT | SIGNATURE),
    Kind.CANCEL_ALL: SIGNATURE | OPERATOR,
    **dict.fromkeys((Kind.TICK, Kind.END_SESSION, Kind.END_GATEWAY), 0),
    Kind.BEGIN_GATEWAY: DETAIL,
    Kind.ADD_CREDENTIAL: DETAIL | OPERATOR,
    Kind.REVOKE_CREDENTIAL: DETAIL | OPERATOR,
    Kind.HOLD: DETAIL | OPERATOR,
    Kind.PAUSE: DETAIL | OPERATOR,
}  # the others: OPERATOR
NEED_DETAIL = (Kind.HOLD, Kind.ADD_CREDENTIAL, Kind.REVOKE_CREDENTIAL)
WITH_REFERENCE = (
    Kind.CREDIT, Kind.DEBIT, Kind.HOLD, Kind.RELEASE, Kind.CAPTURE, Kind.CONFIRM_CREDIT,
    Kind.REFUSE_CREDIT,
)  # fmt: skip
PARAMETERS: dict[int, Ranges] = {
    Kind.SET_ASSET: ASSET_PARAMETERS,
    Kind.SET_MARKET: MARKET_PARAMETERS,
    Kind.SET_ACCOUNT: ACCOUNT_PARAMETERS,
    Kind.SET_EXCHANGE: EXCHANGE_PARAMETERS,
}
TYPES_OF_OWNER = {0: (1, 2, 3, 4), 1: (1, 2, 3, 4), 2: (5,)}
PERMISSIONS = 1 | 2 | 4


def is_malformed(c: Command) -> bool:
    """Whether the command is malformed regardless of the state."""
    if not Kind.RULES <= c.kind <= Kind.NOTE or has_bad_parts(c):
        return True
    match c.kind:
        case Kind.PLACE:
            return is_malformed_order(c)
        case Kind.AMEND:
            return c.price < 0 or c.quantity < 0 or c.price == c.quantity == 0
        case Kind.END_SESSION:
            return c.session == 0
        case Kind.OPEN_ACCOUNT:
            return c.order_id < 1
        case Kind.LIST_ASSET:
            return c.market == 0 or not has_good_name(c) or not 0 <= c.order_id <= 18
        case Kind.LIST_MARKET:
            return c.market == 0 or not has_good_name(c)
        case Kind.ADD_CREDENTIAL:
            return (
                c.variant not in TYPES_OF_OWNER
                or c.session not in TYPES_OF_OWNER[c.variant]
                or c.parameter & ~PERMISSIONS != 0
            )
        case Kind.REVOKE_CREDENTIAL:
            return c.variant not in TYPES_OF_OWNER
        case Kind.SET_OPERATOR:
            return c.account == 0
        case Kind.PAUSE:
            return c.variant > 1 or c.parameter == 0
        case Kind.RESUME:
            return c.variant > 1
        case Kind.NOTE:
            return not 1 <= c.variant <= 40
    if c.kind in WITH_REFERENCE:
        return c.reference == bytes(16)
    return c.kind in PARAMETERS and c.parameter not in PARAMETERS[c.kind]


def has_bad_parts(c: Command) -> bool:
    """Whether a part is missing, not allowed, or a text that is none."""
    return (
        not c.has_its_parts
        or c.parts & ~ALLOWED_PARTS.get(Kind(c.kind), OPERATOR) != 0
        or (c.kind in NEED_DETAIL and c.detail is None)
        or (c.text is not None and bool(c.flags & wire.HAS_CLIENT_ID or not is_text(c.text)))
    )


def is_text(text: bytes) -> bool:
    """Whether it is a client id as a text: the decimal of a number is none."""
    if not text or any(character not in TEXT_CHARACTERS for character in text):
        return False
    return not text.isdigit() or int(text) >= 2**32 or str(int(text)).encode() != text


def is_malformed_order(c: Command) -> bool:
    """Whether the flags, the time in force and the price of a PLACE contradict each other."""
    is_market, is_post_only = c.flags & wire.MARKET, c.flags & wire.POST_ONLY
    return bool(
        c.tif > 2
        or c.flags > 63
        or c.self_trade == 3
        or (c.flags & wire.BY_QUOTE and not is_market)
        or (is_market and (is_post_only or c.tif != wire.IOC or c.price))
        or (is_post_only and c.tif != wire.GTC)
    )


def name_of(c: Command) -> bytes:
    """The name without its padding."""
    return c.name.rstrip(b"\0")


def has_good_name(c: Command) -> bool:
    """1 to 16 of A-Z 0-9 _, then only NUL."""
    name = name_of(c)
    return len(name) >= 1 and all(character in NAME_CHARACTERS for character in name)


def has_bad_quantity(order: Order) -> bool:
    """Whether the quantity or a product of it is out of bounds."""
    if order.is_by_quote:
        return not 1 <= order.quantity <= MAX_ATOMS
    market = order.market
    return (
        not market.parameters[QUANTITY_MIN] <= order.quantity <= market.parameters[QUANTITY_MAX]
        or order.quantity * market.lot_atoms > MAX_ATOMS
        or order.price * order.quantity * market.tick_atoms > MAX_ATOMS
    )


def is_beyond_band(order: Order, best: int, price: int) -> bool:
    """Whether this price is outside of the band of a market order."""
    band_ppm = order.market.parameters[BAND]
    return band_ppm > 0 and abs(price - best) > best * band_ppm // MILLION


def status_of_open(order: Order) -> int:
    """NEW, or PARTIALLY_FILLED."""
    return wire.PARTIALLY_FILLED if order.filled else wire.NEW


def listing_failures(c: Command, listed: list[Asset] | list[Market]) -> set[Reject]:
    """Checks that assets and markets share."""
    failed: set[Reject] = set()
    if c.market <= len(listed) or name_of(c) in [thing.name for thing in listed]:
        failed.add(Reject.ALREADY_LISTED)
    if c.market != len(listed) + 1:
        failed.add(Reject.BAD_VALUE)
    if len(listed) >= LISTED_MAX:
        failed.add(Reject.TABLE_FULL)
    return failed


def is_tick_size(lot_atoms: int, tick_atoms: int, base: Asset, quote: Asset) -> bool:
    """Whether lot and tick are in range and the tick's price has at most 18 decimals."""
    if not (1 <= lot_atoms <= LISTED_ATOMS_MAX and 1 <= tick_atoms <= LISTED_ATOMS_MAX):
        return False
    size = Fraction(tick_atoms, 10**quote.decimals) / Fraction(lot_atoms, 10**base.decimals)
    return (size * 10**18).denominator == 1


def has_sound_ranges(kind: int, parameters: dict[int, int]) -> bool:
    """min <= max."""
    if kind != Kind.SET_MARKET:
        return True
    return (
        parameters[PRICE_MIN] <= parameters[PRICE_MAX]
        and parameters[QUANTITY_MIN] <= parameters[QUANTITY_MAX]
    )
