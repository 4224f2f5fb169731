"""The golden log gives its recorded digests, with the compiled and the interpreted core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from fairbook.core import COMPILED
from fairbook.core.exchange import Exchange
from tests.core import wire
from tests.golden.golden import COMMANDS, DIGESTS, read_frames

ROOT = Path(__file__).parents[2]
MODES = ["interpreted", "compiled"] if COMPILED else ["interpreted"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("hash_seed", ["4242", pytest.param("1", marks=pytest.mark.slow)])
def test_the_golden_log_gives_its_digests(mode: str, hash_seed: str) -> None:
    """Of all events and of the whole state, at every mark and at the end."""
    environment = {
        **os.environ,
        "FAIRBOOK_CORE": mode,
        "PYTHONHASHSEED": hash_seed,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
    }
    command = [sys.executable, "-m", "tests.golden.golden", "replay"]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True
    )
    given = json.loads(done.stdout)
    assert given.pop("compiled") == (mode == "compiled")
    assert given == json.loads(DIGESTS.read_text())


def test_the_golden_log_touches_everything() -> None:
    """It has every kind of command, reject, close reason, status and event."""
    exchange = Exchange()
    seen: Counter[tuple[int, int, int, int, int]] = Counter()
    for frame, time_ns in read_frames():
        seen.update(wire.split_heads(exchange.apply(frame, time_ns)))
    outcomes = [head for head in seen if head[0] == 1]
    assert exchange.sequence >= COMMANDS
    assert {kind for kind, *_ in seen} == set(range(1, 13)) - {7}  # 7 only answers queries
    done = [head for head in outcomes if head[3] != wire.REJECTED]
    assert {command for _, command, *_ in done} == set(map(int, wire.Kind))
    rejected = [head for head in outcomes if head[3] == wire.REJECTED]
    assert {reject for _, _, reject, *_ in rejected} == set(map(int, wire.Reject))
    assert {status for *_, status, _ in outcomes} == set(range(7))
    assert {reason for kind, _, reason, *_ in seen if kind == 5} == set(range(1, 10))
    repeated = sum(count for head, count in seen.items() if head[0] == 1 and head[4])
    assert repeated > 100
