"""What one address may do: how many connections, and what a refusal costs it."""

import asyncio
from typing import Any

import pytest

from fairbook.gateway.gateway import GatewayLimits
from fairbook.gateway.http_connection import HttpConnection
from fairbook.gateway.server_state import ServerLimits
from tests.world.http_client import HttpClient, bid, request_bytes, signed
from tests.world.memory_accounts import ALICE, ALICE_TOKEN
from tests.world.running_exchange import NO_LIMITS, RunningExchange, play, run_exchange

TWO: GatewayLimits = NO_LIMITS._replace(address_per_minute=1, address_burst=2)
TOO_MANY = (429, "TOO_MANY_REQUESTS", "Too many requests")


class Line(asyncio.Transport):
    """A connection from any address, which no socket of one machine has."""

    def __init__(self, host: str) -> None:
        super().__init__({"peername": (host, 1, 0, 0), "sockname": ("::1", 2, 0, 0)})
        self.sent = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.sent += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


async def test_a_network_of_ipv6_has_the_connections_of_one_address() -> None:
    """The /64 counts, as for requests; what is closed makes room."""
    async with run_exchange(server_limits=ServerLimits(connections_per_address_max=2)) as venue:
        server = venue.server

        def call_in(host: str) -> tuple[HttpConnection, Line]:
            line = Line(host)
            connection = HttpConnection(server.state)
            connection.connection_made(line)
            return connection, line

        first, _ = call_in("2001:db8::1")
        second, line = call_in("2001:db8::2%eth0")
        assert not line.sent
        _, over = call_in("2001:db8::3")
        assert b" 503 " in over.sent and over.closed
        other, line = call_in("2001:db8:0:1::1")
        assert not line.sent
        first.connection_lost(None)
        third, line = call_in("2001:db8::3")
        assert not line.sent
        assert server.state.admitted.open_of == {"2001:db8::": 2, "2001:db8:0:1::": 1}
        for connection in (second, third, other):
            connection.connection_lost(None)
        assert server.state.admitted.open_of == {}


REFUSED = {
    "unknown path": (request_bytes("GET", "/api/v1/nope"), 404),
    "wrong method": (request_bytes("PUT", "/api/v1/order", bid()), 405),
    "no HTTP": (b"hello\r\n\r\n", 400),
    "broken chunk": (
        b"POST /api/v1/order HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        400,
    ),
    "no JSON": (request_bytes("POST", "/api/v1/order", b"{"), 400),
    "no query": (request_bytes("GET", "/api/v1/capital?x=%ff"), 400),
    "expired": (
        request_bytes(
            "GET", "/api/v1/capital", token=None, headers=signed("balanceQuery", at_ms=1)
        ),
        400,
    ),
    "too large": (request_bytes("POST", "/api/v1/order", b"x" * 20_000), 413),
    "too large, other path": (request_bytes("POST", "//api/v1/order", b"x" * 20_000), 413),
    "unsupported content type": (
        request_bytes("POST", "/api/v1/order", bid(), headers={"Content-Type": "text/plain"}),
        415,
    ),
}


@pytest.mark.parametrize(("data", "status"), REFUSED.values(), ids=list(REFUSED))
def test_a_request_refused_before_authentication_costs_the_address(
    data: bytes, status: int
) -> None:
    """As much as a public request, from the same allowance; authenticated requests continue."""

    async def story(venue: RunningExchange, client: HttpClient) -> None:
        for expected in (status, status, 429):
            refused = await venue.connect()
            await refused.send(data)
            reply = await refused.reply()
            assert reply.status == expected
            if expected == 429:
                assert reply.error() == TOO_MANY and int(reply.headers["retry-after"]) > 0
            if status in (413, 415) or data in (REFUSED["no HTTP"][0], REFUSED["broken chunk"][0]):
                assert reply.headers["connection"] == "close"
                assert await refused.reader.read() == b""
        assert (await client.ask("GET", "/api/v1/ping")).error() == TOO_MANY
        for token in (ALICE_TOKEN, None):
            headers = signed("balanceQuery") if token is None else {}
            reply = await client.ask("GET", "/api/v1/capital", token=token, headers=headers)
            assert reply.status == 200
        assert (await client.ask("POST", "/api/v1/order", bid(), token=ALICE_TOKEN)).status == 200
        wrong = await client.ask("GET", "/api/v1/capital", token="guess")
        assert wrong.error()[0] == 401  # an allowance of its own
        assert len(venue.exchange.open_orders(ALICE)) == 1

    play(story, TWO)


def test_a_refused_request_of_an_account_does_not_cost_the_address() -> None:
    """An invalid order with a token counts for its account."""

    async def story(venue: RunningExchange, client: HttpClient) -> None:
        for _ in range(5):
            reply = await client.ask("POST", "/api/v1/order", bid("x"), token=ALICE_TOKEN)
            assert reply.status == 400
        assert (await client.ask("GET", "/api/v1/ping")).body == b"pong"

    play(story, TWO)
