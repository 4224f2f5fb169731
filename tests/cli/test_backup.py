"""`fairbook backup` of a real exchange: made while it trades, verified, and started."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from fairbook.accounts.sqlite_accounts import SqliteAccounts, copy_accounts
from fairbook.app.backup import BackupError, back_up
from fairbook.cli import main
from fairbook.ports.accounts import READ, TRADE
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
        assert run_fairbook("verify", to).stdout == done.stdout
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
    state, history = run_fairbook("verify", stopped).stdout.splitlines()
    assert history.startswith("history  position ")
    assert done.stdout == state + "\n" == run_fairbook("verify", to).stdout
    assert os.listdir(to / "snapshots") == os.listdir(stopped / "snapshots")


def test_accounts_that_the_copied_log_does_not_have_are_dropped(tmp_path: Path) -> None:
    """The user stays, so that no other user gets the id, and with it the account in the log."""
    source, target = tmp_path / "accounts.db", tmp_path / "copy.db"
    store = SqliteAccounts(source)
    tokens = []
    for account in (2, 3, 4):
        user = store.add_user(name=f"user{account}")
        store.set_account(user.user_id, account)
        tokens.append(store.add_token(account=account, permissions=READ | TRADE)[0])
    copy_accounts(source, target, accounts=4)
    assert store.by_token(tokens[2]) is not None
    store.close()
    copy = SqliteAccounts(target)
    assert [copy.by_token(token) is not None for token in tokens] == [True, True, False]
    assert [getattr(copy.user(user_id), "account", None) for user_id in (1, 2, 3)] == [2, 3, 0]
    assert copy.add_user(name="next").user_id == 4
    copy.close()
    with sqlite3.connect(target) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()
