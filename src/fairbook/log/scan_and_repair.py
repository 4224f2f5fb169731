"""Opening a log: scan its segments, and repair a torn tail.

Design: `scan_segments` reads the header of every segment, and the end record of every segment but
the last, and so knows that each continues the one before; it changes nothing. `repair_tail` reads
the last segment entry by entry, and removes what a crash can leave there, and nothing else:
- the bytes of one record at most, behind the last valid record, if no other record begins in them;
- a segment that was being created: without a valid header, with nothing behind it, after a segment
  without an end record.
It syncs what remains: a killed process may have written a record without syncing it.

Invariant: `repair_tail` removes no entry but the newest, and that only if its record is not valid;
otherwise it raises LogDamaged. Entries of earlier segments are verified when they are read.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fairbook.log.command_log import GENESIS, Entry, LogDamaged
from fairbook.log.compressed_segment import COMPRESSED_SUFFIX, CompressedSegment, open_segment
from fairbook.log.disk import Disk
from fairbook.log.durable_file import NEW_SUFFIX
from fairbook.log.segments import (
    HEADER_BYTES,
    RECORD_BYTES,
    RECORD_BYTES_MAX,
    SUFFIX,
    Header,
    HeaderInvalid,
    LogOffset,
    SegmentReader,
    damaged,
    first_of_name,
    pack_record,
    parse_record,
    read_header,
    segment_name,
    write_all,
)


class Segment(NamedTuple):
    """A segment as it was found."""

    name: str
    header: Header
    size: int
    """In bytes, before compression."""
    compressed_end: Entry | None
    """Of a compressed one: its last entry, without the frame."""


class Dropped(NamedTuple):
    """What `repair_tail` removed: an append that was interrupted and never answered."""

    segment: str
    offset: int
    size_bytes: int
    reason: str

    def __str__(self) -> str:
        return (
            f"segment {self.segment}: dropped {self.size_bytes} bytes from offset {self.offset}"
            f" ({self.reason}), an append that was under way at the last stop"
        )


@dataclass(frozen=True, slots=True)
class LogScan:
    """The segments of a log, in order, without a gap."""

    segments: tuple[Segment, ...]
    torn: Dropped | None = None
    """A last file without a valid header, not among the segments."""
    unfinished: bool = False
    """The last segment has a header and no record, and the one before it no valid end record."""
    new_files: tuple[str, ...] = ()
    """Files that a crash left before they got their name."""


def scan_segments(disk: Disk, directory: Path, *, since: int = 1) -> LogScan:
    """Scan from the segment that begins at position `since`.

    Raises LogDamaged; an absent directory is an empty log.
    """
    firsts, new_files = _names(disk, directory)
    firsts = [first for first in firsts if first >= since]
    segments: list[Segment] = []
    torn: Dropped | None = None
    unfinished = False
    for first in firsts:
        is_last = first == firsts[-1]
        found = _scan_segment(disk, directory, first, may_be_torn=is_last and len(firsts) > 1)
        if isinstance(found, Dropped):
            torn = found
            break
        if not segments:
            _check_first(found, since)
        else:
            fault = _link_fault(disk, directory, segments[-1], found)
            unfinished = (
                fault is not None
                and is_last
                and found.size == HEADER_BYTES
                and segments[-1].compressed_end is None
            )
            if fault is not None and not unfinished:
                raise fault
        segments.append(found)
    return LogScan(tuple(segments), torn=torn, unfinished=unfinished, new_files=tuple(new_files))


def _names(disk: Disk, directory: Path) -> tuple[list[int], list[str]]:
    """The first positions of the segments, ascending, and the names of unfinished files."""
    firsts: set[int] = set()
    new_files: list[str] = []
    try:
        names = disk.names(directory)
    except FileNotFoundError:
        names = []
    for name in names:
        first = first_of_name(name)
        if first is None:
            first = first_of_name(name, COMPRESSED_SUFFIX)
        if first is not None:
            firsts.add(first)
        elif name.endswith((SUFFIX + NEW_SUFFIX, COMPRESSED_SUFFIX + NEW_SUFFIX)):
            new_files.append(name)
        elif not name.startswith("."):
            raise LogDamaged(f"{directory / name} is not a segment of the log: move it away")
    return sorted(firsts), new_files


def repair_tail(
    disk: Disk, directory: Path, found: LogScan, newest_known: Callable[[], int] | None = None
) -> tuple[LogOffset, Dropped | None]:
    """Remove what a crash left, durably; returns the end of the log. `found` has a segment.

    newest_known: the newest position that must not be lost; called only if something would be
    removed. Raises LogDamaged.
    """
    # Everything is checked before anything is changed: a log that is refused stays as it was.
    last = found.segments[-1]
    reader = scan_tail(disk, directory, last)
    if reader.ended:
        raise reader.damaged(
            "the end record says that another segment was begun:"
            f" {segment_name(reader.last.position + 1)} is missing or has lost its header"
        )
    if reader.fault and newest_known is not None and newest_known() > reader.last.position:
        raise reader.damaged(
            f"{reader.fault}, but position {newest_known()} was durable: a snapshot has it"
        )
    before: SegmentReader | None = None
    if found.unfinished:
        before = scan_tail(disk, directory, found.segments[-2])
        if before.last != last.header.before:
            raise _link_damage(found.segments[-2], before.offset, last, before.last)

    # First: the end record must not be durable before the name of the segment that it announces.
    disk.sync_directory(directory)
    dropped = _cut(disk, directory, reader)
    if before is not None:
        _cut(disk, directory, before)
        _append_end(disk, directory / before.name, last.header.mark, before.last)
    elif len(found.segments) > 1 and reader.offset == HEADER_BYTES:
        end = found.segments[-2]
        if end.compressed_end is None:
            disk.rewrite(directory / end.name, end.size - RECORD_BYTES)
    disk.rewrite(directory / reader.name, reader.newest)
    if found.torn is not None:
        disk.remove(directory / found.torn.segment)
        dropped = dropped or found.torn
    for name in found.new_files:
        disk.remove(directory / name)
    if found.torn is not None or found.new_files:
        disk.sync_directory(directory)
    return LogOffset(last.header.first, reader.offset, reader.last), dropped


def _scan_segment(
    disk: Disk, directory: Path, first: int, *, may_be_torn: bool
) -> Segment | Dropped:
    """Read the header, and compare it with the file's name."""
    with closing(open_segment(disk, directory, first)) as segment:
        size = segment.size()
        try:
            header = read_header(segment, first)
        except HeaderInvalid as problem:
            if may_be_torn and size <= HEADER_BYTES:
                return Dropped(segment.name, 0, size, str(problem))
            raise damaged(segment.name, 0, first, str(problem)) from None
        end = segment.last if isinstance(segment, CompressedSegment) else None
        return Segment(segment.name, header, size, end)


def _check_first(segment: Segment, since: int) -> None:
    header = segment.header
    if header.first != since or (since == 1 and header.before != GENESIS):
        raise damaged(
            segment.name,
            0,
            header.first,
            f"it continues position {header.first - 1}, but nothing is before it:"
            f" {segment_name(since)} is missing",
        )


def _link_fault(
    disk: Disk, directory: Path, before: Segment, segment: Segment
) -> LogDamaged | None:
    """Compare the end record of a segment with the header of the next one."""
    if before.header.mark != segment.header.mark:
        return damaged(segment.name, 0, segment.header.first, "it is a segment of another log")
    offset = max(before.size - RECORD_BYTES, HEADER_BYTES)
    end = before.compressed_end
    if end is None:
        with closing(open_segment(disk, directory, before.header.first)) as file:
            end = parse_record(before.header.mark, file.read(offset, RECORD_BYTES))
    if end is None:
        return damaged(
            before.name,
            offset,
            segment.header.first,
            f"no valid end record before {segment.name}:"
            " the segment is cut, grown, changed, or an older copy",
        )
    if end.position < segment.header.first - 1:
        return damaged(
            before.name,
            offset,
            end.position + 1,
            f"{segment_name(end.position + 1)} is missing: the next one is {segment.name}",
        )
    if end != segment.header.before:
        return _link_damage(before, offset, segment, end)
    return None


def _link_damage(before: Segment, offset: int, segment: Segment, last: Entry) -> LogDamaged:
    expected = segment.header.before
    return damaged(
        before.name,
        offset,
        last.position + 1,
        f"it ends with position {last.position}, time {last.time_ns}, chain {last.chain.hex()};"
        f" {segment.name} continues position {expected.position}, time {expected.time_ns},"
        f" chain {expected.chain.hex()}",
    )


def scan_tail(disk: Disk, directory: Path, segment: Segment) -> SegmentReader:
    """Read a segment up to its last valid record; the reader has the end, and a torn append.

    Raises LogDamaged for any other fault.
    """
    header = segment.header
    with closing(open_segment(disk, directory, header.first)) as file:
        reader = SegmentReader(
            file, header, offset=HEADER_BYTES, limit=segment.size, last=header.before
        )
        for _ in reader.entries():
            pass
        check_torn_tail(reader)
    return reader


def check_torn_tail(reader: SegmentReader) -> None:
    """Raise LogDamaged unless the reader's fault, if any, can be an interrupted append."""
    if not reader.fault:
        return
    if reader.is_complete:
        raise reader.damaged(reader.fault)
    mark = reader.next_mark()
    if mark is not None:
        raise reader.damaged(
            f"{reader.fault}, and another record begins at offset {mark}: this is not a torn tail"
        )
    if reader.limit - reader.offset > RECORD_BYTES_MAX:
        raise reader.damaged(
            f"{reader.fault}, and {reader.limit - reader.offset} bytes follow:"
            f" one append writes at most {RECORD_BYTES_MAX}"
        )


def _cut(disk: Disk, directory: Path, reader: SegmentReader) -> Dropped | None:
    """Cut a segment durably behind its last valid record."""
    if not reader.fault:
        return None
    fd = disk.open(directory / reader.name, write=True)
    try:
        disk.truncate(fd, reader.offset)
    finally:
        disk.close(fd)
    return Dropped(reader.name, reader.offset, reader.limit - reader.offset, reader.fault)


def _append_end(disk: Disk, path: Path, mark: bytes, last: Entry) -> None:
    fd = disk.open(path, write=True)
    try:
        write_all(disk, fd, pack_record(mark, last))
        disk.sync(fd)
    finally:
        disk.close(fd)
