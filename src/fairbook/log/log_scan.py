"""What is in the log's directory when it is opened: which segments, whether they belong together,
what a crash left.

Design: `survey` reads the header of every segment and the end record of every segment but the
last, and so knows that each continues the one before; it changes nothing. `mend` goes through the
last segment entry by entry, and takes away what a crash may have left there, and nothing else:
- the bytes of one record at most, behind the last sound record, when no further record begins in
  them;
- a segment that was being begun, when it has no sound header and nothing behind it, and the one
  before has no end record. What it leaves it makes durable: a process that was killed may have
  written without having synced.

Invariants: `mend` takes away no entry but the newest, and that only if its record is not sound;
else it raises LogDamaged.
"""

from __future__ import annotations

from collections.abc import Callable
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
    SegmentReader,
    damaged,
    first_of_name,
    pack_record,
    parse_end,
    parse_header,
    segment_name,
)


class Segment(NamedTuple):
    """A segment as the survey saw it."""

    name: str
    header: Header
    size: int
    """In bytes, before compression."""
    compressed_end: Entry | None
    """Of a compressed one: its last entry, without the frame."""


class Dropped(NamedTuple):
    """What `mend` took away: an append that was under way in a crash, and was never answered."""

    segment: str
    offset: int
    size_bytes: int
    reason: str

    def __str__(self) -> str:
        return (
            f"segment {self.segment}: dropped {self.size_bytes} bytes from offset {self.offset}"
            f" ({self.reason}), an append that was under way at the last stop"
        )


class Tail(NamedTuple):
    """Where the log ends: the offset behind the newest entry, and that entry without its frame."""

    offset: int
    last: Entry


@dataclass(frozen=True, slots=True)
class LogScan:
    """The segments of a log, in order. None is missing between them."""

    segments: tuple[Segment, ...]
    torn: Dropped | None = None
    """A last file without a sound header, not among the segments."""
    unfinished: bool = False
    """The last segment has a header and no record, and the one before it has no sound end record.
    """
    asides: tuple[str, ...] = ()
    """Files that a crash left before they got their name."""


def scan_segments(disk: Disk, directory: Path, *, since: int = 1) -> LogScan:
    """Look at the segments of a log, from that which begins at position `since` on.

    Raises LogDamaged; an absent directory is an empty log.
    """
    firsts, asides = _names(disk, directory)
    firsts = [first for first in firsts if first >= since]
    segments: list[Segment] = []
    torn: Dropped | None = None
    unfinished = False
    for first in firsts:
        is_last = first == firsts[-1]
        found = _look(disk, directory, first, may_be_torn=is_last and len(firsts) > 1)
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
    return LogScan(tuple(segments), torn=torn, unfinished=unfinished, asides=tuple(asides))


def _names(disk: Disk, directory: Path) -> tuple[list[int], list[str]]:
    """The first positions in the names of segments, ascending, and the files without a name of
    their own yet.
    """
    firsts: set[int] = set()
    asides: list[str] = []
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
            asides.append(name)
        elif not name.startswith("."):
            raise LogDamaged(f"{directory / name} is not a segment of the log: move it away")
    return sorted(firsts), asides


def repair_tail(
    disk: Disk, directory: Path, found: LogScan, known: Callable[[], int] | None = None
) -> tuple[Tail, Dropped | None]:
    """Take away what a crash left, durably; return where the log ends. There is a segment.

    known: the newest position that must not be lost; asked only if something would be taken away.
    Raises LogDamaged.
    """
    # Everything is judged before anything is changed: a log that is refused is left as it was
    # found.
    reader = scan_tail(disk, directory, found.segments[-1])
    if reader.ended:
        raise reader.damaged(
            "the end record says that another segment was begun:"
            f" {segment_name(reader.last.position + 1)} is missing or has lost its header"
        )
    if reader.fault and known is not None and known() > reader.last.position:
        raise reader.damaged(
            f"{reader.fault}, but position {known()} was durable: a snapshot has it"
        )
    before: SegmentReader | None = None
    if found.unfinished:
        before = scan_tail(disk, directory, found.segments[-2])
        if before.last != found.segments[-1].header.before:
            raise _link_damage(found.segments[-2], before.offset, found.segments[-1], before.last)

    # First: the end record must not be durable before the name of the segment that it announces.
    disk.sync_directory(directory)
    dropped = _cut(disk, directory, reader)
    if before is not None:
        _cut(disk, directory, before)
        _append_end(disk, directory / before.name, found.segments[-1].header.mark, before.last)
    elif len(found.segments) > 1 and reader.offset == HEADER_BYTES:
        end = found.segments[-2]
        if end.compressed_end is None:
            disk.rewrite(directory / end.name, end.size - RECORD_BYTES)
    disk.rewrite(directory / reader.name, reader.newest)
    if found.torn is not None:
        disk.remove(directory / found.torn.segment)
        dropped = dropped or found.torn
    for name in found.asides:
        disk.remove(directory / name)
    if found.torn is not None or found.asides:
        disk.sync_directory(directory)
    return Tail(reader.offset, reader.last), dropped


def _look(disk: Disk, directory: Path, first: int, *, may_be_torn: bool) -> Segment | Dropped:
    """Read one segment's header, and compare it with the file's name."""
    try:
        octets = open_segment(disk, directory, first)
    except HeaderInvalid as problem:
        raise damaged(segment_name(first, COMPRESSED_SUFFIX), 0, first, str(problem)) from None
    name = octets.name
    try:
        size = octets.size()
        header = parse_header(octets.read(0, HEADER_BYTES))
    except HeaderInvalid as problem:
        if may_be_torn and size <= HEADER_BYTES:
            return Dropped(name, 0, size, str(problem))
        raise damaged(name, 0, first, str(problem)) from None
    finally:
        octets.close()
    if header.first != first:
        raise damaged(
            name, 0, first, f"the header is that of {segment_name(header.first)}, renamed or copied"
        )
    return Segment(
        name, header, size, octets.end if isinstance(octets, CompressedSegment) else None
    )


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
    """What is wrong between two neighbours, from the end record of the first and the header of the
    second.
    """
    if before.header.mark != segment.header.mark:
        return damaged(segment.name, 0, segment.header.first, "it is a segment of another log")
    offset = max(before.size - RECORD_BYTES, HEADER_BYTES)
    end = before.compressed_end or _end_of(disk, directory, before, offset)
    if end is None:
        return damaged(
            before.name,
            offset,
            segment.header.first,
            f"no sound end record before {segment.name}:"
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


def _end_of(disk: Disk, directory: Path, segment: Segment, offset: int) -> Entry | None:
    """What the end record at `offset` tells of, if it is a sound one."""
    octets = open_segment(disk, directory, segment.header.first)
    try:
        return parse_end(segment.header.mark, octets.read(offset, RECORD_BYTES))
    finally:
        octets.close()


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
    """Go through a segment up to the last sound record; the reader tells what is there. Raises
    LogDamaged.

    A fault is raised here unless it is what one torn append can leave: then it is in the reader.
    """
    octets = open_segment(disk, directory, segment.header.first)
    try:
        reader = SegmentReader(
            octets,
            segment.header,
            offset=HEADER_BYTES,
            limit=segment.size,
            last=segment.header.before,
        )
        for _ in reader.entries():
            pass
        check_torn_tail(reader)
    finally:
        octets.close()
    return reader


def check_torn_tail(reader: SegmentReader) -> None:
    """Raise LogDamaged unless the reader's fault, if any, can be an append that never ended."""
    if not reader.fault:
        return
    if reader.is_whole:
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
    """Cut a segment behind its last sound record, durably."""
    if not reader.fault:
        return None
    fd = disk.open(directory / reader.name, write=True)
    try:
        disk.truncate(fd, reader.offset)
    finally:
        disk.close(fd)
    return Dropped(reader.name, reader.offset, reader.limit - reader.offset, reader.fault)


def _append_end(disk: Disk, path: Path, mark: bytes, last: Entry) -> None:
    """Write the end record that a crash kept from being written."""
    octets = pack_record(mark, last)
    fd = disk.open(path, write=True)
    try:
        if disk.write(fd, octets) != len(octets):
            raise OSError(f"{path}: the end record was written only in part: no space left?")
        disk.sync(fd)
    finally:
        disk.close(fd)
