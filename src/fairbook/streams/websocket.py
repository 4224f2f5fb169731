"""One WebSocket connection after its handshake: the adapter between picows and the hub.

picows reads frames and calls `WebSocket`, which passes messages to the hub's client and handles
pings, the close handshake and protocol errors. Frames are written past picows, straight to the
transport, because the same bytes go to all receivers.

Why WSProtocol, which picows does not export: its public server does not tell who connects, does
not count handshakes, refuses in plain text, writes its own 404, and offers no way to discard what
a client sends after a Close. WSProtocol is what both its public functions are made of. Apart from
it only public classes are used. picows reports a protocol error of the client to its logger alone,
before it sends a Close frame of its own: therefore `_PicowsLogger` takes the logger's place.
"""

import asyncio
import sys
from asyncio import Transport
from collections.abc import Callable
from typing import Any, Final

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from fairbook.net import ws_frames
from fairbook.net.ws_frames import MessageAssembler, ProtocolError
from fairbook.streams.hub import Hub, HubClient

_IGNORED_MAX: Final = 1024  # frames after our Close, before they are not even parsed
_READ_BYTES: Final = 4096  # picows' buffer at first; it grows to what the kernel holds
_DISCARD_BYTES: Final = 64 * 1024

_TEXT, _CONTINUATION = WSMsgType.TEXT, WSMsgType.CONTINUATION
_PING, _PONG, _CLOSE = WSMsgType.PING, WSMsgType.PONG, WSMsgType.CLOSE


class WebSocket(WSListener):
    """A WebSocket of a client: picows' listener, and the hub's transport. Times: the loop's."""

    def __init__(
        self,
        hub: Hub,
        address: str,
        *,
        message_bytes_max: int,
        closing: Callable[[], None],
        ended: Callable[[], None],
    ) -> None:
        """closing: called when a Close frame was sent; ended: when the socket is closed."""
        self._hub = hub
        self._address = address
        self._message_bytes_max = message_bytes_max
        self._closing = closing
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._assembler = MessageAssembler(message_bytes_max)
        self._ignored = 0
        self.pinged_at = self.pong_at = self._loop.time()

    def start(self, transport: Transport, head: bytes, received: bytes) -> None:
        """Take over a connection. head: of the request; received: the bytes that followed it."""
        protocol = WSProtocol(
            host_port=None,
            ws_path=None,
            is_client_side=False,
            ws_listener_factory=lambda request: self,
            logger=_PicowsLogger(self, self._hub),
            disconnect_on_exception=True,
            websocket_handshake_timeout=None,
            enable_auto_ping=False,
            auto_ping_idle_timeout=0,
            auto_ping_reply_timeout=0,
            auto_ping_strategy=2,
            enable_auto_pong=False,
            max_frame_size=self._message_bytes_max,
            extra_headers=None,
            read_buffer_init_size=_READ_BYTES,
        )
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        _feed(protocol, head)
        _feed(protocol, received)

    def feed(self, received: bytes) -> None:
        """More of what was received before `start`. Nothing if the socket is closed."""
        if not self._socket.is_closing():
            _feed(self._socket.get_protocol(), received)

    # What picows calls.

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._socket = transport.underlying_transport
        self.write = self._socket.write
        self.client: HubClient = self._hub.connect(self, self._address)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind == _CLOSE:
            self._answer_close(frame)
            return
        if self.client.is_ended:
            self._ignored += 1
            if self._ignored == _IGNORED_MAX:
                self._socket.write_eof()
                self._socket.set_protocol(_DiscardingProtocol(self._socket.get_protocol()))
            return
        try:
            if frame.rsv1 or frame.rsv2 or frame.rsv3:
                raise ProtocolError(ws_frames.PROTOCOL_ERROR, "no extension was negotiated")
            if kind in (_TEXT, _CONTINUATION):
                payload = self._assembler.add(
                    frame.get_payload_as_bytes(), is_first=kind == _TEXT, is_last=frame.fin
                )
                if payload is not None:
                    self.client.receive(payload)
            elif kind == _PONG:
                self.client.count_control_frame()
                self.pong_at = self._loop.time()
            elif kind == _PING:
                self.client.count_control_frame()
                if not self.client.is_slow:
                    transport.send_pong(frame.get_payload_as_bytes())
            else:
                raise ProtocolError(ws_frames.UNSUPPORTED, "text only")
        except ProtocolError as error:
            self.client.close(error.close_code, error.reason)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The socket is closed. References in a circle are cut here: long-lived objects are frozen,
        and the collector does not look at them again.
        """
        self.client.connection_lost()
        self._ended()
        del self.client, self._transport

    def pause_writing(self) -> None:
        self.client.pause_writing()

    def resume_writing(self) -> None:
        self.client.resume_writing()

    # What the hub and the server call.

    def waiting_bytes(self) -> int:
        return self._socket.get_write_buffer_size()

    def pause_reading(self) -> None:
        if not self._socket.is_closing():
            self._socket.pause_reading()

    def resume_reading(self) -> None:
        if not self._socket.is_closing():
            self._socket.resume_reading()

    def close(self, code: int, reason: str) -> None:
        """Send a Close frame. The client's answer ends the connection, or the server's deadline."""
        self._transport.send_close(WSCloseCode(code), reason.encode())
        self._closing()

    def ping(self, now: float) -> None:
        self.pinged_at = now
        if not self.client.is_slow:
            self._transport.send_ping()

    def is_closing(self) -> bool:
        """Whether a Close frame was sent, by the hub or by picows."""
        return self._transport.is_close_frame_sent

    def _answer_close(self, frame: WSFrame) -> None:
        try:
            self.client.close(ws_frames.close_answer(frame.get_payload_as_bytes()), "")
        except ProtocolError as error:
            self.client.close(error.close_code, error.reason)
        self._transport.disconnect()


class _DiscardingProtocol(asyncio.BufferedProtocol):
    """Replaces picows' protocol for a client that keeps sending after a Close: discard what it
    sends until it or the server's deadline ends the connection. If it were cut off at once, it
    might never read the Close.
    """

    _room = bytearray(_DISCARD_BYTES)

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        pass

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()


class _PicowsLogger:
    """The logger of one connection. It writes nothing, as errors of clients are not worth a line.
    It passes on what picows reports nowhere else: protocol errors, exceptions in `WebSocket`.
    """

    def __init__(self, websocket: WebSocket, hub: Hub) -> None:
        self._websocket = websocket
        self._hub = hub

    def isEnabledFor(self, level: int) -> bool:  # As logging names it.
        return False

    def debug(self, *arguments: object) -> None:
        pass

    log = info = warning = debug

    def error(self, *arguments: object) -> None:
        """A protocol error: picows sends a Close, and the hub must send nothing after it."""
        self._websocket.client.connection_lost()

    def exception(self, *arguments: object) -> None:
        """Called in an exception handler: a bug."""
        bug = sys.exc_info()[1]
        if isinstance(bug, Exception):
            self._hub.fail(bug)


def _feed(protocol: Any, received: bytes) -> None:
    while received:
        room = protocol.get_buffer(-1)
        size = min(len(room), len(received))
        room[:size] = received[:size]
        protocol.buffer_updated(size)
        received = received[size:]
