"""Which rejects each kind of command may get, as docs/reference/protocol.md lists them."""

from __future__ import annotations

from tests.core.oracle_checks import ALLOWED_PARTS, OPERATOR
from tests.core.wire import Kind, Reject

_BY_REJECT: dict[Reject, tuple[Kind, ...]] = {
    Reject.UNKNOWN_ACCOUNT: (
        Kind.PLACE, Kind.CANCEL, Kind.AMEND, Kind.CANCEL_ALL, Kind.END_SESSION, Kind.SET_ACCOUNT,
        Kind.HOLD, Kind.CREDIT, Kind.DEBIT, Kind.ADD_CREDENTIAL, Kind.REVOKE_CREDENTIAL,
    ),
    Reject.BAD_CREDENTIAL: (Kind.PLACE, Kind.CANCEL, Kind.AMEND),  # and all with OPERATOR
    Reject.NOT_PERMITTED: (Kind.PLACE, Kind.CANCEL, Kind.AMEND),  # the same, but for NOTE
    Reject.UNKNOWN_MARKET: (Kind.PLACE, Kind.SET_MARKET, Kind.CANCEL_ALL),
    Reject.UNKNOWN_ASSET: (
        Kind.CREDIT, Kind.DEBIT, Kind.HOLD, Kind.SET_ASSET, Kind.SET_ACCOUNT, Kind.LIST_MARKET,
    ),
    Reject.DUPLICATE_CLIENT_ID: (Kind.PLACE,),
    Reject.REPEATED_SIGNATURE: (Kind.PLACE, Kind.CANCEL, Kind.AMEND, Kind.CANCEL_ALL),
    Reject.DUPLICATE_REFERENCE: (Kind.CREDIT, Kind.DEBIT, Kind.HOLD),
    Reject.DUPLICATE_CREDENTIAL: (Kind.ADD_CREDENTIAL,),
    Reject.UNKNOWN_ORDER: (Kind.CANCEL, Kind.AMEND),
    Reject.UNKNOWN_REFERENCE: (
        Kind.RELEASE, Kind.CAPTURE, Kind.CONFIRM_CREDIT, Kind.REFUSE_CREDIT,
    ),
    Reject.UNKNOWN_CREDENTIAL: (Kind.REVOKE_CREDENTIAL,),
    Reject.UNKNOWN_GATEWAY: (Kind.END_GATEWAY,),
    Reject.ALREADY_LISTED: (Kind.LIST_ASSET, Kind.LIST_MARKET),
    Reject.ALREADY_DECIDED: (
        Kind.RELEASE, Kind.CAPTURE, Kind.CONFIRM_CREDIT, Kind.REFUSE_CREDIT,
    ),
    Reject.BAD_VALUE: (
        Kind.RULES, Kind.LIST_ASSET, Kind.LIST_MARKET, Kind.SET_ASSET, Kind.SET_MARKET,
        Kind.SET_ACCOUNT, Kind.SET_EXCHANGE, Kind.ADD_CREDENTIAL, Kind.SET_OPERATOR,
        Kind.END_GATEWAY,
    ),
    Reject.GATEWAY_ALIVE: (Kind.END_GATEWAY,),
    Reject.ACCOUNT_FROZEN: (Kind.PLACE, Kind.AMEND, Kind.DEBIT, Kind.HOLD),
    Reject.TRADING_PAUSED: (Kind.PLACE, Kind.AMEND, Kind.DEBIT, Kind.HOLD, Kind.CAPTURE),
    Reject.MARKET_CLOSED: (Kind.PLACE, Kind.AMEND),
    Reject.BAD_PRICE: (Kind.PLACE, Kind.AMEND),
    Reject.BAD_QUANTITY: (
        Kind.PLACE, Kind.AMEND, Kind.CREDIT, Kind.DEBIT, Kind.HOLD, Kind.CAPTURE,
    ),
    Reject.TOO_MANY_ORDERS: (Kind.PLACE,),
    Reject.BOOK_FULL: (Kind.PLACE, Kind.AMEND),
    Reject.TABLE_FULL: (
        Kind.OPEN_ACCOUNT, Kind.CREDIT, Kind.DEBIT, Kind.HOLD, Kind.ADD_CREDENTIAL,
    ),
    Reject.OVER_CAP: (Kind.CREDIT, Kind.CONFIRM_CREDIT),
    Reject.OVER_DAILY_LIMIT: (Kind.HOLD,),
    Reject.TOO_YOUNG: (Kind.HOLD,),
    Reject.INSUFFICIENT_FUNDS: (Kind.PLACE, Kind.AMEND, Kind.DEBIT, Kind.HOLD),
    Reject.WOULD_CROSS: (Kind.PLACE, Kind.AMEND),
}  # fmt: skip

# Tables that no stream fills; tests of their own do.
UNREACHED = {
    (kind, Reject.TABLE_FULL)
    for kind in (
        Kind.PLACE, Kind.LIST_ASSET, Kind.LIST_MARKET, Kind.SET_OPERATOR, Kind.BEGIN_GATEWAY,
    )
} | {
    (kind, Reject.SIGNATURES_FULL)
    for kind in (Kind.PLACE, Kind.CANCEL, Kind.AMEND, Kind.CANCEL_ALL)
}  # fmt: skip


def allowed_rejects() -> set[tuple[Kind, Reject]]:
    """Every (kind, reject) of the page."""
    pairs = {(kind, Reject.MALFORMED) for kind in Kind}
    pairs |= {(kind, Reject.NO_RULES) for kind in Kind}
    pairs -= {(kind, Reject.NO_RULES) for kind in (Kind.RULES, Kind.TICK, Kind.NOTE)}
    pairs |= {(kind, reject) for reject, kinds in _BY_REJECT.items() for kind in kinds}
    for kind in Kind:
        if ALLOWED_PARTS.get(kind, OPERATOR) & OPERATOR:
            pairs |= {(kind, Reject.BAD_CREDENTIAL), (kind, Reject.NOT_PERMITTED)}
    return (pairs | UNREACHED) - {(Kind.NOTE, Reject.NOT_PERMITTED)}
