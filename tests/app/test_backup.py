"""Copies of log and snapshots, made while frames are appended, segments compressed and snapshots
written: the state is that of the original at the same position.
"""

from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fairbook.app import backup
from fairbook.core import state
from fairbook.core.exchange import Exchange
from fairbook.engine.recovery import recover
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import Snapshot, Snapshots
from fairbook.followers.audit_files import write_verdict
from fairbook.log.command_log import Entry, LogDamaged
from fairbook.log.compressor import SegmentCompressor
from fairbook.log.file_log import FileLog
from tests.log.disks import QuickDisk
from tests.world import traffic

SEGMENT_BYTES = 20_000


class Writer:
    """An exchange in this process: appends, applies, writes snapshots, compresses."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        self.log = FileLog(directory, segment_bytes=SEGMENT_BYTES, disk=QuickDisk())
        self.snapshots = Snapshots(directory)
        self.runner, _ = recover(self.log, self.snapshots)
        self.frames = itertools.cycle(traffic.frames(seed, 500))
        self.acked = 0
        self._compressor = SegmentCompressor(directory, disk=QuickDisk(), look_every_s=0.001)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def play(self, count: int) -> None:
        """Append and apply frames, with a snapshot after every 100."""
        for _ in range(count):
            frame = next(self.frames)
            entry = self.log.append(frame, self.log.last.time_ns + 1_000_000)
            self.runner.apply(entry)
            self.acked = entry.position
            if entry.position % 100 == 0:
                self.snapshots.write(snapshot_of(self.runner))

    def _run(self) -> None:
        while not self._ending.is_set():
            self.play(1)

    def __enter__(self) -> Writer:
        self._compressor.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self._compressor.stop()
        self.log.close()


def snapshot_of(runner: Runner) -> Snapshot:
    return Snapshot(
        position=runner.position,
        time_ns=runner.exchange.time_ns,
        chain=runner.chain,
        event_hash=runner.event_hash,
        body=state.dump(runner.exchange),
    )


def replayed(directory: Path, to: int) -> Runner:
    runner = Runner(Exchange())
    log = FileLog(directory, read_only=True)
    for entry in entries(log, to):
        runner.apply(entry)
    return runner


def entries(log: FileLog, to: int) -> Iterator[Entry]:
    for entry in log.read(1):
        if entry.position > to:
            return
        yield entry


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "exchange"


def copied(directory: Path, to: Path, **options: Any) -> Runner:
    return backup.copy_log_and_snapshots(directory, to, **options)[0]


def made(directory: Path, frames: int, *, snapshots: bool = True) -> Path:
    """The directory of a stopped exchange."""
    writer = Writer(directory, seed=5)
    if not snapshots:
        writer.snapshots = Snapshots(directory.parent / "elsewhere")
    writer.play(frames)
    writer.log.close()
    return directory


def test_copies_made_while_it_trades_are_the_original_at_their_positions(
    tmp_path: Path, directory: Path
) -> None:
    """An exchange can go on from each, and a copy of a copy is the same."""
    copies: list[tuple[Path, int, bytes]] = []
    writer = Writer(directory, seed=3)
    writer.play(150)
    with writer:
        for number in range(5):
            before = writer.acked
            to = tmp_path / f"copy{number}"
            to.mkdir()
            runner = copied(directory, to, full=number % 2 == 0)
            # All that was acknowledged before, and nothing that was not written.
            assert before <= runner.position <= writer.acked + 1
            copies.append((to, runner.position, state.digest(runner.exchange)))
    for to, position, digest in copies:
        assert state.digest(replayed(directory, position).exchange) == digest
        assert state.digest(replayed(to, position).exchange) == digest
        again = to.with_name(to.name + "-again")
        again.mkdir()
        assert state.digest(copied(to, again, durable_after_s=0).exchange) == digest
        restored = Writer(to, seed=9)
        assert restored.runner.position == position
        assert state.digest(restored.runner.exchange) == digest
        restored.play(30)
        restored.log.close()
        assert replayed(to, position + 30).chain == restored.runner.chain
    assert any(name.suffix == ".z" for name in (copies[-1][0] / "log").iterdir())


def test_no_snapshot_in_the_copy_is_newer_than_its_log(tmp_path: Path, directory: Path) -> None:
    made(directory, 350)
    to = tmp_path / "copy"
    to.mkdir()
    runner = copied(directory, to, durable_after_s=0)
    positions = [Snapshots(to).read(path).position for path in Snapshots(to).paths()]
    assert positions == [300, 200, 100]
    assert runner.position == 350


def test_the_newest_entry_is_copied_when_it_is_certainly_durable(
    tmp_path: Path, directory: Path
) -> None:
    """When another one follows, or a snapshot has its position, or after a time."""
    made(directory, 200)
    for frames, wait_s in ((0, 3600.0), (1, 0.0)):
        writer = Writer(directory, seed=6)
        writer.play(frames)
        writer.log.close()
        to = tmp_path / f"copy{frames}"
        to.mkdir()
        assert copied(directory, to, durable_after_s=wait_s).position == 200 + frames
    writer = Writer(directory, seed=7)
    to = tmp_path / "waiting"
    to.mkdir()
    follow = threading.Timer(0.05, writer.play, [1])
    follow.start()
    assert copied(directory, to, durable_after_s=3600.0).position == 201
    follow.join()
    writer.log.close()


def test_without_valid_snapshots_only_the_log_is_copied(tmp_path: Path, directory: Path) -> None:
    made(directory, 120, snapshots=False)
    to = tmp_path / "copy"
    to.mkdir()
    assert copied(directory, to, durable_after_s=0).position == 120
    runner = replayed(directory, 90)
    path = Snapshots(directory).write(snapshot_of(runner))
    octets = bytearray(path.read_bytes())
    octets[-9] ^= 4
    path.write_bytes(octets)
    to = tmp_path / "another"
    to.mkdir()
    runner, (problem,) = backup.copy_log_and_snapshots(directory, to, durable_after_s=0)
    assert runner.position == 120
    assert path.name in problem
    assert Snapshots(to).paths() == []


def test_a_file_of_the_audit_that_is_being_written_is_not_copied(
    tmp_path: Path, directory: Path
) -> None:
    writer = Writer(directory, seed=6)
    writer.play(3)
    writer.log.close()
    write_verdict(directory, {"position": 1})
    (directory / "audit" / "verdict.json.1.new").write_bytes(b"half")
    backup.back_up(directory, tmp_path / "copy", full=False)
    assert [path.name for path in (tmp_path / "copy" / "audit").iterdir()] == ["verdict.json"]


def test_a_damaged_original_gives_no_copy(tmp_path: Path, directory: Path) -> None:
    """Damage in any segment, or a log that ends before a snapshot."""
    made(directory, 200)
    SegmentCompressor(directory).compress_all()
    healthy = tmp_path / "healthy"
    shutil.copytree(directory, healthy)
    segments = sorted((directory / "log").iterdir())
    assert len(segments) >= 3
    for number, path in enumerate(segments):
        octets = bytearray(path.read_bytes())
        octets[len(octets) // 3] ^= 1
        path.write_bytes(octets)
        to = tmp_path / f"copy{number}"
        to.mkdir()
        with pytest.raises((backup.BackupError, LogDamaged), match=path.name[:20]):
            copied(directory, to, durable_after_s=0)
        path.write_bytes((healthy / "log" / path.name).read_bytes())
    last = segments[-1]
    last.write_bytes(last.read_bytes()[:72])
    to = tmp_path / "short"
    to.mkdir()
    with pytest.raises(backup.BackupError, match="refers to position 200: "):
        copied(directory, to, durable_after_s=0)


def test_an_empty_log_gives_no_copy(tmp_path: Path, directory: Path) -> None:
    (directory / "log").mkdir(parents=True)
    to = tmp_path / "copy"
    to.mkdir()
    with pytest.raises(backup.BackupError, match="empty"):
        copied(directory, to)
