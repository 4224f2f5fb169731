"""Trading with ccxt's unmodified class `backpack`; only its URLs are overridden.

Every step cancels its orders. Prices come from the book: steps trade inside the spread of the
demo's ladder.
"""

from __future__ import annotations

import time
from typing import Any

import ccxt  # type: ignore[import-not-found,unused-ignore]

from tests.clients.ccxt_client import (
    MARKET,
    SYMBOL,
    Venue,
    amount,
    balance,
    clean,
    client,
    client_ids,
    far_below,
    spread,
)
from tests.clients.scenario import exact, refused, run


def test_public(venue: Venue) -> None:
    ex = client(venue)
    markets = ex.load_markets()
    assert {"SOL/USDC", "BTC/USDC", "ETH/USDC"} <= set(markets), sorted(markets)
    for market in markets.values():
        assert market["spot"] and market["active"] and market["type"] == "spot", market
        assert market["precision"]["price"] > 0 and market["precision"]["amount"] > 0, market
    for code in ("SOL", "BTC", "ETH", "USDC"):
        assert code in ex.currencies, sorted(ex.currencies)
    sol = ex.currencies["SOL"]
    assert sol["active"] is not False and sol["deposit"] and sol["networks"], sol
    assert ex.fetch_status()["status"] == "ok"
    assert isinstance(ex.fetch_time(), int)  # It is the first digit: a known wart of ccxt.
    book = ex.fetch_order_book(SYMBOL)
    assert book["bids"] == sorted(book["bids"], reverse=True) and book["bids"]
    assert book["asks"] == sorted(book["asks"]) and book["asks"]
    assert book["bids"][0][0] < book["asks"][0][0]
    assert isinstance(book["nonce"], int) and book["nonce"] >= 12
    assert abs(book["timestamp"] - time.time() * 1000) < 60_000, book["timestamp"]
    short = ex.fetch_order_book(SYMBOL, 5, {"limit": 5})  # 4.5.64 sends no limit itself.
    assert short["bids"] == book["bids"][:5] and short["asks"] == book["asks"][:5]


def test_limit_order(venue: Venue) -> None:
    ex, price, lots = client(venue), far_below(venue), amount(venue)
    free, used = balance(venue, "USDC")
    order = ex.create_order(SYMBOL, "limit", "buy", lots, price)
    cost = exact(price) * exact(lots)
    assert (order["status"], order["filled"], order["remaining"]) == ("open", 0, lots), order
    assert (order["side"], order["type"], order["price"]) == ("buy", "limit", price), order
    assert (order["symbol"], order["timeInForce"]) == (SYMBOL, "GTC"), order
    assert order["postOnly"] is False and isinstance(order["timestamp"], int), order
    assert balance(venue, "USDC") == (free - cost, used + cost)
    assert ex.fetch_open_order(order["id"], SYMBOL)["id"] == order["id"]
    assert [each["id"] for each in ex.fetch_open_orders(SYMBOL)] == [order["id"]]
    assert [each["id"] for each in ex.fetch_open_orders()] == [order["id"]]
    assert ex.fetch_open_orders("BTC/USDC") == []
    cancelled = ex.cancel_order(order["id"], SYMBOL)
    assert (cancelled["status"], cancelled["id"]) == ("canceled", order["id"]), cancelled
    assert balance(venue, "USDC") == (free, used)
    assert ex.fetch_open_orders() == []


def test_fill_at_makers_price(venue: Venue) -> None:
    """demo2 sells inside the spread, demo1 buys higher, and pays demo2's price."""
    ex, other = client(venue), client(venue, "demo2")
    _, inside, ask = spread(venue)
    lots = amount(venue)
    free, used = balance(venue, "USDC")
    maker = other.create_order(SYMBOL, "limit", "sell", lots, inside)
    taker = ex.create_order(SYMBOL, "limit", "buy", lots, ask)
    assert (taker["status"], taker["filled"]) == ("closed", lots), taker
    assert exact(taker["cost"]) == exact(lots) * exact(inside), taker
    assert taker["average"] == inside, taker
    assert balance(venue, "USDC") == (free - exact(lots) * exact(inside), used)
    refused(
        ccxt.ExchangeNotAvailable,
        "RESOURCE_NOT_FOUND",
        lambda: other.fetch_open_order(maker["id"], SYMBOL),
    )


def test_ioc(venue: Venue) -> None:
    ex, other = client(venue), client(venue, "demo2")
    _, inside, _ = spread(venue)
    half, whole = amount(venue, 5), amount(venue, 10)
    other.create_order(SYMBOL, "limit", "sell", half, inside)
    order = ex.create_order(SYMBOL, "limit", "buy", whole, inside, {"timeInForce": "IOC"})
    assert (order["status"], order["filled"]) == ("canceled", half), order
    assert order["info"]["status"] == "Expired" and order["timeInForce"] == "IOC", order
    assert ex.fetch_open_orders() == [] == other.fetch_open_orders()


def test_fok(venue: Venue) -> None:
    ex, other = client(venue), client(venue, "demo2")
    _, inside, _ = spread(venue)
    half, whole = amount(venue, 5), amount(venue, 10)
    maker = other.create_order(SYMBOL, "limit", "sell", half, inside)
    order = ex.create_order(SYMBOL, "limit", "buy", whole, inside, {"timeInForce": "FOK"})
    assert (order["status"], order["filled"]) == ("canceled", 0), order
    assert [each["id"] for each in other.fetch_open_orders()] == [maker["id"]]
    order = ex.create_order(SYMBOL, "limit", "buy", half, inside, {"timeInForce": "FOK"})
    assert (order["status"], order["filled"]) == ("closed", half), order
    assert other.fetch_open_orders() == []


def test_post_only(venue: Venue) -> None:
    ex = client(venue)
    _, inside, ask = spread(venue)
    lots = amount(venue)
    order = ex.create_order(SYMBOL, "limit", "buy", lots, inside, {"postOnly": True})
    assert order["postOnly"] is True and order["status"] == "open", order
    ex.cancel_order(order["id"], SYMBOL)
    order = ex.create_order(SYMBOL, "limit", "buy", lots, inside, {"timeInForce": "PO"})
    assert order["postOnly"] is True and order["timeInForce"] == "GTC", order
    ex.cancel_order(order["id"], SYMBOL)
    refused(
        ccxt.InvalidOrder,
        "Order would immediately match and take",
        lambda: ex.create_order(SYMBOL, "limit", "buy", lots, ask, {"postOnly": True}),
    )
    assert ex.fetch_open_orders() == []


def test_market_by_amount(venue: Venue) -> None:
    ex, lots = client(venue), amount(venue)
    bought = ex.create_order(SYMBOL, "market", "buy", lots)
    assert (bought["status"], bought["filled"], bought["type"]) == ("closed", lots, "market"), (
        bought
    )
    sold = ex.create_order(SYMBOL, "market", "sell", lots)
    assert (sold["status"], sold["filled"], sold["side"]) == ("closed", lots, "sell"), sold
    assert sold["cost"] <= bought["cost"]


def test_market_by_cost(venue: Venue) -> None:
    """`cost` is quote to spend: filled in whole lots, never exceeded."""
    ex = client(venue)
    _, _, ask = spread(venue)
    cost = float(ex.price_to_precision(SYMBOL, ask * amount(venue, 7) + ask / 3))
    for side in ("buy", "sell"):
        order = ex.create_order(SYMBOL, "market", side, 0, None, {"cost": cost})
        assert order["status"] == "closed" and order["filled"] > 0, order
        assert 0 < exact(order["cost"]) <= exact(cost), order
        assert exact(order["amount"]) == exact(order["filled"]), order
        step = exact(ex.market(SYMBOL)["precision"]["amount"])
        assert exact(cost) - exact(order["cost"]) < step * exact(ask) * 2, order


def test_market_with_cost_method(venue: Venue) -> None:
    """The method sends its cost as the quantity for this class, unless `params` has it too.

    (create_market_buy_order_with_cost() needs an option that this class lacks: KeyError.)
    """
    ex, lots = client(venue), amount(venue)
    bought = ex.create_market_order_with_cost(SYMBOL, "buy", 100, {"cost": 100})
    assert 0 < bought["cost"] <= 100 and bought["status"] == "closed", bought
    sold = ex.create_market_order_with_cost(SYMBOL, "sell", lots)
    assert (sold["filled"], sold["status"]) == (lots, "closed"), sold


def test_create_orders(venue: Venue) -> None:
    """One order that fails does not stop the others."""
    ex, price, lots = client(venue), far_below(venue), amount(venue)
    several: list[Any] = [
        {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": lots, "price": price},
        {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 10_000_000, "price": price},
        {
            "symbol": "BTC/USDC",
            "type": "limit",
            "side": "buy",
            "amount": 0.01,
            "price": 100.0,
            "params": {"postOnly": True, "clientOrderId": next(client_ids)},
        },
    ]
    made = ex.create_orders(several)
    # ccxt sorts them by time, and what failed has none.
    second = next(each for each in made if each["id"] is None)
    first = next(each for each in made if each["symbol"] == SYMBOL)
    third = next(each for each in made if each["symbol"] == "BTC/USDC")
    assert (second["info"]["operation"], second["info"]["code"]) == ("Err", "INSUFFICIENT_FUNDS")
    assert first["status"] == third["status"] == "open", (first, third)
    assert first["info"]["operation"] == third["info"]["operation"] == "Ok"
    assert third["postOnly"] is True, third
    assert {each["id"] for each in ex.fetch_open_orders()} == {first["id"], third["id"]}
    cancelled = ex.cancel_all_orders(SYMBOL)
    assert [each["id"] for each in cancelled] == [first["id"]], cancelled
    assert cancelled[0]["status"] == "canceled", cancelled
    assert [each["id"] for each in ex.cancel_all_orders("BTC/USDC")] == [third["id"]]
    assert ex.cancel_all_orders("BTC/USDC") == []
    assert ex.fetch_open_orders() == []


def test_twenty_orders(venue: Venue) -> None:
    ex, price, lots = client(venue), far_below(venue), amount(venue)
    one = {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": lots, "price": price}
    orders = ex.create_orders([one] * 20)
    assert len({each["id"] for each in orders}) == 20
    assert len(ex.fetch_open_orders(SYMBOL)) == 20
    assert len(ex.cancel_all_orders(SYMBOL)) == 20


def test_client_order_id(venue: Venue) -> None:
    """Orders are idempotent by it, and can be found and cancelled by it."""
    ex, price, lots = client(venue), far_below(venue), amount(venue)
    number = next(client_ids)

    def place(**params: Any) -> Any:
        return ex.create_order(
            SYMBOL, "limit", "buy", lots, price, {"clientOrderId": number, **params}
        )

    first = place()
    assert first["clientOrderId"] == str(number), first
    assert place()["id"] == first["id"]
    assert len(ex.fetch_open_orders()) == 1
    refused(ccxt.InvalidOrder, "already exists", lambda: place(postOnly=True))
    found = ex.private_get_api_v1_order({"symbol": MARKET, "clientId": number})
    assert found["id"] == first["id"], found
    cancelled = ex.cancel_order("", SYMBOL, {"clientId": number})
    assert (cancelled["id"], cancelled["status"]) == (first["id"], "canceled"), cancelled
    assert place()["id"] == first["id"], "also after it was closed"
    assert ex.fetch_open_orders() == []


def test_text_as_client_order_id(venue: Venue) -> None:
    """The same with a text, which ccxt sends as `clientOrderId`."""
    ex, price, lots = client(venue), far_below(venue), amount(venue)
    text = f"my-order/{next(client_ids)}:a"
    named = {"clientOrderId": text}

    def place(**params: Any) -> Any:
        return ex.create_order(SYMBOL, "limit", "buy", lots, price, {**named, **params})

    first = place()
    assert first["clientOrderId"] == text, first
    assert place()["id"] == first["id"]
    refused(ccxt.InvalidOrder, f"already exists: {text}", lambda: place(postOnly=True))
    assert [each["clientOrderId"] for each in ex.fetch_open_orders()] == [text]
    assert ex.fetch_open_order("", SYMBOL, named)["id"] == first["id"]
    cancelled = ex.cancel_order("", SYMBOL, named)
    assert (cancelled["id"], cancelled["clientOrderId"]) == (first["id"], text), cancelled
    assert place()["id"] == first["id"], "also after it was closed"
    again = ex.create_order(SYMBOL, "limit", "buy", lots, price, {"clientOrderId": text + "b"})
    by_id = ex.cancel_order(again["id"], SYMBOL)
    assert by_id["clientOrderId"] == text + "b", by_id
    several = ex.create_orders([
        {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": lots, "price": price,
         "params": {"clientOrderId": f"{text}{end}"}}
        for end in "cd"
    ])  # fmt: skip
    assert [each["clientOrderId"] for each in several] == [f"{text}c", f"{text}d"], several
    cancelled = ex.cancel_all_orders(SYMBOL)
    assert [each["clientOrderId"] for each in cancelled] == [f"{text}c", f"{text}d"], cancelled
    assert ex.fetch_open_orders() == []


def test_self_trade_prevention(venue: Venue) -> None:
    ex, lots = client(venue), amount(venue)
    _, inside, _ = spread(venue)
    for mode, taker_status, left in (
        ("EXPIRE_TAKER", "canceled", "maker"),
        ("EXPIRE_MAKER", "open", "taker"),
        ("EXPIRE_BOTH", "canceled", ""),
    ):
        maker = ex.create_order(SYMBOL, "limit", "sell", lots, inside)
        params = {"selfTradePrevention": mode}
        taker = ex.create_order(SYMBOL, "limit", "buy", lots, inside, params)
        assert (taker["status"], taker["filled"]) == (taker_status, 0), (mode, taker)
        ids = {"maker": [maker["id"]], "taker": [taker["id"]], "": []}[left]
        assert [each["id"] for each in ex.fetch_open_orders()] == ids, mode
        ex.cancel_all_orders(SYMBOL)


def test_account(venue: Venue) -> None:
    ex = client(venue)
    account = ex.private_get_api_v1_account()
    assert account["spotMakerFee"].isdigit() and account["spotTakerFee"].isdigit(), account
    ex.private_patch_api_v1_account({"autoLend": True})
    limit = ex.private_get_api_v1_account_limits_order(
        {"symbol": MARKET, "side": "Bid", "price": "100"}
    )
    assert exact(limit["maxOrderQuantity"]) > 0, limit
    limit = ex.private_get_api_v1_account_limits_withdrawal({"symbol": "USDC"})
    assert exact(limit["maxWithdrawalQuantity"]) == balance(venue, "USDC")[0], limit


def test_stubs(venue: Venue) -> None:
    """Unsupported features answer without breaking clients."""
    ex = client(venue)
    assert ex.fetch_positions() == []
    assert ex.fetch_funding_history() == []
    for call in (
        ex.public_get_api_v1_collateral,
        ex.public_get_api_v1_borrowlend_markets,
        ex.public_get_api_v1_markprices,
        ex.public_get_api_v1_openinterest,
        ex.public_get_api_v1_fundingrates,
        ex.public_get_api_v1_wallets,
        ex.private_get_api_v1_borrowlend_positions,
        ex.private_get_wapi_v1_history_interest,
        ex.private_get_wapi_v1_history_settlement,
    ):
        assert call() == [], call
    assert ex.private_get_api_v1_capital_collateral()["collateral"] == []
    assert ex.public_get_api_v1_ping() == "pong"


def test_not_offered(venue: Venue) -> None:
    ex, price, lots = client(venue), far_below(venue), amount(venue)
    for kind, name, value in (
        (ccxt.OperationFailed, "stopLossPrice", price),
        (ccxt.OperationFailed, "reduceOnly", True),
        (ccxt.BadRequest, "trailingPercent", 1),
        (ccxt.BadRequest, "post_only", True),
    ):
        params = {name: value}
        refused(
            kind,
            name,
            lambda: ex.create_order(SYMBOL, "limit", "buy", lots, price, params),  # noqa: B023
        )
    trigger = {"triggerPrice": price}
    refused(
        ccxt.OperationFailed,
        "NOT_IMPLEMENTED",
        lambda: ex.create_order(SYMBOL, "limit", "buy", lots, price, trigger),
    )
    refused(
        ccxt.OperationFailed,
        "NOT_IMPLEMENTED",
        lambda: ex.private_post_api_v1_borrowlend(
            {"symbol": "USDC", "side": "Lend", "quantity": "1"}
        ),
    )


run(
    {
        "trade": [
            test_public,
            test_limit_order,
            test_fill_at_makers_price,
            test_ioc,
            test_fok,
            test_post_only,
            test_market_by_amount,
            test_market_by_cost,
            test_market_with_cost_method,
            test_create_orders,
            test_twenty_orders,
            test_client_order_id,
            test_text_as_client_order_id,
            test_self_trade_prevention,
            test_account,
            test_stubs,
            test_not_offered,
        ]
    },
    clean=clean,
)
