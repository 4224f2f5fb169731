"""History queries of ccxt's unmodified class `backpack`; only its URLs are overridden.

Every step makes its own trades inside the spread and cancels its orders.
"""

from __future__ import annotations

import itertools
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

MINUTE_MS = 60_000


def trade(venue: Venue, side: str = "buy") -> tuple[Any, Any]:
    """demo2 makes, demo1 takes: (maker's order, taker's order)."""
    _, inside, _ = spread(venue)
    lots = amount(venue)
    other = "sell" if side == "buy" else "buy"
    maker = client(venue, "demo2").create_order(SYMBOL, "limit", other, lots, inside)
    taker = client(venue).create_order(SYMBOL, "limit", side, lots, inside)
    assert taker["status"] == "closed", taker
    return maker, taker


def test_trades(venue: Venue) -> None:
    ex = client(venue)
    _, sold = trade(venue, "sell")
    _, bought = trade(venue, "buy")
    before, last = ex.fetch_trades(SYMBOL)[-2:]
    assert (before["side"], last["side"]) == ("sell", "buy"), (before, last)
    assert last["price"] == bought["price"] and last["amount"] == bought["filled"], last
    assert exact(last["cost"]) == exact(bought["cost"]), (last, bought)
    assert int(last["id"]) == int(before["id"]) + 1 and last["takerOrMaker"] == "taker", last
    assert last["info"]["isBuyerMaker"] is False and before["info"]["isBuyerMaker"] is True
    assert abs(last["timestamp"] - time.time() * 1000) < 60_000, last
    assert [each["id"] for each in ex.fetch_trades(SYMBOL, limit=1)] == [last["id"]]
    assert [each["id"] for each in ex.fetch_trades(SYMBOL, limit=2000)][-1] == last["id"]
    older = ex.fetch_trades(SYMBOL, limit=1, params={"offset": 1})
    assert [each["id"] for each in older] == [before["id"]], older
    assert sold["status"] == "closed"


def test_candles(venue: Venue) -> None:
    ex = client(venue)
    _, taken = trade(venue)
    now_ms = int(time.time() * 1000)
    bars = ex.fetch_ohlcv(SYMBOL, "1m", now_ms - 30 * MINUTE_MS)
    starts = [bar[0] for bar in bars]
    assert starts == list(range(starts[0], starts[-1] + 1, MINUTE_MS)), starts
    assert starts[0] % MINUTE_MS == 0 and starts[-1] > now_ms - 2 * MINUTE_MS, starts
    _, opened, high, low, close, volume = bars[-1]
    assert low <= min(opened, close) and high >= max(opened, close) and volume >= 0
    assert close == taken["price"] and sum(bar[5] for bar in bars) >= taken["filled"], bars[-1]
    assert ex.fetch_ohlcv(SYMBOL)[-1][4] == close
    assert ex.fetch_ohlcv(SYMBOL, "1m", limit=3)[-1][4] == close
    for timeframe in ("1s", "5m", "1h", "1d", "3d", "1w", "1M"):
        if timeframe in ex.timeframes:
            since = None if timeframe != "1s" else (now_ms // 1000 - 90) * 1000
            got = ex.fetch_ohlcv(SYMBOL, timeframe, since)
            assert got and got[-1][4] == close, (timeframe, got[-1:])
            assert all(old[0] < new[0] for old, new in itertools.pairwise(got)), timeframe
    assert ex.fetch_ohlcv(SYMBOL, "1m", now_ms, params={"until": now_ms - MINUTE_MS}) == []


def test_tickers(venue: Venue) -> None:
    ex = client(venue)
    _, taken = trade(venue)
    ticker = ex.fetch_ticker(SYMBOL)
    assert ticker["last"] == ticker["close"] == taken["price"], ticker
    assert ticker["low"] <= ticker["open"] <= ticker["high"], ticker
    assert ticker["low"] <= ticker["last"] <= ticker["high"], ticker
    assert exact(ticker["change"]) == exact(ticker["last"]) - exact(ticker["open"]), ticker
    assert abs(ticker["percentage"] - ticker["change"] / ticker["open"] * 100) < 1e-3, ticker
    assert ticker["baseVolume"] > 0 and ticker["quoteVolume"] > ticker["baseVolume"], ticker
    assert int(ticker["info"]["trades"]) > 0, ticker
    tickers = ex.fetch_tickers()
    assert set(tickers) == {"SOL/USDC", "BTC/USDC", "ETH/USDC"}, sorted(tickers)
    assert tickers[SYMBOL]["last"] == taken["price"], tickers
    assert set(ex.fetch_tickers([SYMBOL])) == {SYMBOL}


def test_my_trades(venue: Venue) -> None:
    ex, other = client(venue), client(venue, "demo2")
    maker, taker = trade(venue)
    mine, theirs = ex.fetch_my_trades(SYMBOL)[-1], other.fetch_my_trades(SYMBOL)[-1]
    assert (mine["order"], theirs["order"]) == (taker["id"], maker["id"]), (mine, theirs)
    assert mine["id"] == theirs["id"] == ex.fetch_trades(SYMBOL)[-1]["id"]
    assert (mine["side"], mine["takerOrMaker"]) == ("buy", "taker"), mine
    assert (theirs["side"], theirs["takerOrMaker"]) == ("sell", "maker"), theirs
    assert mine["fee"]["currency"] == "SOL" and mine["fee"]["cost"] > 0, mine
    assert theirs["fee"]["currency"] == "USDC" and theirs["fee"]["cost"] > 0, theirs
    assert abs(mine["timestamp"] - time.time() * 1000) < 60_000, mine
    assert mine["timestamp"] == theirs["timestamp"] == ex.fetch_trades(SYMBOL)[-1]["timestamp"]
    assert [each["id"] for each in ex.fetch_my_trades(SYMBOL, limit=1)] == [mine["id"]]
    since = ex.fetch_my_trades(SYMBOL, mine["timestamp"])
    assert [each["order"] for each in since][-1] == taker["id"], since
    assert ex.fetch_my_trades(SYMBOL, mine["timestamp"] + 1) == []
    assert ex.fetch_my_trades("BTC/USDC") == []
    assert ex.fetch_my_trades()[-1]["id"] == mine["id"]
    until = ex.fetch_my_trades(SYMBOL, params={"to": mine["timestamp"] - 1})
    assert mine["id"] not in [each["id"] for each in until]


def test_orders(venue: Venue) -> None:
    """An order is found immediately and with its current status, also after it is closed."""
    ex, price, lots = client(venue), far_below(venue), amount(venue)
    number = next(client_ids)
    placed = ex.create_order(SYMBOL, "limit", "buy", lots, price, {"clientOrderId": number})
    found = one(ex, placed["id"])
    for name in ("id", "clientOrderId", "status", "side", "type", "price", "amount", "filled",
                 "timestamp", "timeInForce", "postOnly", "symbol"):  # fmt: skip
        assert found[name] == placed[name], (name, found, placed)
    ex.cancel_order(placed["id"], SYMBOL)
    found = one(ex, placed["id"])
    assert (found["status"], found["filled"]) == ("canceled", 0), found
    assert found["info"]["expiryReason"] is None and found["info"]["systemOrderType"] is None
    _, taker = trade(venue)
    found = one(ex, taker["id"])
    assert (found["status"], found["filled"], found["cost"]) == (
        "closed", taker["filled"], taker["cost"],
    ), found  # fmt: skip
    expired = ex.create_order(SYMBOL, "limit", "buy", lots, price, {"timeInForce": "IOC"})
    found = one(ex, expired["id"])
    assert (found["status"], found["info"]["expiryReason"]) == ("canceled", "ImmediateOrCancel")
    orders = ex.fetch_orders(SYMBOL)
    ids = [each["id"] for each in orders]
    assert ids[-3:] == [placed["id"], taker["id"], expired["id"]], ids
    assert [each["id"] for each in ex.fetch_orders(SYMBOL, limit=1)] == ids[-1:]
    assert [each["id"] for each in ex.fetch_orders()][-3:] == ids[-3:]
    assert ids[-2] in [each["id"] for each in ex.fetch_closed_orders(SYMBOL)]
    assert ids[-1] not in [each["id"] for each in ex.fetch_closed_orders(SYMBOL)]
    by_name = ex.private_get_wapi_v1_history_orders({"symbol": MARKET, "clientId": number})
    assert [each["id"] for each in by_name] == [placed["id"]], by_name
    assert one(client(venue, "demo2"), placed["id"]) is None


def one(ex: Any, order_id: str) -> Any:
    """An order by its id, however this version asks for it; None if there is none."""
    if ex.has["fetchOrder"]:
        try:
            return ex.fetch_order(order_id, SYMBOL)
        except ccxt.ExchangeNotAvailable:  # what ccxt makes of 404
            return None
    return next(iter(ex.fetch_orders(SYMBOL, params={"orderId": order_id})), None)


def test_twenty_orders_are_found_at_once(venue: Venue) -> None:
    """Right after each is placed, and right after each is cancelled."""
    ex, price, lots = client(venue), far_below(venue), amount(venue)
    for _ in range(20):
        placed = ex.create_order(SYMBOL, "limit", "buy", lots, price)
        assert one(ex, placed["id"])["status"] == "open"
        ex.cancel_order(placed["id"], SYMBOL)
        assert one(ex, placed["id"])["status"] == "canceled"


def test_deposits_and_withdrawals(venue: Venue) -> None:
    ex = client(venue)
    deposits = ex.fetch_deposits()
    assert {"SOL", "BTC", "ETH", "USDC"} <= {each["currency"] for each in deposits}, deposits
    deposit = next(each for each in deposits if each["currency"] == "USDC")
    assert deposit["status"] == "ok" and deposit["amount"] > 0 and deposit["timestamp"], deposit
    assert {each["currency"] for each in ex.fetch_deposits("USDC")} == {"USDC"}
    assert ex.fetch_deposits(since=deposit["timestamp"], limit=1, params={
        "until": deposit["timestamp"] + 60_000
    }), "within from and endTime"  # fmt: skip
    assert ex.fetch_deposits(params={"until": 1}) == []
    there = ex.fetch_deposit_address("USDC", {"network": "SOL"})
    assert there["address"] == ex.fetch_deposit_address("USDC", {"network": "SOL"})["address"]

    free, _ = balance(venue, "USDC")
    address = "5EYCAe5ijiYfyeZ2AMZVC4tGs6vTNzCEqmqfqyBs1d7a:memo/1 +x"
    made = ex.withdraw("USDC", 1.25, address, params={"network": "SOL"})
    assert (made["status"], made["amount"], made["addressTo"]) == ("ok", 1.25, address), made
    assert balance(venue, "USDC")[0] == free - exact("1.25")
    found = ex.fetch_withdrawals("USDC")[-1]
    for name in ("id", "status", "amount", "currency", "addressTo", "timestamp", "fee"):
        assert found[name] == made[name], (name, found, made)
    assert ex.fetch_withdrawals(since=made["timestamp"] + 1) == []
    named = {"network": "SOL", "clientId": str(next(client_ids))}
    twice = [ex.withdraw("USDC", 1.25, address, params=named) for _ in range(2)]
    assert twice[0]["id"] == twice[1]["id"] != made["id"], twice
    assert balance(venue, "USDC")[0] == free - exact("2.5")
    refused(
        ccxt.InsufficientFunds,
        "INSUFFICIENT_FUNDS",
        lambda: ex.withdraw("USDC", 900_000_000_000, address, params={"network": "SOL"}),
    )


def test_ranges(venue: Venue) -> None:
    ex = client(venue)
    for call in (
        lambda: ex.fetch_orders(SYMBOL, limit=1001),
        lambda: ex.fetch_my_trades(SYMBOL, params={"offset": -1}),
        lambda: ex.fetch_my_trades(SYMBOL, params={"from": 2, "to": 1}),
        lambda: ex.fetch_deposits(limit=1001),
    ):
        refused(ccxt.BadRequest, "INVALID_RANGE", call)
    refused(
        ccxt.BadRequest,
        "Invalid interval",
        lambda: ex.public_get_api_v1_klines(
            {"symbol": MARKET, "interval": "7m", "startTime": 1_700_000_000}
        ),
    )


run(
    {
        "past": [
            test_trades,
            test_candles,
            test_tickers,
            test_my_trades,
            test_orders,
            test_twenty_orders_are_found_at_once,
            test_deposits_and_withdrawals,
            test_ranges,
        ]
    },
    clean=clean,
)
