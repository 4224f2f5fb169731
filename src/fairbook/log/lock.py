"""One writer per data directory: a lock on DIR/LOCK that the system releases when the process ends,
however it ends.

Design: flock on the file, whose text is the writer's process id, for people and for the
message of whoever is refused.

Invariants: while a lock is held, nobody else gets one on the same directory.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from fairbook.log.command_log import LogLocked

NAME = "LOCK"


def hold(directory: Path) -> int:
    """Lock a data directory, which exists; returns the file descriptor that holds the lock until it
    is closed.

    Raises LogLocked if somebody holds it.
    """
    path = directory / NAME
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
            os.close(fd)
            raise LogLocked(
                f"{path} is held by {f'process {holder}' if holder else 'another process'}:"
                " a data directory has one writer"
            ) from None
        except BaseException:
            os.close(fd)
            raise
        if is_held(fd, path):
            break
        os.close(
            fd
        )  # Deleted or replaced between opening and locking it: that lock excludes nobody.
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode("ascii"), 0)
    return fd


def hold_folder(folder: Path) -> int:
    """Lock a folder itself; returns the file descriptor that holds the lock.

    A file can be deleted while it is locked, a folder with files in it cannot: so this one holds
    when somebody has taken LOCK away. Raises LogLocked.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException as error:
        os.close(fd)
        if isinstance(error, BlockingIOError):
            raise LogLocked(
                f"{folder} is held by another process, whose {NAME} was deleted:"
                " a data directory has one writer"
            ) from None
        raise
    return fd


def is_held(fd: int, path: Path) -> bool:
    """Whether the file that `fd` locks is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False
