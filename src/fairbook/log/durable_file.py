"""Durable files: write `NAME.new`, sync it, rename it to NAME, sync the directory.

After a crash NAME has its old content or the new one, never a part. A `NAME.new` may be left over;
the next write replaces it. One writer for each name.
"""

from __future__ import annotations

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


def publish(path: Path, disk: Disk = _DISK) -> None:
    """Rename `NAME.new`, which is complete and synced, to NAME. Raises OSError."""
    disk.rename(new_path(path), path)
    disk.sync_directory(path.parent)


def write_file(path: Path, pieces: Iterable[bytes]) -> None:
    """Replace the content of a file, readable by its owner alone. Raises OSError."""
    new = new_path(path)
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        _DISK.sync(descriptor)
    publish(path)


def make_directory(path: Path, disk: Disk = _DISK) -> None:
    """Create a directory and its missing parents, each durable in its own. Raises OSError."""
    path = path.absolute()
    for each in (*reversed(path.parents), path):
        if not each.is_dir():
            disk.make_directory(each)
            disk.sync_directory(each.parent)
