"""kill -9 under withdrawals: each happens once, and the faucet keeps its limit.

Threads withdraw, each time with a new client id, and ask the faucet, until the exchange is killed;
after the restart every client id is repeated, answered or not. At the end balance, lists and
answers must agree.

FAIRBOOK_CRASH_ROUNDS and FAIRBOOK_SEED set length and seed.
"""

from __future__ import annotations

import os
import random
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fairbook.demo.demo_venue import demo_venue
from tests.world.exchange_process import ExchangeProcess
from tests.world.rest_client import OutcomeUnknown, RestClient

SEED = int(os.environ.get("FAIRBOOK_SEED", "1"))
ROUNDS = int(os.environ.get("FAIRBOOK_CRASH_ROUNDS", "50"))
THREADS = 4
LIFE_S = (0.05, 0.6)
PATIENCE_S = 30.0
WITHDRAWALS, FAUCET = "/wapi/v1/capital/withdrawals", "/api/v1/faucet"
CAP = Decimal(demo_venue().faucet_atoms()["SOL"]) / 10**9
START = Decimal(demo_venue().accounts[0].balances["SOL"]) / 10**9
GIFT = "900"  # So that the cap is met, after a hundred.


class Saver:
    """The requests of one account and their answers."""

    def __init__(self, folder: Path) -> None:
        self.venue = ExchangeProcess(folder, "--no-replica")
        self.chance = random.Random(SEED)
        self.asked: dict[str, dict[str, Any]] = {}
        self.told: dict[str, dict[str, Any]] = {}
        self.given = 0
        self.lock = threading.Lock()

    def round(self, number: int) -> None:
        """Work until the exchange is killed; start it; repeat all requests."""
        seeds = [self.chance.random() for _ in range(THREADS)]
        threads = [
            threading.Thread(target=self.work, args=(f"{number}-{i}", seed))
            for i, seed in enumerate(seeds)
        ]
        for thread in threads:
            thread.start()
        time.sleep(self.chance.uniform(*LIFE_S))
        self.venue.kill()
        for thread in threads:
            thread.join()
        self.venue.start()
        rest = self.venue.rest()
        for name in [name for name in self.asked if name.startswith(f"{number}-")]:
            answer = self.repeat(rest, self.asked[name])
            assert self.told.setdefault(name, answer) == answer
        self.compare(rest)
        rest.close()

    def work(self, name: str, seed: float) -> None:
        """Withdraw, repeat some withdrawals, use the faucet, until the connection ends."""
        chance = random.Random(seed)
        rest = self.venue.rest()
        try:
            for step in range(10_000):
                client_id = f"{name}-{step}"
                body = {
                    "symbol": "SOL", "quantity": f"0.{chance.randint(1, 999_999_999):09d}",
                    "address": "there", "blockchain": "Solana", "clientId": client_id,
                }  # fmt: skip
                with self.lock:
                    self.asked[client_id] = body
                for _ in range(chance.choice((1, 1, 2))):
                    reply = rest.call("POST", WITHDRAWALS, body)
                    if reply.status == 200:
                        with self.lock:
                            first = self.told.setdefault(client_id, reply.body)
                        assert first == reply.body
                if chance.random() < 0.2:
                    gift = rest.call("POST", FAUCET, {"symbol": "SOL", "quantity": GIFT})
                    with self.lock:
                        self.given += gift.status == 200
        except OutcomeUnknown:
            pass

    def repeat(self, rest: RestClient, body: dict[str, Any]) -> dict[str, Any]:
        """Repeat a withdrawal while the recorder catches up."""
        last = time.monotonic() + PATIENCE_S
        while (reply := rest.call("POST", WITHDRAWALS, body)).status == 504:
            assert time.monotonic() < last, reply.body
        assert reply.status == 200, reply.body
        found: dict[str, Any] = reply.body
        return found

    def compare(self, rest: RestClient) -> None:
        """Compare lists, answers and balance."""
        listed = self.whole(rest, WITHDRAWALS)
        assert {row["clientId"]: row for row in listed} == self.told
        assert len(listed) == len(self.told) == len(self.asked)
        gifts = [row for row in self.whole(rest, "/wapi/v1/capital/deposits")
                 if (row["symbol"], row["quantity"]) == ("SOL", GIFT)]  # fmt: skip
        assert self.given <= len(gifts) <= CAP / Decimal(GIFT)
        out = sum((Decimal(row["quantity"]) for row in listed), Decimal(0))
        have = Decimal(rest.expect(200, "GET", "/api/v1/capital")["SOL"]["available"])
        assert have == START + len(gifts) * Decimal(GIFT) - out

    def whole(self, rest: RestClient, path: str) -> list[dict[str, Any]]:
        """All pages of a list."""
        found: list[dict[str, Any]] = []
        while page := rest.expect(200, "GET", f"{path}?limit=1000&offset={len(found)}"):
            found += page
        return found


def play(folder: Path, rounds: int) -> None:
    saver = Saver(folder)
    with saver.venue:
        for number in range(rounds):
            saver.round(number)
    print(f"{len(saver.asked)} withdrawals, {saver.given} faucet credits acknowledged")
    assert len(saver.asked) > rounds * THREADS


def test_two_kills(tmp_path: Path) -> None:
    """A short campaign in every test run."""
    play(tmp_path, 2)


@pytest.mark.crash
def test_many_kills(tmp_path: Path) -> None:
    """The long one, in CI."""
    play(tmp_path, ROUNDS)
