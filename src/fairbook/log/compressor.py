"""Old segments are compressed: what was written once and is seldom read takes less room.

Design: a thread of the process that writes the log looks every few seconds for segments that
have a successor with an entry in it, oldest first. The compressed form is written aside, synced,
read back and compared; it gets its name, the directory is synced, and only then the plain file is
removed. The thread rests four times as long as it works, and lets go of the interpreter while it
compresses. It has no low priority: one that holds the interpreter and is not given the processor
would hold up all the others.

Invariants:
- at every moment each entry is durable in at least one of the two forms; if both are there, the
  plain one counts, and the other is made anew;
- nothing is ever pruned: genesis stays readable;
- a segment that is not sound at its ends is left alone, and said.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Final

from fairbook.log.command_log import LogDamaged
from fairbook.log.compressed_segment import BLOCK_BYTES, COMPRESSED_SUFFIX, pack
from fairbook.log.disk import Disk
from fairbook.log.durable_file import new_path, publish
from fairbook.log.file_log import DIRECTORY
from fairbook.log.log_scan import scan_segments
from fairbook.log.segments import (
    HEADER_BYTES,
    HeaderInvalid,
    PlainSegment,
    first_of_name,
    segment_name,
)

LOOK_EVERY_S: Final = 10.0
SHARE: Final = 0.2
"""Of one processor, at most, while there is something to do."""


class _Ending(Exception):
    """The archive is to end in the middle of its work."""


class SegmentCompressor:
    """The old segments of the log in DIR/log. One for each log, in the process that writes it."""

    def __init__(
        self,
        directory: Path | str,
        *,
        disk: Disk | None = None,
        block_bytes: int = BLOCK_BYTES,
        look_every_s: float = LOOK_EVERY_S,
        tell: Callable[[str], None] = lambda problem: None,
    ) -> None:
        """directory: of all data. tell: called in the thread, with what a person should know."""
        self._directory = Path(directory).absolute() / DIRECTORY
        self._disk = Disk() if disk is None else disk
        self._block_bytes = block_bytes
        self._look_every_s = look_every_s
        self._tell = tell
        self._told = ""
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-archive", daemon=True)
        self._worked_from_s = 0.0

    def start(self) -> None:
        """Begin to look; at once, and then again and again."""
        self._thread.start()

    def stop(self) -> None:
        """End soon; what is half done is left aside, and removed by the next start."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def compress_all(self, rest: Callable[[], None] = lambda: None) -> int:
        """Compress every segment that can be; returns how many. `rest` is called ever so often.

        Raises LogDamaged, OSError.
        """
        count = 0
        while (first := self._oldest_plain()) is not None:
            self._compress(first, rest)
            count += 1
        return count

    def _oldest_plain(self) -> int | None:
        """The first position of the next segment to be compressed."""
        names = self._disk.names(self._directory)
        if sum(first_of_name(name) is not None for name in names) < 2:
            return None
        for segment, after in pairwise(scan_segments(self._disk, self._directory).segments):
            # An entry in the next segment says that the end record of this one is durable, and
            # that its writer has let go of it.
            if segment.compressed_end is None and after.size > HEADER_BYTES:
                return segment.header.first
        return None

    def _compress(self, first: int, rest: Callable[[], None]) -> None:
        disk, directory = self._disk, self._directory
        path = directory / segment_name(first, COMPRESSED_SUFFIX)
        new = new_path(path)
        source = PlainSegment(disk, directory, first)
        try:
            try:
                pack(disk, source, new, rest, block_bytes=self._block_bytes)
            except HeaderInvalid as problem:
                raise OSError(f"{new.name} was not read back: {problem}") from problem
            publish(path, disk)
            disk.remove(directory / source.name)
            disk.sync_directory(directory)
        finally:
            source.close()

    def _run(self) -> None:
        while not self._ending.is_set():
            self._worked_from_s = time.monotonic()
            try:
                self.compress_all(self._rest)
                self._told = ""
            except _Ending:
                return
            except (LogDamaged, OSError) as problem:
                # Trading does not need it. It is tried again, and said once.
                if self._told != str(problem):
                    self._told = str(problem)
                    self._tell(self._told)
            self._ending.wait(self._look_every_s)

    def _rest(self) -> None:
        worked_s = time.monotonic() - self._worked_from_s
        if self._ending.wait(worked_s * (1 / SHARE - 1)):
            raise _Ending
        self._worked_from_s = time.monotonic()
