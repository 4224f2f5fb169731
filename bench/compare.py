"""`./dev bench compare --against DIR`: another checkout against this one, in one run.

Design: the load generator is that of this checkout. Old and new take turns in each round, and
change who begins; a ratio of more than 1 means that the new one is better.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Final

from bench import core, fanout
from bench.core_worker import COMPILED
from bench.loaded_exchange import PING, Venue
from bench.order_mix import SOCKET, TOKEN
from bench.readers import COUNT, Readers
from bench.runs import ROUNDS, SECONDS, Option, Run, spread, table

LOAD_CASES: Final = {
    "ping-8": (PING, 8),
    "ping-32": (PING, 32),
    "m1-8": (TOKEN, 8),
    "m1-32": (TOKEN, 32),
    "ws-orders-2": (SOCKET, 2),
    "ws-orders-8": (SOCKET, 8),
}
CORE_CASES: Final = {
    "core-w1": core.Case(COMPILED, "w1", 256, core.NO_IDS),
    "core-w1-ids": core.Case(COMPILED, "w1", 256, core.NEW_IDS),
    "core-wx": core.Case(COMPILED, "wx", 256, core.NO_IDS),
}
FANOUT: Final = "fanout"
CASES: Final = (*LOAD_CASES, FANOUT, *CORE_CASES)
OPTIONS: Final = {
    "against": Option(None, None, "the other checkout"),
    "rounds": Option(7, 1, ROUNDS),
    "seconds": Option(0.6, 0.05, SECONDS),
    "cases": Option(",".join(CASES), "m1-8,fanout,core-w1", "what to compare"),
    "clients": Option(500, 10, "connections of fanout"),
    "rate": Option(50.0, 50.0, "orders a second, of fanout"),
    "count": Option(200_000, 4_000, "commands of a core in a round"),
}


def report(run: Run) -> Iterator[str]:
    """Requests/s; of fan-out, messages, and of a core, commands, for a second of CPU."""
    if run.options.against is None:
        raise SystemExit("--against DIR is needed")
    rows = map(Comparison(run).row, run.options.cases.split(","))
    yield from table("case | old | new | new : old | range", rows)


class Comparison:
    """Both sides, the old one first, started when a case needs them."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._checkouts: list[Path | None] = [run.options.against.resolve(), None]

    def row(self, case: str) -> list[str]:
        self._round(case, 0)  # Warms up what was just started.
        measured = [self._round(case, number) for number in range(self._run.options.rounds)]
        if case == FANOUT:
            self._readers.disconnect(COUNT)  # Other cases have no subscribers.
        rates = [f"{median(side):,.0f}" for side in zip(*measured, strict=True)]
        return [case, *rates, *spread([new / old for old, new in measured])]

    def _round(self, case: str, number: int) -> list[float]:
        """The rates of old and new."""
        if case in CORE_CASES:
            subjects = [core.Subject(checkout) for checkout in self._checkouts]
            return self._flows.round(CORE_CASES[case], subjects)
        rates = [0.0, 0.0]
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            rates[side] = self._rate(case, self._venues[side])
        return rates

    def _rate(self, case: str, venue: Venue) -> float:
        options = self._run.options
        if case in LOAD_CASES:
            return venue.slice(*LOAD_CASES[case], options.seconds).rate
        readers, length_s = self._readers, 5 * options.seconds
        return 1e6 / fanout.exchange_slice(venue, readers, options.rate, length_s).cpu_us

    @cached_property
    def _flows(self) -> core.Flows:
        return core.Flows(self._run, interpreted=False, remembered=0)

    @cached_property
    def _venues(self) -> list[Venue]:
        names = zip(("old", "new"), self._checkouts, strict=True)
        return [fanout.venue_for(self._run, name, checkout) for name, checkout in names]

    @cached_property
    def _readers(self) -> Readers:
        readers = Readers(self._run)
        for venue in self._venues:
            readers.open(venue.server.ws_port, self._run.options.clients, fanout.CHANNELS)
        return readers
