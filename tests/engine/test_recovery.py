"""Recovery: always the state that a replay from the first entry gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fairbook.core import invariants, state
from fairbook.core.exchange import Exchange
from fairbook.engine.recovery import recover
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import Snapshots
from fairbook.log.command_log import LogDamaged
from fairbook.log.file_log import FileLog
from fairbook.log.memory_log import MemoryLog
from tests.engine.test_snapshots import taken
from tests.world import traffic

FRAMES = 60


def replay(log: MemoryLog, first: int = 0) -> Runner:
    runner = Runner(Exchange())
    traffic.run_all(runner, log.entries[: first or None])
    return runner


@pytest.fixture
def log() -> MemoryLog:
    return traffic.logged(traffic.frames(seed=21, count=FRAMES - 1))


def store(tmp_path: Path, log: MemoryLog, *positions: int) -> list[Path]:
    """Snapshots at these positions, oldest first."""
    snapshots = Snapshots(tmp_path)
    return [snapshots.write(taken(replay(log, position))) for position in positions]


def assert_recovers(log: MemoryLog, tmp_path: Path, *, start: int) -> tuple[str, ...]:
    """The state is that of a replay from the first entry; returns the problems."""
    seen: list[int] = []
    runner, recovery = recover(log, Snapshots(tmp_path), lambda position, *_: seen.append(position))
    genesis = replay(log)
    assert state.digest(runner.exchange) == state.digest(genesis.exchange)
    invariants.check(runner.exchange)
    assert (runner.position, runner.chain) == (genesis.position, genesis.chain)
    assert runner.event_hash == genesis.event_hash
    assert recovery.snapshot_position == start
    assert runner.position == len(log.entries)
    assert recovery.replayed == len(log.entries) - start
    assert seen == list(range(start + 1, len(log.entries) + 1))
    return recovery.problems


def test_an_empty_directory_is_an_empty_exchange(tmp_path: Path) -> None:
    assert assert_recovers(MemoryLog(), tmp_path, start=0) == ()


def test_without_a_snapshot_everything_is_replayed(tmp_path: Path, log: MemoryLog) -> None:
    assert assert_recovers(log, tmp_path, start=0) == ()


def test_from_a_snapshot_at_any_position_the_rest_goes_on_the_same(
    tmp_path: Path, log: MemoryLog
) -> None:
    """Equal digests and equal events, also those of commands that come after (invariant 33)."""
    genesis = Runner(Exchange())
    events = traffic.run_all(genesis, log.entries)
    for position in range(1, FRAMES + 1):
        directory = tmp_path / str(position)
        store(directory, log, position)
        assert assert_recovers(log, directory, start=position) == ()
        restored = Snapshots(directory)
        runner = Runner(
            restored.read(restored.paths()[0]).restore(),
            position=position,
            chain=log.entries[position - 1].chain,
        )
        assert traffic.run_all(runner, log.entries[position:]) == events[position:]


def test_the_newest_sound_snapshot_is_used(tmp_path: Path, log: MemoryLog) -> None:
    store(tmp_path, log, 10, 20, 30)
    assert assert_recovers(log, tmp_path, start=30) == ()


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def older_copy(path: Path) -> None:
    path.write_bytes(path.with_name(f"{10:020d}.snapshot").read_bytes())


@pytest.mark.parametrize("spoil", [flip, truncate, older_copy])
def test_an_unsound_snapshot_is_passed_over_and_reported(
    tmp_path: Path, log: MemoryLog, spoil: Callable[[Path], None]
) -> None:
    *_, newest = store(tmp_path, log, 10, 20, 30)
    spoil(newest)
    (problem,) = assert_recovers(log, tmp_path, start=20)
    assert newest.name in problem
    assert newest.exists()


def test_with_all_snapshots_bad_everything_is_replayed_and_reported(
    tmp_path: Path, log: MemoryLog
) -> None:
    for path in store(tmp_path, log, 10, 20, 30):
        truncate(path)
    problems = assert_recovers(log, tmp_path, start=0)
    assert len(problems) == 4
    assert problems[-1] == "no snapshot is valid: everything is replayed from the first entry"


def test_a_whole_snapshot_of_an_unreadable_state_is_passed_over(
    tmp_path: Path, log: MemoryLog
) -> None:
    """As after a downgrade to a release that does not know the format of the state."""
    store(tmp_path, log, 10)
    later = taken(replay(log, 20))
    body = (99).to_bytes(8, "little") + later.body[8:]
    Snapshots(tmp_path).write(
        type(later)(
            position=20,
            time_ns=later.time_ns,
            chain=later.chain,
            event_hash=later.event_hash,
            body=body,
        )
    )
    (problem,) = assert_recovers(log, tmp_path, start=10)
    assert "snapshot of position 20 cannot be read" in problem


def test_a_log_shorter_than_a_snapshot_is_refused(tmp_path: Path, log: MemoryLog) -> None:
    store(tmp_path, log, 30)
    shorter = MemoryLog(log.entries[:29])
    with pytest.raises(LogDamaged, match=r"ends at position 29.*30.*missing"):
        recover(shorter, Snapshots(tmp_path))


def test_a_log_with_another_history_is_refused(tmp_path: Path, log: MemoryLog) -> None:
    """Also if only an older snapshot contradicts it."""
    other = traffic.logged(traffic.frames(seed=22, count=FRAMES - 1))
    store(tmp_path, log, 10)
    store(tmp_path, other, 20)
    with pytest.raises(LogDamaged, match="another history: its chain at position 10"):
        recover(other, Snapshots(tmp_path))
    with pytest.raises(LogDamaged, match="another history: its chain at position 20"):
        recover(log, Snapshots(tmp_path))


def test_every_state_that_a_crash_while_writing_leaves(tmp_path: Path, log: MemoryLog) -> None:
    """New file made, half written, whole, renamed; older snapshots removed or not."""
    store(tmp_path, log, 10, 20, 30)
    folder = tmp_path / "snapshots"
    before = traffic.contents(folder)
    store(tmp_path, log, 10, 20, 30, 40)
    after = traffic.contents(folder)
    name = f"{40:020d}.snapshot"
    whole = after[name]
    aside = f"{name}.1.new"
    states: list[tuple[dict[str, bytes], int]] = [
        (before | {aside: b""}, 30),
        (before | {aside: whole[: len(whole) // 2]}, 30),
        (before | {aside: whole}, 30),
        (before | {name: whole}, 40),
        (after, 40),
    ]
    for number, (files, start) in enumerate(states):
        directory = tmp_path / f"crash{number}"
        (directory / "snapshots").mkdir(parents=True)
        for file, content in files.items():
            (directory / "snapshots" / file).write_bytes(content)
        assert assert_recovers(log, directory, start=start) == ()
        assert not list((directory / "snapshots").glob("*.new"))


def test_a_tail_that_a_snapshot_knows_is_not_cut_off(tmp_path: Path, log: MemoryLog) -> None:
    """A damaged last record looks like a torn one. If it was durable, the log is refused."""
    files = FileLog(tmp_path)
    for entry in log.entries:
        files.append(entry.frame, entry.time_ns)
    last = files.last
    files.close()
    store(tmp_path, log, last.position)
    (segment,) = (tmp_path / "log").glob("*.log")
    content = bytearray(segment.read_bytes())
    content[-1] ^= 1
    segment.write_bytes(content)

    with pytest.raises(LogDamaged, match=f"position {last.position} was durable"):
        FileLog(tmp_path, newest_known=Snapshots(tmp_path).newest_known)
    assert segment.read_bytes() == content

    for path in Snapshots(tmp_path).paths():
        path.write_bytes(b"unsound")
    files = FileLog(tmp_path, newest_known=Snapshots(tmp_path).newest_known)
    assert files.dropped is not None
    assert files.last.position == last.position - 1
    files.close()
