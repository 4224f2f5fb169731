"""The handshake, on real sockets: which requests are accepted and which refused."""

import asyncio
import json

import pytest

from fairbook.streams.ws_server import StreamLimits
from tests.streams.server_harness import StreamServerHarness, head, play, with_stream_server
from tests.world.waiting import until
from tests.world.ws_frames import frame

GOOD = {
    "at /": head(),
    "at /ws": head("/ws"),
    "with a query": head("/ws?client=x"),
    "with slashes": head("//ws"),
    "of Firefox": head(connection="keep-alive, Upgrade"),
    "in capitals": head(upgrade="WebSocket", connection="UPGRADE"),
    "of a page of this host": head(origin="https://fair.example"),
    "of a page of this machine": head(origin="http://localhost:8000"),
    "of a page that is listed": head(origin="https://friend.example"),
    "with an extension": head(sec_websocket_extensions="permessage-deflate"),
    "with Content-Length 0": head(content_length="0"),
}


@pytest.mark.parametrize("request_head", GOOD.values(), ids=list(GOOD))
@with_stream_server(StreamLimits(origins=("https://friend.example",)))
async def test_a_websocket_is_opened(harness: StreamServerHarness, request_head: bytes) -> None:
    client = await harness.dial()
    status, headers, _ = await client.ask(request_head)
    assert status == 101
    assert headers["sec-websocket-accept"] == "s3pplmbitxaq9kygzzhzrbk+xoo="
    assert "sec-websocket-extensions" not in headers
    client.say(id=1, method="SUBSCRIBE", params=[])
    assert await client.json() == {"id": 1, "result": None}


BAD: dict[str, tuple[int, str, bytes]] = {
    "another path": (404, "RESOURCE_NOT_FOUND", head("/stream")),
    "a path below": (404, "RESOURCE_NOT_FOUND", head("/ws/")),
    "no upgrade": (426, "INVALID_CLIENT_REQUEST", head(upgrade=None, connection=None)),
    "no Connection": (426, "INVALID_CLIENT_REQUEST", head(connection=None)),
    "another upgrade": (426, "INVALID_CLIENT_REQUEST", head(upgrade="h2c")),
    "POST": (426, "INVALID_CLIENT_REQUEST", head(method="POST")),
    "version 8": (426, "INVALID_CLIENT_REQUEST", head(sec_websocket_version="8")),
    "no version": (426, "INVALID_CLIENT_REQUEST", head(sec_websocket_version=None)),
    "no key": (400, "INVALID_CLIENT_REQUEST", head(sec_websocket_key=None)),
    "short key": (400, "INVALID_CLIENT_REQUEST", head(sec_websocket_key="AAAA")),
    "key no base64": (400, "INVALID_CLIENT_REQUEST", head(sec_websocket_key="!" * 24)),
    "a body": (400, "INVALID_CLIENT_REQUEST", head(content_length="5")),
    "a chunked body": (400, "INVALID_CLIENT_REQUEST", head(transfer_encoding="chunked")),
    "HTTP/1.0": (400, "INVALID_CLIENT_REQUEST", head(version="1.0")),
    "no HTTP": (400, "INVALID_CLIENT_REQUEST", b"hello\r\n\r\n"),
    "TLS": (400, "INVALID_CLIENT_REQUEST", b"\x16\x03\x01\x02\x00\x01\r\n\r\n"),
    "a NUL": (400, "INVALID_CLIENT_REQUEST", head(origin="a\0b")),
    "101 headers": (400, "INVALID_CLIENT_REQUEST", head(**{f"a{n}": "b" for n in range(101)})),
    "without end": (400, "INVALID_CLIENT_REQUEST", b"GET / HTTP/1.1\r\nx: " + b"x" * 16_366),
    "another origin": (403, "FORBIDDEN", head(origin="https://evil.example")),
    "a similar origin": (403, "FORBIDDEN", head(origin="https://fair.example.evil.example")),
    "an origin with a user": (403, "FORBIDDEN", head(origin="https://fair.example@evil.example")),
    "origin null": (403, "FORBIDDEN", head(origin="null")),
    "origin broken": (403, "FORBIDDEN", head(origin="http://[")),
    "origin empty": (403, "FORBIDDEN", head(origin="")),
}


@pytest.mark.parametrize("name", BAD)
def test_other_requests_are_refused_in_json(name: str) -> None:
    status, code, request = BAD[name]

    async def story(harness: StreamServerHarness) -> None:
        client = await harness.dial()
        assert await client.refusal(request) == (status, code)

    play(story)


@with_stream_server(StreamLimits(origins=("*",), hosts=frozenset(("localhost",))))
async def test_the_host_header_names_this_exchange(harness: StreamServerHarness) -> None:
    """Even a page of any origin cannot use another name: it could be one that it controls."""
    for host in ("localhost:8001", "127.0.0.1"):
        assert (await (await harness.dial()).ask(head(host=host)))[0] == 101
    refused = (400, "INVALID_CLIENT_REQUEST")
    two = head(host="localhost").replace(b"\r\n\r\n", b"\r\nHost: localhost\r\n\r\n")
    for request in (head(host="evil.example"), head(host=None), two):
        assert await (await harness.dial()).refusal(request) == refused


@with_stream_server(StreamLimits(origins=("*",)))
async def test_any_origin_may_be_allowed(harness: StreamServerHarness) -> None:
    client = await harness.dial()
    assert (await client.ask(head(origin="https://evil.example")))[0] == 101


@with_stream_server()
async def test_a_head_may_come_in_pieces_followed_by_frames(
    harness: StreamServerHarness,
) -> None:
    client = await harness.dial()
    hello = json.dumps({"id": 1, "method": "SUBSCRIBE", "params": []}).encode()
    request = head() + frame(hello) * 200
    for start in range(0, len(head()), 7):
        client.writer.write(request[start : start + 7])
        await asyncio.sleep(0)
    client.writer.write(request[-(-len(head()) // 7) * 7 :])
    assert (await client.ask(b""))[0] == 101
    assert await client.json() == {"id": 1, "result": None}


@with_stream_server(StreamLimits(connections_per_address_max=2))
async def test_connections_of_an_address_are_limited(harness: StreamServerHarness) -> None:
    first = await harness.connect()
    await harness.dial()  # A handshake is a connection.
    third = await harness.dial()
    assert await third.refusal(head()) == (429, "TOO_MANY_REQUESTS")
    assert harness.server.status()["refused"] == 1
    first.writer.close()
    await until(lambda: len(harness.server.connections) < 3)
    await harness.connect()


@with_stream_server(StreamLimits(connections_max=2))
async def test_connections_are_limited(harness: StreamServerHarness) -> None:
    await harness.connect()
    await harness.connect()
    for _ in range(3):
        assert await (await harness.dial()).refusal(head()) == (503, "TRADING_PAUSED")


@with_stream_server(StreamLimits(connections_max=1, handshake_s=1000.0))
async def test_refused_connections_are_limited(harness: StreamServerHarness) -> None:
    await harness.connect()
    for _ in range(100):
        await harness.dial()
    await until(lambda: harness.server.status()["refused"] == 100)
    await until(lambda: len(harness.server.connections) <= 65)


@with_stream_server()
async def test_a_client_that_sends_no_request_is_disconnected(harness: StreamServerHarness) -> None:
    silent, slow, served = await harness.dial(), await harness.dial(), await harness.connect()
    slow.writer.write(head()[:-1])
    await until(lambda: len(harness.server.connections) == 3)
    harness.pass_time(4.5)
    assert len(harness.server.connections) == 3
    harness.pass_time(5.5)
    for client in (silent, slow):
        with pytest.raises(ConnectionResetError):
            assert await client.reader.read() == b""
            raise ConnectionResetError
    served.say(id=1, method="SUBSCRIBE", params=[])
    assert await served.json() == {"id": 1, "result": None}
