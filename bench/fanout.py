"""`./dev bench fanout`: what one market says, to many at once.

How it works: a real `fairbook up` under a steady load of orders, and many connections that receive
depth and trades of one market, in a process of their own (fanout_readers.py) on the other
processor. Three slices take turns: all of them read; a hundredth more do not read at all; and a
bare picows broadcast says the same bytes, at the same pace, with only the time in them renewed. A
ratio is taken within each round, the median of the rounds is reported. Those that do not read are
made slow before their slice: trades of another market, which nobody else receives, fill what the
kernel and the transport hold for them. At last they are sent so much that they must be closed.

Always true: the bench ends with 1 if an answer is not as it should be, a connection that reads is
closed, or one of them gets more messages or fewer than another.

Not here: what a message says; orders at their fastest (orders.py).
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.fanout_broadcast import Broadcast
from bench.fanout_readers import STALL, TIME, Readers, Taken, latency_ms
from bench.orders_flow import BUY, SELL, SYMBOL, Flow, Step, Trader, burst
from bench.orders_load import Load
from bench.orders_server import Server, processors
from bench.table import machine, resident_bytes, write_into

NAME: Final = "fanout"
CHANNELS: Final = (f"depth.{SYMBOL}", f"trade.{SYMBOL}")
BURST_SYMBOL: Final = "ETH_USDC"  # its trades are for those that do not read, and for nobody else
STALLED_SHARE: Final = 0.01
RATIO_TARGET: Final = 0.5  # docs/internals/performance.md, here and below
P99_TARGET: Final = 1.1
BURSTS_MAX: Final = 400
ALL, STALLED, BARE = "all read", "others read not", "bare picows"
HEADINGS: Final = (
    "what", "messages/s", "p50 ms", "p99", "max", "CPU us a message", "server busy",
    "receiver busy",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Slice:
    """What was delivered in one slice, and the CPU of who sent it."""

    taken: Taken
    cpu_s: float
    seconds: float

    @property
    def cpu_us(self) -> float:
        """Of the server, for each message to each receiver."""
        return self.cpu_s / self.taken.messages * 1e6


@dataclass(slots=True)
class Stalled:
    """What became of those that do not read."""

    slow: int = 0
    buffered_bytes: int = 0
    resident_bytes: int = 0
    closed: int = 0


@dataclass
class Run:
    """One run of the bench, and its tables."""

    server: Server
    broadcast: Broadcast
    readers: Readers
    clients: int
    rate: float
    seconds: float
    rounds: int
    seed: int
    problems: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        first, second = (Trader.of(self.server.accounts[name]) for name in ("demo1", "demo2"))
        self.traders = first, second
        self.flow = Flow(self.traders, self.seed)
        self.slices: dict[str, list[Slice]] = {ALL: [], STALLED: [], BARE: []}
        self.stalled = Stalled()
        self.stalled_count = max(1, int(self.clients * STALLED_SHARE))

    def report(self) -> Iterator[str]:
        """The section of docs/internals/performance.md, as it is measured."""
        begun = time.perf_counter()
        yield from self._head()
        resident = resident_bytes(self.server.pid)
        self.readers.open(self.server.ws_port, self.clients, CHANNELS)
        self.readers.open(self.broadcast.port, self.clients, ())
        with_readers = resident_bytes(self.server.pid)
        for number in range(self.rounds):
            for name in (ALL, STALLED) if number % 2 == 0 else (STALLED, ALL):
                if name == STALLED:
                    self._stall()
                self.slices[name].append(self._exchange())
                if name == STALLED:
                    self._unstall()
            self.slices[BARE].append(self._bare(self.slices[ALL][-1].taken.texts))
        yield "| " + " | ".join(HEADINGS) + " |"
        yield "|" + "---|" * len(HEADINGS)
        for name, slices in self.slices.items():
            yield _line(name if name != STALLED else f"{self.stalled_count} more do not", slices)
        yield ""
        yield from self._targets()
        yield ""
        stalled = self.stalled
        yield f"Memory of the exchange: {resident / 1e6:.0f} MB before anybody connects,"
        yield f"{with_readers / 1e6:.0f} MB with {self.clients:,}, at most"
        yield f"{stalled.resident_bytes / 1e6:.0f} MB with those that do not read; for these, it"
        yield f"held at most {stalled.buffered_bytes / 1e6:.2f} MB. At the ends of their slices"
        yield f"{stalled.slow} of {self.stalled_count * self.rounds} were slow, and their depth"
        yield f"conflated; sent more, {stalled.closed} were closed."
        spent_s = time.perf_counter() - begun
        yield f"Load average at the end: {os.getloadavg()[0]:.1f}; {spent_s:.0f} s in all."

    def _head(self) -> Iterator[str]:
        yield f"Machine: {machine()}, core {self.server.core}; others used it too:"
        yield f"load average at the start {os.getloadavg()[0]:.1f}. {self.clients:,} connections"
        yield f"that read, {self.rate:g} orders a second of mix M1; {self.rounds} rounds of"
        yield f"{self.seconds:g} s each, in turns. The exchange with replica and recorder, or the"
        yield "bare broadcast, has one processor, receivers and orders the other."
        yield ""

    def _exchange(self) -> Slice:
        """The exchange, under its load."""
        load = Load(self.server.port, 1)
        load.connections[0].steps = self.flow.m1(
            0, int(self.rate * self.seconds) + 1, signed=False, seconds=self.seconds
        )
        self.readers.begin(self.server.ws_port)
        cpu_s = self.server.usage().server_s
        result = load.paced(rate=self.rate, seconds=self.seconds)
        taken = self.readers.end()
        cpu_s = self.server.usage().server_s - cpu_s
        self._check(taken)
        done = load.connections[0].steps[: load.connections[0].at]
        load.connections[0].steps, load.connections[0].at = self.flow.cleanup(0, done), 0
        self.problems += result.errors + load.closed().errors
        load.close()
        return Slice(taken, cpu_s, result.seconds)

    def _bare(self, texts: Sequence[tuple[int, str]]) -> Slice:
        """The bare broadcast says the same, with the same time in between."""
        self.readers.begin(self.broadcast.port)
        cpu_s = self.broadcast.cpu_s()
        begin, first_us = time.perf_counter(), texts[0][0]
        for time_us, text in texts:
            due_s = begin + (time_us - first_us) / 1e6
            time.sleep(max(0.0, due_s - time.perf_counter()))
            renewed = b'"T":%d' % (time.time_ns() // 1000)
            self.broadcast.send(TIME.sub(renewed, text.encode()))
        seconds = time.perf_counter() - begin
        taken = self.readers.end()
        self._check(taken)
        return Slice(taken, self.broadcast.cpu_s() - cpu_s, seconds)

    def _check(self, taken: Taken) -> None:
        if taken.readers != self.clients or taken.least != taken.most:
            text = f"{taken.readers} readers got {taken.least} to {taken.most} messages"
            self.problems.append(text.encode())

    def _stall(self) -> None:
        """Connect those that do not read, and see to it that they are slow."""
        channels = [*CHANNELS, f"trade.{BURST_SYMBOL}"]
        self.readers.open(self.server.ws_port, self.stalled_count, channels, way=STALL)
        self._burst("slow", self.stalled_count)

    def _unstall(self) -> None:
        """Count who is slow still, and send them more than they may have waiting."""
        streams = self.server.status("streams")
        self.stalled.slow += int(streams["slow"])
        before = int(streams["slowClosed"])
        self._burst("slowClosed", before + self.stalled_count)
        self.stalled.closed += int(self.server.status("streams")["slowClosed"]) - before
        self.readers.close_stalled()

    def _burst(self, figure: str, wanted: int) -> None:
        """Trades of the other market, until a figure of the status is so high."""
        load = Load(self.server.port, 1)
        connection = load.connections[0]
        for _ in range(BURSTS_MAX):
            streams = self.server.status("streams")
            held = self.stalled
            held.buffered_bytes = max(held.buffered_bytes, streams["bufferedBytes"])
            held.resident_bytes = max(held.resident_bytes, resident_bytes(self.server.pid))
            if streams[figure] >= wanted:
                break
            sells, buy = burst(self.traders, BURST_SYMBOL)
            connection.steps += [Step(sells, SELL, 0), Step(buy, BUY, 0)]
            self.problems += load.closed().errors
        load.close()

    def _targets(self) -> Iterator[str]:
        every, stalled, bare = (self.slices[name] for name in (ALL, STALLED, BARE))
        costs = [
            theirs.cpu_us / max(ours.cpu_us, 1e-9)  # 0 where a short slice took no tick.
            for ours, theirs in zip(every, bare, strict=True)
        ]
        tails = [
            latency_ms([slow.taken], 0.99) / latency_ms([none.taken], 0.99)
            for slow, none in zip(stalled, every, strict=True)
        ]
        yield "| what | measured | range | target |"
        yield "|---|---|---|---|"
        for what, ratios, target in (
            ("messages for a second of CPU : bare picows", costs, f">= {RATIO_TARGET}"),
            ("p99, some do not read : all read", tails, f"<= {P99_TARGET}"),
        ):
            yield (
                f"| {what} | {statistics.median(ratios):.2f} |"
                f" {min(ratios):.2f}-{max(ratios):.2f} | {target} |"
            )
        both = [latency_ms([one.taken for one in slices], 0.99) for slices in (stalled, every)]
        yield f"| the same, of all rounds together | {both[0] / both[1]:.2f} | - | - |"


def _line(name: str, slices: Sequence[Slice]) -> str:
    """Latencies are of all slices together, the rest are medians."""
    taken = [one.taken for one in slices]
    rate = statistics.median(one.taken.messages / one.seconds for one in slices)
    cpu_us = statistics.median(one.cpu_us for one in slices)
    busy = statistics.median(one.cpu_s / one.seconds for one in slices)
    readers_busy = statistics.median(one.taken.cpu_s / one.seconds for one in slices)
    latencies = " | ".join(f"{latency_ms(taken, share):.2f}" for share in (0.5, 0.99, 1.0))
    return (
        f"| {name} | {rate:,.0f} | {latencies} | {cpu_us:.2f} | {busy:.0%} | {readers_busy:.0%} |"
    )


def allow_connections(count: int) -> None:
    """Let this process and its children have so many files open. SystemExit if they may not."""
    wanted = count + 256
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        if most != resource.RLIM_INFINITY and most < wanted:
            raise SystemExit(f"{wanted} open files are needed, {most} are allowed (ulimit -n)")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(prog=f"bench {NAME}", description=__doc__.split("\n")[0])
    parser.add_argument("--clients", type=int, default=1000, help="connections that read")
    parser.add_argument("--rate", type=float, default=50, help="orders a second")
    parser.add_argument("--seconds", type=float, default=3.0, help="of a slice")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="whether it works, no figures")
    parser.add_argument("--write", type=Path, help="a Markdown file to put the figures into")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.clients, arguments.seconds, arguments.rounds = 10, 0.3, 1
    allow_connections(arguments.clients * 2)
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        room = arguments.clients + 256
        most = {"FAIRBOOK_WS_PER_ADDRESS": room, "FAIRBOOK_WS_CONNECTIONS": room}
        room = arguments.clients + 256
        most = {"FAIRBOOK_WS_PER_ADDRESS": room, "FAIRBOOK_WS_CONNECTIONS": room}
        allowed = os.sched_getaffinity(0)
        with ExitStack() as leaving:
            server = Server(Path(folder) / "exchange", settings=most)
            leaving.callback(server.stop)
            broadcast = Broadcast()
            leaving.callback(broadcast.stop)
            readers = Readers()
            leaving.callback(readers.stop)
            run = Run(
                server, broadcast, readers, arguments.clients, arguments.rate,
                arguments.seconds, arguments.rounds, arguments.seed,
            )  # fmt: skip
            os.sched_setaffinity(0, {processors()[1]})
            leaving.callback(os.sched_setaffinity, 0, allowed)
            for text in run.report():
                print(text, flush=True)
                lines.append(text)
    if run.problems:
        print(f"not as it should be: {run.problems[0]!r}", file=sys.stderr)
        raise SystemExit(1)
    if arguments.write is not None:
        write_into(arguments.write, NAME, lines)


if __name__ == "__main__":
    main()
