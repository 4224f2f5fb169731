"""`fairbook init`, `up --config` and `apply` on real processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fairbook.app.operator_tokens import read_token
from fairbook.venue.venue import venue_of
from tests.venue.config_texts import SMALL
from tests.world.exchange_process import ExchangeProcess
from tests.world.rest_client import RestClient

DOCS = Path(__file__).parents[2] / "docs" / "operate" / "configuration.md"


def fairbook(*arguments: object) -> tuple[int, str]:
    """The exit status and the output of a command."""
    command = [sys.executable, "-m", "fairbook", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_venue_of_ones_own_is_run_and_changed(tmp_path: Path) -> None:
    """One market, its own accounts; a changed file is shown, and applied by an operator."""
    path, directory = tmp_path / "venue.toml", tmp_path / "data"
    text = SMALL.replace('name = "alice"', 'name = "alice"\nwrite_key = true')
    text = text.replace(f'token_hash = "{"1" * 64}"', "")
    path.write_text(text)
    assert fairbook("check", path)[0] == 0
    venue = ExchangeProcess(directory, "--config", str(path), maker=True)
    with venue:
        rest = RestClient(venue.http_port, venue.demo("alice")["token"])
        markets = rest.expect(200, "GET", "/api/v1/markets")
        assert [market["symbol"] for market in markets] == ["ABC_EUR"]
        assert rest.expect(200, "GET", "/api/v1/capital")["ABC"]["available"] == "100.5"
        assert rest.expect(200, "GET", "/api/v1/venue")["name"] == "Small"
        assert rest.call("GET", "/api/v1/faucet").status == 501, "no asset has a faucet"
        order = {"symbol": "ABC_EUR", "side": "Ask", "orderType": "Limit", "price": "2.5"}
        rest.expect(200, "POST", "/api/v1/order", {**order, "quantity": "100"})
        assert list(venue.demo_file()["accounts"]) == ["alice"]
        _change(path, text, venue, rest)

        token = read_token(directory / "admin.json")
        venue.kill()
        venue.start()
        assert token is not None and read_token(directory / "admin.json") == token
        assert "differs from the exchange" in venue.stderr()
        rest.close()
        (market,) = rest.expect(200, "GET", "/api/v1/markets")
        assert market["orderBookState"] == "CancelOnly"
        rest.close()
        venue.stop()
    assert fairbook("verify", directory)[0] == 0


def _change(path: Path, text: str, venue: ExchangeProcess, rest: RestClient) -> None:
    directory = venue.folder
    path.write_text(text.replace('tick = "0.01"', 'tick = "0.02"'))
    status, said = fairbook("apply", path, directory)
    assert status == 1 and ":16: the tick of ABC_EUR is 0.01, and tick and lot never" in said

    changed = text.replace("taker_fee_ppm = 2000", 'taker_fee_ppm = 50\nstate = "cancel_only"')
    path.write_text(changed.replace('credit_max = "5000"', 'credit_max = "6000"'))
    expected = [
        "EUR: credit_max 5000 -> 6000  (needs two operators)",
        "ABC_EUR: taker_fee_ppm 2000 -> 50",
        "ABC_EUR: state open -> cancel_only",
    ]
    status, said = fairbook("apply", path, directory, "--dry-run")
    assert status == 0
    assert [line.strip() for line in said.splitlines()] == [
        *expected, "3 differences; nothing was changed."
    ]  # fmt: skip
    (market,) = rest.expect(200, "GET", "/api/v1/markets")
    assert market["orderBookState"] == "Open"

    status, said = fairbook("apply", path, directory, "--token-file", path.with_name("none"))
    assert status == 1 and "needs the token of an operator" in said
    status, said = fairbook("apply", path, directory, "--token-file", venue.demo_path)
    assert status == 1 and "needs the token of an operator" in said
    ann = directory / "admin.json"
    assert ann.stat().st_mode & 0o777 == 0o600
    status, said = fairbook("apply", path, directory)
    assert status == 0 and said.endswith("2 of 3 differences were applied.\n")
    (market,) = rest.expect(200, "GET", "/api/v1/markets")
    assert market["orderBookState"] == "CancelOnly"
    status, said = fairbook("apply", path, directory)
    assert said.endswith("0 of 1 differences were applied.\n")


def test_a_role_is_needed(tmp_path: Path) -> None:
    """An operator without the role for markets changes none."""
    path, directory = tmp_path / "venue.toml", tmp_path / "data"
    text = SMALL.replace('roles = ["markets"]', 'roles = ["accounts"]')
    path.write_text(text.replace(f'token_hash = "{"1" * 64}"', ""))
    with ExchangeProcess(directory, "--config", str(path)):
        path.write_text(path.read_text().replace("taker_fee_ppm = 2000", "taker_fee_ppm = 50"))
        status, said = fairbook("apply", path, directory)
        assert status == 1 and "taker_fee_ppm 2000 -> 50: the exchange rejects it" in said
        other = directory / "admin-2.json"
        status, said = fairbook("apply", path, directory, "--token-file", other)
        assert status == 0 and "1 of 1 differences were applied" in said


def test_init_writes_a_file_that_can_be_used_and_keeps_one_that_exists(tmp_path: Path) -> None:
    path = tmp_path / "venue.toml"
    assert fairbook("init", path)[0] == 0
    assert fairbook("check", path)[0] == 0
    path.write_text("mine")
    status, said = fairbook("init", path)
    assert status == 1 and "exists" in said and path.read_text() == "mine"
    status, said = fairbook("up", "--config", path, "--data", tmp_path / "d")
    assert status == 1 and f"{path}:1: " in said and not (tmp_path / "d").exists()


@pytest.mark.parametrize("number", [0])
def test_the_example_of_the_documentation_can_be_used(number: int) -> None:
    example = DOCS.read_text().split("```toml\n")[number + 1].partition("```")[0]
    assert venue_of(example, "example").markets[0].name == "GOLD_EUR"
