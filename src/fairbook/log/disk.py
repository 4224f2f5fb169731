"""The few system calls that the file log makes: its only way to the disk.

Design: one method per call, nothing remembered. The tests have a disk of their own that
forgets what was not synced, so nothing here may be bypassed by the log.

Invariants: when `sync` has returned, what was written to the file survives a loss of power.
"""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path
from typing import final


@final
class Status:
    """What an open file looks like from outside."""

    __slots__ = ("links", "size")

    def __init__(self, *, links: int, size: int) -> None:
        self.links = links
        """Names that lead to the file; 0: it was deleted, or another file was renamed over it."""
        self.size = size
        """Bytes."""


class Disk:
    """The real disk. Every method raises OSError as the system gives it."""

    def names(self, directory: Path) -> list[str]:
        """Names in a directory, sorted. Raises FileNotFoundError."""
        return sorted(os.listdir(directory))

    def make_directory(self, directory: Path) -> None:
        """Create a directory whose parent exists; one that is there stays."""
        try:
            os.mkdir(directory)
        except FileExistsError:
            if not directory.is_dir():
                raise

    def create(self, path: Path) -> int:
        """Open a new, empty file for reading and appending; one of that name is emptied."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)

    def open(self, path: Path, *, write: bool = False) -> int:
        """Open a file that exists, for reading, or also for appending."""
        return os.open(path, os.O_RDWR | os.O_APPEND if write else os.O_RDONLY)

    def close(self, fd: int) -> None:
        """Close; nothing is synced."""
        os.close(fd)

    def status(self, fd: int) -> Status:
        """The file behind `fd`, now."""
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

    def write(self, fd: int, octets: bytes) -> int:
        """Append in one call; returns how many bytes were taken, which may be fewer when the disk
        is full.
        """
        return os.write(fd, octets)

    def rewrite(self, path: Path, offset: int) -> None:
        """Write the end of a file again as it is read, from `offset` on, and sync.

        After a failed sync the system may hold bytes in its cache as if they were on disk: a sync
        alone would skip them.
        """
        fd = os.open(path, os.O_RDWR)
        try:
            octets = self.read(fd, offset, os.fstat(fd).st_size - offset)
            if os.pwrite(fd, octets, offset) != len(octets):
                raise OSError(f"{path}: written only in part: no space left?")
            self.sync(fd)
        finally:
            os.close(fd)

    if sys.platform == "darwin":

        def sync(self, fd: int) -> None:
            """Make the contents of a file durable. Plain fsync leaves them in the drive's cache
            there.
            """
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:

        def sync(self, fd: int) -> None:
            """Make the contents of a file, and the size needed to read them, durable."""
            os.fdatasync(fd)

    def forget(self, fd: int) -> None:
        """Let the next read of what was synced come from the device, where the system allows it."""
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
        os.fsync(fd)  # Whether fdatasync makes a smaller size durable is the file system's choice.
        self.sync(fd)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name, in one step."""
        os.rename(old, new)

    def remove(self, path: Path) -> None:
        """Take a name away."""
        os.unlink(path)
