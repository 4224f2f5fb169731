"""The stream server on real sockets: service, protocol errors, deadlines and ends."""

import asyncio
import gc
import json
import random
import weakref
from contextlib import suppress
from typing import Any

import pytest

from fairbook.streams.hub import HubLimits
from fairbook.streams.ws_server import StreamLimits
from tests.streams.hub_harness import NEWEST, replayed
from tests.streams.server_harness import StreamServerHarness, head, play, with_stream_server
from tests.world.waiting import until
from tests.world.ws_frames import BINARY, CLOSE, FIN, PING, PONG, TEXT, frame

PROTOCOL_ERRORS: dict[str, tuple[int, bytes]] = {
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
    "too many pings": (1008, frame(b"x", FIN | PING) * 100),
    "too many pongs": (1008, frame(b"x", FIN | PONG) * 100),
    "not UTF-8": (1007, frame(b'{"method":"\xff"}')),
    "too many frames": (1008, frame(b"{}") * 100),
    "close": (1000, frame(b"\x03\xe8bye", FIN | CLOSE)),
    "close with an invalid code": (1002, frame(b"\x03\xee", FIN | CLOSE)),
    "close with one byte": (1002, frame(b"\x03", FIN | CLOSE)),
    "close with a reason that is not UTF-8": (1007, frame(b"\x03\xe8\xff", FIN | CLOSE)),
    "close without a payload": (1000, frame(b"", FIN | CLOSE)),
}


@pytest.mark.parametrize("name", PROTOCOL_ERRORS)
def test_a_protocol_error_closes_the_connection_with_its_code(name: str) -> None:
    code, sent = PROTOCOL_ERRORS[name]

    async def story(harness: StreamServerHarness) -> None:
        client, other = await harness.connect(), await harness.connect()
        client.say(method="SUBSCRIBE", params=["depth"])
        client.writer.write(sent)
        assert (await client.closed())[0] == code
        client.writer.write(frame(b"\x03\xe8", FIN | CLOSE))
        with suppress(ConnectionResetError):  # The server may be gone before it reads that.
            assert await client.reader.read() == b""
        other.say(id=1, method="SUBSCRIBE", params=[])
        assert await other.json() == {"id": 1, "result": None}
        await until(lambda: harness.source.open_channels == set())

    play(story)


@with_stream_server(StreamLimits(connections_per_address_max=1000))
async def test_garbage_does_not_affect_other_clients(harness: StreamServerHarness) -> None:
    """Random bytes, and sound frames with some bytes changed, from 300 connections."""
    chance = random.Random(7)
    other = await harness.connect()
    other.say(method="SUBSCRIBE", params=["depth"])
    await until(lambda: len(harness.source.open_channels) == 1)
    sound = b"".join(
        (
            frame(b'{"id":1,"method":"SUBSCRIBE","params":["depth","trades"]}'),
            frame(b'{"id":2,"method":"UNSUBSCRIBE"', TEXT),
            frame(b',"params":["depth"]}', FIN),
            frame(b"", FIN | PING),
            frame(b"x" * 200, FIN | PONG),
        )
    )
    for _ in range(300):
        client = await harness.connect()
        sent = bytearray(sound * 2)
        for _ in range(chance.randrange(1, 12)):
            sent[chance.randrange(len(sent))] = chance.randrange(256)
        if chance.random() < 0.3:
            sent = bytearray(chance.randbytes(chance.randrange(3000)))
        client.writer.write(bytes(sent))
        await asyncio.sleep(0)
        client.writer.close()
    await until(lambda: len(harness.server.connections) == 1)
    harness.source.set(1, 1)
    updates = [(await other.json())["data"] for _ in range(NEWEST + 1)]
    assert replayed(updates) == (1, {1: 1})
    assert harness.hub.status()["connections"] == 1


@with_stream_server()
async def test_a_client_that_keeps_sending_after_a_close_is_ignored_and_disconnected(
    harness: StreamServerHarness,
) -> None:
    """It can still read the Close, and is disconnected at its deadline."""
    client = await harness.connect()
    client.writer.write(frame(b"x", FIN | BINARY) + frame(b"x" * 100) * 20_000)
    assert await client.closed() == (1003, "text only")
    assert await client.reader.read() == b""
    client.writer.write(frame(b"x" * 100) * 20_000)
    assert len(harness.server.connections) == 1
    harness.pass_time(StreamLimits().linger_s + 1)
    await until(lambda: not harness.server.connections)


@with_stream_server()
async def test_messages_of_the_largest_size_and_in_fragments_are_taken(
    harness: StreamServerHarness,
) -> None:
    client = await harness.connect()
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


@with_stream_server()
async def test_a_client_that_answers_no_ping_is_closed(harness: StreamServerHarness) -> None:
    client = await harness.connect()
    harness.pass_time(59)
    harness.pass_time(61)
    assert await client.frame() == (PING, b"")
    client.writer.write(frame(b"", FIN | PONG))
    client.say(id=1, method="SUBSCRIBE", params=[])
    await client.json()
    harness.pass_time(119)
    harness.pass_time(121)
    assert await client.closed() == (1001, "no pong")
    harness.pass_time(StreamLimits().linger_s + 1)
    await until(lambda: not harness.server.connections)


@with_stream_server()
async def test_streams_reach_their_subscribers(harness: StreamServerHarness) -> None:
    clients = [await harness.connect() for _ in range(5)]
    for client in clients:
        client.say(method="SUBSCRIBE", params=["depth"])
    await until(lambda: len(harness.source.open_channels) == 1)
    for number in range(1, 101):
        harness.source.set(number % 9, number)
        if number % 10 == 0:
            await asyncio.sleep(0)
    for client in clients:
        updates = [(await client.json())["data"] for _ in range(NEWEST + 100)]
        assert replayed(updates) == (100, harness.source.levels)


@with_stream_server()
async def test_a_lost_connection_is_removed(harness: StreamServerHarness) -> None:
    client = await harness.connect()
    client.say(method="SUBSCRIBE", params=["depth"])
    await until(lambda: len(harness.source.open_channels) == 1)
    client.writer.transport.abort()
    await until(lambda: harness.hub.status()["connections"] == 0)
    assert harness.source.open_channels == set()


def test_an_ended_connection_is_freed_without_the_collector() -> None:
    """Long-lived objects are frozen, so the collector would not find them."""

    async def story(harness: StreamServerHarness) -> None:
        client, lost = await harness.connect(), await harness.connect()
        for each in (client, lost):
            each.say(id=1, method="SUBSCRIBE", params=["depth"])
            await each.frame()
        ends: list[weakref.ref[Any]] = [weakref.ref(client) for client in harness.hub._clients]
        ends += [weakref.ref(connection) for connection in harness.server.connections]
        ends += [weakref.ref(connection.websocket) for connection in harness.server.connections]
        lost.writer.transport.abort()
        client.writer.write(frame(b"\x03\xe8", FIN | CLOSE))
        await client.closed()
        await until(lambda: not harness.server.connections)
        await until(lambda: not any(end() for end in ends))

    gc.collect()
    gc.disable()
    try:
        play(story)
    finally:
        gc.enable()


def test_a_client_that_stops_reading_is_closed_without_affecting_others() -> None:
    """Its memory is bounded, whatever is sent to the others."""
    transport_bytes, waiting_bytes = 64 * 1024, 100_000

    async def story(harness: StreamServerHarness) -> None:
        stuck, fast = await harness.connect(), await harness.connect()
        for client in (stuck, fast):
            client.say(method="SUBSCRIBE", params=["depth", "trades"])
        await until(lambda: harness.hub.status()["subscriptions"] == 4)
        stuck.writer.transport.pause_reading()  # type: ignore[attr-defined]
        most = number = 0
        received: list[Any] = []
        while not harness.hub.status()["slowClosed"]:
            number += 1
            harness.source.trade("x" * 5000)
            harness.source.set(1, number)
            while len(received) < 2 * number + NEWEST:
                received.append(await fast.json())
            most = max(most, harness.hub.status()["bufferedBytes"])
        assert waiting_bytes < most < transport_bytes + waiting_bytes + 6000
        trades = [text["data"][0] for text in received if text["stream"] == "trades"]
        assert trades == list(range(1, number + 1))
        # The Close waits behind what it does not read: it is aborted at its deadline.
        harness.pass_time(StreamLimits().linger_s + 1)
        await until(lambda: len(harness.server.connections) == 1)

    play(story, hub_limits=HubLimits(waiting_bytes_max=waiting_bytes))


@with_stream_server()
async def test_a_client_that_pauses_catches_up(harness: StreamServerHarness) -> None:
    client = await harness.connect()
    client.say(method="SUBSCRIBE", params=["depth", "price"])
    await until(lambda: harness.hub.status()["subscriptions"] == 2)
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    number = 0
    while not harness.source.merged:
        for _ in range(500):
            number += 1
            harness.source.set(number % 50, number)
            harness.source.quote(number)
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
    assert replayed(updates) == (number, harness.source.levels)
    assert len(updates) < number + NEWEST, "some were merged"
    assert harness.hub.status()["slowClosed"] == 0


@with_stream_server(StreamLimits(linger_s=0.3))
async def test_a_stop_closes_all_connections_with_a_reason(harness: StreamServerHarness) -> None:
    closing, silent = await harness.connect(), await harness.connect()
    early = await harness.dial()
    closing.say(method="SUBSCRIBE", params=["depth"])
    await until(lambda: len(harness.server.connections) == 3)
    await until(lambda: len(harness.source.open_channels) == 1)
    stopping = asyncio.ensure_future(harness.server.stop(1.0))
    code, reason = await closing.closed()
    assert code == 1001 and reason.startswith("going away, reconnect in ")
    closing.writer.write(frame(b"\x03\xe9", FIN | CLOSE))
    assert await early.refusal(head()) == (503, "MAINTENANCE")
    await stopping
    assert not harness.server.connections
    assert (await silent.closed())[0] == 1001
    with pytest.raises(OSError):
        await harness.dial()
