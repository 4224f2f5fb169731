"""Errors of ccxt's unmodified class `backpack`, and the exceptions that it raises for them.

Every step cancels its orders. Scenarios other than "errors" need restricted exchanges, which
test_clients.py starts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import ccxt  # type: ignore[import-not-found,unused-ignore]

from tests.clients.ccxt_client import (
    MARKET,
    SYMBOL,
    Venue,
    amount,
    clean,
    client,
    client_ids,
    far_below,
    fresh,
)
from tests.clients.scenario import refused, run

TRIES_MAX = 2_000


def raw_order(venue: Venue, **changed: Any) -> Any:
    """POST /api/v1/order past ccxt's own checks and rounding. None leaves a field out."""
    order = {
        "symbol": MARKET,
        "side": "Bid",
        "orderType": "Limit",
        "price": client(venue).price_to_precision(SYMBOL, far_below(venue)),
        "quantity": client(venue).amount_to_precision(SYMBOL, amount(venue)),
    }
    order.update(changed)
    wanted = {name: value for name, value in order.items() if value is not None}
    return client(venue).private_post_api_v1_order(wanted)


def test_bad_requests(venue: Venue) -> None:
    for words, changed in (
        ("Price decimal too long", {"price": "1.1234567891234"}),
        ("Quantity decimal too long", {"quantity": "1.1234567891234"}),
        ("INVALID_CLIENT_REQUEST", {"quantity": "-1"}),
        ("INVALID_CLIENT_REQUEST", {"quantity": None}),
        ("INVALID_CLIENT_REQUEST", {"price": None}),
        ("INVALID_CLIENT_REQUEST", {"price": "1e2"}),
        ("INVALID_CLIENT_REQUEST", {"side": "Buy"}),
        ("INVALID_CLIENT_REQUEST", {"side": None}),
        ("INVALID_CLIENT_REQUEST", {"orderType": "Iceberg"}),
        ("INVALID_CLIENT_REQUEST", {"timeInForce": "GTD"}),
        ("INVALID_CLIENT_REQUEST", {"postOnly": True, "timeInForce": "IOC"}),
        ("INVALID_CLIENT_REQUEST", {"selfTradePrevention": "Allow"}),
        ("INVALID_CLIENT_REQUEST", {"clientId": 1 << 32}),
        (
            "Market orders must specify a quantity or quoteQuantity",
            {"orderType": "Market", "price": None, "quantity": None},
        ),
        ("INVALID_QUANTITY", {"quantity": "0"}),
    ):
        refused(ccxt.BadRequest, words, partial(raw_order, venue, **changed))
    ex = client(venue)
    refused(
        ccxt.BadRequest,
        "Must specify either clientId or orderId",
        lambda: ex.private_delete_api_v1_order({"symbol": MARKET}),
    )
    refused(
        ccxt.BadRequest,
        "Must specify either clientId or orderId",
        lambda: ex.private_get_api_v1_order({"symbol": MARKET}),
    )
    assert ex.fetch_open_orders() == []


def test_expired_request(venue: Venue) -> None:
    late = fresh(venue, **venue["accounts"]["demo1"])
    late.options["recvWindow"] = "60001"
    refused(ccxt.BadRequest, "Request has expired", late.fetch_balance)
    late = fresh(venue, **venue["accounts"]["demo1"])
    late.nonce = lambda: late.milliseconds() - 6_000
    refused(ccxt.BadRequest, "Request has expired", late.fetch_balance)


def test_bad_symbol(venue: Venue) -> None:
    ex = client(venue)
    refused(ccxt.BadSymbol, "INVALID_MARKET", lambda: raw_order(venue, symbol="NOPE_USDC"))
    refused(ccxt.BadSymbol, "INVALID_MARKET", lambda: raw_order(venue, symbol="sol_usdc"))
    refused(
        ccxt.BadSymbol,
        "INVALID_MARKET",
        lambda: ex.public_get_api_v1_depth({"symbol": "NOPE_USDC"}),
    )
    refused(
        ccxt.BadSymbol,
        "INVALID_MARKET",
        lambda: ex.private_delete_api_v1_order({"symbol": "NOPE_USDC", "orderId": "1"}),
    )


def test_insufficient_funds(venue: Venue) -> None:
    ex, price = client(venue), far_below(venue)
    refused(
        ccxt.InsufficientFunds,
        "INSUFFICIENT_FUNDS",
        lambda: ex.create_order(SYMBOL, "limit", "buy", 10_000_000, price),
    )
    refused(
        ccxt.InsufficientFunds,
        "INSUFFICIENT_FUNDS",
        lambda: ex.create_order(SYMBOL, "market", "buy", 0, None, {"cost": 1_000_000_000}),
    )


def test_unknown_orders(venue: Venue) -> None:
    """Cancelling an order that is not open, or of another account, raises InvalidOrder."""
    ex, other = client(venue), client(venue, "demo2")
    words = "Order Not Found (RESOURCE_NOT_FOUND)"
    refused(ccxt.InvalidOrder, words, lambda: ex.cancel_order("123456789", SYMBOL))
    foreign = other.create_order(SYMBOL, "limit", "buy", amount(venue), far_below(venue))
    refused(ccxt.InvalidOrder, words, lambda: ex.cancel_order(foreign["id"], SYMBOL))
    refused(
        ccxt.ExchangeNotAvailable,
        "RESOURCE_NOT_FOUND",
        lambda: ex.fetch_open_order(foreign["id"], SYMBOL),
    )
    other.cancel_order(foreign["id"], SYMBOL)
    refused(ccxt.InvalidOrder, words, lambda: other.cancel_order(foreign["id"], SYMBOL))


def test_authentication(venue: Venue) -> None:
    keys, others = venue["accounts"]["demo1"], venue["accounts"]["demo2"]
    wrong = fresh(venue, apiKey=keys["apiKey"], apiSecret=others["apiSecret"])
    refused(ccxt.AuthenticationError, "INVALID_SIGNATURE", wrong.fetch_balance)
    unknown = "O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik="
    stranger = fresh(venue, apiKey=unknown, apiSecret=keys["apiSecret"])
    refused(ccxt.AuthenticationError, "UNAUTHORIZED", stranger.fetch_balance)
    garbled = fresh(venue, apiKey="not a key", apiSecret=keys["apiSecret"])
    refused(ccxt.AuthenticationError, "UNAUTHORIZED", garbled.fetch_balance)


def test_read_only_key(venue: Venue) -> None:
    """A key without permission to trade."""
    reader = fresh(venue, **venue["accounts"]["reader"])
    assert reader.fetch_balance()["USDC"]["total"] > 0
    refused(
        ccxt.OperationRejected,
        "FORBIDDEN",
        lambda: reader.create_order(SYMBOL, "limit", "buy", 1, 1.0),
    )
    refused(ccxt.OperationRejected, "FORBIDDEN", lambda: reader.cancel_all_orders(SYMBOL))


def test_frozen_account(venue: Venue) -> None:
    ex = client(venue, "demo2")
    refused(
        ccxt.OperationRejected,
        "FORBIDDEN",
        lambda: ex.create_order(SYMBOL, "limit", "buy", amount(venue), far_below(venue)),
    )
    assert ex.cancel_all_orders(SYMBOL) == []


def test_too_many_orders(venue: Venue) -> None:
    """The venue's limit is `orders_max` open orders of one account."""
    ex, price, lots = client(venue), far_below(venue), amount(venue)
    for _ in range(venue["orders_max"]):
        ex.create_order(SYMBOL, "limit", "buy", lots, price)
    refused(
        ccxt.OperationRejected,
        "ORDER_LIMIT",
        lambda: ex.create_order(SYMBOL, "limit", "buy", lots, price),
    )
    assert len(ex.cancel_all_orders(SYMBOL)) == venue["orders_max"]


def test_price_out_of_range(venue: Venue) -> None:
    """SOL_USDC takes at most `price_max` and `quantity_max` here."""
    too_high = str(venue["price_max"] + 1)
    refused(ccxt.InvalidOrder, "INVALID_PRICE", lambda: raw_order(venue, price=too_high))
    too_many = str(venue["quantity_max"] + 1)
    refused(ccxt.BadRequest, "INVALID_QUANTITY", lambda: raw_order(venue, quantity=too_many))


def test_closed_market(venue: Venue) -> None:
    """ETH_USDC takes cancels only."""
    ex = client(venue)
    assert ex.load_markets()["ETH/USDC"]["active"] is False
    order = {"symbol": "ETH_USDC", "price": "100", "quantity": "1"}
    refused(ccxt.InvalidOrder, "INVALID_ORDER", lambda: raw_order(venue, **order))
    assert ex.cancel_all_orders("ETH/USDC") == []


def test_paused(venue: Venue) -> None:
    ex = client(venue)
    refused(
        ccxt.ExchangeNotAvailable,
        "TRADING_PAUSED",
        lambda: ex.create_order(SYMBOL, "limit", "buy", amount(venue), far_below(venue)),
    )
    assert ex.cancel_all_orders(SYMBOL) == []
    assert ex.fetch_balance()["USDC"]["total"] > 0


def test_rate_limit(venue: Venue) -> None:
    """A low limit per minute; ccxt reports when to retry."""
    ex = client(venue)
    ex.load_markets()
    ex.enableRateLimit = False

    def hammer() -> None:
        for _ in range(venue["requests"]):
            ex.fetch_balance()

    refused(ccxt.RateLimitExceeded, "TOO_MANY_REQUESTS", hammer)
    assert int(ex.last_response_headers["Retry-After"]) >= 1, ex.last_response_headers


def test_outcome_unknown(venue: Venue) -> None:
    """With a deadline of 0 some answers are late; repeating the request gives the outcome."""
    ex = client(venue)
    ex.enableRateLimit = False
    order = {"symbol": MARKET, "side": "Bid", "orderType": "Limit", "price": "1", "quantity": "1"}
    for _ in range(TRIES_MAX):
        numbered = {**order, "clientId": next(client_ids)}
        try:
            known = ex.private_post_api_v1_order(numbered)
        except ccxt.RequestTimeout as error:
            assert "Outcome unknown, ask by clientId" in str(error), error
            break
        until_known(partial(ex.cancel_order, known["id"], SYMBOL))
    else:
        raise AssertionError("no answer was late")
    first = until_known(partial(ex.private_post_api_v1_order, numbered))
    assert until_known(partial(ex.private_post_api_v1_order, numbered))["id"] == first["id"]
    left = until_known(partial(ex.fetch_open_orders, SYMBOL))
    assert [each["id"] for each in left] == [first["id"]], left


def until_known(act: Callable[[], Any]) -> Any:
    """Repeat until the outcome is known. A cancel may have been executed already, and one signed in
    the same millisecond has the same signature.
    """
    for _ in range(TRIES_MAX):
        try:
            return act()
        except ccxt.RequestTimeout:
            continue
        except ccxt.BadRequest as error:
            if "Request already seen" not in str(error):
                raise
        except ccxt.InvalidOrder as error:
            return error
    raise AssertionError("every answer was late")


run(
    {
        "errors": [
            test_bad_requests,
            test_expired_request,
            test_bad_symbol,
            test_insufficient_funds,
            test_unknown_orders,
            test_authentication,
        ],
        "restricted": [
            test_read_only_key,
            test_frozen_account,
            test_too_many_orders,
            test_price_out_of_range,
            test_closed_market,
        ],
        "paused": [test_paused],
        "rate": [test_rate_limit],
        "late": [test_outcome_unknown],
    },
    clean=clean,
)
