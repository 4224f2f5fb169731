"""kill -9 of a real process: acknowledged commands are logged, and the state is that of the log."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fairbook.core import invariants, records, state
from fairbook.core.exchange import Exchange
from fairbook.engine.recovery import recover
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import Snapshots
from fairbook.log.file_log import FileLog

ROOT = Path(__file__).parents[2]
SEED = 20240817


def killed_after(directory: Path, answers: int, seed: int) -> dict[int, int]:
    """Run the engine until it has printed so many answers, kill it; {sequence: position}."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.engine.killed_engine", str(directory), str(seed)],
        stdout=subprocess.PIPE,
        env=environment,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(answers)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
        assert process.wait() == -signal.SIGKILL
    # The last line may be cut off.
    told = [line.split() for line in lines if line.endswith(b"\n")]
    assert len(told) >= answers
    return {int(sequence): int(position) for sequence, position in told}


def rounds(directory: Path, count: int, *, answers_max: int) -> None:
    chance = random.Random(SEED)
    acknowledged: dict[int, int] = {}
    for number in range(count):
        told = killed_after(directory, chance.randrange(1, answers_max), SEED + number)
        assert not told.keys() & acknowledged.keys(), "no sequence is given twice"
        acknowledged |= told

        log = FileLog(directory)
        try:
            genesis = Runner(Exchange())
            position_of: dict[int, int] = {}
            for entry in log.read(1):
                for part in records.split(genesis.apply(entry) or b""):
                    position_of[records.read_outcome(part).sequence] = entry.position
            recovered, recovery = recover(log, Snapshots(directory))
        finally:
            log.close()
        assert recovery.problems == ()
        assert {sequence: position_of[sequence] for sequence in acknowledged} == acknowledged
        assert state.digest(recovered.exchange) == state.digest(genesis.exchange)
        assert recovered.event_hash == genesis.event_hash
        invariants.check(recovered.exchange)


def test_killed_engines_lose_nothing_that_they_acknowledged(tmp_path: Path) -> None:
    rounds(tmp_path, 3, answers_max=3000)


@pytest.mark.crash
def test_killed_engines_lose_nothing_that_they_acknowledged_many_rounds(tmp_path: Path) -> None:
    rounds(tmp_path, 30, answers_max=5000)
