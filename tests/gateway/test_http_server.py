"""HTTP on real sockets: limits, malformed requests, long answers, graceful stop."""

import asyncio
import gzip
import random
import socket
from collections.abc import AsyncIterator

import pytest

from fairbook.gateway.request import Endpoint, Reply, Request, always
from fairbook.gateway.server_state import ServerLimits
from tests.world.http_client import HttpClient, bid, request_bytes
from tests.world.memory_accounts import ALICE, ALICE_TOKEN
from tests.world.running_exchange import NO_LIMITS, RunningExchange, play, with_exchange
from tests.world.waiting import until

HEAD = b"Host: x\r\nAuthorization: Bearer alice-token\r\nContent-Type: application/json\r\n"
POST = b"POST /api/v1/order HTTP/1.1\r\n" + HEAD
ORDER = b'{"symbol":"SOL_USDC","side":"Bid","orderType":"Limit","price":"90","quantity":"0.1"}'
MALFORMED = (400, "INVALID_CLIENT_REQUEST", "Malformed HTTP request")

BROKEN = {
    "no HTTP": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "unknown method": b"FETCH / HTTP/1.1\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "HTTP/3.0": b"GET / HTTP/3.0\r\n\r\n",
    "length and chunked": b"POST /api/v1/order HTTP/1.1\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": b"POST /api/v1/order HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /api/v1/order HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "negative length": b"POST /api/v1/order HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    "length no number": b"POST /api/v1/order HTTP/1.1\r\nContent-Length: 5x\r\n\r\n",
    "huge length": b"POST /api/v1/order HTTP/1.1\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n",
    "xchunked": b"POST /api/v1/order HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "chunk end": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n",
    "LF only": b"GET /api/v1/ping HTTP/1.1\nHost: x\n\n",
    "space before colon": b"GET /api/v1/ping HTTP/1.1\r\nHost : x\r\n\r\n",
    "folded header": b"GET /api/v1/ping HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
    "NUL in header": b"GET /api/v1/ping HTTP/1.1\r\nHost: x\0y\r\n\r\n",
    "101 headers": b"GET /api/v1/ping HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n",
    "long path": b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n",
    "path beyond ASCII": b"GET /\xff HTTP/1.1\r\n\r\n",
    "CONNECT": b"CONNECT example.org:443 HTTP/1.1\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("data", BROKEN.values(), ids=list(BROKEN))
@with_exchange()
async def test_malformed_http_is_answered_with_400_and_closed(
    venue: RunningExchange, client: HttpClient, data: bytes
) -> None:
    await client.send(data)
    reply = await client.reply()
    assert reply.error() == MALFORMED
    assert reply.headers["connection"] == "close"
    assert await client.is_closed()
    assert venue.exchange.open_orders(ALICE) == []
    other = await venue.connect()
    assert (await other.ask("GET", "/api/v1/ping")).status == 200


@with_exchange()
async def test_an_order_is_answered_before_the_garbage_after_it_ends_the_connection(
    venue: RunningExchange, client: HttpClient
) -> None:
    venue.exchange.held = []
    await client.send(request_bytes("POST", "/api/v1/order", bid()) + b"\x00garbage\r\n\r\n")
    await venue.exchange.submitted.wait()
    venue.exchange.release()
    assert (await client.reply()).json()["status"] == "New"
    assert await client.is_closed()


@pytest.mark.parametrize("url", [b"http://x", b"http://x:99999/", b"http://[::1", b"x:443"])
@with_exchange()
async def test_an_order_is_answered_before_a_bad_url_after_it_ends_the_connection(
    venue: RunningExchange, client: HttpClient, url: bytes
) -> None:
    """A bad URL is detected when the head is complete, later than other garbage."""
    venue.exchange.held = []
    order = request_bytes("POST", "/api/v1/order", bid("90", "0.1"))
    bad = (b"CONNECT " if url == b"x:443" else b"GET ") + url + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    await client.send(order * 2 + bad)
    await venue.exchange.submitted.wait()
    venue.exchange.release()
    for _ in range(2):
        assert (await client.reply()).json()["status"] == "New"
    assert await client.reader.read() == b""


@with_exchange()
async def test_a_malformed_second_request_is_dropped_and_the_first_answered(
    venue: RunningExchange, client: HttpClient
) -> None:
    """The body of the second is malformed while the first is being answered."""
    venue.exchange.held = []
    broken = POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"
    await client.send(request_bytes("POST", "/api/v1/order", bid()) + broken)
    await venue.exchange.submitted.wait()
    venue.exchange.release()
    assert (await client.reply()).json()["status"] == "New"
    assert await client.is_closed()
    assert len(venue.exchange.open_orders(ALICE)) == 1


def test_bodies_are_bounded() -> None:
    """By Content-Length, and by the received bytes."""

    async def story(venue: RunningExchange, client: HttpClient) -> None:
        at_limit = ORDER[:-1] + b',"x":"' + b"x" * (16 * 1024 - len(ORDER) - 7) + b'"}'
        assert len(at_limit) == 16 * 1024
        assert (
            await client.ask("POST", "/api/v1/order", at_limit, token=ALICE_TOKEN)
        ).status == 200
        reply = await client.ask("POST", "/api/v1/order", at_limit + b" ", token=ALICE_TOKEN)
        assert reply.error() == (413, "INVALID_CLIENT_REQUEST", "Body exceeds 16384 bytes")
        assert await client.is_closed()
        for more in (
            b"Content-Length: 1000000000\r\n\r\n",
            b"Transfer-Encoding: chunked\r\n\r\n1000\r\n" + b"x" * 0x1000 + b"\r\n"
            b"3001\r\n" + b"x" * 0x3001 + b"\r\n",
        ):  # fmt: skip
            client = await venue.connect()
            await client.send(POST + more)
            assert (await client.reply()).error()[0] == 413
            assert await client.is_closed()
        assert len(venue.exchange.open_orders(ALICE)) == 1

    play(story)


@pytest.mark.parametrize(
    "path", [b"/api/v1/order", b"//api/v1/order"], ids=["plain path", "doubled slash"]
)
def test_a_refused_body_is_read_to_its_end(path: bytes) -> None:
    """A client can send all of the body, and read the 413 and then the end, not a reset. Requests
    after it are not executed. The same holds after "Connection: close".
    """
    head = b"POST " + path + b" HTTP/1.1\r\n" + HEAD
    ping = b"GET /api/v1/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"

    async def story(venue: RunningExchange, _client: HttpClient) -> None:
        for data, status in (
            (head + b"Content-Length: 3000000\r\n\r\n" + b"x" * 3_000_000, 413),
            (head + b"Content-Length: 20000\r\n\r\n" + b"x" * 20_000 + POST * 10_000, 413),
            (head + b"Transfer-Encoding: chunked\r\n\r\n" + b"1000\r\n%4096d\r\n" % 1 * 700, 413),
            (ping + b"Content-Length: 3000000\r\n\r\n" + b"x" * 3_000_000, 200),
            (ping + b"\r\n" + POST * 10_000, 200),
        ):
            client = await venue.connect()
            await client.send(data)
            await asyncio.sleep(0.05)
            assert (await client.reply()).status == status
            assert await client.reader.read() == b""
        assert venue.exchange.open_orders(ALICE) == []

    play(story)


@pytest.mark.parametrize("path", [b"/api/v1/order", b"//api/v1/order", b"/nowhere"])
@with_exchange()
async def test_a_trailer_is_bounded(
    venue: RunningExchange, client: HttpClient, path: bytes
) -> None:
    """A client that sends an endless trailer is disconnected, whatever it asks for."""
    head = b"POST " + path + b" HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    await client.send(head + b"0\r\nX: ")
    sent = 0
    try:
        while sent < 8 << 20 and not client.writer.is_closing():
            await client.send(b"x" * 65536)
            sent += 65536
    except ConnectionError:
        pass
    assert await asyncio.wait_for(client.is_closed(), 5)
    assert venue.exchange.open_orders(ALICE) == []
    other = await venue.connect()
    assert (await other.ask("GET", "/api/v1/ping")).status == 200


def test_chunked_bodies_and_expect_continue() -> None:
    async def story(venue: RunningExchange, client: HttpClient) -> None:
        await client.send(
            POST + b"Transfer-Encoding: chunked\r\n\r\n"
            b"10\r\n" + ORDER[:16] + b"\r\n" + b"%x\r\n" % len(ORDER[16:]) + ORDER[16:] + b"\r\n"
            b"0\r\nAuthorization: Bearer bob-token\r\n\r\n"
        )
        assert (await client.reply()).json()["status"] == "New"
        assert len(venue.exchange.open_orders(ALICE)) == 1  # a trailer changes nothing
        await client.send(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(ORDER))
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(ORDER)
        assert (await client.reply()).json()["status"] == "New"

    play(story)


@with_exchange()
async def test_content_types_and_encodings(venue: RunningExchange, client: HttpClient) -> None:
    accepted = (
        "application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8",
        'application/json; charset="utf-8"',
    )  # fmt: skip
    for kind in accepted:
        reply = await client.ask(
            "POST", "/api/v1/order", ORDER, token=ALICE_TOKEN, headers={"Content-Type": kind}
        )
        assert reply.status == 200
    refused: list[tuple[bytes, dict[str, str]]] = [
        (ORDER, {"Content-Type": "text/plain"}),
        (ORDER, {"Content-Type": "application/x-www-form-urlencoded"}),
        (ORDER, {"Content-Type": "application/json; charset=utf-16"}),
        (ORDER, {"Content-Type": "multipart/form-data; boundary=x"}),
        (gzip.compress(ORDER), {"Content-Encoding": "gzip"}),
        (gzip.compress(b" " * 10**7), {"Content-Encoding": "gzip"}),
    ]
    for body, headers in refused:
        client = await venue.connect()
        reply = await client.ask("POST", "/api/v1/order", body, token=ALICE_TOKEN, headers=headers)
        assert reply.error()[:2] == (415, "INVALID_CLIENT_REQUEST")
        assert await client.is_closed()
    client = await venue.connect()
    for body in (b"", b"\xef\xbb\xbf" + ORDER, ORDER.decode().encode("utf-16")):
        reply = await client.ask("POST", "/api/v1/order", body, token=ALICE_TOKEN)
        assert reply.error()[:2] == (400, "INVALID_CLIENT_REQUEST")
    assert len(venue.exchange.open_orders(ALICE)) == len(accepted)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/api/v1/nope", 404),
        ("GET", "/api/v1/ping/", 404),
        ("GET", "/API/V1/PING", 404),
        ("GET", "/api/v1/%70ing", 404),
        ("GET", "/api/v1/ping;x", 404),
        ("GET", "/api/v1/x/../ping", 404),
        ("GET", "/api/v1/%2e%2e/v1/ping", 404),
        ("GET", "/api/v1/..%2fadmin", 404),
        ("POST", "/admin/v1/credit", 404),
        ("POST", "//admin/v1/credit", 404),
        ("GET", "/api//v1/../../admin/v1/x", 404),
        ("POST", "/api/v1/ping", 405),
        ("PUT", "/api/v1/order", 405),
        ("HEAD", "/api/v1/pin", 404),
        ("OPTIONS", "/api/v1/order", 405),
        ("TRACE", "/api/v1/order", 405),
        ("POST", "/api/v1/markets/SOL_USDC", 405),
        ("GET", "/api/v1/ping#x", 200),
        ("GET", "//api///v1//ping", 200),
        ("GET", "http://other.example/api/v1/ping", 200),
    ],
)
@with_exchange()
async def test_paths(
    venue: RunningExchange, client: HttpClient, method: str, path: str, status: int
) -> None:
    """Paths match byte for byte, except doubled slashes; no path reaches an admin route."""
    await client.send(request_bytes(method, path, headers={"X-HTTP-Method-Override": "DELETE"}))
    if method == "HEAD":
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404 ")
        return
    reply = await client.reply()
    assert reply.status == status, reply.body
    if status == 404:
        assert reply.error() == (404, "RESOURCE_NOT_FOUND", "Not Found")
    elif status == 405:
        assert reply.error() == (405, "INVALID_CLIENT_REQUEST", "Method Not Allowed")
        assert method not in reply.headers["allow"].upper().split(", ")


@with_exchange()
async def test_answers_are_not_delayed_by_nagle(venue: RunningExchange, client: HttpClient) -> None:
    """TCP_NODELAY is set."""
    await client.ask("GET", "/api/v1/ping")
    (connection,) = venue.server.state.connections
    sock = connection.transport.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def numbered_pieces(sent: list[int]) -> AsyncIterator[bytes]:
    for number in range(200):
        sent.append(number)
        yield b"%d," % number * 10_000


def test_a_long_answer_is_sent_in_pieces() -> None:
    """Chunked, as fast as the client reads, in the order of requests; HTTP/1.0 gets no chunks."""
    body = b"".join(b"%d," % number * 10_000 for number in range(200))

    async def story(venue: RunningExchange, client: HttpClient) -> None:
        sent: list[int] = []

        def long(_request: Request) -> Reply:
            return Reply(b"", pieces=numbered_pieces(sent))

        venue.gateway.routes.endpoints[b"GET", b"/long"] = Endpoint(long)
        venue.gateway.routes.endpoints[b"OPTIONS", b"/long"] = Endpoint(always(Reply(b"", 204)))
        slow = await venue.connect(receive_bytes=4096)
        get, ping = request_bytes("GET", "/long"), request_bytes("GET", "/api/v1/ping")
        await slow.send(get + ping)
        head = await slow.reader.readuntil(b"\r\n\r\n")
        assert b"transfer-encoding: chunked\r\n" in head and b"content-length" not in head
        connections = venue.server.state.connections
        await until(lambda: any(connection._drained for connection in connections))  # type: ignore[attr-defined]
        assert 0 < len(sent) < 200
        received = b""
        while size := int(await slow.reader.readuntil(b"\r\n"), 16):
            received += await slow.reader.readexactly(size)
            await slow.reader.readexactly(2)
        await slow.reader.readexactly(2)
        assert received == body
        assert (await slow.reply()).body == b"pong"
        await client.send(get.replace(b"HTTP/1.1", b"HTTP/1.0") + ping)
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert b"connection: close\r\n" in head and b"transfer-encoding" not in head
        assert await client.reader.read() == body
        client = await venue.connect()
        await client.send(get.replace(b"GET", b"OPTIONS") + ping)
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 204 No Content\r\n")
        assert (await client.reply()).body == b"pong"

    play(story)


@with_exchange()
async def test_a_long_answer_ends_when_its_client_leaves(
    venue: RunningExchange, client: HttpClient
) -> None:
    sent: list[int] = []
    venue.gateway.routes.endpoints[b"GET", b"/long"] = Endpoint(
        lambda _request: Reply(b"", pieces=numbered_pieces(sent))
    )
    leaving = await venue.connect(receive_bytes=4096)
    await leaving.send(request_bytes("GET", "/long"))
    await leaving.reader.readuntil(b"\r\n\r\n")
    leaving.writer.transport.abort()
    await until(lambda: not venue.server.state.tasks)
    assert len(sent) < 200
    assert (await client.ask("GET", "/api/v1/ping")).status == 200


@with_exchange()
async def test_a_long_answer_ends_when_the_body_of_its_request_is_malformed(
    venue: RunningExchange, client: HttpClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Without its last chunk, and without a log line, as it is the client's error."""
    sent: list[int] = []
    venue.gateway.routes.endpoints[b"GET", b"/long"] = Endpoint(
        lambda _request: Reply(b"", pieces=numbered_pieces(sent))
    )
    slow = await venue.connect(receive_bytes=4096)
    await slow.send(request_bytes("GET", "/long", headers={"Transfer-Encoding": "chunked"}))
    await slow.reader.readuntil(b"\r\n\r\n")
    await slow.send(b"malformed\r\n")
    assert not (await slow.reader.read()).endswith(b"0\r\n\r\n")
    await until(lambda: not venue.server.state.tasks)
    assert len(sent) < 200 and not caplog.records
    assert (await client.ask("GET", "/api/v1/ping")).status == 200


@with_exchange()
async def test_pipelined_requests_are_bounded(venue: RunningExchange, client: HttpClient) -> None:
    """Accepted requests are answered in order; then the connection ends."""
    await client.send(
        b"".join(request_bytes("POST", "/api/v1/order", bid("x", str(i))) for i in range(2000))
    )
    answers = (await client.reader.read(1 << 22)).split(b"HTTP/1.1 400 ")
    while more := await client.reader.read(1 << 22):
        answers += more.split(b"HTTP/1.1 400 ")[1:]
    assert 200 < len(answers) < 2000


def test_connections_are_bounded() -> None:
    """Connections over the limit get 503, the others stay; closed ones make room."""

    async def story(venue: RunningExchange, client: HttpClient) -> None:
        assert (await client.ask("GET", "/api/v1/ping")).status == 200
        second = await venue.connect()
        assert (await second.ask("GET", "/api/v1/ping")).status == 200
        over = await venue.connect()
        assert (await over.reply()).error()[:2] == (503, "TRADING_PAUSED")
        assert await over.is_closed()
        second.writer.transport.abort()
        await asyncio.sleep(0.05)
        third = await venue.connect()
        assert (await third.ask("GET", "/api/v1/ping")).status == 200
        assert (await client.ask("GET", "/api/v1/ping")).status == 200

    play(story, NO_LIMITS, ServerLimits(connections_per_address_max=2))
    play(story, NO_LIMITS, ServerLimits(connections_max=2))


def test_mutated_requests_cause_no_server_error() -> None:
    """A thousand mutations of an order, by seed: an answer below 500, or the end."""
    chance = random.Random(20240601)

    async def story(venue: RunningExchange, client: HttpClient) -> None:
        whole = request_bytes("POST", "/api/v1/order", bid("90", "0.01"))
        for _ in range(1000):
            data = bytearray(whole)
            for _ in range(chance.randrange(1, 4)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            client = await venue.connect()
            await client.send(bytes(data))
            client.writer.write_eof()
            answer = await client.reader.read()
            for part in answer.split(b"HTTP/1.1 ")[1:]:
                status = int(part[:3])
                assert status < 500 or status == 501, part
            client.writer.close()

    play(story)


@with_exchange()
async def test_every_answer_has_an_id_and_an_order_its_position(
    venue: RunningExchange, client: HttpClient
) -> None:
    """The id is ours, also if the client sends one; a rejected order has a position too."""
    sent = {"X-Request-Id": "mine"}
    seen = set()
    for method, path, body, has_position in (
        ("GET", "/api/v1/time", None, False),
        ("GET", "/api/v1/markets", None, False),
        ("GET", "/none", None, False),
        ("POST", "/api/v1/order", ORDER, True),
        ("POST", "/api/v1/order", ORDER.replace(b'"quantity":"', b'"quantity":"999999999'), True),
        ("POST", "/api/v1/order", b"{}", False),
    ):
        reply = await client.ask(method, path, body, token=ALICE_TOKEN, headers=sent)
        seen.add(reply.headers["x-request-id"])
        position = reply.headers.get("x-fairbook-position")
        assert position == (str(venue.exchange.position) if has_position else None), path
    assert len(seen) == 6 and "mine" not in seen
    assert len({each.partition("-")[0] for each in seen}) == 1
