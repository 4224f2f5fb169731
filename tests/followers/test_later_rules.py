"""A RULES that only a later release knows: everything stops before its frame, and says so."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fairbook.cli import main
from fairbook.core import admin_records, records
from fairbook.core.admin_commands import RulesUnknown
from fairbook.core.exchange import Exchange
from fairbook.engine.engine import Engine
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import Snapshots
from fairbook.followers import wire
from fairbook.followers.follower import FileSource, follow
from fairbook.followers.replica import Replica, ReplicaOptions
from fairbook.history.sqlite_store import FILE_NAME
from fairbook.log.file_log import FileLog
from fairbook.ports.commands import Answer, Stopped
from tests.followers.recorder_child import RecorderChild
from tests.world import traffic
from tests.world.commands import run_fairbook

SAYS = "position 4 has rules of version 2"
LATER = traffic.buy(client_id=9) + admin_records.rules(2) + traffic.buy(client_id=10)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Two frames of orders, then a frame with an order, later rules, and another order."""
    log = FileLog(tmp_path)
    setup = b"".join(traffic.setup())
    for number, frame in enumerate([setup, traffic.buy(), traffic.buy(3), LATER], start=1):
        log.append(frame, traffic.START_NS + number)
    log.close()
    return tmp_path


def test_the_runner_publishes_nothing_of_the_frame(directory: Path) -> None:
    seen: list[int] = []
    runner = Runner(Exchange())
    runner.subscribe(lambda position, *_: seen.append(position))
    with closing(FileLog(directory, read_only=True)) as log:
        *sound, later = log.read(1)
    traffic.run_all(runner, sound)
    with pytest.raises(RulesUnknown, match=f"{SAYS}; this release knows 1"):
        runner.apply(later)
    assert seen == [1, 2, 3]
    assert runner.position == 3 and runner.broken


def test_an_engine_does_not_start(directory: Path) -> None:
    """From the first entry, or from a snapshot before the frame."""

    async def story() -> None:
        with pytest.raises(RulesUnknown, match=SAYS):
            await Engine.start(FileLog(directory), Snapshots(directory))

    asyncio.run(story())
    runner = Runner(Exchange())
    with closing(FileLog(directory)) as log:  # It was closed, so it can be opened.
        for entry in log.read(1):
            if entry.position <= 3:
                runner.apply(entry)
    Snapshots(directory).write(runner.snapshot())
    asyncio.run(story())
    assert len(Snapshots(directory).paths()) == 1


def test_a_running_engine_stops_without_an_answer_or_a_snapshot(tmp_path: Path) -> None:
    """What is waiting gets no result; queries see nothing of the frame."""
    seen: list[int] = []

    async def story() -> None:
        engine = await Engine.start(FileLog(tmp_path), Snapshots(tmp_path), tick_after_s=3600.0)
        await asyncio.gather(*[engine.commands.submit(each) for each in traffic.setup()])
        engine.runner.subscribe(lambda position, *_: seen.append(position))
        size = records.COMMAND_BYTES
        units = [LATER[at : at + size] for at in range(0, len(LATER), size)]
        futures: list[asyncio.Future[Answer]] = [engine.commands.submit(each) for each in units]
        failure = await engine.failed
        assert isinstance(failure, RulesUnknown) and "position 2 has rules of version 2" in str(
            failure
        )
        for future in futures:
            with pytest.raises(Stopped, match="rules of version 2"):
                await future
        with pytest.raises(Stopped):
            await engine.queries.at(0)
        await engine.stop()

    asyncio.run(story())
    assert seen == []
    assert Snapshots(tmp_path).paths() == []


def test_an_exchange_does_not_start(directory: Path) -> None:
    done = run_fairbook(
        "up", "--data", directory, "--http-port", 0, "--ws-port", 0, "--admin-port", 0, "--no-maker"
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"fairbook up: {SAYS}")


def test_the_replica_stops_and_notes_it(directory: Path) -> None:
    engine, connection = socket.socketpair()
    source = FileSource("replica", directory, connection)
    replica = Replica(directory, source, ReplicaOptions())
    # The digest does not matter: the replica never gets there.
    engine.sendall(wire.pack_hello("engine") + wire.pack(wire.APPLIED, 4, digest=bytes(32)))
    with pytest.raises(RulesUnknown, match=SAYS):
        follow(source, replica)
    messages = list(wire.MessageParser().feed(engine.recv(65536)))
    engine.close()
    assert {each.kind for each in messages} <= {wire.HELLO, wire.NOTE, wire.PROGRESS, wire.STARTED}
    assert all(each.position <= 3 for each in messages if each.kind == wire.PROGRESS)
    (note,) = [each.text for each in messages if each.kind == wire.NOTE]
    assert f"cannot continue: RulesUnknown: {SAYS}" in note


def test_the_recorder_records_what_came_before_and_stops(directory: Path) -> None:
    """Again at every start, and an order before the rules in their frame is not recorded."""
    for _ in range(2):
        recorder = RecorderChild(directory)
        recorder.announce(4)
        with pytest.raises(ConnectionError):
            while True:
                recorder.receive()
        assert recorder.committed == 3
        assert SAYS in recorder.notes[-1]
        assert recorder.end() != 0
        with closing(sqlite3.connect(directory / FILE_NAME)) as database:
            assert database.execute("SELECT position FROM place").fetchone() == (3,)
            (count,) = database.execute("SELECT count(*) FROM orders").fetchone()
        assert count == 2


@pytest.mark.parametrize("command", ["verify", "replay", "inspect"])
def test_readers_of_the_log_stop(
    directory: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """They may be asked for what is before the frame."""
    assert main([command, str(directory)]) == 1
    said = capsys.readouterr()
    assert said.err.startswith(f"fairbook {command}: {directory}: {SAYS}")
    assert said.err.count("\n") == 1
    assert "[4]" not in said.out and "digest" not in said.out
    if command != "verify":
        assert main([command, str(directory), "--to", "3"]) == 0


def test_a_backup_is_refused(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to = directory.parent / "copy of it"
    assert main(["backup", str(directory), str(to)]) == 1
    assert SAYS in capsys.readouterr().err
    assert not to.exists()
    assert not to.with_name(f"{to.name}.unfinished").exists()
