"""A read-only log in another process takes no lock, changes nothing, and ignores unfinished
records.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from fairbook.log.command_log import GENESIS, Entry, LogDamaged, LogFailed
from fairbook.log.file_log import FileLog
from tests.log.disks import QuickDisk


class WatchedDisk(QuickDisk):
    """Shows a follower every state of the writer's files; records are written byte by byte."""

    def __init__(self, data: Path) -> None:
        self.follower = FileLog(data, read_only=True)
        self.seen: list[Entry] = []

    def look(self) -> None:
        self.seen += self.follower.read(len(self.seen) + 1)
        assert self.follower.last.position == len(self.seen)

    def write(self, fd: int, octets: bytes) -> int:
        for at in range(len(octets)):
            super().write(fd, octets[at : at + 1])
            if at % 7 == 0 or at > len(octets) - 3:
                self.look()
        return len(octets)

    def rename(self, old: Path, new: Path) -> None:
        self.look()
        super().rename(old, new)
        self.look()


def test_a_follower_sees_each_entry_once_when_it_is_whole(tmp_path: Path) -> None:
    """It may start before the log exists; it crosses segments; a late one sees the same."""
    disk = WatchedDisk(tmp_path)
    disk.look()
    assert disk.follower.last == GENESIS
    chance = Random(5)
    log = FileLog(tmp_path, segment_bytes=700, disk=disk)
    for number in range(1, 30):
        entry = log.append(chance.randbytes(chance.randint(1, 200)), number)
        disk.look()
        assert disk.seen[-1] == entry
        late = FileLog(tmp_path, read_only=True)
        assert late.last == log.last
        assert list(late.read(max(1, number - 2))) == disk.seen[max(0, number - 3) :]
        late.close()
    assert disk.seen == list(log.read(1))
    assert list(disk.follower.read(4)) == disk.seen[3:]
    assert disk.follower.verify() == log.last
    log.close()


def test_a_follower_takes_no_lock_appends_nothing_and_repairs_nothing(tmp_path: Path) -> None:
    log = FileLog(tmp_path)
    entry = log.append(b"x", 1)
    log.close()
    path = tmp_path / "log" / f"{1:020d}.log"
    torn = path.read_bytes() + b"torn"
    path.write_bytes(torn)
    follower = FileLog(tmp_path, read_only=True)
    assert list(follower.read(1)) == [entry]
    assert follower.dropped is None
    with pytest.raises(LogFailed, match="read-only"):
        follower.append(b"x", 1)
    assert path.read_bytes() == torn

    log = FileLog(tmp_path)
    assert log.dropped is not None
    more = log.append(b"y", 2)
    assert list(follower.read(2)) == [more]
    log.close()
    follower.close()


def test_a_follower_makes_no_directory(tmp_path: Path) -> None:
    follower = FileLog(tmp_path / "absent", read_only=True)
    assert list(follower.read(1)) == []
    assert not (tmp_path / "absent").exists()


def test_a_follower_refuses_damage_that_cannot_be_an_unfinished_write(tmp_path: Path) -> None:
    log = FileLog(tmp_path, segment_bytes=400, disk=QuickDisk())
    entries = [log.append(bytes([number]) * 80, number) for number in range(9)]
    follower = FileLog(tmp_path, read_only=True)
    assert list(follower.read(1)) == entries
    last = max((tmp_path / "log").iterdir())
    octets = bytearray(last.read_bytes())
    octets += b"unsound" + octets[-144:]
    last.write_bytes(octets)
    with pytest.raises(LogDamaged, match="not a torn tail"):
        list(follower.read(10))
    last.unlink()
    with pytest.raises(LogDamaged, match="is missing"):
        list(follower.read(10))
    with pytest.raises(LogDamaged, match="is missing"):
        follower.read(1)
    log.close()


def test_a_follower_that_knows_more_than_the_log_refuses_it(tmp_path: Path) -> None:
    log = FileLog(tmp_path, disk=QuickDisk())
    entries = [log.append(b"x", number) for number in range(5)]
    follower = FileLog(tmp_path, read_only=True)
    for entry in entries:
        follower.require(entry.position, entry.chain)
    with pytest.raises(LogDamaged, match="refers to position 6: "):
        follower.require(6, entries[-1].chain)
    with pytest.raises(LogDamaged, match="another history"):
        follower.require(3, entries[-1].chain)
    log.close()
