"""The engine as a whole, over the file log: start, stop, crash, and the same state after each."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable
from pathlib import Path

import pytest

from fairbook.core import admin_records, invariants, records, state
from fairbook.core.exchange import Exchange
from fairbook.engine.engine import Engine
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import Snapshots
from fairbook.log.command_log import CommandLog, Entry, LogDamaged, LogFailed, LogLocked
from fairbook.log.file_log import FileLog
from fairbook.log.memory_log import MemoryLog
from fairbook.log.segments import SUFFIX
from fairbook.ports.commands import Answer, Stopped
from tests.world import traffic

NEVER_S = 3600.0
ENOUGH_S = 60.0


async def started(directory: Path, log: CommandLog | None = None) -> Engine:
    return await Engine.start(
        log if log is not None else FileLog(directory),
        Snapshots(directory),
        tick_after_s=NEVER_S,
    )


def run(story: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(ENOUGH_S):
            await story

    asyncio.run(bounded())


def genesis_replay(directory: Path) -> Runner:
    """The state that the log alone gives."""
    log = FileLog(directory, read_only=True)
    runner = Runner(Exchange())
    traffic.run_all(runner, list(log.read(1)))
    return runner


def snapshot_positions(directory: Path) -> list[int]:
    return [int(path.stem) for path in Snapshots(directory).paths()]


def test_a_graceful_stop_leaves_a_snapshot_and_the_next_start_replays_nothing(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        engine = await started(tmp_path)
        assert engine.position == 0
        await asyncio.gather(*[engine.commands.submit(command) for command in traffic.setup()])
        last = await engine.commands.submit(traffic.buy(2))
        view = await engine.queries.at(last.position)
        digest = state.digest(genesis_replay(tmp_path).exchange)
        assert len(view.open_orders(2)) == 1
        await engine.stop()
        await engine.stop()
        assert snapshot_positions(tmp_path) == [last.position]

        again = await started(tmp_path)
        assert again.recovery.snapshot_position == again.position == last.position
        assert again.recovery.replayed == 0
        assert again.recovery.problems == ()
        view = await again.queries.at(last.position)
        assert len(view.open_orders(2)) == 1
        market = again.catalogue.market_named("SOL_USDC")
        assert market is not None
        assert market.state == admin_records.OPEN
        await again.stop()
        assert state.digest(genesis_replay(tmp_path).exchange) == digest

    run(story())


def test_a_snapshot_on_request_while_orders_go_on(tmp_path: Path) -> None:
    async def story() -> None:
        engine = await started(tmp_path)
        traders = traffic.busy_traders(seed=31)
        positions = []
        for command in traffic.setup():
            engine.commands.submit(command)
        for _ in range(5):
            for _ in range(50):
                engine.commands.submit(next(traders))
            positions.append(await engine.snapshot())
        assert positions == sorted(positions)
        await engine.stop()
        assert len(snapshot_positions(tmp_path)) == 3
        await assert_recovers(tmp_path)

    run(story())


async def assert_recovers(directory: Path) -> None:
    """A start from the files gives the state of a replay from the first entry."""
    genesis = genesis_replay(directory)
    engine = await started(directory)
    runner = engine.runner
    assert runner.position == genesis.position
    assert state.digest(runner.exchange) == state.digest(genesis.exchange)
    assert runner.event_hash == genesis.event_hash
    invariants.check(runner.exchange)
    assert engine.recovery.problems == ()
    await engine.stop()


def test_a_second_engine_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        first = await started(tmp_path)
        with pytest.raises(LogLocked):
            await started(tmp_path)
        await first.commands.submit(admin_records.rules())
        await first.stop()
        second = await started(tmp_path)
        assert second.position == 1
        await second.stop()

    run(story())


def test_a_refused_start_releases_the_log(tmp_path: Path) -> None:
    async def story() -> None:
        engine = await started(tmp_path)
        await engine.commands.submit(admin_records.rules())
        await engine.stop()
        stranger = tmp_path / "stranger"
        stranger.mkdir()
        (tmp_path / "snapshots").rename(stranger / "snapshots")
        for _ in range(2):
            with pytest.raises(LogDamaged, match="ends at position 0"):
                await started(stranger)

    run(story())


def test_a_stop_without_room_for_a_snapshot_loses_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        engine = await started(tmp_path)
        await engine.commands.submit(admin_records.rules())
        in_the_way = tmp_path / "snapshots" / f"{1:020d}.snapshot.{os.getpid()}.new"
        in_the_way.mkdir()
        for _ in range(2):
            with pytest.raises(OSError, match=in_the_way.name):
                await engine.stop()
        in_the_way.rmdir()
        await assert_recovers(tmp_path)
        assert snapshot_positions(tmp_path) == [1]

    run(story())


@pytest.mark.parametrize("durable", [False, True])
def test_after_a_failed_log_there_is_no_snapshot_and_the_next_start_recovers(
    tmp_path: Path, durable: bool
) -> None:
    async def story() -> None:
        def fail(entry: Entry) -> None:
            if entry.position == 3:
                raise OSError(28, "No space left on device")

        log = MemoryLog()
        if durable:
            log.after_durable = fail
        else:
            log.before_durable = fail
        engine = await started(tmp_path, log)
        await asyncio.gather(*[engine.commands.submit(command) for command in traffic.setup()])
        acknowledged = await engine.commands.submit(traffic.buy(2))
        unknown = engine.commands.submit(traffic.buy(2))
        beyond = asyncio.ensure_future(engine.queries.at(99))
        assert isinstance(await engine.failed, LogFailed)
        with pytest.raises(Stopped):
            await unknown
        with pytest.raises(Stopped):
            await beyond
        view = await engine.queries.at(acknowledged.position)
        assert len(view.open_orders(2)) == 1
        await engine.stop()
        assert snapshot_positions(tmp_path) == []

        again = await started(tmp_path, log.reopened())
        view = await again.queries.at(0)
        assert len(view.open_orders(2)) == (2 if durable else 1)
        await again.stop()

    run(story())


def test_after_a_bug_there_is_no_snapshot_and_no_answer(tmp_path: Path) -> None:
    async def story() -> None:
        def bug(position: int, *_: object) -> None:
            if position == 2:
                raise ZeroDivisionError

        engine = await Engine.start(FileLog(tmp_path), Snapshots(tmp_path), tick_after_s=NEVER_S)
        engine.runner.subscribe(bug)
        await asyncio.gather(*[engine.commands.submit(command) for command in traffic.setup()])
        future = engine.commands.submit(traffic.buy(2))
        assert isinstance(await engine.failed, ZeroDivisionError)
        with pytest.raises(Stopped):
            await future
        with pytest.raises(Stopped):
            await engine.queries.at(1)
        await engine.stop()
        assert snapshot_positions(tmp_path) == []
        await assert_recovers(tmp_path)

    run(story())


async def _crash(engine: Engine, log: FileLog) -> None:
    """End the engine as kill -9 does: no drain, no snapshot."""
    engine.commands._fail(SystemError("killed"))
    await engine.commands.stop()
    log.close()


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_the_state_is_that_of_the_log(tmp_path: Path, seed: int) -> None:
    """A campaign of random commands, snapshots, stops, kills, cut tails and damaged snapshots.

    After each start: every acknowledged command is in the log at its position, with the same
    events, and the state is that of a replay from the first entry.
    """
    chance = random.Random(seed)
    traders = traffic.busy_traders(seed)
    acknowledged: list[tuple[bytes, Answer]] = []

    async def life(number: int) -> None:
        log = FileLog(tmp_path, segment_bytes=8192)
        engine = await started(tmp_path, log)
        genesis = genesis_replay(tmp_path)
        assert engine.position == genesis.position
        assert state.digest(engine.runner.exchange) == state.digest(genesis.exchange)
        invariants.check(engine.runner.exchange)
        assert_logged(acknowledged, tmp_path)

        futures: list[tuple[bytes, asyncio.Future[Answer]]] = []
        for command in traffic.setup() if number == 0 else ():
            futures.append((command, engine.commands.submit(command)))
        for _ in range(chance.randrange(60)):
            for _ in range(chance.randrange(1, 12)):
                command = next(traders)
                futures.append((command, engine.commands.submit(command)))
            if chance.random() < 0.5:
                await asyncio.sleep(0)
            if chance.random() < 0.1:
                await engine.commands.settled()
            if chance.random() < 0.05:
                await engine.snapshot()
        if chance.random() < 0.4:
            await engine.stop()
        else:
            await _crash(engine, log)
        for command, future in futures:
            assert future.done()
            if future.exception() is None:
                acknowledged.append((command, future.result()))

    for number in range(8):
        run(life(number))
        spoil(tmp_path, chance)
    run(life(8))
    assert acknowledged


def assert_logged(acknowledged: list[tuple[bytes, Answer]], directory: Path) -> None:
    """Each is logged exactly once, with the position, time and events of its answer."""
    by_sequence: dict[int, tuple[bytes, Answer]] = {}
    runner = Runner(Exchange())
    for entry in FileLog(directory, read_only=True).read(1):
        events = runner.apply(entry)
        assert events is not None
        for number, part in enumerate(records.split(events)):
            at = number * records.COMMAND_BYTES
            by_sequence[records.read_outcome(part).sequence] = (
                entry.frame[at : at + records.COMMAND_BYTES],
                Answer(entry.position, entry.time_ns, part),
            )
    for command, answer in acknowledged:
        sequence = records.read_outcome(answer.events).sequence
        assert by_sequence[sequence] == (command, answer)


def spoil(directory: Path, chance: random.Random) -> None:
    """Leave files as after a crash or damage to one snapshot."""
    folder = directory / "snapshots"
    if chance.random() < 0.5:
        (folder / f"{10**9:020d}.snapshot.1.new").write_bytes(b"half")
    paths = Snapshots(directory).paths()
    if paths and chance.random() < 0.3:
        path = chance.choice(paths)
        path.write_bytes(path.read_bytes()[:-5])
    if chance.random() < 0.5:
        # The beginning of an append that was never answered.
        last = max((directory / "log").glob(f"*{SUFFIX}"), default=None)
        if last is not None:
            with last.open("ab") as file:
                file.write(bytes(chance.randrange(1, 40)))
