"""A running exchange under prepared load, and what a slice of that load costs.

Design: the exchange and its followers have one processor, the load the other. CPU is what the
system counted for each process.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any, Final, NamedTuple

from bench.load import HttpWire, Load, Result, WebSocketWire
from bench.order_mix import LIVE, SIGNED, SOCKET, TOKEN, Mix, Step, Trader, pings
from bench.processes import Server, processors
from bench.runs import SEED, Run, percentiles

PING: Final = "ping"
SOCKET_LANES: Final = 32
SETTLE_SHARE: Final = 0.3  # of a slice, before and after it: followers lag a little behind.
ROOM: Final = 1.6  # so many more steps than the rate seen before would need
STEPS_MIN: Final = 20
FIRST_RATES: Final = {PING: 40_000, TOKEN: 20_000, SIGNED: 8_000, SOCKET: 25_000}
HEADINGS: Final = (
    "requests/s | p50 ms | p99 | p99.9 | max | server CPU us | replica CPU us"
    " | generator CPU us | busy"
)


class LoadSlice(NamedTuple):
    """CPU in microseconds for one request. busy: the generator's share of its processor."""

    latencies: list[float]
    rate: float
    server_us: float
    replica_us: float
    recorder_us: float
    generator_us: float
    busy: float

    @property
    def cpu_us(self) -> float:
        """Of the exchange and its children."""
        return max(self.server_us + self.replica_us + self.recorder_us, 1e-9)


def medians(slices: Sequence[LoadSlice], *names: str) -> list[float]:
    return [median(getattr(one, name) for one in slices) for name in names]


def cells(slices: Sequence[LoadSlice]) -> list[str]:
    """The columns of HEADINGS: medians; percentiles over all slices."""
    names = "rate", "server_us", "replica_us", "generator_us", "busy"
    rate, *cpu, busy = medians(slices, *names)
    latencies = percentiles(each for one in slices for each in one.latencies)
    return [f"{rate:,.0f}", *latencies, *(f"{each:.1f}" for each in cpu), f"{busy:.0%}"]


class Venue:
    """An exchange that runs, and the mix that trades on it."""

    def __init__(self, run: Run, name: str = "exchange", **options: Any) -> None:
        """options: checkout, followers and settings, as for Server."""
        own, other = processors()
        self.server = Server(run.folder / name, processor=own, **options)
        run.at_end(self.server.close)
        os.sched_setaffinity(0, {other})
        owners = [self.server.accounts[owner] for owner in ("demo1", "demo2")]
        self._tokens = [owner["token"] for owner in owners]
        self.mix = Mix((Trader(owners[0]), Trader(owners[1])), SEED)
        self._run = run
        self._rates: dict[tuple[str, int], float] = {}

    def slice(
        self, kind: str, connections: int, seconds: float, *, settled: bool = False
    ) -> LoadSlice:
        """A closed loop: each lane sends when it has its answer.

        kind: PING, TOKEN, SIGNED: a connection for each lane; SOCKET: SOCKET_LANES share them.
        settled: wait for the recorder, which follows a second later, before and after; otherwise
        its CPU may be that of earlier slices.
        """
        lanes = SOCKET_LANES if kind == SOCKET else connections
        rate = self._rates.get((kind, connections), FIRST_RATES[kind])
        with self.prepared(kind, connections, int(rate * ROOM * seconds / lanes)) as load:
            self._pause(seconds, settled=settled)
            begun = self.server.usage()
            result = load.closed(seconds=seconds)
            server_s = self.server.usage()[0]
            self._pause(seconds, settled=settled)
            ended = [server_s, *self.server.usage()[1:]]
            self.check(result)
        if not result.exhausted:
            self._rates[kind, connections] = result.rate
        server, replica, recorder = (
            (after - before) / len(result.latencies) * 1e6
            for after, before in zip(ended, begun, strict=True)
        )
        generator = result.cpu_s / len(result.latencies) * 1e6
        busy = result.cpu_s / result.seconds
        return LoadSlice(result.latencies, result.rate, server, replica, recorder, generator, busy)

    def send(self, steps: list[Step]) -> None:
        """Send steps over one connection, one after the other."""
        load = Load(HttpWire(self.server.port, 1))
        load.lanes[0].steps = steps
        self.check(load.closed())
        load.close()

    @contextmanager
    def prepared(self, kind: str, connections: int, count: int) -> Iterator[Load]:
        """A load with at least `count` steps in each lane, whose first orders are in the book.
        Afterwards its orders are cancelled.
        """
        if kind == SOCKET:
            port, tokens = self.server.ws_port, self._tokens
            load = Load(WebSocketWire(port, SOCKET_LANES, tokens=tokens, connections=connections))
        else:
            load = Load(HttpWire(self.server.port, connections))
        count += STEPS_MIN
        for lane in load.lanes:
            lane.steps = pings(count) if kind == PING else self.mix.m1(lane.number, count, kind)
        self.check(load.closed(steps=LIVE))
        yield load
        for lane in load.lanes:
            done = lane.steps[: lane.at]
            lane.steps, lane.at = self.mix.cleanup(lane.number, done, way=kind), 0
        self.check(load.closed())
        load.close()

    def check(self, result: Result) -> None:
        self._run.problems += result.errors
        self._run.answers += len(result.latencies)

    def _pause(self, seconds: float, *, settled: bool) -> None:
        time.sleep(seconds * SETTLE_SHARE)
        if settled:
            self.server.settle()
