"""`./dev bench orders`: orders over HTTP, durable, on a real `fairbook up`."""

import os
import random
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from timeit import repeat
from typing import Final

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair

from bench.loaded_exchange import HEADINGS, PING, LoadSlice, Venue, cells
from bench.order_mix import SIGNED, TOKEN
from bench.runs import ROUNDS, SECONDS, SEED, Option, Run, percentile, percentiles, spread, table

OPTIONS: Final = {
    "rounds": Option(5, 1, ROUNDS),
    "seconds": Option(0.6, 0.02, SECONDS),
    "resting": Option(10_000, 200, "orders in the fuller book"),
}
CONNECTIONS: Final = (1, 8, 32, 64)
FULLER_CONNECTIONS: Final = (8, 32)
KNEE_CONNECTIONS: Final = 32
OPEN_CONNECTIONS: Final = 64
OPEN_SHARES: Final = (0.5, 0.75)
REPEATS: Final = 500
SYNC_BYTES: Final = 400


def verification_us() -> float:
    """Median time of one check of a signature, as the exchange does it."""
    public_key, secret_key = crypto_sign_seed_keypair(bytes(32))
    signed = crypto_sign(bytes(150), secret_key)
    times_s = repeat(lambda: crypto_sign_open(signed, public_key), number=1, repeat=REPEATS)
    return median(times_s) * 1e6


def sync_text(folder: Path) -> str:
    """What each frame waits for at least, measured by itself."""
    with (folder / "sync").open("wb", buffering=0) as file:

        def append() -> None:
            file.write(bytes(SYNC_BYTES))
            os.fdatasync(file.fileno())

        p50, p99, *_ = percentiles(repeat(append, number=1, repeat=REPEATS))
    return f"To append {SYNC_BYTES} bytes to a file and sync takes {p50} ms (p99 {p99})."


def random_times(rate: float, seconds: float) -> Iterator[float]:
    """`rate` times a second on average (Poisson)."""
    drawn = random.Random(SEED)
    at = drawn.expovariate(rate)
    while at < seconds:
        yield at
        at += drawn.expovariate(rate)


def report(run: Run) -> Iterator[str]:
    orders = Orders(run)
    yield from table(f"connections | resting | what | {HEADINGS}", orders.closed_rows())
    yield f"Orders due at random times (Poisson), {OPEN_CONNECTIONS} connections, bearer;"
    yield f"latency counts from when an order was due. The knee, {orders.knee():,.0f}"
    yield f"requests/s, is the closed loop's rate at {KNEE_CONNECTIONS} connections."
    yield ""
    headings = "due/s | of the knee | resting | p50 ms | p99 | p99.9 | max"
    yield from table(f"{headings} | generator late, p99 ms | most", orders.open_rows)
    yield from table("what | measured | range", orders.ratios())
    yield f"To verify a signature takes {verification_us():.0f} us. {sync_text(run.folder)}"


class Orders:
    """What orders take, by connections, authentication and fullness of the book."""

    def __init__(self, run: Run) -> None:
        self.open_rows: list[list[str]] = []
        self._options = run.options
        self._venue = Venue(run)
        self._slices: dict[tuple[str, int, int], list[LoadSlice]] = {}

    def closed_rows(self) -> Iterator[list[str]]:
        resting = self._options.resting
        for connections in FULLER_CONNECTIONS if self._options.quick else CONNECTIONS:
            yield from self._closed(connections, 0, PING, TOKEN, SIGNED)
        self._open(0)
        self._venue.send(list(self._venue.mix.resting(resting)))
        for connections in FULLER_CONNECTIONS:
            yield from self._closed(connections, resting, PING, TOKEN)
        self._open(resting)

    def knee(self) -> float:
        return median(one.rate for one in self._slices[TOKEN, KNEE_CONNECTIONS, 0])

    def ratios(self) -> Iterator[list[str]]:
        for (kind, connections, resting), slices in self._slices.items():
            both = list(zip(slices, self._slices[TOKEN, connections, resting], strict=True))
            place = f"{connections} connections, {resting:,} resting"
            if kind == PING:
                costs = [order.server_us / max(ping.server_us, 1e-9) for ping, order in both]
                yield [f"CPU of an order : of a ping, {place}", *spread(costs)]
            elif kind == SIGNED:
                rates = [signed.rate / bearer.rate for signed, bearer in both]
                yield [f"rate of signed : bearer, {place}", *spread(rates)]
            else:
                rates = [one.rate for one in slices]
                yield [f"M1, bearer, requests/s, {place}", *spread(rates, ",.0f")]

    def _closed(self, connections: int, resting: int, *kinds: str) -> Iterator[list[str]]:
        for _ in range(self._options.rounds):
            for kind in kinds:
                one = self._venue.slice(kind, connections, self._options.seconds)
                self._slices.setdefault((kind, connections, resting), []).append(one)
        for kind in kinds:
            slices = self._slices[kind, connections, resting]
            yield [str(connections), f"{resting:,}", kind, *cells(slices)]

    def _open(self, resting: int) -> None:
        for share in OPEN_SHARES:
            rate = self.knee() * share
            length_s = self._options.seconds * self._options.rounds
            count = int(rate * length_s / OPEN_CONNECTIONS * 3)
            with self._venue.prepared(TOKEN, OPEN_CONNECTIONS, count) as load:
                result = load.open(random_times(rate, length_s))
                self._venue.check(result)
            late = [f"{percentile(result.lags, part) * 1e3:.2f}" for part in (0.99, 1.0)]
            due = [f"{rate:,.0f}", f"{share:.0%}", f"{resting:,}"]
            self.open_rows.append([*due, *percentiles(result.latencies), *late])
