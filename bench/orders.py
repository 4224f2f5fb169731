"""`./dev bench orders`: the whole way of an order, over HTTP, durable, on a real `fairbook up`.

How it works: the exchange, with its replica, has one processor; the generator, in this process,
the other. Slices of ping, orders with a token and signed orders take turns; a ratio is taken within
each round, and the median of the rounds is reported. CPU is what the system counted for the
process of the exchange, the replica's apart.

Always true: every answer is checked, and the bench ends with 1 if one is not as it should be.

Not here: what is sent (orders_flow.py), sending (orders_load.py), the core alone (core.py).
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

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair

from bench.fanout_readers import Readers
from bench.orders_added import Added
from bench.orders_server import processors
from bench.orders_slices import OPEN_CONNECTIONS, PING, SIGNED, TOKEN, Exchange, Row, percentiles
from bench.table import machine, write_into

NAME: Final = "orders"
ADDED_NAME: Final = "orders, added"  # its section; measured by itself with --only-added
KINDS: Final = (PING, TOKEN, SIGNED)
CONNECTIONS: Final = (1, 8, 32, 64)
KNEE_CONNECTIONS: Final = 32
OPEN_SHARES: Final = (0.5, 0.75)
CPU_TARGET: Final = 2.5  # docs/internals/performance.md, here and below
SIGNED_TARGET: Final = 0.5
WISHES: Final = {8: 12_000, 32: 10_000}
VERIFICATIONS: Final = 500
SYNCS: Final = 500
SYNC_BYTES: Final = 400
HEADINGS: Final = (
    "connections", "resting", "what", "requests/s", "p50 ms", "p99", "p99.9", "max",
    "server CPU us", "replica CPU us", "generator CPU us", "busy",
)  # fmt: skip


def verification_us() -> float:
    """Median time of one check of a signature, as the exchange does it."""
    public_key, secret_key = crypto_sign_seed_keypair(bytes(32))
    signed = crypto_sign(bytes(150), secret_key)
    times = []
    for _ in range(VERIFICATIONS):
        begun = time.perf_counter()
        crypto_sign_open(signed, public_key)
        times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1e6


def sync_ms(folder: Path) -> tuple[float, float]:
    """p50 and p99 of what each frame waits for at least, by itself."""
    times = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            begun = time.perf_counter()
            file.write(bytes(SYNC_BYTES))
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - begun)
    times.sort()
    return times[SYNCS // 2] * 1e3, times[SYNCS * 99 // 100] * 1e3


class Run:
    """One run of the bench: two exchanges, with and without who follows them, and the tables."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.seconds: float = arguments.seconds
        self.rounds: int = arguments.rounds
        self.resting: int = arguments.resting
        self.seed: int = arguments.seed
        self.connections: tuple[int, ...] = tuple(WISHES) if arguments.quick else CONNECTIONS
        self.answers = 0
        self.rows: dict[tuple[str, int, int], Row] = {}
        self.ratios: dict[tuple[str, int, int], list[float]] = {}
        self._folder = folder
        self.exchange = Exchange(folder / "exchange", seed=self.seed)
        try:
            self.without = Exchange(folder / "without", seed=self.seed, alone=True)
        except BaseException:
            self.exchange.server.stop()
            raise
        self.readers = Readers()

    @property
    def problems(self) -> list[bytes]:
        """Answers that were not as they should be."""
        return self.exchange.problems + self.without.problems

    def stop(self) -> None:
        """End both."""
        self.readers.stop()
        self.exchange.server.stop()
        self.without.server.stop()

    def added(self) -> Iterator[str]:
        """What is added to an order, as it is measured. To be read before `report`, whose orders
        stay in one of the books.
        """
        begun = time.perf_counter()
        load = os.getloadavg()[0]
        added = Added(self.exchange, self.without, self.readers)
        added.round(self.seconds, counts=False)
        answers = sum(added.round(self.seconds) for _ in range(self.rounds))
        yield f"Machine: {machine()}, core {self.exchange.server.core}; others used it too:"
        yield f"load average {load:.1f} at the start, {os.getloadavg()[0]:.1f} at the end."
        yield f"{self.rounds} rounds of {self.seconds:g} s each, in turns;"
        yield f"{answers:,} answers, {len(self.problems)} of them not as they should be;"
        yield f"{time.perf_counter() - begun:.0f} s in all."
        yield ""
        yield from added.report()

    def report(self) -> Iterator[str]:
        """What orders take, as it is measured."""
        begun = time.perf_counter()
        yield from self._head()
        yield "| " + " | ".join(HEADINGS) + " |"
        yield "|" + "---|" * len(HEADINGS)
        for connections in self.connections:
            yield from self._closed(connections, 0, KINDS)
        knee = self.rows[TOKEN, KNEE_CONNECTIONS, 0].rate
        opened = [self._open(knee, share, 0) for share in OPEN_SHARES]
        self.exchange.fill(self.resting)
        for connections in WISHES:
            yield from self._closed(connections, self.resting, (PING, TOKEN))
        opened += [self._open(knee, share, self.resting) for share in OPEN_SHARES]
        yield ""
        yield f"Orders due at random times (Poisson), {OPEN_CONNECTIONS} connections, bearer;"
        yield f"latency counts from when an order was due. The knee, {knee:,.0f} requests/s, is the"
        yield f"closed loop's rate at {KNEE_CONNECTIONS} connections."
        yield ""
        columns = (
            "due/s | of the knee | resting | p50 ms | p99 | p99.9 | max | generator late, p99 ms"
        )
        yield f"| {columns} | most |"
        yield "|" + "---|" * 9
        yield from opened
        yield ""
        yield from self._targets()
        yield f"{self.answers:,} answers, {len(self.problems)} of them not as they should be."
        spent_s = time.perf_counter() - begun
        yield f"Load average at the end: {os.getloadavg()[0]:.1f}; {spent_s:.0f} s in all."

    def _head(self) -> Iterator[str]:
        yield f"Machine: {machine()}, core {self.exchange.server.core}; others used it too:"
        yield f"load average at the start {os.getloadavg()[0]:.1f}. The exchange and its replica"
        yield "have one processor, the generator the other. Mix M1; JSON, network, authentication"
        yield "are included. Durable: an answer comes after fdatasync of the frame its command is"
        yield "in, one frame for all that came meanwhile. Signatures are prepared beforehand; to"
        yield f"verify one takes {verification_us():.0f} us here, with nothing around it."
        p50, p99 = sync_ms(self._folder)
        yield f"To append {SYNC_BYTES} bytes to a file and sync takes {p50:.2f} ms (p99 {p99:.2f})."
        yield f"{self.rounds} rounds of {self.seconds:g} s each, in turns."
        yield ""

    def _closed(self, connections: int, resting: int, kinds: tuple[str, ...]) -> Iterator[str]:
        for _ in range(self.rounds):
            each = {kind: self.exchange.slice(kind, connections, self.seconds) for kind in kinds}
            for kind, one in each.items():
                self.rows.setdefault((kind, connections, resting), Row()).slices.append(one)
                self.answers += len(one.result.latencies)
            cpu = each[TOKEN].server_us / max(each[PING].server_us, 1e-9)
            self.ratios.setdefault(("cpu", connections, resting), []).append(cpu)
            if SIGNED in each:
                share = each[SIGNED].result.rate / each[TOKEN].result.rate
                self.ratios.setdefault((SIGNED, connections, resting), []).append(share)
        for kind in kinds:
            yield _line(connections, resting, kind, self.rows[kind, connections, resting])

    def _open(self, knee: float, share: float, resting: int) -> str:
        result = self.exchange.open(knee * share, self.seconds * self.rounds, self.seed)
        self.answers += len(result.latencies)
        lags = sorted(result.lags)
        late = f"{lags[int(len(lags) * 0.99)] * 1e3:.2f} | {lags[-1] * 1e3:.2f}"
        return (
            f"| {knee * share:,.0f} | {share:.0%} | {resting:,} |"
            f" {percentiles(result.latencies)} | {late} |"
        )

    def _targets(self) -> Iterator[str]:
        yield "| what | measured | range | target |"
        yield "|---|---|---|---|"
        for (what, connections, resting), ratios in self.ratios.items():
            is_stated = connections == KNEE_CONNECTIONS
            name, target = (
                ("CPU of an order : of a ping", f"<= {CPU_TARGET}")
                if what == "cpu"
                else ("rate of signed : bearer", f">= {SIGNED_TARGET}")
            )
            yield (
                f"| {name}, {connections} connections, {resting:,} resting |"
                f" {statistics.median(ratios):.2f} | {min(ratios):.2f}-{max(ratios):.2f} |"
                f" {target if is_stated else '-'} |"
            )
        for connections, wish in WISHES.items():
            rates = [each.result.rate for each in self.rows[TOKEN, connections, 0].slices]
            yield (
                f"| M1, bearer, {connections} connections | {statistics.median(rates):,.0f}/s |"
                f" {min(rates):,.0f}-{max(rates):,.0f} | wish: > {wish:,}/s |"
            )


def _line(connections: int, resting: int, kind: str, row: Row) -> str:
    return (
        f"| {connections} | {resting:,} | {kind} | {row.rate:,.0f} | {row.latencies()} |"
        f" {row.server_us:.1f} | {row.replica_us:.1f} | {row.generator_us:.1f} |"
        f" {row.generator_busy:.0%} |"
    )


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(prog=f"bench {NAME}", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=0.6, help="of a slice")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--resting", type=int, default=10_000, help="orders in the fuller book")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only-added", action="store_true", help="what is added to an order")
    parser.add_argument("--quick", action="store_true", help="whether it works, no figures")
    parser.add_argument("--write", type=Path, help="a Markdown file to put the figures into")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seconds, arguments.rounds, arguments.resting = 0.05, 1, 200
    sections: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        run = Run(arguments, Path(folder))
        made = {ADDED_NAME: run.added} | ({} if arguments.only_added else {NAME: run.report})
        allowed = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, {processors()[1]})
            for name, section in made.items():
                sections[name] = []
                for text in section():
                    print(text, flush=True)
                    sections[name].append(text)
                print()
        finally:
            os.sched_setaffinity(0, allowed)
            run.stop()
    if run.problems:
        print(f"not as it should be: {run.problems[0]!r}", file=sys.stderr)
        raise SystemExit(1)
    if arguments.write is not None:
        for name, lines in sections.items():
            write_into(arguments.write, name, lines)


if __name__ == "__main__":
    main()
