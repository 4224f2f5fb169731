"""`./dev bench fanout`: the depth and trades of one market, sent to many connections.

Invariant: the bench fails if a connection that reads is closed, or receives more messages or fewer
than another.
"""

import asyncio
import json
import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import uvloop
from picows import WSListener, WSMsgType, WSTransport, ws_create_server

from bench.loaded_exchange import Venue
from bench.order_mix import SYMBOL, TOKEN
from bench.processes import Helper, cpu_s, processors, resident_bytes, say, stdin_reader
from bench.readers import STALL, TIME, Readers, Taken
from bench.runs import ROUNDS, SECONDS, Option, Run, percentile, percentiles, spread, table

OPTIONS: Final = {
    "rounds": Option(5, 1, ROUNDS),
    "seconds": Option(3.0, 0.3, SECONDS),
    "clients": Option(1000, 10, "connections that read"),
    "rate": Option(50.0, 50.0, "orders a second"),
}
CHANNELS: Final = (f"depth.{SYMBOL}", f"trade.{SYMBOL}")
BURST_SYMBOL: Final = "ETH_USDC"  # only connections that do not read subscribe to its trades
BURSTS_MAX: Final = 400
STALLED_SHARE: Final = 0.01
ALL, STALLED, BARE = "all read", "some do not read", "bare picows"


class FanoutSlice(NamedTuple):
    """What was delivered in one slice, and the CPU of its sender."""

    taken: Taken
    sender_s: float
    seconds: float

    @property
    def messages(self) -> int:
        return sum(self.taken.counts)

    @property
    def cpu_us(self) -> float:
        """Of a message to one receiver."""
        return max(self.sender_s, 1e-9) / self.messages * 1e6


def venue_for(run: Run, name: str = "exchange", checkout: Path | None = None) -> Venue:
    """An exchange for clients of this machine, with as many open files as they need."""
    wanted = 2 * run.options.clients + 256
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    limits = ("FAIRBOOK_WS_PER_ADDRESS", "FAIRBOOK_WS_CONNECTIONS")
    return Venue(run, name, checkout=checkout, settings=dict.fromkeys(limits, str(wanted)))


def exchange_slice(venue: Venue, readers: Readers, rate: float, seconds: float) -> FanoutSlice:
    """Orders at a steady rate, and what the readers of this exchange received of it."""
    count = int(rate * seconds)
    with venue.prepared(TOKEN, 1, count) as load:
        readers.begin(venue.server.ws_port)
        before_s = venue.server.usage()[0]
        result = load.open((number / rate for number in range(count)), sleeps=True)
        taken = readers.end()
        sender_s = venue.server.usage()[0] - before_s
        venue.check(result)
    return FanoutSlice(taken, sender_s, result.seconds)


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
        self.slow += streams["slow"]
        before = streams["slowClosed"]
        self._burst("slowClosed", before + self.count)
        self.closed += self._venue.server.status("streams")["slowClosed"] - before
        self._readers.disconnect(STALL)

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


def report(run: Run) -> Iterator[str]:
    options, clients = run.options, run.options.clients
    venue = venue_for(run)
    broadcast = Helper("bench.fanout", processor=processors()[0])
    run.at_end(broadcast.close)
    port = broadcast.answer()
    readers = Readers(run)
    resident = resident_bytes(venue.server.pid)
    readers.open(venue.server.ws_port, clients, CHANNELS)
    with_readers = resident_bytes(venue.server.pid)
    readers.open(port, clients, ())
    stalled = Stalled(venue, readers, max(1, int(clients * STALLED_SHARE)))

    def measured(name: str) -> FanoutSlice:
        if name == BARE:
            readers.begin(port)
            before_s = cpu_s(broadcast.pid)
            spent_s = broadcast.ask(slices[ALL][-1].taken.texts)
            taken = readers.end()
            return FanoutSlice(taken, cpu_s(broadcast.pid) - before_s, spent_s)
        if name == ALL:
            return exchange_slice(venue, readers, options.rate, options.seconds)
        stalled.connect()
        one = exchange_slice(venue, readers, options.rate, options.seconds)
        stalled.overflow()
        return one

    slices: dict[str, list[FanoutSlice]] = {ALL: [], STALLED: [], BARE: []}
    for number in range(options.rounds):
        for name in (ALL, STALLED, BARE) if number % 2 == 0 else (STALLED, ALL, BARE):
            one = measured(name)
            slices[name].append(one)
            counts = one.taken.counts
            if len(counts) != clients or min(counts) != max(counts):
                text = f"{len(counts)} readers got {min(counts)} to {max(counts)} messages"
                run.problems.append(text.encode())
    headings = "what | messages/s | p50 ms | p99 | p99.9 | max | CPU us a message | server busy"
    names = {STALLED: f"{stalled.count} more do not"}
    rows = (_row(names.get(name, name), each) for name, each in slices.items())
    yield from table(f"{headings} | receiver busy", rows)
    yield from table("what | measured | range", _ratios(slices))
    yield f"Memory of the exchange: {resident / 1e6:.0f} MB before clients connect,"
    yield f"{with_readers / 1e6:.0f} MB with {clients:,}, at most"
    yield f"{stalled.resident_bytes / 1e6:.0f} MB with those that do not read; for these, it"
    yield f"held at most {stalled.buffered_bytes / 1e6:.2f} MB. At the ends of their slices"
    yield f"{stalled.slow} of {stalled.count * options.rounds} were slow, and their depth"
    yield f"conflated; sent more, {stalled.closed} were closed."


def _latencies_s(slices: Sequence[FanoutSlice]) -> list[float]:
    return [each / 1e6 for one in slices for each in one.taken.latencies_us]


def _row(name: str, slices: Sequence[FanoutSlice]) -> list[str]:
    """Latencies are of all slices together, the rest are medians."""
    return [
        name,
        f"{median(one.messages / one.seconds for one in slices):,.0f}",
        *percentiles(_latencies_s(slices)),
        f"{median(one.cpu_us for one in slices):.2f}",
        f"{median(one.sender_s / one.seconds for one in slices):.0%}",
        f"{median(one.taken.cpu_s / one.seconds for one in slices):.0%}",
    ]


def _ratios(slices: dict[str, list[FanoutSlice]]) -> Iterator[list[str]]:
    def p99_ratio(some: Sequence[FanoutSlice], every: Sequence[FanoutSlice]) -> float:
        return percentile(_latencies_s(some), 0.99) / percentile(_latencies_s(every), 0.99)

    rounds = list(zip(slices[ALL], slices[STALLED], slices[BARE], strict=True))
    costs = [bare.cpu_us / every.cpu_us for every, _, bare in rounds]
    tails = [p99_ratio([some], [every]) for every, some, _ in rounds]
    yield ["messages for a second of CPU : bare picows", *spread(costs)]
    yield ["p99, some do not read : all read", *spread(tails)]
    together = p99_ratio(slices[STALLED], slices[ALL])
    yield ["the same, of all rounds together", f"{together:.2f}", "-"]


class Listener(WSListener):
    """A connection of the bare broadcast; `transports` has those that are open."""

    transports: Final[dict[WSTransport, None]] = {}

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transports[transport] = None

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        del self.transports[transport]


async def replay(texts: list[tuple[int, str]]) -> float:
    """Send texts, given with the times `T` in them in microseconds, to every connection, at their
    original pace and with only that time renewed. Return how many seconds that took.
    """
    begin = time.perf_counter()
    for time_us, text in texts:
        due_s = begin + (time_us - texts[0][0]) / 1e6
        await asyncio.sleep(due_s - time.perf_counter())
        renewed = TIME.sub(f'"T":{time.time_ns() // 1000}', text).encode()
        for transport in Listener.transports:
            transport.send(WSMsgType.TEXT, renewed)
    return time.perf_counter() - begin


async def serve() -> None:
    """The process of the bare broadcast: picows' own server, as its documentation has it."""
    server = await ws_create_server(lambda _request: Listener(), "127.0.0.1", 0, backlog=2048)
    say(server.sockets[0].getsockname()[1])
    stdin = await stdin_reader()
    while line := await stdin.readline():
        say(await replay(json.loads(line)))
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
