"""The load generator: prepared requests in lanes, over HTTP or WebSocket.

Design: one thread, epoll and plain sockets, which cost less for a request than an event loop with
protocols. A wire decides which connection a lane's request goes over.

Invariants: a lane sends a request only after the answer to the one before; every answer is checked.
"""

import base64
import gc
import json
import re
import select
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from bench.order_mix import BUY, EXPECTED, TEXT, Step, frame

STUCK_S: Final = 10.0  # without any answer, after which the run is given up
RECEIVE_BYTES: Final = 65_536
LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
BEFORE_ID: Final = len(b'{"id":')
UPGRADE: Final = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n"
) % base64.b64encode(bytes(16))


@dataclass(slots=True, eq=False)
class Lane:
    """Steps that follow each other. at: the next one; sent_s: when the last one was due."""

    number: int
    steps: list[Step] = field(default_factory=list)
    at: int = 0
    sent_s: float = 0.0

    def finished(self, limit: int) -> bool:
        """Whether `limit` steps are done and no seller waits for its buyer, or none is left."""
        at, steps = self.at, self.steps
        return at >= len(steps) or (at >= limit and steps[at].kind != BUY)


@dataclass(slots=True)
class Result:
    """What a load measured. lags: from due until it was noticed, of an open loop; in seconds."""

    latencies: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    errors: list[bytes] = field(default_factory=list)
    seconds: float = 0.0
    cpu_s: float = 0.0  # of the generator
    exhausted: bool = False  # a lane ran out of steps before the time was over

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds


class HttpWire:
    """A keep-alive connection for each lane."""

    success = b"HTTP/1.1 200 "  # is in every answer to a request that was accepted

    def __init__(self, port: int, lanes: int) -> None:
        self.lanes = [Lane(number) for number in range(lanes)]
        self.sockets = [_connect(port) for _ in self.lanes]
        self._partial = [b""] * lanes

    def send(self, lane: Lane) -> None:
        _send(self.sockets[lane.number], lane.steps[lane.at].request)

    def flush(self) -> None:
        """Do nothing: requests were sent at once."""

    def receive(self, number: int) -> Iterable[tuple[Lane, bytes]]:
        """Read from a connection; the answers that are whole."""
        answer = self._partial[number] + receive(self.sockets[number])
        length = LENGTH.search(answer)
        head_bytes = answer.find(b"\r\n\r\n") + 4
        if head_bytes < 4 or (length and len(answer) < head_bytes + int(length[1])):
            self._partial[number] = answer
            return ()
        self._partial[number] = b""
        return ((self.lanes[number], answer),)


class WebSocketWire:
    """An even number of connections, half of them for each trader. A request goes over one of its
    trader's, together with what else is due there; the number of its lane is its id.
    """

    success = b'"status":200,'

    def __init__(self, port: int, lanes: int, *, tokens: Sequence[str], connections: int) -> None:
        self.lanes = [Lane(number) for number in range(lanes)]
        self._of_trader = [
            [connect_websocket(port, token) for _ in range(connections // 2)] for token in tokens
        ]
        self.sockets = [sock for sockets in self._of_trader for sock in sockets]
        self._partial = [b""] * connections
        self._due: dict[socket.socket, list[bytes]] = {}

    def send(self, lane: Lane) -> None:
        step = lane.steps[lane.at]
        own = self._of_trader[step.trader]
        self._due.setdefault(own[lane.number // 2 % len(own)], []).append(step.request)

    def flush(self) -> None:
        for sock, requests in self._due.items():
            _send(sock, b"".join(requests))
        self._due.clear()

    def receive(self, number: int) -> Iterable[tuple[Lane, bytes]]:
        received = self._partial[number] + receive(self.sockets[number])
        frames, rest = parse(received)
        self._partial[number] = received[rest:]
        for first_byte, start, end in frames:
            answer = received[start:end]
            if first_byte != TEXT:
                raise SystemExit(f"not a text frame: {answer!r}")
            yield self.lanes[int(answer[BEFORE_ID : answer.index(b",", BEFORE_ID)])], answer


def _connect(port: int, receive_bytes: int | None = None) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if receive_bytes is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    sock.connect(("127.0.0.1", port))
    return sock


def connect_websocket(
    port: int, token: str = "", receive_bytes: int | None = None
) -> socket.socket:
    """A WebSocket connection, logged in with a token if there is one.

    receive_bytes: size of the kernel's receive buffer.
    """
    sock = _connect(port, receive_bytes)
    sock.sendall(UPGRADE)
    head = answer = b""
    while not head.endswith(b"\r\n\r\n"):
        head += receive(sock)
    if token:
        login = {"id": 0, "method": "LOGIN", "params": {"token": token}}
        sock.sendall(frame(json.dumps(login).encode()))
        while not parse(answer)[0]:
            answer += receive(sock)
    if b" 101 " not in head or b"error" in answer:
        raise SystemExit(f"no login: {head + answer!r}")
    return sock


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


def _send(sock: socket.socket, octets: bytes) -> None:
    if sock.send(octets) != len(octets):
        raise SystemExit("requests did not fit into the socket")


def receive(sock: socket.socket) -> bytes:
    received = sock.recv(RECEIVE_BYTES)
    if not received:
        raise SystemExit("the exchange closed a connection")
    return received


class Load:
    """The lanes of a wire, under way."""

    def __init__(self, wire: HttpWire | WebSocketWire) -> None:
        self.lanes = wire.lanes
        self._wire = wire
        self._epoll = select.epoll()
        self._numbers: dict[int, int] = {}
        for number, sock in enumerate(wire.sockets):
            sock.setblocking(False)
            self._numbers[sock.fileno()] = number
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def close(self) -> None:
        self._epoll.close()
        for sock in self._wire.sockets:
            sock.close()

    def closed(self, *, seconds: float = 3600.0, steps: int | None = None) -> Result:
        """Each lane sends as soon as it has its answer: for so long, or so many steps."""
        limits = [len(lane.steps) if steps is None else lane.at + steps for lane in self.lanes]
        clock = time.perf_counter
        with _timed() as result:
            end = clock() + seconds
            started = [lane for lane in self.lanes if not lane.finished(limits[lane.number])]
            for lane in started:
                self._send(lane, clock())
            self._wire.flush()
            active = len(started)
            while active:
                for lane in self._answered(result):
                    now = clock()
                    if not lane.finished(limits[lane.number] if now < end else 0):
                        self._send(lane, now)
                        continue
                    active -= 1
                    result.exhausted |= steps is None and now < end
                self._wire.flush()
        return result

    def open(self, due_s: Iterable[float], *, sleeps: bool = False) -> Result:
        """Requests are due at these times, ascending, whether or not the exchange keeps up; latency
        counts from then. sleeps: spare the processor, and be late by up to a millisecond.
        """
        due, waiting, idle = deque(due_s), deque[float](), deque(self.lanes)
        with _timed() as result:
            begin = time.perf_counter()
            while due or waiting or len(idle) < len(self.lanes):
                now = time.perf_counter()
                while due and begin + due[0] <= now:
                    waiting.append(begin + due.popleft())
                    result.lags.append(now - waiting[-1])
                while waiting and idle:
                    lane = idle.popleft()
                    if lane.at == len(lane.steps):
                        raise SystemExit("more requests were due than prepared")
                    self._send(lane, waiting.popleft())
                until_due_s = max(0.0, begin + due[0] - now) if due else STUCK_S
                wait_s = until_due_s if sleeps or not due else 0.0
                idle.extend(self._answered(result, wait_s))
        return result

    def _send(self, lane: Lane, at_s: float) -> None:
        """Send the next step of a lane; its latency counts from `at_s`."""
        lane.sent_s = at_s
        self._wire.send(lane)

    def _answered(self, result: Result, wait_s: float = STUCK_S) -> Iterator[Lane]:
        """Count and check the answers that arrive; the lanes that they are for."""
        wire = self._wire
        ready = self._epoll.poll(wait_s)
        if not ready and wait_s == STUCK_S:
            raise SystemExit("no answer for too long")
        for fd, _ in ready:
            for lane, answer in wire.receive(self._numbers[fd]):
                result.latencies.append(time.perf_counter() - lane.sent_s)
                if wire.success not in answer or EXPECTED[lane.steps[lane.at].kind] not in answer:
                    result.errors.append(answer)
                lane.at += 1
                yield lane


@contextmanager
def _timed() -> Iterator[Result]:
    result = Result()
    gc.collect()
    gc.disable()
    cpu, begin = time.process_time(), time.perf_counter()
    try:
        yield result
    finally:
        gc.enable()
    result.seconds = time.perf_counter() - begin
    result.cpu_s = time.process_time() - cpu
