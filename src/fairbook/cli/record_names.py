"""The names of the codes in commands and events, as docs/reference/protocol.md has them."""

from types import ModuleType
from typing import Final

from fairbook.core import admin_records, gateways, records


def _named(names: str, module: ModuleType = records) -> dict[int, str]:
    """The names of constants, by their value."""
    return {getattr(module, name): name for name in names.split()}


COMMAND_NAMES: Final = _named(
    "RULES TICK PLACE CANCEL AMEND CANCEL_ALL END_SESSION OPEN_ACCOUNT CREDIT DEBIT LIST_ASSET"
    " LIST_MARKET SET_ASSET SET_MARKET SET_ACCOUNT SET_EXCHANGE ADD_CREDENTIAL REVOKE_CREDENTIAL"
    " SET_OPERATOR HOLD RELEASE CAPTURE CONFIRM_CREDIT REFUSE_CREDIT PAUSE RESUME BEGIN_GATEWAY"
    " END_GATEWAY NOTE"
)
PART_NAMES: Final = {
    records.TEXT_PART: "TEXT",
    records.SIGNATURE_PART: "SIGNATURE",
    records.DETAIL_PART: "DETAIL",
    records.OPERATOR_PART: "OPERATOR",
    records.ORIGIN: "ORIGIN",
    records.ORIGIN_REST: "ORIGIN_REST",
}
REJECT_NAMES: Final = _named(
    "MALFORMED NO_RULES UNKNOWN_ACCOUNT BAD_CREDENTIAL NOT_PERMITTED UNKNOWN_MARKET UNKNOWN_ASSET"
    " DUPLICATE_CLIENT_ID REPEATED_SIGNATURE SIGNATURES_FULL DUPLICATE_REFERENCE"
    " DUPLICATE_CREDENTIAL UNKNOWN_ORDER UNKNOWN_REFERENCE UNKNOWN_CREDENTIAL UNKNOWN_GATEWAY"
    " ALREADY_LISTED ALREADY_DECIDED BAD_VALUE GATEWAY_ALIVE ACCOUNT_FROZEN TRADING_PAUSED"
    " MARKET_CLOSED BAD_PRICE BAD_QUANTITY TOO_MANY_ORDERS BOOK_FULL TABLE_FULL OVER_CAP"
    " OVER_DAILY_LIMIT TOO_YOUNG INSUFFICIENT_FUNDS WOULD_CROSS"
)
STATUS_NAMES: Final = _named("REJECTED NEW PARTIALLY_FILLED FILLED CANCELLED EXPIRED DONE PENDING")
CLOSE_NAMES: Final = {
    records.BY_FILL: "FILLED",
    records.BY_REQUEST: "REQUESTED",
    records.BY_CANCEL_ALL: "CANCEL_ALL",
    records.BY_SESSION_END: "SESSION_ENDED",
    records.BY_GATEWAY_END: "GATEWAY_ENDED",
} | _named(
    "IMMEDIATE_OR_CANCEL FILL_OR_KILL SELF_TRADE INSUFFICIENT_LIQUIDITY PRICE_OUT_OF_BOUNDS"
    " WALK_LIMIT"
)
PASSED_NAMES: Final = _named(
    "UNSIGNED NOT_BEGUN OUT_OF_NUMBER BAD_SIGNATURE BAD_BEGIN", module=gateways
)
PARAMETER_NAMES: Final = {
    records.SET_ASSET: _named("RESERVE_CAP CREDIT_MAX DAILY_WITHDRAWAL_MAX", module=admin_records),
    records.SET_MARKET: _named(
        "STATE MAKER_FEE_PPM TAKER_FEE_PPM PRICE_MIN PRICE_MAX QUANTITY_MIN QUANTITY_MAX BAND_PPM"
        " LEVELS_MAX WALK_MAX",
        module=admin_records,
    ),
    records.SET_ACCOUNT: _named("FROZEN FEE_GROUP DAILY_WITHDRAWAL_MAX", module=admin_records),
    records.SET_EXCHANGE: _named(
        "ORDERS_MAX ACCOUNTS_MAX CREDENTIALS_MAX OWNER_CREDENTIALS_MAX REFERENCES_MAX"
        " WITHDRAWAL_DELAY_S",
        module=admin_records,
    ),
}
"""By the command that sets them."""
MARKET_STATES: Final = ("Open", "PostOnly", "LimitOnly", "CancelOnly", "Closed")
CAUSE_NAMES: Final = {admin_records.BY_AUDIT: "the audit", admin_records.BY_OPERATOR: "an operator"}
CREDENTIAL_NAMES: Final = {
    admin_records.PUBLIC_KEY: "public key",
    admin_records.TOKEN: "token",
    admin_records.PASSWORD: "password",
    admin_records.SECOND_FACTOR: "second factor",
    admin_records.GATEWAY_KEY: "gateway key",
}
PERMISSION_NAMES: Final = _named("MAY_READ MAY_TRADE MAY_WITHDRAW", module=admin_records)
ROLE_NAMES: Final = _named(
    "ACCOUNTS_ROLE MARKETS_ROLE MONEY_ROLE OPERATORS_ROLE", module=admin_records
)
LOG_FLAG_NAMES: Final = {admin_records.TEST_LOG: "TEST", admin_records.SIGNED_LOG: "SIGNED"}
MOVEMENT_NAMES: Final = {
    admin_records.CREDITED: "credited",
    admin_records.DEBITED: "debited",
    admin_records.PENDING_CREDIT: "pending",
    admin_records.CONFIRMED: "confirmed",
    admin_records.REFUSED: "refused",
    admin_records.HELD: "held",
    admin_records.RELEASED: "released",
    admin_records.CAPTURED: "captured",
}

SIDE_NAMES: Final = {records.BID: "Bid", records.ASK: "Ask"}
TIF_NAMES: Final = _named("GTC IOC FOK")
ORDER_FLAG_NAMES: Final = {
    records.POST_ONLY: "POST_ONLY",
    records.MARKET_ORDER: "MARKET",
    records.BY_QUOTE: "BY_QUOTE",
}
SELF_TRADE_NAMES: Final = {
    records.REJECT_MAKER: "RejectMaker",
    records.REJECT_BOTH: "RejectBoth",
}

HASH_BYTES_SHOWN: Final = 8


def name_of(names: dict[int, str], code: int, what: str) -> str:
    """The name of a code, or the code if it has none."""
    return names.get(code, f"({what} {code})")


def bits_text(names: dict[int, str], bits: int) -> str:
    """The names of the bits that are set, without MAY_ and _ROLE."""
    found = [name.removeprefix("MAY_").removesuffix("_ROLE") for bit, name in names.items()
             if bits & bit]  # fmt: skip
    unknown = bits & ~sum(names)
    return " ".join([*found, *([f"(bits {unknown})"] if unknown else [])]) or "none"


def hash_text(digest: bytes) -> str:
    """The beginning of a hash: enough to recognise it, and no more than is needed."""
    return f"{digest[:HASH_BYTES_SHOWN].hex()}..."
