"""One HTTP connection: an asyncio protocol on httptools' parser, with the limits of an open port.

Design: the requests of a connection are queued as they are parsed, and answered one after the
other. The gateway gets a request once its body is read; if its endpoint reads none, at once. One
sweep a second closes connections that are slow, idle, or do not read their responses: there is no
timer per request.

Invariants:
- responses leave in the order of the requests of their connection. An error for malformed data is
  sent only if no earlier response is missing, so it cannot be taken for one;
- connections, URLs, headers, bodies and pipelined requests are bounded. A connection that exceeds
  a bound is closed;
- reading pauses while requests wait for the one before them, and no request is started while the
  client does not read the response before.
"""

import asyncio
import logging
import math
from asyncio import BaseTransport, Transport
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from fairbook.api.errors import ApiError, BadRequest
from fairbook.api.requests import BODY_BYTES_MAX
from fairbook.gateway.authorization import too_large
from fairbook.gateway.compression import COMPRESSED_BYTES_MIN
from fairbook.gateway.cors import PREFLIGHT, cors_headers, is_preflight
from fairbook.gateway.rate_limits import REFUSED_PAUSE_S
from fairbook.gateway.request import Endpoint, JsonOrReply, Request, Sender, id_lines, to_reply
from fairbook.gateway.server_state import ServerState
from fairbook.net.addresses import address_key
from fairbook.net.hosts import refusal
from fairbook.net.proxies import FORWARDED_FOR

_URL_BYTES_MAX: Final = 8 * 1024
_HEAD_BYTES_MAX: Final = 64 * 1024  # received while a head is incomplete
_REQUEST_BYTES_MAX: Final = 256 * 1024  # of a whole request, chunk sizes and trailer included
_LENGTH_DIGITS_MAX: Final = 5  # of a Content-Length whose body is worth receiving
_HEADERS_MAX: Final = 100
_PIPELINED_MAX: Final = 256  # unanswered requests of one connection
_LINGER_S: Final = 2

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_UPGRADE_URLS: Final = (b"/ws", b"//ws")

logger = logging.getLogger(__name__)


class _ReceivedRequest(Request):
    """A request in the queue of its connection."""

    __slots__ = (
        "added_headers", "endpoint", "error", "is_head", "is_ready", "keeps_alive",
        "wants_continue",
    )  # fmt: skip

    added_headers: tuple[tuple[bytes, bytes], ...]  # to those of the response
    endpoint: Endpoint
    error: ApiError | None  # instead of an endpoint
    is_head: bool  # the response has no body
    is_ready: bool  # can be answered; no more of its body is needed
    keeps_alive: bool
    wants_continue: bool  # "100 Continue" must be sent before the body comes


class HttpConnection(asyncio.Protocol):
    """One client connection."""

    def __init__(self, server: ServerState) -> None:
        self._server = server
        self.transport = cast(Transport, None)
        self._parser = self._new_parser()
        self._address = ""
        self._address_key = ""
        self._is_proxy = False  # each request has an address of its own
        self._sender = Sender()
        self._requests: deque[_ReceivedRequest] = deque()  # unanswered; the last may be incomplete
        self._reading: _ReceivedRequest | None = None  # its head is complete, its body is not
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []  # of the head that is being read
        self._host = b"\0"  # the Host header that was accepted
        self._is_silent = True  # nothing was received
        self._is_reading = True  # a request has begun and is not complete; also before the first
        self._is_in_head = True
        self._received_bytes = 0  # of the request that is being read
        self._begun = 0  # requests that began in the last data
        self.is_answering = False  # the first request is with the gateway, or its response is sent
        self._is_streaming = False  # and its response has begun
        self._is_draining = False  # and its response is written, but the client must read first
        self._is_ending = False  # no more requests are taken
        self._is_lingering = False  # and nothing more is sent
        self._drained: asyncio.Future[None] | None = None  # pending while writing is paused
        self._since_s = server.swept_s  # when reading, waiting or answering began
        self._unsent_bytes = 0  # as the last sweep has seen them
        self._read_s = 0.0  # when the client read some of what was unsent, or that began

    # The transport's callbacks.

    def connection_made(self, transport: BaseTransport) -> None:
        self.transport = cast(Transport, transport)
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if peer else ""
        self._is_proxy = self._server.limits.proxies.trusts(self._address)
        self._address_key = "" if self._is_proxy else address_key(self._address)
        if self._server.admitted.admit(self._address_key, self) is not None:
            self._is_ending = True
            self._write_error(ApiError(503, "TRADING_PAUSED", "Too many connections"))
            self.transport.close()
        else:
            self._server.connections.add(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Commands that were submitted are executed all the same."""
        self._forget()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._is_ending:
            return
        if self._is_silent:
            self._is_silent = False
            self._server.admitted.budget.has_spoken(self)
        is_first = not self._is_reading or not self._received_bytes
        self._begun = 0
        if self._is_reading:
            self._received_bytes += len(data)
        try:
            self._parse(data)
        except HttpParserError:
            self._refuse(BadRequest("Malformed HTTP request"))
        if is_first and self._begun == 1:
            self._received_bytes = len(data)  # All of it belongs to this one request.
        bytes_max = _HEAD_BYTES_MAX if self._is_in_head else _REQUEST_BYTES_MAX
        if self._is_reading and self._received_bytes > bytes_max and not self._is_ending:
            # Also in a trailer: the parser joins the pieces of a header in quadratic time.
            self._refuse(BadRequest("Request is too large"))
        if self._requests:
            if len(self._requests) > 1:
                self.transport.pause_reading()
            self._start_next()

    def eof_received(self) -> bool:
        """A client may close its sending side before it has all responses."""
        self._is_ending = True
        if self._reading is not None and not self._reading.is_ready:
            self._drop_unfinished()
        return self._is_owing()

    def pause_writing(self) -> None:
        self._drained = asyncio.get_running_loop().create_future()
        unsent_bytes = self.transport.get_write_buffer_size()
        self._server.unsent.hold(self, self._address_key, unsent_bytes)

    def resume_writing(self) -> None:
        self._server.unsent.release(self)
        self._read_s = self._server.swept_s
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)
        if self._is_draining:
            self._is_draining = False
            self._next()

    # Parsing.

    def _new_parser(self) -> HttpRequestParser:
        parser = HttpRequestParser(self)
        # What a client sends after "Connection: close" must not spoil the response before.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def _parse(self, data: bytes) -> None:
        """Feed the parser. After a head with an Upgrade header it stops, and would leave even the
        body of this request to the other protocol. An upgrade that is not granted is therefore
        parsed again without that header.
        """
        while data and not self._is_ending:
            try:
                self._parser.feed_data(data)
                return
            except HttpParserUpgrade as upgrade:
                rest = data[upgrade.args[0] :]
                if self._hand_over(rest):
                    return
                head = self._head(without=b"upgrade")
                self._parser = self._new_parser()
                self._parser.feed_data(head)
                data = rest

    def _head(self, *, without: bytes = b"") -> bytes:
        """The head that was read, but for headers of the name `without`."""
        version = self._parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s\r\n" % (self._parser.get_method(), self._url, version)]
        lines += [b"%s: %s\r\n" % line for line in self._headers if line[0] != without]
        return b"".join((*lines, b"\r\n"))

    def _hand_over(self, received: bytes) -> bool:
        """Give the transport to the streams, if a WebSocket at /ws is asked for."""
        upgrade = self._server.upgrade
        if upgrade is None or self._is_owing():
            return False
        wanted = dict(self._headers).get(b"upgrade", b"").lower()
        if self._url.partition(b"?")[0] not in _UPGRADE_URLS or wanted != b"websocket":
            return False
        head = self._head()
        self._forget()
        upgrade(self.transport, head + received)
        return True

    # The parser's callbacks. It raises what they raise as an HttpParserError.

    def on_message_begin(self) -> None:
        if len(self._requests) >= _PIPELINED_MAX:
            raise HttpParserError("too many pipelined requests")
        self._is_reading = self._is_in_head = True
        self._reading = None
        self._received_bytes = 0
        self._begun += 1
        self._since_s = self._server.swept_s
        self._url = b""
        self._headers = []

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > _URL_BYTES_MAX:
            raise HttpParserError("long URL")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._is_in_head:
            return  # In the trailer, which is not used.
        self._headers.append((name.lower(), value))
        if len(self._headers) > _HEADERS_MAX:
            raise HttpParserError("too many headers")

    def on_headers_complete(self) -> None:
        parser = self._parser
        version = parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise HttpParserError("unsupported version")
        method = parser.get_method()
        if parser.should_upgrade():
            if method == b"CONNECT":
                raise HttpParserError("CONNECT is not supported")
            return  # The parser stops after this head: see `_parse`.
        headers = dict(self._headers)
        if self._is_proxy:
            self._address = self._client_of_proxy()
        request = _ReceivedRequest(self._url, b"", headers, self._address, self._sender)
        request.keeps_alive = version == "1.1" and parser.should_keep_alive()
        request.is_head = method == b"HEAD"
        self._server.requests += 1
        request.number = self._server.requests
        request.error = None
        expect = headers.get(b"expect")
        request.wants_continue = expect is not None and expect.lower() == b"100-continue"
        origin = headers.get(b"origin")
        request.added_headers = ()
        try:
            if headers.get(b"host") != self._host or len(headers) != len(self._headers):
                self._check_host()
            found = None if origin is None else self._cors(origin, method, request)
            if found is None:
                found = self._server.gateway.routes.find(method, self._url)
            request.endpoint, request.path, request.query = found
            request.is_ready = request.endpoint.reads == "query"
            if not request.is_ready:
                length = headers.get(b"content-length")
                if length is not None and len(length) > _LENGTH_DIGITS_MAX:
                    raise too_large()
        except ApiError as error:
            request.error = error
            request.is_ready = True
        self._is_in_head = False
        self._reading = request
        self._requests.append(request)

    def _client_of_proxy(self) -> str:
        peer = str(self.transport.get_extra_info("peername")[0])
        forwarded = [value for name, value in self._headers if name == FORWARDED_FOR]
        return self._server.limits.proxies.client(peer, forwarded)

    def _check_host(self) -> None:
        hosts = [value for name, value in self._headers if name == b"host"]
        why = refusal(hosts, self._server.limits.hosts)
        if why is not None:
            raise BadRequest(why)
        self._host = hosts[0]

    def _cors(
        self, origin: bytes, method: bytes, request: _ReceivedRequest
    ) -> tuple[Endpoint, bytes, bytes] | None:
        """Add headers for a page of this origin. Returns what it has found, for a preflight."""
        limits = self._server.limits
        if not limits.has_cors:
            return None
        request.added_headers = cors_headers(origin, request.headers.get(b"host"), limits.origins)
        return (PREFLIGHT, self._url, b"") if is_preflight(method, request.headers) else None

    def on_body(self, body: bytes) -> None:
        request = self._reading
        if request is None or request.is_ready:
            return
        request.body += body
        if len(request.body) > BODY_BYTES_MAX:
            request.is_ready = self._is_ending = True  # It is answered with 413.

    def on_message_complete(self) -> None:
        self._is_reading = False
        self._since_s = self._server.swept_s
        if self._reading is not None:
            self._reading.is_ready = True
            self._reading = None

    # Answering.

    def _start_next(self) -> None:
        if self.is_answering or not self._requests:
            return
        request = self._requests[0]
        if request.is_ready:
            self.is_answering = True
            gateway = self._server.gateway
            if request.error is not None:
                self.respond(gateway.charge(request.error, self._address))
                return
            awaited = gateway.handle(request.endpoint, request, self.respond)
            if awaited is not None:
                if request.is_held:
                    self.transport.pause_reading()
                    request.held_bytes = sum(queued.size() for queued in self._requests)
                self._server.spawn(awaited)
        else:
            self.transport.resume_reading()
            if request.wants_continue:
                request.wants_continue = False
                self.transport.write(_CONTINUE)

    def respond(self, answer: JsonOrReply | ApiError, position: int = 0) -> None:
        if self._is_lingering or self.transport.is_closing():
            return
        request = self._requests[0]
        added = request.added_headers
        is_plain = request.keeps_alive and not (request.is_head or added)
        if type(answer) is bytes and len(answer) < COMPRESSED_BYTES_MIN and is_plain:
            ids = id_lines(request.number, position)
            self.transport.write(
                b"%s%scontent-length: %d\r\n\r\n%s"
                % (self._server.ok_head, ids, len(answer), answer)
            )
            self._answered()
            return
        reply = to_reply(answer)
        if request.error is None and not request.endpoint.writes:
            reply = self._server.compression.of(reply, request)
        if added:
            reply = reply._replace(headers=reply.headers + added)
        if reply.closes:
            request.keeps_alive = False
        head = reply.head(
            self._server.date_line,
            is_closing=not request.keeps_alive,
            more=id_lines(request.number, position),
        )
        if reply.pieces is not None and not request.is_head:
            self._is_streaming = True
            self.transport.write(head)
            self._server.spawn(self._send_pieces(reply.pieces, is_chunked=request.keeps_alive))
        else:
            self.transport.write(head if request.is_head else head + reply.body)
            self._answered(REFUSED_PAUSE_S if reply.status == 429 else 0.0)

    async def _send_pieces(self, pieces: AsyncIterator[bytes], *, is_chunked: bool) -> None:
        """Send a body piece by piece, as fast as the client reads it."""
        transport = self.transport
        try:
            async for piece in pieces:
                if self._drained is not None:
                    await self._drained
                if self._is_lingering or transport.is_closing():
                    break
                self._since_s = self._server.swept_s
                if piece:
                    transport.write(b"%x\r\n%s\r\n" % (len(piece), piece) if is_chunked else piece)
        except Exception:
            logger.exception("a response broke off")
            transport.abort()
        self._is_streaming = False
        if not self._is_lingering and not transport.is_closing():
            if is_chunked:
                transport.write(b"0\r\n\r\n")
            self._answered()

    def _answered(self, pause_s: float = 0.0) -> None:
        """The response to the first request is written; the next is answered after a pause."""
        request = self._requests.popleft()
        if not request.keeps_alive:
            self._end()
        elif self._drained is not None:
            self._is_draining = True
        elif pause_s:
            asyncio.get_running_loop().call_later(pause_s, self._next)
        else:
            self._next()

    def _next(self) -> None:
        self.is_answering = False
        self._server.progress.set()
        if not self._is_reading:
            self._since_s = self._server.swept_s
        if self._requests:
            # In another turn of the loop, so that one connection does not hold up the others.
            asyncio.get_running_loop().call_soon(self._start_next)
        elif self._is_ending:
            self._end()
        else:
            self.transport.resume_reading()

    def _is_owing(self) -> bool:
        return self.is_answering or bool(self._requests)

    # Ending.

    def _refuse(self, error: ApiError) -> None:
        """End the connection, because what it sends cannot be parsed."""
        if self._is_ending:
            return  # The body of its last request was too large.
        self._is_ending = True
        answer = self._server.gateway.charge(error, self._address)
        is_answered = False
        if self._reading is not None:  # Its body is malformed.
            is_answered = self._is_streaming or not self._requests
            self._drop_unfinished()
        if not self._requests:
            if not is_answered:
                self._write_error(answer)
            self._end()

    def _drop_unfinished(self) -> None:
        """Forget the request whose body is not complete, and never will be."""
        self._reading = None
        if self._requests:
            self._requests.pop()

    def _write_error(self, error: ApiError) -> None:
        reply = to_reply(error)
        self.transport.write(reply.head(self._server.date_line, is_closing=True) + reply.body)

    def _end(self) -> None:
        """Send no more, and ignore what still comes until the client closes. Closing at once would
        cause a reset, to which the client could lose the last response.
        """
        if self._is_lingering or self.transport.is_closing():
            return
        self._is_ending = self._is_lingering = True
        self._reading = None
        self._requests.clear()
        self.is_answering = False
        self._server.progress.set()
        self._since_s = self._server.swept_s
        self.transport.write_eof()
        self.transport.resume_reading()

    def _forget(self) -> None:
        """This connection is no longer the server's."""
        if self in self._server.connections:
            self._server.connections.discard(self)
            self._server.admitted.release(self._address_key, self)
            self._server.progress.set()
        self._is_ending = self._is_lingering = self._sender.is_gone = True
        self._requests.clear()
        self.is_answering = self._is_draining = False
        del self._parser  # It refers to this connection.

    def give_way(self) -> None:
        self.transport.abort()

    def check_pace(self) -> None:
        """Abort if the client is too slow: closing would wait for one that does not read."""
        limits, now_s = self._server.limits, self._server.swept_s
        before, unsent = self._unsent_bytes, self.transport.get_write_buffer_size()
        self._unsent_bytes = unsent
        if unsent < before or (unsent and not before):
            self._read_s = now_s
        if self._is_reading and not self._is_lingering:
            seconds_max = limits.request_s
        elif unsent:
            seconds_max = math.inf
        elif self._is_lingering:
            seconds_max = _LINGER_S
        else:
            seconds_max = limits.reply_s if self._is_owing() else limits.idle_s
        is_unread = unsent and now_s - self._read_s > limits.reply_s
        if is_unread or now_s - max(self._since_s, self._read_s) > seconds_max:
            self.transport.abort()
