"""Signed checkpoints of a real process, kept elsewhere, against logs that were rewritten or cut."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from fairbook.log.file_log import FileLog
from tests.followers.faulty_exchange import FaultyExchange
from tests.world.commands import fairbook
from tests.world.exchange_process import ExchangeProcess, StartFailed
from tests.world.money import credit
from tests.world.rest_client import RestClient
from tests.world.waiting import wait_until

OFTEN = {"FAIRBOOK_CHECKPOINT_S": "0.2", "FAIRBOOK_SNAPSHOT_COMMANDS": "20"}


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an exchange that has signed some checkpoints, also of a snapshot."""
    folder = tmp_path_factory.mktemp("signed")
    venue = FaultyExchange(folder / "d", OFTEN)
    with venue:
        for _ in range(30):
            assert venue.place() == 200
        venue.until(lambda status: status["replica"]["snapshot_position"] > 0)
        signed = venue.status()["checkpoint"]["position"]
        venue.until(lambda status: status["checkpoint"]["position"] > signed + 1)
        client = RestClient(venue.http_port)
        rows = client.expect(200, "GET", "/api/v1/checkpoints")
        client.close()
        (row,) = (each for each in rows if each["note"])
        assert row["key"] == venue.status()["checkpoint"]["key"]
        assert f"position {row['position']}\n" in row["note"]
        against = ("--against", venue.url, "--key", row["key"])
        status, said = fairbook("verify", venue.folder, *against)
        assert status == 0 and ", all of this log" in said, said
        venue.stop()
    shutil.copy(venue.folder / "checkpoints.txt", folder / "kept.txt")
    (folder / "key").write_text(row["key"])
    return folder


@pytest.fixture
def stopped(signed: Path, tmp_path: Path) -> ExchangeProcess:
    """A copy of it, to be started."""
    shutil.copytree(
        signed, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("control", "LOCK")
    )
    return ExchangeProcess(tmp_path / "d", environment=OFTEN)


def options(tmp_path: Path) -> tuple[object, ...]:
    return ("--against", tmp_path / "kept.txt", "--key", (tmp_path / "key").read_text())


def rewrite_log(directory: Path, *, more: bytes = b"", after: int = 0, leave_out: int = 0) -> None:
    """The same log with right chains: with another command in it, or without its end. after: the
    entry before that command; 0: in the middle.
    """
    with_log = FileLog(directory, read_only=True)
    entries = list(with_log.read(1))
    with_log.close()
    shutil.rmtree(directory / "log")
    shutil.rmtree(directory / "snapshots")
    shutil.rmtree(directory / "liabilities", ignore_errors=True)  # `verify` would compare them.
    log = FileLog(directory)
    for number, entry in enumerate(entries[: len(entries) - leave_out]):
        log.append(entry.frame, entry.time_ns)
        if more and number == (after or len(entries) // 2):
            log.append(more, entry.time_ns)
    log.close()


def test_the_log_of_the_checkpoints_is_verified(stopped: ExchangeProcess, tmp_path: Path) -> None:
    status, said = fairbook("verify", stopped.folder, *options(tmp_path))
    assert status == 0 and "all of this log" in said
    status, said = fairbook("verify", stopped.folder)
    assert status == 0 and "self-consistent only" in said


def test_a_rewritten_log_is_found_and_not_started(stopped: ExchangeProcess, tmp_path: Path) -> None:
    """A credit was put in, and all chains were made anew: the log itself is without fault."""
    money = credit(account=stopped.account("demo1"), asset=4, atoms=10**12)
    rewrite_log(stopped.folder, more=money)
    for name in ("history.db", "accounts.db"):
        (stopped.folder / name).unlink(missing_ok=True)
    status, said = fairbook("verify", stopped.folder)
    assert status == 0 and "self-consistent only" in said
    status, said = fairbook("verify", stopped.folder, *options(tmp_path))
    assert status == 1 and "is not that of a checkpoint" in said
    with pytest.raises(StartFailed, match="another history"):
        stopped.start()


def test_a_log_that_was_cut_short_is_found(stopped: ExchangeProcess, tmp_path: Path) -> None:
    rewrite_log(stopped.folder, leave_out=8)
    for name in ("history.db", "accounts.db"):
        (stopped.folder / name).unlink(missing_ok=True)
    status, said = fairbook("verify", stopped.folder, *options(tmp_path))
    assert status == 1 and "acknowledged commands are missing" in said
    with pytest.raises(StartFailed, match="acknowledged entries are missing"):
        stopped.start()


@pytest.mark.parametrize("field", ["chain", "events", "state", "previous", "position"])
def test_a_changed_checkpoint_is_not_believed(
    stopped: ExchangeProcess, tmp_path: Path, field: str
) -> None:
    kept = tmp_path / "kept.txt"
    lines = kept.read_text().splitlines(keepends=True)
    at = max(number for number, line in enumerate(lines) if line.startswith(field))
    lines[at] = f"{lines[at][:-2]}{(int(lines[at][-2], 16) + 1) % 10}\n"
    kept.write_text("".join(lines))
    status, said = fairbook("verify", stopped.folder, *options(tmp_path))
    assert status == 1 and "not signed by this key" in said
    shutil.copy(kept, stopped.folder / "checkpoints.txt")
    with pytest.raises(StartFailed, match="not signed by this key"):
        stopped.start()


def test_a_checkpoint_that_a_crash_cut_off_is_made_again(stopped: ExchangeProcess) -> None:
    path = stopped.folder / "checkpoints.txt"
    content = path.read_bytes()
    for cut in (1, 20, 150, 300):
        path.write_bytes(content[:-cut])
        whole = content[: content.rfind(b"fairbook checkpoint\n", 0, len(content) - cut)]
        stopped.start()
        size = len(content)
        wait_until(lambda least=size: path.stat().st_size > least, "another checkpoint")  # type: ignore[misc]
        stopped.stop()
        assert fairbook("verify", stopped.folder, "--against", path)[0] == 0
        content = path.read_bytes()
        assert whole and content.startswith(whole), "all that were whole are kept"


def test_another_file_is_no_file_of_checkpoints(stopped: ExchangeProcess) -> None:
    path = stopped.folder / "checkpoints.txt"
    for content in (b"notes of mine\n", b"x" * 100_000, path.read_bytes() + b"more\n"):
        path.write_bytes(content)
        with pytest.raises(StartFailed, match="no file of checkpoints"):
            stopped.start()
        assert path.read_bytes() == content


def test_each_checkpoint_goes_to_a_hook(tmp_path: Path) -> None:
    """Such as a program that keeps it on another machine."""
    kept = tmp_path / "told"
    program = f"import sys; open({str(kept)!r}, 'a').write(sys.stdin.read())"
    assert fairbook("init", tmp_path / "venue.toml")[0] == 0
    with (tmp_path / "venue.toml").open("a") as file:
        command = json.dumps([sys.executable, "-c", program])
        file.write(f'\n[[hooks]]\nevents = ["checkpoint"]\ncommand = {command}\n')
    venue = ExchangeProcess(
        tmp_path / "d", "--config", str(tmp_path / "venue.toml"), environment=OFTEN
    )
    with venue:
        told: Any = wait_until(lambda: kept.exists() and kept.read_text(), "a checkpoint")
    assert json.loads(told.splitlines()[0])["event"]["note"].startswith("fairbook checkpoint\n")
