"""The load generator of `./dev bench ws-orders`: many lanes over few WebSocket connections.

How it works: a lane is what a connection is in orders_load.py: prepared requests, one at a time.
Each account has its connections, logged in once; the lanes share them, and a request goes over one
of the account whose it is. Its id is the number of its lane. One thread, epoll, plain sockets; what
is due for a connection in one turn is sent at once. The mask of a frame is zero: its cost is left
out, as preparing requests is.

Always true: a lane sends a request only after the answer to the one before.

Not here: what is sent (orders_flow.py).
"""

from __future__ import annotations

import base64
import gc
import json
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.orders_flow import BUY, EXPECTED, SELL, Trader
from bench.orders_load import RECEIVE_BYTES, STUCK_S, Lane, Result

METHODS: Final = {"POST": "order.place", "DELETE": "order.cancel"}
FIRST_CLIENT_ID: Final = 1 << 31  # The other half is for those who use HTTP.
HEAD: Final = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n"
)
TEXT: Final = 0x81
MASKED: Final = 0x80
BEFORE_ID: Final = len(b'{"id":')


class SocketTrader(Trader):
    """A trader whose requests go over a connection that knows whose they are."""

    __slots__ = ()

    def request(
        self, method: str, path: str, fields: dict[str, str | int], signed_ms: int | None
    ) -> bytes:
        """The rest of a message, behind its id."""
        params = json.dumps(fields, separators=(",", ":"))
        return f'"method":"{METHODS[method]}","params":{params}}}'.encode()


@dataclass(slots=True, eq=False)
class NumberedLane(Lane):
    """A lane, and the id of its requests."""

    number: int = 0

    def trader(self) -> int:
        """Which of the two traders the next step is of, as orders_flow.py has it."""
        kind = self.steps[self.at].kind
        if kind in (SELL, BUY):
            return 0 if kind == SELL else 1
        return self.number % 2


class Wire:
    """One connection, logged in."""

    def __init__(self, port: int, token: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due: list[bytes] = []
        self._partial = b""
        self.socket.sendall(HEAD % base64.b64encode(bytes(16)))
        while not self._partial.endswith(b"\r\n\r\n"):
            self._more()
        if b" 101 " not in self._partial:
            raise SystemExit(f"no WebSocket: {self._partial!r}")
        self._partial = b""
        login = {"id": 0, "method": "LOGIN", "params": {"token": token}}
        self.socket.sendall(frame(json.dumps(login).encode()))
        while not (answers := self.receive()):
            pass
        if b"error" in answers[0]:
            raise SystemExit(f"no login: {answers[0]!r}")
        self.socket.setblocking(False)

    def receive(self) -> list[bytes]:
        """The messages that are whole."""
        self._more()
        received = self._partial
        messages = []
        at, end = 0, len(received)
        while end - at >= 2:
            kind, size, begin = received[at], received[at + 1], at + 2
            if size == 126:
                begin = at + 4
                size = int.from_bytes(received[at + 2 : begin], "big")
            if begin > end or begin + size > end:
                break
            at = begin + size
            if kind != TEXT:
                raise SystemExit(f"not a text: {received[begin:at]!r}")
            messages.append(received[begin:at])
        self._partial = received[at:]
        return messages

    def flush(self) -> None:
        """Send what is due."""
        frames = b"".join(self.due)
        self.due.clear()
        if self.socket.send(frames) != len(frames):
            raise SystemExit("requests did not fit into the socket")

    def _more(self) -> None:
        received = self.socket.recv(RECEIVE_BYTES)
        if not received:
            raise SystemExit("the exchange closed a connection")
        self._partial += received


class SocketLoad:
    """So many lanes over so many connections, an even number: half of them for each account."""

    def __init__(self, port: int, tokens: Sequence[str], *, lanes: int, connections: int) -> None:
        each = connections // 2
        self.lanes = [NumberedLane(number=number) for number in range(lanes)]
        self._wires = [[Wire(port, token) for _ in range(each)] for token in tokens]
        self._by_fd: dict[int, Wire] = {}
        self._epoll = select.epoll()
        for wires in self._wires:
            for wire in wires:
                self._by_fd[wire.socket.fileno()] = wire
                self._epoll.register(wire.socket.fileno(), select.EPOLLIN)

    def close(self) -> None:
        """End the connections."""
        self._epoll.close()
        for wire in self._by_fd.values():
            wire.socket.close()

    def closed(self, *, seconds: float = 3600.0, steps: int | None = None) -> Result:
        """Each lane sends as soon as it has its answer: for so long, or so many steps."""
        result = Result()
        clock, lanes = time.perf_counter, self.lanes
        limits = [len(lane.steps) if steps is None else lane.at + steps for lane in lanes]
        prepared = [
            [frame(b'{"id":%d,%b' % (lane.number, step.request)) for step in lane.steps]
            for lane in lanes
        ]
        gc.collect()
        gc.disable()
        cpu, begin = time.process_time(), clock()
        end = begin + seconds
        active = [lane for lane in lanes if not lane.finished(limits[lane.number])]
        left = len(active)
        self._send(active, prepared, begin)
        while left:
            ready = self._epoll.poll(STUCK_S)
            if not ready:
                raise SystemExit("no answer for too long")
            going = []
            for fd, _ in ready:
                for answer in self._by_fd[fd].receive():
                    lane = lanes[int(answer[BEFORE_ID : answer.index(b",", BEFORE_ID)])]
                    now = clock()
                    _count(answer, lane, result, now)
                    if lane.finished(limits[lane.number] if now < end else 0):
                        left -= 1
                        result.exhausted |= steps is None and now < end
                    else:
                        going.append(lane)
            self._send(going, prepared, clock())
        result.seconds, result.cpu_s = clock() - begin, time.process_time() - cpu
        gc.enable()
        return result

    def _send(self, lanes: list[NumberedLane], prepared: list[list[bytes]], at_s: float) -> None:
        """Send the next step of each, all those of a connection at once."""
        used: dict[Wire, None] = {}
        for lane in lanes:
            wires = self._wires[lane.trader()]
            wire = wires[lane.number // 2 % len(wires)]
            wire.due.append(prepared[lane.number][lane.at])
            used[wire] = None
            lane.sent_s = at_s
        for wire in used:
            wire.flush()


def frame(text: bytes) -> bytes:
    """A text as a client sends it, with a mask of zero."""
    size = len(text)
    if size <= 125:
        return bytes((TEXT, MASKED | size)) + bytes(4) + text
    return bytes((TEXT, MASKED | 126)) + size.to_bytes(2, "big") + bytes(4) + text


def _count(answer: bytes, lane: Lane, result: Result, now: float) -> None:
    result.latencies.append(now - lane.sent_s)
    expected = EXPECTED[lane.steps[lane.at].kind]
    if b'"status":200,' not in answer or expected not in answer:
        result.errors.append(answer)
    lane.at += 1
