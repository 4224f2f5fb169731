"""Acknowledged orders survive kill -9, exactly once (campaign.py).

FAIRBOOK_CRASH_ROUNDS and FAIRBOOK_SEED set length and seed; a failure names its seed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.crash.campaign import Campaign

SEED = int(os.environ.get("FAIRBOOK_SEED", "1"))
ROUNDS = int(os.environ.get("FAIRBOOK_CRASH_ROUNDS", "50"))


def play(folder: Path, rounds: int) -> None:
    campaign = Campaign(folder, SEED)
    campaign.run(rounds)
    print(campaign.counted)
    assert campaign.counted["orders"] > rounds * 10, "there was hardly any load"


def test_three_kills(tmp_path: Path) -> None:
    """A short campaign in every test run."""
    play(tmp_path, 3)


@pytest.mark.crash
def test_many_kills(tmp_path: Path) -> None:
    """The long one, in CI."""
    play(tmp_path, ROUNDS)
