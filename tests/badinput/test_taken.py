"""Inputs at the limits that are accepted, or accepted once, by a running exchange. Each test
cancels its orders.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fairbook.core import admin_records, records, state
from tests.badinput.rows import order_json, request, signed, written
from tests.badinput.target import ORDERS_MAX, Target
from tests.world.exchange_process import ExchangeProcess
from tests.world.rest_client import RestClient
from tests.world.socket_client import SocketClient

SYMBOL = {"symbol": "SOL_USDC"}
SOL_USDC = 1
BEST_BID, BEST_ASK = "139.86", "140.14"  # of the demo's ladder, 50 SOL each


@pytest.fixture
def ask(target: Target, wire: SocketClient) -> Iterator[Callable[..., Any]]:
    """Ask on one connection: who, status, method, path, body."""

    def asked(who: str, status: int, method: str, path: str, body: object = None) -> Any:
        text = "" if body is None else body if isinstance(body, str) else json.dumps(body)
        answer = wire.ask(request(method, path, text, who=who)(target.known))
        assert answer.status == status, answer
        return answer.body

    yield asked
    for who in ("rich", "other", "exact", "short"):
        assert not [
            found
            for found in target.replayed.exchange.open_orders(target.accounts[who])
            if found.market == SOL_USDC
        ]


Ask = Callable[..., Any]


def cancel_all(target: Target, ask: Ask, *who: str) -> None:
    """Cancel all orders in SOL_USDC, and replay the log up to there."""
    for name in who:
        ask(name, 200, "DELETE", "/api/v1/orders", SYMBOL)
    target.replayed.catch_up()


@pytest.mark.parametrize(
    ("price", "quantity", "means"),
    [
        ('"00001.50"', '"1"', ("1.5", "1")),  # N11
        ("1.10", "0.10", ("1.1", "0.1")),  # N5: by its literal text
        ("1", "2", ("1", "2")),
        ('"1.500000000000000000"', '"0.1000"', ("1.5", "0.1")),  # N10
        ('"000000000000000001"', '"0000.01"', ("1", "0.01")),
        ('"1400"', '"0.01"', ("1400", "0.01")),  # N17: no band for limit orders
    ],
)
def test_numbers_that_are_accepted(
    target: Target, wire: SocketClient, ask: Ask, price: str, quantity: str, means: tuple[str, str]
) -> None:
    data = written(price=price, quantity=quantity)(target.known)
    side = b'"Ask"' if "1400" in price else b'"Bid"'
    placed = wire.ask(data.replace(b'"Bid"', side)).body
    assert (placed["price"], placed["quantity"], placed["status"]) == (*means, "New")
    cancel_all(target, ask, "rich")


def test_h13_an_order_of_a_client_that_disconnects_exists_once(
    target: Target, wire: SocketClient, ask: Ask
) -> None:
    """It sends an order and disconnects; the order exists exactly once."""
    leaving = SocketClient(target.venue.http_port)
    leaving.send(request("POST", "/api/v1/order", order_json(clientId=13))(target.known))
    leaving.close()
    path = "/api/v1/order?symbol=SOL_USDC&clientId=13"
    deadline = time.monotonic() + 10
    while (found := wire.ask(request("GET", path)(target.known))).status == 404:
        assert time.monotonic() < deadline
    again = ask("rich", 200, "POST", "/api/v1/order", order_json(clientId=13))
    assert again["id"] == found.body["id"]
    assert len(ask("rich", 200, "GET", "/api/v1/orders?symbol=SOL_USDC")) == 1
    cancel_all(target, ask, "rich")


def test_c3_cancel_works_in_a_closed_market(target: Target, ask: Ask) -> None:
    for symbol in ("ETH_USDC", "BTC_USDC"):
        body = {"symbol": symbol, "orderId": str(target.known.order_ids[symbol])}
        assert ask("rich", 200, "DELETE", "/api/v1/order", body)["status"] == "Cancelled"
    target.replayed.catch_up()


def test_a5_a_replay(target: Target, wire: SocketClient) -> None:
    """Repeated within its window it is "already seen", later "expired"; it is executed once."""
    body = {"symbol": "SOL_USDC"}
    data = signed("DELETE", "/api/v1/orders", "orderCancelAll", body, window="800")(target.known)
    assert wire.ask(data).status == 200
    target.replayed.catch_up()
    commands = target.replayed.commands
    seen = wire.ask(data)
    assert (seen.status, seen.body["message"]) == (400, "Request already seen")
    time.sleep(0.9)
    late = wire.ask(data)
    assert (late.status, late.body["message"]) == (400, "Request has expired")
    target.replayed.catch_up()
    assert target.replayed.commands == commands


def test_a7_a_query_in_any_order_and_any_encoding(target: Target, wire: SocketClient) -> None:
    """The signed text has sorted, decoded pairs, whatever the order and encoding in the URL."""
    fields = {"marketType": "SPOT", "symbol": "SOL_USDC"}
    for query in (
        "marketType=SPOT&symbol=SOL_USDC",
        "symbol=SOL_USDC&marketType=SPOT",
        "symbol=SOL%5FUSDC&marketType=%53POT",
        "%73ymbol=SOL_USDC&marketType=SPOT",
    ):
        data = signed("GET", "/api/v1/orders", "orderQueryAll", fields, query=query)(target.known)
        assert wire.ask(data).status == 200, query


def test_o1_an_order_for_exactly_the_available_balance(target: Target, ask: Ask) -> None:
    """One account has exactly 14 USDC, the other one atom less."""
    body = order_json(price="140", quantity="0.1")
    refused = ask("short", 400, "POST", "/api/v1/order", body)
    assert refused["code"] == "INSUFFICIENT_FUNDS"
    assert ask("exact", 200, "POST", "/api/v1/order", body)["status"] == "New"
    assert ask("exact", 200, "GET", "/api/v1/capital")["USDC"]["available"] == "0"
    more = order_json(price="0.01", quantity="0.01")
    assert ask("exact", 400, "POST", "/api/v1/order", more)["code"] == "INSUFFICIENT_FUNDS"
    cancel_all(target, ask, "exact")


@pytest.mark.parametrize("price", [BEST_ASK, "140.15"])
def test_o3_post_only_that_would_take(target: Target, ask: Ask, price: str) -> None:
    """At the best ask and a tick above it; a tick below, it rests."""
    before = target.replayed.catch_up()
    body = order_json(price=price, postOnly=True)
    refused = ask("rich", 400, "POST", "/api/v1/order", body)
    assert refused["code"] == "INVALID_ORDER"
    assert "Order would immediately match and take" in refused["message"]
    assert target.replayed.catch_up() == before
    body = order_json(price="140.13", postOnly=True)
    assert ask("rich", 200, "POST", "/api/v1/order", body)["status"] == "New"
    cancel_all(target, ask, "rich")


def test_o5_fill_or_kill(target: Target, ask: Ask) -> None:
    """FOK: one lot too many fills nothing, the exact quantity fills. Own orders do not count."""
    for who in ("other", "rich"):
        ask(who, 200, "POST", "/api/v1/order", order_json(side="Ask", price="140", quantity="1"))
    target.replayed.catch_up()
    trades = trades_of(target)
    for quantity in ("2.01", "2"):  # 2 with one's own
        body = order_json(price="140", quantity=quantity, timeInForce="FOK")
        told = ask("rich", 200, "POST", "/api/v1/order", body)
        assert (told["status"], told["executedQuantity"]) == ("Expired", "0")
    assert trades_of(target) == trades
    ask("rich", 200, "DELETE", "/api/v1/orders", SYMBOL)
    body = order_json(price="140", quantity="1.01", timeInForce="FOK")
    assert ask("rich", 200, "POST", "/api/v1/order", body)["executedQuantity"] == "0"
    body = order_json(price="140", quantity="1", timeInForce="FOK")
    told = ask("rich", 200, "POST", "/api/v1/order", body)
    assert (told["status"], told["executedQuantity"]) == ("Filled", "1")
    cancel_all(target, ask, "rich", "other")


@pytest.mark.parametrize(
    ("mode", "taker", "resting"),
    [("RejectTaker", "Expired", 1), ("RejectMaker", "New", 1), ("RejectBoth", "Expired", 0)],
)
def test_o7_self_trade_prevention(
    target: Target, ask: Ask, mode: str, taker: str, resting: int
) -> None:
    """In each mode of self-trade prevention."""
    trades = trades_of(target)
    rests = ask("rich", 200, "POST", "/api/v1/order", order_json(side="Ask", price="140"))
    body = order_json(price="140", selfTradePrevention=mode)
    told = ask("rich", 200, "POST", "/api/v1/order", body)
    assert (told["status"], told["executedQuantity"]) == (taker, "0")
    left = ask("rich", 200, "GET", "/api/v1/orders?symbol=SOL_USDC")
    assert len(left) == resting
    expected = {"RejectTaker": rests["id"], "RejectMaker": told["id"]}.get(mode)
    assert [found["id"] for found in left] == ([expected] if expected else [])
    cancel_all(target, ask, "rich")
    assert trades_of(target) == trades


def trades_of(target: Target) -> int:
    """The number of trades in SOL_USDC according to the log."""
    target.replayed.catch_up()
    return int(target.replayed.exchange.markets[SOL_USDC].last_trade_id)


def test_o9_o13_the_limit_of_open_orders(target: Target, ask: Ask) -> None:
    """One more is rejected; cancel-all is one command and returns every order."""
    left = ORDERS_MAX - len(ask("other", 200, "GET", "/api/v1/orders"))
    while left:
        count = min(left, 50)
        batch = "[" + ",".join([order_json(price="1")] * count) + "]"
        placed = ask("other", 200, "POST", "/api/v1/orders", batch)
        assert [item["operation"] for item in placed] == ["Ok"] * count
        left -= count
    before = target.replayed.catch_up()
    refused = ask("other", 400, "POST", "/api/v1/order", order_json(price="1"))
    assert (refused["code"], refused["message"]) == ("ORDER_LIMIT", "Too many open orders")
    assert target.replayed.catch_up() == before
    commands = target.replayed.commands
    cancelled = ask("other", 200, "DELETE", "/api/v1/orders", SYMBOL)
    assert len(cancelled) == ORDERS_MAX
    assert len({found["id"] for found in cancelled}) == ORDERS_MAX
    target.replayed.catch_up()
    assert target.replayed.commands == commands + 1


def test_o11_a_client_id_names_one_order(target: Target, ask: Ask) -> None:
    """The same order again gives the same answer; any other order with the id is rejected, open or
    closed.
    """
    first = ask("rich", 200, "POST", "/api/v1/order", order_json(clientId=11))
    assert ask("rich", 200, "POST", "/api/v1/order", order_json(clientId=11)) == first
    before = target.replayed.catch_up()
    for _ in range(2):
        for other in ({"price": "101"}, {"quantity": "0.2"}, {"side": "Ask"}, {"postOnly": True}):
            body = order_json(**{"clientId": 11, **other})
            refused = ask("rich", 400, "POST", "/api/v1/order", body)
            assert refused["code"] == "INVALID_ORDER"
            assert refused["message"] == "Order with client ID already exists: 11"
        assert target.replayed.catch_up() == before
        cancel_all(target, ask, "rich")
        before = target.replayed.catch_up()


def test_o15_invalid_listings_are_rejected(target: Target) -> None:
    """No route lists markets: in a copy of the state. tests/core/test_scenarios_rejects.py has all
    of these rejections.
    """
    target.replayed.catch_up()
    exchange = state.load(state.dump(target.replayed.exchange))
    for command, reason in (
        (
            admin_records.list_market(
                market=9, base=1, quote=4, lot_atoms=1, tick_atoms=1, name="SOL_USDC"
            ),
            records.ALREADY_LISTED,
        ),
        (
            admin_records.list_market(
                market=4, base=1, quote=9, lot_atoms=1, tick_atoms=1, name="A_B"
            ),
            records.UNKNOWN_ASSET,
        ),
        (
            admin_records.set_market(
                market=1, parameter=admin_records.TAKER_FEE_PPM, value=1_000_000
            ),
            records.BAD_VALUE,
        ),
        (
            admin_records.set_market(market=1, parameter=admin_records.MAKER_FEE_PPM, value=-1),
            records.BAD_VALUE,
        ),
    ):
        outcome = records.read_outcome(exchange.apply(command, exchange.time_ns))
        assert (outcome.status, outcome.reason) == (records.REJECTED, reason)


def test_o13_one_request_too_many(tmp_path: Path) -> None:
    """429 with Retry-After, from an exchange that allows five requests at once."""
    with ExchangeProcess(
        tmp_path,
        "--no-replica",
        environment={"FAIRBOOK_ACCOUNT_PER_MINUTE": "6", "FAIRBOOK_ACCOUNT_BURST": "5"},
    ) as venue:
        rest = RestClient(venue.http_port, venue.demo("demo1")["token"])
        order = json.loads(order_json(price="1"))
        for _ in range(5):
            rest.expect(200, "POST", "/api/v1/order", order)
        refused = rest.call("POST", "/api/v1/order", order)
        assert (refused.status, refused.body["code"]) == (429, "TOO_MANY_REQUESTS")
        assert 1 <= int(refused.headers["retry-after"]) <= 10
        other = RestClient(venue.http_port, venue.demo("demo2")["token"])
        other.expect(200, "POST", "/api/v1/order", order)  # Limits are per account.
        for connection in (rest, other):
            connection.close()


def test_n17_a_market_order_stops_at_the_band(target: Target, ask: Ask) -> None:
    """It fills within 5 % of the best price: the ten levels of the ladder, not what is behind.

    This is the last test, because the ladder has no asks after it.
    """
    far = order_json(side="Ask", price="1400", quantity="1000")
    ask("other", 200, "POST", "/api/v1/order", far)
    sweep = order_json(orderType="Market", price=..., quantity="600")
    told = ask("rich", 200, "POST", "/api/v1/order", sweep)
    assert (told["status"], told["executedQuantity"]) == ("Expired", "500")
    cancel_all(target, ask, "other", "rich")
