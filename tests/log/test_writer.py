"""The writer: its lock, failures of the disk, and kill -9."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from fairbook.log.command_log import LogFailed, LogLocked
from fairbook.log.disk import Disk, Status
from fairbook.log.file_log import FileLog
from tests.log.disks import QuickDisk

SOURCE = Path(__file__).parents[2] / "src"


def test_a_second_writer_is_refused_and_the_first_is_named(tmp_path: Path) -> None:
    log = FileLog(tmp_path)
    with pytest.raises(LogLocked, match=f"LOCK is held by process {os.getpid()}: "):
        FileLog(tmp_path)
    log.append(b"x", 1)
    log.close()
    FileLog(tmp_path).close()


def test_a_log_opens_after_a_refused_start_and_without_its_lock_file(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "stray").write_bytes(b"")
    for _ in range(2):
        with pytest.raises(Exception, match="stray is not a segment"):
            FileLog(tmp_path)
    (tmp_path / "log" / "stray").unlink()
    (tmp_path / "LOCK").unlink()
    FileLog(tmp_path).close()


def test_a_second_writer_is_refused_also_when_the_lock_file_was_deleted(tmp_path: Path) -> None:
    log = FileLog(tmp_path)
    log.append(b"x", 1)
    (tmp_path / "LOCK").unlink()
    with pytest.raises(LogLocked, match="whose LOCK was deleted"):
        FileLog(tmp_path)
    log.append(b"y", 2)
    log.close()
    assert [entry.frame for entry in FileLog(tmp_path, read_only=True).read(1)] == [b"x", b"y"]


def test_a_writer_whose_lock_was_deleted_stops_at_its_next_segment(tmp_path: Path) -> None:
    log = FileLog(tmp_path, segment_bytes=200)
    log.append(bytes(100), 1)
    (tmp_path / "LOCK").unlink()
    with pytest.raises(LogFailed, match="LOCK was deleted"):
        log.append(bytes(100), 1)
    log.close()
    log = FileLog(tmp_path)
    assert log.last.position == 1
    log.close()


class TroubledDisk(QuickDisk):
    """Fails the n-th call of one method (from 1), with an error or after half of the work."""

    def __init__(self, method: str, call: int, code: int) -> None:
        self._left = call
        self._method = method
        self._code = code

    def _count(self, method: str) -> bool:
        self._left -= method == self._method
        return method == self._method and self._left == 0

    def _raise(self, method: str) -> None:
        if self._count(method):
            raise OSError(self._code, os.strerror(self._code))

    def write(self, fd: int, octets: bytes) -> int:
        if self._count("short write"):
            return super().write(fd, octets[: len(octets) // 2])
        self._raise("write")
        return super().write(fd, octets)

    def sync(self, fd: int) -> None:
        self._raise("sync")

    def create(self, path: Path) -> int:
        self._raise("create")
        return super().create(path)

    def rename(self, old: Path, new: Path) -> None:
        self._raise("rename")
        super().rename(old, new)

    def sync_directory(self, directory: Path) -> None:
        self._raise("sync_directory")

    def status(self, fd: int) -> Status:
        self._raise("status")
        return super().status(fd)


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("write", errno.ENOSPC),
        ("write", errno.EIO),
        ("write", errno.EROFS),
        ("short write", 0),
        ("sync", errno.EIO),
        ("sync", errno.ENOSPC),
        ("create", errno.EACCES),
        ("create", errno.EMFILE),
        ("rename", errno.EIO),
        ("sync_directory", errno.EIO),
        ("status", errno.EIO),
    ],
)
def test_any_failure_of_the_disk_ends_appending_and_loses_nothing(
    tmp_path: Path, method: str, code: int
) -> None:
    """At the first call after the start, the second, and so on, until the call is never reached."""
    for call in range(1, 100):
        directory = tmp_path / str(call)
        FileLog(directory, disk=QuickDisk()).close()
        disk = TroubledDisk(method, 10**9, code)
        log = FileLog(directory, segment_bytes=500, disk=disk)
        disk._left = call
        acked = []
        try:
            for number in range(12):
                acked.append(log.append(Random(number).randbytes(40 + number), number))
        except LogFailed as problem:
            said = "no space left" if method == "short write" else os.strerror(code)
            assert said in str(problem)
            assert f"position {len(acked) + 1} " in str(problem)
            for _ in range(2):
                with pytest.raises(LogFailed, match="earlier append failed"):
                    log.append(b"never", 99)
        disk._left = 10**9
        assert list(log.read(1)) == acked
        log.close()
        log = FileLog(directory, segment_bytes=500, disk=QuickDisk())
        entries = list(log.read(1))
        assert entries[: len(acked)] == acked
        assert len(entries) <= len(acked) + 1
        assert log.append(b"on", 0).position == len(entries) + 1
        log.close()
        if len(acked) == 12:
            assert call > 2
            return
    pytest.fail("the fault was met at every call")


def test_files_deleted_or_changed_under_the_writer_stop_it(tmp_path: Path) -> None:
    """Nothing is acknowledged that a restart would not find."""

    def delete(segment: Path) -> None:
        segment.unlink()

    def delete_all(segment: Path) -> None:
        shutil.rmtree(segment.parent)

    def replace(segment: Path) -> None:
        copy = segment.with_suffix(".copy")
        copy.write_bytes(segment.read_bytes())
        copy.rename(segment)

    def truncate(segment: Path) -> None:
        os.truncate(segment, 100)

    def grow(segment: Path) -> None:
        with segment.open("ab") as file:
            file.write(b"x")

    for number, (harm, said) in enumerate(
        [
            (delete, "deleted or replaced"),
            (delete_all, "deleted or replaced"),
            (replace, "deleted or replaced"),
            (truncate, "another process changed it"),
            (grow, "another process changed it"),
        ]
    ):
        log = FileLog(tmp_path / str(number))
        log.append(b"x" * 50, 1)
        log.append(b"y" * 50, 1)
        harm(tmp_path / str(number) / "log" / f"{1:020d}.log")
        with pytest.raises(LogFailed, match=said):
            log.append(b"z", 2)
        with pytest.raises(LogFailed, match="earlier append failed"):
            log.append(b"z", 2)
        log.close()


def test_an_interrupt_in_an_append_ends_it_too(tmp_path: Path) -> None:
    class Interrupted(Disk):
        armed = False

        def sync(self, fd: int) -> None:
            if self.armed:
                raise KeyboardInterrupt
            super().sync(fd)

    disk = Interrupted()
    log = FileLog(tmp_path, disk=disk)
    disk.armed = True
    with pytest.raises(KeyboardInterrupt):
        log.append(b"x", 1)
    disk.armed = False
    with pytest.raises(LogFailed, match="KeyboardInterrupt"):
        log.append(b"x", 1)
    log.close()


def test_segments_are_bounded_but_for_a_single_record(tmp_path: Path) -> None:
    log = FileLog(tmp_path, segment_bytes=1000, disk=QuickDisk())
    for size in (100, 5000, 100, 100, 700, 850, 1, 5000):
        log.append(bytes(size), 1)
    assert len(list(log.read(1))) == 8
    log.close()
    sizes = sorted(path.stat().st_size for path in (tmp_path / "log").iterdir())
    assert [size for size in sizes if size > 1000 + 64] == [5000 + 72 + 64, 5000 + 72 + 64 + 64]


def test_a_missing_data_directory_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a relative one, which stays the same after a change of the working directory."""
    monkeypatch.chdir(tmp_path)
    log = FileLog("a/b/c", segment_bytes=150)
    monkeypatch.chdir("/")
    entries = [log.append(bytes(60), 1) for _ in range(3)]
    assert list(log.read(1)) == entries
    log.close()
    assert len(list((tmp_path / "a/b/c/log").iterdir())) == 3


APPENDING = """
import sys
from fairbook.log.file_log import FileLog
log = FileLog(sys.argv[1], segment_bytes=4000)
while True:
    entry = log.append(bytes([log.last.position % 251]) * (1 + log.last.position % 300), 0)
    sys.stdout.write(f"{entry.position} {entry.chain.hex()}\\n")
    sys.stdout.flush()
"""


def test_kill_9_loses_no_acknowledged_entry(tmp_path: Path) -> None:
    """The process writes acknowledged entries to a pipe, like answers to a client."""
    chance = Random(9)
    told = 0
    for _ in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", APPENDING, str(tmp_path)],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(SOURCE)},
        )
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(chance.randint(1, 60))]
        os.kill(writer.pid, signal.SIGKILL)
        lines += writer.stdout.read().splitlines()
        writer.stdout.close()
        assert writer.wait() == -signal.SIGKILL
        log = FileLog(tmp_path, segment_bytes=4000)
        for line in lines:
            position, chain = line.split()
            log.require(int(position), bytes.fromhex(chain.decode()))
            told = max(told, int(position))
        assert told <= log.last.position <= told + 1
        assert log.verify() == log.last
        log.close()
    assert told > 6
