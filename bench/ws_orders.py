"""`./dev bench ws-orders`: orders over a few WebSocket connections, beside HTTP in the same run.

How it works: as `bench orders`, on a real `fairbook up` with its replica. IN_FLIGHT lanes of mix M1
are asked for over HTTP, each lane on a connection of its own with a token in every request, and
over WebSocket, where the lanes share a few connections that logged in once. The two take turns; a
ratio is taken within each round, and the median of the rounds is reported.

Always true: every answer is checked, and the bench ends with 1 if one is not as it should be.

Not here: what is sent (orders_flow.py), sending (orders_load.py, ws_load.py).
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.orders import sync_ms
from bench.orders_flow import LIVE, Flow, Trader
from bench.orders_load import Load
from bench.orders_server import Server, processors
from bench.orders_slices import ROOM, Row, Slice, measure
from bench.table import machine, write_into
from bench.ws_load import FIRST_CLIENT_ID, SocketLoad, SocketTrader

NAME: Final = "ws-orders"
IN_FLIGHT: Final = 32
CONNECTIONS: Final = (2, 8)  # Half of them for each of the two accounts that trade.
TARGET: Final = 1.5  # docs/internals/performance.md
FIRST_RATE: Final = 25_000
HEADINGS: Final = (
    "what", "connections", "requests/s", "p50 ms", "p99", "p99.9", "max",
    "server CPU us", "replica CPU us", "generator CPU us", "busy",
)  # fmt: skip


class Venue:
    """An exchange that runs, and the two ways to it."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.server = Server(directory)
        owners = [self.server.accounts[name] for name in ("demo1", "demo2")]
        self.tokens = [owner["token"] for owner in owners]
        first, second = (Trader.of(owner) for owner in owners)
        self._over_http = Flow((first, second), seed)
        first, second = (SocketTrader.of(owner) for owner in owners)
        first.client_ids = second.client_ids = FIRST_CLIENT_ID
        self._over_sockets = Flow((first, second), seed)
        self.problems: list[bytes] = []
        self._rates: dict[int, float] = {}

    def slice(self, connections: int, seconds: float) -> Slice:
        """A closed loop over so many WebSocket connections; 0: over HTTP."""
        count = int(self._rates.get(connections, FIRST_RATE) * ROOM * seconds / IN_FLIGHT) + 100
        flow = self._over_sockets if connections else self._over_http
        load: Load | SocketLoad
        if connections:
            load = SocketLoad(
                self.server.ws_port, self.tokens, lanes=IN_FLIGHT, connections=connections
            )
        else:
            load = Load(self.server.port, IN_FLIGHT)
        lanes = load.lanes if isinstance(load, SocketLoad) else load.connections
        for number, lane in enumerate(lanes):
            lane.steps = flow.m1(number, count, signed=False, seconds=seconds)
        self.problems += load.closed(steps=LIVE).errors
        measured = measure(self.server, load.closed, seconds)
        if not measured.result.exhausted:
            self._rates[connections] = measured.result.rate
        self.problems += measured.result.errors
        for number, lane in enumerate(lanes):
            lane.steps, lane.at = flow.cleanup(number, lane.steps[: lane.at]), 0
        self.problems += load.closed().errors
        load.close()
        return measured


class Run:
    """One run of the bench, and its tables."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.seconds: float = arguments.seconds
        self.rounds: int = arguments.rounds
        self.venue = Venue(folder / "exchange", arguments.seed)
        self._folder = folder
        self._rows: dict[int, Row] = {kind: Row() for kind in (0, *CONNECTIONS)}

    def report(self) -> Iterator[str]:
        """The section of docs/internals/performance.md, as it is measured."""
        begun = time.perf_counter()
        yield from self._head()
        for _ in range(self.rounds):
            for kind, row in self._rows.items():
                row.slices.append(self.venue.slice(kind, self.seconds))
        yield "| " + " | ".join(HEADINGS) + " |"
        yield "|" + "---|" * len(HEADINGS)
        for kind, row in self._rows.items():
            yield _line(kind, row)
        yield ""
        yield from self._ratios()
        answers = sum(
            len(each.result.latencies) for row in self._rows.values() for each in row.slices
        )
        yield f"{answers:,} answers, {len(self.venue.problems)} of them not as they should be."
        spent_s = time.perf_counter() - begun
        yield f"Load average at the end: {os.getloadavg()[0]:.1f}; {spent_s:.0f} s in all."

    def _head(self) -> Iterator[str]:
        yield f"Machine: {machine()}, core {self.venue.server.core}; others used it too:"
        yield f"load average at the start {os.getloadavg()[0]:.1f}. The exchange has one processor,"
        yield f"the generator the other. Mix M1, {IN_FLIGHT} requests in flight, durable."
        p50, p99 = sync_ms(self._folder)
        yield f"To append to a file and sync takes {p50:.2f} ms (p99 {p99:.2f})."
        yield f"{self.rounds} rounds of {self.seconds:g} s each, in turns."
        yield ""

    def _ratios(self) -> Iterator[str]:
        yield "| over WebSocket : over HTTP | connections | measured | range | target |"
        yield "|---|---|---|---|---|"
        over_http = self._rows[0].slices
        for kind in CONNECTIONS:
            both = list(zip(self._rows[kind].slices, over_http, strict=True))
            rates = [socket.result.rate / http.result.rate for socket, http in both]
            costs = [socket.server_us / max(http.server_us, 1e-9) for socket, http in both]
            for name, ratios, target in (
                ("requests/s", rates, f">= {TARGET}"),
                ("CPU of the server for a request", costs, "-"),
            ):
                yield (
                    f"| {name} | {kind} | {statistics.median(ratios):.2f} |"
                    f" {min(ratios):.2f}-{max(ratios):.2f} | {target} |"
                )


def _line(kind: int, row: Row) -> str:
    name, connections = ("WebSocket", kind) if kind else ("HTTP, bearer", IN_FLIGHT)
    return (
        f"| {name} | {connections} | {row.rate:,.0f} | {row.latencies()} | {row.server_us:.1f} |"
        f" {row.replica_us:.1f} | {row.generator_us:.1f} | {row.generator_busy:.0%} |"
    )


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(prog=f"bench {NAME}", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=0.6, help="of a slice")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="whether it works, no figures")
    parser.add_argument("--write", type=Path, help="a Markdown file to put the figures into")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seconds, arguments.rounds = 0.05, 1
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        run = Run(arguments, Path(folder))
        allowed = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, {processors()[1]})
            for text in run.report():
                print(text, flush=True)
                lines.append(text)
        finally:
            os.sched_setaffinity(0, allowed)
            run.venue.server.stop()
    if run.venue.problems:
        print(f"not as it should be: {run.venue.problems[0]!r}", file=sys.stderr)
        raise SystemExit(1)
    if arguments.write is not None:
        write_into(arguments.write, NAME, lines)


if __name__ == "__main__":
    main()
