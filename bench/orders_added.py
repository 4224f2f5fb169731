"""What streams, recorder and replica add to an order: a part of `./dev bench orders`.

How it works: slices of the same load take turns, on an exchange that nobody follows, and on one
with replica and recorder: first nobody subscribes there, then a few to everything public of the
market, then also the two traders to what is theirs. An order's CPU is that of the exchange and of
its children; what is more than on the exchange alone, in the same round, was added.

Not here: the load (orders_flow.py), who subscribes (fanout_readers.py).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Final

from bench.fanout_readers import DISCARD, Readers
from bench.orders_flow import SYMBOL
from bench.orders_slices import TOKEN, Exchange, Slice

CONNECTIONS: Final = 32
TARGET: Final = 0.4  # docs/internals/performance.md
SUBSCRIBERS: Final = 4
PUBLIC: Final = tuple(
    f"{kind}.{SYMBOL}" for kind in ("depth", "trade", "bookTicker", "ticker", "kline.1m")
)
OWN: Final = ("account.orderUpdate", "account.balanceUpdate")
TRADERS: Final = ("demo1", "demo2")
ALONE: Final = "nothing"
FOLLOWED: Final = "replica and recorder"
STREAMS: Final = f"and {SUBSCRIBERS} subscribers to {len(PUBLIC)} streams"
OWN_STREAMS: Final = "and both traders to their orders and balances"
HEADINGS: Final = (
    "what is on", "requests/s", "server CPU us", "replica CPU us", "recorder CPU us", "added",
    "range", "target",
)  # fmt: skip


class Added:
    """The comparison. `full`: with replica and recorder; `alone`: without."""

    def __init__(self, full: Exchange, alone: Exchange, readers: Readers) -> None:
        self._full = full
        self._alone = alone
        self._readers = readers
        self._slices: dict[str, list[Slice]] = {
            name: [] for name in (ALONE, FOLLOWED, STREAMS, OWN_STREAMS)
        }

    def round(self, seconds: float, *, counts: bool = True) -> int:
        """One slice of each, of so long; returns the number of answers. counts: else it warms up
        what was just started.
        """
        answers = 0
        for name, slices in self._slices.items():
            exchange = self._alone if name == ALONE else self._full
            self._subscribe(name)
            one = exchange.slice(TOKEN, CONNECTIONS, seconds, settled=True)
            self._readers.close()
            answers += len(one.result.latencies)
            if counts:
                slices.append(one)
        return answers

    def report(self) -> Iterator[str]:
        """The table."""
        yield "| " + " | ".join(HEADINGS) + " |"
        yield "|" + "---|" * len(HEADINGS)
        bare = [_cost(one) for one in self._slices[ALONE]]
        for name, slices in self._slices.items():
            shares = [_cost(one) / cost - 1 for one, cost in zip(slices, bare, strict=True)]
            medians = [
                statistics.median(figures)
                for figures in zip(
                    *((one.server_us, one.replica_us, one.recorder_us) for one in slices),
                    strict=True,
                )
            ]
            rate = statistics.median(one.result.rate for one in slices)
            added = f"{statistics.median(shares):.0%} | {min(shares):.0%} to {max(shares):.0%}"
            target = f"<= {TARGET:.0%}" if name in (STREAMS, OWN_STREAMS) else "-"
            yield (
                f"| {name} | {rate:,.0f} | {' | '.join(f'{each:.1f}' for each in medians)} |"
                f" {added if name != ALONE else '- | -'} | {target} |"
            )

    def _subscribe(self, name: str) -> None:
        server = self._full.server
        if name in (STREAMS, OWN_STREAMS):
            self._readers.open(server.ws_port, SUBSCRIBERS, PUBLIC, way=DISCARD)
        if name == OWN_STREAMS:
            for trader in TRADERS:
                token = server.accounts[trader]["token"]
                self._readers.open(server.ws_port, 1, OWN, token=token, way=DISCARD)


def _cost(one: Slice) -> float:
    """Microseconds of an order, on all processes."""
    return max(one.server_us + one.replica_us + one.recorder_us, 1e-9)
