"""Recovery: load the newest valid snapshot, then replay every later entry of the log.

Invariants:
- a log that ends before a valid snapshot, or has another chain at its position, is refused:
  acknowledged commands are missing;
- an invalid snapshot is never used, and is reported.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fairbook.core.exchange import Exchange
from fairbook.engine.runner import Runner, Subscriber
from fairbook.engine.snapshots import SnapshotInvalid, Snapshots
from fairbook.log.command_log import CommandLog, LogDamaged


@dataclass(frozen=True, slots=True)
class Recovery:
    """How a state was recovered."""

    snapshot_position: int
    """0: no snapshot was used."""
    replayed: int
    """How many entries of the log came after it."""
    problems: tuple[str, ...]
    """For the operator: each snapshot that was passed over, and why."""


def recover(
    log: CommandLog, snapshots: Snapshots, on_replayed: Subscriber | None = None
) -> tuple[Runner, Recovery]:
    """The state after the last entry of `log`. `on_replayed` is called with every replayed frame.

    Raises LogDamaged if the log cannot be trusted, RulesUnknown if only a later release can execute
    an entry, and what a bug raises in the replay.
    """
    snapshots.remove_leftovers()
    problems: list[str] = []
    runner: Runner | None = None
    known: list[tuple[int, bytes]] = []
    for path in snapshots.paths():
        try:
            # The older ones too: each proves what the log must contain.
            head = snapshots.read_head(path)
            known.append((head.position, head.chain))
            if head.position > log.last.position:
                log.require(head.position, head.chain)
            if runner is None:
                runner = Runner.restore(snapshots.read(path))
        except SnapshotInvalid as problem:
            snapshots.pass_over(path)
            problems.append(str(problem))
    # Oldest first: so the log is read once, from where the oldest one's segment begins.
    for position, chain in reversed(known):
        log.require(position, chain)
    if runner is None:
        runner = Runner(Exchange())
        if problems:
            problems.append("no snapshot is valid: everything is replayed from the first entry")

    start = runner.position
    for entry in log.read(start + 1):
        events = runner.apply(entry)
        if on_replayed is not None and events is not None:
            on_replayed(entry.position, entry.time_ns, entry.frame, events)
    if runner.position != log.last.position:
        raise LogDamaged(f"read up to position {runner.position} of {log.last.position}")
    return runner, Recovery(start, runner.position - start, tuple(problems))


def restore_before(
    log: CommandLog,
    sources: Sequence[Snapshots],
    position: int,
    *,
    on_problem: Callable[[str], None] = lambda _: None,
    is_checked: bool = True,
    without: int = 0,
) -> Runner:
    """For a reader of the log: the state of the newest valid snapshot that is not ahead of
    `position` and that the log agrees with, or the empty state. Changes nothing on disk.

    is_checked: as Snapshot.restore. on_problem: called for each snapshot that is passed over.
    without: position of a snapshot that is not to be used, because another one started from it.
    """
    found = [(path.name, path, source) for source in sources for path in source.paths()]
    for _, path, source in sorted(found, key=lambda each: each[0], reverse=True):
        try:
            found_position = source.read_head(path).position
            if found_position > position or found_position == without:
                continue
            snapshot = source.read(path)
            log.require(snapshot.position, snapshot.chain)
            return Runner.restore(snapshot, is_checked=is_checked)
        except (SnapshotInvalid, LogDamaged) as problem:
            on_problem(f"snapshot passed over: {problem}")
    return Runner(Exchange())
