"""Receivers of streams, in a process of their own, for `./dev bench fanout` and `bench orders`.

Design: plain sockets and epoll in one thread. The bytes of a read are looked up among those seen
before: a server sends the same ones to every subscriber, so most reads cost a look-up and no
parsing. Latency is the clock at the read less the time `T` in the message.

Invariant: a connection that the server closes ends this process with an error, unless it was opened
as one that does not read.
"""

import gc
import json
import re
import select
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from bench import websocket
from bench.processes import Helper, processors, say
from bench.runs import Run

COUNT: Final = "count"  # Read, look for times, and answer pings.
DISCARD: Final = "discard"  # Read only; not for longer than a server waits for its pongs.
STALL: Final = "stall"  # Do not read.
STEP_US: Final = 10
QUIET_S: Final = 0.3  # without a message, after which nothing more is under way
QUICK_QUIET_S: Final = 0.1
QUIET_MAX_S: Final = 20.0
SEEN_MAX: Final = 4096
RECEIVE_BYTES: Final = 65_536
STALLED_BYTES: Final = 4096  # receive buffer of a connection that does not read
TIME: Final = re.compile(rb'"T":(\d{16})')


class Taken(NamedTuple):
    """What the readers of one server received between two moments.

    least, most: messages of one reader. latencies: steps of STEP_US -> messages that took so many.
    texts: what the first reader received, as (T in microseconds, text).
    """

    readers: int
    messages: int
    least: int
    most: int
    latencies: dict[int, int]
    cpu_s: float
    texts: list[tuple[int, str]]


def latency_ms(taken: Iterable[Taken], share: float) -> float:
    """Within which this share of all messages was delivered."""
    latencies: Counter[int] = Counter()
    for one in taken:
        latencies.update(one.latencies)
    ordered = sorted(latencies.elements())
    return ordered[int((len(ordered) - 1) * share)] * STEP_US / 1e3


class Readers:
    """The process, as a bench sees it. It has the load's processor."""

    def __init__(self, run: Run) -> None:
        quiet_s = QUICK_QUIET_S if run.options.quick else QUIET_S
        self._helper = run.until_end(Helper("bench.readers", quiet_s, processor=processors()[1]))

    def open(
        self, port: int, count: int, channels: Sequence[str], *, token: str = "", way: str = COUNT
    ) -> None:
        """Connect so many to 127.0.0.1, and subscribe them. way: COUNT, DISCARD or STALL."""
        self._helper.ask(["open", port, count, channels, token, way])

    def end_stalled(self) -> None:
        """Close the connections that do not read."""
        self._helper.ask(["end_stalled"])

    def end_all(self) -> None:
        self._helper.ask(["end_all"])

    def begin(self, port: int) -> None:
        """Count what comes from this server from here on."""
        self._helper.ask(["begin", port])

    def end(self) -> Taken:
        """Wait until nothing more is under way; what came since `begin`."""
        taken = Taken(*self._helper.ask(["end"]))
        return taken._replace(
            latencies={int(steps): count for steps, count in taken.latencies.items()},
            texts=[(at, text) for at, text in taken.texts],
        )


class Reader:
    """One connection."""

    __slots__ = ("is_counted", "messages", "partial", "port", "socket")

    def __init__(self, port: int, way: str) -> None:
        self.socket = websocket.connect(port, receive_buffer=STALLED_BYTES * (way == STALL))
        self.port = port
        self.is_counted = way == COUNT
        self.messages = 0
        self.partial = b""

    def ask(self, method: str, params: object) -> None:
        message = {"id": 1, "method": method, "params": params}
        self.socket.sendall(websocket.frame(json.dumps(message).encode()))


class ReaderProcess:
    """The readers themselves: what Readers asks for, by name."""

    def __init__(self, quiet_s: float) -> None:
        self._quiet_s = quiet_s
        self._readers: dict[int, Reader] = {}
        self._stalled: list[Reader] = []
        self._is_asked = False
        self._epoll = select.epoll()
        self._epoll.register(0, select.EPOLLIN)
        self._seen: dict[bytes, tuple[int, ...]] = {}
        self._latencies = array("q")
        self._counted: list[Reader] = []
        self._first: Reader | None = None  # the one whose texts are kept
        self._texts: list[tuple[int, str]] = []
        self._cpu_s = 0.0

    def run(self) -> None:
        """Until stdin ends."""
        while True:
            self._turn(-1)
            if self._is_asked:
                line = sys.stdin.readline()
                if not line:
                    return
                what, *arguments = json.loads(line)
                say(getattr(self, what)(*arguments))

    def open(self, port: int, count: int, channels: list[str], token: str, way: str) -> None:
        for number in range(count):
            reader = Reader(port, way)
            if token:
                reader.ask("LOGIN", {"token": token})
            if channels:
                reader.ask("SUBSCRIBE", channels)
            if way == STALL:
                self._stalled.append(reader)
            else:
                reader.socket.setblocking(False)
                self._readers[reader.socket.fileno()] = reader
                self._epoll.register(reader.socket.fileno(), select.EPOLLIN)
            if number % 16 == 0:
                self._turn(0)
        if way == COUNT:
            self._settle()

    def end_stalled(self) -> None:
        for reader in self._stalled:
            reader.socket.close()
        self._stalled.clear()

    def end_all(self) -> None:
        self.end_stalled()
        for fd, reader in self._readers.items():
            self._epoll.unregister(fd)
            reader.socket.close()
        self._readers.clear()

    def begin(self, port: int) -> None:
        self._settle()
        self._seen.clear()
        self._latencies = array("q")
        self._texts = []
        self._counted = [
            reader for reader in self._readers.values() if reader.port == port and reader.is_counted
        ]
        for reader in self._counted:
            reader.messages = 0
        self._first = self._counted[0]
        self._cpu_s = time.process_time()

    def end(self) -> Taken:
        self._settle()
        cpu_s = time.process_time() - self._cpu_s
        self._first = None
        if not self._latencies:
            raise SystemExit("nothing was received")
        counts = [reader.messages for reader in self._counted]
        latencies = Counter(latency_us // STEP_US for latency_us in self._latencies)
        each = min(counts), max(counts), latencies, cpu_s, self._texts
        return Taken(len(counts), sum(counts), *each)

    def _settle(self) -> None:
        """Read until nothing has come for `quiet_s`."""
        end = time.monotonic() + QUIET_MAX_S
        while self._turn(self._quiet_s) and time.monotonic() < end:
            pass

    def _turn(self, wait_s: float) -> bool:
        """Read what arrives within `wait_s` (-1: without a limit). Whether a server sent any."""
        ready = [fd for fd, _ in self._epoll.poll(wait_s)]
        self._is_asked = 0 in ready
        for fd in ready:
            if fd != 0:
                self._receive(self._readers[fd])
        return len(ready) > self._is_asked

    def _receive(self, reader: Reader) -> None:
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
        for time_us in times:
            self._latencies.append(now_us - time_us)

    def _parse(self, reader: Reader, received: bytes) -> tuple[int, ...]:
        """The times in the messages that are whole; the rest waits."""
        times: list[int] = []
        frames, at = websocket.parse(received)
        for first_byte, start, end in frames:
            if first_byte == websocket.PING:
                reader.socket.send(websocket.PONG)
            elif first_byte != websocket.TEXT:
                raise SystemExit(f"not a text frame: {received[start:end]!r}")
            elif found := TIME.search(received, start, end):
                times.append(int(found[1]))
                if reader is self._first:
                    self._texts.append((times[-1], received[start:end].decode()))
        reader.partial = received[at:]
        if not reader.partial and received[0] == websocket.TEXT:
            if len(self._seen) == SEEN_MAX:
                self._seen.clear()
            self._seen[received] = tuple(times)
        return tuple(times)


if __name__ == "__main__":
    gc.disable()
    ReaderProcess(json.loads(sys.argv[1])).run()
