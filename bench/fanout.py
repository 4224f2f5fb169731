"""`./dev bench fanout`: the depth and trades of one market, sent to many connections.

Design: a real `fairbook up` under a steady load of orders; the receivers are in a process of their
own (readers.py) on the other processor. Three slices take turns: all of them read; a hundredth more
do not read at all; and a bare picows broadcast sends the same bytes at the same pace, with only the
time in them renewed. A ratio is taken within each round. Connections that do not read are made slow
before their slice: trades of another market, which only they receive, fill what the kernel and the
transport hold for them. After it they are sent so much that they must be closed.

Invariant: the bench fails if a connection that reads is closed, or receives more messages or fewer
than another.
"""

import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from bench.broadcast import Broadcast
from bench.mix import SYMBOL, TOKEN
from bench.processes import resident_bytes
from bench.readers import STALL, TIME, Readers, Taken, latency_ms
from bench.runs import SEED, Option, Run, rounds, seconds, spread, table
from bench.venue import Venue

OPTIONS: Final = {
    "rounds": rounds(5),
    "seconds": seconds(3.0, quick=0.3),
    "clients": Option(1000, 10, "connections that read"),
    "rate": Option(50.0, 50.0, "orders a second"),
    "seed": SEED,
}
CHANNELS: Final = (f"depth.{SYMBOL}", f"trade.{SYMBOL}")
BURST_SYMBOL: Final = "ETH_USDC"  # only connections that do not read subscribe to its trades
BURSTS_MAX: Final = 400
STALLED_SHARE: Final = 0.01
RATIO_TARGET: Final = ">= 0.5"  # docs/internals/performance.md, here and below
P99_TARGET: Final = "<= 1.1"
ALL, STALLED, BARE = "all read", "some do not read", "bare picows"
HEADINGS: Final = (
    "what", "messages/s", "p50 ms", "p99", "max", "CPU us a message", "server busy",
    "receiver busy",
)  # fmt: skip


class FanoutSlice(NamedTuple):
    """What was delivered in one slice, and the CPU of its sender. cpu_us: of a message to one
    receiver.
    """

    taken: Taken
    cpu_s: float
    seconds: float

    @property
    def cpu_us(self) -> float:
        return max(self.cpu_s, 1e-9) / self.taken.messages * 1e6


def sections(run: Run) -> dict[str, Iterator[str]]:
    venue = venue_for(run)
    broadcast = Broadcast(run)  # Ends after its readers.
    return {"fanout": report(run, venue, Readers(run), broadcast)}


def venue_for(run: Run, name: str = "exchange", checkout: Path | None = None) -> Venue:
    """An exchange for clients of this machine. Raises SystemExit if this process and its children
    may not have so many open files.
    """
    wanted = 2 * run.options.clients + 256
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < wanted:
        raise SystemExit(f"{wanted} open files are needed, {most} are allowed (ulimit -n)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), most))
    settings = {"FAIRBOOK_WS_PER_ADDRESS": wanted, "FAIRBOOK_WS_CONNECTIONS": wanted}
    return Venue(run, name, checkout=checkout, settings=settings)


def exchange_slice(venue: Venue, readers: Readers, rate: float, seconds: float) -> FanoutSlice:
    """Orders at a steady rate, and what the readers of this exchange received of it."""
    with venue.prepared(TOKEN, 1, int(rate * seconds), seconds) as load:
        readers.begin(venue.server.ws_port)
        cpu_s = venue.server.usage()[0]
        due_s = (number / rate for number in range(int(rate * seconds)))
        result = load.open(due_s, sleeps=True)
        taken = readers.end()
        cpu_s = venue.server.usage()[0] - cpu_s
        venue.check(result)
    return FanoutSlice(taken, cpu_s, result.seconds)


def bare_slice(broadcast: Broadcast, readers: Readers, texts: list[tuple[int, str]]) -> FanoutSlice:
    """The bare broadcast of the same texts, with the same time in between."""
    readers.begin(broadcast.port)
    cpu_s = broadcast.cpu_s()
    begin, first_us = time.perf_counter(), texts[0][0]
    for time_us, text in texts:
        due_s = begin + (time_us - first_us) / 1e6
        time.sleep(max(0.0, due_s - time.perf_counter()))
        renewed = b'"T":%d' % (time.time_ns() // 1000)
        broadcast.send(TIME.sub(renewed, text.encode()))
    seconds = time.perf_counter() - begin
    taken = readers.end()
    return FanoutSlice(taken, broadcast.cpu_s() - cpu_s, seconds)


class Stalled:
    """Connections that do not read, and what the exchange did with them."""

    def __init__(self, venue: Venue, readers: Readers, count: int) -> None:
        self.count = count
        self.slow = self.closed = self.buffered_bytes = self.resident_bytes = 0
        self._venue = venue
        self._readers = readers

    def connect(self) -> None:
        """Connect them, and send trades until the exchange counts all of them as slow."""
        channels = [*CHANNELS, f"trade.{BURST_SYMBOL}"]
        self._readers.open(self._venue.server.ws_port, self.count, channels, way=STALL)
        self._burst("slow", self.count)

    def overflow(self) -> None:
        """Count those that are still slow, and send them more than may wait for them."""
        streams = self._venue.server.status("streams")
        self.slow += int(streams["slow"])
        before = int(streams["slowClosed"])
        self._burst("slowClosed", before + self.count)
        self.closed += int(self._venue.server.status("streams")["slowClosed"]) - before
        self._readers.end_stalled()

    def _burst(self, figure: str, wanted: int) -> None:
        """Trades of the other market, until a figure of the status is so high."""
        server = self._venue.server
        for _ in range(BURSTS_MAX):
            streams = server.status("streams")
            self.buffered_bytes = max(self.buffered_bytes, streams["bufferedBytes"])
            self.resident_bytes = max(self.resident_bytes, resident_bytes(server.pid))
            if streams[figure] >= wanted:
                break
            self._venue.send(self._venue.mix.burst(BURST_SYMBOL))


def report(run: Run, venue: Venue, readers: Readers, broadcast: Broadcast) -> Iterator[str]:
    options, clients = run.options, run.options.clients
    yield f"{clients:,} connections that read, {options.rate:g} orders a second of mix M1;"
    yield f"{options.rounds} rounds of {options.seconds:g} s each, in turns. The exchange with"
    yield "replica and recorder, or the bare broadcast, has one processor, receivers and orders"
    yield "the other."
    yield ""
    resident = resident_bytes(venue.server.pid)
    readers.open(venue.server.ws_port, clients, CHANNELS)
    readers.open(broadcast.port, clients, ())
    with_readers = resident_bytes(venue.server.pid)
    stalled = Stalled(venue, readers, max(1, int(clients * STALLED_SHARE)))
    slices: dict[str, list[FanoutSlice]] = {ALL: [], STALLED: [], BARE: []}
    for number in range(options.rounds):
        for name in (ALL, STALLED) if number % 2 == 0 else (STALLED, ALL):
            if name == STALLED:
                stalled.connect()
            slices[name].append(exchange_slice(venue, readers, options.rate, options.seconds))
            if name == STALLED:
                stalled.overflow()
        slices[BARE].append(bare_slice(broadcast, readers, slices[ALL][-1].taken.texts))
    for taken in (one.taken for measured in slices.values() for one in measured):
        if taken.readers != clients or taken.least != taken.most:
            text = f"{taken.readers} readers got {taken.least} to {taken.most} messages"
            run.problems.append(text.encode())
    names = {STALLED: f"{stalled.count} more do not"}
    yield from table(HEADINGS, (_row(names.get(name, name), slices[name]) for name in slices))
    yield from table(("what", "measured", "range", "target"), _targets(slices))
    yield f"Memory of the exchange: {resident / 1e6:.0f} MB before clients connect,"
    yield f"{with_readers / 1e6:.0f} MB with {clients:,}, at most"
    yield f"{stalled.resident_bytes / 1e6:.0f} MB with those that do not read; for these, it"
    yield f"held at most {stalled.buffered_bytes / 1e6:.2f} MB. At the ends of their slices"
    yield f"{stalled.slow} of {stalled.count * options.rounds} were slow, and their depth"
    yield f"conflated; sent more, {stalled.closed} were closed."


def _row(name: str, slices: Sequence[FanoutSlice]) -> list[str]:
    """Latencies are of all slices together, the rest are medians."""
    taken = [one.taken for one in slices]
    return [
        name,
        f"{median(one.taken.messages / one.seconds for one in slices):,.0f}",
        *(f"{latency_ms(taken, share):.2f}" for share in (0.5, 0.99, 1.0)),
        f"{median(one.cpu_us for one in slices):.2f}",
        f"{median(one.cpu_s / one.seconds for one in slices):.0%}",
        f"{median(one.taken.cpu_s / one.seconds for one in slices):.0%}",
    ]


def _targets(slices: dict[str, list[FanoutSlice]]) -> Iterator[list[str]]:
    def p99_ratio(some: Sequence[FanoutSlice], every: Sequence[FanoutSlice]) -> float:
        both = [latency_ms([one.taken for one in measured], 0.99) for measured in (some, every)]
        return both[0] / both[1]

    rounds = list(zip(slices[ALL], slices[STALLED], slices[BARE], strict=True))
    costs = [bare.cpu_us / every.cpu_us for every, _, bare in rounds]
    tails = [p99_ratio([some], [every]) for every, some, _ in rounds]
    yield ["messages for a second of CPU : bare picows", *spread(costs), RATIO_TARGET]
    yield ["p99, some do not read : all read", *spread(tails), P99_TARGET]
    together = p99_ratio(slices[STALLED], slices[ALL])
    yield ["the same, of all rounds together", f"{together:.2f}", "-", "-"]
