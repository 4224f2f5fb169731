"""The bytes of commands and events: their codes, the commands of clients, how orders are read.

Layout in words: docs/reference/protocol.md. A command has 48 bytes; the records that may stand
before it are in parts.py, what only operators and the exchange itself send in admin_records.py. An
event is a head word and whole words after it; the head holds the number of words, so a reader can
skip an event that it does not know. All numbers are little-endian and signed 64 bit, or fields of
such a word.

Offsets stand in these three modules alone. event_writer.py writes events word by word in the order
in which the classes here read them.
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
ADD_CREDENTIAL: Final = 17
REVOKE_CREDENTIAL: Final = 18
SET_OPERATOR: Final = 19
HOLD: Final = 20
RELEASE: Final = 21
CAPTURE: Final = 22
CONFIRM_CREDIT: Final = 23
REFUSE_CREDIT: Final = 24
PAUSE: Final = 25
RESUME: Final = 26
BEGIN_GATEWAY: Final = 27
END_GATEWAY: Final = 28
NOTE: Final = 29

# Parts: records before a command that belong to it, and the bits of `parts` that announce them.
TEXT_PART: Final = 64
SIGNATURE_PART: Final = 65
DETAIL_PART: Final = 66
OPERATOR_PART: Final = 67
HAS_TEXT_PART: Final = 1
HAS_SIGNATURE: Final = 2
HAS_DETAIL: Final = 4
HAS_OPERATOR: Final = 8
# The first two records of a frame that says which gateway wrote it.
ORIGIN: Final = 72
ORIGIN_REST: Final = 73

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
HAS_TEXT: Final = 64  # of an order: its client id is a text; never in a command

# The session of orders that were made by the generator of the demo's first day.
GENERATED_SESSION: Final = 0xFFFFFFFF

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
TEXT: Final = 13
CREDENTIAL: Final = 14
ACTED: Final = 15
PAUSED: Final = 16
GATEWAY: Final = 17
PASSED: Final = 18
NOTED: Final = 19
ENDED: Final = 20

REPEATED: Final = 1  # flag of OUTCOME

# Status of an order, or of a command.
REJECTED: Final = 0
NEW: Final = 1
PARTIALLY_FILLED: Final = 2
FILLED: Final = 3
CANCELLED: Final = 4
EXPIRED: Final = 5
DONE: Final = 6
PENDING: Final = 7

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
WALK_LIMIT: Final = 10
BY_GATEWAY_END: Final = 11

# Rejects; numbered in their order of precedence.
MALFORMED: Final = 1
NO_RULES: Final = 2
UNKNOWN_ACCOUNT: Final = 3
BAD_CREDENTIAL: Final = 4
NOT_PERMITTED: Final = 5
UNKNOWN_MARKET: Final = 6
UNKNOWN_ASSET: Final = 7
DUPLICATE_CLIENT_ID: Final = 8
REPEATED_SIGNATURE: Final = 9
SIGNATURES_FULL: Final = 10
DUPLICATE_REFERENCE: Final = 11
DUPLICATE_CREDENTIAL: Final = 12
UNKNOWN_ORDER: Final = 13
UNKNOWN_REFERENCE: Final = 14
UNKNOWN_CREDENTIAL: Final = 15
UNKNOWN_GATEWAY: Final = 16
ALREADY_LISTED: Final = 17
ALREADY_DECIDED: Final = 18
BAD_VALUE: Final = 19
GATEWAY_ALIVE: Final = 20
ACCOUNT_FROZEN: Final = 21
TRADING_PAUSED: Final = 22
MARKET_CLOSED: Final = 23
BAD_PRICE: Final = 24
BAD_QUANTITY: Final = 25
TOO_MANY_ORDERS: Final = 26
BOOK_FULL: Final = 27
TABLE_FULL: Final = 28
OVER_CAP: Final = 29
OVER_DAILY_LIMIT: Final = 30
TOO_YOUNG: Final = 31
INSUFFICIENT_FUNDS: Final = 32
WOULD_CROSS: Final = 33

LOW: Final = 0xFFFFFFFF  # the low half of a word

_COMMAND: Final = Struct("<BBBBHHIIIIqqq")
_TEXT: Final = Struct("<BB10x36s")


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
    text: str | None = None,
    session: int = 0,
    credential: int = 0,
) -> bytes:
    """`price` in ticks (0: market order), `quantity` in lots, or in quote atoms with BY_QUOTE.
    `text`: the client id as a text, instead of a number with HAS_CLIENT_ID.
    """
    variant = side | tif << 1
    return _with_text(
        text,
        _COMMAND.pack(
            PLACE, variant, 0 if text is None else HAS_TEXT_PART, flags, market, credential,
            account, client_id, session, 0, 0, price, quantity,
        ),
    )  # fmt: skip


def cancel(
    *,
    account: int,
    order_id: int = 0,
    market: int = 0,
    flags: int = 0,
    client_id: int = 0,
    text: str | None = None,
    credential: int = 0,
) -> bytes:
    """By order id and market; or by client id, with HAS_CLIENT_ID in `flags` or as `text`, in any
    market if 0.
    """
    parts = 0 if text is None else HAS_TEXT_PART
    command = _COMMAND.pack(
        CANCEL, 0, parts, flags, market, credential, account, client_id, 0, 0, order_id, 0, 0
    )
    return _with_text(text, command)


def amend(
    *,
    account: int,
    order_id: int = 0,
    market: int = 0,
    price: int = 0,
    quantity: int = 0,
    flags: int = 0,
    client_id: int = 0,
    text: str | None = None,
    credential: int = 0,
) -> bytes:
    """Names the order as `cancel` does. `quantity` is the new total in lots; 0 keeps a term."""
    parts = 0 if text is None else HAS_TEXT_PART
    command = _COMMAND.pack(
        AMEND, 0, parts, flags, market, credential, account, client_id, 0, 0, order_id, price,
        quantity,
    )  # fmt: skip
    return _with_text(text, command)


def cancel_all(*, account: int, market: int = 0, credential: int = 0) -> bytes:
    """In one market, or in all if 0."""
    return _COMMAND.pack(CANCEL_ALL, 0, 0, 0, market, credential, account, 0, 0, 0, 0, 0, 0)


def end_session(*, account: int, session: int) -> bytes:
    """Cancel the open orders of one connection of the account."""
    return _COMMAND.pack(END_SESSION, 0, 0, 0, 0, 0, account, 0, session, 0, 0, 0, 0)


def _with_text(text: str | None, command: bytes) -> bytes:
    if text is None:
        return command
    encoded = text.encode("ascii")
    if not 1 <= len(encoded) <= 36:
        raise ValueError(f"a client id has 1 to 36 characters: {text!r}")
    return _TEXT.pack(TEXT_PART, len(encoded), encoded) + command


@final
@mypyc_attr(acyclic=True)
class Command:
    """The fields of one command of any kind; a field that the kind does not use has no meaning.

    The core has one object, which `read` fills again and again: a new one each time would be slow.
    """

    def __init__(self) -> None:
        self.head: i64 = 0  # the first word
        self.kind: i64 = 0
        self.side: i64 = 0
        self.tif: i64 = 0
        self.parts: i64 = 0
        self.flags: i64 = 0
        self.market: i64 = 0  # or asset
        self.owner: i64 = 0  # one word, account | client id << 32; may be negative
        self.account: i64 = 0
        self.session_word: i64 = 0  # session | parameter << 32
        self.order_id: i64 = 0  # or user id, decimals, time; with `price` a reference
        self.price: i64 = 0
        self.quantity: i64 = 0  # or atoms, value
        self.sequence: i64 = 0  # its number in the log; not among the bytes
        self.text: bytes = b""  # the client id as a text; empty: none

    def read(self, frame: bytes, at: i64, sequence: i64) -> None:
        """Take the command that begins at `at`, without its parts."""
        self.sequence = sequence
        head = self.head = read_i64_le(frame, at)
        self.kind = head & 255
        self.side = head >> 8 & 1
        self.tif = head >> 9 & 127
        self.parts = head >> 16 & 255
        self.flags = head >> 24 & 255
        self.market = head >> 32 & 0xFFFF
        owner = self.owner = read_i64_le(frame, at + 8)
        self.account = owner & LOW
        self.session_word = read_i64_le(frame, at + 16)
        self.order_id = read_i64_le(frame, at + 24)
        self.price = read_i64_le(frame, at + 32)
        self.quantity = read_i64_le(frame, at + 40)

    def variant(self) -> i64:
        """Of commands other than orders; of an order it is side | tif << 1."""
        return self.head >> 8 & 255

    def credential(self) -> i64:
        return self.head >> 48 & 0xFFFF

    def client_id(self) -> i64:
        return self.owner >> 32 & LOW

    def session(self) -> i64:
        return self.session_word & LOW

    def parameter(self) -> i64:
        return self.session_word >> 32 & LOW


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
        variant = word >> 8 & 255
        self.side: i64 = variant if is_event else variant & 1
        self.tif: i64 = word >> 16 & 255 if is_event else variant >> 1
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
        self.text: str | None = None  # only of an ORDER with HAS_TEXT


def kind_at(events: bytes, at: i64) -> i64:
    """The kind of the event at `at`, an offset that `next_at` gave, or 0 for the first."""
    return read_i64_le(events, at) & 255


def next_at(events: bytes, at: i64) -> i64:
    return at + (read_i64_le(events, at) >> 24 & 255) * 8


def text_at(events: bytes, at: i64) -> str:
    """The client id of the TEXT event at `at`: that of the ACCEPTED or ORDER after it."""
    length = read_i64_le(events, at) >> 8 & 255
    return events[at + 8 : at + 8 + length].decode("ascii")


def split(events: bytes) -> list[bytes]:
    """The events of a frame, per command and in order; each ends with its OUTCOME.

    What belongs to no command is left out: orders of ended gateways, and PASSED.
    """
    parts: list[bytes] = []
    start: i64 = 0
    at: i64 = 0
    while at < len(events):
        kind = kind_at(events, at)
        at = next_at(events, at)
        if kind == OUTCOME:
            parts.append(events[start:at])
            start = at
        elif kind == ENDED or kind == PASSED:
            start = at
    return parts


def read_outcome(events: bytes) -> Outcome:
    """The outcome of one command's events, as `split` gives them: the last record."""
    return Outcome(events, len(events) - 56)


def order_records(events: bytes) -> list[OrderRecord]:
    """CLOSED, AMENDED and ORDER in `events`, in order."""
    found: list[OrderRecord] = []
    text: str | None = None
    at: i64 = 0
    while at < len(events):
        kind = kind_at(events, at)
        if kind == TEXT:
            text = text_at(events, at)
        elif kind == CLOSED or kind == AMENDED or kind == ORDER:
            record = OrderRecord(events, at)
            if kind == ORDER:
                record.text, text = text, None
            found.append(record)
        at = next_at(events, at)
    return found


def read_placed(unit: bytes) -> Placed:
    """The terms of a PLACE, which may have parts before it."""
    return Placed(unit, len(unit) - COMMAND_BYTES, is_event=False)


def read_accepted(events: bytes, at: i64) -> Placed:
    return Placed(events, at, is_event=True)
