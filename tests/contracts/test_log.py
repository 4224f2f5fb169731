"""The contract of every CommandLog."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from random import Random

import pytest

from fairbook.log.command_log import (
    FRAME_BYTES_MAX,
    GENESIS_CHAIN,
    TIME_MAX_NS,
    CommandLog,
    Entry,
    LogDamaged,
    LogFailed,
    chain_after,
    hash_frame,
)
from fairbook.log.disk import Disk
from fairbook.log.file_log import FileLog
from fairbook.log.memory_log import MemoryLog


class FailingDisk(Disk):
    """A disk whose syncs fail on demand."""

    failing = False

    def sync(self, fd: int) -> None:
        if self.failing:
            raise OSError(5, "Input/output error")
        super().sync(fd)


class Memory:
    """A log in memory, and how to break and reopen it."""

    def __init__(self, _: Path) -> None:
        self.log = MemoryLog()

    def fail_next(self) -> None:
        def fail(_: Entry) -> None:
            raise OSError(5, "Input/output error")

        self.log.before_durable = fail

    def reopen(self) -> CommandLog:
        self.log = self.log.reopened()
        return self.log


class Files:
    """A log in files, with small segments of a few entries."""

    segment_bytes = 600

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._disk = FailingDisk()
        self.log = self._open()

    def fail_next(self) -> None:
        self._disk.failing = True

    def reopen(self) -> CommandLog:
        self.log.close()
        self._disk.failing = False
        self.log = self._open()
        return self.log

    def _open(self) -> FileLog:
        return FileLog(self._directory, segment_bytes=self.segment_bytes, disk=self._disk)


class OneSegment(Files):
    """A log in one file."""

    segment_bytes = 1 << 30


@pytest.fixture(params=[Memory, Files, OneSegment])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Memory | Files:
    made: Callable[[Path], Memory | Files] = request.param
    return made(tmp_path)


def fill(log: CommandLog, entries: int, seed: int = 1) -> list[Entry]:
    chance = Random(seed)
    made = []
    for _ in range(entries):
        frame = chance.randbytes(48 * chance.randint(1, 6))
        made.append(log.append(frame, log.last.time_ns + chance.randint(-5, 10) % 2**40))
    return made


def test_an_empty_log_ends_at_position_0(house: Memory | Files) -> None:
    assert house.log.last == Entry(0, 0, GENESIS_CHAIN, b"")
    assert list(house.log.read(1)) == []
    house.log.require(0, GENESIS_CHAIN)


def test_entries_are_dense_chained_and_come_back_as_they_were(house: Memory | Files) -> None:
    made = fill(house.log, 40)
    chain = GENESIS_CHAIN
    for position, entry in enumerate(made, start=1):
        before, chain = chain, chain_after(chain, position, entry.time_ns, hash_frame(entry.frame))
        assert (entry.position, entry.before, entry.chain) == (position, before, chain)
    assert list(house.log.read(1)) == made
    assert house.log.last == made[-1].without_frame()


def test_the_chain_covers_position_time_and_frame() -> None:
    """The expected values are from b2sum, over the 5 bytes of the frame and over 32 + 8 + 8 + 32
    bytes (docs/reference/log-format.md).
    """
    frame = hash_frame(b"frame")
    assert frame.hex() == "e751ce912f590641f6315aeec646f6c5b4fb3b165c4e9cec1023a14f9141275f"
    base = chain_after(GENESIS_CHAIN, 1, 2, frame)
    assert base.hex() == "a54bc694500a0764982f3e76945a248e3d46613b4baf4101ffa8b7b37ecd5e0f"
    others = [
        chain_after(bytes(31) + b"\1", 1, 2, frame),
        chain_after(GENESIS_CHAIN, 2, 2, frame),
        chain_after(GENESIS_CHAIN, 1, 3, frame),
        chain_after(GENESIS_CHAIN, 1, 2, hash_frame(b"framf")),
    ]
    assert len({base, *others}) == 5


def witnessed(chain: bytes, position: int, steps: list[tuple[int, bytes]]) -> bytes:
    """The chain after (time, hash of the frame) of the next entries, without any of this code.

    chain: that of `position`. Source: docs/reference/log-format.md.
    """
    for time_ns, frame_hash in steps:
        position += 1
        content = chain + position.to_bytes(8, "little") + time_ns.to_bytes(8, "little")
        chain = blake2b(content + frame_hash, digest_size=32).digest()
    return chain


def test_times_and_hashes_of_frames_prove_that_a_log_was_only_extended(
    house: Memory | Files,
) -> None:
    """Between any two chains, and no change of what is between them goes unnoticed."""
    made = [Entry(0, 0, GENESIS_CHAIN, b""), *fill(house.log, 12)]
    steps = [
        (entry.time_ns, blake2b(entry.frame, digest_size=32).digest())
        for entry in house.reopen().read(1)
    ]
    for start, before in enumerate(made):
        for end, after in enumerate(made[start:], start=start):
            assert witnessed(before.chain, start, steps[start:end]) == after.chain

    before, after = made[3], made[9]
    right = steps[3:9]
    (time_ns, frame_hash), second, *rest = right
    for wrong in (
        [(time_ns + 1, frame_hash), second, *rest],
        [(time_ns, frame_hash[::-1]), second, *rest],
        [second, (time_ns, frame_hash), *rest],
        [second, *rest],
        [(time_ns, frame_hash), *right],
        right[:-1],
        [],
    ):
        assert witnessed(before.chain, 3, wrong) != after.chain
    assert witnessed(before.chain, 4, right) != after.chain
    assert witnessed(made[2].chain, 3, right) != after.chain


def test_time_never_decreases(house: Memory | Files) -> None:
    """After the clock was set back, log time stands still until the clock has caught up."""
    times = [house.log.append(b"x", at).time_ns for at in (5, 3, 0, 5, 6, TIME_MAX_NS, 7)]
    assert times == [5, 5, 5, 5, 6, TIME_MAX_NS, TIME_MAX_NS]
    assert house.reopen().append(b"x", 0).time_ns == TIME_MAX_NS


def test_reading_begins_anywhere(house: Memory | Files) -> None:
    made = fill(house.log, 25)
    for log in (house.log, house.reopen()):
        for first in (1, 25, 13, 12, 2, 24, 26, 100, 7):
            assert list(log.read(first)) == made[first - 1 :]
    with pytest.raises(ValueError, match="count from 1"):
        house.log.read(0)


def test_reading_ends_where_the_log_ended_at_the_call(house: Memory | Files) -> None:
    made = fill(house.log, 5)
    before = house.log.read(2)
    reading = house.log.read(4)
    assert next(reading) == made[3]
    fill(house.log, 30, seed=2)
    assert list(before) == made[1:]
    assert list(reading) == made[4:]


def test_a_reopened_log_goes_on(house: Memory | Files) -> None:
    made: list[Entry] = []
    for seed in range(8):
        made += fill(house.log, seed, seed=seed)
        log = house.reopen()
        assert log.last == (made[-1].without_frame() if made else Entry(0, 0, GENESIS_CHAIN, b""))
        assert list(log.read(1)) == made


def test_a_failed_append_is_the_last(house: Memory | Files) -> None:
    """Whether the entry was stored is unknown until the log is opened again; then positions
    continue without a gap.
    """
    made = fill(house.log, 7)
    house.fail_next()
    with pytest.raises(LogFailed, match="position 8"):
        house.log.append(b"lost or not", 9)
    for _ in range(2):
        with pytest.raises(LogFailed, match="earlier append failed"):
            house.log.append(b"never", 9)
    assert house.log.last.position == 7
    assert list(house.log.read(1)) == made
    log = house.reopen()
    after = list(log.read(1))
    assert after[:7] == made
    assert [entry.frame for entry in after[7:]] in ([], [b"lost or not"])
    assert log.append(b"on", 0).position == len(after) + 1


@pytest.mark.parametrize("frame", [b"", bytes(FRAME_BYTES_MAX + 1)])
def test_a_frame_out_of_bounds_harms_nothing(house: Memory | Files, frame: bytes) -> None:
    made = fill(house.log, 3)
    with pytest.raises(ValueError, match="a frame has 1 to 4194304 bytes"):
        house.log.append(frame, 9)
    made += fill(house.log, 1)
    assert list(house.reopen().read(1)) == made


@pytest.mark.parametrize("time_ns", [-1, TIME_MAX_NS + 1])
def test_a_time_out_of_bounds_harms_nothing(house: Memory | Files, time_ns: int) -> None:
    with pytest.raises(ValueError, match="a time is 0 to"):
        house.log.append(b"x", time_ns)
    assert house.log.append(b"x", 1).position == 1


def test_the_largest_frame_comes_back(house: Memory | Files) -> None:
    frame = Random(3).randbytes(FRAME_BYTES_MAX)
    house.log.append(b"before", 1)
    house.log.append(frame, 2)
    house.log.append(b"after", 3)
    assert [entry.frame for entry in house.reopen().read(1)] == [b"before", frame, b"after"]


def test_a_shorter_log_or_another_history_is_refused(house: Memory | Files) -> None:
    made = fill(house.log, 12)
    for log in (house.log, house.reopen()):
        for entry in made:
            log.require(entry.position, entry.chain)
        with pytest.raises(
            LogDamaged, match=r"ends at position 12, but a .* refers to position 13:"
        ):
            log.require(13, made[-1].chain)
        for position in (0, 1, 7, 12):
            with pytest.raises(LogDamaged, match=f"another history.*position {position} "):
                log.require(position, bytes(31) + b"x")


def test_closing_is_idempotent_and_ends_appending(house: Memory | Files) -> None:
    made = fill(house.log, 2)
    house.log.close()
    house.log.close()
    with pytest.raises(LogFailed, match="closed"):
        house.log.append(b"x", 1)
    assert list(house.reopen().read(1)) == made
