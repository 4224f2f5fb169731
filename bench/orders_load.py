"""The load generator of `./dev bench orders`: keep-alive connections, prepared requests.

How it works: one thread, epoll and plain sockets, which costs less for each request than an
event loop with protocols. An answer that looks as expected is taken as it is; any other is
collected whole and looked at. Collections are off while it runs.

Always true: a connection sends a request only after the answer to the one before.

Not here: what is sent (orders_flow.py).
"""

from __future__ import annotations

import gc
import random
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from bench.orders_flow import BUY, EXPECTED, Step

STUCK_S: Final = 10.0  # without any answer, after which the run is given up
RECEIVE_BYTES: Final = 65_536
LAST: Final = b"}g"  # of a JSON object, and of pong


@dataclass(slots=True, eq=False)
class Lane:
    """Steps that follow each other, and how far they are."""

    steps: list[Step] = field(default_factory=list)
    at: int = 0
    sent_s: float = 0.0

    def finished(self, limit: int) -> bool:
        """Whether `limit` steps are done and no buyer is owed to a seller, or none is left."""
        at, steps = self.at, self.steps
        return at >= len(steps) or (at >= limit and steps[at].kind != BUY)


@dataclass(slots=True, eq=False)
class Connection(Lane):
    """A connection, and its steps."""

    socket: socket.socket = field(kw_only=True)
    partial: bytes = b""


@dataclass(slots=True)
class Result:
    """What came of a run. Latencies and lags in seconds."""

    latencies: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)  # open: from due until it was noticed
    seconds: float = 0.0
    cpu_s: float = 0.0
    errors: list[bytes] = field(default_factory=list)
    exhausted: bool = False  # a list ended before the time did

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU of the generator for one request."""
        return self.cpu_s / max(1, len(self.latencies)) * 1e6


class Load:
    """So many connections to one exchange."""

    def __init__(self, port: int, count: int) -> None:
        self.connections: list[Connection] = []
        self._by_fd: dict[int, Connection] = {}
        self._epoll = select.epoll()
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
            connection = Connection(socket=sock)
            self.connections.append(connection)
            self._by_fd[sock.fileno()] = connection
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def close(self) -> None:
        """End the connections."""
        self._epoll.close()
        for connection in self.connections:
            connection.socket.close()

    def closed(self, *, seconds: float = 3600.0, steps: int | None = None) -> Result:
        """Each connection sends as soon as it has its answer: for so long, or so many steps."""
        result = Result()
        clock, by_fd, poll = time.perf_counter, self._by_fd, self._epoll.poll
        limits = {
            connection: len(connection.steps) if steps is None else connection.at + steps
            for connection in self.connections
        }
        gc.collect()
        gc.disable()
        cpu, begin = time.process_time(), clock()
        end = begin + seconds
        active = 0
        for connection in self.connections:
            if not connection.finished(limits[connection]):
                active += 1
                _send(connection, clock())
        while active:
            ready = poll(STUCK_S)
            if not ready:
                raise SystemExit("no answer for too long")
            for fd, _ in ready:
                connection = by_fd[fd]
                if not _receive(connection, result, clock):
                    continue
                now = clock()
                if connection.finished(limits[connection] if now < end else 0):
                    active -= 1
                    result.exhausted |= steps is None and now < end
                else:
                    _send(connection, now)
        result.seconds, result.cpu_s = clock() - begin, time.process_time() - cpu
        gc.enable()
        return result

    def paced(self, *, rate: float, seconds: float) -> Result:
        """The first connection sends `rate` requests a second, asleep between them: one is late
        only where the answer to the one before is.
        """
        result = Result()
        connection = self.connections[0]
        begin = time.perf_counter()
        for number in range(int(rate * seconds)):
            due_s = begin + number / rate
            time.sleep(max(0.0, due_s - time.perf_counter()))
            _send(connection, due_s)
            answered = False
            while not answered:
                if not self._epoll.poll(STUCK_S):
                    raise SystemExit("no answer for too long")
                answered = _receive(connection, result, time.perf_counter)
        result.seconds = time.perf_counter() - begin
        return result

    def open(self, *, rate: float, seconds: float, seed: int) -> Result:
        """Requests are due at random times (Poisson), `rate` of them a second on average, whatever
        the exchange does; latency counts from then.
        """
        result = Result()
        clock, by_fd, poll = time.perf_counter, self._by_fd, self._epoll.poll
        due = deque(_schedule(rate, seconds, seed))
        waiting: deque[float] = deque()
        idle = deque(self.connections)
        gc.collect()
        gc.disable()
        cpu, begin = time.process_time(), clock()
        answered = begin
        while due or waiting or len(idle) < len(self.connections):
            now = clock()
            while due and begin + due[0] <= now:
                waiting.append(begin + due.popleft())
                result.lags.append(now - waiting[-1])
            while waiting and idle:
                connection = idle.popleft()
                if connection.at == len(connection.steps):
                    raise SystemExit("more was due than prepared")
                _send(connection, waiting.popleft())
            for fd, _ in poll(0):
                if _receive(by_fd[fd], result, clock):
                    idle.append(by_fd[fd])
                    answered = now
            if now - answered > STUCK_S:
                raise SystemExit("no answer for too long")
        result.seconds, result.cpu_s = clock() - begin, time.process_time() - cpu
        gc.enable()
        return result


def _send(connection: Connection, at_s: float) -> None:
    """Send the next step; latency counts from `at_s`."""
    connection.sent_s = at_s
    request = connection.steps[connection.at].request
    if connection.socket.send(request) != len(request):
        raise SystemExit("a request did not fit into the socket")


def _receive(connection: Connection, result: Result, clock: Callable[[], float]) -> bool:
    """Read; whether the answer is whole. Then it is counted, and checked."""
    answer = connection.socket.recv(RECEIVE_BYTES)
    if not answer:
        raise SystemExit("the exchange closed a connection")
    expected = EXPECTED[connection.steps[connection.at].kind]
    if connection.partial or expected not in answer or answer[-1] not in LAST:
        answer = connection.partial + answer
        if not _is_whole(answer):
            connection.partial = answer
            return False
        connection.partial = b""
    result.latencies.append(clock() - connection.sent_s)
    connection.at += 1
    if answer[9:12] != b"200" or expected not in answer:
        result.errors.append(answer)
    return True


def _schedule(rate: float, seconds: float, seed: int) -> list[float]:
    drawn = random.Random(seed)
    times: list[float] = []
    at = drawn.expovariate(rate)
    while at < seconds:
        times.append(at)
        at += drawn.expovariate(rate)
    return times


def _is_whole(answer: bytes) -> bool:
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator:
        return False
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(body) >= int(value)
    return True
