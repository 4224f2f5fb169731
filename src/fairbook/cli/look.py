"""Looking into a data directory: `verify`, `replay` and `inspect`.

How it works: the log is read from its first entry through a state machine of our own; nothing
that the exchange has computed is believed. `verify` compares what comes out with every snapshot,
and with every row of the store of history. The exchange may be running: the log is followed without
its lock.

Always true: nothing in the directory is changed.

Not here: how records are made readable (text.py), the store of history (recorded.py).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from fairbook.cli import record_text as text
from fairbook.cli.verify_history import HistoryUnreadable, Recorded, recorded
from fairbook.core import records, state
from fairbook.core.exchange import Exchange
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import DIRECTORY as SNAPSHOTS_NAME
from fairbook.engine.snapshots import Snapshot, SnapshotInvalid, Snapshots
from fairbook.log.files import DIRECTORY as LOG_NAME
from fairbook.log.files import FileLog
from fairbook.log.log import Entry, LogDamaged

_SHOWN_MAX: Final = 20  # differences of the store of history


class Wrong(Exception):
    """What is kept contradicts itself. The message says where."""


def verify(directory: Path) -> int:
    """Check the whole log, what follows from it, every snapshot, and the store of history."""

    def look() -> None:
        snapshots, problems = _snapshots(directory)
        runner = Runner(Exchange())
        # Opened before the log: what it has, the log has.
        with recorded(directory, runner.exchange) as history:
            for entry in _entries(directory):
                events = runner.apply(entry)
                assert events is not None, "the log gives each position once"
                if history is not None:
                    history.take(entry, events, runner)
                snapshot = snapshots.pop(entry.position, None)
                if snapshot is not None:
                    _compare(runner, snapshot)
            if snapshots:
                raise Wrong(
                    f"the log ends at position {runner.position}, but there is a sound snapshot of"
                    f" position {max(snapshots)}: acknowledged commands are missing"
                )
            _check(runner)
            print(summary(runner))
            for problem in problems:
                print(f"warning: {problem}; it is not used", file=sys.stderr)
            if history is not None:
                _compare_history(runner, history)

    return _say("verify", directory, look)


def replay(directory: Path, *, to: int | None) -> int:
    """Print the digest of the state after position `to`; None: after the last one."""

    def look() -> None:
        runner = Runner(Exchange())
        for entry in _entries(directory):
            if to is not None and entry.position > to:
                break
            runner.apply(entry)
        if to is not None and runner.position < to:
            raise Wrong(f"the log ends at position {runner.position}")
        print(summary(runner))

    return _say("replay", directory, look)


def inspect(directory: Path, *, first: int, to: int | None) -> int:
    """Print commands and what came of them, from position `first` to `to`; None: to the end."""

    def look() -> None:
        runner = Runner(Exchange())
        for entry in _entries(directory):
            if to is not None and entry.position > to:
                break
            events = runner.apply(entry)
            assert events is not None, "the log gives each position once"
            if entry.position >= first:
                for line in text.frame_lines(entry, records.split(events), runner.exchange):
                    print(line)

    return _say("inspect", directory, look)


def _say(command: str, directory: Path, look: Callable[[], None]) -> int:
    """Run `look` and turn what it raises into one line and an exit code."""
    try:
        if not (directory / LOG_NAME).is_dir():
            raise Wrong("there is no log in it")
        look()
    except BrokenPipeError:
        raise  # It is not the directory's fault.
    except (Wrong, HistoryUnreadable, LogDamaged, OSError) as error:
        print(f"fairbook {command}: {directory}: {error}", file=sys.stderr)
        return 1
    return 0


def _entries(directory: Path) -> Iterator[Entry]:
    log = FileLog(directory, read_only=True)
    try:
        yield from log.read(1)
    finally:
        log.close()


def _snapshots(directory: Path) -> tuple[dict[int, Snapshot], list[str]]:
    """The sound snapshots by position, and what is wrong with the others."""
    sound: dict[int, Snapshot] = {}
    problems: list[str] = []
    if not (directory / SNAPSHOTS_NAME).is_dir():
        return sound, problems
    snapshots = Snapshots(directory)
    for path in snapshots.paths():
        try:
            snapshot = snapshots.read(path)
            sound[snapshot.position] = snapshot
        except SnapshotInvalid as problem:
            problems.append(str(problem))
    return sound, problems


def _compare(runner: Runner, snapshot: Snapshot) -> None:
    """What was replayed is what was kept. Raises Wrong."""
    for what, replayed, kept in (
        ("chain", runner.chain, snapshot.chain),
        ("state", state.digest(runner.exchange), snapshot.digest),
        ("events", runner.event_hash, snapshot.event_hash),
    ):
        if replayed != kept:
            raise Wrong(
                f"at position {runner.position} the {what} of the log is {replayed.hex()},"
                f" that of the snapshot {kept.hex()}"
            )


def _compare_history(runner: Runner, history: Recorded) -> None:
    """Every row that was recorded is one that the log gives. Raises Wrong."""
    if history.position > runner.position:
        raise Wrong(
            f"history.db goes up to position {history.position},"
            f" the log ends at position {runner.position}"
        )
    count = 0
    for difference in history.differences():
        count += 1
        if count <= _SHOWN_MAX:
            print(f"history.db: {difference}", file=sys.stderr)
    if count:
        raise Wrong(f"history.db does not say what the log says: {count} differences")
    behind = runner.position - history.position
    late = f", {behind} frames behind the log" if behind else ""
    print(f"history  position {history.position}, every row as the log has it{late}")


def _check(runner: Runner) -> None:
    try:
        state.check(runner.exchange)
    except AssertionError as broken:
        raise Wrong(f"at position {runner.position} an invariant is broken: {broken}") from broken


def summary(runner: Runner) -> str:
    """Where it stands, in one line."""
    return (
        f"position {runner.position}  sequence {runner.exchange.sequence}"
        f"  digest {state.digest(runner.exchange).hex()}  chain {runner.chain.hex()}"
    )
