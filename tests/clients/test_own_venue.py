"""docs/guide/own-venue.md as a test: from an empty folder to a venue with two operators."""

from __future__ import annotations

import hmac
import json
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from fairbook.cli.keys import new_key, new_secret
from tests.clients.programs import run_program
from tests.world.exchange_process import ExchangeProcess
from tests.world.rest_client import RestClient

pytestmark = pytest.mark.clients

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "guide" / "own-venue.md"
PASSWORD = "a long password"


def fairbook(*arguments: object, by: Path | None = None) -> str:
    """The output of a command, which must succeed."""
    command = [sys.executable, "-m", "fairbook", *map(str, arguments)]
    command += [] if by is None else ["--token-file", str(by)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Story:
    """The venue of the guide, step by step."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.config = folder / "venue.toml"
        self.ann, self.ben = self.data / "admin.json", self.data / "admin-2.json"
        secret = new_secret()
        self.secret, self.secret_hash = secret["secret"], secret["tokenHash"]
        (folder / "webhook.secret").write_text(self.secret + "\n")
        fairbook("init", self.config)
        self.config.write_text(GUIDE.read_text().split("```toml\n")[1].partition("```")[0])
        fairbook("check", self.config)

    def two(self, *act: object) -> None:
        """Ann proposes an act, Ben approves it."""
        name, *fields = act
        said = json.loads(fairbook("admin", name, self.data, *fields, "--reason", "setting up"))
        assert said["status"] == "proposed"
        number = said["proposal"]
        fairbook(
            "admin", "approve", self.data, "--proposal", number, "--reason", "agreed", by=self.ben
        )

    def deposit(self, account: str, symbol: str, quantity: str, reference: str) -> Any:
        port = int(json.loads(self.ann.read_bytes())["admin"].rpartition(":")[2])
        client = RestClient(port)
        body = {"accountId": account, "symbol": symbol, "quantity": quantity}
        content = body | {"reference": reference}
        stamp = str(int(time.time()))
        signed = f"{stamp}.{json.dumps(content)}".encode()
        signature = hmac.new(self.secret.encode(), signed, sha256).hexdigest()
        client.headers |= {"X-Webhook-Timestamp": stamp, "X-Webhook-Signature": signature}
        found = client.expect(200, "POST", "/webhook/v1/deposits", content)
        client.close()
        return found

    def user(self, venue: ExchangeProcess, name: str) -> dict[str, str]:
        """Sign up, log in, register a key: its halves, the account and the token."""
        client = RestClient(venue.http_port)
        body: dict[str, Any] = {"email": f"{name}@example.org", "password": PASSWORD}
        account = client.expect(201, "POST", "/auth/v1/signup", body)["accountId"]
        token = client.expect(200, "POST", "/auth/v1/login", body)["token"]
        client.headers["Authorization"] = f"Bearer {token}"
        key = new_key()
        body = {"publicKey": key["apiKey"], "proof": key["proof"], "label": name}
        body["permissions"] = ["read", "trade", "withdraw"]
        client.expect(201, "POST", "/auth/v1/keys", body)
        client.close()
        halves = {"apiKey": key["apiKey"], "apiSecret": key["apiSecret"]}
        return {**halves, "account": account, "token": token}


def test_a_venue_of_ones_own(tmp_path: Path, client_python: Callable[[str], Path]) -> None:
    story = Story(tmp_path)
    with ExchangeProcess(story.data, "--config", str(story.config)) as venue:
        story.two("operator", "--operator", 3, "--roles", "money", "--name", "payments")
        story.two("operator-token", "--operator", 3, "--tokenHash", story.secret_hash)
        seller, buyer = story.user(venue, "seller"), story.user(venue, "buyer")
        assert story.deposit(seller["account"], "GOLD", "10", "in 1")["status"] == "done"
        assert story.deposit(buyer["account"], "EUR", "900", "in 2")["status"] == "done"
        assert story.deposit(buyer["account"], "EUR", "900", "in 2")["status"] == "repeated"
        pending = story.deposit(buyer["account"], "EUR", "5000", "in 3")
        assert pending["status"] == "pending"
        fairbook(
            "admin", "confirm-credit", story.data, "--referenceHash", pending["referenceHash"],
            "--reason", "seen at the bank",
        )  # fmt: skip

        halves = {name: {key: user[key] for key in ("apiKey", "apiSecret")}
                  for name, user in (("seller", seller), ("buyer", buyer))}  # fmt: skip
        told = tmp_path / "told.json"
        told.write_text(json.dumps({"http": venue.url, "accounts": halves}))
        python = client_python("ccxt-4.5.90")
        run_program(
            [str(python), "-m", "tests.clients.ccxt_own_venue", str(told)],
            folder=ROOT, seconds_max=120,
        )  # fmt: skip

        client = RestClient(venue.http_port, buyer["token"])
        money = client.expect(200, "GET", "/api/v1/capital")
        assert Decimal(money["GOLD"]["available"]) == Decimal("1.998")
        paid = Decimal(5_900) - Decimal(money["EUR"]["available"])
        assert paid == Decimal("111"), "the price of the seller; the fee of 0.1 % is in gold"
        body = {"symbol": "EUR", "quantity": "1500", "address": "DE02", "blockchain": "Solana"}
        assert client.expect(200, "POST", "/wapi/v1/capital/withdrawals", body)["status"] == (
            "pending"
        )
        (waiting,) = json.loads(fairbook("admin", "withdrawals", story.data))
        assert waiting["quantity"] == "1500"
        assert not waiting["isApproved"]
        story.two("approve-withdrawal", "--referenceHash", waiting["referenceHash"])
        (waiting,) = json.loads(fairbook("admin", "withdrawals", story.data))
        assert waiting["isApproved"]
        paid_out = ("--referenceHash", waiting["referenceHash"], "--reason", "paid")
        fairbook("admin", "confirm-withdrawal", story.data, *paid_out)
        (row,) = client.expect(200, "GET", "/wapi/v1/capital/withdrawals")
        assert row["status"] == "confirmed"

        halt = ("market-state", story.data, "--symbol", "GOLD_EUR", "--state", "CancelOnly")
        fairbook("admin", *halt, "--reason", "end of the day")
        order = {"symbol": "GOLD_EUR", "side": "Bid", "orderType": "Limit", "price": "1"}
        refused = client.call("POST", "/api/v1/order", {**order, "quantity": "1"})
        assert refused.body["code"] == "INVALID_ORDER"
        client.close()
        venue.kill()
        venue.start()
        venue.stop()
    fairbook("verify", story.data)
    shown = fairbook("admin", "log", story.data)
    assert len(shown.splitlines()) == 13, shown
    for who in ("ann", "ben approves #", "payments"):
        assert who in shown
