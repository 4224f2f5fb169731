"""A blocking HTTP and WebSocket client that sends any bytes over one raw socket."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tests.world.contract_check import check_event
from tests.world.ws_frames import CLOSE, FIN, TEXT, head, says


class Answer(NamedTuple):
    """`status` 0: none came. `body` is decoded JSON, or text."""

    status: int
    headers: dict[str, str]
    body: Any


class SocketClient:
    """One connection."""

    def __init__(self, port: int, *, receive_bytes: int = 0, wait_s: float = 10.0) -> None:
        """receive_bytes: the size of the receive buffer; 0: the system's."""
        self._port, self._receive_bytes, self._wait_s = port, receive_bytes, wait_s
        self.open()

    def open(self) -> None:
        """Connect anew; an earlier connection must be closed."""
        self._socket = socket.socket()
        self._socket.settimeout(self._wait_s)
        if self._receive_bytes:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_bytes)
        self._socket.connect(("127.0.0.1", self._port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()

    def ask(self, data: bytes, *, ends: bool = False) -> Answer:
        """Send a request and read its answer, if one comes. ends: send nothing after it."""
        self.send(data)
        if ends:
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # The server has closed it.
        if not self._received and not self._more():
            return Answer(0, {}, None)
        status, headers, body = self.response()
        is_json = headers["content-type"].startswith("application/json")
        return Answer(status, headers, json.loads(body) if is_json else body.decode())

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
        """A server that refuses early may not read all of it."""
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
        if headers.get("transfer-encoding") == "chunked":
            return int(first.split()[1]), headers, b"".join(self._chunks())
        return int(first.split()[1]), headers, self._take(int(headers.get("content-length", "0")))

    def _chunks(self) -> Iterator[bytes]:
        while True:
            while (end := self._received.find(b"\r\n")) < 0:
                assert self._more(), "the connection broke off"
            chunk = self._take(int(self._take(end + 2), 16) + 2)[:-2]
            if not chunk:
                return
            yield chunk

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
        message = json.loads(payload)
        check_event(message)
        return message

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
