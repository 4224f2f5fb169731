"""Clients that take as much as they can, in a process of their own.

Design: plain sockets and epoll. Each connection sends again as soon as it has its answer, and
connects again when it is closed; a reader of nothing sends until the exchange takes no more. The
process gives way to the one that measures, which shares its processor.

Invariant: it ends after the time it was told.
"""

import json
import os
import re
import resource
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from bench.load import LENGTH, connect_websocket, parse
from bench.processes import Helper, processors, say
from bench.runs import Run

LISTING: Final = "all open orders"
UNREAD: Final = "answers not read"
FORGED: Final = "bad signatures"
BATCHES: Final = "batches of orders"
REFUSED_BATCHES: Final = "batches of refused orders"
READS: Final = "reads of balances"
SOCKETS: Final = "orders over WebSocket"
IDLE: Final = "idle connections"
CONNECTIONS: Final = {
    LISTING: 32, UNREAD: 100, FORGED: 32, BATCHES: 200, REFUSED_BATCHES: 200, SOCKETS: 32,
    READS: 200, IDLE: 1100,
}  # fmt: skip

ADDRESS: Final = "127.0.0.2"  # not that of the others
IN_FLIGHT: Final = 50  # requests of a WebSocket
UNREAD_BYTES: Final = 4096  # receive buffer of a connection that does not read
RECEIVE_BYTES: Final = 1 << 18
CHUNKS_END: Final = b"0\r\n\r\n"
REFUSED: Final = re.compile(rb'"status":(\d+)')


class Attackers(Helper):
    """The process, as the bench sees it: made with its connections open, and under way."""

    def __init__(self, run: Run, kind: str, **about: Any) -> None:
        """about: port, ws_port, request, token and seconds."""
        about |= {"kind": kind, "request": about["request"].decode("latin-1")}
        super().__init__("bench.attackers", about, processor=processors()[1])
        run.at_end(self.close)
        self.answer()

    def end(self) -> dict[str, int]:
        """Wait for the end; how many answers of each status, and `closed` connections."""
        found: dict[str, int] = self.answer()
        self.close()
        return found


class Attacker:
    """One HTTP connection."""

    def __init__(self, port: int, request: bytes, *, reads: bool) -> None:
        self._port = port
        self._request = request
        self._reads = reads
        self.connect()

    def connect(self) -> None:
        self.sock = socket.socket()
        if not self._reads:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD_BYTES)
        self.sock.bind((ADDRESS, 0))
        self.sock.connect(("127.0.0.1", self._port))
        self.sock.setblocking(False)
        self._head = b""
        self._missing = 0  # bytes of the answer; -1: until the last chunk
        self._unsent = self._request

    def send(self) -> None:
        with suppress(BlockingIOError):
            self._unsent = self._unsent[self.sock.send(self._unsent) :]

    def receive(self) -> bytes | None:
        """The status of an answer that is whole now. Raises OSError if the connection ended."""
        received = self.sock.recv(RECEIVE_BYTES)
        if not received:
            raise ConnectionResetError
        if self._missing > 0:
            self._missing -= len(received)
        elif self._missing == 0:
            self._head += received
            head_bytes = self._head.find(b"\r\n\r\n") + 4
            if head_bytes < 4:
                return None
            length = LENGTH.search(self._head, 0, head_bytes)
            body_bytes = len(self._head) - head_bytes
            self._missing = int(length[1]) - body_bytes if length else -1
        if self._missing > 0 or (self._missing < 0 and not received.endswith(CHUNKS_END)):
            return None
        status, self._head, self._missing = self._head[9:12], b"", 0
        self._unsent = self._request
        self.send()
        return status


class SocketAttacker:
    """One WebSocket connection with IN_FLIGHT requests under way."""

    def __init__(self, port: int, request: bytes, token: str) -> None:
        self._port, self._request, self._token = port, request, token
        self.connect()

    def connect(self) -> None:
        self.sock = connect_websocket(self._port, self._token)
        self.sock.setblocking(False)
        self._partial = b""
        self._unsent = self._request * IN_FLIGHT

    def send(self) -> None:
        with suppress(BlockingIOError):
            self._unsent = self._unsent[self.sock.send(self._unsent) :]

    def receive(self) -> bytes | None:
        received = self.sock.recv(RECEIVE_BYTES)
        if not received:
            raise ConnectionResetError
        received = self._partial + received
        found, rest = parse(received)
        self._partial = received[rest:]
        self._unsent += self._request * len(found)
        self.send()
        if not found:
            return None
        status = REFUSED.search(received)
        return status[1] if status else None


def attack(kind: str, *, port: int, ws_port: int, request: str, token: str, seconds: float) -> None:
    """Say `true` once under way, and what came of it at the end."""
    _, files_max = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))
    os.nice(19)
    octets = request.encode("latin-1")
    attackers: Sequence[Attacker | SocketAttacker] = [
        SocketAttacker(ws_port, octets, token)
        if kind == SOCKETS
        else Attacker(port, octets, reads=kind != UNREAD)
        for _ in range(CONNECTIONS[kind])
    ]
    say(True)
    end_s = time.monotonic() + seconds
    counts: Counter[str] = Counter()
    if kind == IDLE:
        time.sleep(seconds)
    elif kind == UNREAD:
        _send_only(attackers, end_s, counts)
    else:
        _send_and_receive(attackers, end_s, counts)
    say(counts)


def _send_only(
    attackers: Sequence[Attacker | SocketAttacker], end_s: float, counts: Counter[str]
) -> None:
    while time.monotonic() < end_s:
        for attacker in attackers:
            try:
                attacker.send()
            except OSError:
                counts["closed"] += 1
                attacker.connect()
        time.sleep(0.1)


def _send_and_receive(
    attackers: Sequence[Attacker | SocketAttacker], end_s: float, counts: Counter[str]
) -> None:
    epoll = select.epoll()
    by_number = {}
    for attacker in attackers:
        attacker.send()
        by_number[attacker.sock.fileno()] = attacker
        epoll.register(attacker.sock.fileno(), select.EPOLLIN)
    while time.monotonic() < end_s:
        for number, _ in epoll.poll(0.1):
            attacker = by_number[number]
            try:
                status = attacker.receive()
                if status is not None:
                    counts[status.decode()] += 1
            except OSError:
                counts["closed"] += 1
                del by_number[number]
                attacker.sock.close()
                attacker.connect()
                attacker.send()
                by_number[attacker.sock.fileno()] = attacker
                epoll.register(attacker.sock.fileno(), select.EPOLLIN)


if __name__ == "__main__":
    attack(**json.loads(sys.argv[1]))
