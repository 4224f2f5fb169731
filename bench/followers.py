"""`./dev bench followers`: what replica, recorder and streams add to the CPU of an order."""

from collections.abc import Iterator
from statistics import median
from typing import Final

from bench.loaded_exchange import LoadSlice, Venue, medians
from bench.order_mix import SYMBOL, TOKEN
from bench.readers import DISCARD, Readers
from bench.runs import ROUNDS, SECONDS, Option, Run, table

OPTIONS: Final = {"rounds": Option(5, 1, ROUNDS), "seconds": Option(0.6, 0.02, SECONDS)}
CONNECTIONS: Final = 32
PUBLIC: Final = tuple(
    f"{kind}.{SYMBOL}" for kind in ("depth", "trade", "bookTicker", "ticker", "kline.1m")
)
OWN: Final = ("account.orderUpdate", "account.balanceUpdate")
SUBSCRIBERS: Final = 4
ALONE: Final = "nothing"
FOLLOWED: Final = "replica and recorder"
STREAMS: Final = f"and {SUBSCRIBERS} subscribers to {len(PUBLIC)} streams"
OWN_STREAMS: Final = "and both traders to their orders and balances"


def report(run: Run) -> Iterator[str]:
    options = run.options
    alone, followed = Venue(run, "alone", followers=False), Venue(run)
    readers, server = Readers(run), followed.server

    def measured(name: str) -> LoadSlice:
        if name in (STREAMS, OWN_STREAMS):
            readers.open(server.ws_port, SUBSCRIBERS, PUBLIC, way=DISCARD)
        if name == OWN_STREAMS:
            for trader in ("demo1", "demo2"):
                token = server.accounts[trader]["token"]
                readers.open(server.ws_port, 1, OWN, token=token, way=DISCARD)
        venue = alone if name == ALONE else followed
        one = venue.slice(TOKEN, CONNECTIONS, options.seconds, settled=not options.quick)
        readers.disconnect(DISCARD)
        return one

    slices: dict[str, list[LoadSlice]] = {
        name: [] for name in (ALONE, FOLLOWED, STREAMS, OWN_STREAMS)
    }
    for number in range(0 if options.quick else -1, options.rounds):
        for name, each in slices.items():
            one = measured(name)
            if number >= 0:  # A round before the first warms up what was just started.
                each.append(one)
    rows = (_row(name, each, slices[ALONE]) for name, each in slices.items())
    headings = "what is on | requests/s | server CPU us | replica CPU us | recorder CPU us"
    yield from table(f"{headings} | added | range", rows)


def _row(name: str, slices: list[LoadSlice], alone: list[LoadSlice]) -> list[str]:
    rate, *cpu = medians(slices, "rate", "server_us", "replica_us", "recorder_us")
    shares = [one.cpu_us / bare.cpu_us - 1 for one, bare in zip(slices, alone, strict=True)]
    added = [f"{median(shares):.0%}", f"{min(shares):.0%} to {max(shares):.0%}"]
    return [name, f"{rate:,.0f}", *(f"{each:.1f}" for each in cpu), *added]
