"""Room on the disk of the data directory: little of it pauses trading, so that cancels can go on.

Design: once a second the free bytes are asked for, off the order path. Below the low mark a pause
is logged, with the cause of an operator and a reason of its own; it ends by itself once there is a
quarter more than that. A file of the data directory holds bytes in reserve: below the last mark it
is removed, so that cancels go on being logged, and made anew when trading goes on.
"""

import asyncio
import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

from fairbook.core.admin_records import BY_OPERATOR, pause, resume
from fairbook.core.exchange import Exchange
from fairbook.followers.pauses import DISK_LOW
from fairbook.ports.commands import Busy, Commands, Stopped

RESERVE_NAME: Final = "reserve"

_LOW_BYTES_MAX: Final = 1 << 30
_LOW_SHARE: Final = 20  # of the file system: 5 %
_RESERVE_BYTES_MAX: Final = 64 << 20
_RESERVE_SHARE: Final = 8  # of the low mark
_PIECE_BYTES: Final = 1 << 20
_CHECK_S: Final = 1.0

logger = logging.getLogger(__name__)

FreeBytes = Callable[[Path], tuple[int, int]]
"""The bytes of a file system that this process may use, and all of it. Raises OSError."""


def free_bytes(directory: Path) -> tuple[int, int]:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


class DiskWatch:
    """Watches the file system of one data directory."""

    def __init__(
        self, directory: Path, *, low_bytes: int = 0, disk: FreeBytes = free_bytes
    ) -> None:
        """low_bytes: the low mark; 0: the smaller of 1 GiB and 5 % of the file system."""
        self._directory = directory.absolute()
        self._path = self._directory / RESERVE_NAME
        self._disk = disk
        self._free, whole = disk(directory)
        self._low = low_bytes or min(_LOW_BYTES_MAX, whole // _LOW_SHARE)
        self._reserve = min(_RESERVE_BYTES_MAX, self._low // _RESERVE_SHARE)
        if self._free < self._reserve:
            self._give_back()  # What a start writes must find room.

    def status(self) -> dict[str, Any]:
        return {
            "path": str(self._directory),
            "free_bytes": self._free,
            "low_bytes": self._low,
            "has_reserve": self._path.exists(),
        }

    async def run(self, commands: Commands, exchange: Exchange) -> None:
        """Watch until cancelled, or until the exchange has stopped."""
        while True:
            try:
                await self.check(commands, exchange)
            except Busy:
                pass  # In a second again.
            except Stopped:
                return
            await asyncio.sleep(_CHECK_S)

    async def check(self, commands: Commands, exchange: Exchange) -> None:
        """Raises Busy, Stopped."""
        self._free, _ = await asyncio.to_thread(self._disk, self._directory)
        reason = exchange.pause(BY_OPERATOR).reason
        if self._free < self._reserve:
            self._give_back()
        if self._free < self._low and reason == 0:
            logger.error("%s: trading is paused", self._sentence())
            await commands.submit(pause(BY_OPERATOR, DISK_LOW))
        elif self._free - self._missing_bytes() >= self._low + self._low // 4:
            if self._reserve and not self._path.exists():
                await asyncio.to_thread(self._make_reserve)
            if reason == DISK_LOW:
                logger.warning("%s: trading goes on", self._sentence())
                await commands.submit(resume(BY_OPERATOR))

    def _sentence(self) -> str:
        free, low = self._free >> 20, self._low >> 20
        return f"{free} MiB are free on the disk of {self._directory}, the low mark is {low} MiB"

    def _missing_bytes(self) -> int:
        return 0 if self._path.exists() else self._reserve

    def _give_back(self) -> None:
        try:
            self._path.unlink()
        except FileNotFoundError:
            return
        logger.error("%s: the reserve was given back, for cancels", self._sentence())

    def _make_reserve(self) -> None:
        """A file with real blocks; none if there is no room after all, or it cannot be written."""
        try:
            with self._path.open("wb") as file:
                _allocate(file, self._reserve)
        except OSError as error:
            self._path.unlink(missing_ok=True)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                self._reserve = 0
                logger.warning("there is no reserve for cancels: %s", error)


def _allocate(file: BinaryIO, size: int) -> None:
    if hasattr(os, "posix_fallocate"):  # not on macOS
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for _ in range(-(-size // _PIECE_BYTES)):
        file.write(bytes(_PIECE_BYTES))
