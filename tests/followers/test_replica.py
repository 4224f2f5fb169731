"""The replica beside a running engine: it agrees, falls behind, catches up, comes and goes."""

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
from fairbook.core import records
from fairbook.engine.engine import Engine
from fairbook.engine.snapshots import Snapshots
from fairbook.followers import link as follower_link
from fairbook.followers.link import CATCHING_UP, DOWN, FOLLOWING
from fairbook.followers.replica import ReplicaOptions
from fairbook.followers.replica_monitor import ReplicaMonitor
from fairbook.followers.supervisor import DAMAGED_ENDS_MAX
from fairbook.log.file_log import FileLog
from fairbook.ports.commands import Answer
from tests.core import wire
from tests.core.stream import SplitMix64, Stream, opening
from tests.world import traffic
from tests.world.waiting import until

WAIT_S = 30.0
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
    """Start both, tell the story, stop both."""

    async def main() -> None:
        snapshots = Snapshots(directory)
        engine = await Engine.start(FileLog(directory), snapshots)
        monitor = ReplicaMonitor(directory, engine, snapshots, options)
        await monitor.start()
        try:
            await story(MonitoredEngine(engine, monitor, snapshots))
        finally:
            await engine.stop(monitor.approves_snapshot)
            await monitor.stop()
            assert monitor.link.state == DOWN

    asyncio.run(main())


async def trade(run: MonitoredEngine, commands: int, seed: int) -> None:
    """Commands of every kind, in frames of every size."""
    stream = Stream(SplitMix64(seed).pick)
    size = records.COMMAND_BYTES
    first = opening()
    await run.do([first[at : at + size] for at in range(0, len(first), size)])
    done = 0
    while done < commands:
        count = 1 + stream.pick(300)
        for answer in await run.do([stream.command() for _ in range(count)]):
            stream.saw(wire.split_events(answer.events))
        done += count
        await asyncio.sleep(0)


def no_false_alarm(directory: Path, commands: int) -> None:
    async def story(run: MonitoredEngine) -> None:
        await run.until_following()
        await trade(run, commands, seed=commands)
        assert await run.link.round_agreed(within_s=WAIT_S)
        assert run.link.agreed_position == run.engine.position
        assert (await run.status())["audit"] == {"verdict": None, "summary": None}
        starts = (await run.status())["replica"]
        assert isinstance(starts, dict) and starts["starts"] == 1
        await until(lambda: run.link.snapshot_position > 0)
        assert run.engine.runner.exchange.sequence >= commands

    run(directory, story)
    # Every snapshot that was kept is what the log gives.
    assert main(["verify", str(directory)]) == 0
    assert 2 <= len(Snapshots(directory).paths()) <= 3


def test_no_false_alarm(tmp_path: Path) -> None:
    no_false_alarm(tmp_path, 12_000)


@pytest.mark.slow
def test_no_false_alarm_in_a_million_commands(tmp_path: Path) -> None:
    no_false_alarm(tmp_path, 1_000_000)


def test_a_replica_that_stands_still_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept for it is bounded; when it goes on, it catches up with all it has missed."""
    monkeypatch.setattr(follower_link, "BUFFER_BYTES_MAX", 4096)

    async def story(run: MonitoredEngine) -> None:
        await run.do(traffic.setup())
        await run.until_following()
        pid = await run.pid()
        assert run.link._connection is not None
        run.link._connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        os.kill(pid, signal.SIGSTOP)
        traders = traffic.busy_traders(seed=4)
        try:
            slowest_s = 0.0
            while run.link.state != CATCHING_UP:  # Its buffer was dropped.
                began_s = time.monotonic()
                await run.do([next(traders) for _ in range(20)])
                slowest_s = max(slowest_s, time.monotonic() - began_s)
                assert run.link.waiting_bytes <= 4096 + 64 * 1024
                assert run.engine.position < 200_000
            for _ in range(50):
                await run.do([next(traders) for _ in range(20)])
            frames, behind_s = run.link.lag()
            assert frames > 50 and behind_s > 0
        finally:
            os.kill(pid, signal.SIGCONT)
        await run.until_following()
        assert await run.link.round_agreed(within_s=WAIT_S)
        assert run.link.agreed_position == run.engine.position
        assert await run.pid() == pid

    run(tmp_path, story)


def test_a_killed_replica_is_replaced(tmp_path: Path) -> None:
    """From a snapshot, while trading goes on."""

    async def story(run: MonitoredEngine) -> None:
        await run.do(traffic.setup())
        traders = traffic.busy_traders(seed=5)
        seen: list[int] = []
        for _ in range(2):
            pid = await run.pid()
            seen.append(pid)
            os.kill(pid, signal.SIGKILL)
            await until(lambda pid=pid: run.link.follower.get("pid", pid) != pid)  # type: ignore[misc]
            for _ in range(20):
                await run.do([next(traders) for _ in range(200)])
            await run.until_following()
            assert await run.link.round_agreed(within_s=WAIT_S, urgent=True)
        assert len({*seen, await run.pid()}) == 3
        assert run.monitor.checkpoints(1)[0].position == run.engine.position

    run(tmp_path, story)


def test_a_damaged_log_stops_the_replica_and_nothing_else(tmp_path: Path) -> None:
    """It is not started on and on; the status says so."""

    async def story(run: MonitoredEngine) -> None:
        await run.do(traffic.setup())
        await run.until_following()
        (segment,) = (tmp_path / "log").glob("*.log")
        with segment.open("r+b") as file:
            file.seek(300)
            file.write(b"damage")
        os.kill(await run.pid(), signal.SIGKILL)
        supervisor = run.monitor.supervisor
        await until(lambda: supervisor.is_stopped)
        status = (await run.status())["replica"]
        assert isinstance(status, dict)
        assert (status["state"], status["pid"]) == ("stopped", None)
        assert status["starts"] == 1 + DAMAGED_ENDS_MAX
        (answer,) = await run.do([traffic.buy(3, price=90, quantity=1)])
        assert records.read_outcome(answer.events).status == records.NEW

    run(tmp_path, story)


def test_the_replica_ends_with_the_engine(tmp_path: Path) -> None:
    """Also one that is stopped in the middle of something: nobody is left behind."""
    pids: list[int] = []

    async def story(run: MonitoredEngine) -> None:
        pids.append(await run.pid())

    run(tmp_path, story)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_events_that_differ_are_found_before_the_state_is(tmp_path: Path) -> None:
    """A balance was changed and used at once: the frame shows it, the slice then names it."""

    async def story(run: MonitoredEngine) -> None:
        await run.do(traffic.setup())
        await run.until_following()
        balances = {asset: free for asset, free, _ in run.engine.runner.exchange.balances(3)}
        run.link.edit(account=3, asset=2, field=0, atoms=-balances[2])
        refused_there = traffic.buy(3, price=90, quantity=1)
        (answer,) = await run.do([refused_there])
        assert records.read_outcome(answer.events).status == records.NEW
        await until(lambda: run.engine.runner.exchange.paused, within_s=1)
        audit = run.monitor.audit
        await until(lambda: (audit.verdict or {}).get("status") == "judged", within_s=10)
        assert audit.verdict is not None and audit.verdict["wrong"] == "replica"
        first = audit.verdict["differences"][0]
        assert (first["process"], first["account"], first["asset"]) == ("replica", 3, 2)
        assert await audit.resume(audit.verdict["position"])
        assert not run.engine.runner.exchange.paused

    run(tmp_path, story)


def test_checkpoints_say_who_agrees(tmp_path: Path) -> None:
    async def story(run: MonitoredEngine) -> None:
        await run.do(traffic.setup())
        assert await run.link.round_agreed(within_s=WAIT_S, urgent=True)
        newest, *others = run.monitor.checkpoints(0)
        runner = run.engine.runner
        assert newest == (
            runner.position,
            runner.chain,
            runner.event_hash,
            0,
            0,
            b"",
            [run.link.id],
        )
        both = [each for each in others if len(each.engines) == 2]
        assert len({each.slice_index for each in both}) == both[0].slice_count
        assert run.monitor.checkpoints(runner.position + 1) == []

    run(tmp_path, story)
