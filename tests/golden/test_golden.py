"""The golden log gives the digests it was recorded with, however the core is run."""

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
@pytest.mark.parametrize("hash_seed", ["1", "4242"])
def test_the_golden_log_gives_its_digests(mode: str, hash_seed: str) -> None:
    """All events and the whole state, at every mark and at the end."""
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
    """Every kind of command, reject, close reason, status and event is in it."""
    exchange = Exchange()
    seen: Counter[tuple[str | int, int]] = Counter()
    for frame, time_ns in read_frames():
        for event in wire.split_events(exchange.apply(frame, time_ns)):
            seen[type(event).__name__, 0] += 1
            if isinstance(event, wire.Outcome):
                rejected = event.status == wire.REJECTED
                seen["reject" if rejected else event.command, event.reason] += 1
                seen["status", event.status] += 1
                seen["repeated", event.repeated] += 1
            elif isinstance(event, wire.Closed):
                seen["closed", event.order.reason] += 1
    assert exchange.sequence >= COMMANDS
    assert {code for what, code in seen if what == "reject"} == set(map(int, wire.Reject))
    assert {code for what, code in seen if what == "closed"} == set(range(1, 10))
    assert {code for what, code in seen if what == "status"} == set(range(7))
    assert seen["repeated", 1] > 100
    assert {what for what, _ in seen if isinstance(what, int)} == set(map(int, wire.Kind))
