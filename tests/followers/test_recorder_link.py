"""The recorder beside a running engine: it follows, is waited for, killed, stopped, caught up with;
the engine never waits for it.
"""

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
from fairbook.followers import recorder_link as lead
from fairbook.followers.recorder_link import RecorderLink
from fairbook.followers.recorder_wire import NOTE_BYTES_MAX, NUMBER, Numbers, pack_note
from fairbook.history.sqlite_history import SqliteHistory
from fairbook.history.sqlite_store import FILE_NAME
from fairbook.log.file_log import FileLog
from fairbook.ports.commands import Answer
from fairbook.ports.history import HistoryBehind, Page
from tests.followers.recorder_child import command
from tests.history.naive import of_log
from tests.history.recorded_history import require_equal
from tests.world import traffic
from tests.world.waiting import until


class House:
    """An engine with its recorder, in a test's own loop."""

    def __init__(self, engine: Engine, recording: RecorderLink, history: SqliteHistory) -> None:
        self.engine = engine
        self.recording = recording
        self.history = history

    async def do(self, commands: list[bytes]) -> list[Answer]:
        return await asyncio.gather(*[self.engine.commands.submit(each) for each in commands])

    async def until_recorded(self) -> None:
        await until(lambda: self.recording.committed == self.engine.position)

    async def pid(self) -> int:
        """Of a recorder that has begun."""
        await until(lambda: self.recording.status()["state"] != lead.DOWN)
        pid: int = self.recording.status()["pid"]
        return pid


def run(directory: Path, story: Callable[[House], Awaitable[None]], **options: int) -> None:
    """Start both, tell the story, stop both: then everything is recorded."""

    async def main() -> None:
        engine = await Engine.start(FileLog(directory), Snapshots(directory))
        recording = RecorderLink(
            directory, position=engine.position, command=command(directory, **options)
        )
        engine.runner.subscribe(recording.take)
        history = SqliteHistory(directory / FILE_NAME, recording)
        recording.start()
        try:
            await story(House(engine, recording, history))
        finally:
            await engine.stop()
            await recording.stop()
            await history.close()
        assert recording.status()["state"] == lead.DOWN
        assert recording.status()["pid"] is None

    asyncio.run(main())


def test_what_was_answered_is_recorded_when_it_is_waited_for(tmp_path: Path) -> None:
    """Read your writes: an order is there as soon as somebody waits for it, without a pause."""

    async def story(house: House) -> None:
        await house.do(traffic.setup())
        await house.pid()
        for number in range(1, 30):
            (answer,) = await house.do([traffic.buy(client_id=number)])
            order_id = records.read_outcome(answer.events).order_id
            await house.history.reached(answer.position)
            (order,) = await house.history.orders(2, Page(2), order_id=order_id)
            assert order.status == records.NEW and order.client_id == number
            (answer,) = await house.do([records.cancel(account=2, order_id=order_id)])
            await house.history.reached(answer.position)
            (order,) = await house.history.orders(2, Page(2), order_id=order_id)
            assert order.status == records.CANCELLED
        # Without anybody waiting it comes to the same, a little later.
        await house.do([traffic.buy(client_id=77)])
        await house.until_recorded()
        status = house.recording.status()
        assert status["state"] == lead.FOLLOWING
        assert (status["lag_frames"], status["starts"], status["last_note"]) == (0, 1, None)

    run(tmp_path, story)
    require_equal(tmp_path, of_log(tmp_path))


def test_waiting_for_what_is_to_come(tmp_path: Path) -> None:
    """A position that the engine has not reached yet."""

    async def story(house: House) -> None:
        await house.pid()
        waiting = asyncio.ensure_future(house.recording.reached(house.engine.position + 1))
        await asyncio.sleep(0)
        await house.do(traffic.setup())
        await waiting

    run(tmp_path, story)


def killed_under_load(directory: Path, kills: int, seed: int) -> None:
    async def story(house: House) -> None:
        await house.do(traffic.setup())
        traders = traffic.busy_traders(seed)
        for _ in range(kills):
            pid = await house.pid()
            starts = house.recording.status()["starts"]
            committed = house.recording.committed
            while house.recording.committed == committed:
                await house.do([next(traders) for _ in range(150)])
            # As kill -9; the next one starts after a short pause, however often this happens.
            house.recording._keeper.replace("the test kills it")
            while house.recording.status()["starts"] == starts:
                await house.do([next(traders) for _ in range(20)])
            assert house.recording.status()["pid"] != pid
            assert house.recording.committed >= committed
        await house.until_recorded()
        assert house.recording.last_note is None

    run(directory, story, transaction_commands=200, snapshot_commands=3_000)
    require_equal(directory, of_log(directory))


def test_killed_under_load(tmp_path: Path) -> None:
    """Another one takes over, and trading never stops."""
    killed_under_load(tmp_path, kills=2, seed=1)


@pytest.mark.slow
def test_killed_under_load_50_times(tmp_path: Path) -> None:
    killed_under_load(tmp_path, kills=50, seed=2)


def test_a_recorder_that_stands_still_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for it is bounded, in number and in time; it catches up when it goes on."""
    monkeypatch.setattr(lead, "REACHED_S", 0.2)
    monkeypatch.setattr(lead, "TELL_S", 0.001)
    monkeypatch.setattr(lead, "WAITING_MAX", 3)

    async def story(house: House) -> None:
        recording = house.recording
        await house.do(traffic.setup())
        pid = await house.pid()
        await house.until_recorded()
        os.kill(pid, signal.SIGSTOP)
        traders = traffic.busy_traders(seed=3)
        for _ in range(300):  # More than the socket takes.
            await house.do([next(traders)])
            await asyncio.sleep(0.002)
        assert len(recording._outgoing) == NUMBER.size
        waiting = [asyncio.ensure_future(recording.reached(10**6)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(HistoryBehind, match="too many"):
            await recording.reached(10**6)
        for each in waiting:
            with pytest.raises(HistoryBehind, match="not recorded yet"):
                await each
        assert recording._waiting == []
        assert recording.behind_s() > 0
        assert recording.status()["lag_frames"] >= 300
        os.kill(pid, signal.SIGCONT)
        await house.until_recorded()
        assert recording.behind_s() == 0.0
        assert recording.status()["starts"] == 1

    run(tmp_path, story)
    require_equal(tmp_path, of_log(tmp_path))


def test_off_for_a_while(tmp_path: Path) -> None:
    """Trading goes on without a recorder; then it catches up, from where its store ends."""

    async def first(house: House) -> None:
        await house.do(traffic.setup())
        await house.until_recorded()

    async def without(house: House) -> None:
        house.recording._keeper.replace("off", again=False)
        traders = traffic.busy_traders(seed=4)
        for _ in range(40):
            await house.do([next(traders) for _ in range(100)])
        assert house.recording.committed < house.engine.position
        assert house.recording.status()["state"] == lead.DOWN
        await until(lambda: house.recording.behind_s() > 0)

    async def then(house: House) -> None:
        await house.until_recorded()
        assert await house.history.trades(traffic.MARKET, Page(1))

    run(tmp_path, first)
    run(tmp_path, without)
    run(tmp_path, then)
    require_equal(tmp_path, of_log(tmp_path))


def test_nothing_is_left_waiting_when_the_engine_stops(tmp_path: Path) -> None:
    """What was taken last is recorded before the recorder ends."""

    async def story(house: House) -> None:
        await house.pid()
        await house.do(traffic.setup())
        traders = traffic.busy_traders(seed=5)
        await house.do([next(traders) for _ in range(300)])

    run(tmp_path, story)
    require_equal(tmp_path, of_log(tmp_path))


def test_numbers_and_texts_come_in_any_pieces() -> None:
    """And what makes no sense is refused."""
    octets = NUMBER.pack(5) + pack_note("ä" * 2000) + pack_note("") + NUMBER.pack(0)
    for size in (1, 3, 8, 10_000):
        numbers = Numbers()
        found: list[int | str] = []
        for at in range(0, len(octets), size):
            found += numbers.feed(octets[at : at + size])
        assert found == [5, "ä" * (NOTE_BYTES_MAX // 2), 0]
    with pytest.raises(ValueError, match="another language"):
        Numbers().feed(NUMBER.pack(-NOTE_BYTES_MAX - 1))
