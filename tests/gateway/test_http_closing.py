"""The end of an HTTP connection: the client closes its sending side, or the server stops."""

import asyncio
import time

import pytest

from tests.world.http_client import HttpClient, bid, request_bytes
from tests.world.memory_accounts import ALICE, ALICE_TOKEN
from tests.world.running_exchange import RunningExchange, run_exchange, with_exchange

POST = b"POST /api/v1/order HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice-token\r\n"


@with_exchange()
async def test_a_client_that_closes_its_sending_side_gets_its_answers(
    venue: RunningExchange, _client: HttpClient
) -> None:
    """All answers come, and then the end of the connection."""
    order = request_bytes("POST", "/api/v1/order", bid("90", "0.1"))
    for count in (1, 2):
        client = await venue.connect()
        venue.exchange.held = []
        venue.exchange.submitted.clear()
        await client.send(order * count)
        client.writer.write_eof()
        await venue.exchange.submitted.wait()
        assert (await (await venue.connect()).ask("GET", "/api/v1/ping")).status == 200
        venue.exchange.release()
        for _ in range(count):
            assert (await client.reply()).json()["status"] == "New"
        assert await client.reader.read() == b""
    half = await venue.connect()
    await half.send(order[:-1])
    half.writer.write_eof()
    assert await half.reader.read() == b""
    assert len(venue.exchange.open_orders(ALICE)) == 3


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        (b"garbage\r\n\r\n", None),
        (POST + b"Content-Length: 50\r\n\r\n{", None),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", None),
        (POST + b"Content-Length: 1000000\r\n\r\n{", 413),
    ],
    ids=["garbage", "incomplete", "malformed body", "too large"],
)
@with_exchange()
async def test_no_answer_is_lost_when_the_client_closes_its_sending_side(
    venue: RunningExchange, client: HttpClient, rest: bytes, status: int | None
) -> None:
    """Whatever follows the order."""
    venue.exchange.held = []
    await client.send(request_bytes("POST", "/api/v1/order", bid()) + rest)
    client.writer.write_eof()
    await venue.exchange.submitted.wait()
    assert (await (await venue.connect()).ask("GET", "/api/v1/ping")).status == 200
    venue.exchange.release()
    assert (await client.reply()).json()["status"] == "New"
    if status is not None:
        assert (await client.reply()).status == status
    assert await client.reader.read() == b""


async def test_a_graceful_stop_answers_requests_under_way() -> None:
    """New requests are refused, and all connections are closed at the end."""
    async with run_exchange() as venue:
        busy, idle, late = [await venue.connect() for _ in range(3)]
        await idle.ask("GET", "/api/v1/ping")
        await late.ask("GET", "/api/v1/ping")
        venue.exchange.held = []
        waiting = asyncio.create_task(
            busy.ask("POST", "/api/v1/order", bid(clientId=1), token=ALICE_TOKEN)
        )
        await venue.exchange.submitted.wait()
        stopping = asyncio.create_task(venue.server.stop(drain_s=30))
        await asyncio.sleep(0)
        refused = await late.ask("POST", "/api/v1/order", bid(), token=ALICE_TOKEN)
        assert refused.error()[:2] == (503, "MAINTENANCE")
        assert refused.headers["connection"] == "close"
        with pytest.raises(ConnectionError):
            await venue.connect()
        venue.exchange.release()
        assert (await waiting).json()["clientId"] == 1
        await stopping
        assert await idle.is_closed()
        assert not venue.server.state.connections and not venue.server.state.admitted.open_of
        for client in (busy, idle, late):
            client.writer.close()


async def test_a_stop_waits_at_most_its_drain_time() -> None:
    async with run_exchange() as venue:
        client = await venue.connect()
        venue.exchange.held = []
        await client.send(request_bytes("POST", "/api/v1/order", bid()))
        await venue.exchange.submitted.wait()
        began = time.monotonic()
        await venue.server.stop(drain_s=0.2)
        assert time.monotonic() - began >= 0.2
        assert await client.is_closed()  # without an answer: the outcome is unknown
        client.writer.close()
