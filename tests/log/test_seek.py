"""`require` finds a position without reading the whole log, in plain and compressed segments, and
compares it with the bytes of the record.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from fairbook.log.command_log import Entry, LogDamaged
from fairbook.log.compressor import SegmentCompressor
from fairbook.log.file_log import FileLog
from fairbook.log.segments import HEADER_BYTES, RECORD_BYTES
from tests.log.disks import QuickDisk

SEGMENT_BYTES = 300_000


class CountingDisk(QuickDisk):
    """Counts the bytes that are read."""

    def __init__(self) -> None:
        self.read_bytes = 0

    def read(self, fd: int, offset: int, size: int) -> bytes:
        octets = super().read(fd, offset, size)
        self.read_bytes += len(octets)
        return octets


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    """The entries of the log in tmp_path: four segments, the first two compressed. Small and large
    frames.
    """
    chance = Random(31)
    log = FileLog(tmp_path, segment_bytes=SEGMENT_BYTES, disk=QuickDisk())
    made: list[Entry] = []
    while len(list((tmp_path / "log").iterdir())) < 4:
        if len(list((tmp_path / "log").iterdir())) == 3 and not list(tmp_path.rglob("*.z")):
            SegmentCompressor(tmp_path, disk=QuickDisk(), block_bytes=10_000).compress_all()
        size = chance.choice((1, 48, 480, 480, 4_800, 48_000))
        made.append(log.append(chance.randbytes(size), 1_000 + len(made)))
    made += [log.append(chance.randbytes(300), 10**6) for _ in range(600)]
    log.close()
    assert len(list(tmp_path.rglob("*.log"))) == 2
    return made


@pytest.mark.parametrize("read_only", [False, True])
def test_every_position_is_found_and_read_on_from(
    tmp_path: Path, entries: list[Entry], read_only: bool
) -> None:
    log = FileLog(tmp_path, read_only=read_only, disk=QuickDisk())
    for entry in Random(32).sample(entries, len(entries)):
        log.require(entry.position, entry.chain)
        if entry.position % 41 == 0:
            assert list(log.read(entry.position + 1)) == entries[entry.position :]
        with pytest.raises(LogDamaged, match="another history"):
            log.require(entry.position, bytes(32))
    assert log.verify() == entries[-1].without_frame()
    log.close()


def test_little_is_read_for_it(tmp_path: Path, entries: list[Entry]) -> None:
    disk = CountingDisk()
    log = FileLog(tmp_path, disk=disk)
    last = max((tmp_path / "log").iterdir()).stat().st_size
    disk.read_bytes = 0
    position = entries[-1].position - 5
    log.require(position, entries[position - 1].chain)
    assert disk.read_bytes < last / 2
    log.close()


def test_damage_at_the_position_is_met_and_damage_before_it_is_not(
    tmp_path: Path, entries: list[Entry]
) -> None:
    """As at every start, earlier segments are verified only when they are read."""
    path = sorted((tmp_path / "log").glob("*.log"))[0]
    octets = path.read_bytes()
    first = int(path.name[:20])
    offsets = [HEADER_BYTES]
    for entry in entries[first - 1 :]:
        offsets.append(offsets[-1] + RECORD_BYTES + len(entry.frame))
        if offsets[-1] >= len(octets) - RECORD_BYTES:
            break
    number = len(offsets) - 3
    wanted = entries[first - 1 + number]
    for at, is_met in ((offsets[number] + 70, True), (offsets[1] + 70, False)):
        changed = bytearray(octets)
        changed[at] ^= 1
        path.write_bytes(changed)
        log = FileLog(tmp_path, disk=QuickDisk())
        if is_met:
            with pytest.raises(LogDamaged, match=f"segment {path.name}, offset {offsets[number]}"):
                log.require(wanted.position, wanted.chain)
        else:
            log.require(wanted.position, wanted.chain)
            assert list(log.read(wanted.position + 1)) == entries[wanted.position :]
        with pytest.raises(LogDamaged, match=f"segment {path.name}"):
            log.verify()
        log.close()
