"""kill -9 of the replica, of the engine, of both, under load; see tests/crash/campaign.py.

FAIRBOOK_CRASH_ROUNDS and FAIRBOOK_SEED change how many and which; a failure names its seed.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from fairbook.cli import main
from fairbook.net import control_socket as control
from tests.crash.campaign import Campaign
from tests.followers.faulty_exchange import FaultyExchange

SEED = int(os.environ.get("FAIRBOOK_SEED", "1"))
ROUNDS = int(os.environ.get("FAIRBOOK_CRASH_ROUNDS", "50"))
SNAPSHOT_OFTEN = {"FAIRBOOK_SNAPSHOT_COMMANDS": "1500", "FAIRBOOK_SNAPSHOT_S": "1"}
HOW = ("replica", "engine", "both", "replica last")


class Pair(FaultyExchange):
    """`kill` ends engine, replica or both, as `how` says; the engine last in any case."""

    how = "engine"
    replicas_killed = 0

    def kill(self) -> None:
        if self.process is not None and self.how != "engine":
            self._kill_replica()
        super().kill()

    def _kill_replica(self) -> None:
        try:
            replica = control.ask(self.folder, "status")["replica"]
        except (control.NotRunning, OSError):
            return  # The engine was killed before its socket was open.
        if replica["pid"] is None:
            return
        if self.how == "replica last":
            super().kill()
        try:
            os.kill(replica["pid"], signal.SIGKILL)
        except ProcessLookupError:
            return  # It has ended by itself: its engine is gone.
        self.replicas_killed += 1
        if self.how == "replica":
            self._see_another(replica["pid"])

    def _see_another(self, pid: int) -> None:
        """Trading goes on, and another replica catches up and agrees."""
        before = self.status()["engine"]
        after = self.until(
            lambda status: (
                status["replica"]["pid"] not in (None, pid)
                and status["replica"]["state"] == "following"
            )
        )
        assert after["engine"]["pid"] == before["pid"]
        self.until(lambda status: status["replica"]["agreed_position"] > before["position"])
        assert self.status()["audit"]["verdict"] is None


class PairCampaign(Campaign):
    """The campaign of tests/crash, with more to kill."""

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self.pair = Pair(folder, SNAPSHOT_OFTEN)
        self.venue = self.pair
        self.what = random.Random(f"what to kill {seed}")

    def _run_round(self) -> None:
        self.pair.how = self.what.choice(HOW)
        super()._run_round()
        # The engine runs again, and its replica recovers to the same state.
        self.pair.until_agreed()
        assert self.pair.status()["audit"]["verdict"] is None


def play(folder: Path, rounds: int) -> None:
    campaign = PairCampaign(folder, SEED)
    began_s = time.monotonic()
    campaign.run(rounds)
    print(campaign.counted, campaign.pair.replicas_killed, f"{time.monotonic() - began_s:.0f} s")
    assert campaign.counted["orders"] > rounds * 10, "there was hardly any load"
    # Every snapshot is sound, and of the log's history.
    assert main(["verify", str(folder)]) == 0


@pytest.mark.crash
def test_many_kills(tmp_path: Path) -> None:
    """Fifty rounds by default."""
    play(tmp_path, ROUNDS)
