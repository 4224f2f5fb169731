"""Withdrawals that wait for operators: confirmed or rejected, each once, also across a crash."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.admin.test_operators_of_a_process import FIRST, SECOND
from tests.venue.config_texts import SMALL
from tests.world.exchange_process import ExchangeProcess
from tests.world.rest_client import OutcomeUnknown, RestClient

WITHDRAWALS = "/wapi/v1/capital/withdrawals"
LIMIT = "50"
ROUNDS = int(os.environ.get("FAIRBOOK_CRASH_ROUNDS", "50"))
SEED = int(os.environ.get("FAIRBOOK_SEED", "1"))


class Bank:
    """A venue whose withdrawals wait, as Alice and two operators see it."""

    def __init__(self, process: ExchangeProcess) -> None:
        self.process = process
        self.clients: list[RestClient] = []
        self.connect()

    def connect(self) -> None:
        folder = self.process.folder
        port = int(json.loads((folder / FIRST).read_bytes())["admin"].rpartition(":")[2])
        self.close()
        tokens = [json.loads((folder / name).read_bytes())["token"] for name in (FIRST, SECOND)]
        self.alice = RestClient(self.process.http_port, self.process.demo("alice")["token"])
        self.ann, self.ben = (RestClient(port, token) for token in tokens)
        self.clients = [self.alice, self.ann, self.ben]

    def close(self) -> None:
        for client in self.clients:
            client.close()

    def restart(self) -> None:
        self.process.kill()
        self.process.start()
        self.connect()

    def withdraw(self, quantity: str, **more: str) -> Any:
        body = {"symbol": "EUR", "quantity": quantity, "address": "X1", "blockchain": "Solana"}
        return self.alice.expect(200, "POST", WITHDRAWALS, {**body, **more})

    def asked(self, client_id: str) -> str | None:
        """The reference of a withdrawal of 0.01, asked for once or again; None: it is decided."""
        status = self.withdraw("0.01", clientId=client_id)["status"]
        return self.waiting()[-1]["referenceHash"] if status == "pending" else None

    def decide(self, reference: str | None, number: int) -> None:
        """Odd ones are approved and confirmed, even ones are rejected."""
        if reference is None:
            return
        if number % 2:
            self.act(self.ann, "approve-withdrawal", reference)
        self.act(self.ben, f"{'confirm' if number % 2 else 'reject'}-withdrawal", reference)

    def waiting(self) -> list[Any]:
        found: list[Any] = self.ann.expect(200, "GET", "/admin/v1/withdrawals")
        return found

    def money(self) -> tuple[Decimal, Decimal]:
        """Available and locked."""
        row = self.alice.expect(200, "GET", "/api/v1/capital")["EUR"]
        return Decimal(row["available"]), Decimal(row["locked"])

    def statuses(self) -> list[str]:
        """Newest first."""
        return [row["status"] for row in self.alice.expect(200, "GET", WITHDRAWALS)]

    def act(self, by: RestClient, name: str, reference: str, status: int = 200) -> Any:
        body = {"referenceHash": reference, "reason": "checked"}
        return by.expect(status, "POST", f"/admin/v1/{name}", body)


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    text = SMALL.replace('name = "alice"', 'name = "alice"\nwrite_key = true')
    text = text.replace(f'token_hash = "{"1" * 64}"', "").replace('roles = ["markets"]', "")
    text = text.replace('name = "ben"', 'name = "ben"\naccount = "bob"')
    path = tmp_path / "venue.toml"
    path.write_text(text.replace('credit_max = "5000"', f'credit_max = "{LIMIT}"'))
    options = ("--config", str(path), "--no-replica")
    path.write_text(path.read_text().replace('EUR = "2000"', f'EUR = "{LIMIT}"'))
    with ExchangeProcess(tmp_path / "d", *options) as process:
        bank = Bank(process)
        yield bank
        bank.close()


def test_a_withdrawal_is_confirmed_or_rejected_once(bank: Bank) -> None:
    assert bank.withdraw("10", clientId="a")["status"] == "pending"
    assert bank.withdraw("5.5", clientId="b")["status"] == "pending"
    assert bank.money() == (Decimal("34.5"), Decimal("15.5"))
    first, second = bank.waiting()
    assert (first["quantity"], first["address"], first["accountId"]) == ("10", "X1", "2")
    bank.restart()
    assert bank.waiting() == [first, second]
    assert bank.withdraw("10", clientId="a")["status"] == "pending", "asked for again"

    assert bank.act(bank.ann, "confirm-withdrawal", first["referenceHash"])["status"] == "done"
    assert bank.act(bank.ben, "reject-withdrawal", second["referenceHash"])["status"] == "done"
    assert bank.money() == (Decimal(40), Decimal(0)), "what was rejected came back exactly"
    assert bank.statuses() == ["cancelled", "confirmed"]
    again = bank.act(bank.ann, "confirm-withdrawal", first["referenceHash"])
    assert again["status"] == "repeated"
    bank.act(bank.ann, "reject-withdrawal", first["referenceHash"], status=400)
    bank.act(bank.ann, "confirm-withdrawal", second["referenceHash"], status=400)
    assert bank.money() == (Decimal(40), Decimal(0)) and bank.waiting() == []
    bank.restart()
    assert bank.statuses() == ["cancelled", "confirmed"]


def test_a_large_withdrawal_needs_two(bank: Bank) -> None:
    credit = {"accountId": "2", "symbol": "EUR", "quantity": LIMIT, "reference": "1"}
    bank.ann.expect(200, "POST", "/admin/v1/credit", {**credit, "reason": "x"})
    assert bank.withdraw("60")["status"] == "pending"
    (large,) = bank.waiting()
    proposed = bank.act(bank.ann, "confirm-withdrawal", large["referenceHash"])
    assert proposed["status"] == "proposed" and bank.money()[1] == Decimal(60)
    approve = {"proposal": proposed["proposal"], "reason": "seen"}
    bank.ann.expect(403, "POST", "/admin/v1/approve", approve)
    bank.ben.expect(200, "POST", "/admin/v1/approve", approve)
    assert bank.money() == (Decimal(40), Decimal(0)) and bank.statuses() == ["confirmed"]


def play(bank: Bank, *, rounds: int, seed: int) -> None:
    """Kill the process at random moments between request, approval and confirmation or rejection;
    then finish each withdrawal, and count the money.
    """
    made = random.Random(seed)
    start = sum(bank.money())
    asked = 0
    for _ in range(rounds):
        killer = threading.Timer(made.uniform(0.005, 0.1), bank.process.kill)
        killer.start()
        with suppress(OutcomeUnknown):
            while True:
                asked += 1
                reference = bank.asked(f"w{asked}")
                bank.decide(reference, asked)
        killer.join()
        bank.process.start()
        bank.connect()
        for number in range(max(asked - 2, 1), asked + 1):
            bank.decide(bank.asked(f"w{number}"), number)
        assert bank.waiting() == [] and bank.money()[1] == 0
        confirmed = sum(number % 2 for number in range(1, asked + 1))
        assert bank.money()[0] == start - Decimal("0.01") * confirmed, f"seed {seed}"


@pytest.mark.parametrize("seed", [1])
def test_decisions_survive_kill_9_and_count_once(bank: Bank, seed: int) -> None:
    play(bank, rounds=3, seed=seed)


@pytest.mark.slow
def test_decisions_survive_many_kills(bank: Bank) -> None:
    play(bank, rounds=ROUNDS, seed=SEED)
