"""Why a command was refused, an order was closed, or a frame was passed over: a sentence each.

Every code of the core has one (docs/reference/protocol.md has the exact rules).
"""

from typing import Final

from fairbook.core import gateways, records

REJECT_SENTENCES: Final = {
    records.MALFORMED: "the command is malformed: it is of an unknown kind, lacks a part, or its"
    " fields contradict each other",
    records.NO_RULES: "the exchange had no rules yet",
    records.UNKNOWN_ACCOUNT: "there is no such account, or it is one of the exchange itself",
    records.BAD_CREDENTIAL: "the credential or operator that acted is unknown, revoked or expired",
    records.NOT_PERMITTED: "the credential or operator that acted may not do this",
    records.UNKNOWN_MARKET: "there is no such market",
    records.UNKNOWN_ASSET: "there is no such asset",
    records.DUPLICATE_CLIENT_ID: "the account has used this client id for another order, which is"
    " open or was closed a short time ago",
    records.REPEATED_SIGNATURE: "the signature was used before, and each counts once",
    records.SIGNATURES_FULL: "the table of used signatures is full",
    records.DUPLICATE_REFERENCE: "the reference was used before, for something else",
    records.DUPLICATE_CREDENTIAL: "the credential was added before with other terms, or was"
    " revoked",
    records.UNKNOWN_ORDER: "the account has no such open order in this market",
    records.UNKNOWN_REFERENCE: "there is no held or pending money under this reference",
    records.UNKNOWN_CREDENTIAL: "the owner has no such credential, or it was revoked before",
    records.UNKNOWN_GATEWAY: "there is no such gateway, or it was ended before",
    records.ALREADY_LISTED: "the number or the name is listed already",
    records.ALREADY_DECIDED: "the opposite was decided before",
    records.BAD_VALUE: "a value is outside of what is allowed",
    records.GATEWAY_ALIVE: "the gateway seems to be alive, so nothing else may end it",
    records.ACCOUNT_FROZEN: "the account was frozen",
    records.TRADING_PAUSED: "trading was paused, and only cancels were accepted",
    records.MARKET_CLOSED: "the state of the market did not allow such orders",
    records.BAD_PRICE: "the price is outside the range of the market",
    records.BAD_QUANTITY: "the quantity, or the value of the order, is outside the allowed range",
    records.TOO_MANY_ORDERS: "the account had as many open orders as it may have",
    records.BOOK_FULL: "the book had as many price levels or orders as it may have",
    records.TABLE_FULL: "a table of the exchange was full",
    records.OVER_CAP: "the supply of the asset would have exceeded its cap",
    records.OVER_DAILY_LIMIT: "it would have exceeded what the account may withdraw in one day",
    records.TOO_YOUNG: "the credential is so new that it may not withdraw yet",
    records.INSUFFICIENT_FUNDS: "the account had less available than this needed",
    records.WOULD_CROSS: "the order is post only, and would have traded at once",
}
CLOSE_SENTENCES: Final = {
    records.BY_FILL: "all of it was traded",
    records.BY_REQUEST: "a cancel of this order was requested",
    records.BY_CANCEL_ALL: "the open orders of the account were cancelled all at once",
    records.BY_SESSION_END: "the connection that had placed it was closed (cancel on disconnect)",
    records.IMMEDIATE_OR_CANCEL: "it was immediate or cancel (IOC), and what does not trade at once"
    " expires",
    records.FILL_OR_KILL: "it was fill or kill (FOK), and the book could not fill all of it at"
    " once",
    records.SELF_TRADE: "it would have traded with an order of its own account (self-trade"
    " prevention)",
    records.INSUFFICIENT_LIQUIDITY: "the book had nothing more that a market order could trade"
    " with",
    records.PRICE_OUT_OF_BOUNDS: "the next price was further from the first one than the market"
    " allows for market orders",
    records.WALK_LIMIT: "it met more orders than one command, or the commands of one frame, may"
    " look at",
    records.BY_GATEWAY_END: "the gateway that it came through was ended, for example by a restart"
    " of the exchange, and with it the connection that had placed it",
}
PASSED_SENTENCES: Final = {
    gateways.UNSIGNED: "the frame is not signed, in a log where every frame must be",
    gateways.NOT_BEGUN: "the gateway that it names has not begun, has ended, or has no live key",
    gateways.OUT_OF_NUMBER: "its number is not the next one of its gateway",
    gateways.BAD_SIGNATURE: "its signature is wrong",
    gateways.BAD_BEGIN: "it should begin a gateway, and has another content",
}


def reject_sentence(reason: int) -> str:
    return REJECT_SENTENCES.get(reason, f"reason {reason}")
