"""Durable files: after a crash or a failure at any step the name has the old content or the new."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairbook.log import durable_file
from fairbook.log.disk import Disk
from fairbook.log.durable_file import make_directory, write_file

OLD, NEW = b"old", b"new content"


class EndingDisk(Disk):
    """Ends the process just before its step `last`; syncs nothing."""

    def __init__(self, last: int) -> None:
        self.steps = 0
        self._last = last

    def sync(self, fd: int) -> None:
        self._step()

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        super().rename(old, new)

    def sync_directory(self, directory: Path) -> None:
        self._step()

    def _step(self) -> None:
        if self.steps == self._last:
            os._exit(0)
        self.steps += 1


@pytest.mark.parametrize("steps", range(4))
def test_a_crash_leaves_the_old_content_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """Another process can write the name afterwards, whatever is left over."""
    path = tmp_path / "name"
    write_file(path, [OLD])
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(durable_file, "_DISK", EndingDisk(steps))
        try:
            write_file(path, [NEW[:3], NEW[3:]])
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert path.read_bytes() == (OLD if steps < 2 else NEW)
    left = [each.name for each in tmp_path.iterdir() if each != path]
    assert left == ([f"name.{child}.new"] if steps < 2 else [])
    write_file(path, [b"later"])
    assert path.read_bytes() == b"later"


def test_a_leftover_of_an_earlier_process_with_this_number_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "name"
    leftover = path.with_name(f"name.{os.getpid()}.new")
    leftover.write_bytes(b"longer than what is written now")
    leftover.chmod(0o644)
    write_file(path, [NEW])
    assert path.read_bytes() == NEW
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_takes_no_space(tmp_path: Path) -> None:
    """A full disk stays usable for the log: the pieces that were written are removed."""

    def pieces() -> Iterator[bytes]:
        yield bytes(1 << 20)
        raise OSError(errno.ENOSPC, "no space left")

    path = tmp_path / "name"
    write_file(path, [OLD])
    with pytest.raises(OSError, match="no space left"):
        write_file(path, pieces())
    assert path.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_each_new_directory_is_made_durable_in_its_parent(tmp_path: Path) -> None:
    synced: list[Path] = []

    class NotingDisk(Disk):
        def sync_directory(self, directory: Path) -> None:
            synced.append(directory)

    make_directory(tmp_path / "a" / "b", NotingDisk())
    assert (tmp_path / "a" / "b").is_dir()
    assert synced == [tmp_path, tmp_path / "a"]
    make_directory(tmp_path / "a" / "b", NotingDisk())
    assert len(synced) == 2
