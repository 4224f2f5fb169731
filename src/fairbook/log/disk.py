"""The system calls of the file log, one method each: the file log makes no other calls.

Tests replace it by a simulated disk that loses what was not synced. When `sync` has returned, what
was written to the file survives a loss of power.
"""

import fcntl
import os
import sys
from pathlib import Path
from typing import NamedTuple


class Status(NamedTuple):
    """Of an open file."""

    links: int
    """Names of the file; 0: it was deleted, or another file was renamed over it."""
    size: int


class Disk:
    """Operations on files. Every method raises OSError."""

    def names(self, directory: Path) -> list[str]:
        """Sorted. Raises FileNotFoundError."""
        return sorted(os.listdir(directory))

    def make_directory(self, directory: Path) -> None:
        """Create a directory whose parent exists; does nothing if it exists."""
        try:
            os.mkdir(directory)
        except FileExistsError:
            if not directory.is_dir():
                raise

    def create(self, path: Path) -> int:
        """Open an empty file for reading and appending; an existing one is emptied."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)

    def open(self, path: Path, *, write: bool = False) -> int:
        """Open an existing file for reading, or also for appending."""
        return os.open(path, os.O_RDWR | os.O_APPEND if write else os.O_RDONLY)

    def close(self, fd: int) -> None:
        os.close(fd)

    def status(self, fd: int) -> Status:
        status = os.fstat(fd)
        return Status(links=status.st_nlink, size=status.st_size)

    def read(self, fd: int, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset`; fewer only at the end of the file."""
        first = os.pread(fd, size, offset)
        if not first or len(first) == size:
            return first
        parts = [first]
        got = len(first)
        while got < size and (part := os.pread(fd, size - got, offset + got)):
            parts.append(part)
            got += len(part)
        return b"".join(parts)

    def write(self, fd: int, data: bytes) -> int:
        """Append in one call; returns how many bytes were written: fewer if the disk is full."""
        return os.write(fd, data)

    def rewrite(self, path: Path, offset: int) -> None:
        """Write what a file contains from `offset` on once more, and sync.

        After a failed sync the system may treat bytes in its cache as written, and a second sync
        would skip them.
        """
        fd = os.open(path, os.O_RDWR)
        try:
            data = self.read(fd, offset, os.fstat(fd).st_size - offset)
            if os.pwrite(fd, data, offset) != len(data):
                raise OSError(f"{path}: only a part was written: no space left?")
            self.sync(fd)
        finally:
            os.close(fd)

    if sys.platform == "darwin":

        def sync(self, fd: int) -> None:
            """Make the content durable. Here fsync leaves it in the drive's cache."""
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:

        def sync(self, fd: int) -> None:
            """Make the content and the size of a file durable."""
            os.fdatasync(fd)

    def forget(self, fd: int) -> None:
        """Drop the file from the page cache, so that the next read comes from the device."""
        if sys.platform == "linux":
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def sync_directory(self, directory: Path) -> None:
        """Make the names in a directory durable."""
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def truncate(self, fd: int, size: int) -> None:
        """Cut a file to `size` bytes, durably."""
        os.ftruncate(fd, size)
        os.fsync(fd)  # fdatasync need not make a smaller size durable.
        self.sync(fd)

    def rename(self, old: Path, new: Path) -> None:
        os.rename(old, new)

    def remove(self, path: Path) -> None:
        os.unlink(path)
