"""Upgrade requests: ignored unless granted. `curl --http2` and Java's client send them."""

import asyncio
import json
from typing import Any

import pytest

from tests.world.http_client import HttpClient, bid, request_bytes
from tests.world.memory_accounts import ALICE, ALICE_TOKEN
from tests.world.running_exchange import RunningExchange, play, with_exchange
from tests.world.waiting import until
from tests.world.ws_frames import head, says

ORDER = b'{"symbol":"SOL_USDC","side":"Bid","orderType":"Limit","price":"90","quantity":"0.1"}'
H2C = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABk"}
WEBSOCKET = {"Connection": "keep-alive, Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "x"}


@pytest.mark.parametrize("header", [H2C, WEBSOCKET], ids=["h2c", "websocket"])
@pytest.mark.parametrize(
    "path", ["/api/v1/order", "//api/v1/order"], ids=["plain path", "doubled slash"]
)
@with_exchange()
async def test_an_upgrade_header_is_ignored(
    venue: RunningExchange, client: HttpClient, path: str, header: dict[str, str]
) -> None:
    """The request is answered as if it had none: it keeps its body, in whatever pieces that
    arrives, and requests pipelined after it are answered too.
    """
    order = request_bytes("POST", path, bid("90", "0.1"), headers=header)
    split = order.index(b"\r\n\r\n") + 4
    for pieces in (
        [order],
        [order[:split], order[split:]],
        [order[: split - 2], order[split - 2 : split + 5], order[split + 5 :]],
        [order[i : i + 1] for i in range(len(order))],
        [order + order, order + order[:-1], order[-1:] + order],
    ):
        for piece in pieces:
            await client.send(piece)
            await asyncio.sleep(0)
        for _ in range(b"".join(pieces).count(b"POST")):
            assert (await client.reply()).json()["status"] == "New"
    await client.send(
        request_bytes("GET", "/api/v1/ping", headers=header)
        + request_bytes("POST", path, b"", headers={**header, "Content-Length": "0"})
        + request_bytes("GET", "/api/v1/ping")
    )
    assert (await client.reply()).body == b"pong"
    assert (await client.reply()).error()[2] == "Body is not valid JSON"
    assert (await client.reply()).body == b"pong"
    assert len(venue.exchange.open_orders(ALICE)) == 9


def test_an_upgrade_header_changes_no_limit() -> None:
    """Chunks, a malformed body, an oversized body, pipelining."""
    head = b"POST /api/v1/order HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice-token\r\n"
    head += b"Connection: upgrade\r\nUpgrade: h2c\r\n"
    chunked = b"Transfer-Encoding: chunked\r\n\r\n"

    async def story(venue: RunningExchange, client: HttpClient) -> None:
        venue.exchange.held = []
        whole = head + chunked + b"%x\r\n%s\r\n0\r\n\r\n" % (len(ORDER), ORDER)
        await client.send(whole * 2 + request_bytes("GET", "/api/v1/ping"))
        await venue.exchange.submitted.wait()
        venue.exchange.release()
        for _ in range(2):
            assert (await client.reply()).json()["status"] == "New"
        assert (await client.reply()).body == b"pong"
        for data, status in (
            (head + chunked + b"zz\r\n", 400),
            (head + b"Content-Length: 5\r\n" + chunked, 400),
            (head + b"Content-Length: 20000\r\n\r\n" + b"x" * 20000, 413),
            (head + b"Content-Length: 999999\r\n\r\n" + b"x", 413),
            (b"CONNECT example.org:443 HTTP/1.1\r\nUpgrade: h2c\r\n\r\n", 400),
        ):
            client = await venue.connect()
            await client.send(data)
            assert (await client.reply()).error()[:2] == (status, "INVALID_CLIENT_REQUEST")
            assert await client.is_closed()
        many = await venue.connect()
        await many.send((head + b"Content-Length: 2\r\n\r\n{}") * 1000)
        assert 200 < (await many.reader.read()).count(b"HTTP/1.1 400 ") < 1000
        assert len(venue.exchange.open_orders(ALICE)) == 2

    play(story)


async def json_frame(client: HttpClient) -> Any:
    """The next message of the server, which is short enough for a head of two or four bytes."""
    first, size = await client.reader.readexactly(2)
    assert first == 0x81
    if size == 126:
        size = int.from_bytes(await client.reader.readexactly(2), "big")
    return json.loads(await client.reader.readexactly(size))


@pytest.mark.parametrize("path", ["/ws", "//ws", "/ws?client=x"])
@pytest.mark.parametrize("is_whole", [True, False], ids=["at once", "byte by byte"])
def test_a_websocket_is_opened_on_the_http_port(path: str, *, is_whole: bool) -> None:
    """After requests whose answers are sent, with frames right behind the head. The HTTP server
    then no longer counts the connection, but the streams do.
    """

    async def story(venue: RunningExchange, client: HttpClient) -> None:
        assert (await client.ask("GET", "/api/v1/ping", headers=WEBSOCKET)).body == b"pong"
        login = says(id=1, method="LOGIN", params={"token": ALICE_TOKEN})
        order = says(id=2, method="order.place", params=bid("90", "0.1"))
        data = head(path) + login + order
        for piece in [data] if is_whole else [data[i : i + 1] for i in range(len(data))]:
            await client.send(piece)
            if not is_whole:
                await asyncio.sleep(0)
        opened = await client.reader.readuntil(b"\r\n\r\n")
        assert opened.startswith(b"HTTP/1.1 101 ")
        assert await json_frame(client) == {"id": 1, "result": None}
        assert (await json_frame(client))["result"]["status"] == "New"
        state = venue.server.state
        assert not state.connections and not state.admitted.open_of
        assert venue.streams.admitted.open == 1
        client.writer.close()
        await until(lambda: not venue.streams.admitted.open)

    play(story, streams=True)


def test_refused_handshakes_and_a_stop_on_the_http_port() -> None:
    """The rules of the streams' port; at a stop the WebSocket gets a Close frame."""

    async def story(venue: RunningExchange, client: HttpClient) -> None:
        await client.send(request_bytes("POST", "/api/v1/order", bid("90", "0.1")) + head("/ws"))
        assert (await client.reply()).json()["status"] == "New"
        assert (await client.reply()).status == 404  # Not while a response is missing.
        for data, status in (
            (head("/ws", Sec_WebSocket_Key="short"), 400),
            (head("/ws", Origin="https://evil.example"), 403),
            (head("/ws", Sec_WebSocket_Version="8"), 426),
            (head("/ws", Host=None), 400),
        ):
            refused = await venue.connect()
            await refused.send(data)
            assert (await refused.reply()).error()[0] == status
            assert await refused.is_closed()
        stopped = await venue.connect()
        await stopped.send(head("/ws"))
        assert b" 101 " in await stopped.reader.readuntil(b"\r\n\r\n")
        await venue.streams.stop(0.1)
        assert (await stopped.reader.read())[:1] == b"\x88"

    play(story, streams=True)
