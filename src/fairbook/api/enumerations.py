"""Enumerated parameters of queries, by name: every value that public clients know.

Invariant: an unknown value is refused on every endpoint, also where the parameter changes nothing:
otherwise a mistake, such as a symbol in the place of `marketType`, looks like an empty list. The
fields of orders are checked where commands are made (orders.py).
"""

from collections.abc import Mapping
from typing import Any, Final

from fairbook.api.requests import Fields, invalid_choice
from fairbook.candles.bars import INTERVALS

LAST_PRICE: Final = ("Last", "LastPrice")

VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "marketType": ("SPOT", "PERP", "IPERP", "DATED", "PREDICTION", "RFQ"),
    "sortDirection": ("Asc", "Desc"),
    "side": ("Bid", "Ask"),
    "priceType": (*LAST_PRICE, "Index", "IndexPrice", "Mark", "MarkPrice"),
    "fillType": (
        "User", "BookLiquidation", "Adl", "Backstop", "Liquidation", "AllLiquidation",
        "CollateralConversion", "CollateralConversionAndSpotLiquidation",
    ),
}  # fmt: skip
_DAY_OR_WEEK: Final = ("1d", "1w")
INTERVALS_OF: Final[Mapping[bytes, tuple[str, ...]]] = {
    b"/api/v1/klines": INTERVALS,
    b"/api/v1/ticker": _DAY_OR_WEEK,
    b"/api/v1/tickers": _DAY_OR_WEEK,
    b"/api/v1/borrowLend/markets/history": (*_DAY_OR_WEEK, "1month", "1year"),
}


def check_values(path: bytes, fields: Fields) -> None:
    """Raise BadRequest for an unknown value in a query. An empty one counts as absent here."""
    for name in fields.keys() & VALUES.keys():
        _check(name, fields[name], VALUES[name])
    if "interval" in fields and path in INTERVALS_OF:
        _check("interval", fields["interval"], INTERVALS_OF[path])


def _check(name: str, given: Any, known: tuple[str, ...]) -> None:
    for value in given if isinstance(given, list) else (given,):
        if value and value not in known:
            raise invalid_choice(name, known)


def wants_spot(fields: Fields) -> bool:
    """Whether `marketType`, which may be given several times, includes spot markets."""
    kinds = [kind for kind in fields.get("marketType", ()) if kind]
    return not kinds or "SPOT" in kinds
