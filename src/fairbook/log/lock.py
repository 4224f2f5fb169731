"""One writer per data directory: a lock on DIR/LOCK.

The system releases it when the process ends. The file contains the writer's process id, for people
and for the message to a second writer.
"""

import fcntl
import os
from pathlib import Path

from fairbook.log.command_log import LogLocked

NAME = "LOCK"


def hold(directory: Path) -> int:
    """Lock a data directory; returns the descriptor that holds the lock until it is closed.

    Raises LogLocked.
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
        os.close(fd)  # Deleted or replaced before it was locked: this lock excludes no one.
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode("ascii"), 0)
    return fd


def hold_directory(directory: Path) -> int:
    """Lock a directory itself; returns the descriptor that holds the lock. Raises LogLocked.

    A locked file can be deleted, a directory with files in it cannot: this lock excludes a second
    writer after LOCK was deleted.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException as error:
        os.close(fd)
        if isinstance(error, BlockingIOError):
            raise LogLocked(
                f"{directory} is held by another process, whose {NAME} was deleted:"
                " a data directory has one writer"
            ) from None
        raise
    return fd


def is_held(fd: int, path: Path) -> bool:
    """Whether the locked file still has its name."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False
