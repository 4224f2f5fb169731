"""`./dev bench attack`: what clients that take too much cost the others.

Design: the others are one account that places orders at fixed times and cancels them, over
connections that it opens when the attack is under way. A slow answer does not hide those after it.
Each attack follows a quiet slice.
"""

import base64
import json
import resource
import time
from collections import Counter
from collections.abc import Iterator
from statistics import median
from typing import Any, Final, NamedTuple

from bench.attackers import (
    BATCHES,
    CONNECTIONS,
    FORGED,
    READS,
    REFUSED_BATCHES,
    SOCKETS,
    Attackers,
)
from bench.load import HttpWire, Load
from bench.loaded_exchange import Venue
from bench.order_mix import BATCH, SYMBOL, WINDOW_MS, Trader, frame
from bench.processes import resident_bytes
from bench.runs import ROUNDS, Option, Run, percentile, table

OPTIONS: Final = {
    "rounds": Option(3, 1, ROUNDS),
    "seconds": Option(4.0, 0.6, "length of an attack"),
    "orders": Option(10_000, 200, "open ones of the account that attacks"),
    "only": Option("", "", "one attack instead of all"),
}
FILES: Final = 1024  # the soft limit of open files that the exchange begins with
LANES: Final = 32  # connections of the others
DUE_S: Final = 0.01  # between their requests
SETTLE_S: Final = 0.3  # for attackers to be at work, and for what they left to be done
ORDER: Final = {
    "orderType": "Limit", "price": "100.00", "quantity": "0.01", "side": "Bid", "symbol": SYMBOL
}  # fmt: skip
NULLS: Final = dict.fromkeys(("triggerPrice", "triggerQuantity", "stopLossTriggerPrice"))
HEADINGS: Final = (
    "attack | connections | others: p50 ms | p99 | p50 : quiet | p99 : quiet | refused"
    " | memory before, MB | during | after | the attack's answers/s"
)


class Measured(NamedTuple):
    """What the others noticed: percentiles in ms. refused: of their requests."""

    p50: float
    p99: float
    refused: int


def report(run: Run) -> Iterator[str]:
    _, files_max = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, files_max), files_max))
    others = Others(run)
    others.measured(run.options.seconds)  # It warms up what was just started.
    quiet = others.measured(run.options.seconds)
    yield f"Quiet: p50 {quiet.p50:.2f} ms, p99 {quiet.p99:.2f} ms."
    yield ""
    kinds = [run.options.only] if run.options.only else CONNECTIONS
    yield from table(HEADINGS, map(others.row, kinds))


class Others:
    """The account that is attacked, and the exchange."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._options = run.options
        self._venue = Venue(run)
        self._server = self._venue.server
        # Every second batch is that of the account that attacks.
        self._venue.send(list(self._venue.mix.resting(2 * run.options.orders))[1::2])
        self._server.settle()

    def row(self, kind: str) -> list[str]:
        quiet, attacked, before, during, after = [], [], [], [], []
        statuses: Counter[str] = Counter()
        seconds = self._options.seconds
        for _ in range(self._options.rounds):
            quiet.append(self.measured(seconds / 2))
            before.append(self._memory())
            attackers = Attackers(self._run, kind, **self._about(kind), seconds=seconds)
            time.sleep(SETTLE_S)
            try:
                attacked.append(self.measured(seconds - SETTLE_S))
            except SystemExit as broken:
                return [kind, str(CONNECTIONS[kind]), str(broken), *"-" * 8]
            during.append(self._memory())
            statuses.update(attackers.end())
            time.sleep(SETTLE_S)
            after.append(self._memory())
        both = list(zip(attacked, quiet, strict=True))
        noticed = [
            median(one.p50 for one in attacked),
            median(one.p99 for one in attacked),
            median(one.p50 / calm.p50 for one, calm in both),
            median(one.p99 / calm.p99 for one, calm in both),
        ]
        per_s = {name: count / seconds / len(both) for name, count in sorted(statuses.items())}
        return [
            kind,
            str(CONNECTIONS[kind]),
            *(f"{each:.2f}" for each in noticed),
            str(sum(one.refused for one in attacked)),
            *(f"{median(each):.0f}" for each in (before, during, after)),
            ", ".join(f"{name}: {rate:,.0f}" for name, rate in per_s.items()) or "-",
        ]

    def measured(self, seconds: float) -> Measured:
        """Raises SystemExit if the exchange does not serve them."""
        count = int(seconds / DUE_S)
        load = Load(HttpWire(self._server.port, LANES))
        try:
            for lane in load.lanes:
                lane.steps = self._venue.mix.placed_and_cancelled(count)
            result = load.open((number * DUE_S for number in range(count)), sleeps=True)
        finally:
            load.close()
        self._run.answers += count
        p50, p99 = (percentile(result.latencies, part) * 1e3 for part in (0.5, 0.99))
        return Measured(p50, p99, len(result.errors))

    def _memory(self) -> float:
        return resident_bytes(self._server.pid) / 1e6

    def _about(self, kind: str) -> dict[str, Any]:
        server, account = self._server, self._server.accounts["demo2"]
        ports = {"port": server.port, "ws_port": server.ws_port}
        return ports | {"token": account["token"], "request": _request(kind, account)}


def _request(kind: str, account: dict[str, str]) -> bytes:
    """What each connection sends again and again. Its orders never rest."""
    order = {**ORDER, "timeInForce": "IOC"}
    attacker = Trader(account)
    if kind == BATCHES:
        return attacker.http("POST", "/api/v1/orders", [order] * BATCH)
    if kind == REFUSED_BATCHES:
        return attacker.http("POST", "/api/v1/orders", [order | {"price": "x"}] * BATCH)
    if kind == FORGED:
        request = attacker.http("POST", "/api/v1/orders", [order | NULLS] * BATCH)
        proof = (
            f"X-API-Key: {account['apiKey']}\r\n"
            f"X-Timestamp: {time.time_ns() // 1_000_000}\r\nX-Window: {WINDOW_MS}\r\n"
            f"X-Signature: {base64.b64encode(bytes(64)).decode()}"
        )
        return request.replace(f"Authorization: Bearer {account['token']}".encode(), proof.encode())
    if kind == SOCKETS:
        return frame(json.dumps({"id": 1, "method": "order.place", "params": order}).encode())
    path = "capital" if kind == READS else "orders"
    return attacker.http("GET", f"/api/v1/{path}", {})
