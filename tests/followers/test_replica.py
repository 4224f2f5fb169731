"""The replica beside a running engine: agreement, faults, kills, halts, damage of the log."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from fairbook.cli import main
from fairbook.core import admin_records, records
from fairbook.core.exchange import Exchange
from fairbook.core.state_slices import slice_digest
from fairbook.engine.engine import Engine
from fairbook.engine.runner import Runner
from fairbook.engine.sequencer import count_records
from fairbook.engine.snapshots import Snapshots
from fairbook.followers import audit as audit_module
from fairbook.followers import follower_link
from fairbook.followers import supervisor as supervisor_module
from fairbook.followers.follower import FileSource
from fairbook.followers.follower_link import CATCHING_UP, DOWN, FOLLOWING
from fairbook.followers.replica import ReplicaOptions
from fairbook.followers.replica_monitor import ReplicaMonitor
from fairbook.log.file_log import FileLog
from fairbook.net.control_socket import ControlRefused
from fairbook.ports.commands import Answer
from fairbook.ports.queries import Checkpoint
from tests.core import wire
from tests.core.stream import SplitMix64, Stream, has_later_rules, opening
from tests.world import traffic
from tests.world.money import new_reference
from tests.world.waiting import until

WAIT_S = 30.0
ROUND_S = 0.2
FREQUENT = ReplicaOptions(snapshot_commands=4_000, snapshot_s=0.5, allow_faults=True)


class MonitoredEngine:
    """An engine with its replica, in a test's own loop."""

    def __init__(self, engine: Engine, monitor: ReplicaMonitor, snapshots: Snapshots) -> None:
        self.engine = engine
        self.monitor = monitor
        self.link = monitor.link
        self.snapshots = snapshots

    async def do(self, commands: list[bytes]) -> list[Answer]:
        return await asyncio.gather(*[self.engine.commands.submit(each) for each in commands])

    async def until_following(self) -> None:
        await until(
            lambda: self.link.state == FOLLOWING and self.link.position == self.engine.position
        )

    async def status(self) -> dict[str, object]:
        return dict(await self.monitor.handlers()["status"]({}))

    async def pid(self) -> int:
        await until(lambda: "pid" in self.link.follower)
        pid: int = self.link.follower["pid"]
        return pid


def run(
    directory: Path,
    story: Callable[[MonitoredEngine], Awaitable[None]],
    options: ReplicaOptions = FREQUENT,
) -> None:
    """Start engine and replica, run the story, stop both."""

    async def main() -> None:
        snapshots = Snapshots(directory)
        engine = await Engine.start(FileLog(directory), snapshots)
        monitor = ReplicaMonitor(directory, engine, snapshots, options, round_s=ROUND_S)
        monitor.start()
        try:
            await story(MonitoredEngine(engine, monitor, snapshots))
        finally:
            await engine.stop(monitor.approves_snapshot)
            await monitor.stop()
            assert monitor.link.state == DOWN

    asyncio.run(main())


async def trade(monitored: MonitoredEngine, commands: int, seed: int) -> None:
    """Commands of every kind, in frames of every size, as far as a sequencer takes them."""
    stream = Stream(SplitMix64(seed).pick)
    size = records.COMMAND_BYTES
    first = opening()
    await monitored.do([first[at : at + size] for at in range(0, len(first), size)])
    done = 0
    while done < commands:
        count = 1 + stream.pick(300)
        units = [unit for unit in (stream.command() for _ in range(count)) if is_taken(unit)]
        for answer in await monitored.do(units):
            stream.saw(wire.split_events(answer.events))
        done += len(units)
        await asyncio.sleep(0)


def is_taken(unit: bytes) -> bool:
    try:
        return count_records(unit) > 0 and not has_later_rules(unit)
    except ValueError:
        return False


def no_false_alarm(directory: Path, commands: int) -> None:
    async def story(monitored: MonitoredEngine) -> None:
        await monitored.until_following()
        await trade(monitored, commands, seed=commands)
        assert await monitored.link.round_agreed(within_s=WAIT_S)
        assert monitored.link.agreed_position == monitored.engine.position
        assert (await monitored.status())["audit"] == {
            "verdict": None,
            "summary": None,
            "not_believed": None,
        }
        starts = (await monitored.status())["replica"]
        assert isinstance(starts, dict) and starts["starts"] == 1
        await until(lambda: monitored.link.snapshot_position > 0)
        assert monitored.engine.runner.exchange.sequence >= commands

    run(directory, story)
    # Every snapshot is the state that the log gives.
    assert main(["verify", str(directory)]) == 0
    assert 2 <= len(Snapshots(directory).paths()) <= 3


def test_no_false_alarm(tmp_path: Path) -> None:
    no_false_alarm(tmp_path, 8_000)


@pytest.mark.slow
def test_no_false_alarm_in_a_million_commands(tmp_path: Path) -> None:
    no_false_alarm(tmp_path, 1_000_000)


def test_a_halted_replica_delays_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its buffer is bounded; when it continues, it catches up with all that it has missed."""
    monkeypatch.setattr(follower_link, "BUFFER_BYTES_MAX", 4096)

    async def story(monitored: MonitoredEngine) -> None:
        await monitored.do(traffic.setup())
        await monitored.until_following()
        pid = await monitored.pid()
        assert monitored.link._connection is not None
        monitored.link._connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        os.kill(pid, signal.SIGSTOP)
        traders = traffic.busy_traders(seed=4)
        try:
            slowest_s = 0.0
            while monitored.link.state != CATCHING_UP:  # Its buffer was dropped.
                began_s = time.monotonic()
                await monitored.do([next(traders) for _ in range(20)])
                slowest_s = max(slowest_s, time.monotonic() - began_s)
                assert len(monitored.link._buffer) <= 4096 + 64 * 1024
                assert monitored.engine.position < 200_000
            for _ in range(50):
                await monitored.do([next(traders) for _ in range(20)])
            frames, behind_s = monitored.link.lag()
            assert frames > 50 and behind_s > 0
        finally:
            os.kill(pid, signal.SIGCONT)
        await monitored.until_following()
        assert await monitored.link.round_agreed(within_s=WAIT_S)
        assert monitored.link.agreed_position == monitored.engine.position
        assert await monitored.pid() == pid

    run(tmp_path, story)


def test_a_killed_replica_is_replaced(tmp_path: Path) -> None:
    """From a snapshot, while trading goes on."""

    async def story(monitored: MonitoredEngine) -> None:
        await monitored.do(traffic.setup())
        traders = traffic.busy_traders(seed=5)
        seen: list[int] = []
        for _ in range(2):
            pid = await monitored.pid()
            seen.append(pid)
            os.kill(pid, signal.SIGKILL)
            await until(lambda pid=pid: monitored.link.follower.get("pid", pid) != pid)  # type: ignore[misc]
            for _ in range(20):
                await monitored.do([next(traders) for _ in range(200)])
            await monitored.until_following()
            assert await monitored.link.round_agreed(within_s=WAIT_S)
        assert len({*seen, await monitored.pid()}) == 3
        assert monitored.link.checkpoints(1)[0].position == monitored.engine.position

    run(tmp_path, story)


def test_a_damaged_log_stops_the_replica_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not started again and again; the status shows it."""
    monkeypatch.setattr(supervisor_module, "PAUSE_S", 0.01)
    monkeypatch.setattr(supervisor_module, "DAMAGED_ENDS_MAX", 1)
    monkeypatch.setattr(audit_module, "STARTING_WAIT_S", 0.01)

    async def story(monitored: MonitoredEngine) -> None:
        await monitored.do(traffic.setup())
        await monitored.until_following()
        (segment,) = (tmp_path / "log").glob("*.log")
        with segment.open("r+b") as file:
            file.seek(300)
            file.write(b"damage")
        os.kill(await monitored.pid(), signal.SIGKILL)
        supervisor = monitored.monitor.supervisor
        await until(lambda: supervisor.is_stopped)
        status = (await monitored.status())["replica"]
        assert isinstance(status, dict)
        assert (status["state"], status["pid"]) == ("stopped", None)
        assert status["starts"] == 2
        (answer,) = await monitored.do([traffic.buy(3, price=90, quantity=1)])
        assert records.read_outcome(answer.events).status == records.NEW

    run(tmp_path, story)


def test_a_snapshot_that_is_written_after_the_engine_is_gone_is_not_reported(
    tmp_path: Path,
) -> None:
    """By the thread that writes it, when the connection is closed already."""
    FileLog(tmp_path).close()
    ours, theirs = socket.socketpair()
    source = FileSource("replica", tmp_path, theirs)
    source.send(bytes(64))
    assert len(ours.recv(100)) == 64
    source.close()
    source.send(bytes(64))
    assert ours.recv(100) == b""
    ours.close()


def test_the_replica_ends_with_the_engine(tmp_path: Path) -> None:
    """No process is left behind."""
    pids: list[int] = []

    async def story(monitored: MonitoredEngine) -> None:
        pids.append(await monitored.pid())

    run(tmp_path, story)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_events_that_differ_are_found_before_the_state_is(tmp_path: Path) -> None:
    """A changed balance is used at once: the frame differs, the slice names the account."""

    async def story(monitored: MonitoredEngine) -> None:
        await monitored.do(traffic.setup())
        await monitored.until_following()
        balances = {asset: free for asset, free, _ in monitored.engine.runner.exchange.balances(3)}
        monitored.link.edit(account=3, asset=2, field=0, atoms=-balances[2])
        refused_there = traffic.buy(3, price=90, quantity=1)
        (answer,) = await monitored.do([refused_there])
        assert records.read_outcome(answer.events).status == records.NEW
        await until(lambda: monitored.engine.runner.exchange.paused)
        audit = monitored.monitor.audit
        await until(lambda: (audit.verdict or {}).get("status") == "judged")
        assert audit.verdict is not None and audit.verdict["wrong"] == "replica"
        assert audit.verdict["events"] is not None
        first = audit.verdict["differences"][0]
        assert (first["process"], first["account"], first["asset"]) == ("replica", 3, 2)
        assert await audit.resume(str(audit.verdict["position"]))
        assert not monitored.engine.runner.exchange.paused

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("field", "what", "named"),
    [
        ("available", "balance", "available"),
        ("locked", "balance", "locked"),
        ("hold", "reference", "atoms"),
        ("order", "order", "remaining"),
    ],
)
def test_one_atom_in_either_memory_is_found_and_named(
    tmp_path: Path, field: str, what: str, named: str
) -> None:
    """By the slices alone: no frame uses it."""
    hold = admin_records.hold(
        account=3, asset=2, atoms=9, reference=new_reference(), detail=bytes(32)
    )

    async def story(monitored: MonitoredEngine) -> None:
        await monitored.do([*traffic.setup(), traffic.buy(3), hold])
        await monitored.until_following()
        audit, edit = monitored.monitor.audit, monitored.monitor.handlers()["edit"]
        for process in ("replica", "engine"):
            await edit({"process": process, "account": 3, "asset": 2, "field": field, "atoms": 1})
            await until(lambda: (audit.verdict or {}).get("status") == "judged")
            verdict = audit.verdict
            assert verdict is not None and verdict["wrong"] == process
            (found,) = verdict["differences"]
            assert (found["process"], found["what"], found["account"]) == (process, what, 3)
            assert found.get("asset_name") == (None if what == "order" else "USDC")
            assert (found["field"], found["found"]) == (named, found["expected"] + 1)
            assert monitored.engine.runner.exchange.paused
            if process == "replica":
                assert "open again" in await audit.resume(str(verdict["position"]))
            else:
                with pytest.raises(ControlRefused, match="restart it"):
                    await audit.resume(str(verdict["position"]))

    run(tmp_path, story)
    assert Snapshots(tmp_path).paths() == []  # Neither wrote one of a state in doubt.


def test_checkpoints_are_what_the_log_gives(tmp_path: Path) -> None:
    """Chain, running hash and slices, of both engines, while orders come."""
    found: list[Checkpoint] = []

    async def story(monitored: MonitoredEngine) -> None:
        await monitored.do(traffic.setup())
        await monitored.until_following()
        traders, rounds = traffic.busy_traders(seed=8), monitored.link.rounds
        while monitored.link.rounds < rounds + 2:
            await monitored.do([next(traders) for _ in range(20)])
            await asyncio.sleep(0.005)
        found.extend(monitored.link.checkpoints(0))

    run(tmp_path, story)
    by_position: dict[int, list[Checkpoint]] = {}
    for checkpoint in found:
        by_position.setdefault(checkpoint.position, []).append(checkpoint)
    assert len(by_position) > 10
    log = FileLog(tmp_path, read_only=True)
    runner = Runner(Exchange())
    compared = 0
    for entry in log.read(1):
        runner.apply(entry)
        for each in by_position.get(entry.position, []):
            assert (each.chain, each.event_hash) == (runner.chain, runner.event_hash)
            if each.slice_count:
                digest = slice_digest(runner.exchange, each.slice_index, each.slice_count)
                assert each.slice_digest == digest
                compared += len(each.engines) == 2
    log.close()
    assert compared > 60


def test_checkpoints_say_who_agrees(tmp_path: Path) -> None:
    async def story(monitored: MonitoredEngine) -> None:
        await monitored.do(traffic.setup())
        assert await monitored.link.round_agreed(within_s=WAIT_S)
        newest, *others = monitored.link.checkpoints(0)
        runner = monitored.engine.runner
        assert newest[:7] == (
            runner.position,
            runner.chain,
            runner.event_hash,
            0,
            0,
            b"",
            [monitored.link.id],
        )
        both = [each for each in others if len(each.engines) == 2]
        assert len({each.slice_index for each in both}) == both[0].slice_count
        assert monitored.link.checkpoints(runner.position + 1) == []

    run(tmp_path, story)
