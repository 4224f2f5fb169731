"""The recorder's process: whatever happens to it or its files, history becomes that of the log."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from fairbook.core.exchange import Exchange
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import Snapshot, Snapshots
from fairbook.followers import wire
from fairbook.followers.follower import CHECK_EVERY, FileSource, follow
from fairbook.followers.recorder import DIRECTORY, Recorder
from fairbook.history.sqlite_store import FILE_NAME, SqliteStore
from fairbook.log.file_log import FileLog
from tests.followers.recorder_child import RecorderChild, write_log
from tests.history.recorded_history import require_equal
from tests.world.naive_history import NaiveHistory, of_log

FRAMES = 320


def positions(directory: Path) -> list[int]:
    """Positions of the recorder's own snapshots, newest first."""
    return [int(path.stem) for path in Snapshots(directory / DIRECTORY).paths()]


def record(directory: Path, position: int, **options: int) -> RecorderChild:
    """Record up to `position` in a process of its own."""
    recorder = RecorderChild(directory, **options)
    recorder.announce(position)
    recorder.until(position)
    assert recorder.end() == 0, recorder.stderr
    assert recorder.stderr == ""
    return recorder


def test_an_empty_store_is_recorded_from_the_beginning(tmp_path: Path) -> None:
    """Announced at once or in steps: recorded up to the announced position, and no further."""
    naive = write_log(tmp_path, seed=1, frames=FRAMES)
    recorder = record(tmp_path, FRAMES)
    assert recorder.notes == []
    require_equal(tmp_path, naive)
    shutil.rmtree(tmp_path / DIRECTORY)
    (tmp_path / FILE_NAME).unlink()
    recorder = RecorderChild(tmp_path)
    for position in (0, 1, 2, 40, 40, 200):
        recorder.announce(position)
        recorder.until(position)
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
            assert database.execute("SELECT position FROM place").fetchone() == (position,)
    assert recorder.end() == 0
    record(tmp_path, FRAMES)
    require_equal(tmp_path, naive)


def killed_again_and_again(directory: Path, *, seed: int, frames: int, kills: int) -> None:
    """Small transactions and frequent snapshots, so that it is killed in the middle of them."""
    naive = write_log(directory, seed=seed, frames=frames)
    chance = random.Random(seed)
    options = {"transaction_commands": 60, "snapshot_commands": 2_000}
    least = 0
    for round in range(kills):
        recorder = RecorderChild(directory, **options)
        goal = frames * (round + 1) // kills
        recorder.announce(goal)
        recorder.receive()
        assert recorder.committed >= least  # What was reported as recorded is recorded.
        reports = recorder.reports + chance.randrange(max(2, 40 // kills + 12))
        while recorder.reports < reports and recorder.committed < goal:
            recorder.receive()
        time.sleep(chance.random() * 0.004)
        least = recorder.committed
        recorder.kill()
        assert recorder.notes == []
    record(directory, frames, **options)
    require_equal(directory, naive)


def test_killed_in_the_middle_of_writing(tmp_path: Path) -> None:
    """No row is missing, and none stands twice."""
    killed_again_and_again(tmp_path, seed=2, frames=FRAMES, kills=6)


@pytest.mark.slow
def test_killed_in_the_middle_of_writing_50_times(tmp_path: Path) -> None:
    killed_again_and_again(tmp_path, seed=3, frames=4_000, kills=50)


def test_a_start_is_near_the_end_of_the_store(tmp_path: Path) -> None:
    """From its own snapshots, of which three are kept; one is written at the end."""
    naive = write_log(tmp_path, seed=4, frames=FRAMES)
    recorder = record(tmp_path, 250, snapshot_commands=500, transaction_commands=100)
    assert len(positions(tmp_path)) == 3
    assert positions(tmp_path)[0] > 200
    # Frames before the snapshot are not needed any more: a log without them would be refused.
    for path in Snapshots(tmp_path / DIRECTORY).paths()[1:]:
        path.unlink()
    first = positions(tmp_path)[0]
    recorder = RecorderChild(tmp_path, snapshot_commands=500)
    recorder.announce(FRAMES)
    recorder.until(FRAMES)
    assert recorder.end() == 0
    assert positions(tmp_path)[-1] == first
    require_equal(tmp_path, naive)


def snapshot_at(directory: Path, position: int) -> Snapshot:
    """A snapshot of the log's state at `position`."""
    runner = Runner(Exchange())
    log = FileLog(directory, read_only=True)
    for entry in log.read(1):
        if entry.position <= position:
            runner.apply(entry)
    log.close()
    return runner.snapshot()


def test_snapshots_that_cannot_be_used_are_passed_over(tmp_path: Path) -> None:
    """Ahead of the store, or damaged; the engine's snapshots are used too."""
    naive = write_log(tmp_path, seed=5, frames=FRAMES)
    record(tmp_path, 200)
    assert positions(tmp_path) == []  # Too few commands.
    own = Snapshots(tmp_path / DIRECTORY)
    own.write(snapshot_at(tmp_path, 100))
    own.write(snapshot_at(tmp_path, 150)).write_bytes(b"damaged")
    own.write(snapshot_at(tmp_path, 250))
    Snapshots(tmp_path).write(snapshot_at(tmp_path, 120))
    recorder = record(tmp_path, FRAMES)
    (note,) = recorder.notes
    assert "passed over: 00000000000000000150.snapshot" in note
    require_equal(tmp_path, naive)


def test_a_store_that_is_ahead_of_the_log(tmp_path: Path) -> None:
    """The log was restored from a backup: the store is put aside and recorded again."""
    write_log(tmp_path / "long", seed=6, frames=250)
    record(tmp_path / "long", 250, snapshot_commands=1_000)
    short = tmp_path / "short"
    naive = write_log(short, seed=6, frames=200)
    shutil.copy(tmp_path / "long" / FILE_NAME, short / FILE_NAME)
    shutil.copytree(tmp_path / "long" / DIRECTORY, short / DIRECTORY)
    recorder = record(short, 200)
    assert "put aside as history.db.aside, and recorded again: it goes up to" in recorder.notes[0]
    assert (short / "history.db.aside").exists()
    require_equal(short, naive)


def test_a_store_of_another_log(tmp_path: Path) -> None:
    """Of the same length, but another chain."""
    write_log(tmp_path / "other", seed=7, frames=200)
    record(tmp_path / "other", 150)
    this = tmp_path / "this"
    naive = write_log(this, seed=8, frames=200)
    shutil.copy(tmp_path / "other" / FILE_NAME, this / FILE_NAME)
    (this / DIRECTORY).mkdir()
    Snapshots(this / DIRECTORY).write(snapshot_at(tmp_path / "other", 120))
    recorder = record(this, 200)
    assert "another history" in recorder.notes[0]
    assert positions(this) == []
    require_equal(this, naive)


def other_schema(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")


def no_database(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(50_000))


def damaged_inside(path: Path) -> None:
    octets = bytearray(path.read_bytes())
    octets[4096:] = bytes(len(octets) - 4096)
    path.write_bytes(octets)


def without_a_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TABLE trades")


def with_a_later_trade(path: Path) -> None:
    """A row was added by hand, with an id that the recorder reaches later."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        (newest,) = database.execute("SELECT max(trade_id) FROM trades WHERE market = 1").fetchone()
        database.execute(
            f"INSERT INTO trades VALUES ({newest + 20}, 1 {', 0' * 12})",
        )


@pytest.mark.parametrize(
    "harm", [other_schema, no_database, damaged_inside, without_a_table, with_a_later_trade]
)
def test_a_store_that_is_not_sound(tmp_path: Path, harm: object) -> None:
    """Put aside and recorded again; a note gives the reason."""
    assert callable(harm)
    naive = write_log(tmp_path, seed=9, frames=150)
    record(tmp_path, 60)
    harm(tmp_path / FILE_NAME)
    recorder = record(tmp_path, 150)
    assert len(recorder.notes) == 1 and "recorded again" in recorder.notes[0]
    require_equal(tmp_path, naive)


def test_a_locked_store_is_retried(tmp_path: Path) -> None:
    """A note reports it; later everything is recorded."""
    naive = write_log(tmp_path, seed=10, frames=100)
    store = SqliteStore(tmp_path / FILE_NAME)
    recorder = RecorderChild(tmp_path)
    recorder.announce(0)
    recorder.until(0)
    store._database.execute("BEGIN IMMEDIATE")
    recorder.announce(100)
    while not recorder.notes:
        recorder.receive()
    assert "trying again: database is locked" in recorder.notes[0]
    assert recorder.committed == 0
    store._database.execute("ROLLBACK")
    store.close()
    recorder.until(100)
    assert recorder.end() == 0
    require_equal(tmp_path, naive)


def test_a_recorder_left_over_from_another_engine(tmp_path: Path) -> None:
    """Of two recorders of one store one ends, and the store is not put aside."""
    naive = write_log(tmp_path, seed=14, frames=300)
    two = [RecorderChild(tmp_path), RecorderChild(tmp_path)]
    for recorder in two:
        recorder.announce(100)
        recorder.until(100)
    two[0].announce(200)
    two[0].until(200)
    two[1].announce(250)
    with pytest.raises(ConnectionError):
        two[1].until(250)
    assert two[1].notes[-1] == "cannot continue: StoreTaken: another recorder writes to it"
    assert two[1].end() == 1
    two[0].announce(300)
    two[0].until(300)
    assert two[0].end() == 0
    assert not (tmp_path / "history.db.aside").exists()
    require_equal(tmp_path, naive)


def test_a_log_that_ends_too_soon(tmp_path: Path) -> None:
    """An announced entry is missing: the recorder ends, and a note gives the reason."""
    write_log(tmp_path, seed=11, frames=20)
    recorder = RecorderChild(tmp_path)
    recorder.announce(21)
    with pytest.raises(ConnectionError):
        while True:
            recorder.receive()
    assert "position 21" in recorder.notes[-1]
    assert recorder.end() == 1
    # The transaction was not committed in part.
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        assert database.execute("SELECT position FROM place").fetchone() == (0,)


def test_it_ends_with_the_engine_while_it_is_busy(tmp_path: Path) -> None:
    """Announced entries are recorded as far as time allows; the next recorder does the rest."""
    naive = write_log(tmp_path, seed=12, frames=FRAMES)
    recorder = RecorderChild(tmp_path)
    recorder.announce(FRAMES)
    assert recorder.end() == 0
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        (position,) = database.execute("SELECT position FROM place").fetchone()
    assert position > 0
    record(tmp_path, FRAMES)
    require_equal(tmp_path, naive)
    assert os.listdir(tmp_path / DIRECTORY) == ["snapshots"]


def test_an_engine_that_is_gone_in_the_middle_of_a_transaction(tmp_path: Path) -> None:
    """What was applied is recorded, and the next recorder begins at a snapshot of it."""
    write_log(tmp_path, seed=15, frames=CHECK_EVERY + 30)
    engine, connection = socket.socketpair()
    source = FileSource("recorder", tmp_path, connection)
    engine.sendall(wire.pack(wire.APPLIED, CHECK_EVERY + 20))
    engine.shutdown(socket.SHUT_RDWR)
    follow(source, Recorder(tmp_path, source, transaction_commands=1_000_000))
    engine.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        assert database.execute("SELECT position FROM place").fetchone() == (CHECK_EVERY,)
    assert positions(tmp_path) == [CHECK_EVERY]


def test_a_halted_recorder_continues(tmp_path: Path) -> None:
    naive: NaiveHistory = write_log(tmp_path, seed=13, frames=FRAMES)
    recorder = RecorderChild(tmp_path, transaction_commands=100)
    recorder.announce(10)
    recorder.until(10)
    os.kill(recorder.process.pid, signal.SIGSTOP)
    for position in range(11, FRAMES + 1):
        if position < 50 or position == FRAMES:
            recorder.announce(position)
    os.kill(recorder.process.pid, signal.SIGCONT)
    recorder.until(FRAMES)
    assert recorder.end() == 0
    require_equal(tmp_path, naive)
    assert of_log(tmp_path).trades == naive.trades
