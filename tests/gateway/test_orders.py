"""Orders over HTTP with the real core: shapes, idempotency, refusals, batches."""

from typing import Any

import pytest

from fairbook.api.listings import Listings
from fairbook.core import admin_records
from tests.world.http_client import HttpClient, ask, bid
from tests.world.markets import SOL_USDC
from tests.world.memory_accounts import ALICE, ALICE_TOKEN, BOB_TOKEN
from tests.world.running_exchange import RunningExchange, with_exchange

# The order object of the API contract.
REST = {
    "reduceOnly", "relatedOrderId", "strategyId", "triggerBy", "triggerPrice", "triggerQuantity",
    "triggeredAt", "stopLossTriggerPrice", "stopLossLimitPrice", "stopLossTriggerBy",
    "takeProfitTriggerPrice", "takeProfitLimitPrice", "takeProfitTriggerBy",
}  # fmt: skip
COMMON = REST | {
    "orderType", "id", "clientId", "symbol", "side", "quantity", "executedQuantity",
    "executedQuoteQuantity", "timeInForce", "selfTradePrevention", "status", "createdAt",
}  # fmt: skip
LIMIT = COMMON | {"price", "postOnly"}
MARKET = COMMON | {"quoteQuantity"}

Order = dict[str, Any]
ANYTHING: list[Any] = ["GTC", "FOK", "GTD", "", 7, None, []]
CONDITIONS = [
    "triggerPrice", "triggerQuantity", "stopLossTriggerPrice", "stopLossLimitPrice",
    "stopLossTriggerBy", "takeProfitTriggerPrice", "takeProfitLimitPrice", "takeProfitTriggerBy",
]  # fmt: skip


async def place(client: HttpClient, order: Order, token: str = ALICE_TOKEN) -> Order:
    """Place an order that must be accepted, and check its shape."""
    reply = await client.ask("POST", "/api/v1/order", order, token=token)
    assert reply.status == 200, reply.body
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    placed: Order = reply.json()
    check_shape(placed)
    return placed


def check_shape(order: Order) -> None:
    assert set(order) == (LIMIT if order["orderType"] == "Limit" else MARKET)
    assert all(order[name] is None for name in REST)
    assert type(order["createdAt"]) is int and order["id"].isdigit()
    for name in ("executedQuantity", "executedQuoteQuantity", "quantity"):
        assert type(order[name]) is str


async def refused(client: HttpClient, order: Order) -> tuple[int, str, str]:
    return (await client.ask("POST", "/api/v1/order", order, token=ALICE_TOKEN)).error()


@with_exchange()
async def test_a_resting_order(venue: RunningExchange, client: HttpClient) -> None:
    order = await place(client, bid("99.50", "1.50", clientId=42, postOnly=True))
    known = {name: order[name] for name in LIMIT - REST - {"id", "createdAt"}}
    assert known == {
        "orderType": "Limit", "clientId": 42, "symbol": "SOL_USDC", "side": "Bid",
        "price": "99.5", "quantity": "1.5", "executedQuantity": "0",
        "executedQuoteQuantity": "0", "timeInForce": "GTC", "postOnly": True,
        "selfTradePrevention": "RejectTaker", "status": "New",
    }  # fmt: skip
    asked = await client.ask(
        "GET", f"/api/v1/order?symbol=SOL_USDC&orderId={order['id']}", token=ALICE_TOKEN
    )
    assert asked.json() == order
    asked = await client.ask("GET", "/api/v1/order?symbol=SOL_USDC&clientId=42", token=ALICE_TOKEN)
    assert asked.json() == order
    for query in ("", "?symbol=SOL_USDC", "?marketType=SPOT", "?symbol="):
        listed = await client.ask("GET", f"/api/v1/orders{query}", token=ALICE_TOKEN)
        assert listed.json() == [order]
    for query in ("?symbol=BTC_USDC", "?marketType=PERP"):
        listed = await client.ask("GET", f"/api/v1/orders{query}", token=ALICE_TOKEN)
        assert listed.json() == []


@with_exchange()
async def test_a_taker_gets_its_fills_in_the_answer(
    venue: RunningExchange, client: HttpClient
) -> None:
    await place(client, ask("100", "0.3"), BOB_TOKEN)
    await place(client, ask("101", "1"), BOB_TOKEN)
    order = await place(client, bid("102", "1"))
    assert (order["status"], order["executedQuantity"]) == ("Filled", "1")
    assert order["executedQuoteQuantity"] == "100.7"
    assert order["price"] == "102"


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (bid("100", "2", timeInForce="IOC"), ("Limit", "2", "1", "100", "Expired", "IOC")),
        (bid("100", "2", timeInForce="FOK"), ("Limit", "2", "0", "0", "Expired", "FOK")),
        (bid("100", "1", timeInForce="FOK"), ("Limit", "1", "1", "100", "Filled", "FOK")),
        (bid(..., "0.5", orderType="Market"), ("Market", "0.5", "0.5", "50", "Filled", "IOC")),
        (bid(..., "2", orderType="Market"), ("Market", "2", "1", "100", "Expired", "IOC")),
        (
            bid(..., ..., orderType="Market", quoteQuantity="50.555"),
            ("Market", "0.5", "0.5", "50", "Filled", "IOC"),
        ),
        (
            bid("", "", orderType="Market", quoteQuantity="50", timeInForce="GTC"),
            ("Market", "0.5", "0.5", "50", "Filled", "IOC"),
        ),
        *(
            (
                bid(..., "0.5", orderType="Market", timeInForce=whatever),
                ("Market", "0.5", "0.5", "50", "Filled", "IOC"),
            )
            for whatever in ANYTHING
        ),
    ],
)
@with_exchange()
async def test_orders_that_do_not_rest(
    venue: RunningExchange, client: HttpClient, order: Order, expected: tuple[str, ...]
) -> None:
    """One SOL is offered at 100. A market order by quote has its executed quantity filled in."""
    await place(client, ask("100", "1"), BOB_TOKEN)
    got = await place(client, order)
    assert expected == tuple(
        got[name]
        for name in (
            "orderType", "quantity", "executedQuantity", "executedQuoteQuantity", "status",
            "timeInForce",
        )
    )  # fmt: skip
    if "quoteQuantity" in order:
        assert got["quoteQuantity"] == order["quoteQuantity"]
    assert venue.exchange.open_orders(ALICE) == []


@with_exchange()
async def test_a_repeated_client_id_gives_the_first_result(
    venue: RunningExchange, client: HttpClient
) -> None:
    """Also after it was filled or cancelled. With other fields it is refused."""
    first = await place(client, bid(clientId=7))
    before = venue.exchange.core.balances(ALICE)
    assert await place(client, bid("100.00", "1.0", clientId="7")) == first
    await client.ask(
        "DELETE", "/api/v1/order", {"symbol": "SOL_USDC", "clientId": 7}, token=ALICE_TOKEN
    )
    assert await place(client, bid(clientId=7)) == first
    assert venue.exchange.open_orders(ALICE) == []
    assert await refused(client, bid("101", clientId=7)) == (
        400, "INVALID_ORDER", "Order with client ID already exists: 7",
    )  # fmt: skip
    assert await place(client, bid(clientId=7), BOB_TOKEN) != first
    assert [a for _, a, _ in before][2:] == [a for _, a, _ in venue.exchange.core.balances(ALICE)][
        2:
    ]


NOT_COMMANDS = [
    ({"side": ...}, "INVALID_CLIENT_REQUEST"),
    ({"side": "bid"}, "INVALID_CLIENT_REQUEST"),
    ({"side": ["Bid"]}, "INVALID_CLIENT_REQUEST"),
    ({"side": {}}, "INVALID_CLIENT_REQUEST"),
    ({"orderType": "Stop"}, "INVALID_CLIENT_REQUEST"),
    ({"timeInForce": "GTD"}, "INVALID_CLIENT_REQUEST"),
    ({"timeInForce": ""}, "INVALID_CLIENT_REQUEST"),
    ({"selfTradePrevention": "Allow"}, "INVALID_CLIENT_REQUEST"),
    ({"postOnly": "true"}, "INVALID_CLIENT_REQUEST"),
    ({"postOnly": 1}, "INVALID_CLIENT_REQUEST"),
    ({"postOnly": True, "timeInForce": "IOC"}, "INVALID_CLIENT_REQUEST"),
    ({"price": ...}, "INVALID_CLIENT_REQUEST"),
    ({"price": None}, "INVALID_CLIENT_REQUEST"),
    ({"price": True}, "INVALID_CLIENT_REQUEST"),
    ({"price": "1.001"}, "INVALID_CLIENT_REQUEST"),
    ({"price": 1e-7}, "INVALID_CLIENT_REQUEST"),
    ({"quantity": ...}, "INVALID_CLIENT_REQUEST"),
    ({"quantity": "-1"}, "INVALID_CLIENT_REQUEST"),
    ({"quantity": -1}, "INVALID_CLIENT_REQUEST"),
    ({"quantity": "0.001"}, "INVALID_CLIENT_REQUEST"),
    ({"quantity": str(2**64)}, "INVALID_CLIENT_REQUEST"),
    ({"quantity": 2**128}, "INVALID_CLIENT_REQUEST"),
    ({"quoteQuantity": "5"}, "INVALID_CLIENT_REQUEST"),
    ({"clientId": -1}, "INVALID_CLIENT_REQUEST"),
    ({"clientId": 2**32}, "INVALID_CLIENT_REQUEST"),
    ({"symbol": ...}, "INVALID_CLIENT_REQUEST"),
    ({"symbol": "sol_usdc"}, "INVALID_MARKET"),
    ({"symbol": "SOL-USDC"}, "INVALID_MARKET"),
    ({"symbol": "SOL_USDC\0"}, "INVALID_MARKET"),
    ({"symbol": " SOL_USDC"}, "INVALID_MARKET"),
    ({"symbol": ""}, "INVALID_MARKET"),
    ({"symbol": "__proto__"}, "INVALID_MARKET"),
    ({"symbol": "\uff33OL_USDC"}, "INVALID_MARKET"),
    ({"symbol": "A" * 10_000}, "INVALID_MARKET"),
    ({"symbol": 1}, "INVALID_MARKET"),
    ({"symbol": ["SOL_USDC"]}, "INVALID_MARKET"),
    *(({name: "1"}, "NOT_IMPLEMENTED") for name in CONDITIONS),
    ({"stopLossTriggerPrice": "1"}, "NOT_IMPLEMENTED"),
    ({"takeProfitLimitPrice": 1}, "NOT_IMPLEMENTED"),
    ({"orderType": "Market"}, "INVALID_CLIENT_REQUEST"),  # it has a price
    ({"orderType": "Market", "price": ..., "quantity": ...}, "INVALID_CLIENT_REQUEST"),
    ({"orderType": "Market", "price": ..., "quoteQuantity": "1"}, "INVALID_CLIENT_REQUEST"),
    ({"orderType": "Market", "price": ..., "postOnly": True}, "INVALID_CLIENT_REQUEST"),
]


@pytest.mark.parametrize("value", [None, ""])
@with_exchange()
async def test_empty_conditions_are_ignored(
    venue: RunningExchange, client: HttpClient, value: str | None
) -> None:
    """Some clients send empty ones, or `triggerBy` alone."""
    await place(client, bid("90", **dict.fromkeys(CONDITIONS, value), triggerBy="LastPrice"))


@pytest.mark.parametrize(("changed", "code"), NOT_COMMANDS, ids=lambda value: str(value)[:40])
@with_exchange()
async def test_malformed_orders_never_reach_the_log(
    venue: RunningExchange, client: HttpClient, changed: Order, code: str
) -> None:
    position = venue.exchange.position
    status, got, _ = await refused(client, bid(**changed))
    assert (status, got) == (501 if code == "NOT_IMPLEMENTED" else 400, code)
    assert venue.exchange.position == position


@with_exchange()
async def test_rejects_of_the_core(venue: RunningExchange, client: HttpClient) -> None:
    await place(client, ask("100", "1"), BOB_TOKEN)
    scales = Listings(venue.exchange).scales("SOL_USDC")
    price_max = scales.price.text(scales.market.price_max)
    quantity_max = scales.quantity.text(scales.market.quantity_max)
    for order, expected in (
        (bid("100", "1000"), (400, "INSUFFICIENT_FUNDS", "Insufficient funds")),
        (
            bid("100", postOnly=True),
            (400, "INVALID_ORDER", "Order would immediately match and take"),
        ),
        (bid("0"), (400, "INVALID_PRICE", "Price is too small, the least is 0.01")),
        (
            bid("9" * 18),
            (
                400,
                "INVALID_PRICE",
                f"Price is too large, the most is {price_max}",
            ),
        ),
        (bid("100", "0"), (400, "INVALID_QUANTITY", "Quantity is too small, the least is 0.01")),
        (
            bid("1", "9" * 18),
            (
                400,
                "INVALID_QUANTITY",
                f"Quantity is too large, the most is {quantity_max}",
            ),
        ),
        (
            bid(..., ..., orderType="Market", quoteQuantity="0"),
            (400, "INVALID_QUANTITY", "Quantity is too small, the least is 0.000001"),
        ),
    ):
        assert await refused(client, order) == expected
    assert venue.exchange.open_orders(ALICE) == []


@with_exchange()
async def test_error_texts_of_market_orders(venue: RunningExchange, client: HttpClient) -> None:
    order = bid(..., ..., orderType="Market")
    assert await refused(client, order) == (
        400, "INVALID_CLIENT_REQUEST",
        "Market orders must specify a quantity or quoteQuantity",
    )  # fmt: skip


@with_exchange()
async def test_states_of_a_market_and_of_the_exchange(
    venue: RunningExchange, client: HttpClient
) -> None:
    """Cancels work in all of them."""
    states = (
        (admin_records.ONLY_POST, "PostOnly"), (admin_records.ONLY_LIMIT, "LimitOnly"),
        (admin_records.ONLY_CANCEL, "CancelOnly"), (admin_records.CLOSED_STATE, "Closed"),
    )  # fmt: skip
    for state, text in states:
        venue.exchange.do(
            admin_records.set_market(
                market=SOL_USDC, parameter=admin_records.STATE, value=admin_records.OPEN
            )
        )
        order = await place(client, bid())
        venue.exchange.do(
            admin_records.set_market(market=SOL_USDC, parameter=admin_records.STATE, value=state)
        )
        market = (await client.ask("GET", "/api/v1/market?symbol=SOL_USDC")).json()
        assert market["orderBookState"] == text
        kind = bid(..., orderType="Market") if state == admin_records.ONLY_LIMIT else bid()
        assert (await refused(client, kind))[:2] == (400, "INVALID_ORDER")
        cancelled = await client.ask(
            "DELETE",
            "/api/v1/order",
            {"symbol": "SOL_USDC", "orderId": order["id"]},
            token=ALICE_TOKEN,
        )
        assert cancelled.json() == {**order, "status": "Cancelled"}
    venue.exchange.do(admin_records.pause(admin_records.BY_OPERATOR, 1))
    assert (await refused(client, bid()))[:2] == (503, "TRADING_PAUSED")
    status = await client.ask("GET", "/api/v1/status")
    assert status.json() == {"status": "Maintenance", "message": "Only cancels are taken"}
    venue.exchange.do(
        admin_records.set_account(account=ALICE, parameter=admin_records.FROZEN, value=1)
    )
    assert (await refused(client, bid()))[:2] == (403, "FORBIDDEN")


@with_exchange()
async def test_cancel_by_either_id_from_body_or_query(
    venue: RunningExchange, client: HttpClient
) -> None:
    for how in range(6):
        order = await place(client, bid(clientId=100 + how))
        by_order = {"symbol": "SOL_USDC", "orderId": order["id"]}
        by_client = {"symbol": "SOL_USDC", "clientId": 100 + how}
        query = f"?symbol=SOL_USDC&clientId={100 + how}"
        path, body = [
            ("", by_order),
            ("", by_client),
            ("", {**by_client, "clientId": str(100 + how), "orderId": ""}),
            ("", {**by_order, "clientId": None, "orderId": int(order["id"])}),
            (query, None),
            ("?symbol=SOL_USDC", {"clientId": 100 + how}),
        ][how]
        reply = await client.ask("DELETE", f"/api/v1/order{path}", body, token=ALICE_TOKEN)
        assert reply.json() == {**order, "status": "Cancelled"}


@with_exchange()
async def test_orders_of_other_accounts_look_like_unknown_orders(
    venue: RunningExchange, client: HttpClient
) -> None:
    order = await place(client, bid())
    for order_id in (order["id"], "1", "0", str(2**63 - 1), str(2**63), "9" * 40):
        reply = await client.ask(
            "DELETE",
            "/api/v1/order",
            {"symbol": "SOL_USDC", "orderId": order_id},
            token=BOB_TOKEN,
        )
        assert reply.error() == (400, "INVALID_ORDER", "Order Not Found (RESOURCE_NOT_FOUND)")
        reply = await client.ask(
            "PATCH",
            "/api/v1/order",
            {"symbol": "SOL_USDC", "orderId": order_id, "price": "1"},
            token=BOB_TOKEN,
        )
        assert reply.error() == (400, "INVALID_ORDER", "Order Not Found (RESOURCE_NOT_FOUND)")
        reply = await client.ask(
            "GET", f"/api/v1/order?symbol=SOL_USDC&orderId={order_id}", token=BOB_TOKEN
        )
        assert reply.error() == (404, "RESOURCE_NOT_FOUND", "Not Found")
    reply = await client.ask(
        "DELETE",
        "/api/v1/order",
        {"symbol": "BTC_USDC", "orderId": order["id"]},
        token=ALICE_TOKEN,
    )
    assert reply.error()[1] == "INVALID_ORDER"


@with_exchange()
async def test_neither_or_both_ids(venue: RunningExchange, client: HttpClient) -> None:
    expected = (400, "INVALID_CLIENT_REQUEST", "Must specify either clientId or orderId")
    for ids in ({}, {"orderId": "", "clientId": None}, {"orderId": "1", "clientId": 1}):
        for method in ("DELETE", "PATCH"):
            reply = await client.ask(
                method, "/api/v1/order", {"symbol": "SOL_USDC", **ids}, token=ALICE_TOKEN
            )
            assert reply.error() == expected
    reply = await client.ask("GET", "/api/v1/order?symbol=SOL_USDC", token=ALICE_TOKEN)
    assert reply.error() == expected
    both = "/api/v1/order?symbol=SOL_USDC&orderId=1&clientId=1"
    assert (await client.ask("GET", both, token=ALICE_TOKEN)).error() == expected


@with_exchange()
async def test_cancel_all_of_a_market(venue: RunningExchange, client: HttpClient) -> None:
    mine = [await place(client, bid(f"{90 + i}", "0.1")) for i in range(3)]
    await place(client, bid(symbol="BTC_USDC", price="10", quantity="1"))
    await place(client, bid("90", "0.1"), BOB_TOKEN)
    path = "/api/v1/orders"
    body = {"symbol": "SOL_USDC", "orderType": "ConditionalOrder"}
    assert (await client.ask("DELETE", path, body, token=ALICE_TOKEN)).json() == []
    body = {"symbol": "SOL_USDC", "orderType": "RestingLimitOrder"}
    reply = await client.ask("DELETE", path, body, token=ALICE_TOKEN)
    assert reply.json() == [{**order, "status": "Cancelled"} for order in mine]
    reply = await client.ask("DELETE", path + "?symbol=SOL_USDC", token=ALICE_TOKEN)
    assert reply.json() == []
    assert len(venue.exchange.open_orders(ALICE)) == 1
    assert (await client.ask("DELETE", path, {}, token=ALICE_TOKEN)).status == 400
    body = {"symbol": "NO", "orderType": "ConditionalOrder"}
    assert (await client.ask("DELETE", path, body, token=ALICE_TOKEN)).error()[1] == (
        "INVALID_MARKET"
    )


@with_exchange()
async def test_amend(venue: RunningExchange, client: HttpClient) -> None:
    order = await place(client, bid("90", "1", clientId=1))
    path = "/api/v1/order"

    async def amend(**terms: Any) -> Any:
        body = {"symbol": "SOL_USDC", "orderId": order["id"], **terms}
        return await client.ask("PATCH", path, body, token=ALICE_TOKEN)

    assert (await amend(quantity="0.5")).json() == {**order, "quantity": "0.5"}
    assert (await amend(price=91, quantity=None)).json() == {
        **order, "quantity": "0.5", "price": "91",
    }  # fmt: skip
    await place(client, ask("95", "0.2"), BOB_TOKEN)
    assert (await amend(price="95")).json() == {
        **order, "quantity": "0.5", "price": "95", "executedQuantity": "0.2",
        "executedQuoteQuantity": "19", "status": "PartiallyFilled",
    }  # fmt: skip
    await place(client, ask("96", "5"), BOB_TOKEN)
    filled = (await amend(price="96")).json()
    assert (filled["status"], filled["executedQuantity"], filled["id"]) == (
        "Filled", "0.5", order["id"],
    )  # fmt: skip
    assert (await amend(price="90")).error()[1] == "INVALID_ORDER"
    for terms, code in (
        ({}, "INVALID_CLIENT_REQUEST"),
        ({"price": "0"}, "INVALID_PRICE"),
        ({"quantity": "0"}, "INVALID_QUANTITY"),
        ({"price": "1.001"}, "INVALID_CLIENT_REQUEST"),
    ):
        assert (await amend(**terms)).error()[:2] == (400, code)


@with_exchange()
async def test_a_batch_answers_each_order_in_its_place(
    venue: RunningExchange, client: HttpClient
) -> None:
    orders = [
        bid("90", clientId=1),
        bid("90", "9999"),
        bid("x"),
        bid(symbol="NO"),
        ask("110"),
        bid("90", clientId=1),
    ]
    reply = await client.ask("POST", "/api/v1/orders", orders, token=ALICE_TOKEN)
    assert reply.status == 200
    items = reply.json()
    assert [item.pop("operation") for item in items] == ["Ok", "Err", "Err", "Err", "Ok", "Ok"]
    check_shape(items[0])
    check_shape(items[4])
    assert items[1] == {"code": "INSUFFICIENT_FUNDS", "message": "Insufficient funds"}
    assert items[2] == {
        "code": "INVALID_CLIENT_REQUEST",
        "message": "Invalid price: it must be a decimal such as 0.05",
    }
    assert items[3]["code"] == "INVALID_MARKET"
    assert items[5] == items[0]
    malformed: list[Any] = [[], [bid()] * 51, {}, [1], b"[{},]"]
    for bad in malformed:
        reply = await client.ask("POST", "/api/v1/orders", bad, token=ALICE_TOKEN)
        assert reply.error()[:2] == (400, "INVALID_CLIENT_REQUEST")


@with_exchange()
async def test_a_batch_reports_which_outcomes_are_unknown(
    venue: RunningExchange, client: HttpClient
) -> None:
    venue.exchange.busy = True
    reply = await client.ask("POST", "/api/v1/orders", [bid("x"), bid()], token=ALICE_TOKEN)
    assert [item["code"] for item in reply.json()] == [
        "INVALID_CLIENT_REQUEST", "TRADING_PAUSED",
    ]  # fmt: skip


@with_exchange()
async def test_respond_async(venue: RunningExchange, client: HttpClient) -> None:
    """202 with a position, whatever the outcome, which repeating the request returns."""
    prefer = {"Prefer": "respond-async"}
    for order in (bid(clientId=42), bid("100", "999", clientId=43)):
        reply = await client.ask("POST", "/api/v1/order", order, token=ALICE_TOKEN, headers=prefer)
        assert reply.status == 202
        assert reply.headers["preference-applied"] == "respond-async"
        position = venue.exchange.position
        assert reply.json() == {"clientId": order["clientId"], "position": str(position)}
    assert (await place(client, bid(clientId=42)))["status"] == "New"
    assert (await refused(client, bid("100", "999", clientId=43)))[1] == "INSUFFICIENT_FUNDS"
    reply = await client.ask("POST", "/api/v1/order", bid(), token=ALICE_TOKEN, headers=prefer)
    assert reply.error()[:2] == (400, "INVALID_CLIENT_REQUEST")
    assert len(venue.exchange.open_orders(ALICE)) == 1
