"""One WebSocket connection, typed: streams, and orders after `login`.

Design: one task reads. It passes a message of a stream to the handler of its subscription, and an
answer, by its id, to the request that waits for it. Requests are sent in the order of calls; many
may be in flight.

Invariants:
- a connection ends once: then `ended` is set, every request in flight raises OutcomeUnknown, and
  every new one Disconnected;
- a request raises OutcomeUnknown after `timeout_s` at the latest; at most IN_FLIGHT_MAX are in
  flight, and further ones wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import aiohttp
import msgspec

from fairbook.client import errors
from fairbook.client.credentials import Credentials
from fairbook.client.messages import type_of_stream
from fairbook.client.order_requests import OrderRequests

IN_FLIGHT_MAX: Final = 1024
MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024
PING_S: Final = 20.0

_STATUS: Final = {4002: 401, 4029: 429}
_LAST: Final = (
    aiohttp.WSMsgType.CLOSE,
    aiohttp.WSMsgType.CLOSING,
    aiohttp.WSMsgType.CLOSED,
    aiohttp.WSMsgType.ERROR,
)

T = TypeVar("T")
Handler = Callable[[Any], None]
logger = logging.getLogger(__name__)


class _Envelope(msgspec.Struct):
    """Any message: of a stream, or an answer."""

    stream: str | None = None
    data: msgspec.Raw = msgspec.Raw()
    id: Any = None
    status: int = 200
    result: msgspec.Raw = msgspec.Raw()
    error: errors.ErrorBody | None = None


_decode: Final = msgspec.json.Decoder(_Envelope).decode


class WebSocketClient(OrderRequests):
    """One connection, made by `open`; `async with` closes it."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        connection: aiohttp.ClientWebSocketResponse,
        *,
        timeout_s: float,
    ) -> None:
        self.ended = asyncio.Event()
        self.close_code: int | None = None
        self.close_reason = ""
        """Of the server's Close frame, if there was one."""
        self.failure: Exception | None = None
        """The exception of a handler, or InvalidAnswer, if that ended the connection."""
        self._session = session
        self._connection = connection
        self._timeout_s = timeout_s
        self._room = asyncio.Semaphore(IN_FLIGHT_MAX)
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._last_id = 0
        self._handlers: dict[str, tuple[Handler, Callable[[msgspec.Raw], Any]]] = {}
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, url: str, *, timeout_s: float = 10.0) -> WebSocketClient:
        """Connect. Raises Disconnected."""
        session = aiohttp.ClientSession()
        try:
            async with asyncio.timeout(timeout_s):
                connection = await session.ws_connect(
                    url,
                    max_msg_size=MESSAGE_BYTES_MAX,
                    heartbeat=PING_S,
                    timeout=aiohttp.ClientWSTimeout(ws_close=0.5),
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            await session.close()
            raise errors.Disconnected(f"{url}: {error!r}") from error
        except BaseException:
            await session.close()
            raise
        return cls(session, connection, timeout_s=timeout_s)

    async def close(self) -> None:
        """Return when the connection has ended."""
        self._end()
        await self._connection.close()
        await asyncio.wait((self._reader,))
        await self._session.close()

    async def login(self, credentials: Credentials) -> None:
        """Required for orders and for `account.` streams."""
        await self._request({"method": "LOGIN", **credentials.login()})

    async def cancel_on_disconnect(self, enabled: bool = True) -> None:
        """Orders that are placed from now on are cancelled when this connection ends."""
        await self.call("order.cancelOnDisconnect", {"enabled": enabled})

    async def subscribe(self, *names: str, handler: Handler) -> None:
        """Call `handler` with each message of these streams, until `unsubscribe`.

        The handler must not block: it delays the reading of messages. If it raises, the connection
        ends. Raises RequestRefused if a name is unknown to the exchange.
        """
        for name in names:
            decoder = msgspec.json.Decoder(type_of_stream(name))
            self._handlers[name] = handler, decoder.decode
        try:
            await self._request({"method": "SUBSCRIBE", "params": list(names)})
        except errors.ClientError:
            for name in names:
                self._handlers.pop(name, None)
            raise

    async def unsubscribe(self, *names: str) -> None:
        for name in names:
            self._handlers.pop(name, None)
        await self._request({"method": "UNSUBSCRIBE", "params": list(names)})

    async def _order_request(self, action: str, fields: Mapping[str, Any], answer: type[T]) -> T:
        return msgspec.json.decode(await self.call(f"order.{action}", fields), type=answer)

    async def call(self, method: str, params: Any) -> msgspec.Raw:
        """Send any request; returns the JSON of its result."""
        return await self._request({"method": method, "params": params})

    async def _request(self, frame: dict[str, Any]) -> msgspec.Raw:
        async with self._room:
            if self.ended.is_set():
                raise errors.Disconnected("the connection has ended")
            self._last_id += 1
            request_id = self._last_id
            frame["id"] = request_id
            answer: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
            self._waiting[request_id] = answer
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._connection.send_str(msgspec.json.encode(frame).decode())
                    return await answer
            except TimeoutError:
                raise errors.OutcomeUnknown(f"{frame['method']}: no answer in time") from None
            except (aiohttp.ClientError, ConnectionError) as error:
                raise errors.OutcomeUnknown(f"{frame['method']}: {error!r}") from error
            finally:
                del self._waiting[request_id]

    async def _read(self) -> None:
        """Read messages until the connection ends; then fail the requests in flight."""
        try:
            while True:
                message = await self._connection.receive()
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._on_message(message.data)
                elif message.type in _LAST:
                    if message.type is aiohttp.WSMsgType.CLOSE:
                        self.close_reason = str(message.extra or "")
                    break
        except msgspec.MsgspecError as error:
            self.failure = errors.InvalidAnswer(f"an unreadable message: {error}")
        except Exception as bug:
            # A bug of a handler must not look like a lost connection.
            logger.exception("a handler of a stream failed")
            self.failure = bug
        finally:
            self.close_code = self._connection.close_code
            self._end()
        await self._connection.close()

    def _end(self) -> None:
        self.ended.set()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(
                    errors.OutcomeUnknown("the connection ended before the answer")
                )

    def _on_message(self, text: str) -> None:
        envelope = _decode(text)
        if envelope.stream is not None:
            found = self._handlers.get(envelope.stream)
            if found is not None:
                handler, decode = found
                handler(decode(envelope.data))
            return
        answer = self._waiting.get(envelope.id) if type(envelope.id) is int else None
        if envelope.error is None:
            if answer is not None and not answer.done():
                answer.set_result(envelope.result)
            return
        code = envelope.error.code
        # Errors of the protocol itself carry a number, and no status.
        status = _STATUS.get(code, 400) if isinstance(code, int) else envelope.status
        error = envelope.error.exception(status)
        if answer is None:
            logger.warning("an error that answers no request: %s", error)
        elif not answer.done():
            answer.set_exception(error)
