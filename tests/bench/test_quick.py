"""The benches that need no load from outside run, and put their figures where they belong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fairbook.core import COMPILED
from tests.bench.quick import needs_two_processors, quick_run

SAYS = {
    "core": "Bytes per resting order",
    "pauses": "durable to applied",
    "full-replay": "of the processor.",
    "restart": "Ten times the history : ",
}


@pytest.mark.slow
@needs_two_processors
@pytest.mark.skipif(not COMPILED, reason="measures the compiled core")
@pytest.mark.parametrize("name", SAYS)
def test_a_quick_run_writes_its_tables(tmp_path: Path, name: str) -> None:
    text = quick_run(tmp_path, name)
    assert SAYS[name] in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) >= 3
    assert len({line.count("|") for line in rows}) == 1


@pytest.mark.parametrize("arguments", [["--help"], ["core", "--help"], ["ws-orders", "--help"]])
def test_help_is_shown(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "bench", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0 and done.stdout.startswith("usage: ./dev bench")
