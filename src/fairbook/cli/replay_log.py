"""Replaying the log of a data directory, in use or not: for `verify`, `replay` and `inspect`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from fairbook.core import state
from fairbook.engine.runner import Runner
from fairbook.log.command_log import Entry, LogDamaged
from fairbook.log.file_log import DIRECTORY as LOG_NAME
from fairbook.log.file_log import FileLog


class DataError(Exception):
    """A data directory cannot be used, or contradicts itself. The message says where."""


REPLAY_ERRORS: Final = (DataError, LogDamaged, OSError)


def require_log(directory: Path) -> None:
    """Raise DataError for a directory without a log."""
    if not (directory / LOG_NAME).is_dir():
        raise DataError("there is no log in this directory")


def replay_log(
    directory: Path, runner: Runner, *, to: int | None = None
) -> Iterator[tuple[Entry, bytes]]:
    """Apply each entry up to position `to` (None: to the end), and yield it with its events.

    The lock of the log is not taken, and nothing is changed. Raises what REPLAY_ERRORS names.
    """
    require_log(directory)
    with closing(FileLog(directory, read_only=True)) as log:
        for entry in log.read(1):
            if to is not None and entry.position > to:
                break
            events = runner.apply(entry)
            assert events is not None, "the log gives each position once"
            yield entry, events


def summary(runner: Runner) -> str:
    """Position and state in one line."""
    return (
        f"position {runner.position}  sequence {runner.exchange.sequence}"
        f"  digest {state.digest(runner.exchange).hex()}  chain {runner.chain.hex()}"
    )
