"""The golden logs give their recorded digests, with the compiled and the interpreted core."""

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
from tests.core.allowed import UNREACHED, allowed_rejects
from tests.core.wire import Kind, Reject
from tests.golden.golden import LOGS, read_frames

ROOT = Path(__file__).parents[2]
MODES = ["interpreted", "compiled"] if COMPILED else ["interpreted"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("hash_seed", ["4242", pytest.param("1", marks=pytest.mark.slow)])
def test_the_golden_logs_give_their_digests(mode: str, hash_seed: str) -> None:
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
    assert given == {each.name: json.loads(each.digests.read_text()) for each in LOGS}


def test_the_golden_logs_touch_everything() -> None:
    """They have every kind of command, reject, close reason, status, movement and event."""
    seen: Counter[tuple[int, int, int, int, int]] = Counter()
    for each in LOGS:
        exchange = Exchange()
        for frame, time_ns in read_frames(each):
            seen.update(wire.split_heads(exchange.apply(frame, time_ns)))
        assert exchange.sequence >= each.commands
    assert {kind for kind, *_ in seen} == set(range(1, 21)) - {7}  # 7 only answers queries
    outcomes = [head for head in seen if head[0] == 1]
    done = {command for _, command, _, status, _ in outcomes if status != wire.REJECTED}
    assert done == set(Kind)
    rejects = {
        (Kind(command), Reject(code))
        for _, command, code, status, _ in outcomes
        if status == wire.REJECTED and command in done
    }
    assert rejects >= allowed_rejects() - UNREACHED
    assert {status for *_, status, _ in outcomes} == set(range(8))
    assert {reason for kind, _, reason, *_ in seen if kind == 5} == set(range(1, 12))
    assert {side for kind, side, *_ in seen if kind == 8} == set(range(8))
    assert {reason for kind, _, reason, *_ in seen if kind == 18} == set(range(1, 6))
    repeated = {head[1]: count for head, count in seen.items() if head[0] == 1 and head[4]}
    assert set(repeated) == {
        Kind.PLACE, Kind.CREDIT, Kind.DEBIT, Kind.HOLD, Kind.RELEASE, Kind.CAPTURE,
        Kind.CONFIRM_CREDIT, Kind.REFUSE_CREDIT, Kind.ADD_CREDENTIAL, Kind.PAUSE, Kind.RESUME,
    }  # fmt: skip
