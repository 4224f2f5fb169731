"""Run a bench with --quick, as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TIMEOUT_S = 120.0
END = "<!-- end of figures -->"

needs_two_processors = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs Linux and two processors",
)


def quick_run(folder: Path, name: str) -> str:
    """The figures that it writes into its section of a file, in place of older ones. The bench
    checks every answer, and fails if one is wrong.
    """
    file = folder / "figures.md"
    place = f"<!-- figures of bench {name} -->\n"
    file.write_text(f"before\n{place}older ones\n{END}\n")
    command = [sys.executable, "-m", "bench", name, "--quick", "--write", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    text = file.read_text()
    assert text.startswith(f"before\n{place}Machine: ") and text.endswith(f"{END}\n")
    assert "older ones" not in text
    return text
