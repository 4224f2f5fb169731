"""Compressed segments: a segment that has a successor, in fewer bytes, as `<first>.log.z`.

Layout: docs/reference/log-format.md. Reading from any offset needs one block in memory.

Invariant: every byte of the file is under a checksum, and the file has exactly the size that its
end says.
"""

import zlib
from collections.abc import Callable
from contextlib import closing
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
    damaged,
    parse_header,
    parse_record,
    segment_name,
    write_all,
)

COMPRESSED_SUFFIX: Final = ".log.z"
BLOCK_BYTES: Final = 1 << 20
BLOCK_BYTES_MAX: Final = 1 << 24
LEVEL: Final = 3  # Of zlib.

_MAGIC: Final = b"FAIRPACK"
_FORMAT: Final = 1
_BLOCK: Final = Struct("<II")  # Length and CRC32C of a compressed block.
_FOOT: Final = Struct(f"<IIQ{HEADER_BYTES}s{RECORD_BYTES}s")
# Version, size of a block, size of the records, header, end record; and behind it:
_CRC: Final = Struct("<I")  # of the lengths and checksums, and the foot.
_TAIL_BYTES: Final = _FOOT.size + _CRC.size
_ENDS_BYTES: Final = HEADER_BYTES + RECORD_BYTES


class Block(NamedTuple):
    """Offset and length in the file, and CRC32C."""

    offset: int
    size: int
    crc: int


@final
class CompressedSegment:
    """A compressed segment. `last` is its last entry, without the frame."""

    def __init__(self, disk: Disk, path: Path) -> None:
        """Raises FileNotFoundError, or HeaderInvalid if the end of the file is invalid."""
        self.name = path.name
        self.is_complete = True
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
        return _ENDS_BYTES + self._records_bytes

    def read(self, offset: int, size: int) -> bytes:
        """A fault is that of the block behind the bytes that it gives."""
        self.fault = ""
        parts: list[bytes] = []
        limit = min(offset + size, self.size())
        while offset < limit:
            data, start = self._part(offset)
            if self.fault:
                break
            part = data[offset - start : limit - start]
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def close(self) -> None:
        self._disk.close(self._fd)

    def _parse_tail(self) -> list[Block]:
        disk, fd = self._disk, self._fd
        size = disk.status(fd).size
        if size < len(_MAGIC) + _TAIL_BYTES:
            raise HeaderInvalid(f"{size} bytes are too few for a compressed segment")
        tail = disk.read(fd, size - _TAIL_BYTES, _TAIL_BYTES)
        found_format, block_bytes, records_bytes, header, end = _FOOT.unpack_from(tail)
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
        if found_format != _FORMAT:
            raise HeaderInvalid(
                f"compressed segment format {found_format}, this release reads {_FORMAT}"
            )
        blocks: list[Block] = []
        at = len(_MAGIC)
        for length, block_crc in _BLOCK.iter_unpack(index):
            blocks.append(Block(at, length, block_crc))
            at += length
        if at + index_bytes + _TAIL_BYTES != size or disk.read(fd, 0, len(_MAGIC)) != _MAGIC:
            raise HeaderInvalid(f"its size ({size} bytes) or its first bytes do not match its end")
        self.header: Header = parse_header(header)
        last = parse_record(self.header.mark, end)
        if last is None:
            raise HeaderInvalid("it has no valid end record")
        self.last: Entry = last
        self._ends = (header, end)
        self._block_bytes: int = block_bytes
        self._records_bytes: int = records_bytes
        return blocks

    def _part(self, offset: int) -> tuple[bytes, int]:
        """Header, block or end record, whichever contains `offset`, and where it begins."""
        header, end = self._ends
        if offset < HEADER_BYTES:
            return header, 0
        at = offset - HEADER_BYTES
        if at >= self._records_bytes:
            return end, HEADER_BYTES + self._records_bytes
        number = at // self._block_bytes
        if number != self._number:
            self._number = -1
            self._block = self._decompress(number)
            if not self.fault:
                self._number = number
        return self._block, HEADER_BYTES + number * self._block_bytes

    def _decompress(self, number: int) -> bytes:
        block = self._blocks[number]
        start = number * self._block_bytes
        expected = min(self._block_bytes, self._records_bytes - start)
        data = self._disk.read(self._fd, block.offset, block.size)
        where = f"the compressed block at byte {block.offset} of the file"
        if len(data) != block.size or crc32c(data) != block.crc:
            self.fault = f"{where} has a wrong checksum"
            return b""
        inflate = zlib.decompressobj()
        try:
            plain = inflate.decompress(data, expected + 1)
        except zlib.error as problem:
            self.fault = f"{where} cannot be read: {problem}"
            return b""
        if len(plain) != expected or not inflate.eof or inflate.unused_data:
            self.fault = f"{where} does not hold {expected} bytes"
            return b""
        return plain


def open_segment(disk: Disk, directory: Path, first: int) -> PlainSegment | CompressedSegment:
    """The segment that begins at position `first`. The plain form counts if both are there.

    Raises FileNotFoundError, or LogDamaged for a compressed one with an invalid end.
    """
    try:
        return PlainSegment(disk, directory, first)
    except FileNotFoundError:
        path = directory / segment_name(first, COMPRESSED_SUFFIX)
    try:
        return CompressedSegment(disk, path)
    except HeaderInvalid as problem:
        raise damaged(path.name, 0, first, str(problem)) from None


def write_compressed(
    disk: Disk,
    source: SegmentBytes,
    path: Path,
    pause: Callable[[], None],
    *,
    block_bytes: int = BLOCK_BYTES,
) -> None:
    """Write the compressed form of a complete segment to `path` durably, and compare both.

    pause: called after each block; what it raises ends the work. Raises OSError.
    """
    size = source.size()
    header = source.read(0, HEADER_BYTES)
    end = source.read(size - RECORD_BYTES, RECORD_BYTES)
    records_bytes = size - _ENDS_BYTES
    index = bytearray()
    fd = disk.create(path)
    try:
        write_all(disk, fd, _MAGIC)
        for start in range(0, records_bytes, block_bytes):
            plain = source.read(HEADER_BYTES + start, min(block_bytes, records_bytes - start))
            data = zlib.compress(plain, LEVEL)
            write_all(disk, fd, data)
            # Each block by itself: many unsynced bytes would delay the syncs of appends.
            disk.sync(fd)
            index += _BLOCK.pack(len(data), crc32c(data))
            pause()
        foot = _FOOT.pack(_FORMAT, block_bytes, records_bytes, header, end)
        write_all(disk, fd, index + foot + _CRC.pack(crc32c(bytes(index + foot))))
        disk.sync(fd)
        disk.forget(fd)
    finally:
        disk.close(fd)
    try:
        compressed = CompressedSegment(disk, path)
    except HeaderInvalid as problem:
        raise OSError(f"{path.name} cannot be read back: {problem}") from problem
    with closing(compressed):
        same = compressed.size() == size
        for offset in range(0, size, BLOCK_BYTES):
            same = same and compressed.read(offset, BLOCK_BYTES) == source.read(offset, BLOCK_BYTES)
            pause()
        if not same:
            raise OSError(f"{path.name} does not read as {source.name}: {compressed.fault}")
