"""A gateway on a real port with the real core behind it, and a plain HTTP client to ask it."""

import asyncio
import json
import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import urlencode

import uvloop
from nacl.signing import SigningKey

from fairbook.gateway.auth import Authenticator
from fairbook.gateway.gateway import Gateway, GatewayLimits
from fairbook.gateway.http_server import HttpServer, ServerLimits
from fairbook.ports.accounts import ALL_PERMISSIONS, READ, Access, Transfers
from fairbook.ports.history import History
from tests.world.direct_exchange import ALICE, BOB, MS, START_NS, DirectExchange, small_exchange

NO_LIMITS = GatewayLimits(account_per_minute=0, address_per_minute=0)
ALICE_TOKEN, BOB_TOKEN, READER_TOKEN = "alice-token", "bob-token", "reader-token"
ALICE_SEED = bytes(32)
ALICE_KEY = SigningKey(ALICE_SEED)
READER_KEY = SigningKey(sha256(b"reader").digest())


class DictAccounts:
    """The accounts port, in two dicts."""

    def __init__(self) -> None:
        self.keys = {
            bytes(ALICE_KEY.verify_key): Access(ALICE, ALL_PERMISSIONS, key_id=1),
            bytes(READER_KEY.verify_key): Access(ALICE, READ, key_id=2),
        }
        self.tokens = {
            ALICE_TOKEN: Access(ALICE, ALL_PERMISSIONS, token_id=1),
            BOB_TOKEN: Access(BOB, ALL_PERMISSIONS, token_id=2),
            READER_TOKEN: Access(ALICE, READ, token_id=3),
        }

    def by_key(self, public_key: bytes) -> Access | None:
        return self.keys.get(public_key)

    def by_token(self, token: str) -> Access | None:
        return self.tokens.get(token)

    def is_live(self, access: Access) -> bool:
        return access in (*self.keys.values(), *self.tokens.values())


class HttpReply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def error(self) -> tuple[int, str, str]:
        found = self.json()
        assert list(found) == ["code", "message"], found
        assert self.headers["content-type"] == "application/json; charset=utf-8"
        return self.status, found["code"], found["message"]


class HttpClient:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self) -> HttpReply:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, *lines = head[:-4].split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        body = await self.reader.readexactly(int(headers["content-length"]))
        return HttpReply(int(status.split()[1]), headers, body)

    async def is_closed(self) -> bool:
        """Wait for the server to end the connection; what it still sent does not matter."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass
        return True

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> HttpReply:
        """One request; `body` is bytes as they are, or becomes JSON."""
        await self.send(request_bytes(method, path, body, token=token, headers=headers))
        return await self.reply()


def request_bytes(
    method: str,
    path: str,
    body: Any = None,
    *,
    token: str | None = ALICE_TOKEN,
    headers: dict[str, str] | None = None,
) -> bytes:
    """A request as it goes over the wire."""
    if body is None:
        data = b""
    elif isinstance(body, bytes):
        data = body
    else:
        data = json.dumps(body, separators=(",", ":")).encode()
    fields = {"Host": "localhost"}
    if token is not None:
        fields["Authorization"] = f"Bearer {token}"
    if data:
        fields |= {"Content-Length": str(len(data)), "Content-Type": "application/json"}
    lines = [f"{name}: {value}" for name, value in {**fields, **(headers or {})}.items()]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""])
    return head.encode("latin-1") + data


class Extras(NamedTuple):
    """What a gateway may have, and can do without."""

    history: History | None = None
    transfers: Transfers | None = None
    faucet_atoms: Mapping[str, int] | None = None


class RunningExchange:
    def __init__(self, exchange: DirectExchange, gateway: Gateway, server: HttpServer) -> None:
        self.exchange = exchange
        self.gateway = gateway
        self.server = server
        self.accounts: DictAccounts = DictAccounts()
        self.clients: list[HttpClient] = []
        self.port = 0
        self.now_ms = START_NS // MS

    async def connect(self, receive_bytes: int = 0) -> HttpClient:
        """A new connection, with a small receive buffer if that is asked for."""
        sock = socket.socket()
        if receive_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        except OSError:
            sock.close()
            raise
        client = HttpClient(*await asyncio.open_connection(sock=sock))
        self.clients.append(client)
        return client


@asynccontextmanager
async def run_exchange(
    limits: GatewayLimits = NO_LIMITS,
    server_limits: ServerLimits | None = None,
    *,
    exchange: DirectExchange | None = None,
    extras: Extras = Extras(),  # noqa: B008  It never changes.
) -> AsyncIterator[RunningExchange]:
    exchange = exchange or small_exchange()
    accounts = DictAccounts()
    clock = [START_NS // MS - 10_000]  # It has been open for a while.
    gateway = Gateway(
        commands=exchange,
        queries=exchange,
        catalogue=exchange,
        accounts=accounts,
        limits=limits,
        authenticator=Authenticator(accounts, now_ms=lambda: clock[0]),
        **extras._asdict(),
    )
    clock[0] = START_NS // MS
    venue = RunningExchange(exchange, gateway, HttpServer(gateway, server_limits))
    venue.accounts = accounts
    venue.port = await venue.server.start("127.0.0.1", 0)
    try:
        yield venue
    finally:
        await venue.server.stop(drain_s=1.0)


def play(
    story: Callable[[RunningExchange, HttpClient], Awaitable[None]],
    limits: GatewayLimits = NO_LIMITS,
    server_limits: ServerLimits | None = None,
    *,
    exchange: DirectExchange | None = None,
    extras: Extras = Extras(),  # noqa: B008
) -> None:
    """Run a story against a fresh house, over one connection."""

    async def scene() -> None:
        async with run_exchange(limits, server_limits, exchange=exchange, extras=extras) as venue:
            try:
                await asyncio.wait_for(story(venue, await venue.connect()), 20)
            finally:
                for client in venue.clients:
                    client.writer.transport.abort()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene())


def signed(
    instruction: str,
    text: str = "",
    *,
    at_ms: int = START_NS // MS,
    window: int | None = 5000,
    key: SigningKey = ALICE_KEY,
) -> dict[str, str]:
    """The headers over `text`, the sorted pairs as the client would write them."""
    message = f"instruction={instruction}"
    if text:
        message += f"&{text}"
    message += f"&timestamp={at_ms}&window={5000 if window is None else window}"
    headers = {
        "X-API-Key": b64encode(bytes(key.verify_key)).decode(),
        "X-Signature": b64encode(key.sign(message.encode()).signature).decode(),
        "X-Timestamp": str(at_ms),
    }
    if window is not None:
        headers["X-Window"] = str(window)
    return headers


def query(**fields: object) -> str:
    return urlencode(sorted(fields.items()))


def bid(price: Any = "100", quantity: Any = "1", **more: Any) -> dict[str, Any]:
    """A limit order of the small exchange; `...` takes a field out."""
    order = {
        "symbol": "SOL_USDC", "side": "Bid", "orderType": "Limit", "price": price,
        "quantity": quantity, **more,
    }  # fmt: skip
    return {name: value for name, value in order.items() if value is not ...}


def ask(price: Any = "100", quantity: Any = "1", **more: Any) -> dict[str, Any]:
    return bid(price, quantity, side="Ask", **more)
