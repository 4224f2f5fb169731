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

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from fairbook.api.errors import ApiError, BadRequest
from fairbook.api.requests import BODY_BYTES_MAX
from fairbook.gateway.gateway import CLOSE, Gateway, error_reply
from fairbook.gateway.request import JSON_TYPE, Reply, Request
from fairbook.gateway.turns import Ending, Flow, Turn
from fairbook.net.addresses import address_key

_URL_BYTES_MAX: Final = 8 * 1024
_HEAD_BYTES_MAX: Final = 64 * 1024  # received while a head is incomplete
_REQUEST_BYTES_MAX: Final = 256 * 1024  # and a whole request: no chunked body we take needs more
_HEADERS_MAX: Final = 100
_PIPELINED_MAX: Final = 256  # requests that wait for the one before them
_LINGER_S: Final = 2
_CLOSE_S: Final = 1.0  # for transports to end after they were closed


class ServerLimits(NamedTuple):
    """Limits of connections."""

    connections_max: int = 4096
    connections_per_address_max: int = 1024
    request_s: float = 10.0  # from the first byte of a request, or the connection, to its last
    idle_s: float = 75.0  # between requests
    reply_s: float = 60.0  # from the last byte of a request to the last of its reply
    sweep_s: float = 1.0  # how often it is looked whether any of these is over


class NotOurs(Exception):
    """More than any client of ours sends, or another version of HTTP."""


class HttpServer:
    """Serves a gateway on one port. `start` once; `stop` is idempotent; in one event loop."""

    def __init__(self, app: Gateway, limits: ServerLimits | None = None) -> None:
        self.limits = limits or ServerLimits()
        self.seconds = 0.0  # of sweeps so far: the clock of the connections
        self.of_address: dict[str, int] = {}
        self.app = app
        self.orders = {
            (method.encode(), path): endpoint for (method, path), endpoint in app.orders.items()
        }
        self.ok_head = b""  # of a 200 with JSON, up to its length
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
        self.app.stopping = True
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

    def has_room(self, network: str) -> bool:
        """Whether one more connection may come from here (an `address_key`)."""
        return (
            len(self._state.connections) < self.limits.connections_max
            and self.of_address.get(network, 0) < self.limits.connections_per_address_max
        )

    def _sweep(self, loop: AbstractEventLoop) -> None:
        self.seconds += self.limits.sweep_s
        date = formatdate(time.time(), usegmt=True).encode()
        self._state.default_headers = [(b"date", date)]
        self.ok_head = b"HTTP/1.1 200 OK\r\ndate: %s\r\n%s: %s\r\ncontent-length: " % (
            date,
            *JSON_TYPE,
        )
        for connection in list(self._state.connections):
            cast(Connection, connection).check_pace()
        self._sweeper = loop.call_later(self.limits.sweep_s, self._sweep, loop)


class Connection(HttpToolsProtocol):
    """One client connection.

    Requests to the order endpoints take a short way to the gateway: when nothing else is owed on
    the connection and the path is written as in the table, their body is collected here and their
    reply written here, in one piece. Everything else is ASGI under uvicorn.
    """

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
        self._network = ""  # the address as limits count it
        self._counted = False
        self._reading = True  # a request has begun and is not complete; also before the first one
        self._in_head = True
        self._received_bytes = 0  # since the request began
        self._begun = 0  # requests that began in what came last
        self._ending = False  # nothing more is taken
        self._lingering = False  # nor sent
        self._since = server.seconds  # when reading, waiting or replying began
        self._turn: Turn | None = None  # of the request that is being read
        self._answering: RequestResponseCycle | None = None  # the last that was started under ASGI

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Take the connection, or refuse it if there are too many."""
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if peer else ""
        self._network = address_key(self._address)
        if not self._server.has_room(self._network):
            self._ending = True
            transport.write(_error_bytes(ApiError(503, "TRADING_PAUSED", "Too many connections")))
            transport.close()
            return
        self._counted = True
        of_address = self._server.of_address
        of_address[self._network] = of_address.get(self._network, 0) + 1
        super().connection_made(transport)
        self.flow = Flow(transport, self.pipeline)

    def connection_lost(self, exc: Exception | None) -> None:
        """Requests under way end by themselves: what was submitted happens."""
        if not self._counted:
            return
        of_address = self._server.of_address
        left = of_address[self._network] - 1
        if left:
            of_address[self._network] = left
        else:
            del of_address[self._network]
        answering = self._answering
        if answering is not None and not answering.response_complete:
            answering.disconnected = True  # uvicorn knows of the newest request only.
            answering.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; a request that grows without end is an error, in its trailer too: the parser joins
        the pieces of a header at a cost that grows with its square.
        """
        if self._ending:
            return
        is_first = not self._reading or not self._received_bytes
        self._begun = 0
        if self._reading:
            self._received_bytes += len(data)
        try:
            self._parse(data)
        except HttpParserError:
            self.send_400_response("Malformed HTTP request")
        if is_first and self._begun == 1:
            self._received_bytes = len(data)  # All of it is of this one request.
        bytes_max = _HEAD_BYTES_MAX if self._in_head else _REQUEST_BYTES_MAX
        if self._reading and self._received_bytes > bytes_max and not self._ending:
            self.send_400_response("Request is too large")

    def _parse(self, data: bytes) -> None:
        """Feed the parser, which takes all that follows a wish to upgrade for another protocol, the
        body of that very request too: it is read again without the wish, which is granted to none.
        """
        while data and not self._ending:
            try:
                self.parser.feed_data(data)
                return
            except HttpParserUpgrade as wish:
                head = self._head_without_upgrade()
                self.parser = HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # As uvicorn's.
                self.parser.feed_data(head)
                data = data[wish.args[0] :]

    def _head_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s\r\n" % line for line in self.headers if line[0] != b"upgrade"]
        return b"".join((*lines, b"\r\n"))

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whoever sends nothing more still gets the replies that are owed; then it is closed."""
        self._ending = True
        return self._is_replying() and not self._reading

    def send_400_response(self, msg: str) -> None:
        """What cannot be parsed ends the connection, after the replies that are still owed."""
        self._ending = True
        error = self._server.app.charged(BadRequest(msg), self._address)
        broken = self.cycle if self._reading and not self._in_head else None  # its body broke off
        if broken is not None and self.pipeline:
            self.pipeline.popleft()  # It is the newest, and had to wait.
        elif broken is not None and broken.response_complete:
            self._end()  # It was answered before it was complete.
        elif broken is not None:
            broken.disconnected = True  # It will never be complete; nobody else is owed anything.
            broken.message_event.set()
            self._refuse(None if broken.response_started else error)
        elif not self._is_replying():
            self._refuse(error)

    def _is_replying(self) -> bool:
        cycle = cast(RequestResponseCycle | None, self.cycle)  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _refuse(self, error: ApiError | None) -> None:
        """End the connection, with an error unless a reply has begun."""
        if error is not None:
            self.transport.write(_error_bytes(error))
        self._end()

    def _end(self) -> None:
        """Say that nothing follows, and let run out what still comes: closing at once would be a
        reset, to which the last reply can be lost.
        """
        if self._lingering or self.transport.is_closing():
            return
        self._ending = self._lingering = True
        self.pipeline.clear()  # Nobody waits for a turn any more, and reading may go on.
        self._since = self._server.seconds
        self.transport.write_eof()
        self.flow.resume_reading()

    def _unset_keepalive_if_required(self) -> None:
        """No timer per connection: see `check_pace`."""

    # Parser callbacks.

    def on_message_begin(self) -> None:
        """A request begins. uvicorn's scope is made when it is known to be needed."""
        if len(self.pipeline) >= _PIPELINED_MAX:
            raise NotOurs
        self._reading = self._in_head = True
        self._received_bytes = 0
        self._begun += 1
        self._since = self._server.seconds
        self._turn = None
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_url(self, url: bytes) -> None:
        """A part of the path and query."""
        super().on_url(url)
        if len(self.url) > _URL_BYTES_MAX:
            raise NotOurs

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line, or one of the trailer, which nobody wants."""
        if not self._in_head:
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        headers = self.headers
        headers.append((name, value))
        if len(headers) > _HEADERS_MAX:
            raise NotOurs

    def on_headers_complete(self) -> None:
        """The head is whole: the application starts, or waits its turn."""
        version = self.parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise NotOurs
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise NotOurs
            return  # It begins again: see `_parse`.
        endpoint = self._server.orders.get((self.parser.get_method(), self.url))
        if endpoint is not None and not self._is_replying():
            headers = dict(self.headers)
            if self._is_plain(headers):
                call = Request(self.url, query=b"", headers=headers, address=self._address)
                self._turn = Turn(endpoint, call)
                self._in_head = False
                self.cycle = cast(RequestResponseCycle, self._turn)
                return
        url, lines, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url = url
        self.headers.extend(lines)
        self.expect_100_continue = expects
        super().on_headers_complete()  # Raises if the URL is none; then `cycle` is still another's.
        self._in_head = False

    def _is_plain(self, headers: dict[bytes, bytes]) -> bool:
        """Whether nothing but the request itself has to be done."""
        return (
            not self.expect_100_continue
            and self.parser.should_keep_alive()
            and len(headers.get(b"content-length", b"")) <= 5  # More is not worth receiving.
        )

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        turn = self._turn
        if turn is None:
            super().on_body(body)
        elif len(turn.call.body) <= BODY_BYTES_MAX:
            turn.call.body += body
            if len(turn.call.body) > BODY_BYTES_MAX:
                self._ending = True  # It need not come to its end.
                self._start(turn)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._reading = False
        self._since = self._server.seconds
        turn = self._turn
        if turn is not None:
            if not self._ending:
                self._start(turn)
        elif not self.parser.should_upgrade():
            super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        cycle.transport = cast(Transport, Ending(self.transport, self._end))
        super()._start_asgi_task(cycle, app)

    def _start(self, turn: Turn) -> None:
        turn.task = task = self.loop.create_task(self._answer(turn))
        self.tasks.add(task)

    async def _answer(self, turn: Turn) -> None:
        """Ask the gateway and write what it says, in one piece."""
        try:
            reply = await self._server.app.reply(turn.endpoint, turn.call)
            if self.flow.write_paused:
                await self.flow.drain()  # Whoever does not read his replies waits for the next.
        finally:
            if turn.task is not None:
                self.tasks.discard(turn.task)
        turn.response_complete = True
        if turn.disconnected or self.transport.is_closing():
            return
        if isinstance(reply, Reply):
            self.transport.write(_reply_bytes(reply))
            if CLOSE in reply.headers:
                self._end()
                return
        else:
            self.transport.write(b"%s%d\r\n\r\n%s" % (self._server.ok_head, len(reply), reply))
        self.on_response_complete()

    def on_response_complete(self) -> None:
        """The reply is written: the next request's turn."""
        if not self._reading:
            self._since = self._server.seconds
        if self._lingering or self.transport.is_closing():
            return
        if self.pipeline:
            self.flow.resume_reading()
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._ending:
            self._end()
        else:
            self.flow.resume_reading()

    def check_pace(self) -> None:
        """Close if the client is too slow; once a second."""
        seconds = self._server.seconds - self._since
        if self._lingering:
            if seconds > _LINGER_S:
                self.transport.abort()
        elif self._reading:
            if seconds > self._limits.request_s:
                self.transport.close()
        elif not self._is_replying():
            if seconds > self._limits.idle_s:
                self.transport.close()
        elif seconds > self._limits.reply_s:
            self.transport.abort()


def _error_bytes(error: ApiError) -> bytes:
    error.close = True
    return _reply_bytes(error_reply(error))


def _reply_bytes(reply: Reply) -> bytes:
    length = (b"content-length", b"%d" % len(reply.body))
    lines = [b"%s: %s\r\n" % line for line in (reply.content_type, length, *reply.headers)]
    return b"".join((STATUS_LINE[reply.status], *lines, b"\r\n", reply.body))
