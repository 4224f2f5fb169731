"""Scenarios of unmodified bpx-py; only its base URLs are overridden.

bpx-py raises no errors: an error answer has a `code`. Every step cancels its orders.
"""

from __future__ import annotations

import inspect
import itertools
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from bpx.account import Account  # type: ignore[import-not-found,unused-ignore]
from bpx.public import Public  # type: ignore[import-not-found,unused-ignore]

from tests.clients.every_call import ORDER, Arguments, call_every
from tests.clients.scenario import run

MARKET = "SOL_USDC"
TICK = Decimal("0.01")
LOTS = "0.5"
TRIES_MAX = 2_000
Venue = dict[str, Any]
accounts: dict[str, Any] = {}
client_ids = itertools.count(time.time_ns() // 1_000_000 % 1_000_000_000 + 2_000_000_000)


def account(venue: Venue, name: str = "demo1") -> Any:
    """bpx-py's Account for a demo account, created once."""
    if name not in accounts:
        accounts[name] = fresh(venue, **venue["accounts"][name])
    return accounts[name]


def fresh(venue: Venue, *, apiKey: str, apiSecret: str, window: int = 5000, **_: str) -> Any:
    """A new Account with these keys."""
    made = Account(apiKey, apiSecret, window=window)
    made.BPX_API_URL = venue["http"] + "/"
    return made


def public(venue: Venue) -> Any:
    """bpx-py's Public."""
    made = Public()
    made.BASE_URL = venue["http"] + "/"
    return made


def spread(venue: Venue) -> tuple[str, str, str]:
    """(best bid, a price inside the spread, best ask), as text."""
    depth = public(venue).get_depth(MARKET)
    bid, ask = Decimal(depth["bids"][-1][0]), Decimal(depth["asks"][0][0])
    inside = ((bid + ask) / 2).quantize(TICK)
    assert bid < inside < ask, f"no room between {bid} and {ask}"
    return f"{bid:f}", f"{inside:f}", f"{ask:f}"


def far_below(venue: Venue) -> str:
    """A price at which a bid rests."""
    return f"{(Decimal(spread(venue)[0]) * Decimal('0.8')).quantize(TICK):f}"


def clean(venue: Venue) -> None:
    """Cancel every order of both accounts."""
    for name in ("demo1", "demo2"):
        account(venue, name).cancel_all_orders(MARKET)


def limit(venue: Venue, name: str = "demo1", **changed: Any) -> Any:
    """A limit order that rests, with changes."""
    terms: dict[str, Any] = {
        "symbol": MARKET,
        "side": "Bid",
        "order_type": "Limit",
        "quantity": LOTS,
        "price": far_below(venue),
    }
    return account(venue, name).execute_order(**terms | changed)


def is_error(answer: Any, code: str, words: str = "") -> None:
    """The answer must be this error."""
    assert isinstance(answer, dict) and answer.get("code") == code, answer
    assert words in answer["message"] and set(answer) == {"code", "message"}, answer


def test_public(venue: Venue) -> None:
    client = public(venue)
    assert client.get_ping() == "pong"
    assert abs(int(client.get_time()) - time.time() * 1000) < 60_000
    assert client.get_status() == {"status": "Ok", "message": None}
    markets = {market["symbol"]: market for market in client.get_markets()}
    assert {"SOL_USDC", "BTC_USDC", "ETH_USDC"} <= set(markets)
    for market in markets.values():
        assert market["marketType"] == "SPOT" and market["orderBookState"] == "Open", market
        assert Decimal(market["filters"]["price"]["tickSize"]) > 0, market
        assert Decimal(market["filters"]["quantity"]["stepSize"]) > 0, market
        assert Decimal(market["filters"]["quantity"]["minQuantity"]) > 0, market
    assert {"SOL", "BTC", "ETH", "USDC"} <= {asset["symbol"] for asset in client.get_assets()}
    depth = client.get_depth(MARKET)
    for side in ("bids", "asks"):
        prices = [Decimal(price) for price, _ in depth[side]]
        assert prices == sorted(prices) and prices, depth
    assert Decimal(depth["bids"][-1][0]) < Decimal(depth["asks"][0][0])
    assert depth["lastUpdateId"].isdigit() and isinstance(depth["timestamp"], int), depth
    assert abs(depth["timestamp"] / 1e6 - time.time()) < 60


def test_limit_order(venue: Venue) -> None:
    client = account(venue)
    before = client.get_balances()["USDC"]
    price = far_below(venue)
    order = limit(venue)
    assert (order["status"], order["executedQuantity"]) == ("New", "0"), order
    assert Decimal(order["price"]) == Decimal(price) and Decimal(order["quantity"]) == Decimal(LOTS)
    assert order["id"].isdigit() and isinstance(order["createdAt"], int), order
    assert order["orderType"] == "Limit" and order["side"] == "Bid", order
    assert order["timeInForce"] == "GTC" and order["postOnly"] is False, order
    during = client.get_balances()["USDC"]
    cost = Decimal(price) * Decimal(LOTS)
    assert Decimal(during["locked"]) - Decimal(before["locked"]) == cost
    assert Decimal(before["available"]) - Decimal(during["available"]) == cost
    assert client.get_open_order(MARKET, order_id=order["id"])["id"] == order["id"]
    assert [each["id"] for each in client.get_open_orders()] == [order["id"]]
    assert [each["id"] for each in client.get_open_orders("SPOT", MARKET)] == [order["id"]]
    assert client.get_open_orders(symbol="BTC_USDC") == []
    cancelled = client.cancel_order(MARKET, order_id=order["id"])
    assert (cancelled["id"], cancelled["status"]) == (order["id"], "Cancelled"), cancelled
    assert client.get_balances()["USDC"] == before
    answer = client.get_open_order(MARKET, order_id=order["id"])
    is_error(answer, "RESOURCE_NOT_FOUND", "Not Found")


def test_immediate_orders(venue: Venue) -> None:
    """IOC and FOK against an order of demo2 inside the spread."""
    _, inside, _ = spread(venue)
    limit(venue, "demo2", side="Ask", price=inside)
    order = limit(venue, price=inside, quantity="0.8", time_in_force="FOK")
    assert (order["status"], order["executedQuantity"]) == ("Expired", "0"), order
    order = limit(venue, price=inside, quantity="0.8", time_in_force="IOC")
    assert (order["status"], order["executedQuantity"]) == ("Expired", LOTS), order
    limit(venue, "demo2", side="Ask", price=inside)
    order = limit(venue, price=inside, time_in_force="FOK")
    assert (order["status"], order["executedQuantity"]) == ("Filled", LOTS), order
    assert Decimal(order["executedQuoteQuantity"]) == Decimal(LOTS) * Decimal(inside), order
    assert account(venue).get_open_orders() == [] == account(venue, "demo2").get_open_orders()


def test_post_only(venue: Venue) -> None:
    _, inside, ask = spread(venue)
    order = limit(venue, price=inside, post_only=True)
    assert order["status"] == "New" and order["postOnly"] is True, order
    account(venue).cancel_order(MARKET, order_id=order["id"])
    answer = limit(venue, price=ask, post_only=True)
    is_error(answer, "INVALID_ORDER", "Order would immediately match and take")


def test_market_orders(venue: Venue) -> None:
    client = account(venue)
    for side in ("Bid", "Ask"):
        order = client.execute_order(MARKET, side, "Market", quantity=LOTS)
        assert (order["status"], order["executedQuantity"]) == ("Filled", LOTS), order
        assert order["orderType"] == "Market" and "price" not in order, order
        order = client.execute_order(MARKET, side, "Market", quote_quantity="100")
        assert order["status"] == "Filled", order
        assert 98 < Decimal(order["executedQuoteQuantity"]) <= 100, order


def test_client_id(venue: Venue) -> None:
    client, number = account(venue), next(client_ids)
    price = far_below(venue)
    first = limit(venue, price=price, client_id=number)
    assert first["clientId"] == number, first
    assert limit(venue, price=price, client_id=number)["id"] == first["id"]
    answer = limit(venue, price=price, client_id=number, quantity="0.6")
    is_error(answer, "INVALID_ORDER", "Order with client ID already exists")
    assert client.get_open_order(MARKET, client_id=number)["id"] == first["id"]
    assert client.cancel_order(MARKET, client_id=number)["status"] == "Cancelled"
    assert limit(venue, price=price, client_id=number)["id"] == first["id"]
    assert client.get_open_orders() == []


def test_cancel_all(venue: Venue) -> None:
    client = account(venue)
    ids = {limit(venue)["id"] for _ in range(3)}
    cancelled = client.cancel_all_orders(MARKET)
    assert {order["id"] for order in cancelled} == ids, cancelled
    assert {order["status"] for order in cancelled} == {"Cancelled"}
    assert client.cancel_all_orders(MARKET) == []


def test_self_trade_prevention(venue: Venue) -> None:
    client = account(venue)
    _, inside, _ = spread(venue)
    for mode, taker_status, left in (
        ("RejectTaker", "Expired", 1),
        ("RejectMaker", "New", 1),
        ("RejectBoth", "Expired", 0),
    ):
        limit(venue, side="Ask", price=inside)
        taker = limit(venue, price=inside, self_trade_prevention=mode)
        assert (taker["status"], taker["executedQuantity"]) == (taker_status, "0"), taker
        assert taker["selfTradePrevention"] == mode, taker
        assert len(client.get_open_orders()) == left, mode
        client.cancel_all_orders(MARKET)


def test_account(venue: Venue) -> None:
    client = account(venue)
    assert client.get_account()["spotTakerFee"].isdigit()
    client.update_account(auto_lend=True, leverage_limit="1")
    most = client.get_max_order_quantity(MARKET, "Bid", price="100", reduce_only=True)
    assert Decimal(most["maxOrderQuantity"]) > 0, most
    most = client.get_max_withdrawal_quantity("USDC", auto_borrow=True)
    assert most["maxWithdrawalQuantity"] == client.get_balances()["USDC"]["available"], most
    for balance in client.get_balances().values():
        assert set(balance) == {"available", "locked", "staked"}, balance


def test_stubs(venue: Venue) -> None:
    client = account(venue)
    assert client.get_open_positions() == []
    assert client.get_borrow_lend_positions() == []
    assert client.get_collateral()["collateral"] == []
    for call in (
        client.get_borrow_history,
        client.get_interest_history,
        client.get_funding_payments,
        client.get_profit_and_loss_history,
        client.get_settlements_history,
        public(venue).get_collateral,
        public(venue).get_borrow_lend_markets,
        public(venue).get_open_interest,
    ):
        assert call() == [], call
    answer = client.execute_borrow_lend("1", "Lend", "USDC")
    is_error(answer, "NOT_IMPLEMENTED")
    is_error(limit(venue, trigger_price="1"), "NOT_IMPLEMENTED")
    is_error(limit(venue, stop_loss_trigger_price="1"), "NOT_IMPLEMENTED")


def trade(venue: Venue) -> tuple[Any, Any]:
    """demo2 sells inside the spread, demo1 buys: (maker's order, taker's order)."""
    _, inside, _ = spread(venue)
    maker = limit(venue, "demo2", side="Ask", price=inside)
    taker = limit(venue, price=inside)
    assert taker["status"] == "Filled", taker
    return maker, taker


def test_trades(venue: Venue) -> None:
    """Trades, klines, tickers."""
    client = public(venue)
    _, taker = trade(venue)
    last = client.get_recent_trades(MARKET)[0]
    assert (last["price"], last["quantity"]) == (taker["price"], LOTS), last
    assert last["quoteQuantity"] == taker["executedQuoteQuantity"], (last, taker)
    assert last["isBuyerMaker"] is False and isinstance(last["id"], int), last
    assert abs(last["timestamp"] - time.time() * 1000) < 60_000, last
    assert client.get_history_trades(MARKET, limit=1) == [last]
    older = client.get_history_trades(MARKET, limit=5, offset=1)
    assert last["id"] not in [each["id"] for each in older], older
    now = int(time.time())
    for bars in (
        client.get_klines(MARKET, "1m", now - 300),
        client.get_klines(MARKET, "1m", now - 300, now + 60),
        client.get_klines(MARKET, "1month", 0),
    ):
        assert bars[-1]["close"] == taker["price"] and int(bars[0]["trades"]) >= 0, bars
        assert len({bar["start"] for bar in bars}) == len(bars)
    ticker = client.get_ticker(MARKET)
    assert ticker["lastPrice"] == taker["price"] and int(ticker["trades"]) > 0, ticker
    assert MARKET in {each["symbol"] for each in client.get_tickers()}


def test_orders_and_fills(venue: Venue) -> None:
    client = account(venue)
    open_order = limit(venue, client_id=next(client_ids))
    (found,) = client.get_order_history(MARKET, order_id=open_order["id"])
    created = found.pop("createdAt")
    assert isinstance(created, str) and not created.endswith("Z") and "T" in created, created
    expected = {name: value for name, value in open_order.items() if name != "createdAt"}
    assert found == expected | {
        "expiryReason": None, "systemOrderType": None, "quoteQuantity": None,
    }, found  # fmt: skip
    client.cancel_order(MARKET, order_id=open_order["id"])
    assert client.get_order_history(MARKET, limit=1)[0]["status"] == "Cancelled"
    maker, taker = trade(venue)
    (fill,) = client.get_fill_history(MARKET, limit=1)
    assert (fill["orderId"], fill["isMaker"], fill["feeSymbol"]) == (taker["id"], False, "SOL")
    assert isinstance(fill["fee"], str) and fill["clientId"] is None, fill
    (theirs,) = account(venue, "demo2").get_fill_history(limit=1, market_type="SPOT")
    assert (theirs["orderId"], theirs["isMaker"]) == (maker["id"], True), theirs
    assert theirs["tradeId"] == fill["tradeId"], (theirs, fill)
    latest = int(time.time() * 1000) + 60_000
    assert client.get_fill_history(MARKET, from_=latest, to=latest + 1) == []
    assert client.get_fill_history(MARKET, from_=1, to=latest, fill_type="User")[0] == fill


def test_deposits_and_withdrawals(venue: Venue) -> None:
    client = account(venue)
    assert {"SOL", "USDC"} <= {each["symbol"] for each in client.get_deposits()}
    assert client.get_deposits(from_=1, to=2) == []
    there = client.get_deposit_address("Solana")
    assert there == client.get_deposit_address("Solana") and there["address"], there
    before = Decimal(client.get_balances()["USDC"]["available"])
    terms = {"address": "a/b c:d", "symbol": "USDC", "blockchain": "Solana", "quantity": "2.5"}
    number = next(client_ids)
    made = client.withdrawal(**terms, client_id=number)
    assert (made["status"], made["clientId"]) == ("confirmed", str(number)), made
    assert client.withdrawal(**terms, client_id=number) == made, "once"
    assert client.get_withdrawals(limit=1) == [made]
    assert before - Decimal(client.get_balances()["USDC"]["available"]) == Decimal("2.5")
    is_error(
        client.withdrawal(**{**terms, "quantity": "3"}, client_id=number),
        "INVALID_CLIENT_REQUEST",
        "clientId was used",
    )


def test_ranges(venue: Venue) -> None:
    client = account(venue)
    is_error(client.get_order_history(MARKET, limit=0), "INVALID_RANGE", "Invalid limit")
    is_error(client.get_fill_history(MARKET, from_=2, to=1), "INVALID_RANGE")
    is_error(client.get_deposits(offset=1_000_000), "INVALID_RANGE", "Invalid offset")
    is_error(public(venue).get_recent_trades(MARKET, 0), "INVALID_RANGE")
    is_error(public(venue).get_ticker("NOPE_USDC"), "INVALID_MARKET")


def test_errors(venue: Venue) -> None:
    client = account(venue)
    is_error(limit(venue, price="1.123456"), "INVALID_CLIENT_REQUEST", "Price decimal too long")
    is_error(limit(venue, quantity="-1"), "INVALID_CLIENT_REQUEST")
    is_error(limit(venue, price=None), "INVALID_CLIENT_REQUEST")
    is_error(limit(venue, side="Buy"), "INVALID_CLIENT_REQUEST")
    is_error(limit(venue, symbol="NOPE_USDC"), "INVALID_MARKET")
    is_error(limit(venue, quantity="10000000"), "INSUFFICIENT_FUNDS")
    is_error(limit(venue, post_only=True, time_in_force="IOC"), "INVALID_CLIENT_REQUEST")
    is_error(client.cancel_order(MARKET), "INVALID_CLIENT_REQUEST", "Must specify either clientId")
    unknown = "Order Not Found (RESOURCE_NOT_FOUND)"
    is_error(client.cancel_order(MARKET, order_id="123456789"), "INVALID_ORDER", unknown)
    is_error(client.cancel_order(MARKET, client_id=7), "INVALID_ORDER", unknown)
    is_error(public(venue).get_depth("NOPE_USDC"), "INVALID_MARKET")
    assert client.get_open_orders() == []


def test_authentication(venue: Venue) -> None:
    keys, others = venue["accounts"]["demo1"], venue["accounts"]["demo2"]
    wrong = fresh(venue, apiKey=keys["apiKey"], apiSecret=others["apiSecret"])
    is_error(wrong.get_balances(), "INVALID_SIGNATURE", "Invalid signature")
    unknown = "O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik="
    stranger = fresh(venue, apiKey=unknown, apiSecret=keys["apiSecret"])
    is_error(stranger.get_balances(), "UNAUTHORIZED")
    hasty = fresh(venue, **keys, window=60_001)
    is_error(hasty.get_balances(), "INVALID_CLIENT_REQUEST", "Request has expired")


def test_restricted(venue: Venue) -> None:
    reader = fresh(venue, **venue["accounts"]["reader"])
    assert Decimal(reader.get_balances()["USDC"]["available"]) > 0
    is_error(reader.cancel_all_orders(MARKET), "FORBIDDEN")
    is_error(limit(venue, "demo2"), "FORBIDDEN")
    for _ in range(venue["orders_max"]):
        assert limit(venue)["status"] == "New"
    is_error(limit(venue), "ORDER_LIMIT")
    assert len(account(venue).cancel_all_orders(MARKET)) == venue["orders_max"]
    is_error(limit(venue, price=str(venue["price_max"] + 1)), "INVALID_PRICE")
    is_error(limit(venue, quantity=str(venue["quantity_max"] + 1)), "INVALID_QUANTITY")
    is_error(limit(venue, symbol="ETH_USDC"), "INVALID_ORDER")
    assert account(venue).cancel_all_orders("ETH_USDC") == []


def test_paused(venue: Venue) -> None:
    is_error(limit(venue), "TRADING_PAUSED")
    assert account(venue).cancel_all_orders(MARKET) == []


def test_rate_limit(venue: Venue) -> None:
    for _ in range(venue["requests"]):
        answer = account(venue).get_balances()
        if "code" in answer:
            break
    is_error(answer, "TOO_MANY_REQUESTS")


def test_outcome_unknown(venue: Venue) -> None:
    """With a deadline of 0 some answers are late; repeating the request gives the outcome."""
    client, price = account(venue), far_below(venue)
    for _ in range(TRIES_MAX):
        number = next(client_ids)
        answer = limit(venue, price=price, client_id=number)
        if answer.get("code") == "TIMEOUT":
            break
        client.cancel_order(MARKET, client_id=number)
    is_error(answer, "TIMEOUT", "Outcome unknown, ask by clientId")
    for _ in range(TRIES_MAX):
        answer = limit(venue, price=price, client_id=number)
        if "id" in answer:
            break
    left = [order for order in client.get_open_orders() if order["clientId"] == number]
    assert [order["id"] for order in left] == [answer["id"]], (left, answer)


def test_every_call(venue: Venue) -> None:
    def call(method: Callable[..., Any], given: Arguments) -> Any:
        answer = method(**given)
        if inspect.iscoroutine(answer):  # `get_all_mark_prices` forgets to await.
            answer.close()
            return []
        return answer["code"] if isinstance(answer, dict) and "code" in answer else answer

    order = {**ORDER, "order_type": "Limit", "time_in_force": "GTC"}
    call_every([public(venue), account(venue)], order, call)


run(
    {
        "trade": [
            test_public,
            test_limit_order,
            test_immediate_orders,
            test_post_only,
            test_market_orders,
            test_client_id,
            test_cancel_all,
            test_self_trade_prevention,
            test_account,
            test_stubs,
        ],
        "past": [test_trades, test_orders_and_fills, test_deposits_and_withdrawals, test_ranges],
        "every": [test_every_call],
        "errors": [test_errors, test_authentication],
        "restricted": [test_restricted],
        "paused": [test_paused],
        "rate": [test_rate_limit],
        "late": [test_outcome_unknown],
    },
    clean=clean,
)
