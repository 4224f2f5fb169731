"""`./dev bench orders`: orders over HTTP, durable, on a real `fairbook up`.

Design: slices of ping, orders with a token and signed orders take turns; a ratio is taken within
each round. "orders, added" is what streams, recorder and replica add to an order: the same load
takes turns on an exchange without followers or subscribers and on one with them. The CPU of an
order is that of the exchange and its children; what exceeds the first, in the same round, was
added.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Final

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair

from bench.load import poisson
from bench.mix import SIGNED, SYMBOL, TOKEN
from bench.readers import DISCARD, Readers
from bench.runs import SEED, Option, Run, percentiles, rounds, seconds, spread, table
from bench.venue import HEADINGS, PING, LoadSlice, Venue, cells, medians

OPTIONS: Final = {
    "rounds": rounds(5),
    "seconds": seconds(0.6, quick=0.02),
    "resting": Option(10_000, 200, "orders in the fuller book"),
    "seed": SEED,
    "only_added": Option(False, False, "only what streams, recorder and replica add"),
}
CONNECTIONS: Final = (1, 8, 32, 64)
KNEE_CONNECTIONS: Final = 32
OPEN_CONNECTIONS: Final = 64
OPEN_SHARES: Final = (0.5, 0.75)
CPU_TARGET: Final = "<= 2.5"  # docs/internals/performance.md, here and below
SIGNED_TARGET: Final = ">= 0.5"
ADDED_TARGET: Final = "<= 40%"
WISHES: Final = {8: 12_000, 32: 10_000}  # requests/s by connections
REPEATS: Final = 500
SYNC_BYTES: Final = 400
PUBLIC: Final = tuple(
    f"{kind}.{SYMBOL}" for kind in ("depth", "trade", "bookTicker", "ticker", "kline.1m")
)
OWN: Final = ("account.orderUpdate", "account.balanceUpdate")
SUBSCRIBERS: Final = 4
ALONE: Final = "nothing"
FOLLOWED: Final = "replica and recorder"
STREAMS: Final = f"and {SUBSCRIBERS} subscribers to {len(PUBLIC)} streams"
OWN_STREAMS: Final = "and both traders to their orders and balances"


def sections(run: Run) -> dict[str, Iterator[str]]:
    venue = Venue(run)
    added = {"orders, added": Added(run, venue).report()}
    return added if run.options.only_added else added | {"orders": Orders(run, venue).report()}


def seconds_each(measured: Callable[[], object]) -> list[float]:
    """How long each of REPEATS calls takes, ascending."""
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        measured()
        times.append(time.perf_counter() - begun)
    return sorted(times)


def verification_us() -> float:
    """Median time of one check of a signature, as the exchange does it."""
    public_key, secret_key = crypto_sign_seed_keypair(bytes(32))
    signed = crypto_sign(bytes(150), secret_key)
    return median(seconds_each(lambda: crypto_sign_open(signed, public_key))) * 1e6


def sync_text(folder: Path) -> str:
    """What each frame waits for at least, measured by itself."""
    with (folder / "sync").open("wb", buffering=0) as file:

        def append() -> None:
            file.write(bytes(SYNC_BYTES))
            os.fdatasync(file.fileno())

        times = seconds_each(append)
    p50, p99 = times[REPEATS // 2] * 1e3, times[REPEATS * 99 // 100] * 1e3
    return f"To append {SYNC_BYTES} bytes to a file and sync takes {p50:.2f} ms (p99 {p99:.2f})."


class Added:
    """What is added to an order by what follows the exchange. `venue` has replica and recorder."""

    def __init__(self, run: Run, venue: Venue) -> None:
        self._run = run
        self._venue = venue
        self._alone = Venue(run, "alone", followers=False)
        self._readers = Readers(run)
        self._slices: dict[str, list[LoadSlice]] = {
            name: [] for name in (ALONE, FOLLOWED, STREAMS, OWN_STREAMS)
        }

    def report(self) -> Iterator[str]:
        options = self._run.options
        for number in range(0 if options.quick else -1, options.rounds):
            for name, slices in self._slices.items():
                one = self._slice(name, options.seconds, settled=not options.quick)
                if number >= 0:  # A round before the first warms up what was just started.
                    slices.append(one)
        answers = self._venue.answers + self._alone.answers
        yield f"{options.rounds} rounds of {options.seconds:g} s each, in turns; {answers:,}"
        yield f"answers, {len(self._run.problems)} of them wrong."
        yield ""
        cpu = (f"{each} CPU us" for each in ("server", "replica", "recorder"))
        headings = "what is on", "requests/s", *cpu, "added", "range", "target"
        yield from table(headings, map(self._row, self._slices))

    def _slice(self, name: str, seconds_long: float, *, settled: bool) -> LoadSlice:
        server = self._venue.server
        if name in (STREAMS, OWN_STREAMS):
            self._readers.open(server.ws_port, SUBSCRIBERS, PUBLIC, way=DISCARD)
        if name == OWN_STREAMS:
            for trader in ("demo1", "demo2"):
                token = server.accounts[trader]["token"]
                self._readers.open(server.ws_port, 1, OWN, token=token, way=DISCARD)
        venue = self._alone if name == ALONE else self._venue
        one = venue.slice(TOKEN, KNEE_CONNECTIONS, seconds_long, settled=settled)
        self._readers.end_all()
        return one

    def _row(self, name: str) -> list[str]:
        slices = self._slices[name]
        rate, *cpu = medians(slices, "rate", "server_us", "replica_us", "recorder_us")
        row = [name, f"{rate:,.0f}", *(f"{each:.1f}" for each in cpu)]
        if name == ALONE:
            return [*row, "-", "-", "-"]
        costs_us = [
            [max(one.server_us + one.replica_us + one.recorder_us, 1e-9) for one in each]
            for each in (slices, self._slices[ALONE])
        ]
        shares = [some / bare - 1 for some, bare in zip(*costs_us, strict=True)]
        lowest_to_highest = f"{min(shares):.0%} to {max(shares):.0%}"
        target = "-" if name == FOLLOWED else ADDED_TARGET
        return [*row, f"{median(shares):.0%}", lowest_to_highest, target]


class Orders:
    """What orders take, by connections, authentication and fullness of the book."""

    def __init__(self, run: Run, venue: Venue) -> None:
        self._run = run
        self._venue = venue
        self._slices: dict[tuple[str, int, int], list[LoadSlice]] = {}
        self._open_rows: list[list[str]] = []

    def report(self) -> Iterator[str]:
        self._venue.answers = 0
        options = self._run.options
        yield "The exchange and its replica have one processor, the generator the other. Mix M1;"
        yield "JSON, network, authentication are included. Durable: an answer comes after fdatasync"
        yield "of the frame its command is in, one frame for all that came meanwhile. Signatures"
        yield f"are prepared beforehand; to verify one takes {verification_us():.0f} us."
        yield sync_text(self._run.folder)
        yield f"{options.rounds} rounds of {options.seconds:g} s each, in turns."
        yield ""
        yield from table(("connections", "resting", "what", *HEADINGS), self._closed_rows())
        yield f"Orders due at random times (Poisson), {OPEN_CONNECTIONS} connections, bearer;"
        yield f"latency counts from when an order was due. The knee, {self._knee():,.0f}"
        yield f"requests/s, is the closed loop's rate at {KNEE_CONNECTIONS} connections."
        yield ""
        columns = "due/s", "of the knee", "resting", "p50 ms", "p99", "p99.9", "max"
        late = "generator late, p99 ms", "most"
        yield from table((*columns, *late), self._open_rows)
        yield from table(("what", "measured", "range", "target"), self._targets())
        yield f"{self._venue.answers:,} answers, {len(self._run.problems)} of them wrong."

    def _closed_rows(self) -> Iterator[list[str]]:
        options = self._run.options
        for connections in tuple(WISHES) if options.quick else CONNECTIONS:
            yield from self._closed(connections, 0, PING, TOKEN, SIGNED)
        self._open(0)
        self._venue.send(list(self._venue.mix.resting(options.resting)))
        for connections in WISHES:
            yield from self._closed(connections, options.resting, PING, TOKEN)
        self._open(options.resting)

    def _closed(self, connections: int, resting: int, *kinds: str) -> Iterator[list[str]]:
        for _ in range(self._run.options.rounds):
            for kind in kinds:
                one = self._venue.slice(kind, connections, self._run.options.seconds)
                self._slices.setdefault((kind, connections, resting), []).append(one)
        for kind in kinds:
            slices = self._slices[kind, connections, resting]
            yield [str(connections), f"{resting:,}", kind, *cells(slices)]

    def _open(self, resting: int) -> None:
        options = self._run.options
        for share in OPEN_SHARES:
            rate = self._knee() * share
            length_s = options.seconds * options.rounds
            count = int(rate * length_s / OPEN_CONNECTIONS * 3)
            with self._venue.prepared(TOKEN, OPEN_CONNECTIONS, count, length_s) as load:
                result = load.open(poisson(rate, length_s, options.seed))
                self._venue.check(result)
            lags = sorted(result.lags)
            late = [f"{lags[int((len(lags) - 1) * part)] * 1e3:.2f}" for part in (0.99, 1.0)]
            due = [f"{rate:,.0f}", f"{share:.0%}", f"{resting:,}"]
            self._open_rows.append([*due, *percentiles(result.latencies), *late])

    def _knee(self) -> float:
        return median(one.rate for one in self._slices[TOKEN, KNEE_CONNECTIONS, 0])

    def _targets(self) -> Iterator[list[str]]:
        for (kind, connections, resting), slices in self._slices.items():
            both = list(zip(slices, self._slices[TOKEN, connections, resting], strict=True))
            place = f"{connections} connections, {resting:,} resting"
            is_stated = connections == KNEE_CONNECTIONS
            if kind == PING:
                ratios = [order.server_us / max(ping.server_us, 1e-9) for ping, order in both]
                target = CPU_TARGET if is_stated else "-"
                yield [f"CPU of an order : of a ping, {place}", *spread(ratios), target]
            elif kind == SIGNED:
                ratios = [signed.rate / bearer.rate for signed, bearer in both]
                target = SIGNED_TARGET if is_stated else "-"
                yield [f"rate of signed : bearer, {place}", *spread(ratios), target]
        for connections, wish in WISHES.items():
            rates = [one.rate for one in self._slices[TOKEN, connections, 0]]
            name = f"M1, bearer, {connections} connections, requests/s"
            yield [name, *spread(rates, ",.0f"), f"wish: > {wish:,}"]
