"""A power cut, kill or failing sync at any step loses no acknowledged entry, and the log opens
again.

The moments l1 to l5 of the log (before the append, written but not synced, torn, synced but not
acknowledged, a new segment whose name is not durable) are all steps of the disk; each step is cut
at.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import pytest

from fairbook.log.command_log import Entry, LogFailed
from fairbook.log.file_log import FileLog
from tests.log.disks import ForgetfulDisk, Image, QuickDisk

SEGMENT_BYTES = 420  # Three or four entries.


class Killed(BaseException):
    """The process ends here; the system continues."""


class Story:
    """One log on a ForgetfulDisk, its acknowledged entries, and the pending one."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.root = directory / "disk"
        self.root.mkdir()
        self.data = self.root / "exchange"
        self.disk = ForgetfulDisk()
        self.chance = Random(seed)
        self.acked: list[Entry] = []
        self.under_way: bytes | None = None
        self.images = 0
        self._checked: set[int] = set()
        self._scratch = directory / "image"

    def append(self, log: FileLog, frames: int) -> None:
        for _ in range(frames):
            self.under_way = self.chance.randbytes(self.chance.randint(1, 40))
            self.acked.append(log.append(self.under_way, log.last.time_ns + 3))
            self.under_way = None

    def check_images(self, *, every_byte: bool) -> None:
        for image in self.disk.images(self.chance, every_byte=every_byte):
            self.check(image)

    def check(self, image: Image) -> None:
        """The log of an image opens, has the acknowledged entries, and accepts more."""
        situation = hash((frozenset(image.items()), len(self.acked), self.under_way))
        if situation in self._checked:
            return
        self._checked.add(situation)
        self.images += 1
        self.restore(image)
        data = self._scratch / "exchange"
        log = FileLog(data, segment_bytes=SEGMENT_BYTES, disk=QuickDisk())
        entries = list(log.read(1))
        assert entries[: len(self.acked)] == self.acked
        assert [entry.frame for entry in entries[len(self.acked) :]] in ([], [self.under_way])
        entries += [log.append(bytes(30), 0) for _ in range(3)]
        log.close()
        again = FileLog(data, segment_bytes=SEGMENT_BYTES, disk=QuickDisk())
        assert again.dropped is None
        assert list(again.read(1)) == entries
        again.close()

    def restore(self, image: Image) -> Path:
        """Write an image to a directory."""
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir()
        for path, octets in sorted(image.items()):
            target = self._scratch / path.relative_to(self.root)
            if octets is None:
                target.mkdir()
            else:
                target.write_bytes(octets)
        return self._scratch


def opened(story: Story) -> FileLog:
    return FileLog(story.data, segment_bytes=SEGMENT_BYTES, disk=story.disk)


def test_a_power_cut_at_any_step_and_byte(tmp_path: Path) -> None:
    """From the first start on, over several segments."""
    story = Story(tmp_path, seed=11)
    story.disk.after_step = lambda: story.check_images(every_byte=True)
    log = opened(story)
    story.append(log, 8)
    log.close()
    assert len(list((story.data / "log").iterdir())) >= 3
    assert story.images > 700


def test_an_acknowledged_entry_survives_without_a_close(tmp_path: Path) -> None:
    """The pending entry may be lost or kept: both happen."""
    story = Story(tmp_path, seed=12)
    log = opened(story)
    story.append(log, 2)
    found: set[int] = set()

    def count() -> None:
        for image in story.disk.images(story.chance, every_byte=True):
            scratch = story.restore(image)
            with_image = FileLog(scratch / "exchange", disk=QuickDisk())
            found.add(with_image.last.position)
            with_image.close()

    story.disk.after_step = count
    story.append(log, 1)
    log.close()
    assert found == {2, 3}


def killed_at(story: Story, step: int) -> bool:
    """Run until the disk has made `step` changes, and stop there like kill -9. Returns whether it
    came that far.
    """

    def kill() -> None:
        if story.disk.steps == step:
            raise Killed

    story.disk.after_step = kill
    log: FileLog | None = None
    try:
        log = opened(story)
        story.append(log, 9)
    except Killed:
        return True
    finally:
        story.disk.after_step = lambda: None
        if log is not None:
            log.close()
    return False


@pytest.mark.parametrize(
    "part", [0, *(pytest.param(part, marks=pytest.mark.slow) for part in (1, 2, 3))]
)
def test_a_kill_at_any_step_and_then_a_power_cut_at_any_later_step(
    tmp_path: Path, part: int
) -> None:
    """A restart may have answered with what it read, so this must be durable from then on, even if
    it was not synced before.
    """
    step = part + 1
    while True:
        directory = tmp_path / str(step)
        directory.mkdir()
        story = Story(directory, seed=step)
        if not killed_at(story, step):
            break
        story.disk.after_step = lambda story=story: story.check_images(every_byte=False)  # type: ignore[misc]
        log = opened(story)
        entries = list(log.read(1))
        assert entries[: len(story.acked)] == story.acked
        assert len(entries) <= len(story.acked) + 1
        story.acked = entries
        story.under_way = None
        story.check_images(every_byte=True)
        story.append(log, 4)
        log.close()
        step += 4
    assert step > 30


@pytest.mark.parametrize(
    "failing",
    [
        pytest.param(failing, marks=[pytest.mark.slow] if failing % 3 else [])
        for failing in range(1, 28)
    ],
)
def test_after_a_failed_sync_nothing_is_synced_until_a_restart(
    tmp_path: Path, failing: int
) -> None:
    """After the error the system considers its cache clean, so the restart must write the tail
    again.
    """
    story = Story(tmp_path, seed=failing)
    story.disk.failing_sync = failing
    log: FileLog | None = None
    try:
        log = opened(story)
        story.append(log, 20)
    except (OSError, LogFailed) as problem:
        assert "Input/output error" in str(problem)
    else:
        pytest.fail("more syncs were expected")
    finally:
        story.check_images(every_byte=True)
        syncs = story.disk.syncs
        if log is not None:
            with pytest.raises(LogFailed):
                log.append(b"x", 0)
            assert list(log.read(1)) == story.acked
            log.close()
        assert story.disk.syncs == syncs
    log = opened(story)
    entries = list(log.read(1))
    assert entries[: len(story.acked)] == story.acked
    story.acked, story.under_way = entries, None
    story.check_images(every_byte=True)
    story.disk.after_step = lambda: story.check_images(every_byte=False)
    story.append(log, 5)
    log.close()


def test_a_power_cut_during_a_repair(tmp_path: Path) -> None:
    """A second cut during the repair of the first loses nothing more."""
    story = Story(tmp_path, seed=13)
    left: list[tuple[Image, list[Entry], bytes | None]] = []

    def collect() -> None:
        sample = list(story.disk.images(story.chance, every_byte=False))
        left.extend((image, story.acked.copy(), story.under_way) for image in sample)

    story.disk.after_step = collect
    log = opened(story)
    story.append(log, 8)
    log.close()
    for number, (image, acked, under_way) in enumerate(left):
        directory = tmp_path / str(number)
        directory.mkdir()
        second = Story(directory, seed=number)
        second.acked, second.under_way = acked, under_way
        for path, octets in sorted(image.items()):
            target = second.root / path.relative_to(story.root)
            if octets is None:
                target.mkdir()
            else:
                target.write_bytes(octets)
        second.disk.adopt(second.root)
        second.disk.after_step = lambda second=second: second.check_images(every_byte=False)  # type: ignore[misc]
        opened(second).close()
    assert len(left) > 60
