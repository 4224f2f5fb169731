"""Cross-origin requests of web pages, HEAD, and the Host header."""

import pytest

from fairbook.gateway.server_state import ServerLimits
from fairbook.net.hosts import NO_HOST, UNKNOWN_HOST, own_names
from tests.world.http_client import HttpClient, HttpReply, bid
from tests.world.memory_accounts import ALICE, ALICE_TOKEN
from tests.world.running_exchange import NO_LIMITS, RunningExchange, with_exchange

LISTED = "https://page.example"
LIMITS = ServerLimits(origins=(LISTED,), hosts=own_names("10.0.0.7", ("exchange.example",)))
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}


async def ask_with_host(client: HttpClient, *hosts: str, method: str = "GET") -> HttpReply:
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    await client.send(f"{method} /api/v1/ping HTTP/1.1\r\n{lines}\r\n".encode())
    return await client.reply()


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [
        (LISTED, True),
        ("http://localhost:3000", True),
        ("http://127.0.0.1", True),
        ("http://[::1]:8000", True),
        ("http://exchange.example", True),  # the host that the request names
        ("https://other.example", False),
        ("http://page.example", False),
        ("null", False),
    ],
)
@with_exchange(NO_LIMITS, LIMITS)
async def test_pages_of_this_machine_and_listed_ones_may_read_answers(
    venue: RunningExchange, client: HttpClient, origin: str, *, is_allowed: bool
) -> None:
    """Answers of every kind, errors too; other pages get no permission, and no preflight does."""
    headers = {"Host": "exchange.example:8000", "Origin": origin}
    allowed = origin if is_allowed else None
    for method, path, status in (
        ("GET", "/api/v1/markets", 200), ("GET", "/api/v1/ping", 200), ("GET", "/nowhere", 404),
        ("GET", "/api/v1/capital", 200), ("POST", "/api/v1/order", 200),
    ):  # fmt: skip
        body = bid("90") if method == "POST" else None
        reply = await client.ask(method, path, body, token=ALICE_TOKEN, headers=headers)
        assert (reply.status, reply.headers["vary"]) == (status, "origin")
        assert reply.headers.get("access-control-allow-origin") == allowed
        assert "access-control-allow-credentials" not in reply.headers
    head = b"OPTIONS /api/v1/order HTTP/1.1\r\n"
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**headers, **PREFLIGHT}.items())
    await client.send(head + lines.encode() + b"\r\n")
    answer = (await client.reader.readuntil(b"\r\n\r\n")).decode().lower()
    assert answer.startswith("http/1.1 204 ") and "content-length" not in answer
    assert ("access-control-allow-origin: " in answer) == is_allowed
    for name in ("post", "delete", "x-signature", "authorization"):
        assert name in answer
    assert len(venue.exchange.open_orders(ALICE)) == 1


@with_exchange()
async def test_other_clients_get_no_headers_of_pages(
    venue: RunningExchange, client: HttpClient
) -> None:
    reply = await client.ask("GET", "/api/v1/markets")
    assert not {name for name in reply.headers if name.startswith("access-") or name == "vary"}
    assert (await client.ask("OPTIONS", "/api/v1/order")).status == 405


@with_exchange()
async def test_head_is_answered_wherever_get_is(venue: RunningExchange, client: HttpClient) -> None:
    """The head of the GET, without its body."""
    for path in ("/api/v1/markets", "/api/v1/ping", "/api/v1/capital", "/nowhere"):
        whole = await client.ask("GET", path, token=ALICE_TOKEN)
        await client.send(
            f"HEAD {path} HTTP/1.1\r\nHost: x\r\n".encode()
            + f"Authorization: Bearer {ALICE_TOKEN}\r\n\r\n".encode()
        )
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % whole.status)
        assert b"content-length: %d\r\n" % len(whole.body) in head
    refused = await client.ask("DELETE", "/api/v1/markets")
    assert (refused.status, refused.headers["allow"]) == (405, "get, head")


@with_exchange(NO_LIMITS, LIMITS)
async def test_the_host_header_names_this_exchange(
    venue: RunningExchange, client: HttpClient
) -> None:
    for host in (
        "localhost", "LOCALHOST:8000", "app.localhost", "127.0.0.1:8000", "10.0.0.7", "[::1]:8000",
        "192.0.2.9", "exchange.example", "Exchange.Example.:80",
    ):  # fmt: skip
        assert (await ask_with_host(client, host)).body == b"pong", host
    for host in ("evil.example", "exchange.example.evil", "", "a b", "x/y", "localhost:x", "[::1"):
        reply = await ask_with_host(client, host)
        assert reply.error() == (400, "INVALID_CLIENT_REQUEST", UNKNOWN_HOST), host
    for hosts in ((), ("localhost", "localhost"), ("localhost", "evil.example")):
        reply = await ask_with_host(client, *hosts)
        assert reply.error() == (400, "INVALID_CLIENT_REQUEST", NO_HOST)
