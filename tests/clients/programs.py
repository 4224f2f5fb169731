"""Run a program of a client to its end."""

import subprocess
from pathlib import Path

import pytest


def run_program(command: list[str], *, folder: Path, seconds_max: int, title: str = "") -> str:
    """What it prints, errors too. If it fails, the test fails with that, under the title."""
    done = subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds_max,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"{title}{done.stdout}", pytrace=False)
    return done.stdout
