"""Reading entries across segments, each one verified, from any position on.

How it works: a segment is read from its header, which says what it continues, up to its end record,
which must be what the next header says; a place that was reached before saves the way there.

Always true: entries come without a gap, each chained to the one before, or LogDamaged is raised
instead of the next one.

Not here: one segment's records (segments.py), also of a compressed one (packed.py); which segments
there are (opening.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fairbook.log.disk import Disk
from fairbook.log.log import Entry
from fairbook.log.opening import judge_fault
from fairbook.log.packed import PACKED_SUFFIX, open_segment
from fairbook.log.segments import (
    HEADER_BYTES,
    BadHeader,
    Header,
    Octets,
    Reader,
    damaged,
    parse_header,
    segment_name,
)


class Place(NamedTuple):
    """Behind a sound record: in the segment that begins at position `first`, at `offset`, after the
    entry `last`.
    """

    first: int
    offset: int
    last: Entry


class Course:
    """One way through the segments that begin at `firsts`, from the place `start`, or else from the
    first of them on.

    `place` is how far it came. `limit`: how many bytes of the last segment may be read. With
    `following`, an append that is not finished there ends the course; else it is damage.
    """

    def __init__(
        self,
        disk: Disk,
        directory: Path,
        firsts: Sequence[int],
        *,
        start: Place | None,
        limit: int,
        following: bool,
    ) -> None:
        self.place = start
        self._disk = disk
        self._directory = directory
        self._firsts = firsts
        self._limit = limit
        self._following = following

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
                place = Place(first, HEADER_BYTES, header.before)
            reader = Reader(
                octets,
                header,
                offset=place.offset,
                limit=self._limit if is_last else octets.size(),
                last=place.last,
            )
            for entry in reader.entries():
                self.place = Place(first, reader.offset, reader.last)
                yield entry
            self._judge(reader, is_last=is_last)
            self.place = Place(first, reader.offset, reader.last)
        finally:
            octets.close()

    def _open(self, first: int) -> Octets:
        try:
            return open_segment(self._disk, self._directory, first)
        except FileNotFoundError:
            raise damaged(segment_name(first), 0, first, "the segment is missing") from None
        except BadHeader as problem:
            raise damaged(segment_name(first, PACKED_SUFFIX), 0, first, str(problem)) from None

    def _header(self, octets: Octets, first: int) -> Header:
        """The segment's header, which must continue the place where the course stands."""
        name = octets.name
        try:
            header = parse_header(octets.read(0, HEADER_BYTES))
        except BadHeader as problem:
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

    def _judge(self, reader: Reader, *, is_last: bool) -> None:
        if is_last and self._following:
            judge_fault(reader)
        elif reader.fault:
            raise reader.damaged(reader.fault)
        elif not is_last and not reader.ended:
            raise reader.damaged("the segment has no end record, but it is not the last")
