"""An exchange under a load of orders, and what a slice of it costs.

How it works: a slice is one kind of requests over so many connections for so long. CPU is what the
system counted for the process of the exchange and for each of its children.

Not here: what is compared (orders.py, orders_added.py, ws_orders.py).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.orders_flow import LIVE, Flow, Step, Trader, pings
from bench.orders_load import Load, Result
from bench.orders_server import Server, Usage

PING, TOKEN, SIGNED = "ping", "bearer", "signed"
OPEN_CONNECTIONS: Final = 64
SETTLE_SHARE: Final = 0.3  # of a slice, before and after it: the replica follows a moment later.
ROOM: Final = 1.6  # so many more steps than the rate seen before would need
FIRST_RATES: Final = {PING: 40_000, TOKEN: 20_000, SIGNED: 8_000}


@dataclass(frozen=True, slots=True)
class Slice:
    """One run of one kind, and the CPU of the exchange in it."""

    result: Result
    usage: Usage

    @property
    def server_us(self) -> float:
        """Of the exchange's process, for one request."""
        return self.usage.server_s / len(self.result.latencies) * 1e6

    @property
    def replica_us(self) -> float:
        """Of its replica, for one request."""
        return self.usage.replica_s / len(self.result.latencies) * 1e6

    @property
    def recorder_us(self) -> float:
        """Of its recorder, for one request."""
        return self.usage.recorder_s / len(self.result.latencies) * 1e6


@dataclass(slots=True)
class Row:
    """All slices of one kind at so many connections."""

    slices: list[Slice] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Requests per second, median."""
        return statistics.median(each.result.rate for each in self.slices)

    @property
    def server_us(self) -> float:
        """Median."""
        return statistics.median(each.server_us for each in self.slices)

    @property
    def replica_us(self) -> float:
        """Median."""
        return statistics.median(each.replica_us for each in self.slices)

    @property
    def generator_us(self) -> float:
        """Median."""
        return statistics.median(each.result.cpu_us for each in self.slices)

    @property
    def generator_busy(self) -> float:
        """The part of its processor that it used, median: what is left shows it is no limit."""
        return statistics.median(each.result.cpu_s / each.result.seconds for each in self.slices)

    def latencies(self) -> str:
        """Columns: percentiles over all slices, in ms."""
        return percentiles([each for one in self.slices for each in one.result.latencies])


class Exchange:
    """An exchange that runs, and what is known of it: its flow, and how fast it was."""

    def __init__(self, directory: Path, *, seed: int, alone: bool = False) -> None:
        self.server = Server(directory, alone=alone)
        first, second = (Trader.of(self.server.accounts[name]) for name in ("demo1", "demo2"))
        self.flow = Flow((first, second), seed)
        self.problems: list[bytes] = []
        self._rates: dict[tuple[str, int], float] = {}

    def steps(self, kind: str, connection: int, count: int, seconds: float) -> list[Step]:
        """For one connection."""
        if kind == PING:
            return pings(count)
        return self.flow.m1(connection, count, signed=kind == SIGNED, seconds=seconds)

    def slice(self, kind: str, connections: int, seconds: float, *, settled: bool = False) -> Slice:
        """A closed loop: each connection sends when it has its answer. settled: `measure`."""
        rate = self._rates.get((kind, connections), FIRST_RATES[kind])
        count = int(rate * ROOM * seconds / connections) + 100
        load = self._load(kind, connections, count, seconds)
        measured = measure(self.server, load.closed, seconds, settled=settled)
        result = measured.result
        if not result.exhausted:
            self._rates[kind, connections] = result.rate
        self._end(load, kind, result)
        return measured

    def open(self, rate: float, seconds: float, seed: int) -> Result:
        """Orders with a token that are due whether or not the exchange keeps up."""
        count = int(rate * seconds / OPEN_CONNECTIONS * 3) + 50
        load = self._load(TOKEN, OPEN_CONNECTIONS, count, seconds)
        result = load.open(rate=rate, seconds=seconds, seed=seed)
        self._end(load, TOKEN, result)
        return result

    def fill(self, orders: int) -> None:
        """Leave so many orders in the book."""
        load = Load(self.server.port, 1)
        load.connections[0].steps = [Step(request, 0, 0) for request in self.flow.resting(orders)]
        self.problems += load.closed().errors
        load.close()

    def _load(self, kind: str, connections: int, count: int, seconds: float) -> Load:
        load = Load(self.server.port, connections)
        for number, connection in enumerate(load.connections):
            connection.steps = self.steps(kind, number, count, seconds)
        self.problems += load.closed(steps=LIVE).errors
        return load

    def _end(self, load: Load, kind: str, result: Result) -> None:
        """Cancel what is left; keep what was not as it should be."""
        self.problems += result.errors
        if kind != PING:
            for number, connection in enumerate(load.connections):
                done = connection.steps[: connection.at]
                connection.steps, connection.at = self.flow.cleanup(number, done), 0
            self.problems += load.closed().errors
        load.close()


def measure(
    server: Server, run: Callable[..., Result], seconds: float, *, settled: bool = False
) -> Slice:
    """Run a load for so long, and see what it cost the exchange.

    settled: the recorder, which follows a second later, is waited for; else its CPU here may
    be of what was before.
    """
    time.sleep(seconds * SETTLE_SHARE)
    if settled:
        server.settle()
    begun = server.usage()
    result = run(seconds=seconds)
    server_s = server.usage().server_s
    time.sleep(seconds * SETTLE_SHARE)
    if settled:
        server.settle()
    ended = server.usage()
    replica_s, recorder_s = ended.replica_s - begun.replica_s, ended.recorder_s - begun.recorder_s
    return Slice(result, Usage(server_s - begun.server_s, replica_s, recorder_s))


def percentiles(latencies: list[float]) -> str:
    """p50, p99, p99.9 and the longest, in ms, as columns."""
    ordered = sorted(latencies)
    last = len(ordered) - 1
    places = [ordered[int(last * share)] for share in (0.5, 0.99, 0.999, 1.0)]
    return " | ".join(f"{each * 1e3:.2f}" for each in places)
