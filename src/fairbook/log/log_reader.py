"""Reading entries across segments, each one verified, from any position on.

Design: a segment is read from its header, which says what it continues, up to its end record,
which must be what the next header says; a place that was reached before saves the way there.

Invariants: entries come without a gap, each chained to the one before, or LogDamaged is raised
instead of the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from fairbook.log.command_log import Entry
from fairbook.log.compressed_segment import COMPRESSED_SUFFIX, open_segment
from fairbook.log.disk import Disk
from fairbook.log.log_scan import check_torn_tail
from fairbook.log.segments import (
    HEADER_BYTES,
    RECORD_BYTES,
    Header,
    HeaderInvalid,
    SegmentBytes,
    SegmentReader,
    damaged,
    find_mark,
    parse_header,
    read_record,
    segment_name,
)

_NEAR_BYTES: Final = 1 << 14


class LogOffset(NamedTuple):
    """Behind a sound record: in the segment that begins at position `first`, at `offset`, after the
    entry `last`.
    """

    first: int
    offset: int
    last: Entry


class LogReader:
    """One way through the segments that begin at `firsts`, from the place `start`, or else from the
    first of them on.

    `limit`: how many bytes of the last segment may be read. With `following`, an append that is not
    finished there ends the course; else it is damage.
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
        self._place = start
        self._reader: SegmentReader | None = None
        self._reading = 0
        self._disk = disk
        self._directory = directory
        self._firsts = firsts
        self._limit = limit
        self._following = following

    @property
    def place(self) -> LogOffset | None:
        """How far it came."""
        reader = self._reader
        if reader is not None:
            self._place = LogOffset(self._reading, reader.offset, reader.last)
        return self._place

    def entries(self) -> Iterator[Entry]:
        """Yield the entries. Raises LogDamaged."""
        for first in self._firsts:
            yield from self._segment(first, is_last=first == self._firsts[-1])

    def _segment(self, first: int, *, is_last: bool) -> Iterator[Entry]:
        octets = self._open(first)
        try:
            header = self._header(octets, first)
            place = self.place
            if place is None or place.first != first:
                place = LogOffset(first, HEADER_BYTES, header.before)
            reader = SegmentReader(
                octets,
                header,
                offset=place.offset,
                limit=self._limit if is_last else octets.size(),
                last=place.last,
            )
            self._reader, self._reading = reader, first
            yield from reader.entries()
            self._judge(reader, is_last=is_last)
        finally:
            octets.close()

    def _open(self, first: int) -> SegmentBytes:
        try:
            return open_segment(self._disk, self._directory, first)
        except FileNotFoundError:
            raise damaged(segment_name(first), 0, first, "the segment is missing") from None
        except HeaderInvalid as problem:
            raise damaged(segment_name(first, COMPRESSED_SUFFIX), 0, first, str(problem)) from None

    def _header(self, octets: SegmentBytes, first: int) -> Header:
        """The segment's header, which must continue the place where the course stands."""
        name = octets.name
        try:
            header = parse_header(octets.read(0, HEADER_BYTES))
        except HeaderInvalid as problem:
            raise damaged(name, 0, first, str(problem)) from None
        if header.first != first:
            raise damaged(name, 0, first, f"the header is that of {segment_name(header.first)}")
        place = self.place
        if place is not None and place.first != first and header.before != place.last:
            raise damaged(
                name,
                0,
                first,
                f"it continues position {header.first - 1}, chain {header.chain.hex()};"
                f" the segment before ends with position {place.last.position},"
                f" chain {place.last.chain.hex()}",
            )
        return header

    def _judge(self, reader: SegmentReader, *, is_last: bool) -> None:
        if is_last and self._following:
            check_torn_tail(reader)
        elif reader.fault:
            raise reader.damaged(reader.fault)
        elif not is_last and not reader.ended:
            raise reader.damaged("the segment has no end record, but it is not the last")


def seek(octets: SegmentBytes, first: int, position: int, *, limit: int) -> LogOffset | None:
    """Behind the record of `position` in the segment that begins at `first`, by checksums alone:
    nothing before it is verified. None if it is not found.

    How it works: positions rise, and the mark shows where records begin, so a handful of looks will
    do, however long the segment is.
    """
    try:
        mark = parse_header(octets.read(0, HEADER_BYTES)).mark
    except HeaderInvalid:
        return None
    low, high = HEADER_BYTES, limit
    while high - low > _NEAR_BYTES:
        middle = (low + high) // 2
        at = find_mark(octets, mark, middle, high)
        found = None if at is None else read_record(octets, mark, at)
        if at is not None and found is not None and found.position <= position:
            low = at
        else:
            high = middle
    while low < limit and (found := read_record(octets, mark, low)) is not None:
        low += RECORD_BYTES + len(found.frame)
        if found.position >= position:
            is_it = found.position == position and found.frame != b""
            return LogOffset(first, low, found._replace(frame=b"")) if is_it else None
    return None
