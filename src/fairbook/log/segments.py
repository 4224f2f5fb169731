"""The bytes of the file log: segment headers and records, and how they are read and judged.

Design: a segment is a header and records, one behind the other; its file is named by the
position of its first entry. Every record begins with the mark, eight random bytes that are the same
in all segments of one log and are never told to anybody: so no frame that a client could compose
looks like a record, and a search for the mark finds what follows a damaged record. A segment that
is no longer the last ends with an end record, a record without a frame, which repeats the last
entry's position, time and chain and says that another segment was begun.

Invariants: what a Reader yields has its checksum, the next position, no earlier time, and the
right chain.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple, Protocol, final

from google_crc32c import value as crc32c

from fairbook.log.command_log import FRAME_BYTES_MAX, Entry, LogDamaged, chain_after
from fairbook.log.disk import Disk
from fairbook.log.durable_file import new_path, publish

MAGIC: Final = b"FAIRLOG\n"
FORMAT: Final = 1
MARK_BYTES: Final = 8

_HEADER: Final = Struct("<8sI")  # Magic, CRC32C of what follows:
_HEADER_BODY: Final = Struct(
    "<I8sQQ32s"
)  # version, mark, first position, time and chain before it.
HEADER_BYTES: Final = _HEADER.size + _HEADER_BODY.size

_RECORD: Final = Struct("<8sI")  # Mark, CRC32C of what follows, the frame included:
_RECORD_BODY: Final = Struct("<IQQ32s")  # length of the frame, position, time, chain.
_RECORD_ALL: Final = Struct("<8sIIQQ32s")
RECORD_BYTES: Final = _RECORD.size + _RECORD_BODY.size
RECORD_BYTES_MAX: Final = RECORD_BYTES + FRAME_BYTES_MAX

SUFFIX: Final = ".log"
_DIGITS: Final = 20
_READ_BYTES: Final = 1 << 20
_PROBE_BYTES: Final = 1 << 12


class Header(NamedTuple):
    """The beginning of a segment: what it continues."""

    mark: bytes
    first: int
    """Position of the first entry that it holds or will hold."""
    time_ns: int
    chain: bytes
    """Time and chain of the entry before it."""

    @property
    def before(self) -> Entry:
        """The entry before the first one, without its frame."""
        return Entry(self.first - 1, self.time_ns, self.chain, b"")


class HeaderInvalid(Exception):
    """Not the header of a segment; the message says what was found."""


class SegmentBytes(Protocol):
    """A segment's bytes as they were written, however they are kept. For one thread."""

    name: str
    """Of the file."""
    is_whole: bool
    """Whether it was whole when it got its name: no append can have been under way in it."""
    fault: str
    """Why `read` gave fewer bytes than there are; empty if it did not."""

    def size(self) -> int:
        """How many there are now."""

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset`; fewer only at the end, or at a fault."""

    def close(self) -> None:
        """Give the file back."""


@final
class PlainSegment:
    """The bytes of a segment that is kept as it was written."""

    def __init__(self, disk: Disk, directory: Path, first: int) -> None:
        """Raises FileNotFoundError."""
        self.name = segment_name(first)
        self.is_whole = False
        self.fault = ""
        self._disk = disk
        self._fd = disk.open(directory / self.name)

    def size(self) -> int:
        """As Octets."""
        return self._disk.status(self._fd).size

    def read(self, offset: int, size: int) -> bytes:
        """As Octets."""
        return self._disk.read(self._fd, offset, size)

    def close(self) -> None:
        """As Octets."""
        self._disk.close(self._fd)


def segment_name(first: int, suffix: str = SUFFIX) -> str:
    """The name of the segment that begins at position `first`."""
    return f"{first:0{_DIGITS}d}{suffix}"


def first_of_name(name: str, suffix: str = SUFFIX) -> int | None:
    """The position in a segment's name; None if it is not one."""
    digits = name.removesuffix(suffix)
    if len(digits) != _DIGITS or not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits) if name == digits + suffix else None


def pack_header(header: Header) -> bytes:
    """A header's bytes."""
    body = _HEADER_BODY.pack(FORMAT, header.mark, header.first, header.time_ns, header.chain)
    return _HEADER.pack(MAGIC, crc32c(body)) + body


def parse_header(octets: bytes) -> Header:
    """The header at the beginning of `octets`. Raises BadHeader."""
    if len(octets) < HEADER_BYTES:
        raise HeaderInvalid(f"{len(octets)} bytes, expected a header of {HEADER_BYTES}")
    magic, crc = _HEADER.unpack_from(octets)
    if magic != MAGIC:
        raise HeaderInvalid(f"it begins with {magic!r}, expected {MAGIC!r}")
    if crc32c(octets[_HEADER.size : HEADER_BYTES]) != crc:
        raise HeaderInvalid("the checksum of the header is wrong")
    version, mark, first, time_ns, chain = _HEADER_BODY.unpack_from(octets, _HEADER.size)
    if version != FORMAT:
        raise HeaderInvalid(f"log format {version}, this release reads {FORMAT}")
    return Header(mark, first, time_ns, chain)


def pack_record(mark: bytes, entry: Entry) -> bytes:
    """A record's bytes; those of an end record, if the entry's frame is empty."""
    position, time_ns, chain, frame = entry
    body = _RECORD_BODY.pack(len(frame), position, time_ns, chain) + frame
    return _RECORD.pack(mark, crc32c(body)) + body


def parse_end(mark: bytes, octets: bytes) -> Entry | None:
    """The last entry, without its frame, that the end record `octets` tells of; None if it is not a
    sound one.
    """
    if len(octets) != RECORD_BYTES:
        return None
    found_mark, crc, length, position, time_ns, chain = _RECORD_ALL.unpack(octets)
    if found_mark != mark or length != 0 or crc32c(octets[_RECORD.size :]) != crc:
        return None
    return Entry(position, time_ns, chain, b"")


def find_mark(octets: SegmentBytes, mark: bytes, start: int, limit: int) -> int | None:
    """The offset of the first mark from `start` on, if there is one before `limit`."""
    size = _PROBE_BYTES
    while start < limit:
        piece = octets.read(start, min(size, limit - start))
        at = piece.find(mark)
        if at >= 0:
            return start + at
        if len(piece) < MARK_BYTES:
            return None
        start += len(piece) - MARK_BYTES + 1
        size = _READ_BYTES
    return None


def read_record(octets: SegmentBytes, mark: bytes, offset: int) -> Entry | None:
    """The entry of the record at `offset`, by its checksum alone; None if no sound one is there."""
    head = octets.read(offset, RECORD_BYTES)
    if len(head) < RECORD_BYTES:
        return None
    found_mark, crc, length, position, time_ns, chain = _RECORD_ALL.unpack(head)
    if found_mark != mark or length > FRAME_BYTES_MAX:
        return None
    frame = octets.read(offset + RECORD_BYTES, length)
    if len(frame) != length or crc32c(head[_RECORD.size :] + frame) != crc:
        return None
    return Entry(position, time_ns, chain, frame)


def damaged(name: str, offset: int, position: int, what: str) -> LogDamaged:
    """The one form of all such messages. `position`: of the entry that should be at `offset`."""
    return LogDamaged(f"segment {name}, offset {offset}, position {position}: {what}")


class SegmentReader:
    """Goes through the records of one segment and stops where no sound one follows.

    After `entries` has ended: `offset` and `last` are behind the last sound record, `newest` is
    where it begins; `ended` tells whether that was an end record; `fault` says what is wrong with
    the bytes that follow, and is empty if none do.
    """

    def __init__(
        self, octets: SegmentBytes, header: Header, *, offset: int, limit: int, last: Entry
    ) -> None:
        """Begin at `offset`, behind the entry `last`; bytes from `limit` on are not looked at."""
        self.name = octets.name
        self.is_whole = octets.is_whole
        self.offset = offset
        self.limit = limit
        self.newest = offset
        self.ended = False
        self.fault = ""
        self._octets = octets
        self._mark = header.mark
        self._position = last.position
        self._time_ns = last.time_ns
        self._chain = last.chain

    @property
    def last(self) -> Entry:
        """The last sound entry so far, without its frame."""
        return Entry(self._position, self._time_ns, self._chain, b"")

    def entries(self) -> Iterator[Entry]:
        """Yield the sound records. Raises LogDamaged for a record that is whole but does not belong
        here.
        """
        buffer = b""
        at = 0
        while self.offset < self.limit:
            if len(buffer) - at < RECORD_BYTES:
                buffer, at = self._fill(_READ_BYTES), 0
                if len(buffer) < RECORD_BYTES:
                    short = f"a record cut short after {len(buffer)} bytes"
                    self.fault = self._octets.fault or short
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
                    self.fault = self._octets.fault or short
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
            expected = chain_after(self._chain, position, time_ns, frame)
            if chain != expected:
                raise self.damaged(f"chain {chain.hex()}, expected {expected.hex()}")
            self._position, self._time_ns, self._chain = position, time_ns, chain
            self.newest = self.offset
            self.offset += size
            at += size
            yield Entry(position, time_ns, chain, frame)

    def next_mark(self) -> int | None:
        """The offset of the first mark behind the faulty record's first byte, if there is one
        before the limit.
        """
        return find_mark(self._octets, self._mark, self.offset + 1, self.limit)

    def damaged(self, what: str) -> LogDamaged:
        """What to raise about the place where the reader stands."""
        return damaged(self.name, self.offset, self.last.position + 1, what)

    def _fill(self, size: int) -> bytes:
        return self._octets.read(self.offset, min(size, self.limit - self.offset))

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
    """Make an empty segment, durably, and return its descriptor for appending.

    It gets its name only when its header is durable, so a crash never leaves a torn header under
    that name.
    """
    path = directory / segment_name(header.first)
    new = new_path(path)
    fd = disk.create(new)
    try:
        octets = pack_header(header)
        if disk.write(fd, octets) != len(octets):
            raise OSError(f"{new}: the header was written only in part: no space left?")
        disk.sync(fd)
        publish(path, disk)
    except BaseException:
        disk.close(fd)
        raise
    return fd
