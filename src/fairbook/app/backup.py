"""A copy of log and snapshots that a restart can go on from, made while the exchange trades.

How it works: the snapshots come first, so that none is newer than the end of the copied log. Then
the log up to an entry that is certainly durable: segments with a successor as they are, compressed
or not, and of the last one the bytes up to there. The copy is then read as a start would read it:
every record and the chain of all, and a replay from its newest snapshot.

Always true:
- the directory that is copied is only read; whoever writes it is not slowed by locks;
- what is returned is the state that the copy leads to, computed from the copy alone;
- all that was written is durable when `copy` returns.

Not here: accounts and other files, and the name of the copy (cli/backup.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fairbook.core import state
from fairbook.core.exchange import Exchange
from fairbook.engine.recovery import recover
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import DIRECTORY as SNAPSHOTS_NAME
from fairbook.engine.snapshots import SnapshotInvalid, Snapshots
from fairbook.log.compressed import PACKED_SUFFIX
from fairbook.log.disk import Disk
from fairbook.log.durable_file import write_file
from fairbook.log.files import DIRECTORY as LOG_NAME
from fairbook.log.files import FileLog
from fairbook.log.log import LogDamaged
from fairbook.log.scan import Segment, judge_fault, scan_segments
from fairbook.log.segments import HEADER_BYTES, Plain, SegmentReader, segment_name

CERTAIN_AFTER_S: Final = 3.0
"""In a running exchange the next entry comes after a second at most."""
TRIES: Final = 10
_POLL_S: Final = 0.02
_COPY_BYTES: Final = 1 << 20


class NotCopied(Exception):
    """The copy is not one that a restart could go on from. The message says why."""


def copy(
    directory: Path, to: Path, *, full: bool = False, certain_after_s: float = CERTAIN_AFTER_S
) -> Runner:
    """Copy the log and the snapshots in `directory` to `to`, an empty directory; return the state
    at the end of the copy.

    full: replay from the first entry as well. certain_after_s: how long to wait for an entry after
    the newest one, which shows that it is durable; without one it is taken as it is: nobody writes.
    Raises NotCopied, LogDamaged, OSError.
    """
    newest = _copy_snapshots(directory, to)
    _copy_log(directory / LOG_NAME, to / LOG_NAME, newest, certain_after_s)
    return _read_back(to, full=full)


def _copy_snapshots(directory: Path, to: Path) -> int:
    """Copy the sound ones; return the position of the newest."""
    copies = Snapshots(to)
    if not (directory / SNAPSHOTS_NAME).is_dir():
        return 0
    snapshots = Snapshots(directory)
    newest = 0
    for path in reversed(snapshots.paths()):
        try:
            snapshot = snapshots.read(path)
        except SnapshotInvalid:
            continue  # Or it has just made room for a newer one.
        copies.write(snapshot)
        newest = snapshot.position
    return newest


def _copy_log(log: Path, to: Path, newest: int, certain_after_s: float) -> None:
    """newest: a position that is known to be durable."""
    to.mkdir()
    disk = Disk()
    earlier, last, octets = _open_last(disk, log)
    try:
        # Held open, it stays readable, whatever becomes of its name.
        size = _certain_size(octets, last, newest, certain_after_s)
        for segment in earlier:
            _copy_earlier(disk, log, to, segment)
        write_file(to / last.name, _pieces(octets, size))
    finally:
        octets.close()
    disk.sync_directory(to.parent)


def _open_last(disk: Disk, log: Path) -> tuple[tuple[Segment, ...], Segment, Plain]:
    """The segments that have a successor, and the one that has none."""
    for _ in range(TRIES):
        found = scan_segments(disk, log)
        segments = found.segments[:-1] if found.unfinished else found.segments
        if not segments:
            raise NotCopied("its log is empty")
        try:
            return segments[:-1], segments[-1], Plain(disk, log, segments[-1].header.first)
        except FileNotFoundError:
            pass  # It got a successor, and was compressed.
    raise NotCopied("its segments change faster than they can be opened")


def _certain_size(octets: Plain, last: Segment, newest: int, certain_after_s: float) -> int:
    """How many bytes of the last segment are whole records, the newest one durable."""
    reader = SegmentReader(
        octets, last.header, offset=HEADER_BYTES, limit=octets.size(), last=last.header.before
    )
    for _ in reader.entries():
        pass
    judge_fault(reader)
    size = reader.newest if reader.ended else reader.offset
    deadline_s = time.monotonic() + certain_after_s
    # A byte behind a record says that its append has ended.
    while (
        reader.last.position > newest
        and octets.size() <= reader.offset
        and not reader.ended
        and time.monotonic() < deadline_s
    ):
        time.sleep(_POLL_S)
    return size


def _copy_earlier(disk: Disk, log: Path, to: Path, segment: Segment) -> None:
    """A segment with a successor, in the form in which it is now."""
    first = segment.header.first
    try:
        path = log / segment_name(first)
        fd = disk.open(path)
    except FileNotFoundError:
        path = log / segment_name(first, PACKED_SUFFIX)
        fd = disk.open(path)
    try:
        size = disk.status(fd).size
        pieces = (
            disk.read(fd, offset, min(_COPY_BYTES, size - offset))
            for offset in range(0, size, _COPY_BYTES)
        )
        write_file(to / path.name, pieces)
    finally:
        disk.close(fd)


def _pieces(octets: Plain, size: int) -> Iterator[bytes]:
    for offset in range(0, size, _COPY_BYTES):
        yield octets.read(offset, min(_COPY_BYTES, size - offset))


def _read_back(to: Path, *, full: bool) -> Runner:
    """The state that the copy leads to."""
    log = FileLog(to, read_only=True)
    try:
        end = log.verify()
        runner, recovery = recover(log, Snapshots(to))
        if recovery.problems or (runner.position, runner.chain) != (end.position, end.chain):
            raise NotCopied(f"the copy is not whole: {'; '.join(recovery.problems)}")
        _check(runner)
        if full:
            replayed = Runner(Exchange())
            for entry in log.read(1):
                replayed.apply(entry)
            if state.dump(replayed.exchange) != state.dump(runner.exchange):
                raise NotCopied(
                    f"at position {runner.position} the replay of the whole log is not what follows"
                    f" from the snapshot of position {recovery.snapshot_position}"
                )
    except LogDamaged as problem:
        raise NotCopied(f"the copy, read back: {problem}") from problem
    finally:
        log.close()
    return runner


def _check(runner: Runner) -> None:
    try:
        state.check(runner.exchange)
    except AssertionError as broken:
        raise NotCopied(f"at position {runner.position} an invariant is broken: {broken}") from None
