"""Receivers of streams, in a process of their own.

Design: one loop over epoll. A text is looked up among those seen before: a server sends the same
ones to every subscriber, so most messages cost a look-up and no search. Latency is the clock at the
message less the time `T` in it.

Invariant: a connection that the server closes ends this process with an error, unless it was opened
as one that does not read.
"""

import gc
import json
import re
import select
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from socket import socket
from typing import Final, NamedTuple

from bench.load import connect_websocket, parse, receive
from bench.order_mix import PONG, frame
from bench.processes import Helper, processors, say
from bench.runs import Run

COUNT: Final = "count"  # Read, and look for times.
DISCARD: Final = "discard"  # Read only.
STALL: Final = "stall"  # Do not read.
QUIET_S: Final = 0.2  # without a message, after which nothing more is under way
QUIET_MAX_S: Final = 20.0
STALLED_BYTES: Final = 4096  # receive buffer of a connection that does not read
TIME: Final = re.compile(r'"T":(\d{16})')
PINGED: Final = 0x89  # the first byte of a ping frame
STDIN: Final = 0


class Taken(NamedTuple):
    """What the readers of one server received between two moments.

    counts: messages of each reader. texts: what the first one received, with T in microseconds.
    """

    counts: list[int]
    latencies_us: list[int]
    cpu_s: float
    texts: list[tuple[int, str]]


class Readers(Helper):
    """The process, as a bench sees it. It has the load's processor."""

    def __init__(self, run: Run) -> None:
        super().__init__("bench.readers", processor=processors()[1])
        run.at_end(self.close)

    def open(
        self, port: int, count: int, channels: Sequence[str], *, token: str = "", way: str = COUNT
    ) -> None:
        """Connect so many to 127.0.0.1, and subscribe them. way: COUNT, DISCARD or STALL."""
        self.ask(["open", port, count, channels, token, way])

    def disconnect(self, way: str) -> None:
        self.ask(["disconnect", way])

    def begin(self, port: int) -> None:
        """Count what comes from this server from here on."""
        self.ask(["begin", port])

    def end(self) -> Taken:
        """Wait until nothing more is under way; what came since `begin`."""
        return Taken(*self.ask(["end"]))


@dataclass(slots=True, eq=False)
class Reader:
    """One connection. partial: the beginning of a frame."""

    sock: socket
    port: int
    way: str
    messages: int = 0
    partial: bytes = b""


class ReaderProcess:
    """The readers themselves: what Readers asks for, by name."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._epoll.register(STDIN, select.EPOLLIN)
        self._readers: dict[int, Reader] = {}
        self._times: dict[bytes, int] = {}
        self._latencies_us: list[int] = []
        self._counted: list[Reader] = []
        self._texts: list[tuple[int, str]] = []
        self._cpu_s = 0.0

    def run(self) -> None:
        """Until stdin ends."""
        while True:
            ready = [fd for fd, _ in self._epoll.poll()]
            self._receive(ready)
            if STDIN in ready:
                line = sys.stdin.readline()
                if not line:
                    return
                what, *arguments = json.loads(line)
                say(getattr(self, what)(*arguments))

    def open(self, port: int, count: int, channels: list[str], token: str, way: str) -> None:
        for _ in range(count):
            sock = connect_websocket(port, token, STALLED_BYTES if way == STALL else None)
            self._readers[sock.fileno()] = Reader(sock, port, way)
            if channels:
                message = {"id": 1, "method": "SUBSCRIBE", "params": channels}
                sock.sendall(frame(json.dumps(message).encode()))
            if way != STALL:
                self._epoll.register(sock, select.EPOLLIN)
        if way == COUNT:
            self._settle()

    def disconnect(self, way: str) -> None:
        for fd, reader in list(self._readers.items()):
            if reader.way == way:
                del self._readers[fd]
                reader.sock.close()

    def begin(self, port: int) -> None:
        self._settle()
        self._times.clear()
        self._latencies_us, self._texts = [], []
        counted = (reader for reader in self._readers.values() if reader.way == COUNT)
        self._counted = [reader for reader in counted if reader.port == port]
        for reader in self._counted:
            reader.messages = 0
        self._cpu_s = time.process_time()

    def end(self) -> Taken:
        self._settle()
        cpu_s = time.process_time() - self._cpu_s
        if not self._latencies_us:
            raise SystemExit("nothing was received")
        counts = [reader.messages for reader in self._counted]
        self._counted = []
        return Taken(counts, self._latencies_us, cpu_s, self._texts)

    def _settle(self) -> None:
        """Wait until nothing has come for QUIET_S."""
        end = time.monotonic() + QUIET_MAX_S
        while time.monotonic() < end and (ready := self._epoll.poll(QUIET_S)):
            self._receive(fd for fd, _ in ready)

    def _receive(self, ready: Iterable[int]) -> None:
        for fd in ready:
            if fd == STDIN:
                continue
            reader = self._readers[fd]
            received = reader.partial + receive(reader.sock)
            frames, rest = parse(received)
            reader.partial = received[rest:]
            for first_byte, start, end in frames:
                if first_byte == PINGED:
                    reader.sock.sendall(frame(received[start:end], PONG))
                elif reader.way == COUNT:
                    self._count(reader, received[start:end])

    def _count(self, reader: Reader, text: bytes) -> None:
        now_us = time.time_ns() // 1000
        time_us = self._times.get(text)
        if time_us is None:
            found = TIME.search(text.decode())
            time_us = self._times[text] = int(found[1]) if found else 0
        if time_us and self._counted:
            reader.messages += 1
            self._latencies_us.append(now_us - time_us)
            if reader is self._counted[0]:
                self._texts.append((time_us, text.decode()))


if __name__ == "__main__":
    gc.disable()
    ReaderProcess().run()
