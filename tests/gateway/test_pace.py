"""Clients that are slow, idle, do not read, or send without end are disconnected."""

import asyncio
import socket
from contextlib import suppress

import pytest

from fairbook.gateway.rate_limits import REFUSED_PAUSE_S
from fairbook.gateway.request import Endpoint, Reply, always
from fairbook.gateway.routes import Routes
from fairbook.gateway.server_state import OpenConnection, ServerLimits
from tests.world.http_client import HttpClient, bid, request_bytes
from tests.world.memory_accounts import ALICE_TOKEN
from tests.world.running_exchange import (
    NO_LIMITS,
    Extras,
    RunningExchange,
    play,
    run_exchange,
    with_exchange,
)

SLOW = ServerLimits(request_s=0.5, idle_s=1, reply_s=60, sweep_s=0.1)


async def closes_within(client: HttpClient, seconds: float) -> bool:
    try:
        return await asyncio.wait_for(client.is_closed(), seconds)
    except TimeoutError:
        return False


def test_slow_and_idle_clients_are_disconnected() -> None:
    """A head or a body sent byte by byte, nothing at all, and a long pause between requests."""

    async def drip(client: HttpClient, data: bytes) -> None:
        for i in range(len(data)):
            await client.send(data[i : i + 1])
            await asyncio.sleep(0.05)

    async def story(venue: RunningExchange, client: HttpClient) -> None:
        silent, head, body, whole = [await venue.connect() for _ in range(4)]
        dripping = [
            asyncio.create_task(drip(head, b"GET /api/v1/ping HTTP/1.1\r\n" + b"A: b\r\n" * 100)),
            asyncio.create_task(
                drip(
                    body, b"POST /api/v1/order HTTP/1.1\r\nContent-Length: 900\r\n\r\n" + b" " * 99
                )
            ),
        ]
        assert (await whole.ask("GET", "/api/v1/ping")).status == 200
        for slow in (silent, head, body):
            assert await closes_within(slow, 10)
        for task in dripping:
            task.cancel()
        await asyncio.gather(*dripping, return_exceptions=True)
        assert await closes_within(whole, 10)  # idle for too long by now

    play(story, NO_LIMITS, SLOW)


@with_exchange(NO_LIMITS, ServerLimits(reply_s=0.5, sweep_s=0.1))
async def test_a_client_that_stops_reading_is_disconnected(
    venue: RunningExchange, client: HttpClient
) -> None:
    """However much it sends; its requests are not read without bound."""
    for data in (
        request_bytes("GET", "/api/v1/markets") * 200,
        request_bytes("POST", "/api/v1/order", bid("90", "0.01", clientId=1)) * 200,
    ):
        reader = await venue.connect(receive_bytes=4096)
        assert (await reader.ask("GET", "/api/v1/ping")).status == 200
        reader.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for connection in venue.server.state.connections:
            # By default the system buffers megabytes.
            sock = connection.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        with pytest.raises(ConnectionError):
            while True:
                reader.writer.write(data)
                await reader.writer.drain()
                await asyncio.sleep(0.01)
        assert (await client.ask("GET", "/api/v1/ping")).status == 200
        assert len(venue.server.state.connections) == 1


@pytest.mark.parametrize("is_first", [True, False])
@with_exchange()
async def test_an_endless_head_is_refused_by_its_size(
    venue: RunningExchange, client: HttpClient, is_first: bool
) -> None:
    """Before its time is over, in however few pieces it comes."""
    if not is_first:
        assert (await client.ask("GET", "/api/v1/ping")).status == 200
    await client.send(b"GET /api/v1/ping HTTP/1.1\r\nA: " + b"a" * 66_000)
    assert (await client.reply()).error() == (
        400, "INVALID_CLIENT_REQUEST", "Request is too large"
    )  # fmt: skip
    assert await client.is_closed()


async def ping(venue: RunningExchange) -> None:
    """Answered after what the server does at once."""
    assert (await (await venue.connect()).ask("GET", "/api/v1/ping")).status == 200


async def unread(venue: RunningExchange, request: bytes) -> tuple[HttpClient, OpenConnection]:
    """A client that sends a request and does not read; part of the response cannot be sent."""
    client = await venue.connect(receive_bytes=4096)
    assert (await client.ask("GET", "/api/v1/ping")).status == 200
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    name = client.writer.get_extra_info("sockname")
    (connection,) = (
        connection
        for connection in venue.server.state.connections
        if connection.transport.get_extra_info("peername") == name
    )
    sock = connection.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    await client.send(request)
    while not connection.transport.get_write_buffer_size():
        await ping(venue)
    return client, connection


def sweep(venue: RunningExchange, seconds: int) -> None:
    for _ in range(seconds):
        venue.server.state.sweep()


def page(kib: int) -> Extras:
    reply = Reply(b"x" * 1024 * kib)
    return Extras(more=Routes({(b"GET", b"/page"): Endpoint(always(reply), is_metered=False)}))


@pytest.mark.parametrize("rest", [b"", b"GET"], ids=["idle", "in the middle of a request"])
async def test_a_client_that_does_not_read_does_not_keep_its_connection(rest: bytes) -> None:
    """Though its response is small enough to be buffered, and so counts as sent."""
    async with run_exchange(extras=page(48)) as venue:
        client, connection = await unread(venue, request_bytes("GET", "/page"))
        assert not connection.is_answering
        await client.send(rest)
        sweep(venue, 76)
        await ping(venue)
        assert connection not in venue.server.state.connections


async def test_a_slow_client_gets_the_whole_last_response() -> None:
    """Also after more than the time in which it must close its side."""
    async with run_exchange(extras=page(8192)) as venue:
        close = {"Connection": "close"}
        client, connection = await unread(venue, request_bytes("GET", "/page", headers=close))
        sweep(venue, 30)
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert len((await client.reply()).body) == 8192 * 1024
        sweep(venue, 61)
        await ping(venue)
        assert connection not in venue.server.state.connections


async def test_a_client_that_reads_a_little_now_and_then_is_still_answered() -> None:
    """Only a minute without anything read ends a connection."""
    async with run_exchange(extras=page(8192)) as venue:
        client, connection = await unread(venue, request_bytes("GET", "/page"))
        for _ in range(5):
            unsent = connection.transport.get_write_buffer_size()
            client.writer.transport.resume_reading()  # type: ignore[attr-defined]
            await client.reader.readexactly(100_000)
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            while connection.transport.get_write_buffer_size() == unsent:
                await ping(venue)
            sweep(venue, 50)
            await ping(venue)
            assert connection in venue.server.state.connections
        sweep(venue, 70)
        await ping(venue)
        assert connection not in venue.server.state.connections


async def test_new_requests_do_not_keep_a_client_that_does_not_read() -> None:
    """Their answers are small: they count as sent, and the next request is answered too."""
    async with run_exchange(extras=page(16)) as venue:
        client, connection = await unread(venue, request_bytes("GET", "/page"))
        for _ in range(20):
            sweep(venue, 9)
            with suppress(ConnectionError):
                await client.send(request_bytes("GET", "/api/v1/ping"))
            await ping(venue)
        assert connection not in venue.server.state.connections


async def test_answers_that_nobody_reads_take_bounded_memory() -> None:
    """The connection that has not read for longest is aborted, and its bytes are free again."""
    limits = ServerLimits(unsent_bytes_per_address_max=2_500_000)
    async with run_exchange(server_limits=limits, extras=page(1024)) as venue:
        connections = [(await unread(venue, request_bytes("GET", "/page")))[1] for _ in range(4)]
        await ping(venue)
        held = [connection in venue.server.state.connections for connection in connections]
        assert held == [False, False, True, True]
        assert 2_000_000 < venue.server.state.unsent.in_all <= 2_500_000


@with_exchange(NO_LIMITS._replace(address_per_minute=1, address_burst=1))
async def test_the_request_after_a_429_waits(venue: RunningExchange, client: HttpClient) -> None:
    """On its connection; those behind it wait in turn, and others do not wait for them."""
    loop = asyncio.get_running_loop()
    ping = b"GET /api/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n"
    await client.send(ping * 4)
    assert (await client.reply()).status == 200
    assert (await client.reply()).status == 429
    refused_s = loop.time()
    other = await venue.connect()
    assert (await other.ask("GET", "/api/v1/capital", token=ALICE_TOKEN)).status == 200
    for number in (1, 2):
        assert (await client.reply()).status == 429
        assert loop.time() - refused_s >= number * REFUSED_PAUSE_S * 0.9
    gone = await venue.connect()
    await gone.send(ping * 2)
    assert (await gone.reply()).status == 429
    gone.writer.close()
    await asyncio.sleep(2 * REFUSED_PAUSE_S)
    assert (await client.ask("GET", "/api/v1/capital", token=ALICE_TOKEN)).status == 200
