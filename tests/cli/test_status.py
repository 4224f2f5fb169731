"""`status` and `admin resume`: what a person sees, and how trading is opened again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from fairbook.cli import main
from fairbook.core import admin_records
from fairbook.core.parts import with_detail
from fairbook.log.file_log import FileLog
from tests.followers.faulty_exchange import FaultyExchange
from tests.world import traffic

NS = 1_000_000_000
STOPPED = (
    "engine    not running; the log ends at position 1\n"
    "snapshot  no valid one\n"
    "audit     no difference between the engines\n"
)
GONE = "engine and replica differ; the verdict of pause abababababababab is gone"


def write(directory: Path, frames: Sequence[bytes]) -> None:
    log = FileLog(directory)
    for number, frame in enumerate(frames, start=1):
        log.append(frame, traffic.START_NS + number * NS)
    log.close()


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command."""
    status = main(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_stopped_exchange_shows_pauses_and_full_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both pauses, since when, and the tables that are more than a hundredth full."""
    directory = str(tmp_path)
    few = admin_records.set_exchange(parameter=admin_records.ACCOUNTS_MAX, value=12)
    setup = b"".join(traffic.setup()) + few
    write(tmp_path, [setup])
    assert told(capsys, "status", directory) == (
        0,
        f"{STOPPED}room      accounts: 50.0 % used, 6 left\n",
        "",
    )
    assert told(capsys, "admin", "resume", directory) == (
        1,
        "",
        "fairbook admin: "
        + directory
        + ": the audit has not paused trading: there is nothing to resume\n",
    )
    pause = admin_records.pause(admin_records.BY_AUDIT, 1)
    by_audit = with_detail(pause, bytes([0xAB] * 32))
    shutil.rmtree(tmp_path / "log")
    write(tmp_path, [setup, by_audit, admin_records.pause(admin_records.BY_OPERATOR, 7)])
    status, text, _ = told(capsys, "status", directory)
    assert status == 1
    assert text.splitlines()[2:4] == [
        f"audit     TRADING IS PAUSED since 2023-11-14 22:13:22 UTC (position 2): {GONE}",
        "operator  TRADING IS PAUSED since 2023-11-14 22:13:23 UTC (position 3): reason 7",
    ]
    status, text, _ = told(capsys, "admin", "resume", directory)
    assert status == 1
    assert f"fairbook admin resume {directory} --acknowledge abababababababab\n" in text
    assert told(capsys, "admin", "resume", directory, "--acknowledge", "abababababababab")[2] == (
        f"fairbook admin: {directory}: no exchange is running\n"
    )
    status, text, _ = told(capsys, "status", directory, "--json")
    found = json.loads(text)
    assert found["pauses"]["audit"]["hash"] == "ab" * 32
    rows = {row["name"]: row for row in found["room"]}
    assert rows["ids of orders (sequence)"]["left"] > 10**12
    assert len(rows) == 10


def test_a_pause_is_shown_and_lifted_although_its_verdict_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The verdict is read, then removed; the exchange is restarted, and trades again."""
    directory = str(tmp_path)
    venue = FaultyExchange(tmp_path)
    with venue:
        venue.until_agreed()
        status, text, _ = told(capsys, "status", directory)
        assert status == 0 and "audit     no difference between the engines" in text
        venue.harm("replica", account=2, asset=4, field="available", atoms=1)
        verdict = venue.verdict(10.0)
        status, text, _ = told(capsys, "status", directory)
        assert status == 1
        assert "(position " in text and f"position {verdict['position']}: the replica is" in text
        status, text, _ = told(capsys, "admin", "resume", directory)
        assert status == 1
        assert f"--acknowledge {verdict['position']}" in text and '"wrong": "replica"' in text
        venue.stop()
        shutil.rmtree(tmp_path / "audit")
        venue.start()
        assert venue.place() == 503
        status, text, _ = told(capsys, "admin", "resume", directory)
        name = text.split("--acknowledge ")[1].strip()
        assert len(name) == 16
        wrong = told(capsys, "admin", "resume", directory, "--acknowledge", "1")
        assert wrong[0] == 1 and name in wrong[2]
        venue.until_agreed()
        assert told(capsys, "admin", "resume", directory, "--acknowledge", name) == (
            0,
            "trading is open again; there was no verdict to keep\n",
            "",
        )
        assert venue.place() == 200
        assert told(capsys, "status", directory)[0] == 0
