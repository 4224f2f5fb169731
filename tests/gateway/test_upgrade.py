"""Upgrade requests: ignored unless granted. `curl --http2` and Java's client send them."""

import asyncio

import pytest

from fairbook.gateway.request import Request
from tests.world.http_client import HttpClient, bid, request_bytes
from tests.world.memory_accounts import ALICE
from tests.world.running_exchange import RunningExchange, play, with_exchange

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


class Echo(asyncio.Protocol):
    """Another protocol on the same connection."""

    def __init__(self, transport: asyncio.Transport, received: bytes) -> None:
        self.transport = transport
        self.is_lost = asyncio.Event()
        transport.set_protocol(self)
        transport.write(b"echo:" + received)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        self.is_lost.set()


@with_exchange()
async def test_a_granted_upgrade_hands_over_the_transport(
    venue: RunningExchange, client: HttpClient
) -> None:
    """With the bytes after the head. The HTTP server then no longer counts the connection."""
    granted: list[Echo] = []

    def upgrade(request: Request, transport: asyncio.Transport, received: bytes) -> bool:
        if request.path != b"/ws" or request.headers[b"upgrade"] != b"websocket":
            return False
        granted.append(Echo(transport, received))
        return True

    state = venue.server.state
    state.upgrade = upgrade
    assert (await client.ask("GET", "/api/v1/ping", headers=WEBSOCKET)).body == b"pong"
    assert not granted
    order = request_bytes("POST", "/api/v1/order", bid("90", "0.1"))
    header = request_bytes("GET", "/ws", headers=WEBSOCKET)
    await client.send(order + header)  # Not while a response is missing.
    assert (await client.reply()).json()["status"] == "New"
    assert (await client.reply()).error()[0] == 404
    await client.send(header + b"first")
    assert await client.reader.readexactly(10) == b"echo:first"
    await client.send(b"\x00GET / HTTP/1.1\r\n\r\n")
    assert await client.reader.readexactly(19) == b"\x00GET / HTTP/1.1\r\n\r\n"
    assert not state.connections and not state.admitted.open_of
    client.writer.close()
    await granted[0].is_lost.wait()
