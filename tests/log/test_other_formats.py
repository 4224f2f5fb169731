"""A log of another format is refused by name, and its files stay as they are."""

from __future__ import annotations

import zlib
from hashlib import blake2b
from pathlib import Path
from struct import pack

import google_crc32c
import pytest

from fairbook.log.command_log import LogDamaged
from fairbook.log.file_log import FileLog
from tests.log.disks import QuickDisk

MARK = b"\xa7mark-1\x00"
FRAMES = [bytes([number]) * 48 * number for number in (1, 3, 2)]
FIRST, SECOND = f"{1:020d}.log", f"{4:020d}.log"


def checked(body: bytes) -> bytes:
    """A body behind its CRC32C."""
    crc: int = google_crc32c.value(body)
    return pack("<I", crc) + body


def header(number: int, first: int, time_ns: int, chain: bytes) -> bytes:
    """number: that of the format. The layout is that of both formats."""
    return b"FAIRLOG\n" + checked(pack("<I8sQQ", number, MARK, first, time_ns) + chain)


def record(position: int, time_ns: int, chain: bytes, frame: bytes) -> bytes:
    return MARK + checked(pack("<IQQ", len(frame), position, time_ns) + chain + frame)


def files(number: int) -> dict[str, bytes]:
    """Two segments with chains of format 1, under any number: each hash is over the frame itself,
    not its hash.
    """
    chain, records = bytes(32), b""
    for position, frame in enumerate(FRAMES, start=1):
        content = chain + pack("<QQ", position, 1_000 * position) + frame
        chain = blake2b(content, digest_size=32).digest()
        records += record(position, 1_000 * position, chain, frame)
    end = record(3, 3_000, chain, b"")
    return {
        FIRST: header(number, 1, 0, bytes(32)) + records + end,
        SECOND: header(number, 4, 3_000, chain),
    }


def compressed(segment: bytes) -> bytes:
    """The other form of a segment, in one block."""
    head, records, end = segment[:72], segment[72:-64], segment[-64:]
    block = zlib.compress(records)
    crc: int = google_crc32c.value(block)
    foot = pack("<II", len(block), crc) + pack("<IIQ", 1, 1 << 20, len(records)) + head + end
    crc = google_crc32c.value(foot)
    return b"FAIRPACK" + block + foot + pack("<I", crc)


def assert_refused(directory: Path, content: dict[str, bytes], words: str) -> None:
    """For a writer and for a reader; the name of the segment is in the message."""
    (directory / "log").mkdir(parents=True)
    for name, octets in content.items():
        (directory / "log" / name).write_bytes(octets)
    for read_only in (False, True):
        with pytest.raises(LogDamaged, match=f"segment {min(content)}, offset [0-9]+, .*{words}"):
            list(FileLog(directory, read_only=read_only, disk=QuickDisk()).read(1))
    assert content == {path.name: path.read_bytes() for path in (directory / "log").iterdir()}


@pytest.mark.parametrize("number", [0, 1, 3, 2**32 - 1])
def test_a_log_of_another_format_is_refused_by_name(tmp_path: Path, number: int) -> None:
    made = files(number)
    words = f"log format {number}, this release reads 2"
    assert_refused(tmp_path / "plain", made, words)
    assert_refused(tmp_path / "one", {FIRST: made[FIRST][:-64]}, words)
    assert_refused(tmp_path / "empty", {FIRST: made[FIRST][:72]}, words)
    packed = {f"{FIRST}.z": compressed(made[FIRST]), SECOND: made[SECOND]}
    assert_refused(tmp_path / "compressed", packed, words)


def test_chains_of_format_1_do_not_pass_as_those_of_format_2(tmp_path: Path) -> None:
    """The number alone does not make a log of format 2; an entry has the format's chain."""
    made = files(2)
    assert_refused(tmp_path / "plain", made, "position 1: chain .*, expected ")
    packed = {f"{FIRST}.z": compressed(made[FIRST]), SECOND: made[SECOND]}
    assert_refused(tmp_path / "compressed", packed, "position 1: chain .*, expected ")
