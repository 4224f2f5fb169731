"""Compress old segments in a thread of the process that writes the log.

Which segments, and the order of the steps: docs/reference/log-format.md. The thread pauses four
times as long as it works, and releases the GIL while it compresses. It keeps its normal priority: a
thread of low priority that holds the GIL would delay all others.

Invariants:
- at every moment each entry is durable in at least one of the two forms;
- a segment that is damaged at its ends is left alone and reported.
"""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Final

from fairbook.log.command_log import LogDamaged
from fairbook.log.compressed_segment import BLOCK_BYTES, COMPRESSED_SUFFIX, write_compressed
from fairbook.log.disk import Disk
from fairbook.log.durable_file import new_path, publish
from fairbook.log.file_log import DIRECTORY
from fairbook.log.scan_and_repair import scan_segments
from fairbook.log.segments import HEADER_BYTES, PlainSegment, first_of_name, segment_name

LOOK_EVERY_S: Final = 10.0
CPU_SHARE: Final = 0.2
"""Of one processor, at most."""


class _Stopped(Exception):
    """`stop` was called in the middle of the work."""


class SegmentCompressor:
    """The thread that compresses old segments of DIR/log; one per log."""

    def __init__(
        self,
        directory: Path | str,
        *,
        disk: Disk | None = None,
        block_bytes: int = BLOCK_BYTES,
        look_every_s: float = LOOK_EVERY_S,
        on_problem: Callable[[str], None] = lambda problem: None,
    ) -> None:
        """directory: the data directory. on_problem: called in the thread, for the operator."""
        self._directory = Path(directory).absolute() / DIRECTORY
        self._disk = Disk() if disk is None else disk
        self._block_bytes = block_bytes
        self._look_every_s = look_every_s
        self._on_problem = on_problem
        self._reported = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-compressor", daemon=True)
        self._working_since_s = 0.0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop soon. An unfinished file is left, and removed by the next start."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def compress_all(self, pause: Callable[[], None] = lambda: None) -> int:
        """Compress every segment that can be; returns how many. Raises LogDamaged, OSError.

        pause: called after each block.
        """
        count = 0
        while (first := self._oldest_plain()) is not None:
            self._compress(first, pause)
            count += 1
        return count

    def _oldest_plain(self) -> int | None:
        """The first position of the next segment to be compressed."""
        names = self._disk.names(self._directory)
        if sum(first_of_name(name) is not None for name in names) < 2:
            return None
        for segment, after in pairwise(scan_segments(self._disk, self._directory).segments):
            # An entry in the next segment shows that the end record of this one is durable and
            # that the writer has closed it.
            if segment.compressed_end is None and after.size > HEADER_BYTES:
                return segment.header.first
        return None

    def _compress(self, first: int, pause: Callable[[], None]) -> None:
        disk, directory = self._disk, self._directory
        path = directory / segment_name(first, COMPRESSED_SUFFIX)
        with closing(PlainSegment(disk, directory, first)) as source:
            write_compressed(disk, source, new_path(path), pause, block_bytes=self._block_bytes)
            publish(path, disk)
            disk.remove(directory / source.name)
            disk.sync_directory(directory)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._working_since_s = time.monotonic()
            try:
                self.compress_all(self._pause)
                self._reported = ""
            except _Stopped:
                return
            except (LogDamaged, OSError) as problem:
                # Trading goes on without it. It is tried again, and reported once.
                if self._reported != str(problem):
                    self._reported = str(problem)
                    self._on_problem(self._reported)
            self._stopping.wait(self._look_every_s)

    def _pause(self) -> None:
        worked_s = time.monotonic() - self._working_since_s
        if self._stopping.wait(worked_s * (1 / CPU_SHARE - 1)):
            raise _Stopped
        self._working_since_s = time.monotonic()
