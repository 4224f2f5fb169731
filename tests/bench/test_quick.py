"""The benches that need no load from outside run, and put their figures where they belong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fairbook.core import COMPILED

TIMEOUT_S = 120
SAYS = {
    "core": "Bytes per resting order",
    "pauses": "durable to applied",
    "restart": "Longest: ",
}


@pytest.mark.slow
@pytest.mark.skipif(not COMPILED, reason="measures the compiled core")
@pytest.mark.parametrize("name", SAYS)
def test_a_quick_run_writes_its_tables(tmp_path: Path, name: str) -> None:
    file = tmp_path / "figures.md"
    marks = f"<!-- figures of bench {name} -->\n", "<!-- end of figures -->"
    file.write_text(f"before\n{marks[0]}of an earlier run\n{marks[1]}\nafter\n")
    command = [sys.executable, "-m", "bench", name, "--quick", "--write", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    text = file.read_text()
    assert text.startswith(f"before\n{marks[0]}Machine: ") and text.endswith(f"{marks[1]}\nafter\n")
    assert SAYS[name] in text and "of an earlier run" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) >= 3
    assert len({line.count("|") for line in rows}) == 1
