"""Order entry through the real port: LOGIN, orders in flight, and connections that end."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from fairbook.core import records
from fairbook.streams.hub import Hub
from fairbook.streams.ports import Channel, Message, Publish, Stream
from fairbook.streams.server import StreamServer
from tests.gateway.memory_caller import commands_of, kinds
from tests.world.direct_exchange import ALICE, BOB, START_NS
from tests.world.running_exchange import (
    ALICE_KEY,
    ALICE_TOKEN,
    BOB_TOKEN,
    READER_TOKEN,
    HttpClient,
    RunningExchange,
    bid,
    play,
)

SYMBOL = {"symbol": "SOL_USDC"}


class NoStreams:
    """A source with nothing to say."""

    def attach(self, publish: Publish) -> None:
        pass

    def find(self, name: str) -> Stream | None:
        return None

    async def open(self, channel: Channel) -> None:
        raise AssertionError

    def close(self, channel: Channel) -> None:
        raise AssertionError

    def greet(self, channel: Channel) -> list[Message]:
        raise AssertionError

    def merge(self, channel: Channel, older: object, newer: object) -> object:
        raise AssertionError

    def encode(self, channel: Channel, content: object) -> bytes:
        raise AssertionError


class Floor:
    """Connections to a house over its WebSocket port."""

    def __init__(self, venue: RunningExchange, server: StreamServer, url: str) -> None:
        self.venue = venue
        self.server = server
        self.url = url

    @asynccontextmanager
    async def connect(
        self, token: str | None = ALICE_TOKEN
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        async with aiohttp.ClientSession() as session, session.ws_connect(self.url) as socket:
            if token is not None:
                login = await ask(socket, 0, "LOGIN", {"token": token})
                assert login == {"id": 0, "result": None}
            yield socket

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for the server to notice what a client did."""
        while not holds():  # noqa: ASYNC110  It is on the other side of a socket.
            await asyncio.sleep(0.002)


async def ask(
    socket: aiohttp.ClientWebSocketResponse, number: int, method: str, params: Any = None
) -> dict[str, Any]:
    await socket.send_str(json.dumps({"id": number, "method": method, "params": params}))
    answer: dict[str, Any] = json.loads(await socket.receive_str())
    return answer


def on_floor(story: Callable[[Floor], Awaitable[None]]) -> None:
    """Run a story against a fresh house with a WebSocket port."""

    async def scene(venue: RunningExchange, _client: HttpClient) -> None:
        gateway = venue.gateway
        hub = Hub(NoStreams(), authority=gateway.authority, requests=gateway.entry)
        server = StreamServer(hub)
        port = await server.start("127.0.0.1", 0)
        try:
            await story(Floor(venue, server, f"ws://127.0.0.1:{port}/"))
        finally:
            await server.stop(0.0)
        assert not hub.failed.done()

    play(scene)


def test_orders_after_a_login() -> None:
    """With a token; ids of any kind come back as they were."""

    async def story(floor: Floor) -> None:
        async with floor.connect() as socket:
            placed = await ask(socket, 1, "order.place", bid("99", clientId=7))
            assert (placed["id"], placed["status"]) == (1, 200)
            order = placed["result"]
            status = await ask(socket, 2, "order.status", SYMBOL | {"clientId": 7})
            assert status == {"id": 2, "status": 200, "result": order}
            refused = await ask(socket, 3, "order.place", bid("99.999"))
            assert refused["error"]["message"] == "Price decimal too long"
            await socket.send_str('{"method":"order.cancelAll","id":"x-1","params":{}}')
            assert json.loads(await socket.receive_str())["id"] == "x-1"
            unknown = await ask(socket, 4, "order.fill", {})
            assert unknown == {"id": 4, "error": {"code": 4001, "message": "Unknown method"}}

    on_floor(story)


def test_a_login_by_signature() -> None:
    async def story(floor: Floor) -> None:
        at = str(START_NS // 1_000_000)
        text = f"instruction=login&timestamp={at}&window=5000"
        signature = b64encode(ALICE_KEY.sign(text.encode()).signature).decode()
        key = b64encode(bytes(ALICE_KEY.verify_key)).decode()
        async with floor.connect(None) as socket:
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

    on_floor(story)


def test_many_in_flight_are_answered_in_order() -> None:
    async def story(floor: Floor) -> None:
        floor.venue.exchange.held = []
        async with floor.connect() as socket:
            for number in range(300):
                frame = {"id": number, "method": "order.place", "params": bid(clientId=number)}
                await socket.send_str(json.dumps(frame))
            held = floor.venue.exchange.held
            await floor.until(lambda: len(held) == 300)
            floor.venue.exchange.release()
            answers = [json.loads(await socket.receive_str()) for _ in range(300)]
        assert [answer["id"] for answer in answers] == list(range(300))
        assert {answer["status"] for answer in answers} >= {200}

    on_floor(story)


@pytest.mark.parametrize("ending", ["close", "abort", "stop"])
def test_orders_go_with_their_connection(ending: str) -> None:
    """Whether it says goodbye, vanishes, or the exchange stops; Bob's wish is not Alice's."""

    async def story(floor: Floor) -> None:
        exchange = floor.venue.exchange
        async with floor.connect() as socket, floor.connect(BOB_TOKEN) as bob:
            kept = await ask(socket, 1, "order.place", bid("90"))
            assert (await ask(bob, 1, "order.place", bid("90")))["status"] == 200
            on = await ask(socket, 2, "order.cancelOnDisconnect", {"enabled": True})
            assert on == {"id": 2, "status": 200, "result": {"enabled": True}}
            for number in range(3, 6):
                assert (await ask(socket, number, "order.place", bid("91")))["status"] == 200
            assert len(exchange.open_orders(ALICE)) == 4
            commands = commands_of(exchange)
            if ending == "close":
                await socket.close()
            elif ending == "abort":
                transport = socket._writer.transport
                assert transport is not None
                transport.abort()
            else:
                await floor.server.stop(0.0)
            await floor.until(lambda: len(commands) > 0)
            left = [str(order.order_id) for order in exchange.open_orders(ALICE)]
            assert left == [kept["result"]["id"]]
            assert len(exchange.open_orders(BOB)) == 1
            assert kinds(commands) == [records.END_SESSION]

    on_floor(story)


def test_orders_are_asked_for_in_one_way_only() -> None:
    """Who may only read, and whose token has ended, does not trade over a connection it has."""

    async def story(floor: Floor) -> None:
        async with floor.connect(READER_TOKEN) as reader, floor.connect() as alice:
            assert (await ask(reader, 1, "order.place", bid()))["status"] == 403
            del floor.venue.accounts.tokens[ALICE_TOKEN]
            assert (await ask(alice, 1, "order.place", bid()))["status"] == 401

    on_floor(story)
