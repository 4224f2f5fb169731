"""Texts as client ids through ccxt, over kill -9: each is one order, whatever was repeated.

FAIRBOOK_TEXT_ROUNDS and FAIRBOOK_SEED set length (100 texts and one kill a round) and seed.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fairbook.core import invariants, records
from fairbook.core.exchange import Exchange
from fairbook.log.file_log import FileLog
from tests.clients.test_clients import ROOT
from tests.world.exchange_process import ExchangeProcess

pytestmark = pytest.mark.clients

ROUNDS = int(os.environ.get("FAIRBOOK_TEXT_ROUNDS", "3"))
SEED = int(os.environ.get("FAIRBOOK_SEED", "1"))
IDS_IN_A_ROUND = 100
LONGEST_S = 0.05  # from the request for a kill to the kill


@pytest.mark.parametrize("version", ["ccxt-4.5.90", "ccxt-4.5.64"])
def test_texts_are_orders_that_happen_once(
    tmp_path: Path, client_python: Callable[[str], Path], version: str
) -> None:
    """Every text through ccxt's `clientOrderId`: create, repeat, fetch, cancel, repeat."""
    chance = random.Random(f"kills {SEED}")
    with ExchangeProcess(tmp_path) as venue:
        path = tmp_path / "venue.json"
        path.write_bytes(venue.demo_path.read_bytes())
        arguments = ["tests.clients.ccxt_text_ids", str(path), str(ROUNDS), str(SEED)]
        with subprocess.Popen(
            [str(client_python(version)), "-m", *arguments],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as client:  # fmt: skip
            assert client.stdout is not None
            kills, told = 0, ""
            for line in client.stdout:
                if line == "KILL\n":
                    time.sleep(chance.uniform(0, LONGEST_S))
                    venue.kill()
                    venue.start()
                    kills += 1
                else:
                    told = line if line.startswith("{") else told + line
        assert client.returncode == 0, f"seed {SEED}: {told}"
        assert kills == ROUNDS
        orders = {text: int(order_id) for text, order_id in json.loads(told).items()}
        assert len(orders) == ROUNDS * IDS_IN_A_ROUND
        account = venue.account("demo1")
        venue.stop()
    confirm(tmp_path, account, orders)
    print(f"{len(orders)} texts, {kills} kills")


def confirm(folder: Path, account: int, orders: dict[str, int]) -> None:
    """By a replay of the log each text is one order, and it was cancelled."""
    exchange = Exchange()
    accepted: list[tuple[str, int]] = []
    cancelled: list[int] = []
    log = FileLog(folder, read_only=True)
    try:
        for entry in log.read(1):
            events = exchange.apply(entry.frame, entry.time_ns)
            at, text = 0, ""
            while at < len(events):
                kind = records.kind_at(events, at)
                if kind == records.TEXT:
                    text = records.text_at(events, at)
                elif kind == records.ACCEPTED:
                    placed = records.read_accepted(events, at)
                    if placed.flags & records.HAS_TEXT and placed.account == account:
                        accepted.append((text, placed.order_id))
                elif kind == records.CLOSED:
                    order = records.OrderRecord(events, at)
                    if order.account == account and order.flags & records.HAS_TEXT:
                        assert order.status == records.CANCELLED
                        cancelled.append(order.order_id)
                at = records.next_at(events, at)
    finally:
        log.close()
    assert sorted(accepted) == sorted(orders.items())
    assert sorted(cancelled) == sorted(orders.values())
    assert exchange.open_orders(account) == []
    invariants.check(exchange)
