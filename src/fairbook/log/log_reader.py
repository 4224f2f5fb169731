"""Read entries across segments, each one verified, from any position on.

A segment is read from its header, which must continue the segment before, up to its end record. A
LogOffset that was reached before saves reading what precedes it.

Invariant: entries come without a gap, each chained to the one before; otherwise LogDamaged is
raised in place of the next one.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from fairbook.log.command_log import Entry
from fairbook.log.compressed_segment import open_segment
from fairbook.log.disk import Disk
from fairbook.log.scan_and_repair import check_torn_tail
from fairbook.log.segments import (
    HEADER_BYTES,
    RECORD_BYTES,
    Header,
    HeaderInvalid,
    LogOffset,
    SegmentBytes,
    SegmentReader,
    damaged,
    find_mark,
    parse_header,
    read_header,
    read_record,
    segment_name,
)

_NEAR_BYTES: Final = 1 << 14


class LogReader:
    """Reads the segments that begin at `firsts` once, from `start` or else from the first on.

    `limit`: how many bytes of the last segment may be read. With `following`, an unfinished append
    ends the reading; otherwise it is damage.
    """

    def __init__(
        self,
        disk: Disk,
        directory: Path,
        firsts: Sequence[int],
        *,
        start: LogOffset | None,
        limit: int,
        following: bool,
    ) -> None:
        self._start = start
        self._reader: SegmentReader | None = None
        self._first = 0
        self._disk = disk
        self._directory = directory
        self._firsts = firsts
        self._limit = limit
        self._following = following

    @property
    def offset(self) -> LogOffset | None:
        """How far it has come."""
        reader = self._reader
        if reader is None:
            return self._start
        return LogOffset(self._first, reader.offset, reader.last)

    def entries(self) -> Iterator[Entry]:
        """Raises LogDamaged."""
        for first in self._firsts:
            try:
                segment = open_segment(self._disk, self._directory, first)
            except FileNotFoundError:
                raise damaged(segment_name(first), 0, first, "the segment is missing") from None
            with closing(segment):
                yield from self._entries(segment, first)

    def _entries(self, segment: SegmentBytes, first: int) -> Iterator[Entry]:
        is_last = first == self._firsts[-1]
        header = self._header(segment, first)
        offset = self.offset
        if offset is None or offset.first != first:
            offset = LogOffset(first, HEADER_BYTES, header.before)
        reader = SegmentReader(
            segment,
            header,
            offset=offset.offset,
            limit=self._limit if is_last else segment.size(),
            last=offset.last,
        )
        self._reader, self._first = reader, first
        yield from reader.entries()
        if is_last and self._following:
            check_torn_tail(reader)
        elif reader.fault:
            raise reader.damaged(reader.fault)
        elif not is_last and not reader.ended:
            raise reader.damaged("the segment has no end record, but it is not the last")

    def _header(self, segment: SegmentBytes, first: int) -> Header:
        """The header of the segment, which must continue what was read before."""
        try:
            header = read_header(segment, first)
        except HeaderInvalid as problem:
            raise damaged(segment.name, 0, first, str(problem)) from None
        before = self.offset
        if before is not None and before.first != first and header.before != before.last:
            raise damaged(
                segment.name,
                0,
                first,
                f"it continues position {header.first - 1}, chain {header.chain.hex()};"
                f" the segment before ends with position {before.last.position},"
                f" chain {before.last.chain.hex()}",
            )
        return header


def seek(segment: SegmentBytes, first: int, position: int, *, limit: int) -> LogOffset | None:
    """Behind the record of `position` in the segment that begins at `first`; None if not found.

    A binary search: positions rise, and the mark shows where records begin. Only checksums are
    verified, and nothing before the record.
    """
    try:
        mark = parse_header(segment.read(0, HEADER_BYTES)).mark
    except HeaderInvalid:
        return None
    low, high = HEADER_BYTES, limit
    while high - low > _NEAR_BYTES:
        middle = (low + high) // 2
        at = find_mark(segment, mark, middle, high)
        found = None if at is None else read_record(segment, mark, at)
        if at is not None and found is not None and found.position <= position:
            low = at
        else:
            high = middle
    while low < limit and (found := read_record(segment, mark, low)) is not None:
        low += RECORD_BYTES + len(found.frame)
        if found.position >= position:
            is_found = found.position == position and found.frame != b""
            return LogOffset(first, low, found.without_frame()) if is_found else None
    return None
