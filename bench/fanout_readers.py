"""Receivers of streams, a process of their own, for `./dev bench fanout` and `bench orders`.

How it works: plain sockets and epoll in one thread. What a read brings is looked up by its bytes:
a server sends the same ones to everybody, so most reads cost a look-up and no parsing. Latency is
the clock at the read less the time `T` in the message. The other end of stdin and stdout, a
`Readers`, says in lines of JSON what to do, and is answered in kind.

Always true: a connection that the server closes ends this process with an error, unless it was
opened as one that does not read.

Not here: what is measured (fanout.py), servers.
"""

from __future__ import annotations

import base64
import gc
import json
import re
import select
import socket
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from bench.orders_load import RECEIVE_BYTES
from bench.orders_server import processors
from bench.piped import Piped, settle
from bench.ws_load import HEAD, TEXT, frame

COUNT: Final = "count"  # Read, look for times, and answer pings.
DISCARD: Final = "discard"  # Read only: for less than a server waits for an answer to its pings.
STALL: Final = "stall"  # Do not read.
STEP_US: Final = 10
QUIET_S: Final = 0.3  # without a message, after which nothing more is under way
QUIET_MAX_S: Final = 20.0
SEEN_MAX: Final = 4096
STALLED_BYTES: Final = 4096  # the kernel's room for what a connection that does not read gets
TIME: Final = re.compile(rb'"T":(\d{16})')
PING: Final = 0x89
PONG: Final = bytes((0x8A, 0x80)) + bytes(4)


class Taken(NamedTuple):
    """What the readers of one server got between two moments."""

    readers: int
    messages: int
    least: int
    """Of one reader."""
    most: int
    latencies: dict[int, int]
    """Steps of STEP_US -> messages that took so many."""
    cpu_s: float
    texts: list[tuple[int, str]]
    """What the first reader got: (T in microseconds, text)."""


def latency_ms(taken: Iterable[Taken], share: float) -> float:
    """Within which this share of all messages was delivered."""
    latencies: Counter[int] = Counter()
    for one in taken:
        latencies.update(one.latencies)
    ordered = sorted(latencies.elements())
    return ordered[int((len(ordered) - 1) * share)] * STEP_US / 1e3


class Readers:
    """The process, as the bench sees it. It is on the generator's processor."""

    def __init__(self) -> None:
        _, other = processors()
        self._piped = Piped("bench.fanout_readers", processor=other)
        self.stop = self._piped.stop

    def open(
        self, port: int, count: int, channels: Sequence[str], *, token: str = "", way: str = COUNT
    ) -> None:
        """Connect so many to 127.0.0.1, and subscribe them. `way`: what they do with what comes."""
        self._ask(do="open", port=port, count=count, channels=channels, token=token, way=way)

    def close_stalled(self) -> None:
        """End those that do not read."""
        self._ask(do="close_stalled")

    def close(self) -> None:
        """End all connections."""
        self._ask(do="close")

    def begin(self, port: int) -> None:
        """Count from here on what comes from this server."""
        self._ask(do="begin", port=port)

    def end(self) -> Taken:
        """Wait until nothing more is under way; what came since `begin`."""
        taken = self._ask(do="end")
        taken["texts"] = [(at, text) for at, text in taken["texts"]]
        taken["latencies"] = {int(steps): count for steps, count in taken["latencies"].items()}
        return Taken(**taken)

    def _ask(self, **asked: Any) -> dict[str, Any]:
        self._piped.write(json.dumps(asked).encode() + b"\n")
        answered: dict[str, Any] = json.loads(self._piped.line())
        return answered


class _Reader:
    """One connection."""

    __slots__ = ("is_counted", "messages", "partial", "port", "socket")

    def __init__(self, port: int, way: str) -> None:
        self.socket = socket.socket()
        if way == STALL:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, STALLED_BYTES)
        self.socket.connect(("127.0.0.1", port))
        self.port = port
        self.is_counted = way == COUNT
        self.messages = 0
        self.partial = b""
        self.socket.sendall(HEAD % base64.b64encode(bytes(16)))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            part = self.socket.recv(1)  # Exactly the head: frames may follow at once.
            if not part:
                break
            head += part
        if b" 101 " not in head:
            raise SystemExit(f"no WebSocket: {head!r}")

    def ask(self, method: str, params: Any) -> None:
        message = {"id": 1, "method": method, "params": params}
        self.socket.sendall(frame(json.dumps(message).encode()))


class _Process:
    """The readers themselves."""

    def __init__(self) -> None:
        self._readers: dict[int, _Reader] = {}
        self._stalled: list[_Reader] = []
        self._asked = False
        self._epoll = select.epoll()
        self._epoll.register(0, select.EPOLLIN)
        self._seen: dict[bytes, tuple[int, ...]] = {}
        self._latencies = array("q")
        self._first: _Reader | None = None  # whose texts are kept
        self._texts: list[tuple[int, str]] = []
        self._port = 0
        self._cpu_s = 0.0

    def run(self) -> None:
        """Until stdin ends."""
        while True:
            self._turn(-1)
            for _ in range(1 if self._asked else 0):
                line = sys.stdin.readline()
                if not line:
                    return
                asked = json.loads(line)
                answer = getattr(self, "do_" + asked.pop("do"))(**asked)
                print(json.dumps(answer or {}), flush=True)

    def do_open(self, port: int, count: int, channels: list[str], token: str, way: str) -> None:
        """As Readers.open."""
        for number in range(count):
            reader = _Reader(port, way)
            if token:
                reader.ask("LOGIN", {"token": token})
            if channels:
                reader.ask("SUBSCRIBE", channels)
            if way != STALL:
                reader.socket.setblocking(False)
                self._readers[reader.socket.fileno()] = reader
                self._epoll.register(reader.socket.fileno(), select.EPOLLIN)
            else:
                self._stalled.append(reader)
            if number % 16 == 0:
                self._turn(0)
        self._settle()

    def do_close_stalled(self) -> None:
        """As Readers.close_stalled."""
        for reader in self._stalled:
            reader.socket.close()
        self._stalled.clear()

    def do_close(self) -> None:
        """As Readers.close."""
        self.do_close_stalled()
        for fd, reader in self._readers.items():
            self._epoll.unregister(fd)
            reader.socket.close()
        self._readers.clear()

    def do_begin(self, port: int) -> None:
        """As Readers.begin."""
        self._settle()
        self._port = port
        self._seen.clear()
        del self._latencies[:]
        self._texts = []
        for reader in self._of_port():
            reader.messages = 0
        self._first = self._of_port()[0]
        self._cpu_s = time.process_time()

    def do_end(self) -> dict[str, Any]:
        """As Readers.end."""
        self._settle()
        cpu_s = time.process_time() - self._cpu_s
        self._first = None
        counts = [reader.messages for reader in self._of_port()]
        if not self._latencies:
            raise SystemExit("nothing was received")
        return Taken(
            readers=len(counts),
            messages=sum(counts),
            least=min(counts),
            most=max(counts),
            latencies=Counter(latency_us // STEP_US for latency_us in self._latencies),
            cpu_s=cpu_s,
            texts=self._texts,
        )._asdict()

    def _of_port(self) -> list[_Reader]:
        return [
            reader
            for reader in self._readers.values()
            if reader.port == self._port and reader.is_counted
        ]

    def _settle(self) -> None:
        """Read until nothing has come for QUIET_S."""
        end = time.monotonic() + QUIET_MAX_S
        while self._turn(QUIET_S) and time.monotonic() < end:
            pass

    def _turn(self, wait_s: float) -> bool:
        """Read what is there, or comes in so long (-1: whenever). Whether anything was."""
        self._asked = False
        any_read = False
        for fd, _ in self._epoll.poll(wait_s):
            if fd == 0:
                self._asked = True
            else:
                any_read = True
                self._receive(self._readers[fd])
        return any_read

    def _receive(self, reader: _Reader) -> None:
        received = reader.socket.recv(RECEIVE_BYTES)
        now_us = time.time_ns() // 1000
        if not received:
            raise SystemExit(f"a server closed a connection that reads: {reader.partial!r}")
        if not reader.is_counted:
            return
        if reader.partial:
            received = reader.partial + received
            reader.partial = b""
        times = self._seen.get(received)
        if times is None or reader is self._first:
            times = self._parse(reader, received)
        reader.messages += len(times)
        add = self._latencies.append
        for time_us in times:
            add(now_us - time_us)

    def _parse(self, reader: _Reader, received: bytes) -> tuple[int, ...]:
        """The times in the messages that are whole; the rest waits."""
        times: list[int] = []
        at, end = 0, len(received)
        while end - at >= 2:
            kind, size, begin = received[at], received[at + 1], at + 2
            if size == 126:
                begin = at + 4
                size = int.from_bytes(received[at + 2 : begin], "big")
            elif size == 127:
                begin = at + 10
                size = int.from_bytes(received[at + 2 : begin], "big")
            if begin > end or begin + size > end:
                break
            at = begin + size
            if kind == PING:
                reader.socket.send(PONG)
            elif kind != TEXT:
                raise SystemExit(f"a server says: {received[begin:at]!r}")
            elif found := TIME.search(received, begin, at):
                times.append(int(found[1]))
                if reader is self._first:
                    self._texts.append((times[-1], received[begin:at].decode()))
        if at < end:
            reader.partial = received[at:]
        elif received[0] == TEXT:
            if len(self._seen) == SEEN_MAX:
                self._seen.clear()
            self._seen[received] = tuple(times)
        return tuple(times)


def main() -> None:
    """Be the process. Argument: its processor."""
    settle(sys.argv[1])
    gc.disable()
    _Process().run()


if __name__ == "__main__":
    main()
