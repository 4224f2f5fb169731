"""Run a `fairbook` command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.world.exchange_process import SOURCE


def run_fairbook(*arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
    """environ: additions to the environment."""
    return subprocess.run(
        [sys.executable, "-m", "fairbook", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"PYTHONPATH": str(SOURCE)} | environ,
    )
