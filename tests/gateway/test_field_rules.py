"""Which fields of a request count, are ignored, or are refused: one row for each rule."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest

from fairbook.core import records
from tests.gateway.memory_caller import caller
from tests.world.http_client import HttpClient, bid, signed
from tests.world.memory_accounts import ALICE, ALICE_TOKEN
from tests.world.running_exchange import RunningExchange, with_exchange

BAD = "INVALID_CLIENT_REQUEST"
NOT_OFFERED = "NOT_IMPLEMENTED"
ONE, ALL = "/api/v1/order", "/api/v1/orders"
METHODS = {"place": "POST", "amend": "PATCH", "cancel": "DELETE", "status": "GET"}
NAMED = {"symbol": "SOL_USDC", "clientId": 7}

# (name as sent, name as known). The value does not matter.
MISSPELLED = [
    ("post_only", "postOnly"), ("PostOnly", "postOnly"), ("postonly", "postOnly"),
    ("clientID", "clientId"), ("client_id", "clientId"), ("ClientId", "clientId"),
    ("clientOrderID", "clientOrderId"), ("client_order_id", "clientOrderId"),
    ("timeinforce", "timeInForce"), ("time_in_force", "timeInForce"),
    ("TIMEINFORCE", "timeInForce"), ("quote_quantity", "quoteQuantity"),
    ("self_trade_prevention", "selfTradePrevention"), ("reduce_only", "reduceOnly"),
    ("Price", "price"), ("_price", "price"), ("stop_price", "stopPrice"),
    ("trigger_price", "triggerPrice"), ("slippage_tolerance", "slippageTolerance"),
]  # fmt: skip
CONDITIONAL = [
    "triggerPrice", "triggerQuantity", "stopLossTriggerPrice", "stopLossLimitPrice",
    "stopLossTriggerBy", "takeProfitTriggerPrice", "takeProfitLimitPrice", "takeProfitTriggerBy",
    "stopLoss", "stopLossPrice", "takeProfit", "takeProfitPrice", "stop_loss_price",
]  # fmt: skip
RESTRICTIONS = [
    "stopPrice", "slippageTolerance", "slippageToleranceType", "expireTime", "displayQuantity",
    "trailingPercent", "goodTillDate", "icebergQuantity", "hidden", "minQuantity",
]  # fmt: skip
ANYTHING: list[Any] = ["1", 0, True, {"a": 1}]
NOTHING: list[Any] = [None, "", False, [], {}]


class Rule(NamedTuple):
    """What one change makes of a request that is answered with 200 without it."""

    name: str
    request: str  # place, amend, cancel, cancelAll or status
    fields: dict[str, Any]
    code: str  # empty: the request is answered as without the fields
    message: str = ""


def misspelled() -> list[Rule]:
    rules = [
        Rule(f"{sent} in place", "place", {sent: True}, BAD, f"Unknown field {sent}, the name is")
        for sent, _ in MISSPELLED
    ]
    for request, sent in (
        ("amend", "order_id"), ("amend", "Quantity"), ("cancel", "clientID"),
        ("cancel", "orderID"), ("cancelAll", "order_type"), ("cancelAll", "Symbol"),
        ("status", "client_id"), ("status", "OrderId"),
    ):  # fmt: skip
        rules.append(Rule(f"{sent} in {request}", request, {sent: "1"}, BAD, f"field {sent}, the"))
    return rules


def not_offered() -> list[Rule]:
    rules = []
    for request in ("place", "amend"):
        for name in CONDITIONAL:
            rules.append(
                Rule(f"{name} in {request}", request, {name: "1"}, NOT_OFFERED,
                     f"Not offered: {name} (conditional orders)")
            )  # fmt: skip
        truths: list[Any] = [True, "true", "false", 1]
        for value in truths:
            rules.append(
                Rule(f"reduceOnly {value!r} in {request}", request, {"reduceOnly": value},
                     NOT_OFFERED, "Not offered: reduceOnly")
            )  # fmt: skip
        for name in RESTRICTIONS:
            for value in ANYTHING:
                rules.append(
                    Rule(f"{name} {value!r} in {request}", request, {name: value}, BAD,
                         f"Not offered: {name}")
                )  # fmt: skip
    for name, value in (
        ("postOnly", True), ("timeInForce", "IOC"), ("quoteQuantity", "1"),
        ("selfTradePrevention", "RejectBoth"),
    ):  # fmt: skip
        rules.append(
            Rule(f"{name} in amend", "amend", {name: value}, BAD, f"Cannot be amended: {name}")
        )
    for name, value in (
        ("orderId", "1"), ("clientId", 0), ("clientOrderId", "7"), ("side", "Bid"),
    ):  # fmt: skip
        rules.append(Rule(f"{name} in cancelAll", "cancelAll", {name: value}, BAD, f": {name}"))
    return rules


def ignored() -> list[Rule]:
    """Fields that change nothing."""
    rules = [
        Rule(f"{request}, unknown fields", request,
             {"triggeredBy": "LastPrice", "triggerBy": "LastPrice", "autoLend": True, "x": [1]}, "")
        for request in (*METHODS, "cancelAll")
        if request != "status"
    ]  # fmt: skip
    for value in NOTHING:
        rules += [
            Rule(f"restrictions {value!r}", request,
                 dict.fromkeys([*CONDITIONAL[:-1], *RESTRICTIONS, "reduceOnly"], value), "")
            for request in ("place", "amend")
        ]  # fmt: skip
    for value in (None, ""):
        rules += [
            Rule(f"cancel, absent ids {value!r}", "cancel",
                 {"orderId": value, "clientOrderId": value}, ""),
            Rule(f"place, absent clientOrderId {value!r}", "place", {"clientOrderId": value}, ""),
            Rule(f"cancelAll, absent selection {value!r}", "cancelAll",
                 {"orderId": value, "clientId": value, "side": value}, ""),
        ]  # fmt: skip
    return rules


def client_ids() -> list[Rule]:
    """The two names of the client id."""
    rules = []
    for request in METHODS:
        rules += [
            Rule(f"{request}, both equal", request, {"clientOrderId": "7"}, ""),
            Rule(f"{request}, both and different", request, {"clientOrderId": 8}, BAD,
                 "clientId and clientOrderId differ"),
            Rule(f"{request}, clientOrderId alone", request,
                 {"clientId": "", "clientOrderId": "7"}, ""),
            Rule(f"{request}, a number and a text", request, {"clientOrderId": "007"}, BAD,
                 "clientId and clientOrderId differ"),
            Rule(f"{request}, a malformed clientOrderId", request, {"clientOrderId": "a b"}, BAD,
                 "Invalid clientOrderId"),
        ]  # fmt: skip
    return rules


RULES = [*misspelled(), *not_offered(), *ignored(), *client_ids()]
named = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


def plain(request: str) -> dict[str, Any]:
    """A request that is answered with 200 while the order 7 is open."""
    if request == "place":
        return bid("90", "0.1", clientId=7)
    if request == "amend":
        return {**NAMED, "price": "91"}
    return {"symbol": "SOL_USDC"} if request == "cancelAll" else dict(NAMED)


async def confirm(venue: RunningExchange, rule: Rule, status: int, answer: Any) -> None:
    """Check an answer, and that a refused request has not reached the log."""
    if not rule.code:
        assert status == 200, answer
        return
    assert status == (501 if rule.code == NOT_OFFERED else 400)
    assert answer["code"] == rule.code and rule.message in answer["message"], answer


@named
@with_exchange()
async def test_a_rule_over_http(venue: RunningExchange, client: HttpClient, rule: Rule) -> None:
    venue.exchange.do(order_of(7))
    position = venue.exchange.position
    fields = {**plain(rule.request), **rule.fields}
    if rule.request == "status":
        reply = await client.ask("GET", f"{ONE}?{urlencode(fields)}", token=ALICE_TOKEN)
    else:
        path = ALL if rule.request == "cancelAll" else ONE
        method = METHODS.get(rule.request, "DELETE")
        reply = await client.ask(method, path, fields, token=ALICE_TOKEN)
    await confirm(venue, rule, reply.status, reply.json())
    assert venue.exchange.position == position or not rule.code


@named
@with_exchange()
async def test_a_rule_over_websocket(
    venue: RunningExchange, client: HttpClient, rule: Rule
) -> None:
    venue.exchange.do(order_of(7))
    position = venue.exchange.position
    answer = await caller(venue).ask(
        f"order.{rule.request}", {**plain(rule.request), **rule.fields}
    )
    await confirm(venue, rule, answer["status"], answer.get("result", answer.get("error")))
    assert venue.exchange.position == position or not rule.code


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule.request == "place"], ids=lambda rule: rule.name
)
@with_exchange()
async def test_a_rule_in_a_batch(venue: RunningExchange, client: HttpClient, rule: Rule) -> None:
    """The other order of the batch is placed."""
    orders = [{**plain("place"), **rule.fields}, bid("80", "0.1")]
    reply = await client.ask("POST", ALL, orders, token=ALICE_TOKEN)
    assert reply.status == 200
    first, second = reply.json()
    assert second["operation"] == "Ok"
    if rule.code:
        assert first["operation"] == "Err" and first["code"] == rule.code
        assert rule.message in first["message"]
    else:
        assert first["operation"] == "Ok" and first["clientId"] == 7
    assert len(venue.exchange.open_orders(ALICE)) == (1 if rule.code else 2)


def order_of(client_id: int) -> bytes:
    return records.place(
        account=ALICE, market=1, side=records.BID, price=9000, quantity=10,
        flags=records.HAS_CLIENT_ID, client_id=client_id,
    )  # fmt: skip


MISSPELLED_ELSEWHERE = [
    ("PATCH", "/api/v1/account", {"time_in_force": 1}),
    ("POST", "/wapi/v1/capital/withdrawals", {"client_id": "x", "symbol": "SOL"}),
    ("POST", "/api/v1/faucet", {"Symbol": "SOL", "quantity": "1"}),
    ("GET", "/api/v1/orders?Symbol=SOL_USDC", None),
    ("GET", "/api/v1/account/limits/order?symbol=SOL_USDC&Side=Bid", None),
    ("GET", "/wapi/v1/history/orders?client_id=7", None),
    ("GET", "/wapi/v1/history/fills?order_id=7", None),
    ("GET", "/api/v1/depth?symbol=SOL_USDC&Limit=5", None),
]


@pytest.mark.parametrize(("method", "path", "body"), MISSPELLED_ELSEWHERE)
@with_exchange()
async def test_misspelled_fields_of_other_requests(
    venue: RunningExchange, client: HttpClient, method: str, path: str, body: Any
) -> None:
    reply = await client.ask(method, path, body, token=ALICE_TOKEN)
    status, code, message = reply.error()
    assert (status, code) == (400, BAD) and message.startswith("Unknown field ")


TWICE = [
    # Path with query, body, what is signed, and what is answered: a message, or nothing.
    ("DELETE", "?clientId=7&symbol=SOL_USDC", NAMED, "clientId=7&symbol=SOL_USDC", ""),
    ("DELETE", "?symbol=SOL_USDC", NAMED, "clientId=7&symbol=SOL_USDC", ""),
    ("DELETE", "?symbol=SOL_USDC&clientId=7", {}, "clientId=7&symbol=SOL_USDC", ""),
    ("DELETE", "?clientId=7", {"symbol": "SOL_USDC"}, "clientId=7&symbol=SOL_USDC", ""),
    ("DELETE", "?clientId=7", {**NAMED, "clientId": "7"}, "clientId=7&symbol=SOL_USDC", ""),
    ("DELETE", "?x=True", {**NAMED, "x": True}, "clientId=7&symbol=SOL_USDC&x=true", ""),
    ("DELETE", "?clientId=8", NAMED, "", "A field has two values: clientId"),
    ("DELETE", "?symbol=BTC_USDC", NAMED, "", "A field has two values: symbol"),
    ("DELETE", "?clientId=", {**NAMED, "orderId": None}, "", "A field has two values: clientId"),
    ("DELETE", "?x=1", {**NAMED, "x": [1]}, "", "A field has two values: x"),
    ("DELETE", "?clientId=7&clientId=7", NAMED, "", "A field is given twice"),
    ("PATCH", "?clientId=7", {**NAMED, "price": "91"}, "clientId=7&price=91&symbol=SOL_USDC", ""),
    ("PATCH", "?x=1", {**NAMED, "price": "91"}, "x=1&clientId=7&price=91&symbol=SOL_USDC", ""),
    ("PATCH", "?price=91", {**NAMED, "quantity": "1"}, "", "price belongs in the body"),
    ("POST", "?postOnly=true", bid("90"), "", "postOnly belongs in the body"),
    ("POST", "?post_only=true", bid("90"), "", "post_only belongs in the body"),
    ("POST", "?stopLossPrice=1", bid("90"), "", "stopLossPrice belongs in the body"),
    ("POST", "?clientOrderId=5", bid("90"), "", "clientOrderId belongs in the body"),
    ("POST", "?side=Ask", bid("90"), "", "A field has two values: side"),
]
INSTRUCTIONS = {"DELETE": "orderCancel", "PATCH": "orderAmend", "POST": "orderExecute"}


@pytest.mark.parametrize(("method", "query", "body", "text", "message"), TWICE)
@with_exchange()
async def test_fields_in_body_and_query(
    venue: RunningExchange, client: HttpClient, method: str, query: str, body: Any, text: str,
    message: str,
) -> None:  # fmt: skip
    """Equal values count once, and are signed once."""
    venue.exchange.do(order_of(7))
    position = venue.exchange.position
    if message:
        reply = await client.ask(method, ONE + query, body, token=ALICE_TOKEN)
        assert reply.error() == (400, BAD, message)
        assert venue.exchange.position == position
        return
    headers = signed(INSTRUCTIONS[method], text)
    reply = await client.ask(method, ONE + query, body, headers=headers)
    assert reply.status == 200 and reply.json()["clientId"] == 7, reply.body


@with_exchange()
async def test_cancel_all_with_fields_in_body_and_query(
    venue: RunningExchange, client: HttpClient
) -> None:
    body = {"symbol": "SOL_USDC"}
    for number, path in enumerate((ALL, f"{ALL}?symbol=SOL_USDC")):
        venue.exchange.do(order_of(number))
        headers = signed("orderCancelAll", "symbol=SOL_USDC", at_ms=venue.now_ms + number)
        reply = await client.ask("DELETE", path, body, headers=headers)
        assert [order["clientId"] for order in reply.json()] == [number]
    reply = await client.ask("DELETE", f"{ALL}?symbol=BTC_USDC", body, token=ALICE_TOKEN)
    assert reply.error() == (400, BAD, "A field has two values: symbol")


@with_exchange()
async def test_fields_in_the_query_of_a_batch(venue: RunningExchange, client: HttpClient) -> None:
    for query in ("clientId=5", "postOnly=true", "POSTONLY=true"):
        reply = await client.ask("POST", f"{ALL}?{query}", [bid("90")], token=ALICE_TOKEN)
        assert reply.error() == (400, BAD, f"{query.partition('=')[0]} belongs in the body")
    assert venue.exchange.open_orders(ALICE) == []
