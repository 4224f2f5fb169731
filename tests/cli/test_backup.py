"""`fairbook backup` of a real exchange: made while it trades, verified, and started."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from fairbook.app.backup import BackupError, back_up
from fairbook.cli import main
from tests.world.commands import run_fairbook
from tests.world.exchange_process import ExchangeProcess
from tests.world.rest_client import RestClient


def order(price: str, number: int) -> dict[str, Any]:
    return {
        "symbol": "SOL_USDC",
        "side": "Bid",
        "orderType": "Limit",
        "price": price,
        "quantity": "0.1",
        "clientId": number,
    }


def test_a_backup_of_a_trading_exchange_and_a_start_on_it(tmp_path: Path) -> None:
    """It has what was acknowledged before it began, and working keys and tokens."""
    directory, to = tmp_path / "exchange", tmp_path / "copy"
    directory.mkdir()
    with ExchangeProcess(directory, "--no-replica", "--no-recorder") as venue:
        token = venue.demo("demo1")["token"]
        rest = RestClient(venue.http_port, token)
        before = rest.expect(200, "POST", "/api/v1/order", order("10.00", 1))
        stop = threading.Event()

        def trade() -> None:
            number = 10
            while not stop.is_set():
                number += 1
                rest.expect(200, "POST", "/api/v1/order", order("11.00", number))
                rest.expect(
                    200, "DELETE", "/api/v1/order", {"symbol": "SOL_USDC", "clientId": number}
                )

        trader = threading.Thread(target=trade)
        trader.start()
        try:
            done = run_fairbook("backup", directory, to)
        finally:
            stop.set()
            trader.join()
            rest.close()
        assert done.returncode == 0, done.stderr
        assert "position " in done.stdout and "digest " in done.stdout
        assert run_fairbook("verify", to).stdout.startswith(done.stdout)
        position = done.stdout.split()[1]
        assert run_fairbook("replay", directory, "--to", position).stdout == done.stdout
    for name in ("demo.json", "accounts.db"):
        assert stat.S_IMODE((to / name).stat().st_mode) == 0o600
    assert not (to / "LOCK").exists()
    with ExchangeProcess(to, "--no-replica", "--no-recorder") as restored:
        assert restored.demo("demo1")["token"] == token
        rest = RestClient(restored.http_port, token)
        orders = rest.expect(200, "GET", "/api/v1/orders?symbol=SOL_USDC")
        assert before["id"] in [each["id"] for each in orders]
        again = rest.expect(200, "POST", "/api/v1/order", order("10.00", 1))
        assert again["id"] == before["id"]
        rest.expect(200, "POST", "/api/v1/order", order("12.00", 2))
        rest.close()
    assert main(["verify", str(to)]) == 0


@pytest.fixture(scope="module")
def stopped_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of an exchange that was started and stopped."""
    directory = tmp_path_factory.mktemp("stopped")
    venue = ExchangeProcess(directory)
    with venue:
        venue.stop()
    return directory


@pytest.fixture
def stopped(stopped_once: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    return Path(shutil.copytree(stopped_once, tmp_path / "exchange"))


def test_a_backup_that_is_refused_or_fails_leaves_nothing(stopped: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    half = tmp_path / "half.unfinished"
    half.mkdir()
    for source, to, words in (
        (stopped, there, "exists already"),
        (stopped, tmp_path / "half", "did not finish"),
        (stopped, tmp_path / "no" / "where", "is not a directory"),
        (stopped, stopped / "inside", "is inside"),
        (tmp_path / "nowhere", tmp_path / "copy", "no log"),
    ):
        with pytest.raises(BackupError, match=words):
            back_up(source, to, full=False)
    assert list(there.iterdir()) == []
    segment = next((stopped / "log").iterdir())
    octets = bytearray(segment.read_bytes())
    octets[200] ^= 1
    segment.write_bytes(octets)
    done = run_fairbook("backup", stopped, tmp_path / "copy")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert segment.name in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "exchange",
        "half.unfinished",
        "there",
    ]


def test_a_full_backup_names_unknown_files(stopped: Path, tmp_path: Path) -> None:
    (stopped / "notes.txt").write_text("mine")
    (stopped / "audit").mkdir(exist_ok=True)
    (stopped / "audit" / "5-verdict.json").write_text("{}")
    to = tmp_path / "copy"
    done = run_fairbook("backup", stopped, to, "--full")
    assert done.returncode == 0, done.stderr
    assert "notes.txt was not copied" in done.stderr
    assert done.stderr.count("\n") == 1
    assert (to / "audit" / "5-verdict.json").read_text() == "{}"
    state, accounts, history, alone = run_fairbook("verify", stopped).stdout.splitlines()
    assert history.startswith("history  position ")
    assert done.stdout == state + "\n"
    assert run_fairbook("verify", to).stdout.splitlines() == [state, accounts, alone]
    assert os.listdir(to / "snapshots") == os.listdir(stopped / "snapshots")
