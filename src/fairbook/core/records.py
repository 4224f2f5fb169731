"""The bytes of commands and events: their codes, how commands are built, how both are read.

Layout in words: docs/reference/protocol.md. A command has 48 bytes. An event is a head word and
whole words after it; the head holds the number of words, so a reader can skip an event that it does
not know. All numbers are little-endian and signed 64 bit, or fields of such a word.

Offsets stand in this module alone. event_writer.py writes events word by word in the order in which
the classes here read them.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, final

from librt.strings import read_i64_le
from mypy_extensions import i64, mypyc_attr

COMMAND_BYTES: Final = 48

# Kinds of commands.
RULES: Final = 1
TICK: Final = 2
PLACE: Final = 3
CANCEL: Final = 4
AMEND: Final = 5
CANCEL_ALL: Final = 6
END_SESSION: Final = 7
OPEN_ACCOUNT: Final = 8
CREDIT: Final = 9
DEBIT: Final = 10
LIST_ASSET: Final = 11
LIST_MARKET: Final = 12
SET_ASSET: Final = 13
SET_MARKET: Final = 14
SET_ACCOUNT: Final = 15
SET_EXCHANGE: Final = 16

BID: Final = 0
ASK: Final = 1

GTC: Final = 0
IOC: Final = 1
FOK: Final = 2

# Flags of a command, kept by its order. Self-trade prevention is a field of two bits.
HAS_CLIENT_ID: Final = 1
POST_ONLY: Final = 2
MARKET_ORDER: Final = 4
BY_QUOTE: Final = 8
STP_SHIFT: Final = 4
STP_MASK: Final = 3
REJECT_TAKER: Final = 0
REJECT_MAKER: Final = 1
REJECT_BOTH: Final = 2

# The session of orders that were made by the generator of the demo's first day.
GENERATED_SESSION: Final = 0xFFFFFFFF

# Parameters of SET commands, per kind.
RESERVE_CAP: Final = 1
STATE: Final = 1
MAKER_FEE_PPM: Final = 2
TAKER_FEE_PPM: Final = 3
PRICE_MIN: Final = 4
PRICE_MAX: Final = 5
QUANTITY_MIN: Final = 6
QUANTITY_MAX: Final = 7
BAND_PPM: Final = 8
LEVELS_MAX: Final = 9
FROZEN: Final = 1
ORDERS_MAX: Final = 2
ACCOUNTS_MAX: Final = 3

# States of a market; the exchange itself knows OPEN and its own CANCEL_ONLY.
OPEN: Final = 0
ONLY_POST: Final = 1
ONLY_LIMIT: Final = 2
ONLY_CANCEL: Final = 3
CLOSED_STATE: Final = 4
EXCHANGE_CANCEL_ONLY: Final = 1

# Kinds of events.
OUTCOME: Final = 1
ACCEPTED: Final = 2
FILL: Final = 3
LEVEL: Final = 4
CLOSED: Final = 5
AMENDED: Final = 6
ORDER: Final = 7
MOVED: Final = 8
ACCOUNT: Final = 9
ASSET: Final = 10
MARKET: Final = 11
PARAMETER: Final = 12

REPEATED: Final = 1  # flag of OUTCOME

# Status of an order, or of a command.
REJECTED: Final = 0
NEW: Final = 1
PARTIALLY_FILLED: Final = 2
FILLED: Final = 3
CANCELLED: Final = 4
EXPIRED: Final = 5
DONE: Final = 6

# Why an order was closed.
BY_FILL: Final = 1
BY_REQUEST: Final = 2
BY_CANCEL_ALL: Final = 3
BY_SESSION_END: Final = 4
IMMEDIATE_OR_CANCEL: Final = 5
FILL_OR_KILL: Final = 6
SELF_TRADE: Final = 7
INSUFFICIENT_LIQUIDITY: Final = 8
PRICE_OUT_OF_BOUNDS: Final = 9

# Rejects; numbered in their order of precedence.
MALFORMED: Final = 1
NO_RULES: Final = 2
UNKNOWN_ACCOUNT: Final = 3
UNKNOWN_MARKET: Final = 4
UNKNOWN_ASSET: Final = 5
DUPLICATE_CLIENT_ID: Final = 6
UNKNOWN_ORDER: Final = 7
ALREADY_LISTED: Final = 8
BAD_VALUE: Final = 9
ACCOUNT_FROZEN: Final = 10
TRADING_PAUSED: Final = 11
MARKET_CLOSED: Final = 12
BAD_PRICE: Final = 13
BAD_QUANTITY: Final = 14
TOO_MANY_ORDERS: Final = 15
BOOK_FULL: Final = 16
TABLE_FULL: Final = 17
OVER_CAP: Final = 18
INSUFFICIENT_FUNDS: Final = 19
WOULD_CROSS: Final = 20

LOW: Final = 0xFFFFFFFF  # the low half of a word

_COMMAND: Final = Struct("<BBBBHHIIIIqqq")
_LIST_ASSET: Final = Struct("<BBBBHHIIIIq16s")
_LIST_MARKET: Final = Struct("<BBBBHHIIqq16s")


def place(
    *,
    account: int,
    market: int,
    side: int,
    quantity: int,
    price: int = 0,
    tif: int = GTC,
    flags: int = 0,
    client_id: int = 0,
    session: int = 0,
) -> bytes:
    """`price` in ticks (0: market order), `quantity` in lots, or in quote atoms with BY_QUOTE."""
    return _COMMAND.pack(
        PLACE, side, tif, flags, market, 0, account, client_id, session, 0, 0, price, quantity
    )


def cancel(
    *, account: int, order_id: int = 0, market: int = 0, flags: int = 0, client_id: int = 0
) -> bytes:
    """By order id, or by client id with HAS_CLIENT_ID in `flags`; in any market if 0."""
    return _COMMAND.pack(CANCEL, 0, 0, flags, market, 0, account, client_id, 0, 0, order_id, 0, 0)


def amend(
    *,
    account: int,
    order_id: int = 0,
    market: int = 0,
    price: int = 0,
    quantity: int = 0,
    flags: int = 0,
    client_id: int = 0,
) -> bytes:
    """`quantity` is the new total in lots; 0 keeps a term as it is."""
    return _COMMAND.pack(
        AMEND, 0, 0, flags, market, 0, account, client_id, 0, 0, order_id, price, quantity
    )


def cancel_all(*, account: int, market: int = 0) -> bytes:
    """In one market, or in all if 0."""
    return _COMMAND.pack(CANCEL_ALL, 0, 0, 0, market, 0, account, 0, 0, 0, 0, 0, 0)


def end_session(*, account: int, session: int) -> bytes:
    """Cancel the open orders of one connection of the account."""
    return _COMMAND.pack(END_SESSION, 0, 0, 0, 0, 0, account, 0, session, 0, 0, 0, 0)


def open_account(user_id: int) -> bytes:
    """The outcome carries the account."""
    return _COMMAND.pack(OPEN_ACCOUNT, 0, 0, 0, 0, 0, 0, 0, 0, 0, user_id, 0, 0)


def credit(*, account: int, asset: int, atoms: int, reference: int = 0) -> bytes:
    return _COMMAND.pack(CREDIT, 0, 0, 0, asset, 0, account, 0, 0, 0, reference, 0, atoms)


def debit(*, account: int, asset: int, atoms: int, reference: int = 0) -> bytes:
    return _COMMAND.pack(DEBIT, 0, 0, 0, asset, 0, account, 0, 0, 0, reference, 0, atoms)


def rules(version: int = 1) -> bytes:
    """From here on, this version of matching and fees holds."""
    return _COMMAND.pack(RULES, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, version)


def tick() -> bytes:
    """Log time passes."""
    return _COMMAND.pack(TICK, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def list_asset(*, asset: int, decimals: int, name: str) -> bytes:
    """`name`: 1 to 16 of A-Z 0-9 _."""
    return _LIST_ASSET.pack(LIST_ASSET, 0, 0, 0, asset, 0, 0, 0, 0, 0, decimals, _name(name))


def list_market(
    *, market: int, base: int, quote: int, lot_atoms: int, tick_atoms: int, name: str
) -> bytes:
    """It starts Closed; lot and tick never change."""
    return _LIST_MARKET.pack(
        LIST_MARKET, 0, 0, 0, market, 0, base, quote, lot_atoms, tick_atoms, _name(name)
    )


def set_asset(*, asset: int, parameter: int, value: int) -> bytes:
    return _COMMAND.pack(SET_ASSET, 0, 0, 0, asset, 0, 0, 0, 0, parameter, 0, 0, value)


def set_market(*, market: int, parameter: int, value: int) -> bytes:
    return _COMMAND.pack(SET_MARKET, 0, 0, 0, market, 0, 0, 0, 0, parameter, 0, 0, value)


def set_account(*, account: int, parameter: int, value: int) -> bytes:
    return _COMMAND.pack(SET_ACCOUNT, 0, 0, 0, 0, 0, account, 0, 0, parameter, 0, 0, value)


def set_exchange(*, parameter: int, value: int) -> bytes:
    return _COMMAND.pack(SET_EXCHANGE, 0, 0, 0, 0, 0, 0, 0, 0, parameter, 0, 0, value)


def _name(name: str) -> bytes:
    encoded = name.encode("ascii")
    if len(encoded) > 16:
        raise ValueError(f"a name has at most 16 characters: {name!r}")
    return encoded


@final
@mypyc_attr(acyclic=True)
class Command:
    """The fields of one command of any kind; a field that the kind does not use has no meaning.

    The core has one object, which `read` fills again and again: a new one each time would be slow.
    """

    def __init__(self) -> None:
        self.head: i64 = 0  # the first word: kind, side, tif, flags, market, and a reserved zero
        self.kind: i64 = 0
        self.side: i64 = 0
        self.tif: i64 = 0
        self.flags: i64 = 0
        self.market: i64 = 0  # or asset
        self.reserved: i64 = 0  # malformed unless 0
        self.owner: i64 = 0  # one word, account | client id << 32; may be negative
        self.account: i64 = 0
        self.session_word: i64 = 0  # session | parameter << 32
        self.order_id: i64 = 0  # or user id, reference, decimals
        self.price: i64 = 0
        self.quantity: i64 = 0  # or atoms, value
        self.sequence: i64 = 0  # its number in the log; not among the bytes

    def read(self, frame: bytes, at: i64, sequence: i64) -> None:
        """Take the command that begins at `at`."""
        self.sequence = sequence
        head = self.head = read_i64_le(frame, at)
        self.kind = head & 255
        self.side = head >> 8 & 255
        self.tif = head >> 16 & 255
        self.flags = head >> 24 & 255
        self.market = head >> 32 & 0xFFFF
        self.reserved = head >> 48
        owner = self.owner = read_i64_le(frame, at + 8)
        self.account = owner & LOW
        self.session_word = read_i64_le(frame, at + 16)
        self.order_id = read_i64_le(frame, at + 24)
        self.price = read_i64_le(frame, at + 32)
        self.quantity = read_i64_le(frame, at + 40)

    def client_id(self) -> i64:
        return self.owner >> 32 & LOW

    def session(self) -> i64:
        return self.session_word & LOW

    def parameter(self) -> i64:
        return self.session_word >> 32 & LOW


@final
class Listing:
    """LIST_ASSET or LIST_MARKET: the fields that no other command has."""

    def __init__(self, frame: bytes, at: i64) -> None:
        word = read_i64_le(frame, at + 8)
        self.base: i64 = word & LOW
        self.quote: i64 = word >> 32 & LOW
        self.lot_atoms: i64 = read_i64_le(frame, at + 16)
        self.tick_atoms: i64 = read_i64_le(frame, at + 24)
        self.name: bytes = frame[at + 32 : at + COMMAND_BYTES].rstrip(b"\0")


def owner_at(frame: bytes, at: i64) -> i64:
    """`owner` of the command that begins at `at`."""
    return read_i64_le(frame, at + 8)


@final
@mypyc_attr(acyclic=True)
class Outcome:
    """`status` REJECTED: `reason` is a reject code; else a close reason or 0."""

    def __init__(self, data: bytes, at: i64) -> None:
        word = read_i64_le(data, at)
        self.command: i64 = word >> 8 & 255
        self.reason: i64 = word >> 16 & 255
        self.market: i64 = word >> 32 & 0xFFFF
        self.status: i64 = word >> 48 & 255
        self.repeated: bool = word >> 56 & REPEATED != 0
        word = read_i64_le(data, at + 8)
        self.account: i64 = word & LOW
        self.client_id: i64 = word >> 32 & LOW
        self.sequence: i64 = read_i64_le(data, at + 16)
        self.order_id: i64 = read_i64_le(data, at + 24)
        self.filled: i64 = read_i64_le(data, at + 32)
        self.quote: i64 = read_i64_le(data, at + 40)
        self.created_ns: i64 = read_i64_le(data, at + 48)


@final
@mypyc_attr(acyclic=True)
class Placed:
    """The terms of an order, from PLACE or ACCEPTED. `order_id` is 0 in PLACE."""

    def __init__(self, data: bytes, at: i64, is_event: bool) -> None:
        word = read_i64_le(data, at)
        self.side: i64 = word >> 8 & 255
        self.tif: i64 = word >> 16 & 255
        self.flags: i64 = (word >> 56 if is_event else word >> 24) & 255
        self.market: i64 = word >> 32 & 0xFFFF
        word = read_i64_le(data, at + 8)
        self.account: i64 = word & LOW
        self.client_id: i64 = word >> 32 & LOW
        self.session: i64 = read_i64_le(data, at + 16) & LOW
        self.order_id: i64 = read_i64_le(data, at + 24)
        self.price: i64 = read_i64_le(data, at + 32)
        self.quantity: i64 = read_i64_le(data, at + 40)


@final
@mypyc_attr(acyclic=True)
class Fill:
    """One taker met one maker, at the maker's price. Fees in atoms of the asset each received."""

    def __init__(self, data: bytes, at: i64) -> None:
        word = read_i64_le(data, at)
        self.side: i64 = word >> 8 & 255
        self.market: i64 = word >> 32 & 0xFFFF
        word = read_i64_le(data, at + 8)
        self.taker_account: i64 = word & LOW
        self.maker_account: i64 = word >> 32 & LOW
        self.trade_id: i64 = read_i64_le(data, at + 16)
        self.taker_order_id: i64 = read_i64_le(data, at + 24)
        self.maker_order_id: i64 = read_i64_le(data, at + 32)
        self.price: i64 = read_i64_le(data, at + 40)
        self.lots: i64 = read_i64_le(data, at + 48)
        self.taker_fee: i64 = read_i64_le(data, at + 56)
        self.maker_fee: i64 = read_i64_le(data, at + 64)


@final
@mypyc_attr(acyclic=True)
class LevelChange:
    """A price level has `lots` now; 0: it is gone."""

    def __init__(self, data: bytes, at: i64) -> None:
        word = read_i64_le(data, at)
        self.side: i64 = word >> 8 & 255
        self.market: i64 = word >> 32 & 0xFFFF
        self.update_id: i64 = read_i64_le(data, at + 8)
        self.price: i64 = read_i64_le(data, at + 16)
        self.lots: i64 = read_i64_le(data, at + 24)


@final
@mypyc_attr(acyclic=True)
class OrderRecord:
    """All terms of an order: CLOSED, AMENDED, or ORDER (an answer to a query)."""

    def __init__(self, data: bytes, at: i64) -> None:
        word = read_i64_le(data, at)
        self.kind: i64 = word & 255
        self.side: i64 = word >> 8 & 255
        self.reason: i64 = word >> 16 & 255
        self.market: i64 = word >> 32 & 0xFFFF
        self.status: i64 = word >> 48 & 255
        self.flags: i64 = word >> 56 & 255
        word = read_i64_le(data, at + 8)
        self.account: i64 = word & LOW
        self.client_id: i64 = word >> 32 & LOW
        word = read_i64_le(data, at + 16)
        self.session: i64 = word & LOW
        self.tif: i64 = word >> 32 & LOW
        self.order_id: i64 = read_i64_le(data, at + 24)
        self.price: i64 = read_i64_le(data, at + 32)
        self.quantity: i64 = read_i64_le(data, at + 40)
        self.filled: i64 = read_i64_le(data, at + 48)
        self.quote: i64 = read_i64_le(data, at + 56)
        self.created_ns: i64 = read_i64_le(data, at + 64)
        self.fee: i64 = read_i64_le(data, at + 72)


@final
class Change:
    """MOVED, ACCOUNT, ASSET, MARKET or PARAMETER: the head's fields and the words after it."""

    def __init__(self, data: bytes, at: i64) -> None:
        word = read_i64_le(data, at)
        self.kind: i64 = word & 255
        self.command: i64 = word >> 8 & 255  # of PARAMETER: which SET command, or RULES
        self.is_debit: bool = word >> 8 & 255 == ASK  # of MOVED
        self.subject: i64 = word >> 32 & 0xFFFF  # the asset or market that changed, or 0
        count = word >> 24 & 255
        self.words: list[int] = [read_i64_le(data, at + 8 * i) for i in range(1, count)]


def kind_at(events: bytes, at: i64) -> i64:
    """The kind of the event at `at`, an offset that `next_at` gave, or 0 for the first."""
    return read_i64_le(events, at) & 255


def next_at(events: bytes, at: i64) -> i64:
    return at + (read_i64_le(events, at) >> 24 & 255) * 8


def split(events: bytes) -> list[bytes]:
    """The events of a frame, per command and in order; each ends with its OUTCOME."""
    parts: list[bytes] = []
    start: i64 = 0
    at: i64 = 0
    while at < len(events):
        kind = kind_at(events, at)
        at = next_at(events, at)
        if kind == OUTCOME:
            parts.append(events[start:at])
            start = at
    return parts


def read_outcome(events: bytes) -> Outcome:
    """The outcome of one command's events, as `split` gives them: the last record."""
    return Outcome(events, len(events) - 56)


def order_records(events: bytes) -> list[OrderRecord]:
    """CLOSED, AMENDED and ORDER in `events`, in order."""
    found: list[OrderRecord] = []
    at: i64 = 0
    while at < len(events):
        kind = kind_at(events, at)
        if kind == CLOSED or kind == AMENDED or kind == ORDER:
            found.append(OrderRecord(events, at))
        at = next_at(events, at)
    return found


def read_placed(command: bytes) -> Placed:
    return Placed(command, 0, is_event=False)


def read_accepted(events: bytes, at: i64) -> Placed:
    return Placed(events, at, is_event=True)
