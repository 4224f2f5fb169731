"""The bench of attacks: a quick run, in which the others are served."""

from __future__ import annotations

from pathlib import Path

from bench.attackers import CONNECTIONS
from tests.bench.quick import needs_two_processors, quick_run


@needs_two_processors
def test_a_quick_run_writes_its_table(tmp_path: Path) -> None:
    text = quick_run(tmp_path, "attack")
    assert " 0 of them wrong." in text
    for kind, connections in CONNECTIONS.items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {kind} | ")]
        cells = row.split(" | ")
        assert cells[1] == str(connections)
        assert float(cells[2]) > 0
        assert int(cells[6]) == 0, "others were refused"
