"""The recorder beside a running engine: read your writes, kills, halts; the engine never waits."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from fairbook.core import records
from fairbook.engine.engine import Engine
from fairbook.engine.snapshots import Snapshots
from fairbook.followers import recorder_link, wire
from fairbook.followers.follower_link import DOWN, FOLLOWING
from fairbook.followers.recorder_link import RecorderLink
from fairbook.history.sqlite_history import SqliteHistory
from fairbook.history.sqlite_store import FILE_NAME
from fairbook.log.file_log import FileLog
from fairbook.ports.commands import Answer
from fairbook.ports.history import HistoryBehind, Page
from tests.followers.recorder_child import command
from tests.history.recorded_history import require_equal
from tests.world import traffic
from tests.world.naive_history import of_log
from tests.world.waiting import until


class RecordedEngine:
    """An engine with its recorder, in a test's own loop."""

    def __init__(self, engine: Engine, link: RecorderLink, history: SqliteHistory) -> None:
        self.engine = engine
        self.link = link
        self.history = history

    async def do(self, commands: list[bytes]) -> list[Answer]:
        return await asyncio.gather(*[self.engine.commands.submit(each) for each in commands])

    async def until_recorded(self) -> None:
        await until(lambda: self.link.committed == self.engine.position)

    async def pid(self) -> int:
        """Wait for a running recorder; its process id."""
        await until(lambda: self.link.status()["state"] != DOWN)
        pid: int = self.link.status()["pid"]
        return pid


def run(
    directory: Path, story: Callable[[RecordedEngine], Awaitable[None]], **options: int
) -> None:
    """Start engine and recorder, run the story, stop both: then everything is recorded."""

    async def main() -> None:
        engine = await Engine.start(FileLog(directory), Snapshots(directory))
        link = RecorderLink(directory, engine.runner, command=command(directory, **options))
        history = SqliteHistory(directory / FILE_NAME, link)
        link.start()
        try:
            await story(RecordedEngine(engine, link, history))
        finally:
            await engine.stop()
            await link.stop()
            await history.close()
        assert link.status()["state"] == DOWN
        assert link.status()["pid"] is None

    asyncio.run(main())


def test_what_was_answered_is_recorded_when_it_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read your writes: an order is recorded as soon as a request waits for it."""
    monkeypatch.setattr(recorder_link, "REACHED_S", 30.0)
    monkeypatch.setattr(recorder_link, "FLUSH_S", 0.1)

    async def story(recorded: RecordedEngine) -> None:
        await recorded.do(traffic.setup())
        await recorded.pid()
        for number in range(1, 30):
            (answer,) = await recorded.do([traffic.buy(client_id=number)])
            order_id = records.read_outcome(answer.events).order_id
            await recorded.history.reached(answer.position)
            (order,) = await recorded.history.orders(2, Page(2), order_id=order_id)
            assert order.status == records.NEW and order.client_id == number
            (answer,) = await recorded.do(
                [records.cancel(account=2, market=traffic.MARKET, order_id=order_id)]
            )
            await recorded.history.reached(answer.position)
            (order,) = await recorded.history.orders(2, Page(2), order_id=order_id)
            assert order.status == records.CANCELLED
        # If no request waits, it is recorded a little later.
        await recorded.do([traffic.buy(client_id=77)])
        await recorded.until_recorded()
        status = recorded.link.status()
        assert status["state"] == FOLLOWING
        assert (status["lag_frames"], status["starts"], status["last_note"]) == (0, 1, None)

    run(tmp_path, story)
    require_equal(tmp_path, of_log(tmp_path))


def test_waiting_for_a_position_that_is_to_come(tmp_path: Path) -> None:
    """The engine has not reached it yet."""

    async def story(recorded: RecordedEngine) -> None:
        await recorded.pid()
        waiting = asyncio.ensure_future(recorded.link.reached(recorded.engine.position + 1))
        await asyncio.sleep(0)
        await recorded.do(traffic.setup())
        await waiting

    run(tmp_path, story)


def killed_under_load(directory: Path, kills: int, seed: int) -> None:
    """Another recorder takes over, and trading never stops."""

    async def story(recorded: RecordedEngine) -> None:
        await recorded.do(traffic.setup())
        traders = traffic.busy_traders(seed)
        for _ in range(kills):
            pid = await recorded.pid()
            starts = recorded.link.status()["starts"]
            committed = recorded.link.committed
            while recorded.link.committed == committed:
                await recorded.do([next(traders) for _ in range(150)])
            # As kill -9; the next recorder starts after a short pause, however often this happens.
            recorded.link.supervisor.kill("the test kills it")
            while recorded.link.status()["starts"] == starts:
                await recorded.do([next(traders) for _ in range(20)])
            assert recorded.link.status()["pid"] != pid
            assert recorded.link.committed >= committed
        await recorded.until_recorded()
        assert recorded.link.last_note is None

    run(directory, story, transaction_commands=200, snapshot_commands=3_000)
    require_equal(directory, of_log(directory))


def test_killed_under_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_link, "FLUSH_S", 0.05)
    killed_under_load(tmp_path, kills=2, seed=1)


@pytest.mark.slow
def test_killed_under_load_50_times(tmp_path: Path) -> None:
    killed_under_load(tmp_path, kills=50, seed=2)


def test_a_halted_recorder_delays_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting requests are bounded, in number and in time; it catches up when it continues."""
    monkeypatch.setattr(recorder_link, "REACHED_S", 0.2)
    monkeypatch.setattr(recorder_link, "FLUSH_S", 0.001)
    monkeypatch.setattr(recorder_link, "WAITING_MAX", 3)

    async def story(recorded: RecordedEngine) -> None:
        link = recorded.link
        await recorded.do(traffic.setup())
        pid = await recorded.pid()
        await recorded.until_recorded()
        os.kill(pid, signal.SIGSTOP)
        traders = traffic.busy_traders(seed=3)
        for _ in range(300):  # More than the socket takes.
            await recorded.do([next(traders)])
            await asyncio.sleep(0.002)
        assert len(link._buffer) == wire.BLOCK
        waiting = [asyncio.ensure_future(link.reached(10**6)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(HistoryBehind, match="too many"):
            await link.reached(10**6)
        for each in waiting:
            with pytest.raises(HistoryBehind, match="not recorded yet"):
                await each
        assert link._waiting == []
        assert link.lag()[1] > 0
        assert link.status()["lag_frames"] >= 300
        os.kill(pid, signal.SIGCONT)
        await recorded.until_recorded()
        assert link.lag()[1] == 0.0
        assert link.status()["starts"] == 1

    run(tmp_path, story)
    require_equal(tmp_path, of_log(tmp_path))


def test_off_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trading goes on without a recorder; then it catches up, from where its store ends."""
    monkeypatch.setattr(recorder_link, "FLUSH_S", 0.05)

    async def first(recorded: RecordedEngine) -> None:
        await recorded.do(traffic.setup())
        await recorded.until_recorded()

    async def without(recorded: RecordedEngine) -> None:
        recorded.link.supervisor.kill("off", restart=False)
        traders = traffic.busy_traders(seed=4)
        for _ in range(40):
            await recorded.do([next(traders) for _ in range(100)])
        assert recorded.link.committed < recorded.engine.position
        assert recorded.link.status()["state"] == DOWN
        await until(lambda: recorded.link.lag()[1] > 0)

    async def then(recorded: RecordedEngine) -> None:
        await recorded.until_recorded()
        assert await recorded.history.trades(traffic.MARKET, Page(1))

    run(tmp_path, first)
    run(tmp_path, without)
    run(tmp_path, then)
    require_equal(tmp_path, of_log(tmp_path))


def test_nothing_is_left_waiting_when_the_engine_stops(tmp_path: Path) -> None:
    """The last commands are recorded before the recorder ends."""

    async def story(recorded: RecordedEngine) -> None:
        await recorded.pid()
        await recorded.do(traffic.setup())
        traders = traffic.busy_traders(seed=5)
        await recorded.do([next(traders) for _ in range(300)])

    run(tmp_path, story)
    require_equal(tmp_path, of_log(tmp_path))
