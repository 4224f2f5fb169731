"""One account can have only so much under way; what it sends beyond that waits, and others do not.

In each test Alice has a batch under way that is not answered before `release`.
"""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from fairbook.api import requests
from fairbook.gateway import authentication
from fairbook.gateway.account_shares import HELD_BYTES_MAX, PLACES_MAX, RESERVED_FOR_CANCELS
from fairbook.gateway.rate_limits import REFUSED_PAUSE_S
from fairbook.gateway.request import Request
from fairbook.gateway.ws_orders import REQUESTS_A_TURN
from tests.gateway.memory_caller import MemoryCaller, caller, turns, with_caller
from tests.world.http_client import HttpClient, HttpReply, bid, request_bytes, signed
from tests.world.memory_accounts import ALICE, ALICE_TOKEN, BOB_TOKEN
from tests.world.running_exchange import NO_LIMITS, RunningExchange, with_exchange
from tests.world.waiting import until

ORDER, ORDERS = "/api/v1/order", "/api/v1/orders"
SYMBOL = {"symbol": "SOL_USDC"}
BATCH = [bid("90", "0.01", clientId=1000 + number) for number in range(PLACES_MAX)]
REFUSED = (429, "TOO_MANY_REQUESTS", "Too many requests")


@asynccontextmanager
async def busy(venue: RunningExchange, token: str = ALICE_TOKEN) -> AsyncIterator[HttpClient]:
    """Let the account have all its places taken, by a batch on the connection that this yields."""
    venue.exchange.held = []
    batcher = await venue.connect()
    await batcher.send(request_bytes("POST", ORDERS, BATCH, token=token))
    held = venue.exchange.held
    await until(lambda: len(held) == PLACES_MAX)
    yield batcher


def submitted(venue: RunningExchange) -> int:
    """How many commands the exchange has and has not answered."""
    return len(venue.exchange.held or ())


async def send(client: HttpClient, body: Any, **options: Any) -> None:
    await client.send(request_bytes("POST", ORDER, body, **options))


@with_exchange()
async def test_requests_of_a_busy_account_wait_and_others_do_not(
    venue: RunningExchange, client: HttpClient
) -> None:
    """On new connections and known ones; each is answered in the end."""
    assert (await client.ask("GET", ORDERS, token=ALICE_TOKEN)).status == 200
    async with busy(venue) as batcher:
        waiting = [client, *[await venue.connect() for _ in range(5)]]
        for number, one in enumerate(waiting):
            await send(one, bid("90", "0.01", clientId=number))
        other = await venue.connect()
        await send(other, bid("90", "0.01"), token=BOB_TOKEN)
        await until(lambda: submitted(venue) == PLACES_MAX + 1)
        await turns()
        assert submitted(venue) == PLACES_MAX + 1
        venue.exchange.release()
        placed = (await batcher.reply()).json()
        assert [each["operation"] for each in placed] == ["Ok"] * PLACES_MAX
        assert (await other.reply()).status == 200
        for number, one in enumerate(waiting):
            assert (await one.reply()).json()["clientId"] == number
    # First in, first out.
    ids = [order.client_id for order in venue.exchange.open_orders(ALICE)[PLACES_MAX:]]
    assert ids == list(range(6))


@with_exchange()
async def test_the_body_of_a_request_that_waits_is_not_parsed(
    venue: RunningExchange, client: HttpClient
) -> None:
    async with busy(venue) as batcher:
        await send(client, b"{")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reply(), 0.05)
        venue.exchange.release()
        await batcher.reply()
    malformed = await venue.connect()
    await send(malformed, b"{")
    assert (await malformed.reply()).error()[2] == "Body is not valid JSON"


@with_exchange()
async def test_a_signature_is_verified_once_its_account_is_free(
    venue: RunningExchange, client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a connection that has proved its key; a new one must prove it first."""
    verified = []
    verify = authentication.Authenticator.verify

    def counting(self: Any, *arguments: Any) -> Any:
        verified.append(arguments)
        return verify(self, *arguments)

    monkeypatch.setattr(authentication.Authenticator, "verify", counting)
    query = request_bytes("GET", ORDERS, token=None, headers=signed("orderQueryAll"))
    await client.send(query)
    assert (await client.reply()).status == 200
    async with busy(venue) as batcher:
        await client.send(query)
        newcomer = await venue.connect()
        await newcomer.send(query)
        await until(lambda: len(verified) == 2)
        await turns()
        venue.exchange.release()
        assert [(await one.reply()).status for one in (batcher, client, newcomer)] == [200] * 3
    assert len(verified) == 4


@with_exchange()
async def test_what_waits_is_bounded_and_cancels_have_a_reserve(
    venue: RunningExchange, client: HttpClient
) -> None:
    """The one beyond the bound is refused, but only in its turn."""
    body = b'{"x":"' + b"x" * 16_000 + b'"}'
    most = HELD_BYTES_MAX // len(body)
    async with busy(venue) as batcher:
        waiting = [await venue.connect() for _ in range(most + 1)]
        for one in waiting:
            await send(one, body)
            await turns(2)
        canceller = await venue.connect()
        await canceller.send(request_bytes("DELETE", ORDER, SYMBOL | {"clientId": 1000}))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waiting[-1].reader.readexactly(1), 0.1)
        venue.exchange.release()
        await batcher.reply()
        replies = [await one.reply() for one in waiting[:-1]]
        cancelled = await canceller.reply()
    assert {reply.status for reply in replies} >= {400}
    assert cancelled.json()["status"] == "Cancelled"
    assert len(body) < RESERVED_FOR_CANCELS


@with_exchange()
async def test_pipelined_requests_beyond_the_bound_end_their_connection(
    venue: RunningExchange, client: HttpClient
) -> None:
    """At once: what was read of them takes memory."""
    body = b'{"x":"' + b"x" * 16_000 + b'"}'
    async with busy(venue) as batcher:
        reply: HttpReply | None = None
        while reply is None:
            one = await venue.connect()
            await one.send(request_bytes("POST", ORDER, body) * 10)
            with suppress(TimeoutError):
                reply = await asyncio.wait_for(one.reply(), 0.05)
        assert reply.error() == REFUSED
        assert reply.headers["connection"] == "close"
        assert await one.is_closed()
        venue.exchange.release()
        assert (await batcher.reply()).status == 200


@with_exchange()
async def test_a_request_whose_connection_is_lost_while_it_waits_is_not_executed(
    venue: RunningExchange, client: HttpClient
) -> None:
    async with busy(venue) as batcher:
        lost = await venue.connect()
        await send(lost, bid("90", "0.01", clientId=1))
        await turns(20)
        lost.writer.transport.abort()
        # Reading is paused, so the exchange learns of it when it writes; tell it at once.
        await until(lambda: len(venue.server.state.connections) == 3)
        for connection in list(venue.server.state.connections):
            if connection.transport.get_extra_info("peername") == lost_name(lost):
                connection.transport.abort()
        await until(lambda: len(venue.server.state.connections) == 2)
        venue.exchange.release()
        await batcher.reply()
    assert (await client.ask("GET", ORDERS, token=ALICE_TOKEN)).status == 200
    assert len(venue.exchange.open_orders(ALICE)) == PLACES_MAX


def lost_name(client: HttpClient) -> Any:
    return client.writer.get_extra_info("sockname")


@with_exchange()
async def test_requests_that_wait_are_refused_at_a_stop(
    venue: RunningExchange, client: HttpClient
) -> None:
    async with busy(venue) as batcher:
        await send(client, bid("90", "0.01", clientId=1))
        await turns(20)
        stopping = asyncio.ensure_future(venue.server.stop(drain_s=5))
        await turns()
        venue.exchange.release()
        assert (await batcher.reply()).status == 200
        assert (await client.reply()).status == 503
        await stopping
    assert len(venue.exchange.open_orders(ALICE)) == PLACES_MAX


@pytest.mark.parametrize("method", ["POST", "GET"])
@with_exchange()
async def test_what_needs_no_command_takes_places_too(
    venue: RunningExchange, _client: HttpClient, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Batches that are refused, and reads: only so many of them are begun in a turn of the loop."""
    loop = asyncio.get_running_loop()
    turn, begun = 0, Counter[int]()

    def tick() -> None:
        nonlocal turn
        turn += 1
        loop.call_soon(tick)

    read_query = requests.read_query

    def counting(query: bytes) -> Any:
        begun[turn] += 1
        return read_query(query)

    monkeypatch.setattr(requests, "read_query", counting)
    batch = [bid("x", clientId="y" * 36)] * PLACES_MAX
    clients = [await venue.connect() for _ in range(3 * PLACES_MAX if method == "GET" else 20)]
    sent = request_bytes(method, ORDERS, batch if method == "POST" else None)
    tick()
    for client in clients:
        client.writer.write(sent)
    for client in clients:
        assert (await client.reply()).status == 200
    assert max(begun.values()) <= (PLACES_MAX if method == "GET" else 2)


@with_exchange()
async def test_refused_requests_leave_no_cyclic_garbage(
    venue: RunningExchange, client: HttpClient
) -> None:
    """They would take memory until a full collection, which is rare."""
    signature = signed("orderExecute", "clientId=7&orderType=Limit&price=90&quantity=0.01&side=Bid"
                       "&symbol=SOL_USDC", at_ms=venue.now_ms)  # fmt: skip
    once = request_bytes("POST", ORDERS, [bid("90", "0.01", clientId=7)], token=None,
                         headers=signature)  # fmt: skip
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(3):
            assert (await client.ask("POST", ORDER, bid("x"), token=ALICE_TOKEN)).status == 400
            batch = [bid("x"), bid("90", "0.01"), {}]
            assert (await client.ask("POST", ORDERS, batch, token=ALICE_TOKEN)).status == 200
            await client.send(once)
            assert (await client.reply()).status == 200
        gc.collect()
        assert [each for each in gc.garbage if isinstance(each, Request)] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


@with_caller()
async def test_requests_of_a_busy_account_wait_over_websocket(
    venue: RunningExchange, alice: MemoryCaller
) -> None:
    """They are executed in their order, few in a turn of the loop; others do not wait for them."""
    bob = caller(venue, BOB_TOKEN)
    venue.exchange.held = []
    sent = [alice.send("order.place", bid("90", "0.01", clientId=n)) for n in range(200)]
    bob.send("order.place", bid("90", "0.01"))
    await turns()
    assert submitted(venue) == PLACES_MAX + 1
    assert alice.is_held
    venue.exchange.release()
    await bob.answers(1)
    venue.exchange.held = []
    await turns(2)
    assert submitted(venue) <= PLACES_MAX + REQUESTS_A_TURN
    while submitted(venue):
        venue.exchange.release()
        venue.exchange.held = []
        await turns()
    venue.exchange.release()
    answers = await alice.answers(len(sent))
    assert [answer["id"] for answer in answers] == [int(request_id) for request_id in sent]
    assert {answer["status"] for answer in answers} == {200}
    await until(lambda: not alice.is_held)
    await alice.place(bid("90", "0.01"))


@with_caller()
async def test_messages_beyond_the_bound_are_refused(
    venue: RunningExchange, alice: MemoryCaller
) -> None:
    """Those before them are executed, and those of other connections have no room either."""
    other = caller(venue)
    venue.exchange.held = []
    for number in range(PLACES_MAX + 1):
        alice.send("order.place", bid("90", "0.01", clientId=number))
    kept = 0
    while not alice.told:
        alice.send("order.status", SYMBOL | {"clientId": "x" * 4000})
        kept += 4000
    assert HELD_BYTES_MAX * 0.95 < kept < HELD_BYTES_MAX
    (refused,) = await alice.answers(1)
    assert refused["status"] == 429
    other.send("order.place", bid("90", "0.01"))  # Its first waits, parsed.
    other.send("order.status", SYMBOL | {"clientId": "x" * 4000})
    assert (await other.answers(1))[0]["status"] == 429
    venue.exchange.release()
    assert (await other.answers(1))[0]["status"] == 200
    answers = await alice.answers(PLACES_MAX + 1 + kept // 4000 - 1)
    assert [answer["status"] for answer in answers[: PLACES_MAX + 1]] == [200] * (PLACES_MAX + 1)


@with_caller()
async def test_what_waits_on_a_connection_that_ends_is_dropped(
    venue: RunningExchange, alice: MemoryCaller
) -> None:
    venue.exchange.held = []
    for number in range(PLACES_MAX + 20):
        alice.send("order.place", bid("90", "0.01", clientId=number))
    alice.end()
    venue.exchange.release()
    await turns(10)
    assert len(venue.exchange.open_orders(ALICE)) == PLACES_MAX
    again = caller(venue)
    await again.place(bid("90", "0.01"))


@with_caller(NO_LIMITS._replace(account_per_minute=1, account_burst=5))
async def test_a_connection_pauses_after_a_429_over_websocket(
    venue: RunningExchange, alice: MemoryCaller
) -> None:
    """What it sent meanwhile is kept, and refused too, one in each pause; others do not wait."""
    loop = asyncio.get_running_loop()
    bob = caller(venue, BOB_TOKEN)
    begun_s = loop.time()
    for number in range(8):
        alice.send("order.status", SYMBOL | {"clientId": number})
    answers = await alice.answers(6)
    assert sorted(answer["status"] for answer in answers) == [404] * 5 + [429]
    assert alice.is_held
    await bob.place(bid("90", "0.01"))
    assert [answer["status"] for answer in await alice.answers(2)] == [429, 429]
    assert loop.time() - begun_s >= 2 * REFUSED_PAUSE_S * 0.9
    alice.end()


@pytest.mark.parametrize("method", ["order.place", "order.status", "order.cancelOnDisconnect"])
@with_caller()
async def test_what_needs_no_command_takes_places_over_websocket_too(
    venue: RunningExchange, alice: MemoryCaller, method: str
) -> None:
    """Refused orders, reads and settings: the rest is handled in later turns of the loop."""
    for _ in range(PLACES_MAX + 1):
        alice.send(method, {"symbol": "none", "enabled": True})
    assert alice.is_held
    await turns(2)
    assert len(alice.told) >= PLACES_MAX
    assert len(await alice.answers(PLACES_MAX + 1)) == PLACES_MAX + 1
    await until(lambda: not alice.is_held)


@with_caller()
async def test_a_connection_that_is_not_logged_in_pauses_after_each_request(
    venue: RunningExchange, alice: MemoryCaller
) -> None:
    stranger = caller(venue, None)
    begun_s = asyncio.get_running_loop().time()
    for _ in range(3):
        stranger.send("order.place", bid())
    assert len(stranger.told) == 1
    await alice.place(bid("90", "0.01"))
    assert [answer["status"] for answer in await stranger.answers(3)] == [401] * 3
    assert asyncio.get_running_loop().time() - begun_s >= 2 * REFUSED_PAUSE_S * 0.9
