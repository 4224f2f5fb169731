"""Names of streams. A name must be spelled exactly as documented; symbols are not looked up."""

from typing import Final, NamedTuple

# Kinds of streams.
DEPTH: Final = 1
BOOK_TICKER: Final = 2
TRADE: Final = 3
TICKER: Final = 4
KLINE: Final = 5
ORDER_UPDATE: Final = 6
BALANCE_UPDATE: Final = 7
SILENT: Final = 8  # accepted for public clients; nothing is ever sent
VENUE: Final = 9
CHECKPOINT: Final = 10

NAME_MAX: Final = 64  # characters; the longest documented name has 36
_CHARACTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.")

_BY_SYMBOL: Final = {"depth": DEPTH, "bookTicker": BOOK_TICKER, "trade": TRADE, "ticker": TICKER}
_OF_EXCHANGE: Final = {"venue": VENUE, "checkpoint": CHECKPOINT}
_EVERY_MS: Final = {"200ms": 200, "600ms": 600, "1000ms": 1000}
_SILENT: Final = frozenset(
    ("markPrice", "openInterest", "externalTicker", "stockPrice", "stockIndicativeQuote")
)


class StreamName(NamedTuple):
    """The parts of a name."""

    kind: int
    symbol: str = ""
    """Of the market; empty: of all markets."""
    interval: str = ""
    """Of KLINE."""
    every_ms: int = 0
    """Of DEPTH: changes are merged for that long; 0: sent as they come."""
    is_private: bool = False


def parse_stream_name(name: str) -> StreamName | None:
    """None if there is no such stream."""
    if len(name) > NAME_MAX or not _CHARACTERS.issuperset(name):
        return None
    head, *rest = name.split(".")
    if head == "account":
        return _private_stream(rest)
    if head in _SILENT:
        return StreamName(SILENT) if rest and all(rest) else None
    if name in _OF_EXCHANGE:
        return StreamName(_OF_EXCHANGE[name])
    if name == "liquidation":
        return StreamName(SILENT)
    if len(rest) == 1 and rest[0] and head in _BY_SYMBOL:
        return StreamName(_BY_SYMBOL[head], rest[0])
    if len(rest) == 2 and all(rest):
        if head == "kline":
            return StreamName(KLINE, rest[1], interval=rest[0])
        if head == "depth" and rest[0] in _EVERY_MS:
            return StreamName(DEPTH, rest[1], every_ms=_EVERY_MS[rest[0]])
    return None


def _private_stream(rest: list[str]) -> StreamName | None:
    """rest: what comes after `account.`."""
    match rest:
        case ["orderUpdate"]:
            return StreamName(ORDER_UPDATE, is_private=True)
        case ["orderUpdate", symbol] if symbol:
            return StreamName(ORDER_UPDATE, symbol, is_private=True)
        case ["balanceUpdate"]:
            return StreamName(BALANCE_UPDATE, is_private=True)
        case ["rfqUpdate" | "positionUpdate"]:
            return StreamName(SILENT, is_private=True)
        case ["rfqUpdate" | "positionUpdate", symbol] if symbol:
            return StreamName(SILENT, is_private=True)
    return None
