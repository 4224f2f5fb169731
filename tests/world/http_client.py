"""An asynchronous HTTP client over one raw connection, and the requests that tests send with it."""

import asyncio
import json
from base64 import b64encode
from typing import Any, NamedTuple
from urllib.parse import urlencode

from nacl.signing import SigningKey

from tests.world.contract_check import check_reply
from tests.world.direct_exchange import MS, START_NS
from tests.world.memory_accounts import ALICE_KEY, ALICE_TOKEN


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
        length = headers.get("content-length")
        body = await (self._chunks() if length is None else self.reader.readexactly(int(length)))
        return HttpReply(int(status.split()[1]), headers, body)

    async def is_closed(self) -> bool:
        """Wait for the server to end the connection; what it still sent does not matter."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass
        return True

    async def _chunks(self) -> bytes:
        chunks: list[bytes] = []
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            chunks.append((await self.reader.readexactly(size + 2))[:-2])
        await self.reader.readexactly(2)
        return b"".join(chunks)

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
        reply = await self.reply()
        if "content-encoding" not in reply.headers:
            check_reply(method, path, reply.status, reply.body)
        return reply


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
