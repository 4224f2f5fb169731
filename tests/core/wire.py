"""An independent reader of docs/reference/protocol.md: codes, and events as named tuples.

It is written from the document with `struct` and shares nothing with the core's records, so that a
wrong offset there is found. Decoding is strict: unused fields of an event must be zero, otherwise
two equal-looking events could differ in their bytes. Commands: commands.py.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Any, NamedTuple

BID, ASK = 0, 1
GTC, IOC, FOK = 0, 1, 2
HAS_CLIENT_ID, POST_ONLY, MARKET, BY_QUOTE, HAS_TEXT = 1, 2, 4, 8, 64
REJECT_TAKER, REJECT_MAKER, REJECT_BOTH = 0, 1, 2

REJECTED, NEW, PARTIALLY_FILLED, FILLED, CANCELLED, EXPIRED, DONE, PENDING = range(8)

BY_FILL, REQUESTED, BY_CANCEL_ALL, SESSION_ENDED = 1, 2, 3, 4
IMMEDIATE_OR_CANCEL, FILL_OR_KILL, SELF_TRADE, INSUFFICIENT_LIQUIDITY, PRICE_OUT_OF_BOUNDS = range(
    5, 10
)
WALK_LIMIT, GATEWAY_ENDED = 10, 11

Reject = IntEnum(
    "Reject",
    "MALFORMED NO_RULES UNKNOWN_ACCOUNT BAD_CREDENTIAL NOT_PERMITTED UNKNOWN_MARKET UNKNOWN_ASSET"
    " DUPLICATE_CLIENT_ID REPEATED_SIGNATURE SIGNATURES_FULL DUPLICATE_REFERENCE"
    " DUPLICATE_CREDENTIAL UNKNOWN_ORDER UNKNOWN_REFERENCE UNKNOWN_CREDENTIAL UNKNOWN_GATEWAY"
    " ALREADY_LISTED ALREADY_DECIDED BAD_VALUE GATEWAY_ALIVE ACCOUNT_FROZEN TRADING_PAUSED"
    " MARKET_CLOSED BAD_PRICE BAD_QUANTITY TOO_MANY_ORDERS BOOK_FULL TABLE_FULL OVER_CAP"
    " OVER_DAILY_LIMIT TOO_YOUNG INSUFFICIENT_FUNDS WOULD_CROSS",
)
Kind = IntEnum(
    "Kind",
    "RULES TICK PLACE CANCEL AMEND CANCEL_ALL END_SESSION OPEN_ACCOUNT CREDIT DEBIT LIST_ASSET"
    " LIST_MARKET SET_ASSET SET_MARKET SET_ACCOUNT SET_EXCHANGE ADD_CREDENTIAL REVOKE_CREDENTIAL"
    " SET_OPERATOR HOLD RELEASE CAPTURE CONFIRM_CREDIT REFUSE_CREDIT PAUSE RESUME BEGIN_GATEWAY"
    " END_GATEWAY NOTE",
)
CREDITED, DEBITED, PENDING_CREDIT, CONFIRMED, REFUSED, HELD, RELEASED, CAPTURED = range(8)
UNSIGNED, NOT_BEGUN, OUT_OF_NUMBER, BAD_SIGNATURE, BAD_BEGIN = range(1, 6)


class Outcome(NamedTuple):
    """The end of a command; `reason` is a reject code if REJECTED."""

    command: int
    status: int
    reason: int
    repeated: int
    market: int
    account: int
    client_id: int
    sequence: int
    order_id: int
    filled: int
    quote: int
    created_ns: int


class Accepted(NamedTuple):
    """An order was accepted; its effects follow."""

    side: int
    tif: int
    flags: int
    market: int
    account: int
    client_id: int
    session: int
    order_id: int
    price: int
    quantity: int


class Fill(NamedTuple):
    """A taker met a maker; fees in atoms of what each received."""

    side: int
    market: int
    taker: int
    maker: int
    trade_id: int
    taker_order: int
    maker_order: int
    price: int
    lots: int
    taker_fee: int
    maker_fee: int


class Level(NamedTuple):
    """The new quantity at a price."""

    side: int
    market: int
    update_id: int
    price: int
    lots: int


class Record(NamedTuple):
    """All fields of an order: of CLOSED, AMENDED and ORDER."""

    side: int
    reason: int
    market: int
    status: int
    flags: int
    account: int
    client_id: int
    session: int
    tif: int
    order_id: int
    price: int
    quantity: int
    filled: int
    quote: int
    created_ns: int
    fee: int


class Closed(NamedTuple):
    """An order left the book, or did not rest."""

    order: Record


class Amended(NamedTuple):
    """An order has new terms."""

    order: Record


class Moved(NamedTuple):
    """Money came, went, or is held: `movement` is CREDITED..CAPTURED; `operator` may be 0."""

    movement: int
    asset: int
    account: int
    operator: int
    reference: bytes
    atoms: int
    fee_atoms: int


class AccountOpened(NamedTuple):
    account: int
    user_id: int


class AssetListed(NamedTuple):
    """An asset exists; the name without its padding."""

    asset: int
    decimals: int
    name: bytes


class MarketListed(NamedTuple):
    market: int
    base: int
    quote: int
    lot_atoms: int
    tick_atoms: int
    name: bytes


class Parameter(NamedTuple):
    """A parameter was set by a command of kind `command`."""

    command: int
    market: int
    account: int
    parameter: int
    value: int


class ClientText(NamedTuple):
    """The client id of the order that follows."""

    text: bytes


class CredentialChanged(NamedTuple):
    """A credential was added, or revoked."""

    owner_kind: int
    revoked: int
    slot: int
    owner: int
    type: int
    permissions: int
    expires_ns: int
    hash: bytes


class Acted(NamedTuple):
    """The operator who ordered the command, with which credential, and why."""

    slot: int
    operator: int
    reference: int
    reason_hash: bytes


class PauseChanged(NamedTuple):
    """The pause of one cause began (paused 1) or ended."""

    cause: int
    paused: int
    reason: int
    hash: bytes


class GatewayChanged(NamedTuple):
    """An instance began, or ended."""

    ended: int
    instance: int
    key: bytes


class Passed(NamedTuple):
    """The frame was not executed."""

    reason: int
    instance: int
    number: int


class Noted(NamedTuple):
    """A piece of text: the first `length` of 40 bytes."""

    length: int
    continued: int
    text: bytes


class Ended(NamedTuple):
    """Orders of an ended instance were cancelled, and so many are left."""

    instance: int
    closed: int
    left: int


Event = (
    Outcome | Accepted | Fill | Level | Closed | Amended | Moved | AccountOpened | AssetListed
    | MarketListed | Parameter | ClientText | CredentialChanged | Acted | PauseChanged
    | GatewayChanged | Passed | Noted | Ended
)  # fmt: skip

_HEAD = Struct("<BBBBHBB")
# Per kind: the words after the head (II: a pair in one word), and which head fields it uses.
_LAYOUTS = {
    1: (Struct("<IIqqqqq"), "side reason market status flags"),
    2: (Struct("<IIqqqq"), "side reason market flags"),
    3: (Struct("<IIqqqqqqq"), "side market"),
    4: (Struct("<qqq"), "side market"),
    5: (Struct("<IIIIqqqqqqq"), "side reason market status flags"),
    6: (Struct("<IIIIqqqqqqq"), "side market status flags"),
    7: (Struct("<IIIIqqqqqqq"), "side market status flags"),
    8: (Struct("<II16sqq"), "side market"),
    9: (Struct("<qq"), ""),
    10: (Struct("<q16s"), "market"),
    11: (Struct("<IIqq16s"), "market"),
    12: (Struct("<qqq"), "side market"),
    13: (Struct("<40s"), "side"),
    14: (Struct("<IIqq32s"), "side reason market"),
    15: (Struct("<qq32s"), "market"),
    16: (Struct("<q32s"), "side flags"),
    17: (Struct("<q32s"), "reason"),
    18: (Struct("<qq"), "reason"),
    19: (Struct("<40s"), "side flags"),
    20: (Struct("<qqq"), ""),
}


def split_events(events: bytes) -> list[Event]:
    """Every event, in order. Raises AssertionError if a length or an unused field is wrong."""
    found: list[Event] = []
    at = 0
    while at < len(events):
        kind, side, reason, words, market, status, flags = _HEAD.unpack_from(events, at)
        layout, used = _LAYOUTS[kind]
        assert words * 8 == 8 + layout.size, f"event {kind} says it has {words} words"
        head = {"side": side, "reason": reason, "market": market, "status": status, "flags": flags}
        unused = set(head) - set(used.split())
        assert not any(head[field] for field in unused), f"event {kind}: {head}"
        found.append(_event(kind, head, layout.unpack_from(events, at + 8)))
        at += words * 8
    return found


def split_heads(events: bytes) -> list[tuple[int, int, int, int, int]]:
    """(kind, side, reason, status, flags) of every event: a fast way to count them."""
    found: list[tuple[int, int, int, int, int]] = []
    at = 0
    while at < len(events):
        kind, side, reason, words, _, status, flags = _HEAD.unpack_from(events, at)
        found.append((kind, side, reason, status, flags))
        at += words * 8
    return found


def _event(kind: int, head: dict[str, int], words: tuple[Any, ...]) -> Event:
    side, reason, market = head["side"], head["reason"], head["market"]
    status, flags = head["status"], head["flags"]
    match kind:
        case 1:
            assert flags in (0, 1)
            return Outcome(side, status, reason, flags, market, *words)
        case 2:
            return Accepted(side, reason, flags, market, *words)
        case 3:
            return Fill(side, market, *words)
        case 4:
            return Level(side, market, *words)
        case 5:
            return Closed(Record(side, reason, market, status, flags, *words))
        case 6:
            return Amended(Record(side, reason, market, status, flags, *words))
        case 8:
            return Moved(side, market, *words)
        case 9:
            return AccountOpened(*words)
        case 10:
            return AssetListed(market, words[0], words[1].rstrip(b"\0"))
        case 11:
            return MarketListed._make((market, *words[:4], words[4].rstrip(b"\0")))
        case 12:
            return Parameter(side, market, *words)
    return _administrative_event(kind, head, words)


def _administrative_event(kind: int, head: dict[str, int], words: tuple[Any, ...]) -> Event:
    side, reason, market, flags = head["side"], head["reason"], head["market"], head["flags"]
    assert flags in (0, 1)
    match kind:
        case 13:
            return ClientText(_padded(words[0], side))
        case 14:
            assert reason in (0, 1)
            return CredentialChanged(side, reason, market, *words)
        case 15:
            return Acted(market, *words)
        case 16:
            return PauseChanged(side, flags, *words)
        case 17:
            assert reason in (0, 1)
            return GatewayChanged(reason, *words)
        case 18:
            return Passed(reason, *words)
        case 19:
            return Noted(side, flags, *words)
        case 20:
            return Ended(*words)
    raise AssertionError(f"no event of kind {kind}")


def _padded(text: bytes, length: int) -> bytes:
    """The first `length` bytes; the others must be NUL."""
    assert not text[length:].strip(b"\0"), text
    return text[:length]
