"""Orders over the real WebSocket port: LOGIN, orders in flight, closing connections."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from fairbook.core import records
from fairbook.gateway.account_shares import PLACES_MAX
from tests.gateway.memory_caller import kinds
from tests.world.direct_exchange import START_NS
from tests.world.http_client import HttpClient, bid
from tests.world.memory_accounts import ALICE, ALICE_KEY, ALICE_TOKEN, BOB, BOB_TOKEN, READER_TOKEN
from tests.world.running_exchange import RunningExchange, with_exchange
from tests.world.waiting import until

SYMBOL = {"symbol": "SOL_USDC"}


@asynccontextmanager
async def connect(
    venue: RunningExchange, token: str | None = ALICE_TOKEN
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with aiohttp.ClientSession() as session, session.ws_connect(venue.ws_url) as socket:
        if token is not None:
            login = await ask(socket, 0, "LOGIN", {"token": token})
            assert login == {"id": 0, "result": None}
        yield socket


async def ask(
    socket: aiohttp.ClientWebSocketResponse, number: int, method: str, params: Any = None
) -> dict[str, Any]:
    await socket.send_str(json.dumps({"id": number, "method": method, "params": params}))
    answer: dict[str, Any] = json.loads(await socket.receive_str())
    return answer


@with_exchange(streams=True)
async def test_orders_after_a_login(venue: RunningExchange, _client: HttpClient) -> None:
    """With a token; request ids of any kind are returned unchanged."""
    async with connect(venue) as socket:
        placed = await ask(socket, 1, "order.place", bid("99", clientId=7))
        assert (placed["id"], placed["status"]) == (1, 200)
        order = placed["result"]
        status = await ask(socket, 2, "order.status", SYMBOL | {"clientId": 7})
        assert status == {"id": 2, "status": 200, "result": order}
        refused = await ask(socket, 3, "order.place", bid("99.999"))
        assert refused["error"]["message"].startswith("Price decimal too long")
        await socket.send_str('{"method":"order.cancelAll","id":"x-1","params":{}}')
        assert json.loads(await socket.receive_str())["id"] == "x-1"
        unknown = await ask(socket, 4, "order.fill", {})
        assert unknown == {"id": 4, "error": {"code": 4001, "message": "Unknown method"}}


@with_exchange(streams=True)
async def test_a_login_by_signature(venue: RunningExchange, _client: HttpClient) -> None:
    at = str(START_NS // 1_000_000)
    text = f"instruction=login&timestamp={at}&window=5000"
    signature = b64encode(ALICE_KEY.sign(text.encode()).signature).decode()
    key = b64encode(bytes(ALICE_KEY.verify_key)).decode()
    async with connect(venue, None) as socket:
        before = await ask(socket, 1, "order.place", bid())
        assert (before["status"], before["error"]["code"]) == (401, "UNAUTHORIZED")
        for proof, code in (
            ([key, signature, str(int(at) - 6000), "5000"], 4003),
            ([key, signature, str(int(at) + 1), "5000"], 4002),
            ([key, signature, int(at), 5000], 0),
        ):
            frame = {"id": 2, "method": "LOGIN", "signature": proof}
            await socket.send_str(json.dumps(frame))
            answer = json.loads(await socket.receive_str())
            assert answer.get("error", {}).get("code", 0) == code
        assert (await ask(socket, 3, "order.place", bid()))["status"] == 200


@with_exchange(streams=True)
async def test_many_in_flight_are_answered_in_order(
    venue: RunningExchange, _client: HttpClient
) -> None:
    """Also those that had to wait for the others."""
    venue.exchange.held = []
    async with connect(venue) as socket:
        for number in range(300):
            frame = {"id": number, "method": "order.place", "params": bid(clientId=number)}
            await socket.send_str(json.dumps(frame))
        held = venue.exchange.held
        await until(lambda: len(held) == PLACES_MAX)
        venue.exchange.release()
        answers = [json.loads(await socket.receive_str()) for _ in range(300)]
    assert [answer["id"] for answer in answers] == list(range(300))
    assert {answer["status"] for answer in answers} >= {200}


@pytest.mark.parametrize("ending", ["close", "abort", "stop"])
@with_exchange(streams=True)
async def test_orders_are_cancelled_with_their_connection(
    venue: RunningExchange, _client: HttpClient, ending: str
) -> None:
    """Whether it closes, is lost, or the exchange stops; the setting is per connection."""
    exchange = venue.exchange
    async with connect(venue) as socket, connect(venue, BOB_TOKEN) as bob:
        kept = await ask(socket, 1, "order.place", bid("90"))
        assert (await ask(bob, 1, "order.place", bid("90")))["status"] == 200
        on = await ask(socket, 2, "order.cancelOnDisconnect", {"enabled": True})
        assert on == {"id": 2, "status": 200, "result": {"enabled": True}}
        for number in range(3, 6):
            assert (await ask(socket, number, "order.place", bid("91")))["status"] == 200
        assert len(exchange.open_orders(ALICE)) == 4
        commands = exchange.record_commands()
        if ending == "close":
            await socket.close()
        elif ending == "abort":
            transport = socket._writer.transport
            assert transport is not None
            transport.abort()
        else:
            await asyncio.gather(venue.streams.stop(0.0), socket.receive(), bob.receive())
        await until(lambda: len(commands) > 0)
        left = [str(order.order_id) for order in exchange.open_orders(ALICE)]
        assert left == [kept["result"]["id"]]
        assert len(exchange.open_orders(BOB)) == 1
        assert kinds(commands) == [records.END_SESSION]


@with_exchange(streams=True)
async def test_read_only_and_revoked_logins_cannot_trade(
    venue: RunningExchange, _client: HttpClient
) -> None:
    """On a connection that stays open."""
    async with connect(venue, READER_TOKEN) as reader, connect(venue) as alice:
        assert (await ask(reader, 1, "order.place", bid()))["status"] == 403
        del venue.accounts.tokens[ALICE_TOKEN]
        assert (await ask(alice, 1, "order.place", bid()))["status"] == 401
