"""HTTP: uvicorn's httptools protocol, with the limits an open port needs, inside the caller's event
loop.

How it works: uvicorn parses and writes; its server, signal handling and timers are not used.
Instead of a timer per request there is one sweep a second over all connections, which closes those
that are slow to send, idle for long, or do not read their replies.

Always true:
- requests of one connection are answered in their order, protocol errors too: an error is never
  taken for the answer to an order that was sent before it;
- connections, header lines and bytes, and bodies are bounded; what is over ends the connection with
  a JSON error.

Not here: what is asked (app.py).
"""

from __future__ import annotations

import asyncio
import time
from asyncio import AbstractEventLoop, AbstractServer, Transport
from email.utils import formatdate
from typing import Any, Final, NamedTuple, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from fairbook.api.errors import ApiError, BadRequest
from fairbook.gateway.app import Gateway

_URL_BYTES_MAX: Final = 8 * 1024
_HEAD_BYTES_MAX: Final = 64 * 1024  # received while a head is incomplete
_HEADERS_MAX: Final = 100
_SWEEP_S: Final = 1
_CLOSE_S: Final = 1.0  # for transports to end after they were closed


class ServerLimits(NamedTuple):
    """Limits of connections."""

    connections_max: int = 4096
    connections_per_address_max: int = 1024
    request_s: float = 10.0  # from the first byte of a request, or the connection, to its last
    idle_s: float = 75.0  # between requests
    reply_s: float = 60.0  # from the last byte of a request to the last of its reply


class NotOurs(Exception):
    """A head that is larger than any of ours, or of another version of HTTP."""


class HttpServer:
    """Serves a gateway on one port. `start` once; `stop` is idempotent; in one event loop."""

    def __init__(self, app: Gateway, limits: ServerLimits | None = None) -> None:
        self.limits = limits or ServerLimits()
        self.seconds = 0  # sweeps so far: the clock of the connections
        self.of_address: dict[str, int] = {}
        self._app = app
        self._config = Config(
            cast(Any, app),
            http=HttpToolsProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
        self._config.load()
        self._state = ServerState()
        self._listener: AbstractServer | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port, which the system chooses if `port` is 0. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: Connection(self._config, self._state, {}, loop, server=self),
            host,
            port,
            backlog=2048,
        )
        self._sweep(loop)
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    async def stop(self, drain_s: float) -> None:
        """Take no more requests (503), let those under way end within `drain_s`, then close."""
        if self._listener is None:
            return
        self._listener.close()
        self._listener = None
        self._app.stopping = True
        if self._state.tasks:
            await asyncio.wait(set(self._state.tasks), timeout=drain_s)
        for connection in list(self._state.connections):
            connection.transport.close()
        loop = asyncio.get_running_loop()
        end = loop.time() + _CLOSE_S
        # uvicorn keeps a set, and tells nobody when it is empty.
        while self._state.connections and loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        for connection in list(self._state.connections):
            connection.transport.abort()
        for task in list(self._state.tasks):
            task.cancel()  # It has nobody left to answer.
        if self._sweeper is not None:
            self._sweeper.cancel()

    def has_room(self, address: str) -> bool:
        """Whether one more connection may come from here."""
        return (
            len(self._state.connections) < self.limits.connections_max
            and self.of_address.get(address, 0) < self.limits.connections_per_address_max
        )

    def _sweep(self, loop: AbstractEventLoop) -> None:
        self.seconds += _SWEEP_S
        date = formatdate(time.time(), usegmt=True).encode()
        self._state.default_headers = [(b"date", date)]
        for connection in list(self._state.connections):
            cast(Connection, connection).check_pace()
        self._sweeper = loop.call_later(_SWEEP_S, self._sweep, loop)


class Connection(HttpToolsProtocol):
    """One client connection."""

    def __init__(
        self,
        config: Config,
        state: ServerState,
        app_state: dict[str, Any],
        loop: AbstractEventLoop,
        *,
        server: HttpServer,
    ) -> None:
        super().__init__(config, state, app_state, loop)
        self._server = server
        self._limits = server.limits
        self._address = ""
        self._counted = False
        self._reading = True  # a request has begun and is not complete; also before the first one
        self._in_head = True
        self._head_bytes = 0
        self._ending = False  # nothing more is read
        self._since = server.seconds  # when reading, waiting or replying began

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Take the connection, or refuse it if there are too many."""
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if peer else ""
        if not self._server.has_room(self._address):
            self._ending = True
            transport.write(_error_bytes(ApiError(503, "TRADING_PAUSED", "Too many connections")))
            transport.close()
            return
        self._counted = True
        of_address = self._server.of_address
        of_address[self._address] = of_address.get(self._address, 0) + 1
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Requests under way end by themselves: what was submitted happens."""
        if not self._counted:
            return
        of_address = self._server.of_address
        left = of_address[self._address] - 1
        if left:
            of_address[self._address] = left
        else:
            del of_address[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; a head that grows without end is an error."""
        if self._ending:
            return
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > _HEAD_BYTES_MAX and not self._ending:
            self.send_400_response("Request head is too large")

    def send_400_response(self, msg: str) -> None:
        """What cannot be parsed ends the connection, after the replies that are still owed."""
        self._ending = True
        broken = self.cycle if self._reading and not self._in_head else None  # its body broke off
        if broken is not None and self.pipeline:
            self.pipeline.popleft()  # It is the newest, and had to wait.
        elif broken is not None and not broken.response_complete:
            broken.disconnected = True  # It will never be complete; nobody else is owed anything.
            broken.message_event.set()
            self._refuse(broken.response_started)
        elif not self._is_replying():
            self._refuse(False)

    def _is_replying(self) -> bool:
        cycle = cast(RequestResponseCycle | None, self.cycle)  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _refuse(self, has_begun: bool) -> None:
        """End the connection, with an error unless a reply `has_begun`."""
        if not has_begun:
            self.transport.write(_error_bytes(BadRequest("Malformed HTTP request")))
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """An Upgrade header is ignored: the request is answered as what it is."""

    def _unset_keepalive_if_required(self) -> None:
        """No timer per connection: see `check_pace`."""

    # Parser callbacks.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._reading = self._in_head = True
        self._head_bytes = 0
        self._since = self._server.seconds
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A part of the path and query."""
        super().on_url(url)
        if len(self.url) > _URL_BYTES_MAX:
            raise NotOurs

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line, or one of the trailer, which nobody wants."""
        if not self._in_head:
            return
        super().on_header(name, value)
        if len(self.headers) > _HEADERS_MAX:
            raise NotOurs

    def on_headers_complete(self) -> None:
        """The head is whole: the application starts, or waits its turn."""
        if self.parser.get_http_version() not in ("1.1", "1.0"):
            raise NotOurs
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._reading = False
        self._since = self._server.seconds
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The reply is written: the next request's turn."""
        if not self._reading:
            self._since = self._server.seconds
        if self.transport.is_closing():
            return
        if self.pipeline:
            self.flow.resume_reading()
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._ending:
            self.transport.close()
        else:
            self.flow.resume_reading()

    def check_pace(self) -> None:
        """Close if the client is too slow; once a second."""
        seconds = self._server.seconds - self._since
        if self._reading:
            if seconds > self._limits.request_s:
                self.transport.close()
        elif not self._is_replying():
            if seconds > self._limits.idle_s:
                self.transport.close()
        elif seconds > self._limits.reply_s:
            self.transport.abort()


def _error_bytes(error: ApiError) -> bytes:
    body = error.body()
    return b"".join(
        (
            STATUS_LINE[error.status],
            b"content-type: application/json; charset=utf-8\r\nconnection: close\r\n",
            b"content-length: %d\r\n\r\n" % len(body),
            body,
        )
    )
