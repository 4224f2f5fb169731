"""`./dev bench ws-orders`: orders over a few WebSocket connections, and over HTTP in one run."""

from collections.abc import Iterator
from typing import Final

from bench.loaded_exchange import HEADINGS, SOCKET_LANES, LoadSlice, Venue, cells
from bench.order_mix import SOCKET, TOKEN
from bench.orders import sync_text
from bench.runs import ROUNDS, SECONDS, Option, Run, spread, table

OPTIONS: Final = {"rounds": Option(7, 1, ROUNDS), "seconds": Option(0.6, 0.02, SECONDS)}
CONNECTIONS: Final = (2, 8)  # half of them for each of the two accounts that trade
CASES: Final = {
    (TOKEN, SOCKET_LANES): "HTTP, bearer",
    **{(SOCKET, connections): "WebSocket" for connections in CONNECTIONS},
}


def report(run: Run) -> Iterator[str]:
    venue = Venue(run)
    slices: dict[tuple[str, int], list[LoadSlice]] = {case: [] for case in CASES}
    for _ in range(run.options.rounds):
        for (kind, connections), measured in slices.items():
            measured.append(venue.slice(kind, connections, run.options.seconds))
    rows = ([name, case[1], *cells(slices[case])] for case, name in CASES.items())
    yield from table(f"what | connections | {HEADINGS}", rows)
    headings = "over WebSocket : over HTTP | connections | measured | range"
    yield from table(headings, _ratios(slices))
    yield sync_text(run.folder)


def _ratios(slices: dict[tuple[str, int], list[LoadSlice]]) -> Iterator[list[object]]:
    for connections in CONNECTIONS:
        both = list(zip(slices[SOCKET, connections], slices[TOKEN, SOCKET_LANES], strict=True))
        rates = [socket.rate / http.rate for socket, http in both]
        costs = [socket.server_us / max(http.server_us, 1e-9) for socket, http in both]
        yield ["requests/s", connections, *spread(rates)]
        yield ["CPU of the server for a request", connections, *spread(costs)]
