"""Run a `fairbook` command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.world.exchange_process import SOURCE


def fairbook(*arguments: object) -> tuple[int, str]:
    """Exit code, and all that it has printed."""
    done = run_fairbook(*arguments)
    return done.returncode, done.stdout + done.stderr


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
