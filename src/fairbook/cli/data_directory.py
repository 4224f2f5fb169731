"""Reading log and snapshots of a data directory, in use or not. Nothing is locked or changed."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from fairbook.core import state
from fairbook.core.admin_commands import RulesUnknown
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import DIRECTORY as SNAPSHOTS_NAME
from fairbook.engine.snapshots import Snapshot, SnapshotInvalid, Snapshots
from fairbook.log.command_log import Entry, LogDamaged
from fairbook.log.file_log import DIRECTORY as LOG_NAME
from fairbook.log.file_log import FileLog


class DataError(Exception):
    """A data directory has no log, or its files contradict each other. The message says where."""


REPLAY_ERRORS: Final = (DataError, LogDamaged, RulesUnknown, OSError)


def require_log(directory: Path) -> None:
    if not (directory / LOG_NAME).is_dir():
        raise DataError("there is no log in this directory")


def read_log(directory: Path, *, to: int | None = None) -> Iterator[Entry]:
    """Entries up to `to` (None: all). Raises REPLAY_ERRORS."""
    require_log(directory)
    with closing(FileLog(directory, read_only=True)) as log:
        for entry in log.read(1):
            if to is not None and entry.position > to:
                break
            yield entry


def replay_log(
    directory: Path, runner: Runner, *, to: int | None = None
) -> Iterator[tuple[Entry, bytes]]:
    """Apply entries up to `to` (None: all); yield each and its events. Raises REPLAY_ERRORS."""
    for entry in read_log(directory, to=to):
        yield entry, apply_entry(runner, entry)


def apply_entry(runner: Runner, entry: Entry) -> bytes:
    """Apply the next entry of the log, and return its events. Raises REPLAY_ERRORS."""
    events = runner.apply(entry)
    assert events is not None, "the log gives each position once"
    return events


def require_position(runner: Runner, position: int | None) -> None:
    """Raises DataError if the log ended before this position."""
    if position is not None and runner.position < position:
        raise DataError(f"the log ends at position {runner.position}")


def read_snapshots(directory: Path) -> tuple[dict[int, Snapshot], list[str]]:
    """The valid snapshots by position, and what is wrong with the others. Raises DataError."""
    require_log(directory)
    valid: dict[int, Snapshot] = {}
    problems: list[str] = []
    if (directory / SNAPSHOTS_NAME).is_dir():
        snapshots = Snapshots(directory)
        for path in snapshots.paths():
            try:
                snapshot = snapshots.read(path)
                valid[snapshot.position] = snapshot
            except SnapshotInvalid as problem:
                problems.append(str(problem))
    return valid, problems


def summary(runner: Runner) -> str:
    return (
        f"position {runner.position}  sequence {runner.exchange.sequence}"
        f"  digest {state.digest(runner.exchange).hex()}  chain {runner.chain.hex()}"
    )
