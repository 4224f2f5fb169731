"""Long JSON answers are gzipped if the client accepts that; answers to orders never are."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from fairbook.core import records
from fairbook.gateway.compression import COMPRESSED_BYTES_MIN, Compression
from fairbook.gateway.request import TEXT_TYPE, Reply, Request
from tests.world.direct_exchange import DirectExchange, list_and_fund
from tests.world.http_client import HttpClient, request_bytes
from tests.world.markets import SOL_USDC, USDC
from tests.world.memory_accounts import ALICE, ALICE_TOKEN
from tests.world.money import credit
from tests.world.running_exchange import RunningExchange, play

ORDERS = 600
DEPTH = "/api/v1/depth?symbol=SOL_USDC&limit=1000"
OPEN_ORDERS = "/api/v1/orders"
GZIP = {"Accept-Encoding": "gzip, deflate, br"}

Story = Callable[[RunningExchange, HttpClient], Awaitable[None]]


def play_with_orders(story: Story) -> None:
    """Alice has many open orders, each at a price of its own."""
    exchange = DirectExchange()
    list_and_fund(exchange)
    exchange.do(credit(account=ALICE, asset=USDC, atoms=10**17))
    for number in range(ORDERS):
        exchange.do(
            records.place(
                account=ALICE, market=SOL_USDC, side=records.BID, quantity=100, price=5000 + number
            )
        )
    play(story, exchange=exchange)


@pytest.mark.parametrize("path", [DEPTH, OPEN_ORDERS])
def test_a_long_answer_is_gzipped(path: str) -> None:
    """A whole one and one in pieces: the same JSON, shorter. HEAD has the same headers."""

    async def story(venue: RunningExchange, client: HttpClient) -> None:
        plain = await client.ask("GET", path, token=ALICE_TOKEN)
        assert "content-encoding" not in plain.headers
        assert plain.headers["vary"] == "accept-encoding"
        assert len(plain.body) > COMPRESSED_BYTES_MIN
        reply = await client.ask("GET", path, token=ALICE_TOKEN, headers=GZIP)
        assert (reply.status, reply.headers["content-encoding"]) == (200, "gzip")
        assert reply.headers["vary"] == "accept-encoding"
        assert reply.headers["transfer-encoding"] == "chunked"
        assert reply.headers["content-type"] == "application/json; charset=utf-8"
        assert len(reply.body) < len(plain.body) / 3
        if path == OPEN_ORDERS:
            assert gzip.decompress(reply.body) == plain.body
        else:
            assert len(gzip.decompress(reply.body)) == len(plain.body)
        await client.send(request_bytes("HEAD", path, headers=GZIP))
        head = (await client.reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert "content-encoding: gzip" in head and "content-length" not in head
        assert (await client.ask("GET", "/api/v1/ping")).body == b"pong"

    play_with_orders(story)


@pytest.mark.parametrize(
    ("accepted", "is_gzipped"),
    [
        ("gzip", True), ("GZip", True), ("br;q=1, gzip;q=0.5", True), ("deflate,gzip", True),
        ("gzip; q=0.001", True), ("", False), ("br", False), ("gzip;q=0", False),
        ("gzip; q=0.000, br", False), ("identity", False), ("x-gzipped", False), ("*;q=0", False),
    ],
)  # fmt: skip
def test_only_if_the_client_accepts_it(accepted: str, *, is_gzipped: bool) -> None:
    request = Request(b"/", b"", {b"accept-encoding": accepted.encode()}, "")
    reply = Compression().of(Reply(b"[" + b" " * COMPRESSED_BYTES_MIN + b"]"), request)
    assert ((b"content-encoding", b"gzip") in reply.headers) == is_gzipped
    assert (b"vary", b"Accept-Encoding") in reply.headers


def test_short_answers_and_other_types_stay_as_they_are() -> None:
    request = Request(b"/", b"", {b"accept-encoding": b"gzip"}, "")
    long = b"x" * (COMPRESSED_BYTES_MIN + 1)
    for reply in (Reply(long[: COMPRESSED_BYTES_MIN - 1]), Reply(long, content_type=TEXT_TYPE)):
        assert Compression().of(reply, request) is reply


def test_a_response_to_an_order_is_never_compressed() -> None:
    async def story(venue: RunningExchange, client: HttpClient) -> None:
        reply = await client.ask(
            "DELETE", OPEN_ORDERS, {"symbol": "SOL_USDC"}, token=ALICE_TOKEN, headers=GZIP
        )
        assert len(reply.json()) == ORDERS and len(reply.body) > COMPRESSED_BYTES_MIN
        assert "content-encoding" not in reply.headers and "vary" not in reply.headers

    play_with_orders(story)


def test_a_client_without_chunks_gets_it_until_the_end() -> None:
    async def story(venue: RunningExchange, client: HttpClient) -> None:
        request = f"GET {DEPTH} HTTP/1.0\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n"
        await client.send(request.encode())
        head, _, body = (await client.reader.read(-1)).partition(b"\r\n\r\n")
        assert b"content-encoding: gzip" in head and b"chunked" not in head
        assert gzip.decompress(body).startswith(b'{"asks"')

    play_with_orders(story)


async def test_pieces_of_any_length_are_compressed_one_in_a_turn() -> None:
    """And what one answer holds in memory is bounded: no piece waits in it whole."""
    whole = b'{"price":"141.25"},' * 20_000

    async def pieces() -> AsyncIterator[bytes]:
        for at, end in ((0, 1), (1, 1), (1, 200_000), (200_000, len(whole))):
            yield whole[at:end]

    request = Request(b"/", b"", {b"accept-encoding": b"gzip"}, "")
    compression = Compression()
    replies = [compression.of(Reply(b"", pieces=pieces()), request) for _ in range(3)]
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def body(reply: Reply) -> bytes:
        assert reply.pieces is not None
        return b"".join([piece async for piece in reply.pieces])

    counting = asyncio.create_task(count())
    for found in await asyncio.gather(*map(body, replies)):
        assert zlib.decompress(found, wbits=31) == whole
    counting.cancel()
    assert turns >= 3 * len(whole) // 32768, "each piece has a turn of its own"
