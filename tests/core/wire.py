"""An independent reader of docs/reference/protocol.md: commands and events as named tuples.

It is written from the document with `struct` and shares nothing with the core's records, so that a
wrong offset there is found. Decoding is strict: unused fields of an event must be zero, otherwise
two equal-looking events could differ in their bytes.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Any, NamedTuple

COMMAND_BYTES = 48

BID, ASK = 0, 1
GTC, IOC, FOK = 0, 1, 2
HAS_CLIENT_ID, POST_ONLY, MARKET, BY_QUOTE = 1, 2, 4, 8
REJECT_TAKER, REJECT_MAKER, REJECT_BOTH = 0, 1, 2

REJECTED, NEW, PARTIALLY_FILLED, FILLED, CANCELLED, EXPIRED, DONE = range(7)

BY_FILL, REQUESTED, BY_CANCEL_ALL, SESSION_ENDED = 1, 2, 3, 4
IMMEDIATE_OR_CANCEL, FILL_OR_KILL, SELF_TRADE, INSUFFICIENT_LIQUIDITY, PRICE_OUT_OF_BOUNDS = range(
    5, 10
)

Reject = IntEnum(
    "Reject",
    "MALFORMED NO_RULES UNKNOWN_ACCOUNT UNKNOWN_MARKET UNKNOWN_ASSET DUPLICATE_CLIENT_ID"
    " UNKNOWN_ORDER ALREADY_LISTED BAD_VALUE ACCOUNT_FROZEN TRADING_PAUSED MARKET_CLOSED BAD_PRICE"
    " BAD_QUANTITY TOO_MANY_ORDERS BOOK_FULL TABLE_FULL OVER_CAP INSUFFICIENT_FUNDS WOULD_CROSS",
)
Kind = IntEnum(
    "Kind",
    "RULES TICK PLACE CANCEL AMEND CANCEL_ALL END_SESSION OPEN_ACCOUNT CREDIT DEBIT LIST_ASSET"
    " LIST_MARKET SET_ASSET SET_MARKET SET_ACCOUNT SET_EXCHANGE",
)

_COMMAND = Struct("<BBBBHHIIIIqqq")
_NAME_AT = 32
_LOT_AND_TICK = Struct("<qq")  # at 16, of LIST_MARKET


class Command(NamedTuple):
    """The 48 bytes of every kind but the two listings; `raw` for those."""

    kind: int
    side: int
    tif: int
    flags: int
    market: int
    reserved: int
    account: int
    client_id: int
    session: int
    parameter: int
    order_id: int
    price: int
    quantity: int
    raw: bytes

    @property
    def self_trade(self) -> int:
        """Which self-trade prevention: two bits of the flags."""
        return self.flags >> 4 & 3

    @property
    def name(self) -> bytes:
        """The name in a listing, with its padding."""
        return self.raw[_NAME_AT:]

    @property
    def lot_and_tick(self) -> tuple[int, int]:
        """(lot_atoms, tick_atoms) of LIST_MARKET."""
        lot_atoms, tick_atoms = _LOT_AND_TICK.unpack_from(self.raw, 16)
        return lot_atoms, tick_atoms


def split_frame(frame: bytes) -> list[Command | None]:
    """The commands of a frame; None for a rest that is too short."""
    pieces = [frame[at : at + COMMAND_BYTES] for at in range(0, len(frame), COMMAND_BYTES)]
    return [read_command(raw) if len(raw) == COMMAND_BYTES else None for raw in pieces]


def read_command(raw: bytes) -> Command:
    """Decode 48 bytes."""
    return Command._make((*_COMMAND.unpack(raw), raw))


def describe(command: Command | None) -> str:
    """One line for a failure report."""
    if command is None:
        return "(shorter than a command)"
    name = Kind(command.kind).name if 0 < command.kind <= len(Kind) else f"kind {command.kind}"
    fields = zip(command._fields[1:-1], command[1:-1], strict=True)
    return f"{name} " + " ".join(f"{field}={value}" for field, value in fields if value)


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
    """A credit (side 0) or debit (1) from or to EXTERNAL."""

    side: int
    asset: int
    account: int
    reference: int
    atoms: int


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


Event = (
    Outcome | Accepted | Fill | Level | Closed | Amended | Moved
    | AccountOpened | AssetListed | MarketListed | Parameter
)  # fmt: skip

_HEAD = Struct("<BBBBHBB")
# Per kind: the words after the head (Q: a pair, which is two u32), and which head fields it uses.
_WORDS = {
    1: Struct("<IIqqqqq"),
    2: Struct("<IIqqqq"),
    3: Struct("<IIqqqqqqq"),
    4: Struct("<qqq"),
    5: Struct("<IIIIqqqqqqq"),
    6: Struct("<IIIIqqqqqqq"),
    7: Struct("<IIIIqqqqqqq"),
    8: Struct("<qqq"),
    9: Struct("<qq"),
    10: Struct("<q16s"),
    11: Struct("<IIqq16s"),
    12: Struct("<qqq"),
}
_HEAD_FIELDS = {
    1: "side reason market status flags",
    2: "side reason market flags",
    3: "side market",
    4: "side market",
    5: "side reason market status flags",
    6: "side market status flags",
    7: "side market status flags",
    8: "side market",
    9: "",
    10: "market",
    11: "market",
    12: "side market",
}


def split_events(events: bytes) -> list[Event]:
    """Every event, in order. Raises AssertionError if a length or an unused field is wrong."""
    found: list[Event] = []
    at = 0
    while at < len(events):
        kind, side, reason, words, market, status, flags = _HEAD.unpack_from(events, at)
        layout = _WORDS[kind]
        assert words * 8 == 8 + layout.size, f"event {kind} says it has {words} words"
        head = {"side": side, "reason": reason, "market": market, "status": status, "flags": flags}
        unused = set(head) - set(_HEAD_FIELDS[kind].split())
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
    raise AssertionError(f"no event of kind {kind}")
