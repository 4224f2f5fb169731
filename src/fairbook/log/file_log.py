"""The command log in files: what makes an accepted command durable.

Files, order of writing, and what a start verifies: docs/reference/log-format.md. A log opened
`read_only` changes nothing, takes no lock, and follows a writer in another process.

Invariants:
- an entry is returned by `append` after its record is synced, in a file that still has its name and
  only what this log wrote;
- after a failed append no other is tried: only the next opening shows what a failed sync left;
- a record goes into a segment only when the one before has its end record.
"""

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from fairbook.log import lock
from fairbook.log.command_log import (
    GENESIS,
    GENESIS_CHAIN,
    Entry,
    LogDamaged,
    LogFailed,
    entry_after,
    require_entry,
)
from fairbook.log.compressed_segment import open_segment
from fairbook.log.disk import Disk
from fairbook.log.durable_file import make_directory
from fairbook.log.log_reader import LogReader, seek
from fairbook.log.scan_and_repair import Dropped, Segment, repair_tail, scan_segments, scan_tail
from fairbook.log.segments import (
    HEADER_BYTES,
    MARK_BYTES,
    Header,
    LogOffset,
    create_segment,
    pack_record,
    segment_name,
    write_all,
)

DIRECTORY: Final = "log"
SEGMENT_BYTES: Final = 64 * 1024 * 1024


class FileLog:
    """The log in DIR/log. `append` is for one thread at a time, all else for any thread."""

    def __init__(
        self,
        directory: Path | str,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        read_only: bool = False,
        newest_known: Callable[[], int] | None = None,
        disk: Disk | None = None,
    ) -> None:
        """Open DIR/log; a writer creates what is missing. Raises LogDamaged, LogLocked, OSError.

        segment_bytes: a segment grows beyond it only for a single record.
        newest_known: called when a torn tail is found; returns the newest position that is known
        to have been durable (from a snapshot). A log that would end before it is refused.
        """
        self._disk = Disk() if disk is None else disk
        self._directory = Path(directory).absolute() / DIRECTORY
        self._segment_bytes = segment_bytes
        self._read_only = read_only
        self._newest_known = newest_known
        self._refusal: str | None = "the log was opened read-only" if read_only else None
        self._fd = -1
        self._lock_fd = -1
        self._directory_fd = -1
        self._mark = b""
        self._firsts: list[int] = []  # Of the segments, ascending.
        self._end = LogOffset(0, 0, GENESIS)
        # Where a reader was: the next one does not read the segment again.
        self._cursor: LogOffset | None = None
        self.dropped: Dropped | None = None
        """What a crash left and opening removed, for the operator."""
        try:
            if read_only:
                self._follow()
            else:
                self._open()
        except BaseException:
            self.close()
            raise

    @property
    def last(self) -> Entry:
        """Read-only: the newest entry that was seen."""
        return self._end.last

    def append(self, frame: bytes, time_ns: int) -> Entry:
        if self._refusal is not None:
            raise LogFailed(self._refusal)
        end = self._end
        entry = entry_after(end.last, frame, time_ns)
        record = pack_record(self._mark, entry)
        try:
            if end.offset + len(record) > self._segment_bytes and entry.position > end.first:
                end = self._rotate(end)
            offset = end.offset + len(record)
            self._write(self._fd, record, offset)
        except BaseException as error:
            # Also an interrupt: how much is on disk is unknown.
            self._refusal = f"an earlier append failed: {error!r}"
            if isinstance(error, OSError):
                raise LogFailed(
                    f"the append of position {entry.position} failed: {error}"
                ) from error
            raise
        self._end = LogOffset(end.first, offset, entry.without_frame())
        return entry

    def read(self, first: int) -> Iterator[Entry]:
        """Read-only: up to the last complete record in the files, which may not be synced yet."""
        if first < 1:
            raise ValueError(f"positions count from 1, not {first}")
        end = self._end
        if self._read_only:
            segments = self._scan_new()
            limit = segments[-1].size if segments else 0
            firsts = self._firsts
        else:
            limit = end.offset
            firsts = [begin for begin in self._firsts if begin <= end.first]
        return self._read(first, firsts, limit)

    def read_near(self, first: int) -> Iterator[Entry]:
        """As `read`, but found by a binary search: the entry before `first`, which must be in the
        log, is believed. Other readers are not affected.
        """
        end = self._end
        start = self._seek(first - 1) if first > 1 else None
        begin = first if start is None else start.first
        reader = LogReader(
            self._disk,
            self._directory,
            [each for each in self._firsts if begin <= each <= end.first],
            start=start,
            limit=end.offset,
            following=self._read_only,
        )
        if start is None and first > 1:
            raise LogDamaged(f"the entry before position {first} cannot be read")
        yield from reader.entries()

    def require(self, position: int, chain: bytes) -> None:
        last = self.last
        found: bytes | None = None
        if position == 0:
            found = GENESIS_CHAIN
        elif position == last.position:
            found = last.chain
        elif position < last.position:
            offset = self._seek(position)
            if offset is not None and offset.last.chain == chain:
                # The caller trusts this chain, so what follows can be verified against it.
                self._cursor = offset
                return
            found = next(self.read(position)).chain
        require_entry(last, position, chain, found)

    def _seek(self, position: int) -> LogOffset | None:
        """Behind the record of a position; nothing before it is verified. None if not found."""
        first = self._firsts[bisect_right(self._firsts, position) - 1]
        try:
            segment = open_segment(self._disk, self._directory, first)
        except (FileNotFoundError, LogDamaged):
            return None
        with closing(segment):
            limit = self._end.offset if first == self._end.first else segment.size()
            return seek(segment, first, position, limit=limit)

    def verify(self) -> Entry:
        """Read every entry; returns the last one, without its frame. Raises LogDamaged."""
        last = GENESIS
        for entry in self.read(1):
            last = entry
        return last.without_frame()

    def close(self) -> None:
        """Syncs nothing: what was appended is durable, and what failed must not be retried."""
        if self._refusal is None:
            self._refusal = "the log is closed"
        if self._fd >= 0:
            self._disk.close(self._fd)
        for fd in (self._directory_fd, self._lock_fd):
            if fd >= 0:
                os.close(fd)
        self._fd = self._directory_fd = self._lock_fd = -1

    def _open(self) -> None:
        """Become the writer."""
        disk, directory = self._disk, self._directory
        data_directory = directory.parent
        make_directory(data_directory, disk)
        self._lock_fd = lock.hold(data_directory)
        disk.make_directory(directory)
        self._directory_fd = lock.hold_directory(directory)
        # Also if they existed: the process that created them may have been killed before the sync.
        disk.sync_directory(data_directory.parent)
        disk.sync_directory(data_directory)
        found = scan_segments(disk, directory)
        if not found.segments:
            for name in found.new_files:
                disk.remove(directory / name)
            self._mark = os.urandom(MARK_BYTES)
            header = Header(self._mark, 1, 0, GENESIS_CHAIN)
            self._fd = create_segment(disk, directory, header)
            self._firsts = [1]
            self._end = LogOffset(1, HEADER_BYTES, GENESIS)
            return
        self._end, self.dropped = repair_tail(disk, directory, found, self._newest_known)
        self._mark = found.segments[-1].header.mark
        self._firsts = [segment.header.first for segment in found.segments]
        self._fd = disk.open(directory / segment_name(self._end.first), write=True)

    def _follow(self) -> None:
        """Find the end of a log that another process may be writing."""
        segments = self._scan_new()
        if segments:
            reader = scan_tail(self._disk, self._directory, segments[-1])
            self._end = self._cursor = LogOffset(self._firsts[-1], reader.offset, reader.last)

    def _scan_new(self) -> tuple[Segment, ...]:
        """The segments from the one that was last at the previous scan, which may have grown."""
        since = self._firsts[-1] if self._firsts else 1
        found = scan_segments(self._disk, self._directory, since=since)
        # A new segment does not count while the one before has no end record: its writer is about
        # to write it, or was killed.
        segments = found.segments[:-1] if found.unfinished else found.segments
        if not segments and self._firsts:
            raise LogDamaged(f"segment {segment_name(since)} is missing: it was there before")
        self._firsts = self._firsts[:-1] + [segment.header.first for segment in segments]
        return segments

    def _write(self, fd: int, data: bytes, size: int) -> None:
        """Append and sync. Raises OSError unless the file then has `size` bytes and its name."""
        disk = self._disk
        write_all(disk, fd, data)
        disk.sync(fd)
        # After the sync, so that it shows what happened meanwhile; it takes 1 % of the sync.
        status = disk.status(fd)
        if status.links == 0:
            raise OSError("the segment was deleted or replaced by another process")
        if status.size != size:
            raise OSError(
                f"the segment has {status.size} bytes, expected {size}: another process changed it"
            )

    def _rotate(self, end: LogOffset) -> LogOffset:
        """Create the next segment, and end the old one when the new one is durable: so a missing
        one is noticed.
        """
        if not lock.is_held(self._lock_fd, self._directory.parent / lock.NAME):
            raise OSError(f"{lock.NAME} was deleted or replaced: this log may have another writer")
        last = end.last
        header = Header(self._mark, last.position + 1, last.time_ns, last.chain)
        fd = create_segment(self._disk, self._directory, header)
        try:
            record = pack_record(self._mark, last)
            self._write(self._fd, record, end.offset + len(record))
        except BaseException:
            self._disk.close(fd)
            raise
        self._disk.close(self._fd)
        self._fd = fd
        self._firsts.append(header.first)
        self._end = LogOffset(header.first, HEADER_BYTES, last)
        return self._end

    def _read(self, first: int, firsts: list[int], limit: int) -> Iterator[Entry]:
        """`limit`: how many bytes of the last of the segments `firsts` may be read."""
        if not firsts:
            return
        begin = firsts[max(bisect_right(firsts, first) - 1, 0)]
        start = self._cursor
        if start is not None and begin <= start.first <= firsts[-1] and start.last.position < first:
            begin = start.first
        else:
            start = None
        reader = LogReader(
            self._disk,
            self._directory,
            [each for each in firsts if each >= begin],
            start=start,
            limit=limit,
            following=self._read_only,
        )
        try:
            entries = reader.entries()
            for entry in entries:
                if entry.position >= first:
                    yield entry
                    break
            yield from entries
        finally:
            reached = self._cursor = reader.offset
            if self._read_only and reached and reached.last.position > self._end.last.position:
                self._end = reached
