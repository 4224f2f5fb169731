"""WebSocket, as far as a client that means no good needs it: bytes out, frames in.

How it works: one blocking socket. Masks are zero, so that what is sent can be read.

Not here: what is sent (rows_ws*.py), and judging it (test_ws.py).
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
FIN = 0x80
UPGRADE = {
    "Host": "127.0.0.1",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def head(
    path: str = "/", *, method: str = "GET", version: str = "HTTP/1.1", lines: bytes = b"",
    **changes: str,
) -> bytes:  # fmt: skip
    """A request for an upgrade. changes: headers by name with _ for -; "" leaves one out."""
    headers = {name.lower(): value for name, value in UPGRADE.items()}
    headers |= {name.replace("_", "-").lower(): value for name, value in changes.items()}
    text = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
    first = f"{method} {path} {version}\r\n"
    return (first + text).encode("latin-1") + lines + b"\r\n"


def frame(payload: bytes = b"", first: int = FIN | TEXT, *, masked: bool = True) -> bytes:
    """One frame of a client."""
    size, mask = len(payload), 0x80 if masked else 0
    if size < 126:
        sizes = bytes((mask | size,))
    elif size < 1 << 16:
        sizes = bytes((mask | 126,)) + size.to_bytes(2, "big")
    else:
        sizes = bytes((mask | 127,)) + size.to_bytes(8, "big")
    return bytes((first,)) + sizes + (bytes(4) if masked else b"") + payload


def says(**fields: object) -> bytes:
    """A JSON text in a frame."""
    return frame(json.dumps(fields).encode())


class SocketClient:
    """One connection."""

    def __init__(self, port: int, *, receive_bytes: int = 0, wait_s: float = 10.0) -> None:
        """receive_bytes: what the kernel may keep for it; 0: as it likes."""
        self._socket = socket.socket()
        self._socket.settimeout(wait_s)
        if receive_bytes:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._socket.connect(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()

    def upgrade(self, token: str = "") -> SocketClient:
        """Become a WebSocket, and log in if there is a token."""
        self.send(head())
        status, _, _ = self.response()
        assert status == 101
        if token:
            self.send(says(id=0, method="LOGIN", params={"token": token}))
            assert self.text() == {"id": 0, "result": None}
        return self

    def send(self, data: bytes) -> None:
        """Whoever refuses early may not take all of it."""
        try:
            self._socket.sendall(data)
        except ConnectionError:
            pass

    def response(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an HTTP response."""
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            assert self._more(), "the connection ended without a response"
        first, *lines = self._take(end + 4).decode("latin-1").rstrip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        return int(first.split()[1]), headers, self._take(int(headers.get("content-length", "0")))

    def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame."""
        first, size = self._take(2)
        assert first & FIN and not first & 0x70 and size < 128, "no frame of a server"
        if size >= 126:
            size = int.from_bytes(self._take(2 if size == 126 else 8), "big")
        return first & 15, self._take(size)

    def text(self) -> Any:
        """The JSON of the next frame."""
        opcode, payload = self.frame()
        assert opcode == TEXT, (opcode, payload)
        return json.loads(payload)

    def closed(self) -> tuple[int, str]:
        """Code and reason of the Close frame, after whatever comes before."""
        while True:
            opcode, payload = self.frame()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    def ends(self) -> bool:
        """Wait for the server's end of the connection; nothing more may come before it."""
        try:
            return not self._received and self._socket.recv(1) == b""
        except ConnectionError:
            return True

    def drips(self) -> bool:
        """Send a head, four bytes a second, until the connection has ended."""
        for byte in head():
            try:
                self._socket.sendall(bytes((byte,)))
                self._socket.settimeout(0.25)
                return self._socket.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                return True
        return False

    def close(self) -> None:
        """End it."""
        self._socket.close()

    def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            assert self._more(), "the connection broke off"
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def _more(self) -> bool:
        try:
            data = self._socket.recv(1 << 16)
        except ConnectionError:
            return False
        self._received += data
        return bool(data)


class BackgroundWait:
    """Something that takes seconds and is watched aside, while other inputs are tried."""

    def __init__(self, ends: Callable[[], object]) -> None:
        """ends: returns when it has happened."""
        self.told: object = None
        self.began_s = time.time()
        self.ended_s = 0.0
        self._ends = ends
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.told = self._ends()
        self.ended_s = time.time()

    def wait(self) -> BackgroundWait:
        """Until it has happened, if that is not yet."""
        self._thread.join(20)
        assert self.ended_s, "it did not happen in 20 s"
        return self
