"""`./dev bench ws-orders`: orders over a few WebSocket connections, and over HTTP in the same run.

Design: 32 lanes of mix M1 take turns over HTTP, each on a connection of its own with a token in
every request, and over WebSocket, where they share a few connections that logged in once. A ratio
is taken within each round.
"""

from collections.abc import Iterator
from typing import Final

from bench.mix import SOCKET, TOKEN
from bench.orders import sync_text
from bench.runs import SEED, Run, rounds, seconds, spread, table
from bench.venue import HEADINGS, SOCKET_LANES, LoadSlice, Venue, cells

OPTIONS: Final = {"rounds": rounds(7), "seconds": seconds(0.6, quick=0.02), "seed": SEED}
CONNECTIONS: Final = (2, 8)  # half of them for each of the two accounts that trade
TARGET: Final = ">= 1.5"  # docs/internals/performance.md
CASES: Final = {
    (TOKEN, SOCKET_LANES): "HTTP, bearer",
    **{(SOCKET, connections): "WebSocket" for connections in CONNECTIONS},
}


def sections(run: Run) -> dict[str, Iterator[str]]:
    return {"ws-orders": report(run, Venue(run))}


def report(run: Run, venue: Venue) -> Iterator[str]:
    yield "The exchange has one processor, the generator the other. Mix M1, durable,"
    yield f"{SOCKET_LANES} requests in flight. {sync_text(run.folder)}"
    yield f"{run.options.rounds} rounds of {run.options.seconds:g} s each, in turns."
    yield ""
    slices: dict[tuple[str, int], list[LoadSlice]] = {case: [] for case in CASES}
    for _ in range(run.options.rounds):
        for (kind, connections), measured in slices.items():
            measured.append(venue.slice(kind, connections, run.options.seconds))
    rows = ([name, str(case[1]), *cells(slices[case])] for case, name in CASES.items())
    yield from table(("what", "connections", *HEADINGS), rows)
    headings = "over WebSocket : over HTTP", "connections", "measured", "range", "target"
    yield from table(headings, _ratios(slices))
    yield f"{venue.answers:,} answers, {len(run.problems)} of them wrong."


def _ratios(slices: dict[tuple[str, int], list[LoadSlice]]) -> Iterator[list[str]]:
    for connections in CONNECTIONS:
        both = list(zip(slices[SOCKET, connections], slices[TOKEN, SOCKET_LANES], strict=True))
        rates = [socket.rate / http.rate for socket, http in both]
        costs = [socket.server_us / max(http.server_us, 1e-9) for socket, http in both]
        yield ["requests/s", str(connections), *spread(rates), TARGET]
        yield ["CPU of the server for a request", str(connections), *spread(costs), "-"]
