"""Compressed segments: the bytes of a segment that has a successor, in fewer bytes.

Design: the records are cut into blocks, each compressed by itself, so that reading from any
place needs one block in memory at a time. Behind the blocks stand their lengths and checksums, then
the segment's header and end record as they were: a start looks at the end of the file alone. The
file is named `<first>.log.z`.

Invariants:
- what `Packed.read` gives are the bytes that were compressed: every byte of the file is under a
  checksum, and the file has exactly the size that its end says;
- a file of that name was read back and compared before it got it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple, final

from google_crc32c import value as crc32c

from fairbook.log.command_log import Entry
from fairbook.log.disk import Disk
from fairbook.log.segments import (
    HEADER_BYTES,
    RECORD_BYTES,
    Header,
    HeaderInvalid,
    PlainSegment,
    SegmentBytes,
    parse_end,
    parse_header,
    segment_name,
)

COMPRESSED_SUFFIX: Final = ".log.z"
BLOCK_BYTES: Final = 1 << 20
BLOCK_BYTES_MAX: Final = 1 << 24
LEVEL: Final = 3
"""Of zlib. 6 saves two to three hundredths more in twice the time; lzma saves more, and takes four
times as long to read."""

_MAGIC: Final = b"FAIRPACK"
_FORMAT: Final = 1
_BLOCK: Final = Struct("<II")  # Length and CRC32C of a compressed block.
_FOOT: Final = Struct(f"<IIQ{HEADER_BYTES}s{RECORD_BYTES}s")
# Version, size of a block, size of the records, header, end record; and behind it:
_CRC: Final = Struct("<I")  # of the lengths and checksums, and the foot.
_TAIL_BYTES: Final = _FOOT.size + _CRC.size
_AROUND_BYTES: Final = HEADER_BYTES + RECORD_BYTES


class Block(NamedTuple):
    """Where a block is in the file."""

    offset: int
    size: int
    crc: int


@final
class CompressedSegment:
    """The bytes of a compressed segment, as Octets. `header` and `end` are sound."""

    def __init__(self, disk: Disk, path: Path) -> None:
        """Raises FileNotFoundError, or BadHeader if its end is not that of such a file."""
        self.name = path.name
        self.is_whole = True
        self.fault = ""
        self._disk = disk
        self._number = -1
        self._block = b""
        self._fd = disk.open(path)
        try:
            self._blocks = self._parse_tail()
        except BaseException:
            disk.close(self._fd)
            raise

    def size(self) -> int:
        """As Octets."""
        return _AROUND_BYTES + self._records_bytes

    def read(self, offset: int, size: int) -> bytes:
        """As Octets. A fault is that of the block behind the bytes that it gives."""
        self.fault = ""
        parts: list[bytes] = []
        limit = min(offset + size, self.size())
        while offset < limit:
            octets, start = self._part(offset)
            if self.fault:
                break
            part = octets[offset - start : limit - start]
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def close(self) -> None:
        """As Octets."""
        self._disk.close(self._fd)

    def _parse_tail(self) -> list[Block]:
        disk, fd = self._disk, self._fd
        size = disk.status(fd).size
        if size < len(_MAGIC) + _TAIL_BYTES:
            raise HeaderInvalid(f"{size} bytes are too few for a compressed segment")
        tail = disk.read(fd, size - _TAIL_BYTES, _TAIL_BYTES)
        version, block_bytes, records_bytes, header, end = _FOOT.unpack_from(tail)
        if not (0 < block_bytes <= BLOCK_BYTES_MAX and records_bytes < 1 << 48):
            raise HeaderInvalid("its last bytes are not those of a compressed segment")
        count = -(-records_bytes // block_bytes)
        index_bytes = _BLOCK.size * count
        if size < len(_MAGIC) + index_bytes + _TAIL_BYTES:
            raise HeaderInvalid(f"{size} bytes are too few for {count} blocks")
        index = disk.read(fd, size - _TAIL_BYTES - index_bytes, index_bytes)
        (crc,) = _CRC.unpack_from(tail, _FOOT.size)
        if crc32c(index + tail[: _FOOT.size]) != crc:
            raise HeaderInvalid("the checksum of its last bytes is wrong")
        if version != _FORMAT:
            raise HeaderInvalid(
                f"compressed segment format {version}, this release reads {_FORMAT}"
            )
        blocks: list[Block] = []
        at = len(_MAGIC)
        for length, block_crc in _BLOCK.iter_unpack(index):
            blocks.append(Block(at, length, block_crc))
            at += length
        if at + index_bytes + _TAIL_BYTES != size or disk.read(fd, 0, len(_MAGIC)) != _MAGIC:
            raise HeaderInvalid(f"{size} bytes, or a beginning, that do not fit its end")
        self.header: Header = parse_header(header)
        found = parse_end(self.header.mark, end)
        if found is None:
            raise HeaderInvalid("it has no sound end record")
        self.end: Entry = found
        self._around = (header, end)
        self._block_bytes: int = block_bytes
        self._records_bytes: int = records_bytes
        return blocks

    def _part(self, offset: int) -> tuple[bytes, int]:
        """The bytes around `offset` that are at hand at once, and where they begin."""
        header, end = self._around
        if offset < HEADER_BYTES:
            return header, 0
        at = offset - HEADER_BYTES
        if at >= self._records_bytes:
            return end, HEADER_BYTES + self._records_bytes
        number = at // self._block_bytes
        if number != self._number:
            self._number = -1
            self._block = self._unpacked(number)
            if not self.fault:
                self._number = number
        return self._block, HEADER_BYTES + number * self._block_bytes

    def _unpacked(self, number: int) -> bytes:
        block = self._blocks[number]
        start = number * self._block_bytes
        expected = min(self._block_bytes, self._records_bytes - start)
        octets = self._disk.read(self._fd, block.offset, block.size)
        where = f"the compressed block at byte {block.offset} of the file"
        if len(octets) != block.size or crc32c(octets) != block.crc:
            self.fault = f"{where} has a wrong checksum"
            return b""
        inflate = zlib.decompressobj()
        try:
            plain = inflate.decompress(octets, expected + 1)
        except zlib.error as problem:
            self.fault = f"{where} cannot be read: {problem}"
            return b""
        if len(plain) != expected or not inflate.eof or inflate.unused_data:
            self.fault = f"{where} does not hold {expected} bytes"
            return b""
        return plain


def open_segment(disk: Disk, directory: Path, first: int) -> PlainSegment | CompressedSegment:
    """The bytes of the segment that begins at `first`. If it is there in both forms, the plain one
    counts: the other one may not be whole yet.

    Raises FileNotFoundError; BadHeader for the end of a compressed one.
    """
    try:
        return PlainSegment(disk, directory, first)
    except FileNotFoundError:
        return CompressedSegment(disk, directory / segment_name(first, COMPRESSED_SUFFIX))


def pack(
    disk: Disk,
    source: SegmentBytes,
    path: Path,
    rest: Callable[[], None],
    *,
    block_bytes: int = BLOCK_BYTES,
) -> None:
    """Write the compressed form of a whole segment to `path`, durably, and compare it with
    `source`.

    rest: called after each block; what it raises ends the work. Raises OSError, BadHeader.
    """
    size = source.size()
    header = source.read(0, HEADER_BYTES)
    end = source.read(size - RECORD_BYTES, RECORD_BYTES)
    records_bytes = size - _AROUND_BYTES
    index = bytearray()
    fd = disk.create(path)
    try:
        _write(disk, fd, _MAGIC)
        for start in range(0, records_bytes, block_bytes):
            plain = source.read(HEADER_BYTES + start, min(block_bytes, records_bytes - start))
            octets = zlib.compress(plain, LEVEL)
            _write(disk, fd, octets)
            # Each by itself: a lot of unsynced bytes would hold up the syncs of appends.
            disk.sync(fd)
            index += _BLOCK.pack(len(octets), crc32c(octets))
            rest()
        foot = _FOOT.pack(_FORMAT, block_bytes, records_bytes, header, end)
        _write(disk, fd, index + foot + _CRC.pack(crc32c(bytes(index + foot))))
        disk.sync(fd)
        disk.forget(fd)
    finally:
        disk.close(fd)
    _compare(source, CompressedSegment(disk, path), rest)


def _compare(source: SegmentBytes, packed: CompressedSegment, rest: Callable[[], None]) -> None:
    """Raise OSError unless both are the same bytes."""
    try:
        size = source.size()
        same = packed.size() == size
        for offset in range(0, size, BLOCK_BYTES):
            same = same and packed.read(offset, BLOCK_BYTES) == source.read(offset, BLOCK_BYTES)
            rest()
        if not same:
            raise OSError(f"{packed.name} does not read as {source.name}: {packed.fault}")
    finally:
        packed.close()


def _write(disk: Disk, fd: int, octets: bytes | bytearray) -> None:
    if disk.write(fd, bytes(octets)) != len(octets):
        raise OSError("a compressed segment was written only in part: no space left?")
