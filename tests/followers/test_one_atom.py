"""One atom more on one balance in one memory is found and named, and nothing is lost.

FAIRBOOK_AUDIT_ROUNDS and FAIRBOOK_SEED change how many and which.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fairbook.cli import main
from fairbook.engine.snapshots import Snapshots
from fairbook.net import control_socket as control
from tests.followers.faulty_exchange import BackgroundLoad, FaultyExchange

SEED = int(os.environ.get("FAIRBOOK_SEED", "1"))
ROUNDS = int(os.environ.get("FAIRBOOK_AUDIT_ROUNDS", "100"))
FOUND_WITHIN_S = 5.0
ACCOUNTS = range(5)  # EXTERNAL, FEE, demo1, demo2, and the account of the first orders
ASSETS = range(1, 5)


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[FaultyExchange]:
    environment = {"FAIRBOOK_SNAPSHOT_COMMANDS": "2000", "FAIRBOOK_SNAPSHOT_S": "1"}
    watched = FaultyExchange(tmp_path, environment)
    with watched:
        yield watched


def harm_and_find(venue: FaultyExchange, process: str, chance: random.Random) -> tuple[Any, float]:
    """Corrupt a balance. Returns the verdict, and after how many seconds it came."""
    account, asset = chance.choice(ACCOUNTS), chance.choice(ASSETS)
    field = chance.choice(("available", "locked"))
    began_s = time.monotonic()
    venue.harm(process, account=account, asset=asset, field=field, atoms=1)
    verdict = venue.verdict(FOUND_WITHIN_S)
    took_s = time.monotonic() - began_s
    assert verdict["wrong"] == process, verdict
    found = [
        (each["process"], each["what"], each["account"], each["asset"], each["field"])
        for each in verdict["differences"]
    ]
    assert found == [(process, "balance", account, asset, field)]
    first = verdict["differences"][0]
    assert first["found"] == first["expected"] + 1
    for who in ("engine", "replica"):
        (path,) = (venue.folder / "audit").glob(f"{verdict['position']}-*-{who}.slice")
        assert path.stat().st_size
    return verdict, took_s


def go_on(venue: FaultyExchange, verdict: dict[str, Any], process: str, *, by_kill: bool) -> None:
    """Do what an operator does then. A wrong engine writes no more snapshots."""
    assert venue.place() == 503
    if process == "engine":
        with pytest.raises(control.ControlRefused, match="restart it"):
            venue.resume(verdict)
        venue.kill() if by_kill else venue.stop()
        snapshots = Snapshots(venue.folder)
        for path in snapshots.paths():
            assert snapshots.read(path).position < verdict["position"]
        venue.start()
        assert venue.place() == 503
    venue.resume(verdict)
    assert venue.place() == 200


def play(venue: FaultyExchange, rounds: int) -> None:
    chance = random.Random(f"one atom {SEED}")
    times_s: dict[str, list[float]] = {"engine": [], "replica": []}
    for number in range(rounds):
        process = ("engine", "replica")[number % 2]
        venue.until(lambda status: status["replica"]["state"] == "following")
        with BackgroundLoad(venue, number=number + 1, seed=f"{SEED}/{number}") as load:
            time.sleep(chance.uniform(0.1, 0.6))
            verdict, took_s = harm_and_find(venue, process, chance)
        assert load.sent
        times_s[process].append(took_s)
        go_on(venue, verdict, process, by_kill=chance.random() < 0.5)
    for process, took in times_s.items():
        print(f"{process}: median {sorted(took)[len(took) // 2]:.2f} s, longest {max(took):.2f} s")
    venue.stop()
    assert main(["verify", str(venue.folder)]) == 0


@pytest.mark.slow
def test_one_atom_again_and_again(venue: FaultyExchange) -> None:
    """A hundred times."""
    play(venue, ROUNDS)
