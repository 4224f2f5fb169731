"""Client ids that are texts: every request that takes or shows one, over HTTP and WebSocket."""

from __future__ import annotations

from typing import Any

import pytest

from fairbook.api.requests import CLIENT_ID_RULE
from fairbook.core import records
from tests.gateway.memory_caller import caller
from tests.world.direct_exchange import DirectExchange, list_and_fund
from tests.world.http_client import HttpClient, ask, bid, query, signed
from tests.world.memory_accounts import ALICE, ALICE_TOKEN, BOB_TOKEN
from tests.world.memory_history import MemoryHistory
from tests.world.running_exchange import Extras, RunningExchange, play, with_exchange

ONE, ALL = "/api/v1/order", "/api/v1/orders"
TEXTS = ["abc", "007", "4294967296", "9" * 36, "a-b_c.d:e/f", "-1", "1e3", "None", "x" * 36]
NO_TEXTS: list[Any] = [
    "a b", "a+b", "x" * 37, "\u00e9", "a\n", "a%20b", "{}", "'", "\u0663", [], {}, ["a"], True,
    4294967296, -1, 1.5, 1e3,
]  # fmt: skip
NULLS: list[tuple[str | None, int]] = [("None", 200), (None, 400)]
GONE = (400, "INVALID_ORDER", "Order Not Found (RESOURCE_NOT_FOUND)")


async def place(client: HttpClient, order: dict[str, Any], token: str = ALICE_TOKEN) -> Any:
    reply = await client.ask("POST", ONE, order, token=token)
    assert reply.status == 200, reply.body
    return reply.json()


@pytest.mark.parametrize("name", ["clientId", "clientOrderId"])
@pytest.mark.parametrize("text", TEXTS)
@with_exchange()
async def test_an_order_is_placed_once_and_found_by_its_text(
    venue: RunningExchange, client: HttpClient, text: str, name: str
) -> None:
    order = await place(client, bid("90", "1", **{name: text}))
    assert order["clientId"] == text and order["status"] == "New"
    for other in ("clientId", "clientOrderId"):
        assert await place(client, bid("90", "1", **{other: text})) == order
    reply = await client.ask("POST", ONE, bid("91", "1", **{name: text}), token=ALICE_TOKEN)
    assert reply.error() == (400, "INVALID_ORDER", f"Order with client ID already exists: {text}")
    found = f"{ONE}?{query(symbol='SOL_USDC', **{name: text})}"
    assert (await client.ask("GET", found, token=ALICE_TOKEN)).json() == order
    assert (await client.ask("GET", ALL, token=ALICE_TOKEN)).json() == [order]
    named = {"symbol": "SOL_USDC", name: text}
    reply = await client.ask("PATCH", ONE, {**named, "quantity": "0.5"}, token=ALICE_TOKEN)
    assert reply.json() == {**order, "quantity": "0.5"}
    reply = await client.ask("DELETE", ONE, named, token=ALICE_TOKEN)
    assert reply.json() == {**order, "quantity": "0.5", "status": "Cancelled"}
    assert (await client.ask("DELETE", ONE, named, token=ALICE_TOKEN)).error() == GONE
    assert (await client.ask("GET", found, token=ALICE_TOKEN)).status == 404
    assert (await place(client, bid("90", "1", **{name: text})))["id"] == order["id"]
    assert venue.exchange.open_orders(ALICE) == []


@pytest.mark.parametrize("value", NO_TEXTS, ids=str)
@with_exchange()
async def test_what_is_no_client_id_is_refused(
    venue: RunningExchange, client: HttpClient, value: Any
) -> None:
    position = venue.exchange.position
    named = {"symbol": "SOL_USDC"}
    for name in ("clientId", "clientOrderId"):
        expected = (400, "INVALID_CLIENT_REQUEST", f"Invalid {name}, must be {CLIENT_ID_RULE}")
        for method, body in (
            ("POST", bid("90", **{name: value})),
            ("PATCH", {**named, name: value, "price": "1"}),
            ("DELETE", {**named, name: value}),
        ):
            assert (await client.ask(method, ONE, body, token=ALICE_TOKEN)).error() == expected
    assert venue.exchange.position == position


@with_exchange()
async def test_a_number_is_a_number_in_either_field_and_either_form(
    venue: RunningExchange, client: HttpClient
) -> None:
    """`7`, "7" and a clientOrderId of 7 are one id; "007" is another one."""
    order = await place(client, bid("90", "1", clientId=7))
    for same in ({"clientId": "7"}, {"clientOrderId": 7}, {"clientId": 7, "clientOrderId": "7"}):
        assert await place(client, bid("90", "1", **same)) == order
    other = await place(client, bid("90", "1", clientId="007"))
    assert (order["clientId"], other["clientId"]) == (7, "007") and other["id"] != order["id"]
    both = bid("90", "1", clientId="7", clientOrderId="007")
    reply = await client.ask("POST", ONE, both, token=ALICE_TOKEN)
    assert reply.error()[2] == "clientId and clientOrderId differ"
    assert len(venue.exchange.open_orders(ALICE)) == 2


@with_exchange()
async def test_answers_by_order_id_show_the_text(
    venue: RunningExchange, client: HttpClient
) -> None:
    """Their events have the order without its text."""
    orders = [await place(client, bid(str(90 + i), "1", clientId=f"text-{i}")) for i in range(4)]
    orders.append(await place(client, bid("80", "1", clientId=5)))
    orders.append(await place(client, bid("81", "1")))
    by_id = {"symbol": "SOL_USDC", "orderId": orders[0]["id"]}
    reply = await client.ask("PATCH", ONE, {**by_id, "price": "95"}, token=ALICE_TOKEN)
    assert reply.json() == {**orders[0], "price": "95"}
    reply = await client.ask("DELETE", ONE, by_id, token=ALICE_TOKEN)
    assert reply.json() == {**orders[0], "price": "95", "status": "Cancelled"}
    await place(client, ask("93", "1"), BOB_TOKEN)  # Fills the fourth.
    reply = await client.ask("DELETE", ALL, {"symbol": "SOL_USDC"}, token=ALICE_TOKEN)
    closed = [{**order, "status": "Cancelled"} for order in (*orders[1:3], *orders[4:])]
    assert reply.json() == closed


@with_exchange()
async def test_an_amended_order_that_is_filled_shows_its_text(
    venue: RunningExchange, client: HttpClient
) -> None:
    order = await place(client, bid("90", "1", clientId="amended"))
    await place(client, ask("95", "3"), BOB_TOKEN)
    by_id = {"symbol": "SOL_USDC", "orderId": order["id"], "price": "95"}
    reply = await client.ask("PATCH", ONE, by_id, token=ALICE_TOKEN)
    assert (reply.json()["status"], reply.json()["clientId"]) == ("Filled", "amended")


@with_exchange()
async def test_a_batch_with_texts(venue: RunningExchange, client: HttpClient) -> None:
    orders = [
        bid("90", "1", clientOrderId="first"),
        bid("91", "1", clientOrderId="a b"),
        bid("92", "1", clientId="first"),
        bid("93", "1", clientId="3"),
    ]
    items = (await client.ask("POST", ALL, orders, token=ALICE_TOKEN)).json()
    assert [item.get("clientId") for item in items] == ["first", None, None, 3]
    assert items[1]["message"].startswith("Invalid clientOrderId, ")
    assert items[2]["message"] == "Order with client ID already exists: first"


@with_exchange()
async def test_an_asynchronous_order_with_a_text(
    venue: RunningExchange, client: HttpClient
) -> None:
    headers = {"Prefer": "respond-async"}
    order = bid("90", "1", clientOrderId="later")
    reply = await client.ask("POST", ONE, order, token=ALICE_TOKEN, headers=headers)
    assert reply.status == 202 and reply.json()["clientId"] == "later"
    assert (await place(client, order))["status"] == "New"


@with_exchange()
async def test_texts_over_websocket(venue: RunningExchange, client: HttpClient) -> None:
    alice = caller(venue)
    order = await alice.place(bid("90", "1", clientOrderId="ws-1"))
    assert order["clientId"] == "ws-1"
    named = {"symbol": "SOL_USDC", "clientId": "ws-1"}
    assert await alice.result("order.status", named) == order
    amended = await alice.result("order.amend", {**named, "price": "91"})
    assert amended == {**order, "price": "91"}
    by_id = {"symbol": "SOL_USDC", "orderId": order["id"]}
    assert await alice.result("order.cancel", by_id) == {**amended, "status": "Cancelled"}
    last = await alice.place(bid("90", "1", clientOrderId="ws-2"))
    closed = await alice.result("order.cancelAll", {"symbol": "SOL_USDC"})
    assert closed == [{**last, "status": "Cancelled"}]


@with_exchange()
async def test_texts_of_another_account_are_its_own(
    venue: RunningExchange, client: HttpClient
) -> None:
    order = await place(client, bid("90", "1", clientId="mine"))
    other = await place(client, bid("91", "1", clientId="mine"), BOB_TOKEN)
    assert other["id"] != order["id"]
    named = {"symbol": "SOL_USDC", "clientId": "mine"}
    reply = await client.ask("DELETE", ONE, named, token=BOB_TOKEN)
    assert reply.json()["id"] == other["id"]
    reply = await client.ask("DELETE", ONE, {**named, "symbol": "BTC_USDC"}, token=ALICE_TOKEN)
    assert reply.error() == GONE


@with_exchange()
async def test_signed_orders_with_texts_may_be_repeated(
    venue: RunningExchange, client: HttpClient
) -> None:
    """Not those whose id is signed as a null is; a text in the query of a POST is refused."""
    text = "orderType=Limit&price=90&quantity=0.1&side=Bid&symbol=SOL_USDC"
    for name, value in (("clientId", "a/b:c"), ("clientOrderId", "x.y-z"), ("clientId", "007")):
        order = {**bid("90", "0.1"), name: value}
        headers = signed("orderExecute", f"{name}={value}&{text}")
        first = await client.ask("POST", ONE, order, headers=headers)
        again = await client.ask("POST", ONE, order, headers=headers)
        assert first.body == again.body and first.status == 200
    encoded = signed("orderExecute", f"clientId=a%2Fb%3Ac&{text}", at_ms=venue.now_ms + 1)
    again = await client.ask("POST", ONE, bid("90", "0.1", clientId="a/b:c"), headers=encoded)
    assert again.status == 200
    for name in ("clientId", "clientOrderId"):
        headers = signed("orderExecute", f"{name}=None&{text}", at_ms=venue.now_ms + len(name))
        for null, status in NULLS:
            order = {**bid("90", "0.1"), name: null}
            reply = await client.ask("POST", ONE, order, headers=headers)
            assert reply.status == status, reply.body
        headers = signed("orderExecute", f"{name}=hidden&{text}")
        reply = await client.ask("POST", f"{ONE}?{name}=hidden", bid("90", "0.1"), headers=headers)
        assert reply.error()[2] == f"{name} belongs in the body"


def test_texts_in_the_history() -> None:
    """Filters by either field; closed orders and fills show the text."""
    exchange = DirectExchange()
    list_and_fund(exchange)
    history = MemoryHistory(exchange)

    async def story(venue: RunningExchange, client: HttpClient) -> None:
        orders, fills = "/wapi/v1/history/orders", "/wapi/v1/history/fills"
        sold = await place(client, ask("100", "2", clientId="sold"))
        bought = await place(client, bid("100", "1", clientOrderId="bought"))
        assert (sold["clientId"], bought["status"]) == ("sold", "Expired")  # Its own order.
        await place(client, bid("100", "1", clientOrderId="bob"), BOB_TOKEN)
        numbered = await place(client, bid("90", "1", clientId=7))

        async def get(path: str) -> Any:
            return (await client.ask("GET", path, token=ALICE_TOKEN)).json()

        every = await get(orders)
        assert [row["clientId"] for row in every] == [7, "bought", "sold"]
        for name in ("clientId", "clientOrderId"):
            assert await get(f"{orders}?{name}=sold") == every[2:]
            assert await get(f"{orders}?{name}=7") == every[:1]
            assert await get(f"{orders}?{name}=007") == []
            assert await get(f"{orders}?orderId={sold['id']}&{name}=sold") == every[2:]
            assert await get(f"{orders}?orderId={sold['id']}&{name}=bought") == []
            assert await get(f"{orders}?orderId={numbered['id']}&{name}=7") == every[:1]
            assert await get(f"{orders}?orderId={bought['id']}&{name}=bought") == every[1:2]
        assert [row["clientId"] for row in await get(fills)] == ["sold"]

    play(story, exchange=exchange, extras=Extras(history=history))


@with_exchange()
async def test_the_unit_of_a_text_is_one_command(
    venue: RunningExchange, client: HttpClient
) -> None:
    commands = venue.exchange.record_commands()
    await place(client, bid("90", "1", clientId="unit"))
    (unit,) = commands
    assert len(unit) == 2 * records.COMMAND_BYTES
