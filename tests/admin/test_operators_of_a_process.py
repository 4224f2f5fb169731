"""Operators of a real process: `fairbook admin`, the port, and kill -9 between any two steps."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.world.exchange_process import ExchangeProcess
from tests.world.rest_client import OutcomeUnknown, RestClient
from tests.world.socket_client import SocketClient
from tests.world.ws_frames import says

FIRST, SECOND = "admin.json", "admin-2.json"
ROUNDS = int(os.environ.get("FAIRBOOK_CRASH_ROUNDS", "50"))
SEED = int(os.environ.get("FAIRBOOK_SEED", "2"))
HALTED_S = 3.0  # three times what is promised


def fairbook_admin(*arguments: object, by: Path | None = None) -> tuple[int, str]:
    """Exit status and output of `fairbook admin`."""
    command = [sys.executable, "-m", "fairbook", "admin", *map(str, arguments)]
    if by is not None:
        command += ["--token-file", str(by)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def operator_client(venue: ExchangeProcess, name: str = FIRST) -> RestClient:
    """A connection to the operators' port, as one of the two."""
    token = json.loads((venue.folder / name).read_bytes())["token"]
    return RestClient(int(venue.admin_url.rpartition(":")[2]), token)


def test_two_operators_run_an_exchange_from_the_command_line(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    with ExchangeProcess(folder) as venue:
        for name in (FIRST, SECOND):
            assert (folder / name).stat().st_mode & 0o777 == 0o600
        trader = RestClient(venue.http_port, venue.demo("demo1")["token"])
        order = {"symbol": "SOL_USDC", "side": "Bid", "orderType": "Limit", "price": "100"}
        placed = trader.expect(200, "POST", "/api/v1/order", {**order, "quantity": "1"})

        halt = ("market-state", folder, "--symbol", "SOL_USDC", "--state", "CancelOnly")
        status, said = fairbook_admin(*halt, "--reason", "strange prices")
        assert status == 0 and json.loads(said)["status"] == "done"
        began = time.monotonic()
        markets = {each["symbol"]: each for each in trader.expect(200, "GET", "/api/v1/markets")}
        assert markets["SOL_USDC"]["orderBookState"] == "CancelOnly"
        refused = trader.call("POST", "/api/v1/order", {**order, "quantity": "1"})
        assert (refused.status, refused.body["code"]) == (400, "INVALID_ORDER")
        cancel = {"symbol": "SOL_USDC", "orderId": placed["id"]}
        trader.expect(200, "DELETE", "/api/v1/order", cancel)
        assert time.monotonic() - began < HALTED_S
        _pause_and_announce(venue, trader)

        limit = ("asset-limit", folder, "--symbol", "SOL", "--parameter", "creditMax")
        status, said = fairbook_admin(*limit, "--value", "10", "--reason", "as agreed")
        number = json.loads(said)["proposal"]
        approve = ("approve", folder, "--proposal", number, "--reason", "yes")
        status, said = fairbook_admin(*approve)
        assert status == 1 and "Another operator must approve it" in said
        assert fairbook_admin(*approve, by=folder / SECOND)[0] == 0
        status, said = fairbook_admin("assets", folder)
        assert json.loads(said)[0]["creditMax"] == "10"
        status, said = fairbook_admin("markets", folder, by=venue.demo_path)
        assert status == 2 and "has no token of an operator" in said

        _, shown = fairbook_admin("log", folder)
        over_http = operator_client(venue)
        found = over_http.expect(200, "GET", "/admin/v1/log")
        reasons = [act["reason"] for act in found]
        assert (reasons[0], reasons[-2:]) == ("strange prices", ["as agreed", "yes"])
        names = [act["name"] for act in found]
        assert set(names[:-1]) == {"operator1"} and names[-1] == "operator2"
        assert f"approves #{number}" in shown and "CancelOnly" in shown
        trader.close()
        over_http.close()
        venue.kill()
        venue.start()
        assert fairbook_admin("log", folder)[1] == shown
        assert trader.expect(200, "GET", "/api/v1/status")["message"] == "Back at noon"
        trader.close()
        venue.stop()
    assert fairbook_admin("log", folder)[1] == shown, "of a stopped exchange, too"


def _pause_and_announce(venue: ExchangeProcess, trader: RestClient) -> None:
    """What operators do shows on the stream `venue` and in the status."""
    folder = venue.folder
    socket = SocketClient(venue.ws_port, wait_s=HALTED_S).upgrade()
    socket.send(says(method="SUBSCRIBE", params=["venue"]))
    first = socket.text()["data"]
    assert first["markets"]["SOL_USDC"] == "CancelOnly" and not first["paused"]
    fairbook_admin("pause", folder, "--reason", "maintenance")
    assert socket.text()["data"]["paused"]
    fairbook_admin("announce", folder, "--text", "Back at noon", "--reason", "maintenance")
    assert socket.text()["data"]["announcements"] == ["Back at noon"]
    status = trader.expect(200, "GET", "/api/v1/status")
    assert status == {"status": "Maintenance", "message": "Back at noon"}
    fairbook_admin("unpause", folder, "--reason", "maintenance is over")
    assert not socket.text()["data"]["paused"]
    socket.close()


def play(folder: Path, *, rounds: int, seed: int) -> None:
    """Kill the process at random moments while credits are asked for, and again afterwards."""
    made = random.Random(seed)
    with ExchangeProcess(folder) as venue:
        trader = RestClient(venue.http_port, venue.demo("demo2")["token"])
        start = Decimal(trader.expect(200, "GET", "/api/v1/capital")["BTC"]["available"])
        trader.close()
        asked: list[dict[str, Any]] = []
        for _ in range(rounds):
            operator = operator_client(venue)
            killer = threading.Timer(made.uniform(0.005, 0.15), venue.kill)
            killer.start()
            try:
                while True:
                    asked.append(
                        {"accountId": "3", "symbol": "BTC", "quantity": "0.5",
                         "reference": f"r{len(asked)}", "reason": f"gift {len(asked)}"}
                    )  # fmt: skip
                    reply = operator.call("POST", "/admin/v1/credit", asked[-1])
                    assert reply.status == 200, reply.body
            except OutcomeUnknown:
                pass
            killer.join()
            venue.start()
            operator = operator_client(venue)
            for request in asked[-3:]:
                reply = operator.call("POST", "/admin/v1/credit", request)
                assert reply.status == 200 and reply.body["status"] in ("done", "repeated")
            operator.close()
            trader = RestClient(venue.http_port, venue.demo("demo2")["token"])
            have = Decimal(trader.expect(200, "GET", "/api/v1/capital")["BTC"]["available"])
            trader.close()
            assert have == start + Decimal("0.5") * len(asked)
        venue.stop()
    _, shown = fairbook_admin("log", folder)
    assert "text is missing" not in shown
    for request in asked:
        assert shown.count(f"; {request['reason']}\n") in (1, 2)


@pytest.mark.parametrize("seed", [1])
def test_credits_survive_kill_9_and_count_once(tmp_path: Path, seed: int) -> None:
    play(tmp_path / "d", rounds=3, seed=seed)


@pytest.mark.slow
def test_credits_survive_many_kills(tmp_path: Path) -> None:
    play(tmp_path / "d", rounds=ROUNDS, seed=SEED)
