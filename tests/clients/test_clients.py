"""Unmodified public clients, each in its own environment, trade against real processes.

Their scenarios are in ccxt_*.py and bpx_scenarios.py, which run under the interpreters of the
clients. `./dev test --all` installs them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nacl.bindings import crypto_sign_seed_keypair
from nacl.signing import SigningKey

from fairbook.core import admin_records
from fairbook.ports.accounts import READ
from tests.clients.programs import run_program
from tests.world.credentials import key_added
from tests.world.exchange_process import ExchangeProcess

pytestmark = pytest.mark.clients

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ("ccxt-4.5.90", "ccxt-4.5.64", "bpx-py-2.0.11")
CCXT = ("ccxt-4.5.90", "ccxt-4.5.64")
SDK = "backpack-exchange-sdk-1.1.4"
CCXT_SCRIPTS = ("trade", "past", "streams", "paths")  # every other scenario is one of refusals
SECONDS_MAX = 180
ORDERS_MAX = 5
PRICE_MAX_TICKS = 100_000  # 1,000 USDC
QUANTITY_MAX_LOTS = 1_000_000  # 10,000 SOL
SOL_USDC, ETH_USDC = 1, 3
READER_SEED = bytes(range(32))


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExchangeProcess]:
    with ExchangeProcess(tmp_path_factory.mktemp("demo")) as venue:
        yield venue


@pytest.fixture(scope="module")
def restricted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExchangeProcess]:
    """Low limits, a frozen account, a market that takes cancels only, and a read-only key."""
    with ExchangeProcess(tmp_path_factory.mktemp("restricted")) as venue:
        venue.stop()
        venue.append_to_log(
            admin_records.set_exchange(parameter=admin_records.ORDERS_MAX, value=ORDERS_MAX),
            admin_records.set_account(account=venue.account("demo2"), parameter=1, value=1),
            market(SOL_USDC, admin_records.PRICE_MAX, PRICE_MAX_TICKS),
            market(SOL_USDC, admin_records.QUANTITY_MAX, QUANTITY_MAX_LOTS),
            market(ETH_USDC, admin_records.STATE, admin_records.ONLY_CANCEL),
            key_added(venue.account("demo1"), SigningKey(READER_SEED), READ),
        )
        venue.start()
        yield venue


@pytest.fixture(scope="module")
def paused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExchangeProcess]:
    """The whole exchange takes cancels only."""
    with ExchangeProcess(tmp_path_factory.mktemp("paused")) as venue:
        venue.stop()
        venue.append_to_log(admin_records.pause(admin_records.BY_OPERATOR, 1))
        venue.start()
        yield venue


def market(number: int, parameter: int, value: int) -> bytes:
    return admin_records.set_market(market=number, parameter=parameter, value=value)


def play(venue: ExchangeProcess, python: Path, client: str, scenario: str, **extra: Any) -> None:
    """Run one scenario; its output is shown if a step failed."""
    told = json.loads(venue.demo_path.read_bytes()) | extra
    reader = crypto_sign_seed_keypair(READER_SEED)[0]
    told["accounts"]["reader"] = {
        "apiKey": base64.b64encode(reader).decode(),
        "apiSecret": base64.b64encode(READER_SEED).decode(),
    }
    path = venue.folder / "venue.json"
    path.write_text(json.dumps(told), encoding="utf-8")
    run_program(
        [str(python), "-m", script(client, scenario), scenario, str(path)],
        folder=ROOT, seconds_max=SECONDS_MAX, title=f"{client}, {scenario}:\n",
    )  # fmt: skip


def script(client: str, scenario: str) -> str:
    """The module with a client's scenarios."""
    if client.startswith("bpx"):
        return "tests.clients.bpx_scenarios"
    if client == SDK:
        return "tests.clients.sdk_scenarios"
    return f"tests.clients.ccxt_{scenario if scenario in CCXT_SCRIPTS else 'refusals'}"


PythonOf = Callable[[str], Path]


@pytest.mark.parametrize("scenario", ["trade", "past", "errors"])
def test_demo(demo: ExchangeProcess, client_python: PythonOf, client: str, scenario: str) -> None:
    """Trading, queries and errors."""
    play(demo, client_python(client), client, scenario)


@pytest.mark.parametrize(
    ("version", "scenario"),
    [*((version, "paths") for version in CCXT), ("bpx-py-2.0.11", "every"), (SDK, "every")],
)
def test_every_call(
    demo: ExchangeProcess, client_python: PythonOf, version: str, scenario: str
) -> None:
    """Every path or method that the client has."""
    play(demo, client_python(version), version, scenario)


@pytest.mark.parametrize("version", [*CCXT, SDK])
def test_streams(demo: ExchangeProcess, client_python: PythonOf, version: str) -> None:
    """Every stream of the client on an otherwise quiet market."""
    play(demo, client_python(version), version, "streams")


def test_restricted(restricted: ExchangeProcess, client_python: PythonOf, client: str) -> None:
    """Restrictions by an operator."""
    play(
        restricted,
        client_python(client),
        client,
        "restricted",
        orders_max=ORDERS_MAX,
        price_max=PRICE_MAX_TICKS // 100,
        quantity_max=QUANTITY_MAX_LOTS // 100,
    )


def test_paused(paused: ExchangeProcess, client_python: PythonOf, client: str) -> None:
    """Only cancels are accepted."""
    play(paused, client_python(client), client, "paused")


def test_rate(tmp_path: Path, client_python: PythonOf, client: str) -> None:
    """An account with a low rate limit."""
    with ExchangeProcess(
        tmp_path, environment={"FAIRBOOK_ACCOUNT_PER_MINUTE": "60", "FAIRBOOK_ACCOUNT_BURST": "10"}
    ) as venue:
        play(venue, client_python(client), client, "rate", requests=40)


def test_late(tmp_path: Path, client_python: PythonOf, client: str) -> None:
    """A deadline that no answer meets."""
    with ExchangeProcess(tmp_path, environment={"FAIRBOOK_DEADLINE_S": "0"}) as venue:
        play(venue, client_python(client), client, "late")
