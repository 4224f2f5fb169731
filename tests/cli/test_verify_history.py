"""`verify` compares every row of the history with the log, and names those that differ."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from fairbook.cli import main
from fairbook.core.exchange import Exchange
from fairbook.engine.runner import Runner
from fairbook.history.projection import HistoryProjection
from fairbook.history.sqlite_store import FILE_NAME, SqliteStore
from fairbook.log.file_log import FileLog
from tests.followers.recorder_child import write_log

FRAMES = 60
RECORDED = 50


def record(directory: Path, to: int) -> None:
    """The store of a recorder that has reached `to`, in transactions of seven frames."""
    runner, store = Runner(Exchange()), SqliteStore(directory / FILE_NAME)
    recorder = HistoryProjection(store, runner.exchange)
    log = FileLog(directory, read_only=True)
    for entry in log.read(1):
        events = runner.apply(entry)
        assert events is not None
        recorder.take(entry.time_ns, events)
        if entry.position % 7 == 0 or entry.position == to:
            recorder.commit(
                position=entry.position, time_ns=runner.exchange.time_ns, chain=runner.chain
            )
        if entry.position == to:
            break
    log.close()
    store.close()


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log, and a store ten frames behind it."""
    directory = tmp_path_factory.mktemp("past")
    write_log(directory, seed=11, frames=FRAMES)
    record(directory, RECORDED)
    return directory


@contextmanager
def changed(directory: Path) -> Iterator[sqlite3.Connection]:
    """The store; changes of it are undone."""
    path = directory / FILE_NAME
    before = path.read_bytes()
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            yield database
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        for ending in ("-wal", "-shm"):
            Path(f"{path}{ending}").unlink(missing_ok=True)
        path.write_bytes(before)


def verify(directory: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    code = main(["verify", str(directory)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_a_store_behind_the_log_is_valid(past: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = verify(past, capsys)
    assert (code, err) == (0, "")
    assert out.splitlines()[1] == (
        f"history  position {RECORDED}, every row matches the log, 10 frames behind the log"
    )


@pytest.mark.parametrize(
    ("table", "field", "change"),
    [
        ("trades", "lots", "lots + 1"),
        ("trades", "maker_fee", "maker_fee + 1"),
        ("trades", "is_generated", "1"),
        ("orders", "filled", "filled - 1"),
        ("orders", "account", "account + 1"),
        ("orders", "closed_ns", "closed_ns + 1"),
        ("transfers", "atoms", "atoms * 10"),
        ("transfers", "reference", "zeroblob(16)"),
        ("transfers", "movement", "movement + 1"),
        ("orders", "client_text", "'another'"),
        ("bars", "high", "high + 1"),
        ("bars", "quote_low", "quote_low + 1"),
        ("place", "time_ns", "time_ns - 1"),
        ("place", "chain", "zeroblob(32)"),
    ],
)
def test_a_changed_row_is_named(
    past: Path, capsys: pytest.CaptureFixture[str], table: str, field: str, change: str
) -> None:
    """With its key, the field and both values."""
    keys = {"trades": "market, trade_id", "orders": "order_id", "transfers": "transfer_id",
            "bars": "market, length_s, start_s", "place": "one"}[table]  # fmt: skip
    with changed(past) as database:
        row = database.execute(
            f"SELECT {keys}, {field} FROM {table} ORDER BY {keys} LIMIT 1 OFFSET"
            f" (SELECT count(*) / 2 FROM {table})"
        ).fetchone()
        *key, was = row
        named = " ".join(f"{name}={at}" for name, at in zip(keys.split(", "), key, strict=True))
        where = named.replace(" ", " AND ")
        database.execute(f"UPDATE {table} SET {field} = {change} WHERE {where}")
        (now,) = database.execute(f"SELECT {field} FROM {table} WHERE {where}").fetchone()
        code, _, err = verify(past, capsys)
    shown = [each.hex() if isinstance(each, bytes) else repr(each) for each in (now, was)]
    first, last = err.splitlines()
    assert first == f"history.db: {table} {named}: {field} is {shown[0]}, by the log {shown[1]}"
    assert last.endswith("history.db differs from the log: 1 differences")
    assert code == 1
    assert verify(past, capsys)[0] == 0


@pytest.mark.parametrize("table", ["trades", "orders", "transfers", "bars", "place"])
def test_a_missing_row_is_named(past: Path, capsys: pytest.CaptureFixture[str], table: str) -> None:
    with changed(past) as database:
        (count,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
        order = {"trades": "trade_id", "orders": "order_id", "transfers": "transfer_id",
                 "bars": "start_s", "place": "one"}[table]  # fmt: skip
        database.execute(f"DELETE FROM {table} WHERE {order} = (SELECT max({order}) FROM {table})")
        (left,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
        code, _, err = verify(past, capsys)
    *missing, last = err.splitlines()
    assert code == 1
    if table != "place":  # Without it, the end of the other tables is not known.
        assert len(missing) == count - left > 0
        assert all(each.startswith(f"history.db: {table} ") for each in missing)
        assert all(each.endswith(": missing") for each in missing)
    assert "history.db differs from the log" in last


def test_added_rows_are_named(past: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the first 20 are shown, but all are counted."""
    with changed(past) as database:
        (last,) = database.execute("SELECT max(trade_id) FROM trades WHERE market = 1").fetchone()
        columns = ", ".join(
            row[1] for row in database.execute("PRAGMA table_info(trades)") if row[1] != "trade_id"
        )
        for number in range(30):
            database.execute(
                f"INSERT INTO trades (trade_id, {columns}) SELECT {last + 1 + number}, {columns}"
                " FROM trades WHERE market = 1 LIMIT 1"
            )
        code, _, err = verify(past, capsys)
    lines = err.splitlines()
    assert code == 1
    assert lines[0] == f"history.db: trades market=1 trade_id={last + 1}: not in the log"
    assert len(lines) == 21
    assert lines[-1].endswith("30 differences")


def test_a_trigger_or_another_index_is_named(
    past: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with changed(past) as database:
        database.execute(
            "CREATE TRIGGER gift AFTER INSERT ON transfers BEGIN"
            " UPDATE transfers SET atoms = 1; END"
        )
        database.execute("DROP INDEX trades_by_maker")
        code, _, err = verify(past, capsys)
    assert code == 1
    assert "history.db: schema type=trigger name=gift: not in the log" in err
    assert "history.db: schema type=index name=trades_by_maker: missing" in err


def test_a_store_ahead_of_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The log was cut, or is an older copy."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for directory, frames in ((whole, 30), (cut, 20)):
        directory.mkdir()
        write_log(directory, seed=5, frames=frames)
    record(whole, 30)
    (whole / FILE_NAME).rename(cut / FILE_NAME)
    code, _, err = verify(cut, capsys)
    assert code == 1
    assert "history.db goes up to position 30, the log ends at position 20" in err


def test_a_store_of_another_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for directory, seed in ((ours, 1), (theirs, 2)):
        directory.mkdir()
        write_log(directory, seed=seed, frames=15)
    record(theirs, 15)
    (theirs / FILE_NAME).rename(ours / FILE_NAME)
    code, _, err = verify(ours, capsys)
    assert code == 1
    assert "history.db: place one=1: chain is" in err


def test_an_unreadable_store_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No SQLite, another version, a damaged page. An empty store or none is valid."""
    write_log(tmp_path, seed=3, frames=15)
    path = tmp_path / FILE_NAME
    assert verify(tmp_path, capsys)[0] == 0
    SqliteStore(path).close()
    code, out, _ = verify(tmp_path, capsys)
    assert code == 0 and "history  position 0," in out and "15 frames behind" in out
    path.write_bytes(b"hello" * 1000)
    code, _, err = verify(tmp_path, capsys)
    assert code == 1 and "history.db cannot be compared with the log" in err
    path.unlink()
    record(tmp_path, 15)
    sound = path.read_bytes()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 9")
    code, _, err = verify(tmp_path, capsys)
    assert code == 1 and "history.db is not a history of version" in err
    for ending in ("-wal", "-shm"):
        Path(f"{path}{ending}").unlink(missing_ok=True)
    broken = bytearray(sound)
    broken[8192:8292] = b"\xff" * 100
    path.write_bytes(broken)
    code, _, err = verify(tmp_path, capsys)
    assert code == 1 and "history.db" in err


def test_a_store_that_is_being_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows in the write-ahead log count, and the writer is not disturbed."""
    write_log(tmp_path, seed=4, frames=20)
    runner, store = Runner(Exchange()), SqliteStore(tmp_path / FILE_NAME)
    recorder = HistoryProjection(store, runner.exchange)
    log = FileLog(tmp_path, read_only=True)
    for entry in log.read(1):
        events = runner.apply(entry)
        assert events is not None
        recorder.take(entry.time_ns, events)
        recorder.commit(position=entry.position, time_ns=entry.time_ns, chain=runner.chain)
        if entry.position % 5 == 0:
            code, out, _ = verify(tmp_path, capsys)
            assert code == 0 and f"history  position {entry.position}," in out
    log.close()
    store.close()
