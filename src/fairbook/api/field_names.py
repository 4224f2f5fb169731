"""Names of request fields that are refused instead of ignored.

Invariant: a field that is ignored changes nothing that its sender could rely on. So a misspelled
name is refused, and so is a field that restricts an order in a way that is not offered, unless its
value asks for nothing. All other unknown fields are ignored.
"""

from collections.abc import Collection, Iterable
from typing import Any, Final

from fairbook.api.errors import BadRequest, not_implemented

# Fields that some endpoint reads.
_READ: Final = frozenset(
    (
        "symbol", "side", "orderType", "price", "quantity", "quoteQuantity", "timeInForce",
        "postOnly", "clientId", "clientOrderId", "selfTradePrevention", "orderId", "marketType",
        "sortDirection", "fillType", "from", "to", "startTime", "endTime", "limit", "offset",
        "interval", "priceType", "id", "address", "blockchain", "twoFactorToken", "enabled",
    )
)  # fmt: skip
# Of conditional orders, with every other name that begins as _CONDITIONAL_STARTS says.
_CONDITIONAL: Final = frozenset(("triggerPrice", "triggerQuantity"))
_CONDITIONAL_STARTS: Final = ("stoploss", "takeprofit")
_REDUCE_ONLY: Final = "reduceOnly"
# What other venues and client libraries call the restrictions of an order.
_RESTRICTIONS: Final = frozenset(
    (
        "stopPrice", "stopLimitPrice", "trailingAmount", "trailingPercent", "trailingDelta",
        "trailingTriggerPrice", "callbackRate", "activationPrice",
        "expireTime", "expiryTime", "expiryDate", "expiration", "expiresAt", "goodTillDate",
        "goodTillTime", "goodAfterTime",
        "displayQuantity", "displaySize", "visibleQuantity", "visibleSize", "icebergQuantity",
        "icebergQty", "iceberg", "hidden",
        "slippage", "slippageTolerance", "slippageToleranceType", "maxSlippage", "slippageBps",
        "minQuantity", "minimumQuantity", "allOrNone", "closePosition", "execInst",
        "selfTradePreventionMode",
    )
)  # fmt: skip
# Terms that an amendment keeps, and what would select some of the orders of a cancel-all.
_KEPT: Final = frozenset(("postOnly", "timeInForce", "quoteQuantity", "selfTradePrevention"))
_SELECTING: Final = frozenset(("orderId", "clientId", "clientOrderId", "side"))

_KNOWN: Final = _READ | _CONDITIONAL | {_REDUCE_ONLY} | _RESTRICTIONS
_PLAIN: Final = _READ | {"autoBorrow", "autoBorrowRepay", "autoLend", "autoLendRedeem"}


def _folded(name: str) -> str:
    return name.replace("_", "").lower()


_BY_FOLDED: Final = {_folded(name): name for name in _KNOWN}


def check_spelling(names: Collection[str]) -> None:
    """Raise BadRequest for a name that differs from a known one in case or underscores alone."""
    if _PLAIN.issuperset(names):
        return
    for name in names:
        known = _BY_FOLDED.get(_folded(name), name)
        if known != name:
            raise BadRequest(f"Unknown field {name[:64]}, the name is {known}")


def is_known(name: str) -> bool:
    """Whether it is the name of a field that is read or refused, perhaps misspelled."""
    return _folded(name) in _BY_FOLDED or _is_conditional(name)


def refuse_restrictions(fields: dict[str, Any]) -> None:
    """For a new or amended order: refuse restrictions that are not offered.

    Raises NOT_IMPLEMENTED for those that belong to the public interface, else BadRequest.
    """
    if _PLAIN.issuperset(fields):
        return
    for name, value in fields.items():
        if not value:  # null, false, or empty
            continue
        if _is_conditional(name):
            raise not_implemented(f"{name[:64]} (conditional orders)")
        if name == _REDUCE_ONLY:
            raise not_implemented(name)
        if name in _RESTRICTIONS:
            raise BadRequest(f"Not offered: {name}")


def refuse_kept_terms(fields: dict[str, Any]) -> None:
    """For AMEND. Raises BadRequest for a term that cannot be amended."""
    _refuse(fields, _KEPT, "Cannot be amended")


def refuse_selection(fields: dict[str, Any]) -> None:
    """For the cancellation of all orders of a market. Raises BadRequest."""
    _refuse(fields, _SELECTING, "All orders of the market are cancelled, there is no")


def refuse_filters(fields: dict[str, Any], names: Iterable[str]) -> None:
    """For lists that have no such filters. Raises BadRequest."""
    _refuse(fields, names, "Not offered here")


def _refuse(fields: dict[str, Any], names: Iterable[str], why: str) -> None:
    for name in names:
        if fields.get(name):
            raise BadRequest(f"{why}: {name}")


def _is_conditional(name: str) -> bool:
    return name in _CONDITIONAL or _folded(name).startswith(_CONDITIONAL_STARTS)
