"""The bytes of the file log: segment headers and records, and how they are read and verified.

Layout, and why it is so: docs/reference/log-format.md.

Invariant: what SegmentReader yields has its checksum, the next position, no earlier time, and the
right chain.
"""

from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple, Protocol, final

from google_crc32c import value as crc32c

from fairbook.log.command_log import (
    FRAME_BYTES_MAX,
    Entry,
    LogDamaged,
    chain_after,
    hash_frame,
)
from fairbook.log.disk import Disk
from fairbook.log.durable_file import new_path, publish

MAGIC: Final = b"FAIRLOG\n"
FORMAT: Final = 2
MARK_BYTES: Final = 8

_HEADER: Final = Struct("<8sI")  # Magic, CRC32C of the body.
_HEADER_BODY: Final = Struct("<I8sQQ32s")  # Format, mark, first position, time and chain before it.
HEADER_BYTES: Final = _HEADER.size + _HEADER_BODY.size

_RECORD: Final = Struct("<8sI")  # Mark, CRC32C of all that follows, the frame included.
_RECORD_BODY: Final = Struct("<IQQ32s")  # Length of the frame, position, time, chain.
_RECORD_ALL: Final = Struct("<8sIIQQ32s")
RECORD_BYTES: Final = _RECORD.size + _RECORD_BODY.size
RECORD_BYTES_MAX: Final = RECORD_BYTES + FRAME_BYTES_MAX

SUFFIX: Final = ".log"
_DIGITS: Final = 20
_READ_BYTES: Final = 1 << 20
_PROBE_BYTES: Final = 1 << 12


class Header(NamedTuple):
    """The beginning of a segment. `time_ns` and `chain` are those of the entry before it."""

    mark: bytes
    first: int
    """Position of the first entry that it holds or will hold."""
    time_ns: int
    chain: bytes

    @property
    def before(self) -> Entry:
        """The entry before the first one, without its frame."""
        return Entry(self.first - 1, self.time_ns, self.chain, b"")


class LogOffset(NamedTuple):
    """Behind a valid record: `offset` in the segment `first`, after the entry `last`."""

    first: int
    offset: int
    last: Entry


class HeaderInvalid(Exception):
    """The bytes are not the header of a segment. The message says what was found."""


class SegmentBytes(Protocol):
    """A segment's bytes as they were written, compressed or not. For one thread."""

    name: str
    """Of the file."""
    is_complete: bool
    """The file was complete when it got its name, so it cannot hold a torn append."""
    fault: str
    """Why the last `read` gave fewer bytes than there are, or empty."""

    def size(self) -> int:
        """In bytes, now."""

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset`; fewer only at the end, or at a fault."""

    def close(self) -> None: ...


@final
class PlainSegment:
    """A segment that is not compressed."""

    def __init__(self, disk: Disk, directory: Path, first: int) -> None:
        """Raises FileNotFoundError."""
        self.name = segment_name(first)
        self.is_complete = False
        self.fault = ""
        self._disk = disk
        self._fd = disk.open(directory / self.name)

    def size(self) -> int:
        return self._disk.status(self._fd).size

    def read(self, offset: int, size: int) -> bytes:
        return self._disk.read(self._fd, offset, size)

    def close(self) -> None:
        self._disk.close(self._fd)


def segment_name(first: int, suffix: str = SUFFIX) -> str:
    return f"{first:0{_DIGITS}d}{suffix}"


def first_of_name(name: str, suffix: str = SUFFIX) -> int | None:
    """The position in the name of a segment, or None."""
    digits = name.removesuffix(suffix)
    if len(digits) != _DIGITS or not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits) if name == digits + suffix else None


def pack_header(header: Header) -> bytes:
    body = _HEADER_BODY.pack(FORMAT, header.mark, header.first, header.time_ns, header.chain)
    return _HEADER.pack(MAGIC, crc32c(body)) + body


def parse_header(data: bytes) -> Header:
    """The header at the beginning of `data`. Raises HeaderInvalid."""
    if len(data) < HEADER_BYTES:
        raise HeaderInvalid(f"{len(data)} bytes, expected a header of {HEADER_BYTES}")
    magic, crc = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise HeaderInvalid(f"it begins with {magic!r}, expected {MAGIC!r}")
    if crc32c(data[_HEADER.size : HEADER_BYTES]) != crc:
        raise HeaderInvalid("the checksum of the header is wrong")
    log_format, mark, first, time_ns, chain = _HEADER_BODY.unpack_from(data, _HEADER.size)
    if log_format != FORMAT:
        raise HeaderInvalid(f"log format {log_format}, this release reads {FORMAT}")
    return Header(mark, first, time_ns, chain)


def read_header(segment: SegmentBytes, first: int) -> Header:
    """The header of the segment named after `first`.

    Raises HeaderInvalid, or LogDamaged if it is the header of another segment.
    """
    header = parse_header(segment.read(0, HEADER_BYTES))
    if header.first != first:
        found = segment_name(header.first)
        raise damaged(segment.name, 0, first, f"the header is that of {found}: renamed or copied")
    return header


def pack_record(mark: bytes, entry: Entry) -> bytes:
    """The record of an entry; without a frame, an end record."""
    position, time_ns, chain, frame, _ = entry
    body = _RECORD_BODY.pack(len(frame), position, time_ns, chain) + frame
    return _RECORD.pack(mark, crc32c(body)) + body


def parse_record(mark: bytes, data: bytes) -> Entry | None:
    """The entry of the record that `data` consists of; None if mark, length or checksum are wrong.

    The frame of an end record is empty.
    """
    if len(data) < RECORD_BYTES:
        return None
    found_mark, crc, length, position, time_ns, chain = _RECORD_ALL.unpack_from(data)
    frame = data[RECORD_BYTES:]
    if found_mark != mark or length != len(frame) or crc32c(data[_RECORD.size :]) != crc:
        return None
    return Entry(position, time_ns, chain, frame)


def read_record(segment: SegmentBytes, mark: bytes, offset: int) -> Entry | None:
    """The entry of the record at `offset`, by its checksum alone, or None."""
    head = segment.read(offset, RECORD_BYTES)
    if len(head) < RECORD_BYTES or not head.startswith(mark):
        return None
    length = _RECORD_ALL.unpack(head)[2]
    if length > FRAME_BYTES_MAX:
        return None
    return parse_record(mark, head + segment.read(offset + RECORD_BYTES, length))


def find_mark(segment: SegmentBytes, mark: bytes, start: int, limit: int) -> int | None:
    """The offset of the first mark from `start` on, if there is one before `limit`."""
    size = _PROBE_BYTES
    while start < limit:
        data = segment.read(start, min(size, limit - start))
        at = data.find(mark)
        if at >= 0:
            return start + at
        if len(data) < MARK_BYTES:
            return None
        start += len(data) - MARK_BYTES + 1
        size = _READ_BYTES
    return None


def damaged(name: str, offset: int, position: int, what: str) -> LogDamaged:
    """`position`: of the entry that should be at `offset`."""
    return LogDamaged(f"segment {name}, offset {offset}, position {position}: {what}")


class SegmentReader:
    """Reads the records of one segment, up to the first that is not valid.

    After `entries` has ended, `offset` and `last` are behind the last valid record, and `newest` is
    where that record begins. `ended`: it is an end record. `fault`: what is wrong with the bytes
    that follow, or empty if there are none.
    """

    def __init__(
        self, segment: SegmentBytes, header: Header, *, offset: int, limit: int, last: Entry
    ) -> None:
        """Begin at `offset`, behind the entry `last`, and read no byte from `limit` on."""
        self.name = segment.name
        self.is_complete = segment.is_complete
        self.offset = offset
        self.limit = limit
        self.newest = offset
        self.ended = False
        self.fault = ""
        self._segment = segment
        self._mark = header.mark
        self._position = last.position
        self._time_ns = last.time_ns
        self._chain = last.chain

    @property
    def last(self) -> Entry:
        """The last valid entry so far, without its frame."""
        return Entry(self._position, self._time_ns, self._chain, b"")

    def entries(self) -> Iterator[Entry]:
        """Raises LogDamaged for a valid record that does not continue the one before."""
        buffer = b""
        at = 0
        while self.offset < self.limit:
            if len(buffer) - at < RECORD_BYTES:
                buffer, at = self._fill(_READ_BYTES), 0
                if len(buffer) < RECORD_BYTES:
                    short = f"a record cut short after {len(buffer)} bytes"
                    self.fault = self._segment.fault or short
                    return
            mark, crc, length, position, time_ns, chain = _RECORD_ALL.unpack_from(buffer, at)
            if mark != self._mark:
                self.fault = "no record begins here"
                return
            if length > FRAME_BYTES_MAX:
                self.fault = f"a frame of {length} bytes, more than {FRAME_BYTES_MAX}"
                return
            size = RECORD_BYTES + length
            if at + size > len(buffer):
                buffer, at = self._fill(max(size, _READ_BYTES)), 0
                if size > len(buffer):
                    short = f"a record cut short after {len(buffer)} of {size} bytes"
                    self.fault = self._segment.fault or short
                    return
            if crc32c(buffer[at + _RECORD.size : at + size]) != crc:
                self.fault = "a record whose checksum is wrong"
                return
            frame = buffer[at + RECORD_BYTES : at + size]
            if length == 0:
                self._end(Entry(position, time_ns, chain, b""))
                return
            if position != self._position + 1:
                raise self.damaged(
                    f"a record of position {position}, expected {self._position + 1}"
                )
            if time_ns < self._time_ns:
                raise self.damaged(f"time {time_ns}, expected at least {self._time_ns}")
            expected = chain_after(self._chain, position, time_ns, hash_frame(frame))
            if chain != expected:
                raise self.damaged(f"chain {chain.hex()}, expected {expected.hex()}")
            entry = Entry(position, time_ns, chain, frame, self._chain)
            self._position, self._time_ns, self._chain = position, time_ns, chain
            self.newest = self.offset
            self.offset += size
            at += size
            yield entry

    def next_mark(self) -> int | None:
        """The offset of the first mark behind the first byte of the faulty record, or None."""
        return find_mark(self._segment, self._mark, self.offset + 1, self.limit)

    def damaged(self, what: str) -> LogDamaged:
        return damaged(self.name, self.offset, self.last.position + 1, what)

    def _fill(self, size: int) -> bytes:
        return self._segment.read(self.offset, min(size, self.limit - self.offset))

    def _end(self, entry: Entry) -> None:
        if entry != self.last:
            raise self.damaged(
                f"an end record of position {entry.position}, time {entry.time_ns},"
                f" chain {entry.chain.hex()}, expected {self.last.position},"
                f" {self.last.time_ns}, {self.last.chain.hex()}"
            )
        self.ended = True
        self.newest = self.offset
        self.offset += RECORD_BYTES
        if self.offset < self.limit:
            raise self.damaged(f"{self.limit - self.offset} bytes behind the end record")


def create_segment(disk: Disk, directory: Path, header: Header) -> int:
    """Create an empty segment durably; returns its descriptor for appending.

    It gets its name when its header is durable, so no segment has a torn header after a crash.
    """
    path = directory / segment_name(header.first)
    new = new_path(path)
    fd = disk.create(new)
    try:
        write_all(disk, fd, pack_header(header))
        disk.sync(fd)
        publish(path, disk)
    except BaseException:
        disk.close(fd)
        raise
    return fd


def write_all(disk: Disk, fd: int, data: bytes | bytearray) -> None:
    """Append. Raises OSError also if only a part was written."""
    written = disk.write(fd, bytes(data))
    if written != len(data):
        raise OSError(f"{written} of {len(data)} bytes were written: no space left?")
