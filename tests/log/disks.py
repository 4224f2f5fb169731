"""Disks for tests: a disk that never syncs, and a disk that loses what was not synced.

Design: `ForgetfulDisk` changes real files, which processes see, and keeps beside them what a power
cut would leave: the durable bytes and names, and the pending ones. `images` yields the possible
states after a cut: any prefix of the pending changes of a directory, and of the pending bytes a
prefix of any length, or the full length with zeros for missing bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from fairbook.log.disk import Disk


class QuickDisk(Disk):
    """Never syncs: for tests without power cuts."""

    def sync(self, fd: int) -> None:
        pass

    def sync_directory(self, directory: Path) -> None:
        pass

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)


class Inode:
    """The durable bytes of a file, and the pending ones: (offset, bytes), in order."""

    def __init__(self) -> None:
        self.durable = bytearray()
        self.pending: list[tuple[int, bytes]] = []

    def with_pending(self, taken: int, *, sized: bool) -> bytes:
        """The bytes after the first `taken` pending ones; sized: with the size after all."""
        octets = bytearray(self.durable)
        for offset, piece in self.pending:
            arrived = piece[: max(taken, 0)]
            taken -= len(piece)
            whole = offset + (len(piece) if sized else len(arrived))
            if arrived or sized:
                octets.extend(bytes(max(0, whole - len(octets))))
            octets[offset : offset + len(arrived)] = arrived
        return bytes(octets)

    @property
    def pending_bytes(self) -> int:
        return sum(len(piece) for _, piece in self.pending)

    def settle(self) -> None:
        """Make pending bytes durable."""
        self.durable[:] = self.with_pending(self.pending_bytes, sized=True)
        self.pending.clear()


Image = dict[Path, bytes | None]
"""Paths and contents; None for a directory."""
Names = dict[Path, Inode | None]


class ForgetfulDisk(Disk):
    """Counts its changes in `steps`, and calls `after_step` after each. failing_sync: the number of
    the sync that fails.
    """

    def __init__(self, after_step: Callable[[], None] = lambda: None) -> None:
        self.after_step = after_step
        self.steps = 0
        self.syncs = 0
        self.failing_sync: int | None = None
        self._durable: Names = {}
        self._pending: list[tuple[Path, Path | None, Inode | None]] = []  # Name, new name, inode.
        self._seen: Names = {}
        self._open: dict[int, Inode] = {}

    def adopt(self, directory: Path) -> None:
        """Take the content of a directory as durable."""
        for path in directory.rglob("*"):
            inode = None
            if path.is_file():
                inode = Inode()
                inode.durable[:] = path.read_bytes()
            self._durable[path] = self._seen[path] = inode

    def images(self, chance: Random, *, every_byte: bool) -> Iterator[Image]:
        """The possible states after a power cut now; without `every_byte` a sample of them."""
        for names in self._namespaces():
            loose = [inode for inode in names.values() if inode is not None and inode.pending]
            total = sum(inode.pending_bytes for inode in loose)
            cuts = list(range(total + 1))
            if not every_byte and total > 2:
                cuts = [0, chance.randrange(1, total), total]
            for cut in cuts:
                yield self._image(names, cut, sized=False)
            for cut in cuts if len(cuts) < 4 else chance.sample(cuts, 4):
                yield self._image(names, cut, sized=True)

    def _image(self, names: Names, cut: int, *, sized: bool) -> Image:
        image: Image = {}
        for path, inode in names.items():
            image[path] = None
            if inode is not None:
                image[path] = inode.with_pending(cut, sized=sized)
                cut -= inode.pending_bytes
        for path in sorted(names):
            if path.parent in self._seen and path.parent not in image:
                del image[path]  # Its directory is lost.
        return image

    def _namespaces(self) -> Iterator[Names]:
        names = dict(self._durable)
        yield names
        for change in self._pending:
            names = dict(names)
            _apply(names, change)
            yield names

    def _change(self, name: Path, new_name: Path | None, inode: Inode | None) -> None:
        change = (name, new_name, inode)
        self._pending.append(change)
        _apply(self._seen, change)
        self._step()

    def _step(self) -> None:
        self.steps += 1
        self.after_step()

    def make_directory(self, directory: Path) -> None:
        known = directory.is_dir()
        super().make_directory(directory)
        if not known:
            self._change(directory, directory, None)

    def create(self, path: Path) -> int:
        fd = super().create(path)
        self._open[fd] = inode = Inode()
        self._change(path, path, inode)
        return fd

    def open(self, path: Path, *, write: bool = False) -> int:
        fd = super().open(path, write=write)
        inode = self._seen[path]
        assert inode is not None
        self._open[fd] = inode
        return fd

    def close(self, fd: int) -> None:
        super().close(fd)
        del self._open[fd]

    def write(self, fd: int, octets: bytes) -> int:
        offset = self.status(fd).size
        written = super().write(fd, octets)
        self._open[fd].pending.append((offset, octets[:written]))
        self._step()
        return written

    def rewrite(self, path: Path, offset: int) -> None:
        inode = self._seen[path]
        assert inode is not None
        inode.pending.append((offset, path.read_bytes()[offset:]))
        self._step()
        self._sync(inode)

    def sync(self, fd: int) -> None:
        self._sync(self._open[fd])

    def _sync(self, inode: Inode) -> None:
        self.syncs += 1
        if self.syncs == self.failing_sync:
            # Like Linux: the error is reported once, and the pages count as clean afterwards.
            inode.pending.clear()
            raise OSError(5, "Input/output error")
        inode.settle()
        self._step()

    def sync_directory(self, directory: Path) -> None:
        for change in [change for change in self._pending if change[0].parent == directory]:
            self._pending.remove(change)
            _apply(self._durable, change)
        self._step()

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)
        inode = self._open[fd]
        inode.settle()
        del inode.durable[size:]
        self._step()

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        self._change(old, new, self._seen[old])

    def remove(self, path: Path) -> None:
        super().remove(path)
        self._change(path, None, None)


def _apply(names: Names, change: tuple[Path, Path | None, Inode | None]) -> None:
    name, new_name, inode = change
    names.pop(name, None)
    if new_name is not None:
        names[new_name] = inode
