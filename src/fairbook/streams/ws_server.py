"""The WebSocket server: handshakes, limits and deadlines of connections.

Design: a `StreamConnection` collects the head of the request and checks it; then `WebSocket` takes
over the transport (websocket.py). One sweep a second over all connections replaces timers.

Invariants:
- connections, in all and per address, heads, messages and fragments are bounded; a handshake
  counts as a connection;
- a connection that is to be closed ends within `linger_s`, whether or not the client reads;
- a connection that has ended is freed at once, without the collector of cyclic garbage.
"""

from __future__ import annotations

import asyncio
import math
import socket
from asyncio import AbstractEventLoop, BaseTransport, Transport
from collections.abc import Collection
from http import HTTPStatus
from typing import Final, NamedTuple, cast

from fairbook.api.errors import INVALID_CLIENT_REQUEST, ApiError, BadRequest, not_found
from fairbook.net.addresses import address_key
from fairbook.net.connection_limits import SERVER_FULL, ConnectionLimits
from fairbook.net.descriptors import ConnectionBudget
from fairbook.net.proxies import FORWARDED_FOR, TrustedProxies
from fairbook.net.ws_frames import GOING_AWAY
from fairbook.net.ws_handshake import HEAD_BYTES_MAX, HEAD_END, HandshakeError, check_head
from fairbook.streams.hub import Hub
from fairbook.streams.websocket import WebSocket

_SWEEP_S: Final = 1.0
_REFUSED_MAX: Final = 64  # refused connections that are sent a response; more are aborted
_KERNEL_READ_BYTES: Final = 64 * 1024
_KERNEL_WRITE_BYTES: Final = 256 * 1024  # more would only hold outdated data for slow readers
_HANDSHAKE_CODES: Final = {403: "FORBIDDEN", 404: not_found().code}  # else INVALID_CLIENT_REQUEST


class StreamLimits(NamedTuple):
    """Limits of connections."""

    connections_max: int = 4096
    connections_per_address_max: int = 10
    message_bytes_max: int = 4096
    handshake_s: float = 5.0
    ping_s: float = 60.0  # between pings
    pong_s: float = 120.0  # since the last pong, or the beginning
    linger_s: float = 2.0  # for a Close frame to arrive and be answered
    transport_bytes_max: int = 64 * 1024  # unsent; with more the client is slow
    origins: Collection[str] = ()  # whose pages may connect: see net/origins.py
    hosts: Collection[str] | None = None  # names of this exchange; None: any
    proxies: TrustedProxies = TrustedProxies()


class StreamServer:
    """Serves a hub on one port, in one event loop. `start` once; `stop` is idempotent."""

    def __init__(
        self,
        hub: Hub,
        limits: StreamLimits | None = None,
        *,
        budget: ConnectionBudget | None = None,
    ) -> None:
        """budget: shared with other servers."""
        self.hub = hub
        self.limits = limits or StreamLimits()
        self.connections: dict[StreamConnection, None] = {}
        self.is_stopping = False
        self.admitted = ConnectionLimits(
            connections_max=self.limits.connections_max,
            per_address_max=self.limits.connections_per_address_max,
            budget=budget,
        )
        self._refused = 0
        self._listener: asyncio.AbstractServer | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port, which the system chooses if `port` is 0. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: StreamConnection(self, loop),
            host,
            port,
            backlog=self.admitted.budget.backlog,
            start_serving=False,
        )
        for listening in self._listener.sockets:
            # Connections inherit both.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KERNEL_READ_BYTES)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_WRITE_BYTES)
        await self._listener.start_serving()
        self._sweeper = loop.call_later(_SWEEP_S, self._sweep, loop)
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    def adopt(self, transport: Transport, received: bytes) -> None:
        """Serve a connection that another server has accepted, under the limits of this one.
        received: what its client has sent: at least the head of its request.
        """
        accepted = transport.get_extra_info("socket")
        if accepted is not None:
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_WRITE_BYTES)
        connection = StreamConnection(self, asyncio.get_running_loop())
        transport.set_protocol(connection)
        connection.connection_made(transport)
        connection.receive(received)

    async def stop(self, drain_s: float) -> None:
        """Stop listening, then close all connections, many of them spread over `drain_s`."""
        if self._listener is None:
            return
        self._listener.close()
        self._listener = None
        self.is_stopping = True
        await self.hub.stop(drain_s)
        loop = asyncio.get_running_loop()
        end = loop.time() + self.limits.linger_s
        while self.connections and loop.time() < end:  # noqa: ASYNC110 - only `stop` waits for it
            await asyncio.sleep(0.005)
        for connection in list(self.connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
        await asyncio.sleep(0)  # for the transports to call connection_lost

    def status(self) -> dict[str, int]:
        return self.hub.status() | {"refused": self._refused}

    def admit(self, connection: StreamConnection) -> ApiError | None:
        self.connections[connection] = None
        exceeded = self.admitted.admit(connection.address_key, connection)
        if exceeded is None:
            connection.is_admitted = True
            return None
        self._refused += 1
        if len(self.connections) - self.admitted.open > _REFUSED_MAX:
            connection.abort()
        if exceeded == SERVER_FULL:
            return ApiError(503, "TRADING_PAUSED", exceeded, retry_after_s=5)
        return ApiError(429, "TOO_MANY_REQUESTS", exceeded, retry_after_s=5)

    def release(self, connection: StreamConnection) -> None:
        del self.connections[connection]
        if connection.is_admitted:
            self.admitted.release(connection.address_key, connection)

    def _sweep(self, loop: AbstractEventLoop) -> None:
        self._sweeper = loop.call_later(_SWEEP_S, self._sweep, loop)
        now = loop.time()
        for connection in list(self.connections):
            connection.check_deadlines(now)
        self.hub.sweep()


class StreamConnection(asyncio.BufferedProtocol):
    """One accepted socket, from its first byte to its last: its handshake and its deadlines."""

    def __init__(self, server: StreamServer, loop: AbstractEventLoop) -> None:
        self.is_admitted = False
        self.websocket: WebSocket | None = None
        self._server = server
        self._loop = loop
        self._buffer = bytearray(HEAD_BYTES_MAX)
        self._size = 0
        self._is_answered = False
        self._refusal: ApiError | None = None
        self._abort_at = loop.time() + server.limits.handshake_s

    # What the transport calls, until the handshake has ended.

    def connection_made(self, transport: BaseTransport) -> None:
        self._transport = cast(Transport, transport)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        is_proxy = self._server.limits.proxies.trusts(self.address)
        self.address_key = "" if is_proxy else address_key(self.address)
        self._refusal = self._server.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Room for the rest of a head; what follows a response is overwritten."""
        return memoryview(self._buffer)[0 if self._is_answered else self._size :]

    def buffer_updated(self, nbytes: int) -> None:
        if self._is_answered:
            return
        self._server.admitted.budget.has_spoken(self)
        searched = max(0, self._size - len(HEAD_END))
        self._size += nbytes
        head_end = self._buffer.find(HEAD_END, searched, self._size)
        try:
            if head_end >= 0:
                self._upgrade(head_end + len(HEAD_END))
            elif self._size == HEAD_BYTES_MAX:
                raise BadRequest("Request is too large")
        except HandshakeError as error:
            code = _HANDSHAKE_CODES.get(error.status, INVALID_CLIENT_REQUEST)
            self._refuse(ApiError(error.status, code, error.message))
        except ApiError as error:
            self._refuse(error)

    def receive(self, received: bytes) -> None:
        """What was received before this connection read from its transport."""
        while received and self.websocket is None and not self._is_answered:
            room = self.get_buffer(-1)
            size = min(len(room), len(received))
            room[:size] = received[:size]
            received = received[size:]
            self.buffer_updated(size)
        if received and self.websocket is not None:
            self.websocket.feed(received)

    def eof_received(self) -> bool:
        return False

    # Deadlines, by the loop's time.

    def check_deadlines(self, now: float) -> None:
        websocket = self.websocket
        limits = self._server.limits
        if now >= self._abort_at:
            self.abort()
        elif websocket is None:
            pass  # Its handshake has time until `_abort_at`.
        elif websocket.is_closing():
            self._closing()  # picows has sent a Close, or the client has.
        elif now - websocket.pong_at >= limits.pong_s:
            websocket.client.close(GOING_AWAY, "no pong")
        elif now - websocket.pinged_at >= limits.ping_s:
            websocket.ping(now)

    def abort(self) -> None:
        self._transport.abort()

    give_way = abort

    def _closing(self) -> None:
        """The last bytes are sent: what was sent may still arrive."""
        self._abort_at = min(self._abort_at, self._loop.time() + self._server.limits.linger_s)

    def _ended(self) -> None:
        self.websocket = None
        self._server.release(self)

    # The handshake.

    def _upgrade(self, head_bytes: int) -> None:
        """Hand the transport to a WebSocket, with the rest of what was received."""
        if self._server.is_stopping:
            raise ApiError(503, "MAINTENANCE", "The exchange is stopping", retry_after_s=5)
        if self._refusal is not None:
            raise self._refusal
        limits = self._server.limits
        sent = bytes(self._buffer[:head_bytes])
        head = check_head(sent, limits.origins, limits.hosts)
        if not self.address_key:
            self._name_client(sent)
        received = bytes(self._buffer[head_bytes : self._size])
        self._buffer = bytearray()
        self._abort_at = math.inf
        self.websocket = WebSocket(
            self._server.hub, self.address, message_bytes_max=limits.message_bytes_max,
            closing=self._closing, ended=self._ended,
        )  # fmt: skip
        self._transport.set_write_buffer_limits(high=limits.transport_bytes_max)
        self.websocket.start(self._transport, head, received)

    def _name_client(self, head: bytes) -> None:
        """Of a connection through a proxy. Raises TOO_MANY_REQUESTS."""
        lines = [line.partition(b":") for line in head.split(b"\r\n")]
        forwarded = [value for name, _, value in lines if name.lower() == FORWARDED_FOR]
        self.address = self._server.limits.proxies.client(self.address, forwarded)
        key = address_key(self.address)
        exceeded = self._server.admitted.name(key)
        if exceeded is not None:
            raise ApiError(429, "TOO_MANY_REQUESTS", exceeded, retry_after_s=5)
        self.address_key = key

    def _refuse(self, error: ApiError) -> None:
        """Respond, and let the client close: closing at once could lose the response to a reset."""
        self._is_answered = True
        self._transport.write(_response(error))
        self._transport.write_eof()
        self._closing()


def _response(error: ApiError) -> bytes:
    body = error.body()
    lines = [
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
        "content-type: application/json; charset=utf-8",
        f"content-length: {len(body)}",
        "connection: close",
    ]
    if error.retry_after_s:
        lines.append(f"retry-after: {error.retry_after_s}")
    if error.status == HTTPStatus.UPGRADE_REQUIRED:
        lines += ["upgrade: websocket", "sec-websocket-version: 13"]
    return "\r\n".join((*lines, "", "")).encode() + body
