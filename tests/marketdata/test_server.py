"""The WebSocket port on real sockets: who gets in, what is refused, who is closed."""

import asyncio
import gc
import json
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

from fairbook.marketdata.hub import Hub, HubLimits
from fairbook.marketdata.server import LINGER_S, StreamLimits, StreamServer
from tests.marketdata.wires import NEWEST, Keys, Levels, replayed

UPGRADE = {
    "Host": "fair.example:8001",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
FIN = 0x80
WAIT_S = 20.0  # for what happens at once: the machine may be busy


def head(
    path: str = "/", method: str = "GET", version: str = "1.1", **changes: str | None
) -> bytes:
    """A request. changes: headers by name with _ for -; None: without."""
    headers: dict[str, str | None] = {name.lower(): value for name, value in UPGRADE.items()}
    headers.update({name.replace("_", "-").lower(): value for name, value in changes.items()})
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join((f"{method} {path} HTTP/{version}", *lines, "", "")).encode()


def frame(payload: bytes = b"", first: int = FIN | TEXT, *, masked: bool = True) -> bytes:
    """As a client sends it. The mask is zero, so that the payload can be read."""
    size = len(payload)
    mask = 0x80 if masked else 0
    if size < 126:
        sizes = bytes((mask | size,))
    else:
        sizes = bytes((mask | 126,)) + size.to_bytes(2, "big")
    return bytes((first,)) + sizes + (b"\0" * 4 if masked else b"") + payload


class Client:
    """A program that knows just enough of WebSocket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the response."""
        self.writer.write(request)
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(lines[0].split()[1]), headers, body

    async def refusal(self, request: bytes) -> tuple[int, str]:
        """Status and code, in JSON; and the connection ends."""
        status, headers, body = await self.ask(request)
        assert headers["content-type"] == "application/json; charset=utf-8"
        assert headers["connection"] == "close"
        assert await self.reader.read() == b""
        code = json.loads(body)["code"]
        return status, str(code)

    def say(self, **fields: Any) -> None:
        self.writer.write(frame(json.dumps(fields).encode()))

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame."""
        first, size = await self.reader.readexactly(2)
        assert first & FIN and not first & 0x70 and size < 128
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await self.reader.readexactly(8), "big")
        return first & 15, await self.reader.readexactly(size)

    async def json(self) -> Any:
        """The next text."""
        opcode, payload = await self.frame()
        assert opcode == TEXT, (opcode, payload)
        return json.loads(payload)

    async def closed(self) -> tuple[int, str]:
        """Code and reason of the Close frame, after whatever comes before."""
        while True:
            opcode, payload = await self.frame()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big"), payload[2:].decode()


class House:
    """A server, its source, and clients of it."""

    def __init__(self, limits: StreamLimits, hub_limits: HubLimits | None) -> None:
        self.source = Levels()
        self.keys = Keys()
        self.hub = Hub(self.source, authority=self.keys, limits=hub_limits)
        self.server = StreamServer(self.hub, limits)
        self.port = 0
        self.clients: list[Client] = []

    async def dial(self) -> Client:
        """A connection that has said nothing yet."""
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        return client

    async def connect(self) -> Client:
        """A WebSocket."""
        client = await self.dial()
        assert (await client.ask(head()))[0] == 101
        return client

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():  # noqa: ASYNC110 - it looks from outside
            await asyncio.sleep(0.005)

    def pass_time(self, seconds: float) -> None:
        """Let the server believe it."""
        now = asyncio.get_running_loop().time() + seconds
        for connection in list(self.server.connections):
            connection.check_pace(now)


def play(
    story: Callable[[House], Awaitable[None]],
    limits: StreamLimits | None = None,
    hub_limits: HubLimits | None = None,
) -> None:
    async def scene() -> None:
        house = House(limits or StreamLimits(), hub_limits)
        house.port = await house.server.start("127.0.0.1", 0)
        try:
            await asyncio.wait_for(story(house), WAIT_S)
        finally:
            for client in house.clients:
                client.writer.close()
            await house.server.stop(0.1)
        assert not house.hub.failed.done(), house.hub.failed.result()
        assert not house.server.connections and not house.server._of_address
        assert house.source.open_channels == set()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene())


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
    "wishing for compression": head(sec_websocket_extensions="permessage-deflate"),
    "with Content-Length 0": head(content_length="0"),
}


@pytest.mark.parametrize("request_head", GOOD.values(), ids=list(GOOD))
def test_a_websocket_is_opened(request_head: bytes) -> None:
    async def story(house: House) -> None:
        client = await house.dial()
        status, headers, _ = await client.ask(request_head)
        assert status == 101
        assert headers["sec-websocket-accept"] == "s3pplmbitxaq9kygzzhzrbk+xoo="
        assert "sec-websocket-extensions" not in headers
        client.say(id=1, method="SUBSCRIBE", params=[])
        assert await client.json() == {"id": 1, "result": None}

    play(story, StreamLimits(origins=("https://friend.example",)))


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
    "an origin like ours": (403, "FORBIDDEN", head(origin="https://fair.example.evil.example")),
    "an origin with a user": (403, "FORBIDDEN", head(origin="https://fair.example@evil.example")),
    "origin null": (403, "FORBIDDEN", head(origin="null")),
    "origin broken": (403, "FORBIDDEN", head(origin="http://[")),
    "origin empty": (403, "FORBIDDEN", head(origin="")),
}


@pytest.mark.parametrize("name", BAD)
def test_everything_else_is_refused_in_json(name: str) -> None:
    status, code, request = BAD[name]

    async def story(house: House) -> None:
        client = await house.dial()
        assert await client.refusal(request) == (status, code)

    play(story)


def test_any_origin_may_be_allowed() -> None:
    async def story(house: House) -> None:
        client = await house.dial()
        assert (await client.ask(head(origin="https://evil.example")))[0] == 101

    play(story, StreamLimits(origins=("*",)))


def test_a_head_may_come_in_pieces_with_frames_behind_it() -> None:
    async def story(house: House) -> None:
        client = await house.dial()
        hello = json.dumps({"id": 1, "method": "SUBSCRIBE", "params": []}).encode()
        request = head() + frame(hello) * 200
        for start in range(0, len(head()), 7):
            client.writer.write(request[start : start + 7])
            await asyncio.sleep(0)
        client.writer.write(request[-(-len(head()) // 7) * 7 :])
        assert (await client.ask(b""))[0] == 101
        assert await client.json() == {"id": 1, "result": None}

    play(story)


def test_connections_of_an_address_are_limited() -> None:
    async def story(house: House) -> None:
        first = await house.connect()
        await house.dial()  # A handshake is a connection.
        third = await house.dial()
        assert await third.refusal(head()) == (429, "TOO_MANY_REQUESTS")
        assert house.server.status()["refused"] == 1
        first.writer.close()
        await house.until(lambda: len(house.server.connections) < 3)
        await house.connect()

    play(story, StreamLimits(connections_per_address_max=2))


def test_connections_are_limited() -> None:
    async def story(house: House) -> None:
        await house.connect()
        await house.connect()
        for _ in range(3):
            assert await (await house.dial()).refusal(head()) == (503, "TRADING_PAUSED")

    play(story, StreamLimits(connections_max=2))


def test_refusing_costs_no_more_than_so_many_sockets() -> None:
    async def story(house: House) -> None:
        await house.connect()
        for _ in range(100):
            await house.dial()
        await house.until(lambda: house.server.status()["refused"] == 100)
        await house.until(lambda: len(house.server.connections) <= 65)

    play(story, StreamLimits(connections_max=1, handshake_s=1000.0))


def test_who_does_not_say_what_he_wants_is_cut_off() -> None:
    async def story(house: House) -> None:
        silent, slow, served = await house.dial(), await house.dial(), await house.connect()
        slow.writer.write(head()[:-1])
        await house.until(lambda: len(house.server.connections) == 3)
        house.pass_time(4.5)
        assert len(house.server.connections) == 3
        house.pass_time(5.5)
        for client in (silent, slow):
            with pytest.raises(ConnectionResetError):
                assert await client.reader.read() == b""
                raise ConnectionResetError
        served.say(id=1, method="SUBSCRIBE", params=[])
        assert await served.json() == {"id": 1, "result": None}

    play(story)


BREACHES: dict[str, tuple[int, bytes]] = {
    "4097 bytes": (1009, frame(b"x" * 4097)),
    "binary": (1003, frame(b"x", FIN | BINARY)),
    "compressed": (1002, frame(b"x", FIN | 0x40 | TEXT)),
    "no mask": (1002, frame(b"x", masked=False)),
    "unknown opcode": (1002, frame(b"x", FIN | 3)),
    "continuation of nothing": (1002, frame(b"x", FIN)),
    "two beginnings": (1002, frame(b"x", TEXT) + frame(b"x", TEXT)),
    "100,000 fragments": (1009, frame(b"", TEXT) + frame(b"", 0) * 100_000),
    "large fragments": (1009, frame(b"x" * 4000, TEXT) + frame(b"x" * 4000, 0)),
    "fragmented ping": (1002, frame(b"x", PING)),
    "long ping": (1002, frame(b"x" * 126, FIN | PING)),
    "a storm of pings": (1008, frame(b"x", FIN | PING) * 100),
    "a storm of frames": (1008, frame(b"{}") * 100),
    "goodbye": (1000, frame(b"\x03\xe8bye", FIN | CLOSE)),
    "goodbye without a word": (1000, frame(b"", FIN | CLOSE)),
}


@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_closes_the_connection_with_its_code(name: str) -> None:
    code, sent = BREACHES[name]

    async def story(house: House) -> None:
        client, other = await house.connect(), await house.connect()
        client.say(method="SUBSCRIBE", params=["depth"])
        client.writer.write(sent)
        assert (await client.closed())[0] == code
        client.writer.write(frame(b"\x03\xe8", FIN | CLOSE))
        assert await client.reader.read() == b""
        other.say(id=1, method="SUBSCRIBE", params=[])
        assert await other.json() == {"id": 1, "result": None}
        await house.until(lambda: house.source.open_channels == set())

    play(story)


def test_messages_of_the_largest_size_and_in_fragments_are_taken() -> None:
    async def story(house: House) -> None:
        client = await house.connect()
        text = json.dumps({"id": 1, "method": "SUBSCRIBE", "params": []}).encode()
        client.writer.write(frame(text + b" " * (4096 - len(text))))
        assert await client.json() == {"id": 1, "result": None}
        pieces = [text[at : at + 9] for at in range(0, len(text), 9)]
        client.writer.write(frame(pieces[0], TEXT))
        for piece in pieces[1:]:
            client.writer.write(frame(piece, 0) + frame(b"between", FIN | PING))
        client.writer.write(frame(b"", FIN))
        for _ in pieces[1:]:
            assert await client.frame() == (PONG, b"between")
        assert await client.json() == {"id": 1, "result": None}

    play(story)


def test_who_answers_no_ping_is_closed() -> None:
    async def story(house: House) -> None:
        client = await house.connect()
        house.pass_time(59)
        house.pass_time(61)
        assert await client.frame() == (PING, b"")
        client.writer.write(frame(b"", FIN | PONG))
        client.say(id=1, method="SUBSCRIBE", params=[])
        await client.json()
        house.pass_time(119)
        house.pass_time(121)
        assert await client.closed() == (1001, "no pong")
        house.pass_time(LINGER_S + 1)
        await house.until(lambda: not house.server.connections)

    play(story)


def test_streams_reach_their_subscribers() -> None:
    async def story(house: House) -> None:
        clients = [await house.connect() for _ in range(5)]
        for client in clients:
            client.say(method="SUBSCRIBE", params=["depth"])
        await house.until(lambda: len(house.source.open_channels) == 1)
        for number in range(1, 101):
            house.source.set(number % 9, number)
            if number % 10 == 0:
                await asyncio.sleep(0)
        for client in clients:
            updates = [(await client.json())["data"] for _ in range(NEWEST + 100)]
            assert replayed(updates) == (100, house.source.levels)

    play(story)


def test_who_vanishes_without_a_word_is_forgotten() -> None:
    async def story(house: House) -> None:
        client = await house.connect()
        client.say(method="SUBSCRIBE", params=["depth"])
        await house.until(lambda: len(house.source.open_channels) == 1)
        client.writer.transport.abort()
        await house.until(lambda: house.hub.status()["connections"] == 0)
        assert house.source.open_channels == set()

    play(story)


def test_what_has_ended_is_freed_without_the_collector() -> None:
    """The exchange tells the collector not to look at what has been there for long."""

    async def story(house: House) -> None:
        client, rude = await house.connect(), await house.connect()
        for each in (client, rude):
            each.say(id=1, method="SUBSCRIBE", params=["depth"])
            await each.frame()
        ends: list[weakref.ref[Any]] = [weakref.ref(client) for client in house.hub._clients]
        ends += [weakref.ref(connection) for connection in house.server.connections]
        ends += [weakref.ref(connection.listener) for connection in house.server.connections]
        rude.writer.transport.abort()
        client.writer.write(frame(b"\x03\xe8", FIN | CLOSE))
        await client.closed()
        await house.until(lambda: not house.server.connections)
        await house.until(lambda: not any(end() for end in ends))

    gc.collect()
    gc.disable()
    try:
        play(story)
    finally:
        gc.enable()


def test_a_reader_that_stops_is_closed_and_nobody_else_notices() -> None:
    """What it needs meanwhile is bounded, in total and whatever is sent to the others."""
    transport_bytes, waiting_bytes = 64 * 1024, 100_000

    async def story(house: House) -> None:
        stuck, fast = await house.connect(), await house.connect()
        for client in (stuck, fast):
            client.say(method="SUBSCRIBE", params=["depth", "trades"])
        await house.until(lambda: house.hub.status()["subscriptions"] == 4)
        stuck.writer.transport.pause_reading()  # type: ignore[attr-defined]
        most = number = 0
        received: list[Any] = []
        while not house.hub.status()["slowClosed"]:
            number += 1
            house.source.trade("x" * 5000)
            house.source.set(1, number)
            while len(received) < 2 * number + NEWEST:
                received.append(await fast.json())
            most = max(most, house.hub.status()["bufferedBytes"])
        assert waiting_bytes < most < transport_bytes + waiting_bytes + 6000
        trades = [text["data"][0] for text in received if text["stream"] == "trades"]
        assert trades == list(range(1, number + 1))
        # The Close is behind what it does not read: after a while it is cut off.
        house.pass_time(LINGER_S + 1)
        await house.until(lambda: len(house.server.connections) == 1)

    play(story, hub_limits=HubLimits(waiting_bytes_max=waiting_bytes))


def test_a_reader_that_pauses_catches_up() -> None:
    async def story(house: House) -> None:
        client = await house.connect()
        client.say(method="SUBSCRIBE", params=["depth", "price"])
        await house.until(lambda: house.hub.status()["subscriptions"] == 2)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        number = 0
        while house.hub.status()["bufferedBytes"] < 100_000:
            for _ in range(500):
                number += 1
                house.source.set(number % 50, number)
                house.source.quote(number)
            await asyncio.sleep(0)
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        updates: list[Any] = []
        price = 0
        while price < number or updates[-1][1] < number:
            text = await client.json()
            if text["stream"] == "depth":
                updates.append(text["data"])
            else:
                price = text["data"]
        assert replayed(updates) == (number, house.source.levels)
        assert len(updates) < number + NEWEST, "some were merged"
        assert house.hub.status()["slowClosed"] == 0

    play(story)


def test_a_stop_tells_everybody_and_leaves_nobody() -> None:
    async def story(house: House) -> None:
        polite, deaf = await house.connect(), await house.connect()
        early = await house.dial()
        polite.say(method="SUBSCRIBE", params=["depth"])
        await house.until(lambda: len(house.server.connections) == 3)
        await house.until(lambda: len(house.source.open_channels) == 1)
        stopping = asyncio.ensure_future(house.server.stop(1.0))
        code, reason = await polite.closed()
        assert code == 1001 and reason.startswith("going away, reconnect in ")
        polite.writer.write(frame(b"\x03\xe9", FIN | CLOSE))
        assert await early.refusal(head()) == (503, "MAINTENANCE")
        await stopping
        assert not house.server.connections
        assert (await deaf.closed())[0] == 1001
        with pytest.raises(OSError):
            await house.dial()

    play(story)
