"""`verify`, `replay` and `inspect` on small data directories."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from fairbook.cli import main
from fairbook.core import admin_records, records, state
from fairbook.core.exchange import Exchange
from fairbook.engine.snapshots import Snapshot, Snapshots
from fairbook.log.file_log import FileLog
from tests.world.money import credit

# Frames at 1 s, 2 s, ...: a trade, a reject and each kind of order.
FRAMES = (
    admin_records.rules()
    + admin_records.list_asset(asset=1, decimals=2, name="GOLD")
    + admin_records.list_asset(asset=2, decimals=2, name="COIN")
    + admin_records.list_market(
        market=1, base=1, quote=2, lot_atoms=1, tick_atoms=1, name="GOLD_COIN"
    )
    + admin_records.set_market(market=1, parameter=admin_records.STATE, value=admin_records.OPEN),
    admin_records.open_account(7) + admin_records.open_account(8),
    credit(account=2, asset=1, atoms=500) + credit(account=3, asset=2, atoms=900),
    records.place(
        account=2,
        market=1,
        side=records.ASK,
        price=3,
        quantity=100,
        flags=records.HAS_CLIENT_ID | records.POST_ONLY,
        client_id=42,
    ),
    records.place(
        account=3,
        market=1,
        side=records.BID,
        price=4,
        quantity=150,
        tif=records.IOC,
        flags=records.REJECT_MAKER << records.STP_SHIFT,
        session=5,
    ),
    records.cancel(account=2, client_id=42, flags=records.HAS_CLIENT_ID),
    b"short",
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write(tmp_path, FRAMES)
    return tmp_path


def write(directory: Path, frames: Sequence[bytes]) -> None:
    log = FileLog(directory)
    for number, frame in enumerate(frames, start=1):
        log.append(frame, number * 1_000_000_000)
    log.close()


def replayed(frames: Sequence[bytes]) -> Exchange:
    exchange = Exchange()
    for number, frame in enumerate(frames, start=1):
        exchange.apply(frame, number * 1_000_000_000)
    return exchange


def snapshot(directory: Path, position: int, exchange: Exchange) -> Path:
    log = FileLog(directory, read_only=True)
    entry = next(log.read(position))
    log.close()
    taken = Snapshot(
        position=position,
        time_ns=exchange.time_ns,
        chain=entry.chain,
        event_hash=bytes(32),
        body=state.dump(exchange),
    )
    return Snapshots(directory).write(taken)


def test_replay_gives_the_state_at_a_position(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for to, position in (("3", 3), (None, len(FRAMES))):
        assert main(["replay", str(directory), *(["--to", to] if to else [])]) == 0
        exchange = replayed(FRAMES[:position])
        line = capsys.readouterr().out
        assert f"position {position}  sequence {exchange.sequence}" in line
        assert state.digest(exchange).hex() in line
    assert main(["replay", str(directory), "--to", "99"]) == 1
    assert "ends at position 7" in capsys.readouterr().err


def test_verify_prints_end_and_digest_of_a_valid_log_and_changes_nothing(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    assert main(["verify", str(directory)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("position 7  sequence 13  digest ")
    assert state.digest(replayed(FRAMES)).hex() in said.out
    assert said.err == ""
    assert before == {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_verify_finds_a_snapshot_of_another_state(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is valid, but the log does not lead to its state."""
    forged = replayed(FRAMES[:2])
    forged.apply(credit(account=2, asset=1, atoms=501), 3_000_000_000)
    snapshot(directory, 3, forged)
    assert main(["verify", str(directory)]) == 1
    said = capsys.readouterr()
    assert "position 3 the state" in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_verify_finds_a_log_that_was_cut(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A snapshot has a position after the end of the log."""
    path = snapshot(directory, 7, replayed(FRAMES))
    kept = path.read_bytes()
    other = directory / "other"
    write(other, FRAMES[:6])
    (other / "snapshots").mkdir()
    (other / "snapshots" / path.name).write_bytes(kept)
    assert main(["verify", str(other)]) == 1
    assert "acknowledged commands are missing" in capsys.readouterr().err


def test_verify_finds_a_changed_record(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (segment,) = (directory / "log").glob("*.log")
    octets = bytearray(segment.read_bytes())
    octets[len(octets) // 2] ^= 1
    segment.write_bytes(octets)
    assert main(["verify", str(directory)]) == 1
    assert segment.name in capsys.readouterr().err


def test_inspect_prints_commands_outcomes_and_events(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(directory), "--from", "2", "--to", "7"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [
        "[2] 1970-01-01T00:00:02.000000000Z",
        "  #6 OPEN_ACCOUNT user 7 -> DONE account 2",
        "      account 2 of user 7",
        "  #7 OPEN_ACCOUNT user 8 -> DONE account 3",
        "      account 3 of user 8",
    ]
    assert main(["inspect", str(directory), "--to", "1"]) == 0
    first = capsys.readouterr().out.splitlines()
    assert first[1:3] == ["  #1 RULES version 1 -> DONE", "      rules of version 1"]
    assert first[-2:] == [
        "  #5 SET_MARKET GOLD_COIN STATE = Open -> DONE",
        "      STATE = Open",
    ]
    text = "\n".join(lines)
    assert "CREDIT account 2 500 atoms of GOLD reference 74657374" in text
    assert "PLACE GOLD_COIN Ask 100 @ 3 GTC account 2 client id 42 POST_ONLY -> NEW" in text
    assert "PLACE GOLD_COIN Bid 150 @ 4 IOC account 3 session 5 RejectMaker -> EXPIRED" in text
    assert "trade 1 of GOLD_COIN: 100 @ 3, taker 3" in text
    assert "CANCEL (market 0) account 2 client id 42 -> REJECTED UNKNOWN_ORDER" in text
    assert "(5 bytes) -> REJECTED MALFORMED" in text
    assert "[1]" not in text


def test_inspect_counts_cancelled_orders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, [*FRAMES[:4], records.cancel_all(account=2), records.cancel_all(account=3)])
    assert main(["inspect", str(tmp_path), "--from", "5"]) == 0
    text = capsys.readouterr().out
    assert "CANCEL_ALL account 2 all markets -> DONE 1 orders cancelled\n" in text
    assert "CANCEL_ALL account 3 all markets -> DONE\n" in text


@pytest.mark.parametrize("command", ["verify", "replay", "inspect"])
def test_a_directory_without_a_log_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert main([command, str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err == (
        f"fairbook {command}: {tmp_path / 'none'}: there is no log in this directory\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_closed_output_pipe_is_no_error(directory: Path) -> None:
    """As in `fairbook inspect DIR | head -1`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fairbook", "inspect", str(directory)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": "src"},
    )
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate(timeout=30)
    assert said == b""
