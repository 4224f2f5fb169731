"""Damage to the files is repaired exactly where the rule allows it, and otherwise refused.

The rule, independent of the log's code: only the last record of the last segment may be damaged,
and is dropped. Damage elsewhere in the last segment, in a header or in an end record refuses the
start. A damaged record of an earlier segment raises when it is read, after the entries before it.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

import google_crc32c
import pytest

from fairbook.log.command_log import (
    FRAME_BYTES_MAX,
    Entry,
    LogDamaged,
    chain_after,
    hash_frame,
)
from fairbook.log.file_log import FileLog
from tests.log.disks import QuickDisk

HEADER_BYTES = 72
RECORD_BYTES = 64  # And the frame.
SEGMENT_BYTES = 2500
SEED = 20


class Spot(NamedTuple):
    """A part of a segment. position: of its entry; 0 for a header, -1 for an end record."""

    start: int
    end: int
    position: int


class Healthy(NamedTuple):
    """An undamaged log."""

    files: dict[str, bytes]
    entries: list[Entry]
    layout: dict[str, list[Spot]]

    @property
    def names(self) -> list[str]:
        return sorted(self.files)

    def lay_out(self, directory: Path) -> Path:
        """Write the files; returns the directory of the segments."""
        segments = directory / "log"
        shutil.rmtree(directory, ignore_errors=True)
        segments.mkdir(parents=True)
        for name, octets in self.files.items():
            (segments / name).write_bytes(octets)
        return segments


def layout_of(entries: list[Entry]) -> dict[str, list[Spot]]:
    """The expected place of every part, by arithmetic."""
    layout: dict[str, list[Spot]] = {}
    spots: list[Spot] = []
    for entry in entries:
        size = RECORD_BYTES + len(entry.frame)
        if not spots or spots[-1].end + size > SEGMENT_BYTES:
            if spots:
                spots.append(Spot(spots[-1].end, spots[-1].end + RECORD_BYTES, -1))
            spots = layout[f"{entry.position:020d}.log"] = [Spot(0, HEADER_BYTES, 0)]
        spots.append(Spot(spots[-1].end, spots[-1].end + size, entry.position))
    return layout


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Healthy:
    directory = tmp_path_factory.mktemp("healthy")
    chance = Random(SEED)
    log = FileLog(directory, segment_bytes=SEGMENT_BYTES, disk=QuickDisk())
    entries = []
    for number in range(45):
        frame = chance.randbytes(48 * chance.randint(1, 5))
        entries.append(log.append(frame, 1_000 + number))
    log.close()
    files = {path.name: path.read_bytes() for path in (directory / "log").iterdir()}
    layout = layout_of(entries)
    assert sorted(files) == sorted(layout)
    for name, spots in layout.items():
        assert len(files[name]) == spots[-1].end
    assert len(files) >= 4
    assert len(layout[max(files)]) >= 5
    return Healthy(files, entries, layout)


def opened(directory: Path) -> FileLog:
    return FileLog(directory, segment_bytes=SEGMENT_BYTES, disk=QuickDisk())


def assert_holds(directory: Path, entries: list[Entry], *, dropped: bool) -> None:
    """The log opens with exactly these entries, reports a dropped one, and accepts more."""
    log = opened(directory)
    assert (log.dropped is not None) == dropped
    assert list(log.read(1)) == entries
    more = log.append(b"more", 0)
    assert more.position == len(entries) + 1
    log.close()
    log = opened(directory)
    assert log.dropped is None
    assert list(log.read(1)) == [*entries, more]
    log.close()


def assert_refused(directory: Path, *words: str) -> None:
    """A writer does not open the log and changes nothing; the message has all `words`."""
    before = {path: path.read_bytes() for path in (directory / "log").iterdir()}
    with pytest.raises(LogDamaged) as problem:
        opened(directory)
    for word in words:
        assert word in str(problem.value)
    assert {path: path.read_bytes() for path in (directory / "log").iterdir()} == before


def test_the_tail_cut_at_every_byte_of_the_last_two_records(
    healthy: Healthy, tmp_path: Path
) -> None:
    name = max(healthy.files)
    before_last, last = healthy.layout[name][-2:]
    for size in range(before_last.start, last.end + 1):
        path = healthy.lay_out(tmp_path) / name
        path.write_bytes(healthy.files[name][:size])
        lost = (size < last.end) + (size < before_last.end)
        assert_holds(
            tmp_path,
            healthy.entries[: len(healthy.entries) - lost],
            dropped=size not in (before_last.start, last.start, last.end),
        )


def test_a_cut_that_lost_known_entries_is_refused(healthy: Healthy, tmp_path: Path) -> None:
    """A cut between two records looks undamaged; only a snapshot shows that entries are missing."""
    name = max(healthy.files)
    last = healthy.layout[name][-1]
    path = healthy.lay_out(tmp_path) / name
    path.write_bytes(healthy.files[name][: last.start])
    log = opened(tmp_path)
    log.require(last.position - 1, healthy.entries[last.position - 2].chain)
    with pytest.raises(LogDamaged, match=f"refers to position {last.position}: "):
        log.require(last.position, healthy.entries[-1].chain)
    log.close()


def test_one_bit_flipped_at_a_thousand_places(healthy: Healthy, tmp_path: Path) -> None:
    chance = Random(SEED)
    outcomes = {"dropped": 0, "refused": 0, "met": 0}
    for _ in range(1000):
        name = chance.choices(healthy.names, [len(healthy.files[n]) for n in healthy.names])[0]
        outcomes[flip_one(healthy, tmp_path, name, chance.randrange(len(healthy.files[name])))] += 1
    assert min(outcomes.values()) >= 10, outcomes


def flip_one(healthy: Healthy, directory: Path, name: str, offset: int) -> str:
    """Flip a bit there and check the result against the rule."""
    octets = bytearray(healthy.files[name])
    octets[offset] ^= 1 << (offset * 7 + len(octets)) % 8
    (healthy.lay_out(directory) / name).write_bytes(octets)
    spot = next(spot for spot in healthy.layout[name] if spot.start <= offset < spot.end)
    is_last_segment = name == max(healthy.files)
    if is_last_segment and spot == healthy.layout[name][-1]:
        assert_holds(directory, healthy.entries[:-1], dropped=True)
        return "dropped"
    if is_last_segment or spot.position <= 0:
        # The offset of an end record that is met from behind, or where a reader stands.
        assert_refused(directory, f"segment {name}, offset {spot.start}, position ")
        return "refused"
    log = opened(directory)
    assert log.dropped is None
    got: list[Entry] = []
    with pytest.raises(LogDamaged) as problem:
        for entry in log.read(1):
            got.append(entry)
    where = f"segment {name}, offset {spot.start}, position {spot.position}:"
    assert str(problem.value).startswith(where)
    assert got == healthy.entries[: spot.position - 1]
    following = healthy.names[healthy.names.index(name) + 1]
    behind = healthy.layout[following][1].position
    assert list(log.read(behind)) == healthy.entries[behind - 1 :]
    with pytest.raises(LogDamaged):
        log.verify()
    log.close()
    return "met"


def test_a_missing_segment(healthy: Healthy, tmp_path: Path) -> None:
    """Any segment; the end record before the last one shows that it is missing."""
    for name in healthy.names:
        (healthy.lay_out(tmp_path) / name).unlink()
        assert_refused(tmp_path, f"{name} is missing")


def test_missing_segments(healthy: Healthy, tmp_path: Path) -> None:
    for first in range(len(healthy.names)):
        for last in range(first + 1, len(healthy.names)):
            if last - first + 1 == len(healthy.names):
                continue
            segments = healthy.lay_out(tmp_path)
            for name in healthy.names[first : last + 1]:
                (segments / name).unlink()
            assert_refused(tmp_path, f"{healthy.names[first]} is missing")


def test_two_segments_swapped(healthy: Healthy, tmp_path: Path) -> None:
    for one in healthy.names:
        for other in healthy.names:
            if one < other:
                segments = healthy.lay_out(tmp_path)
                (segments / one).write_bytes(healthy.files[other])
                (segments / other).write_bytes(healthy.files[one])
                assert_refused(tmp_path, f"segment {one}, offset 0", "renamed or copied")


def test_a_segment_repeated_under_another_name(healthy: Healthy, tmp_path: Path) -> None:
    names = healthy.names
    for name in names:
        free = f"{int(name[:20]) + 1:020d}.log"
        (healthy.lay_out(tmp_path) / free).write_bytes(healthy.files[name])
        assert_refused(tmp_path, f"the header is that of {name}")
        for stray in (f"{name}.bak", f"copy of {name}", "1.log", f"0{name}"):
            (healthy.lay_out(tmp_path) / stray).write_bytes(healthy.files[name])
            assert_refused(tmp_path, f"{stray} is not a segment of the log")


def test_a_segment_replaced_by_an_older_copy(healthy: Healthy, tmp_path: Path) -> None:
    """An earlier segment as it was after each of its entries."""
    for name in healthy.names[:-1]:
        for spot in healthy.layout[name][:-1]:
            path = healthy.lay_out(tmp_path) / name
            path.write_bytes(healthy.files[name][: spot.end])
            assert_refused(tmp_path, f"segment {name}", "no valid end record")


def test_a_segment_of_another_history(healthy: Healthy, tmp_path: Path) -> None:
    """The same log with other later entries: right checksums, but another chain or log id."""
    name = max(healthy.files)
    first = healthy.layout[name][1].position
    segments = healthy.lay_out(tmp_path)
    (segments / name).unlink()
    previous = segments / healthy.names[-2]
    previous.write_bytes(
        healthy.files[healthy.names[-2]][: healthy.layout[previous.name][-2].start]
    )
    log = opened(tmp_path)
    assert log.last.position == first - 2
    for entry in healthy.entries[first - 2 :]:
        log.append(bytes(len(entry.frame)), entry.time_ns)
    log.close()
    forked = (segments / name).read_bytes()
    (healthy.lay_out(tmp_path) / name).write_bytes(forked)
    assert_refused(tmp_path, f"segment {previous.name}", f"continues position {first - 1}")

    stranger = tmp_path / "stranger"
    log = opened(stranger)
    for entry in healthy.entries:
        log.append(entry.frame, entry.time_ns)
    log.close()
    octets = (stranger / "log" / name).read_bytes()
    (healthy.lay_out(tmp_path / "mixed") / name).write_bytes(octets)
    assert_refused(tmp_path / "mixed", f"segment {name}, offset 0", "of another log")


@pytest.mark.parametrize(
    "tail",
    [bytes(1), bytes(63), bytes(4096), bytes(65536), b"\xff" * 700, Random(4).randbytes(5000)],
    ids=["byte", "header", "page", "pages", "ones", "noise"],
)
def test_garbage_after_the_last_record_is_dropped(
    healthy: Healthy, tmp_path: Path, tail: bytes
) -> None:
    name = max(healthy.files)
    path = healthy.lay_out(tmp_path) / name
    path.write_bytes(healthy.files[name] + tail)
    assert_holds(tmp_path, healthy.entries, dropped=True)
    assert path.stat().st_size == len(healthy.files[name]) + RECORD_BYTES + len(b"more")


def test_garbage_longer_than_an_append_is_refused(healthy: Healthy, tmp_path: Path) -> None:
    """No crash leaves that much, so it may have been acknowledged."""
    name = max(healthy.files)
    path = healthy.lay_out(tmp_path) / name
    most = RECORD_BYTES + FRAME_BYTES_MAX
    path.write_bytes(healthy.files[name] + bytes(most + 1))
    assert_refused(tmp_path, f"{most + 1} bytes follow")
    path.write_bytes(healthy.files[name] + bytes(most))
    assert_holds(tmp_path, healthy.entries, dropped=True)


def one_byte_lost(octets: bytes, end: int) -> bytes:
    """The last byte before `end` whose loss shows: one that equals the byte after it leaves the
    record before as it was, and only the next one torn.
    """
    at = end - 1
    while octets[at] == octets[at + 1]:
        at -= 1
    return octets[:at] + octets[at + 1 :]


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (lambda octets, last: octets + octets[last.start :], "expected 46"),
        (lambda octets, last: octets + b"?" + octets[last.start :], "not a torn tail"),
        (lambda octets, last: octets + bytes(4096) + octets[last.start :], "not a torn tail"),
        (lambda octets, last: octets + octets, "not a torn tail"),
        (lambda octets, last: octets[: last.start] + bytes(9) + octets[last.start :], "not a torn"),
        (lambda octets, last: one_byte_lost(octets, last.start), "not a torn tail"),
    ],
    ids=["twice", "garbage first", "page first", "segment twice", "inserted", "one byte lost"],
)
def test_a_record_after_a_damaged_one_is_refused(
    healthy: Healthy, tmp_path: Path, octets: Callable[[bytes, Spot], bytes], words: str
) -> None:
    name = max(healthy.files)
    path = healthy.lay_out(tmp_path) / name
    path.write_bytes(octets(healthy.files[name], healthy.layout[name][-1]))
    assert_refused(tmp_path, f"segment {name}", words)


def test_two_damaged_records_at_the_end_are_refused(healthy: Healthy, tmp_path: Path) -> None:
    """Only one append is pending at a time, so the other record was acknowledged."""
    name = max(healthy.files)
    octets = bytearray(healthy.files[name])
    for spot in healthy.layout[name][-2:]:
        octets[spot.start + RECORD_BYTES + 3] ^= 16
    (healthy.lay_out(tmp_path) / name).write_bytes(octets)
    assert_refused(tmp_path, "checksum", "not a torn tail")


def test_every_earlier_segment_cut_anywhere(healthy: Healthy, tmp_path: Path) -> None:
    chance = Random(SEED)
    for name in healthy.names[:-1]:
        size = len(healthy.files[name])
        for cut in [0, 1, HEADER_BYTES, size - 1, *chance.sample(range(size), 20)]:
            (healthy.lay_out(tmp_path) / name).write_bytes(healthy.files[name][:cut])
            assert_refused(tmp_path, f"segment {name}")


def test_records_removed_repeated_or_moved(healthy: Healthy, tmp_path: Path) -> None:
    """A whole record removed, repeated or moved within a segment: all checksums are right, the
    order is wrong.
    """
    name = max(healthy.files)
    octets, spots = healthy.files[name], healthy.layout[name]
    records = [octets[spot.start : spot.end] for spot in spots[1:]]
    for order in ([1, 2, 3], [0, 2, 3], [0, 0, 1, 2, 3], [1, 0, 2, 3], [0, 1, 3, 2]):
        path = healthy.lay_out(tmp_path) / name
        path.write_bytes(octets[:HEADER_BYTES] + b"".join(records[number] for number in order))
        assert_refused(tmp_path, f"segment {name}", "a record of position", "expected")


def sealed(mark: bytes, entry: Entry) -> bytes:
    """A record with a right checksum and any content. Source: docs/reference/log-format.md."""
    body = struct.pack("<IQQ", len(entry.frame), entry.position, entry.time_ns)
    body += entry.chain + entry.frame
    crc: int = google_crc32c.value(body)
    return mark + crc.to_bytes(4, "little") + body


def test_a_forged_last_record_is_refused(healthy: Healthy, tmp_path: Path) -> None:
    """Its checksum is right, so it is no torn write."""
    name = max(healthy.files)
    octets, spot = healthy.files[name], healthy.layout[name][-1]
    mark = octets[spot.start : spot.start + 8]
    last, before = healthy.entries[-1], healthy.entries[-2]
    assert sealed(mark, last) == octets[spot.start :]
    earlier_ns = before.time_ns - 1
    forged = {
        "chain ": last._replace(frame=b"another"),
        "expected at least": Entry(
            last.position,
            earlier_ns,
            chain_after(before.chain, last.position, earlier_ns, hash_frame(last.frame)),
            last.frame,
        ),
        "an end record of position": last.without_frame(),
        "is missing or has lost its header": before.without_frame(),
    }
    for words, entry in forged.items():
        path = healthy.lay_out(tmp_path) / name
        path.write_bytes(octets[: spot.start] + sealed(mark, entry))
        assert_refused(tmp_path, f"segment {name}", words)


def test_a_segment_replaced_after_the_start_is_refused_when_it_is_read(
    healthy: Healthy, tmp_path: Path
) -> None:
    """A header with a right checksum, but another chain than the end of the segment before it."""
    path = healthy.lay_out(tmp_path) / healthy.names[1]
    log = opened(tmp_path)
    octets = healthy.files[path.name]
    body = octets[12 : HEADER_BYTES - 1] + bytes([octets[HEADER_BYTES - 1] ^ 1])
    crc = google_crc32c.value(body).to_bytes(4, "little")
    path.write_bytes(octets[:8] + crc + body + octets[HEADER_BYTES:])
    got: list[Entry] = []
    with pytest.raises(LogDamaged, match=f"segment {path.name}, offset 0, .* it continues"):
        for entry in log.read(1):
            got.append(entry)
    assert got == healthy.entries[: int(path.name[:20]) - 1]
    path.unlink()
    with pytest.raises(LogDamaged, match=f"segment {path.name}, offset 0, .* is missing"):
        list(log.read(1))
    log.close()


@pytest.mark.parametrize("size", [0, 1, 40, HEADER_BYTES - 1])
def test_an_unfinished_new_segment_is_dropped(healthy: Healthy, tmp_path: Path, size: int) -> None:
    """Its header is torn, and the segment before it has no end record."""
    segments = healthy.lay_out(tmp_path)
    last, previous = healthy.names[-1], healthy.names[-2]
    end = healthy.layout[previous][-1]
    (segments / last).write_bytes(healthy.files[last][:size])
    (segments / previous).write_bytes(healthy.files[previous][: end.start])
    first = healthy.layout[last][1].position
    assert_holds(tmp_path, healthy.entries[: first - 1], dropped=True)


@pytest.mark.parametrize("size", [0, 1, 40, HEADER_BYTES - 1])
def test_a_damaged_header_that_was_complete_is_refused(
    healthy: Healthy, tmp_path: Path, size: int
) -> None:
    """The end record before it proves that it was complete; a first segment gets its name only with
    a complete header.
    """
    segments = healthy.lay_out(tmp_path)
    last = healthy.names[-1]
    (segments / last).write_bytes(healthy.files[last][:size])
    assert_refused(tmp_path, f"{last} is missing or has lost its header")
    shutil.rmtree(segments)
    segments.mkdir()
    (segments / healthy.names[0]).write_bytes(healthy.files[healthy.names[0]][:size])
    assert_refused(tmp_path, f"segment {healthy.names[0]}, offset 0", "expected a header of 72")


@pytest.mark.parametrize("kept", [0, 1, 63, RECORD_BYTES])
def test_a_new_segment_without_an_end_record_before_it_is_completed(
    healthy: Healthy, tmp_path: Path, kept: int
) -> None:
    """After a crash between the two writes; all entries must still be there."""
    segments = healthy.lay_out(tmp_path)
    last, previous = healthy.names[-1], healthy.names[-2]
    spots = healthy.layout[previous]
    (segments / last).write_bytes(healthy.files[last][:HEADER_BYTES])
    (segments / previous).write_bytes(healthy.files[previous][: spots[-1].start + kept])
    first = healthy.layout[last][1].position
    assert_holds(tmp_path, healthy.entries[: first - 1], dropped=False)
    assert (segments / previous).read_bytes() == healthy.files[previous]

    for cut in (spots[-2].start, spots[-1].start - 1):
        segments = healthy.lay_out(tmp_path)
        (segments / last).write_bytes(healthy.files[last][:HEADER_BYTES])
        (segments / previous).write_bytes(healthy.files[previous][:cut])
        assert_refused(tmp_path, f"segment {previous}", f"continues position {first - 1}")


def test_other_files_in_the_directory(healthy: Healthy, tmp_path: Path) -> None:
    """Hidden files are ignored, unfinished segments are removed, other files refuse the start."""
    segments = healthy.lay_out(tmp_path)
    (segments / ".DS_Store").write_bytes(b"x")
    aside = segments / f"{99:020d}.log.new"
    aside.write_bytes(b"x")
    assert_holds(tmp_path, healthy.entries, dropped=False)
    assert (segments / ".DS_Store").exists()
    assert not aside.exists()
    (segments / "notes.txt").write_bytes(b"x")
    assert_refused(tmp_path, "notes.txt is not a segment")
