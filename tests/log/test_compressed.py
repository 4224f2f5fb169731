"""Compressed segments read like plain ones, damage to them is detected, and replacing a segment
loses nothing.
"""

from __future__ import annotations

import shutil
import tracemalloc
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from fairbook.log.command_log import Entry, LogDamaged
from fairbook.log.compressor import SegmentCompressor
from fairbook.log.file_log import FileLog
from tests.log.disks import QuickDisk
from tests.log.test_power import Killed, Story

SEGMENT_BYTES = 1500
BLOCK_BYTES = 300  # A record is in one, two or three blocks.


def opened(directory: Path) -> FileLog:
    return FileLog(directory, segment_bytes=SEGMENT_BYTES, disk=QuickDisk())


def archive(directory: Path) -> SegmentCompressor:
    return SegmentCompressor(directory, disk=QuickDisk(), block_bytes=BLOCK_BYTES)


def fill(log: FileLog, count: int, seed: int) -> list[Entry]:
    chance = Random(seed)
    return [
        log.append(bytes(chance.choices(b"abcd", k=48 * chance.randint(1, 6))), 1_000 + number)
        for number in range(count)
    ]


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    """The entries of the log in tmp_path: several segments, all but the last one compressed."""
    log = opened(tmp_path)
    made = fill(log, 40, seed=1)
    log.close()
    assert archive(tmp_path).compress_all() >= 4
    return made


def segments(directory: Path) -> list[Path]:
    return sorted((directory / "log").iterdir())


def packed(directory: Path) -> list[Path]:
    return [path for path in segments(directory) if path.name.endswith(".log.z")]


def test_all_segments_but_the_last_are_compressed(tmp_path: Path, entries: list[Entry]) -> None:
    """The log reads, verifies and appends as before."""
    assert [path.suffix for path in segments(tmp_path)][-2:] == [".z", ".log"]
    assert len(packed(tmp_path)) == len(segments(tmp_path)) - 1
    log = opened(tmp_path)
    assert log.dropped is None
    for entry in Random(2).sample(entries, len(entries)):
        assert list(log.read(entry.position)) == entries[entry.position - 1 :]
        log.require(entry.position, entry.chain)
    assert log.verify() == entries[-1].without_frame()
    more = fill(log, 20, seed=3)
    assert archive(tmp_path).compress_all() >= 2
    assert list(log.read(1)) == entries + more
    log.close()
    log = opened(tmp_path)
    assert list(log.read(1)) == entries + more
    log.close()


def test_readers_do_not_notice_that_a_segment_is_compressed(tmp_path: Path) -> None:
    """A reader in the middle of it, a follower, and a reader that opened the file before."""
    log = opened(tmp_path)
    made = fill(log, 40, seed=4)
    follower = FileLog(tmp_path, read_only=True, disk=QuickDisk())
    inside = log.read(1)
    got = [next(inside) for _ in range(3)]
    followed = list(islice(follower.read(1), 3))
    assert archive(tmp_path).compress_all() >= 4
    assert got + list(inside) == made
    assert followed + list(follower.read(4)) == made
    made += fill(log, 30, seed=5)
    archive(tmp_path).compress_all()
    assert list(follower.read(38)) == made[37:]
    assert list(follower.read(2)) == made[1:]
    log.close()


def test_one_bit_flipped_in_each_third_byte(tmp_path: Path, entries: list[Entry]) -> None:
    """Detected at the start or by a reader: never a wrong entry."""
    path = packed(tmp_path)[1]
    octets = path.read_bytes()
    outcomes = {"refused": 0, "met": 0}
    for offset in range(0, len(octets), 3):
        changed = bytearray(octets)
        changed[offset] ^= 1 << offset % 8
        path.write_bytes(changed)
        outcomes[damaged_at_start_or_later(tmp_path, path, entries)] += 1
    assert min(outcomes.values()) >= 30, outcomes


def damaged_at_start_or_later(directory: Path, path: Path, entries: list[Entry]) -> str:
    """Open and read everything; the error must name `path`."""
    try:
        log = opened(directory)
    except LogDamaged as problem:
        assert f"segment {path.name}, offset 0, position " in str(problem)
        return "refused"
    got: list[Entry] = []
    with pytest.raises(LogDamaged, match=f"segment {path.name}, offset .* compressed block"):
        for entry in log.read(1):
            got.append(entry)
    assert got == entries[: len(got)]
    assert len(got) >= int(path.name[:20]) - 1
    following = segments(directory)[2]
    behind = int(following.name[:20])
    assert list(log.read(behind)) == entries[behind - 1 :]
    log.close()
    return "met"


def test_a_truncated_or_extended_segment_is_refused(tmp_path: Path, entries: list[Entry]) -> None:
    for path in packed(tmp_path)[:2]:
        octets = path.read_bytes()
        pieces = [octets[:size] for size in range(0, len(octets), 7)]
        pieces += [octets + b"\0", octets + octets, octets[1:], octets[:100] + octets[101:]]
        for piece in pieces:
            path.write_bytes(piece)
            with pytest.raises(LogDamaged, match=f"segment {path.name}, offset 0"):
                opened(tmp_path)
        path.write_bytes(octets)
    opened(tmp_path).close()


def test_a_missing_swapped_or_renamed_segment_is_refused(
    tmp_path: Path, entries: list[Entry]
) -> None:
    for path in packed(tmp_path):
        octets = path.read_bytes()
        path.unlink()
        with pytest.raises(LogDamaged, match="is missing"):
            opened(tmp_path)
        path.write_bytes(packed(tmp_path)[0].read_bytes())
        with pytest.raises(LogDamaged, match="renamed or copied"):
            opened(tmp_path)
        path.write_bytes(octets)
    for stray in (f"{path.name}.bak", "1.log.z", f"0{path.name}", "x.log.z"):
        copy = path.with_name(stray)
        copy.write_bytes(octets)
        with pytest.raises(LogDamaged, match=f"{stray} is not a segment of the log"):
            opened(tmp_path)
        copy.unlink()
    last = segments(tmp_path)[-1]
    last.unlink()
    with pytest.raises(LogDamaged, match=f"{last.name} is missing"):
        opened(tmp_path)


def test_a_segment_of_another_log_or_history_is_refused(
    tmp_path: Path, entries: list[Entry]
) -> None:
    stranger = tmp_path / "stranger"
    log = opened(stranger)
    for entry in entries:
        log.append(entry.frame, entry.time_ns)
    log.close()
    archive(stranger).compress_all()
    for path in packed(tmp_path):
        octets = path.read_bytes()
        path.write_bytes((stranger / "log" / path.name).read_bytes())
        with pytest.raises(LogDamaged, match="of another log"):
            opened(tmp_path)
        path.write_bytes(octets)


def test_the_plain_segment_wins_if_both_exist(tmp_path: Path) -> None:
    """The compressed file beside it may have any content and is made again."""
    log = opened(tmp_path)
    made = fill(log, 40, seed=6)
    log.close()
    for path in segments(tmp_path)[:-1]:
        path.with_name(path.name + ".z").write_bytes(b"half of it")
    log = opened(tmp_path)
    assert list(log.read(1)) == made
    count = len(segments(tmp_path)) // 2
    assert archive(tmp_path).compress_all() == count
    assert len(segments(tmp_path)) == count + 1
    assert list(log.read(1)) == made
    log.close()


def test_the_newest_segments_stay_as_they_are(tmp_path: Path) -> None:
    """A newest segment without entries does not prove that the one before it is complete."""
    log = opened(tmp_path)
    fill(log, 40, seed=7)
    log.close()
    last = segments(tmp_path)[-1]
    last.write_bytes(last.read_bytes()[:72])
    names = [path.name for path in segments(tmp_path)]
    archive(tmp_path).compress_all()
    assert [path.name for path in segments(tmp_path)][-2:] == names[-2:]
    log = opened(tmp_path)
    log.close()


def test_a_damaged_segment_is_kept_and_reported(tmp_path: Path) -> None:
    log = opened(tmp_path)
    fill(log, 40, seed=8)
    path = segments(tmp_path)[1]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(LogDamaged, match=f"segment {path.name}"):
        archive(tmp_path).compress_all()
    assert packed(tmp_path) == []
    log.close()


def test_one_block_is_in_memory_at_a_time(tmp_path: Path) -> None:
    """Also of a segment that is mostly zeros."""
    log = FileLog(tmp_path, segment_bytes=1 << 26, disk=QuickDisk())
    for number in range(400):
        log.append(bytes(100_000), number)
    log.close()
    # The end record comes with a new segment.
    log = FileLog(tmp_path, segment_bytes=1 << 20, disk=QuickDisk())
    log.append(b"x", 0)
    log.close()
    assert SegmentCompressor(tmp_path, disk=QuickDisk()).compress_all() == 1
    assert packed(tmp_path)[0].stat().st_size < 1 << 20
    log = FileLog(tmp_path, disk=QuickDisk())
    tracemalloc.start()
    assert sum(1 for _ in log.read(1)) == 401
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20, peak
    log.close()


def steps(story: Story) -> Iterator[None]:
    """Append, compress, append, compress."""
    log = FileLog(story.data, segment_bytes=SEGMENT_BYTES // 3, disk=story.disk)
    try:
        story.append(log, 12)
        yield
        SegmentCompressor(story.data, disk=story.disk, block_bytes=BLOCK_BYTES).compress_all()
        story.append(log, 8)
        SegmentCompressor(story.data, disk=story.disk, block_bytes=BLOCK_BYTES).compress_all()
    finally:
        log.close()


def test_a_power_cut_at_any_step_of_compressing(tmp_path: Path) -> None:
    """Every possible state opens, has the acknowledged entries, and accepts more."""
    story = Story(tmp_path, seed=21)
    life = steps(story)
    next(life)
    story.disk.after_step = lambda: story.check_images(every_byte=False)
    assert next(life, None) is None
    story.check_images(every_byte=True)
    assert len(packed(story.data)) >= 3
    assert story.images > 100


PARTS = 8
"""Of the steps to be killed at: one at any time, the others in long runs."""


@pytest.mark.parametrize(
    "part", [0, *(pytest.param(part, marks=pytest.mark.slow) for part in range(1, PARTS))]
)
def test_a_kill_at_any_step_of_compressing(tmp_path: Path, part: int) -> None:
    """Then a power cut at any later step, while the next start compresses the rest."""
    step = part + 1
    while True:
        directory = tmp_path / str(step)
        directory.mkdir()
        story = Story(directory, seed=step)
        life = steps(story)
        next(life)
        stop_at = story.disk.steps + step

        def kill(story: Story = story, stop_at: int = stop_at) -> None:
            if story.disk.steps == stop_at:
                raise Killed

        story.disk.after_step = kill
        try:
            next(life, None)
            break  # It ended before that step.
        except Killed:
            pass
        story.disk.after_step = lambda story=story: story.check_images(every_byte=False)  # type: ignore[misc]
        log = FileLog(story.data, segment_bytes=SEGMENT_BYTES // 3, disk=story.disk)
        found = list(log.read(1))
        assert found[: len(story.acked)] == story.acked
        story.acked, story.under_way = found, None
        SegmentCompressor(story.data, disk=story.disk, block_bytes=BLOCK_BYTES).compress_all()
        story.append(log, 3)
        log.close()
        assert not list((story.data / "log").glob("*.new"))
        shutil.rmtree(directory)
        step += PARTS
    assert step > 40


@pytest.mark.parametrize("failing", range(1, 12))
def test_a_sync_that_fails_while_compressing(tmp_path: Path, failing: int) -> None:
    """The plain segment stays; the next attempt compresses it."""
    story = Story(tmp_path, seed=failing)
    log = FileLog(story.data, segment_bytes=SEGMENT_BYTES // 3, disk=story.disk)
    story.append(log, 20)
    story.disk.failing_sync = story.disk.syncs + failing
    with pytest.raises(OSError, match="Input/output error"):
        SegmentCompressor(story.data, disk=story.disk, block_bytes=BLOCK_BYTES).compress_all()
    story.check_images(every_byte=False)
    assert list(log.read(1))[: len(story.acked)] == story.acked
    story.disk.failing_sync = None
    assert (
        SegmentCompressor(story.data, disk=story.disk, block_bytes=BLOCK_BYTES).compress_all() >= 1
    )
    story.append(log, 5)
    story.check_images(every_byte=False)
    assert list(log.read(1)) == story.acked
    log.close()


def test_the_thread_compresses_beside_a_writer_and_ends(tmp_path: Path) -> None:
    """On the real disk, during appends and reads."""
    log = FileLog(tmp_path, segment_bytes=20_000)
    problems: list[str] = []
    beside = SegmentCompressor(tmp_path, look_every_s=0.001, on_problem=problems.append)
    beside.start()
    made: list[Entry] = []
    chance = Random(9)
    while len(packed(tmp_path)) < 3:
        made += [log.append(chance.randbytes(500), len(made)) for _ in range(50)]
        assert list(log.read(1)) == made
    beside.stop()
    assert problems == []
    log.close()
    log = FileLog(tmp_path)
    assert list(log.read(1)) == made
    log.close()
