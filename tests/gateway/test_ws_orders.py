"""Orders over WebSocket: the answers of HTTP, in the order of execution."""

import asyncio
import json
from typing import Any

import pytest

from fairbook.core import records
from fairbook.ports.commands import Stopped, Waiter
from tests.gateway.memory_caller import MemoryCaller, caller, play_caller, turns, with_caller
from tests.gateway.test_orders import check_shape
from tests.world.http_client import HttpClient, ask, bid
from tests.world.markets import SOL_USDC
from tests.world.memory_accounts import ALICE, ALICE_KEY, ALICE_TOKEN, BOB, BOB_TOKEN, READER_TOKEN
from tests.world.running_exchange import NO_LIMITS, RunningExchange, with_exchange

SOON = NO_LIMITS._replace(deadline_s=0.05)
UNKNOWN = (504, "TIMEOUT", "Outcome unknown, ask by clientId")
SYMBOL = {"symbol": "SOL_USDC"}


@with_exchange()
async def test_the_life_of_an_order_has_the_shapes_of_http(
    venue: RunningExchange, client: HttpClient
) -> None:
    """Orders placed over WebSocket are seen over HTTP, and the reverse."""
    here = caller(venue)
    order = await here.place(bid("99.50", "1.50", clientId=42, postOnly=True))
    check_shape(order)
    assert (order["price"], order["status"], order["clientId"]) == ("99.5", "New", 42)
    for name in ({"orderId": order["id"]}, {"clientId": 42}, {"clientId": "42"}):
        assert await here.result("order.status", SYMBOL | name) == order
    there = await client.ask(
        "GET", f"/api/v1/order?symbol=SOL_USDC&orderId={order['id']}", token=ALICE_TOKEN
    )
    assert there.json() == order

    amended = await here.result(
        "order.amend", SYMBOL | {"orderId": order["id"], "price": "99", "quantity": 1}
    )
    check_shape(amended)
    assert amended == order | {"price": "99", "quantity": "1"}
    cancelled = await here.result("order.cancel", SYMBOL | {"clientId": 42})
    check_shape(cancelled)
    assert cancelled == amended | {"status": "Cancelled"}
    assert await here.refusal("order.status", SYMBOL | {"clientId": 42}) == (
        404, "RESOURCE_NOT_FOUND", "Not Found",
    )  # fmt: skip

    placed = [await here.place(bid(price)) for price in ("90", "91", "92")]
    assert await here.result("order.cancelAll", SYMBOL | {"orderType": "ConditionalOrder"}) == []
    gone = await here.result("order.cancelAll", SYMBOL)
    assert gone == [order | {"status": "Cancelled"} for order in placed]
    assert await here.result("order.cancelAll", SYMBOL) == []


@with_caller()
async def test_a_taker_gets_its_fills_in_the_answer(
    venue: RunningExchange, alice: MemoryCaller
) -> None:
    await caller(venue, BOB_TOKEN).place(ask("100", "0.3"))
    order = await alice.place(bid(..., "1", orderType="Market"))
    check_shape(order)
    assert (order["status"], order["executedQuantity"]) == ("Expired", "0.3")
    assert order["executedQuoteQuantity"] == "30"


@pytest.mark.parametrize(
    ("method", "params", "expected"),
    [
        ("order.place", bid(clientId=7), (400, "INVALID_ORDER")),
        ("order.place", bid("100", "11"), (400, "INSUFFICIENT_FUNDS")),
        ("order.place", bid("0.001"), (400, "INVALID_CLIENT_REQUEST")),
        ("order.place", bid(symbol="SOL-USDC"), (400, "INVALID_MARKET")),
        ("order.place", bid(symbol=...), (400, "INVALID_CLIENT_REQUEST")),
        ("order.place", bid(triggerPrice="1"), (501, "NOT_IMPLEMENTED")),
        ("order.place", bid("60", postOnly=True), (400, "INVALID_ORDER")),
        ("order.place", None, (400, "INVALID_CLIENT_REQUEST")),
        ("order.place", [bid()], (400, "INVALID_CLIENT_REQUEST")),
        ("order.place", "bid", (400, "INVALID_CLIENT_REQUEST")),
        ("order.cancel", SYMBOL, (400, "INVALID_CLIENT_REQUEST")),
        ("order.cancel", SYMBOL | {"orderId": "1"}, (400, "INVALID_ORDER")),
        ("order.cancel", SYMBOL | {"orderId": "9" * 30}, (400, "INVALID_ORDER")),
        ("order.amend", SYMBOL | {"clientId": 7}, (400, "INVALID_CLIENT_REQUEST")),
        ("order.amend", SYMBOL | {"clientId": 8, "price": "1"}, (400, "INVALID_ORDER")),
        ("order.cancelAll", {}, (400, "INVALID_CLIENT_REQUEST")),
        ("order.cancelAll", SYMBOL | {"orderType": "x"}, (400, "INVALID_CLIENT_REQUEST")),
        ("order.status", SYMBOL, (400, "INVALID_CLIENT_REQUEST")),
        ("order.status", SYMBOL | {"orderId": "9" * 30}, (404, "RESOURCE_NOT_FOUND")),
        ("order.cancelOnDisconnect", {}, (400, "INVALID_CLIENT_REQUEST")),
        ("order.cancelOnDisconnect", {"enabled": 1}, (400, "INVALID_CLIENT_REQUEST")),
        ("order.cancelOnDisconnect", {"enabled": "true"}, (400, "INVALID_CLIENT_REQUEST")),
        ("order.cancelOnDisconnect", None, (400, "INVALID_CLIENT_REQUEST")),
    ],
)
@with_caller()
async def test_a_refused_request(
    venue: RunningExchange, alice: MemoryCaller, method: str, params: Any, expected: tuple[int, str]
) -> None:
    """It changes nothing. Alice has an order with client id 7, Bob sells at 50."""
    await caller(venue, BOB_TOKEN).place(ask("50", "1"))
    first = await alice.place(bid("40", clientId=7))
    assert (await alice.refusal(method, params))[:2] == expected
    assert [str(order.order_id) for order in venue.exchange.open_orders(ALICE)] == [first["id"]]


@pytest.mark.parametrize(
    "request_id",
    [b"1", b"null", b'"a"', b"1.50", b"-0", b"1e400", b'"\\u00e9\\""', b"123456789" * 9],
)
@with_caller()
async def test_a_request_id_is_returned_as_it_was_written(
    _house: RunningExchange, alice: MemoryCaller, request_id: bytes
) -> None:
    alice.send("order.place", bid(), request_id)
    alice.send("order.place", bid("x"), request_id)
    alice.send("order.status", SYMBOL | {"orderId": "1"}, request_id)
    while len(alice.told) < 3:
        await turns()
    assert all(text.startswith(b'{"id":' + request_id + b',"status":') for text in alice.told)


@with_caller()
async def test_unknown_methods_are_not_handled(
    _house: RunningExchange, alice: MemoryCaller
) -> None:
    for method in ("order", "order.Place", "LOGIN", "", "depth.SOL_USDC"):
        assert not alice.entry.request(alice, b"1", method, {})
    assert not alice.told


@with_caller()
async def test_answers_come_in_the_order_of_execution(
    venue: RunningExchange, alice: MemoryCaller
) -> None:
    """Of all requests in flight, over all connections."""
    bob = caller(venue, BOB_TOKEN)
    told: list[tuple[str, int]] = []
    for name, one in (("alice", alice), ("bob", bob)):
        one.reply = lambda text, name=name: told.append((name, json.loads(text)["id"]))  # type: ignore[method-assign,misc]
    venue.exchange.held = []
    expected = []
    for number in range(40):
        name, one = ("alice", alice) if number % 3 else ("bob", bob)
        method, params = (
            ("order.place", bid(clientId=number))
            if number % 2
            else ("order.cancel", SYMBOL | {"clientId": number // 2})
        )
        expected.append((name, int(one.send(method, params))))
    await turns()
    assert not told
    venue.exchange.release()
    await turns()
    assert told == expected


@with_caller()
async def test_commands_are_answered_as_soon_as_each_ends(
    venue: RunningExchange, alice: MemoryCaller
) -> None:
    """Also when a client sends another request from within its answer."""
    held: list[tuple[bytes, Waiter]] = []
    venue.exchange.held = held
    for number in range(6):
        alice.send("order.place", bid(clientId=number), b"%d" % number)
    listen = alice.reply

    def ask_again(text: bytes) -> None:
        listen(text)
        if json.loads(text)["id"] == 1:
            alice.send("order.cancel", SYMBOL | {"clientId": 0}, b"6")

    alice.reply = ask_again  # type: ignore[method-assign]
    for count in (2, 1, 4):
        for command, future in held[:count]:
            future.set_result(venue.exchange.apply(command))
        del held[:count]
        await turns()
        assert len(alice.told) == 7 - len(held)
    assert [answer["id"] for answer in await alice.answers(7)] == list(range(7))
    venue.exchange.held = None
    await alice.place(bid())


def test_a_connection_that_fails_does_not_affect_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story(venue: RunningExchange, alice: MemoryCaller) -> None:
        def broken(_text: bytes) -> None:
            raise ZeroDivisionError("a bug")

        bad = caller(venue)
        bad.reply = broken  # type: ignore[method-assign,assignment]
        venue.exchange.held = []
        for number in range(4):
            (alice if number % 2 else bad).send("order.place", bid(), b"%d" % number)
        venue.exchange.release()
        assert [answer["id"] for answer in await alice.answers(2)] == [1, 3]

    play_caller(story)
    assert len(caplog.records) == 2


@with_caller()
async def test_a_refusal_does_not_wait_for_requests_in_flight(
    venue: RunningExchange, alice: MemoryCaller
) -> None:
    """It is not executed, so the order of execution does not apply."""
    venue.exchange.held = []
    alice.send("order.place", bid(clientId=1), b"1")
    alice.send("order.place", bid("x"), b"2")
    assert [answer["id"] for answer in await alice.answers(1)] == [2]
    venue.exchange.release()
    assert [answer["id"] for answer in await alice.answers(1)] == [1]


@with_caller()
async def test_a_status_request_sees_the_requests_before_it(
    venue: RunningExchange, alice: MemoryCaller
) -> None:
    venue.exchange.held = []
    alice.send("order.place", bid(clientId=1), b"1")
    alice.send("order.status", SYMBOL | {"clientId": 1}, b"2")
    alice.send("order.cancel", SYMBOL | {"clientId": 9}, b"3")
    await turns()
    assert not alice.told
    venue.exchange.release()
    answers = {answer["id"]: answer for answer in await alice.answers(3)}
    assert answers[2]["result"] == answers[1]["result"]


@with_exchange()
async def test_an_order_with_a_client_id_is_executed_once(
    venue: RunningExchange, client: HttpClient
) -> None:
    """Repeated here, on another connection or over HTTP, it gets the first answer."""
    here = caller(venue)
    await here.cancel_on_disconnect()
    first = await here.place(bid(clientId=5))
    assert await here.place(bid(clientId=5)) == first
    here.end()
    there = caller(venue)
    await there.cancel_on_disconnect()
    assert await there.place(bid(clientId=5)) == first
    over_http = await client.ask("POST", "/api/v1/order", bid(clientId=5), token=ALICE_TOKEN)
    assert over_http.json() == first
    assert (await there.refusal("order.place", bid("99", clientId=5))) == (
        400, "INVALID_ORDER", "Order with client ID already exists: 5",
    )  # fmt: skip


@with_caller(NO_LIMITS._replace(address_per_minute=1, address_burst=4))
async def test_orders_need_a_login(venue: RunningExchange, _alice: MemoryCaller) -> None:
    """401 for every method; each takes a token of the address."""
    anonymous = caller(venue, None)
    for method in ("order.place", "order.cancel", "order.status", "order.cancelOnDisconnect"):
        assert await anonymous.refusal(method, bid()) == (401, "UNAUTHORIZED", "Unauthorized")
    assert (await anonymous.refusal("order.place", bid()))[0] == 429
    await caller(venue).place(bid())


@with_caller()
async def test_permissions_are_those_of_the_login(
    venue: RunningExchange, alice: MemoryCaller
) -> None:
    """A read-only login may query orders, and nothing else."""
    order = await alice.place(bid(clientId=3))
    reader = caller(venue, READER_TOKEN)
    assert await reader.result("order.status", SYMBOL | {"clientId": 3}) == order
    for method in (
        "order.place", "order.amend", "order.cancel", "order.cancelAll",
        "order.cancelOnDisconnect",
    ):  # fmt: skip
        assert await reader.refusal(method, SYMBOL | {"clientId": 3}) == (
            403, "FORBIDDEN", "Permission denied",
        )  # fmt: skip
    assert len(venue.exchange.open_orders(ALICE)) == 1


@with_caller()
async def test_a_revoked_key_or_token_cannot_trade(
    venue: RunningExchange, alice: MemoryCaller
) -> None:
    """From the next request on; requests in flight are answered."""
    by_key = MemoryCaller(alice.entry, venue.accounts.by_key(bytes(ALICE_KEY.verify_key)))
    venue.exchange.held = []
    alice.send("order.place", bid())
    by_key.send("order.place", bid())
    venue.accounts.tokens.clear()
    venue.accounts.keys.clear()
    venue.exchange.release()
    for one in (alice, by_key):
        assert [answer["status"] for answer in await one.answers(1)] == [200]
        assert (await one.refusal("order.place", bid()))[:2] == (401, "UNAUTHORIZED")


@with_exchange(NO_LIMITS._replace(account_per_minute=1, account_burst=4))
async def test_an_account_has_one_rate_limit_for_http_and_websocket(
    venue: RunningExchange, client: HttpClient
) -> None:
    """Refused requests count too; Bob has a separate limit."""
    here = caller(venue)
    await here.place(bid())
    assert (await here.refusal("order.place", bid("x")))[0] == 400
    for _ in range(2):
        reply = await client.ask("POST", "/api/v1/order", bid(), token=ALICE_TOKEN)
        assert reply.status == 200
    assert await here.refusal("order.place", bid()) == (
        429, "TOO_MANY_REQUESTS", "Too many requests",
    )  # fmt: skip
    reply = await client.ask("POST", "/api/v1/order", bid(), token=ALICE_TOKEN)
    assert reply.status == 429
    await caller(venue, BOB_TOKEN).place(bid())


@with_caller()
async def test_busy_stopping_and_stopped_mean_that_nothing_happened(
    venue: RunningExchange, alice: MemoryCaller
) -> None:
    venue.exchange.busy = True
    assert (await alice.refusal("order.place", bid()))[:2] == (503, "TRADING_PAUSED")
    venue.exchange.busy = False
    venue.exchange.stopped = True
    assert (await alice.refusal("order.place", bid()))[:2] == (503, "MAINTENANCE")
    status = await alice.refusal("order.status", SYMBOL | {"orderId": "1"})
    assert status[:2] == (503, "MAINTENANCE")
    venue.exchange.stopped = False
    venue.gateway.stop()
    for method in ("order.place", "order.status", "order.cancelOnDisconnect"):
        assert (await alice.refusal(method, bid()))[:2] == (503, "MAINTENANCE")
    assert venue.exchange.open_orders(ALICE) == []


@with_caller(SOON)
async def test_a_late_answer_is_an_unknown_outcome(
    venue: RunningExchange, alice: MemoryCaller
) -> None:
    """504, once. The order exists, and repeating it with its client id returns it."""
    venue.exchange.held = []
    for method, params in (
        ("order.place", bid(clientId=5)),
        ("order.cancel", SYMBOL | {"clientId": 6}),
        ("order.amend", SYMBOL | {"clientId": 6, "price": "1"}),
        ("order.cancelAll", {"symbol": "BTC_USDC"}),
        ("order.status", SYMBOL | {"clientId": 5}),
    ):
        assert await alice.refusal(method, params) == UNKNOWN
    venue.exchange.release()
    await turns()
    assert not alice.told
    assert (await alice.place(bid(clientId=5)))["clientId"] == 5
    assert len(venue.exchange.open_orders(ALICE)) == 1


@with_caller()
async def test_an_engine_that_stops_after_a_command_was_submitted(
    venue: RunningExchange, alice: MemoryCaller
) -> None:
    venue.exchange.held = []
    asking = asyncio.create_task(alice.refusal("order.place", bid()))
    await venue.exchange.submitted.wait()
    venue.exchange.held[0][1].set_exception(Stopped("the log failed"))
    assert await asking == UNKNOWN


def test_a_bug_is_an_unknown_outcome(caplog: pytest.LogCaptureFixture) -> None:
    """Before and after the command was submitted; in a read it is a server error."""

    async def story(venue: RunningExchange, alice: MemoryCaller) -> None:
        venue.exchange.held = []
        asking = asyncio.create_task(alice.refusal("order.place", bid()))
        await venue.exchange.submitted.wait()
        venue.exchange.held[0][1].set_result(None)  # type: ignore[arg-type]
        assert await asking == UNKNOWN
        venue.exchange.held = None

        def broken(*_: object, **__: object) -> None:
            raise ZeroDivisionError("a bug")

        venue.exchange.apply = venue.exchange.order = broken  # type: ignore[method-assign,assignment]
        assert await alice.refusal("order.place", bid()) == UNKNOWN
        status = await alice.refusal("order.status", SYMBOL | {"clientId": 1})
        assert status[:2] == (500, "SERVER_ERROR")

    play_caller(story)
    assert [record.exc_info is not None for record in caplog.records] == [True] * 3


@with_exchange()
async def test_the_commands_are_those_of_http(venue: RunningExchange, client: HttpClient) -> None:
    """Byte for byte, without cancelOnDisconnect."""
    here = caller(venue, BOB_TOKEN)
    commands = venue.exchange.record_commands()
    order = bid("10", clientId=1)
    amendment = SYMBOL | {"clientId": 1, "price": "11"}
    name = SYMBOL | {"clientId": 1}
    await here.place(order)
    await here.result("order.amend", amendment)
    await here.result("order.cancel", name)
    await here.result("order.cancelAll", SYMBOL)
    for method, path, body in (
        ("POST", "/api/v1/order", order),
        ("PATCH", "/api/v1/order", amendment),
        ("DELETE", "/api/v1/order", name),
        ("DELETE", "/api/v1/orders", SYMBOL),
    ):
        await client.ask(method, path, body, token=BOB_TOKEN)
    assert commands[:4] == commands[4:]
    assert commands[3] == records.cancel_all(account=BOB, market=SOL_USDC)
