"""The WebSocket port: picows inside the caller's event loop, with the limits an open port needs.

How it works: a connection begins as a Handshake, which collects the head of the request and judges
it (handshake.py); then the transport is handed to picows, which reads frames, and calls a Listener.
Text goes to the hub's client; pings, the close handshake and breaches of the protocol are dealt
with here. What is sent does not pass through picows: frames are bytes that all receivers share.
Instead of timers per connection there is one sweep a second over all.

Always true:
- connections, in total and by address, heads, messages and fragments are bounded; also handshakes
  count as connections;
- a connection that is to be closed ends within LINGER_S, whether or not the client reads;
- what has ended is freed at once, without the collector of cyclic garbage.

Not here: what is said (session.py), who gets what (hub.py).
"""

from __future__ import annotations

import asyncio
import math
import socket
import sys
from asyncio import AbstractEventLoop, BaseTransport, Transport
from collections.abc import Collection
from typing import Any, Final, NamedTuple, cast

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

# Not public, as its maker's own connection through proxies is made of it: the public way to listen
# does not say who connects, counts no handshakes, and refuses in plain text.
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from fairbook.api.errors import ApiError
from fairbook.net.addresses import address_key
from fairbook.net.connection_limits import ConnectionLimits, ExceededLimit
from fairbook.net.ws_frames import (
    GOING_AWAY,
    PROTOCOL_ERROR,
    UNSUPPORTED,
    Assembly,
    Breach,
    goodbye,
)
from fairbook.streams.handshake import HEAD_BYTES_MAX, HEAD_END, accepted, refusal, too_large
from fairbook.streams.hub import Client, Hub

LINGER_S: Final = 2.0  # for a Close frame to arrive and be answered

_SWEEP_S: Final = 1.0
_IGNORED_MAX: Final = 1024  # frames after a Close of ours, before they are not even parsed
_REFUSED_MAX: Final = 64  # connections over the limit that are told so; more are cut off
_READ_BYTES: Final = 4096  # picows' buffer at first; it grows to what the kernel holds
_KERNEL_READ_BYTES: Final = 64 * 1024
_KERNEL_WRITE_BYTES: Final = 256 * 1024  # what the kernel holds for a slow reader is old news

_TEXT, _BINARY = WSMsgType.TEXT, WSMsgType.BINARY
_CONTINUATION = WSMsgType.CONTINUATION
_PING, _PONG, _CLOSE = WSMsgType.PING, WSMsgType.PONG, WSMsgType.CLOSE


class StreamLimits(NamedTuple):
    """Limits of connections."""

    connections_max: int = 4096
    connections_per_address_max: int = 10
    message_bytes_max: int = 4096
    handshake_s: float = 5.0
    ping_s: float = 60.0  # between pings
    pong_s: float = 120.0  # since the last pong, or the beginning
    transport_bytes_max: int = 64 * 1024  # unsent; with more the client is slow
    origins: Collection[str] = ()  # whose pages may connect, besides this host's: handshake.py


class StreamServer:
    """Serves a hub on one port. `start` once; `stop` is idempotent; in one event loop."""

    def __init__(self, hub: Hub, limits: StreamLimits | None = None) -> None:
        self.hub = hub
        self.limits = limits or StreamLimits()
        self.connections: dict[Connection, None] = {}
        self.is_stopping = False
        self.admitted = ConnectionLimits(
            connections_max=self.limits.connections_max,
            per_address_max=self.limits.connections_per_address_max,
        )
        self._refused = 0
        self._refused_now = 0
        self._listener: asyncio.AbstractServer | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port, which the system chooses if `port` is 0. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: Handshake(self, loop), host, port, backlog=2048, start_serving=False
        )
        for listening in self._listener.sockets:
            # Connections inherit both.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KERNEL_READ_BYTES)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_WRITE_BYTES)
        await self._listener.start_serving()
        self._sweeper = loop.call_later(_SWEEP_S, self._sweep, loop)
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    async def stop(self, drain_s: float) -> None:
        """Take no more connections, close those there are, many of them spread over `drain_s`."""
        if self._listener is None:
            return
        self._listener.close()
        self._listener = None
        self.is_stopping = True
        await self.hub.stop(drain_s)
        loop = asyncio.get_running_loop()
        end = loop.time() + LINGER_S
        while self.connections and loop.time() < end:  # noqa: ASYNC110 - nobody waits for it but us
            await asyncio.sleep(0.005)
        for connection in list(self.connections):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
        await asyncio.sleep(0)  # For the transports to say that they are gone.

    def status(self) -> dict[str, int]:
        """Figures for people: those of the hub, and connections that were refused."""
        return self.hub.status() | {"refused": self._refused}

    def begin(self, connection: Connection) -> ApiError | None:
        """Count a connection. Returns why it is refused, if it is."""
        refused: ApiError | None = None
        match self.admitted.admit(connection.network):
            case ExceededLimit.SERVER:
                refused = ApiError(503, "TRADING_PAUSED", "Too many connections", retry_after_s=5)
            case ExceededLimit.ADDRESS:
                text = "Too many connections from this address"
                refused = ApiError(429, "TOO_MANY_REQUESTS", text, retry_after_s=5)
        if refused is not None:
            self._refused += 1
            self._refused_now += 1
            connection.is_refused = True
            if self._refused_now > _REFUSED_MAX:
                connection.abort()
        self.connections[connection] = None
        return refused

    def ended(self, connection: Connection) -> None:
        """Count a connection no more."""
        del self.connections[connection]
        if connection.is_refused:
            self._refused_now -= 1
        else:
            self.admitted.release(connection.network)

    def _sweep(self, loop: AbstractEventLoop) -> None:
        self._sweeper = loop.call_later(_SWEEP_S, self._sweep, loop)
        now = loop.time()
        for connection in list(self.connections):
            connection.check_pace(now)
        self.hub.sweep()


class Connection:
    """One accepted socket, from its first byte to its last."""

    def __init__(self, server: StreamServer, transport: Transport, now: float) -> None:
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        self.network = address_key(self.address)
        self.is_refused = False
        self.listener: Listener | None = None
        self._server = server
        self._transport = transport
        self._abort_at = now + server.limits.handshake_s  # of the loop's time

    def upgraded(self, listener: Listener, now: float) -> None:
        """It speaks WebSocket from here on."""
        self.listener = listener
        self._abort_at = math.inf
        self._pinged_at = self._pong_at = now

    def heard_pong(self, now: float) -> None:
        """The client lives."""
        self._pong_at = now

    def end_soon(self, now: float) -> None:
        """What was sent may still arrive; then it is over."""
        self._abort_at = min(self._abort_at, now + LINGER_S)

    def check_pace(self, now: float) -> None:
        """Once a second: what is late is ended."""
        listener = self.listener
        limits = self._server.limits
        if now >= self._abort_at:
            self.abort()
        elif listener is None:
            pass  # Its time to say what it wants is running.
        elif listener.is_closing():
            self.end_soon(now)  # picows found a breach, or the client said goodbye.
        elif now - self._pong_at >= limits.pong_s:
            listener.end(GOING_AWAY, "no pong")
        elif now - self._pinged_at >= limits.ping_s:
            self._pinged_at = now
            listener.ping()

    def abort(self) -> None:
        """End it now."""
        self._transport.abort()


class Handshake(asyncio.BufferedProtocol):
    """A connection that has not yet said what it wants."""

    def __init__(self, server: StreamServer, loop: AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._buffer = bytearray(HEAD_BYTES_MAX)
        self._size = 0
        self._is_answered = False
        self._refused: ApiError | None = None
        self._connection: Connection | None = None
        self._transport: Transport | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Count it."""
        self._transport = cast(Transport, transport)
        self._connection = Connection(self._server, self._transport, self._loop.time())
        self._refused = self._server.begin(self._connection)

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended before it became a WebSocket."""
        assert self._connection is not None
        self._server.ended(self._connection)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Room for the rest of a head; what comes after a refusal is not kept."""
        return memoryview(self._buffer)[0 if self._is_answered else self._size :]

    def buffer_updated(self, nbytes: int) -> None:
        """More of the head is there."""
        if self._is_answered:
            return
        searched = max(0, self._size - len(HEAD_END))
        self._size += nbytes
        head_end = self._buffer.find(HEAD_END, searched, self._size)
        try:
            if head_end >= 0:
                self._judge(head_end + len(HEAD_END))
            elif self._size == HEAD_BYTES_MAX:
                raise too_large()
        except ApiError as error:
            self._refuse(error)

    def eof_received(self) -> bool:
        """Nothing follows: the transport closes itself."""
        return False

    def _refuse(self, error: ApiError) -> None:
        """Say why. Closed at once, the last bytes could be lost to a reset: the client closes."""
        assert self._transport is not None and self._connection is not None
        self._is_answered = True
        self._transport.write(refusal(error))
        self._transport.write_eof()
        self._connection.end_soon(self._loop.time())

    def _judge(self, head_bytes: int) -> None:
        """Hand the connection to picows, with a head in our words and what came after it."""
        if self._server.is_stopping:
            raise ApiError(503, "MAINTENANCE", "The exchange is stopping", retry_after_s=5)
        if self._refused is not None:
            raise self._refused
        head = accepted(bytes(self._buffer[:head_bytes]), self._server.limits.origins)
        rest = bytes(self._buffer[head_bytes : self._size])
        assert self._transport is not None and self._connection is not None
        listener = Listener(self._server, self._connection, self._loop)
        log = _Log(listener, self._server.hub)
        protocol = _protocol(listener, log, self._server.limits.message_bytes_max)
        self._transport.set_protocol(protocol)
        self._transport.set_write_buffer_limits(high=self._server.limits.transport_bytes_max)
        protocol.connection_made(self._transport)
        self._connection.upgraded(listener, self._loop.time())
        _feed(protocol, head)
        _feed(protocol, rest)


class Listener(WSListener):
    """A WebSocket, as picows shows it; and the hub client's wire."""

    def __init__(
        self, server: StreamServer, connection: Connection, loop: AbstractEventLoop
    ) -> None:
        self._server = server
        self._connection = connection
        self._loop = loop
        self._assembly = Assembly(server.limits.message_bytes_max)
        self._ignored = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The response is on its way."""
        self._transport = transport
        self._socket = transport.underlying_transport
        self.write = self._socket.write
        self.client: Client = self._server.hub.connect(self, self._connection.address)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame of the client. What follows a Close of ours is not looked at."""
        kind = frame.msg_type
        if kind == _CLOSE:
            self._answer_close(frame)
            return
        if self.client.is_ended:
            self._ignored += 1
            if self._ignored == _IGNORED_MAX:
                self._socket.write_eof()
                self._socket.set_protocol(_Deaf(self._socket.get_protocol()))
            return
        try:
            if frame.rsv1 or frame.rsv2 or frame.rsv3:
                raise Breach(PROTOCOL_ERROR, "no extension was agreed on")
            if kind in (_TEXT, _CONTINUATION):
                text = self._assembly.add(
                    frame.get_payload_as_bytes(), is_first=kind == _TEXT, is_last=frame.fin
                )
                if text is not None:
                    self.client.received(text)
            elif kind == _PONG:
                self.client.count_control_frame()
                self._connection.heard_pong(self._loop.time())
            elif kind == _PING:
                self.client.count_control_frame()
                if not self.client.is_slow:
                    transport.send_pong(frame.get_payload_as_bytes())
            else:
                raise Breach(UNSUPPORTED, "text only")
        except Breach as breach:
            self.client.end(breach.code, breach.reason)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The socket is closed. Cycles are cut, for the collector may have put them aside for good
        (engine/collector.py).
        """
        self.client.lost()
        self._server.ended(self._connection)
        self._connection.listener = None
        del self.client, self._transport

    def pause_writing(self) -> None:
        """The transport is full."""
        self.client.paused()

    def resume_writing(self) -> None:
        """It has room again."""
        self.client.resumed()

    def waiting_bytes(self) -> int:
        """What the transport still holds."""
        return self._socket.get_write_buffer_size()

    def ping(self) -> None:
        """Ask for a pong."""
        if not self.client.is_slow:
            self._transport.send_ping()

    def end(self, code: int, reason: str) -> None:
        """Close it, through the hub."""
        self.client.end(code, reason)

    def close(self, code: int, reason: str) -> None:
        """Send a Close frame; the client's own ends the connection, or the sweep."""
        self._transport.send_close(WSCloseCode(code), reason.encode())
        self._connection.end_soon(self._loop.time())

    def is_closing(self) -> bool:
        """Whether a Close frame was sent."""
        return self._transport.is_close_frame_sent

    def _answer_close(self, frame: WSFrame) -> None:
        """The client says goodbye, or answers ours."""
        try:
            self.client.end(goodbye(frame.get_payload_as_bytes()), "")
        except Breach as breach:
            self.client.end(breach.code, breach.reason)
        self._transport.disconnect()


class _Deaf(asyncio.BufferedProtocol):
    """In the place of picows' protocol for a client that goes on and on after a Close: what it
    sends is thrown away, until it or the sweep ends the connection. Cut off, it might never read
    the Close.
    """

    _room = bytearray(_KERNEL_READ_BYTES)  # nobody ever reads it

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def get_buffer(self, sizehint: int) -> bytearray:
        """Room for anything."""
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """Nothing."""

    def eof_received(self) -> bool:
        """The transport closes itself."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """The transport is full."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """It has room again."""
        self._protocol.resume_writing()


class _Log:
    """What picows logs to, for one connection. What clients do wrong is not worth a line; but here
    picows says that it found a breach, before it sends a Close of its own.
    """

    def __init__(self, listener: Listener, hub: Hub) -> None:
        self._listener = listener
        self._hub = hub

    def isEnabledFor(self, level: int) -> bool:  # As logging calls it.
        """Whether there would be a line."""
        return False

    def debug(self, *arguments: object) -> None:
        """Nothing."""

    log = info = warning = debug

    def error(self, *arguments: object) -> None:
        """A breach. Nothing must be sent behind picows' Close."""
        self._listener.client.lost()

    def exception(self, *arguments: object) -> None:
        """An exception is being handled: a bug."""
        bug = sys.exc_info()[1]
        if isinstance(bug, Exception):
            self._hub.fail(bug)


def _protocol(listener: Listener, log: _Log, message_bytes_max: int) -> Any:
    """picows' side of a connection: it reads frames, and answers nothing by itself."""
    return WSProtocol(
        host_port=None,
        ws_path=None,
        is_client_side=False,
        ws_listener_factory=lambda request: listener,
        logger=log,
        disconnect_on_exception=True,
        websocket_handshake_timeout=None,
        enable_auto_ping=False,
        auto_ping_idle_timeout=0,
        auto_ping_reply_timeout=0,
        auto_ping_strategy=2,
        enable_auto_pong=False,
        max_frame_size=message_bytes_max,
        extra_headers=None,
        read_buffer_init_size=_READ_BYTES,
    )


def _feed(protocol: Any, received: bytes) -> None:
    """Give it bytes as the transport would."""
    while received:
        room = protocol.get_buffer(-1)
        size = min(len(room), len(received))
        room[:size] = received[:size]
        protocol.buffer_updated(size)
        received = received[size:]
