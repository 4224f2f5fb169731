"""A WebSocket client for benches: handshake and frames on a plain socket, with a mask of zero."""

import base64
import socket
from typing import Final

TEXT: Final = 0x81
MASKED: Final = 0x80
_REQUEST: Final = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n"
) % base64.b64encode(bytes(16))


def connect(port: int) -> socket.socket:
    """Connect and shake hands. Raises SystemExit if the server refuses."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(_REQUEST)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        part = sock.recv(1)  # Exactly the head: frames may follow at once.
        if not part:
            break
        head += part
    if b" 101 " not in head:
        raise SystemExit(f"no WebSocket: {head!r}")
    return sock


def frame(payload: bytes) -> bytes:
    """A text frame of at most 65,535 bytes, as a client sends it."""
    size = len(payload)
    if size <= 125:
        return bytes((TEXT, MASKED | size)) + bytes(4) + payload
    return bytes((TEXT, MASKED | 126)) + size.to_bytes(2, "big") + bytes(4) + payload


def parse(received: bytes) -> tuple[list[tuple[int, int, int]], int]:
    """The whole frames in it, as (first byte, start and end of payload); where the rest begins."""
    frames: list[tuple[int, int, int]] = []
    at, end = 0, len(received)
    while end - at >= 2:
        size, start = received[at + 1], at + 2
        if size >= 126:
            start = at + (4 if size == 126 else 10)
            size = int.from_bytes(received[at + 2 : start], "big")
        if start > end or start + size > end:
            break
        frames.append((received[at], start, start + size))
        at = start + size
    return frames, at
