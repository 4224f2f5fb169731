"""Every error of the public contract: status, code and message.

A reject of the core has one row in REJECTS; a request that is refused before the log is raised as
ApiError (BadRequest for the common 400). Both become the JSON object {"code", "message"}. Codes are
those that public clients know; messages that other software matches on stand only here.
"""

from typing import Final

import msgspec

from fairbook.core import records

INVALID_CLIENT_REQUEST: Final = "INVALID_CLIENT_REQUEST"


class ApiError(Exception):
    """An error answer. `retry_after_s` 0: no Retry-After header; `close`: end the connection."""

    def __init__(
        self, status: int, code: str, message: str, *, retry_after_s: int = 0, close: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s
        self.close = close

    def body(self) -> bytes:
        return msgspec.json.encode({"code": self.code, "message": self.message})


class BadRequest(ApiError):
    """A malformed or missing field. Nothing was logged."""

    def __init__(self, message: str) -> None:
        super().__init__(400, INVALID_CLIENT_REQUEST, message)


REJECTS: Final[dict[int, tuple[int, str, str]]] = {  # status, code, message
    records.MALFORMED: (400, INVALID_CLIENT_REQUEST, "Malformed request"),
    records.NO_RULES: (503, "MAINTENANCE", "The exchange is not open yet"),
    records.UNKNOWN_ACCOUNT: (403, "FORBIDDEN", "Account not open"),
    records.BAD_CREDENTIAL: (401, "UNAUTHORIZED", "Unauthorized"),
    records.NOT_PERMITTED: (403, "FORBIDDEN", "Permission denied"),
    records.UNKNOWN_MARKET: (400, "INVALID_MARKET", "Unknown market"),
    records.UNKNOWN_ASSET: (400, "INVALID_ASSET", "Unknown asset"),
    records.DUPLICATE_CLIENT_ID: (
        400,
        "INVALID_ORDER",
        "Order with client ID already exists: {client_id}",
    ),
    records.REPEATED_SIGNATURE: (400, INVALID_CLIENT_REQUEST, "Request already seen"),
    records.SIGNATURES_FULL: (
        503,
        "TRADING_PAUSED",
        "Too many signed requests, use a clientId",
    ),
    records.DUPLICATE_REFERENCE: (
        400,
        INVALID_CLIENT_REQUEST,
        "The reference was used for something else",
    ),
    records.DUPLICATE_CREDENTIAL: (400, INVALID_CLIENT_REQUEST, "The credential was used before"),
    records.UNKNOWN_ORDER: (400, "INVALID_ORDER", "Order Not Found (RESOURCE_NOT_FOUND)"),
    records.UNKNOWN_REFERENCE: (400, INVALID_CLIENT_REQUEST, "Unknown reference"),
    records.UNKNOWN_CREDENTIAL: (400, INVALID_CLIENT_REQUEST, "Unknown credential"),
    records.UNKNOWN_GATEWAY: (400, INVALID_CLIENT_REQUEST, "Unknown gateway"),
    records.ALREADY_LISTED: (400, INVALID_CLIENT_REQUEST, "Already listed"),
    records.ALREADY_DECIDED: (400, INVALID_CLIENT_REQUEST, "Already decided"),
    records.BAD_VALUE: (400, INVALID_CLIENT_REQUEST, "Value out of range"),
    records.GATEWAY_ALIVE: (400, INVALID_CLIENT_REQUEST, "The gateway is alive"),
    records.ACCOUNT_FROZEN: (403, "FORBIDDEN", "Account is frozen"),
    records.TRADING_PAUSED: (503, "TRADING_PAUSED", "Trading is paused, only cancels are taken"),
    records.MARKET_CLOSED: (400, "INVALID_ORDER", "Market does not take this order now"),
    records.BAD_PRICE: (400, "INVALID_PRICE", "Price is out of range"),
    records.BAD_QUANTITY: (400, "INVALID_QUANTITY", "Quantity is out of range"),
    records.TOO_MANY_ORDERS: (400, "ORDER_LIMIT", "Too many open orders"),
    records.BOOK_FULL: (400, "ORDER_LIMIT", "The order book has no room at this price"),
    records.TABLE_FULL: (400, INVALID_CLIENT_REQUEST, "No more room"),
    records.OVER_CAP: (400, "INVALID_QUANTITY", "The supply would exceed its cap"),
    records.OVER_DAILY_LIMIT: (403, "FORBIDDEN", "Over the daily withdrawal limit"),
    records.TOO_YOUNG: (403, "FORBIDDEN", "The credential is too young to withdraw"),
    records.INSUFFICIENT_FUNDS: (400, "INSUFFICIENT_FUNDS", "Insufficient funds"),
    records.WOULD_CROSS: (400, "INVALID_ORDER", "Order would immediately match and take"),
}

# `expiryReason` by close reason; None: the order did not expire.
CLOSE_REASONS: Final[dict[int, str | None]] = {
    0: None,
    records.BY_FILL: None,
    records.BY_REQUEST: None,
    records.BY_CANCEL_ALL: None,
    records.BY_SESSION_END: None,
    records.IMMEDIATE_OR_CANCEL: "ImmediateOrCancel",
    records.FILL_OR_KILL: "FillOrKill",
    records.SELF_TRADE: "SelfTradePrevention",
    records.INSUFFICIENT_LIQUIDITY: "InsufficientLiquidity",
    records.PRICE_OUT_OF_BOUNDS: "PriceOutOfBounds",
    records.WALK_LIMIT: "WalkLimit",
    records.BY_GATEWAY_END: None,
}


def rejected(reason: int, *, client_id: int | str | None = None) -> ApiError:
    """The error of a reject of the core. client_id: of the command."""
    status, code, message = REJECTS[reason]
    return ApiError(status, code, message.format(client_id=client_id))


def unauthorized() -> ApiError:
    """Wrong credentials of any kind: one answer for all, so that keys cannot be probed."""
    return ApiError(401, "UNAUTHORIZED", "Unauthorized")


def not_found() -> ApiError:
    """An unknown path, or an order that is not open."""
    return ApiError(404, "RESOURCE_NOT_FOUND", "Not Found")


def not_implemented(what: str) -> ApiError:
    """Known to the contract, not offered here."""
    return ApiError(501, "NOT_IMPLEMENTED", f"Not offered: {what}")


def server_error() -> ApiError:
    """A bug, in a request that changes nothing."""
    return ApiError(500, "SERVER_ERROR", "Internal server error")


def outcome_unknown() -> ApiError:
    """A command may or may not have been executed."""
    return ApiError(504, "TIMEOUT", "Outcome unknown, ask by clientId")


def busy() -> ApiError:
    """Nothing was logged. TRADING_PAUSED, because ccxt retries it."""
    return ApiError(
        503, "TRADING_PAUSED", "The exchange is busy, nothing was done", retry_after_s=1
    )


def maintenance() -> ApiError:
    """Nothing was logged: the exchange is shutting down, or its log failed."""
    return ApiError(
        503, "MAINTENANCE", "The exchange takes no requests now", retry_after_s=5, close=True
    )


def invalid_range(name: str) -> ApiError:
    """A number that selects a part of a list is malformed or out of range."""
    return ApiError(400, "INVALID_RANGE", f"Invalid {name}")


def invalid_market() -> ApiError:
    return rejected(records.UNKNOWN_MARKET)


def beyond_limit(reason: int, limit: str, *, is_small: bool) -> ApiError:
    """BAD_PRICE or BAD_QUANTITY, naming the limit that is exceeded. limit: as text."""
    status, code, message = REJECTS[reason]
    name = message.partition(" ")[0]
    why = f"small, the least is {limit}" if is_small else f"large, the most is {limit}"
    return ApiError(status, code, f"{name} is too {why}")
