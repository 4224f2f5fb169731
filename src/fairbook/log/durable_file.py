"""Durable files: write a new file, sync it, rename it, sync the directory.

After a crash the name has the old content or the new one, never a part. A new file, `NAME.new` or
`NAME.PID.new`, may be left over.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from fairbook.log.disk import Disk

NEW_SUFFIX: Final = ".new"

_DISK: Final = Disk()


def new_path(path: Path) -> Path:
    """The name of a file until it is complete."""
    return path.with_name(path.name + NEW_SUFFIX)


def rename(path: Path, to: Path, disk: Disk = _DISK) -> None:
    """Rename a file within its directory, durably. Raises OSError."""
    disk.rename(path, to)
    disk.sync_directory(to.parent)


def publish(path: Path, disk: Disk = _DISK) -> None:
    """Rename `NAME.new`, which is complete and synced, to NAME. Raises OSError."""
    rename(new_path(path), path, disk)


def write_file(path: Path, pieces: Iterable[bytes]) -> None:
    """Replace the content of a file, readable by its owner alone. Raises OSError.

    Two processes may write the same name at once: the last one wins.
    """
    new = path.with_name(f"{path.name}.{os.getpid()}{NEW_SUFFIX}")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            _DISK.sync(descriptor)
        _DISK.rename(new, path)
    except BaseException:
        new.unlink(missing_ok=True)  # Else a full disk stays full.
        raise
    _DISK.sync_directory(path.parent)


def make_directory(path: Path, disk: Disk = _DISK) -> None:
    """Create a directory and its missing parents, each durable in its own. Raises OSError."""
    path = path.absolute()
    for each in (*reversed(path.parents), path):
        if not each.is_dir():
            disk.make_directory(each)
            disk.sync_directory(each.parent)
