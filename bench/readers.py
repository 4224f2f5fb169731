"""Receivers of streams, in a process of their own, for `./dev bench fanout` and `bench orders`.

Design: picows clients in one loop. A text is looked up among those seen before: a server sends the
same ones to every subscriber, so most messages cost a look-up and no parsing. Latency is the clock
at the message less the time `T` in it.

Invariant: a connection that the server closes ends this process with an error, unless it was opened
as one that does not read.
"""

import asyncio
import gc
import json
import os
import re
import socket
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.processes import Helper, processors, say, stdin_reader
from bench.runs import Run

COUNT: Final = "count"  # Read, and look for times.
DISCARD: Final = "discard"  # Read only.
STALL: Final = "stall"  # Do not read.
STEP_US: Final = 10
QUIET_S: Final = 0.3  # without a message, after which nothing more is under way
QUICK_QUIET_S: Final = 0.1
QUIET_MAX_S: Final = 20.0
CONNECTING_MAX: Final = 32
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


class Reader(WSListener):
    """One connection."""

    def __init__(self, process: "ReaderProcess", port: int, way: str) -> None:
        self.port = port
        self.is_counted = way == COUNT
        self.is_ended = way == STALL
        self.messages = 0
        self._process = process

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self._process.traffic += 1
        if self.is_counted and frame.msg_type == WSMsgType.TEXT:
            self._process.receive(self, frame.get_payload_as_bytes())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if not self.is_ended:
            print("a server closed a connection that reads", file=sys.stderr, flush=True)
            os._exit(1)

    def ask(self, method: str, params: object) -> None:
        message = {"id": 1, "method": method, "params": params}
        self.transport.send(WSMsgType.TEXT, json.dumps(message).encode())

    def end(self) -> None:
        self.is_ended = True
        self.transport.disconnect(graceful=False)


class ReaderProcess:
    """The readers themselves: what Readers asks for, by name."""

    def __init__(self, quiet_s: float) -> None:
        self.traffic = 0  # frames of all connections
        self._quiet_s = quiet_s
        self._readers: list[Reader] = []
        self._stalled: list[Reader] = []
        self._times: dict[bytes, int] = {}
        self._latencies = array("q")
        self._counted: list[Reader] = []
        self._first: Reader | None = None  # the one whose texts are kept
        self._texts: list[tuple[int, str]] = []
        self._cpu_s = 0.0

    async def run(self) -> None:
        """Until stdin ends."""
        stdin = await stdin_reader()
        while line := await stdin.readline():
            what, *arguments = json.loads(line)
            say(await getattr(self, what)(*arguments))
        await self.end_all()

    def receive(self, reader: Reader, text: bytes) -> None:
        now_us = time.time_ns() // 1000
        time_us = self._times.get(text)
        if time_us is None:
            found = TIME.search(text)
            time_us = self._times[text] = int(found[1]) if found else 0
        if time_us:
            reader.messages += 1
            self._latencies.append(now_us - time_us)
            if reader is self._first:
                self._texts.append((time_us, text.decode()))

    async def open(self, port: int, count: int, channels: list[str], token: str, way: str) -> None:
        def connected(_url: object) -> socket.socket:
            sock = socket.socket()
            if way == STALL:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, STALLED_BYTES)
            sock.connect(("127.0.0.1", port))
            return sock

        async def open_one() -> Reader:
            reader = Reader(self, port, way)
            await ws_connect(lambda: reader, f"ws://127.0.0.1:{port}/ws", socket_factory=connected)
            if token:
                reader.ask("LOGIN", {"token": token})
            if channels:
                reader.ask("SUBSCRIBE", channels)
            if way == STALL:
                reader.transport.underlying_transport.pause_reading()
            return reader

        opened = self._stalled if way == STALL else self._readers
        for begin in range(0, count, CONNECTING_MAX):
            each = range(begin, min(begin + CONNECTING_MAX, count))
            opened += await asyncio.gather(*(open_one() for _ in each))
        if way == COUNT:
            await self._settle()

    async def end_stalled(self) -> None:
        for reader in self._stalled:
            reader.end()
        self._stalled.clear()

    async def end_all(self) -> None:
        await self.end_stalled()
        for reader in self._readers:
            reader.end()
        self._readers.clear()

    async def begin(self, port: int) -> None:
        await self._settle()
        self._times.clear()
        self._latencies = array("q")
        self._texts = []
        self._counted = [
            reader for reader in self._readers if reader.port == port and reader.is_counted
        ]
        for reader in self._counted:
            reader.messages = 0
        self._first = self._counted[0]
        self._cpu_s = time.process_time()

    async def end(self) -> Taken:
        await self._settle()
        cpu_s = time.process_time() - self._cpu_s
        self._first = None
        if not self._latencies:
            raise SystemExit("nothing was received")
        counts = [reader.messages for reader in self._counted]
        latencies = Counter(latency_us // STEP_US for latency_us in self._latencies)
        each = min(counts), max(counts), latencies, cpu_s, self._texts
        return Taken(len(counts), sum(counts), *each)

    async def _settle(self) -> None:
        """Wait until nothing has come for `quiet_s`."""
        end = time.monotonic() + QUIET_MAX_S
        before = -1
        while before != self.traffic and time.monotonic() < end:
            before = self.traffic
            await asyncio.sleep(self._quiet_s)


if __name__ == "__main__":
    gc.disable()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ReaderProcess(json.loads(sys.argv[1])).run())
