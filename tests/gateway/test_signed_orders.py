"""Permissions, signatures, replays and pipelining of orders over HTTP."""

import asyncio

from fairbook.core import records
from tests.world.direct_exchange import small_exchange
from tests.world.http_client import HttpClient, bid, request_bytes, signed
from tests.world.markets import SOL_USDC
from tests.world.memory_accounts import ALICE, ALICE_TOKEN, READER_TOKEN
from tests.world.running_exchange import BEFORE_S, RunningExchange, play, with_exchange


@with_exchange()
async def test_permissions(venue: RunningExchange, client: HttpClient) -> None:
    """A read-only key: everything else is refused, and nothing happens."""
    position = venue.exchange.position
    for method, path, body in (
        ("POST", "/api/v1/order", bid()),
        ("POST", "/api/v1/orders", [bid()]),
        ("PATCH", "/api/v1/order", {"symbol": "SOL_USDC", "orderId": "1", "price": "1"}),
        ("DELETE", "/api/v1/order", {"symbol": "SOL_USDC", "orderId": "1"}),
        ("DELETE", "/api/v1/orders", {"symbol": "SOL_USDC"}),
        ("PATCH", "/api/v1/account", {"autoLend": True}),
        ("POST", "/wapi/v1/capital/withdrawals", {"symbol": "SOL", "quantity": "1"}),
    ):
        reply = await client.ask(method, path, body, token=READER_TOKEN)
        assert reply.error() == (403, "FORBIDDEN", "Permission denied")
    for path in ("/api/v1/capital", "/api/v1/orders", "/api/v1/account"):
        assert (await client.ask("GET", path, token=READER_TOKEN)).status == 200
    assert venue.exchange.position == position


@with_exchange()
async def test_the_replay_rule_over_http(venue: RunningExchange, client: HttpClient) -> None:
    """Accepted once if it changes something without a client id; otherwise repeatable."""
    text = "orderType=Limit&price=90&quantity=0.1&side=Bid&symbol=SOL_USDC"
    headers = signed("orderExecute", text)
    order = bid("90", "0.1")
    assert (await client.ask("POST", "/api/v1/order", order, headers=headers)).status == 200
    assert (await client.ask("POST", "/api/v1/order", order, headers=headers)).error() == (
        400, "INVALID_CLIENT_REQUEST", "Request already seen",
    )  # fmt: skip
    assert len(venue.exchange.open_orders(ALICE)) == 1
    headers = signed("orderExecute", "clientId=5&" + text)
    first = await client.ask("POST", "/api/v1/order", {**order, "clientId": 5}, headers=headers)
    again = await client.ask("POST", "/api/v1/order", {**order, "clientId": 5}, headers=headers)
    assert first.body == again.body and first.status == 200
    headers = signed("balanceQuery")
    for _ in range(2):
        assert (await client.ask("GET", "/api/v1/capital", headers=headers)).status == 200


@with_exchange()
async def test_amend_and_cancel_all_are_accepted_once_even_with_a_client_id(
    venue: RunningExchange, client: HttpClient
) -> None:
    """Repeated, each would undo later changes."""
    order = bid("90", "0.1", clientId=5)
    assert (await client.ask("POST", "/api/v1/order", order, token=ALICE_TOKEN)).status == 200
    named = {"symbol": "SOL_USDC", "clientId": 5}
    amended = signed("orderAmend", "clientId=5&price=80&symbol=SOL_USDC")
    change = {**named, "price": "80"}
    reply = await client.ask("PATCH", "/api/v1/order", change, headers=amended)
    assert reply.json()["price"] == "80"
    back = {**named, "price": "90"}
    reply = await client.ask("PATCH", "/api/v1/order", back, token=ALICE_TOKEN)
    assert reply.json()["price"] == "90"
    seen = (400, "INVALID_CLIENT_REQUEST", "Request already seen")
    reply = await client.ask("PATCH", "/api/v1/order", change, headers=amended)
    assert reply.error() == seen
    assert [found.price for found in venue.exchange.open_orders(ALICE)] == [9000]
    all_of = {"symbol": "SOL_USDC", "clientId": None}
    headers = signed("orderCancelAll", "clientId=None&symbol=SOL_USDC")
    reply = await client.ask("DELETE", "/api/v1/orders", all_of, headers=headers)
    assert len(reply.json()) == 1
    reply = await client.ask("DELETE", "/api/v1/orders", all_of, headers=headers)
    assert reply.error() == seen
    headers = signed("orderCancel", "clientId=5&symbol=SOL_USDC")
    reply = await client.ask("DELETE", "/api/v1/order", named, headers=headers)
    assert reply.error()[1] == "INVALID_ORDER"
    reply = await client.ask("DELETE", "/api/v1/order", named, headers=headers)
    assert reply.error() == seen


@with_exchange()
async def test_a_request_that_changes_something_is_at_most_a_second_ahead(
    venue: RunningExchange, client: HttpClient
) -> None:
    """Whatever its window."""
    text = "orderType=Limit&price=90&quantity=0.1&side=Bid&symbol=SOL_USDC"
    order = bid("90", "0.1")
    for ahead_ms, status in ((1000, 200), (1001, 400), (60_000, 400)):
        for more, named in (
            ("", order),
            (f"clientId={ahead_ms}&", {**order, "clientId": ahead_ms}),
        ):
            headers = signed(
                "orderExecute", more + text, at_ms=venue.now_ms + ahead_ms, window=60_000
            )
            reply = await client.ask("POST", "/api/v1/order", named, headers=headers)
            assert reply.status == status
            if status == 400:
                assert reply.error() == (
                    400, "INVALID_CLIENT_REQUEST",
                    "Request is of a later time than the exchange's clock shows",
                )  # fmt: skip
    headers = signed("balanceQuery", at_ms=venue.now_ms + 60_000, window=60_000)
    assert (await client.ask("GET", "/api/v1/capital", headers=headers)).status == 200


async def close_others(venue: RunningExchange, count: int) -> None:
    """Place and cancel so many other orders with client ids: the core forgets older ones."""
    for number in range(count):
        venue.exchange.do(
            records.place(
                account=ALICE, market=SOL_USDC, side=records.BID, quantity=10, price=5000,
                client_id=1000 + number, flags=records.HAS_CLIENT_ID,
            ),
            records.cancel(account=ALICE, client_id=1000 + number, flags=records.HAS_CLIENT_ID),
        )  # fmt: skip


@with_exchange()
async def test_a_signature_seen_before_never_places(
    venue: RunningExchange, client: HttpClient
) -> None:
    """As long as the core remembers the client id, the answer is the first one; then it is refused.
    The same for each order of a batch.
    """
    text = "orderType=Limit&price=90&quantity=0.1&side=Bid&symbol=SOL_USDC"
    order = {**bid("90", "0.1"), "clientId": 5}
    headers = signed("orderExecute", "clientId=5&" + text)
    first = await client.ask("POST", "/api/v1/order", order, headers=headers)
    batch = [{**bid("90", "0.1"), "clientId": number} for number in (6, 7)]
    both = "&".join(f"instruction=orderExecute&clientId={number}&{text}" for number in (6, 7))
    of_batch = signed("orderExecute", both.removeprefix("instruction=orderExecute&"))
    first_batch = await client.ask("POST", "/api/v1/orders", batch, headers=of_batch)
    assert [item["operation"] for item in first_batch.json()] == ["Ok", "Ok"]
    position = venue.exchange.position
    for _ in range(2):
        again = await client.ask("POST", "/api/v1/order", order, headers=headers)
        assert (again.status, again.body) == (200, first.body)
        again = await client.ask("POST", "/api/v1/orders", batch, headers=of_batch)
        assert (again.status, again.body) == (200, first_batch.body)
    assert venue.exchange.position == position  # Nothing was logged.
    venue.exchange.do(records.cancel_all(account=ALICE))
    await close_others(venue, 260)
    refusal = (400, "INVALID_CLIENT_REQUEST", "Request already seen")
    assert (await client.ask("POST", "/api/v1/order", order, headers=headers)).error() == refusal
    again = await client.ask("POST", "/api/v1/orders", batch, headers=of_batch)
    assert [(item["operation"], item["message"]) for item in again.json()] == [
        ("Err", "Request already seen")
    ] * 2
    assert venue.exchange.open_orders(ALICE) == []


@with_exchange()
async def test_a_signature_seen_before_a_restart_never_places(
    venue: RunningExchange, client: HttpClient
) -> None:
    """The new process remembers no signature, but knows the time of the log."""
    text = "orderType=Limit&price=90&quantity=0.1&side=Bid&symbol=SOL_USDC"
    order = {**bid("90", "0.1"), "clientId": 5}
    headers = signed("orderExecute", "clientId=5&" + text, at_ms=venue.now_ms + 900, window=60_000)
    first = await client.ask("POST", "/api/v1/order", order, headers=headers)
    assert first.status == 200
    await venue.close()
    venue.clock.advance(BEFORE_S)
    await venue.open()
    client = await venue.connect()
    again = await client.ask("POST", "/api/v1/order", order, headers=headers)
    assert (again.status, again.body) == (200, first.body)
    venue.exchange.do(records.cancel_all(account=ALICE))
    await close_others(venue, 260)
    again = await client.ask("POST", "/api/v1/order", order, headers=headers)
    assert (again.error()[:2], again.headers["retry-after"]) == ((503, "TRADING_PAUSED"), "1")
    assert venue.exchange.open_orders(ALICE) == []


@with_exchange()
async def test_a_signed_cancel_by_client_id_is_accepted_once(
    venue: RunningExchange, client: HttpClient
) -> None:
    """Repeated, it would cancel the next order with the same client id."""
    order = {**bid("90", "0.1"), "clientId": 5}
    await client.ask("POST", "/api/v1/order", order, token=ALICE_TOKEN)
    headers = signed("orderCancel", "clientId=5&symbol=SOL_USDC")
    named = {"symbol": "SOL_USDC", "clientId": 5}
    assert (await client.ask("DELETE", "/api/v1/order", named, headers=headers)).status == 200
    again = await client.ask("DELETE", "/api/v1/order", named, headers=headers)
    assert again.error() == (400, "INVALID_CLIENT_REQUEST", "Request already seen")


@with_exchange()
async def test_a_signed_client_id_cannot_be_hidden(
    venue: RunningExchange, client: HttpClient
) -> None:
    """A signed order that was intercepted cannot be sent again as a second order, by writing the
    same text with the client id elsewhere: in the query, or in the value of the field before it.
    """
    order = bid("90", "0.1", autoLend=True)
    text = "orderType=Limit&price=90&quantity=0.1&side=Bid&symbol=SOL_USDC"
    headers = signed("orderExecute", f"autoLend=true&clientId=5&{text}")
    for _ in range(2):
        body = {**order, "clientId": 5}
        assert (await client.ask("POST", "/api/v1/order", body, headers=headers)).status == 200
    hidden = {**order, "autoLend": "true&clientId=5"}
    reply = await client.ask("POST", "/api/v1/order", hidden, headers=headers)
    assert reply.error()[:2] == (401, "INVALID_SIGNATURE")
    del order["autoLend"]
    for path, moved in (("/api/v1/order", order), ("/api/v1/orders", [order])):
        for place in ("clientId=5", "autoLend=true&clientId=5"):
            headers = signed("orderExecute", f"{place}&{text}")
            reply = await client.ask("POST", f"{path}?{place}", moved, headers=headers)
            assert reply.error()[:2] == (400, "INVALID_CLIENT_REQUEST")
    assert len(venue.exchange.open_orders(ALICE)) == 1


@with_exchange()
async def test_signed_orders_and_token_orders_are_the_same(
    venue: RunningExchange, client: HttpClient
) -> None:
    text = "clientId=5&orderType=Limit&price=90&quantity=0.1&side=Bid&symbol=SOL_USDC"
    order = bid("90", "0.1", clientId=5)
    by_key = await client.ask("POST", "/api/v1/order", order, headers=signed("orderExecute", text))
    by_token = await client.ask("POST", "/api/v1/order", order, token=ALICE_TOKEN)
    assert by_key.body == by_token.body
    batch = signed("orderExecute", f"{text}&instruction=orderExecute&{text}")
    reply = await client.ask("POST", "/api/v1/orders", [order, order], headers=batch)
    assert [item["operation"] for item in reply.json()] == ["Ok", "Ok"]
    cancel = signed("orderCancel", "clientId=5&symbol=SOL_USDC")
    reply = await client.ask(
        "DELETE", "/api/v1/order", {"symbol": "SOL_USDC", "clientId": 5}, headers=cancel
    )
    assert reply.json()["status"] == "Cancelled"


@with_exchange()
async def test_unknown_fields_are_ignored_but_signed(
    venue: RunningExchange, client: HttpClient
) -> None:
    order = bid("90", "0.1", strategy="abc", brokerId=1500, autoLend=True, reduceOnly=None)
    text = (
        "autoLend=true&brokerId=1500&orderType=Limit&price=90&quantity=0.1"
        "&reduceOnly=None&side=Bid&strategy=abc&symbol=SOL_USDC"
    )
    reply = await client.ask("POST", "/api/v1/order", order, headers=signed("orderExecute", text))
    assert reply.status == 200
    reply = await client.ask(
        "POST",
        "/api/v1/order",
        {**order, "brokerId": 1501},
        headers=signed("orderExecute", text, at_ms=venue.now_ms + 1),
    )
    assert reply.error() == (401, "INVALID_SIGNATURE", "Invalid signature")


@with_exchange()
async def test_pipelined_orders_are_executed_in_order(
    venue: RunningExchange, client: HttpClient
) -> None:
    """A bid and its cancel by client id, twenty times, sent at once."""
    data = b""
    for i in range(20):
        data += request_bytes("POST", "/api/v1/order", bid("90", "0.1", clientId=i))
        data += request_bytes("DELETE", "/api/v1/order", {"symbol": "SOL_USDC", "clientId": i})
    await client.send(data)
    for i in range(20):
        placed, cancelled = await client.reply(), await client.reply()
        assert placed.json()["clientId"] == cancelled.json()["clientId"] == i
        assert cancelled.json()["status"] == "Cancelled"


def test_an_order_is_executed_after_its_client_has_left() -> None:
    """Once; it is found by its client id."""

    async def story(venue: RunningExchange, client: HttpClient) -> None:
        venue.exchange.held = []
        other = await venue.connect()
        await other.send(request_bytes("POST", "/api/v1/order", bid(clientId=77)))
        await venue.exchange.submitted.wait()
        other.writer.transport.abort()
        await asyncio.sleep(0.01)
        venue.exchange.release()
        reply = await client.ask(
            "GET", "/api/v1/order?symbol=SOL_USDC&clientId=77", token=ALICE_TOKEN
        )
        assert reply.json()["clientId"] == 77

    play(story, exchange=small_exchange())
