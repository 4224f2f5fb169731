"""From what is on disk to a running state: one path for every start, after a crash or not.

How it works: the newest sound snapshot that the log agrees with, and then every later entry of the
log through the runner. Without a sound snapshot, every entry from the first on.

Always true:
- a log that ends before a sound snapshot, or has another chain at its position, is refused:
  acknowledged commands are missing;
- a snapshot that is not sound is never used; that it was passed over is reported.

Not here: the torn tail of the log and its damages (log/file_log.py, when it is opened).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fairbook.core.exchange import Exchange
from fairbook.engine.runner import Runner, Subscriber
from fairbook.engine.snapshots import Snapshot, SnapshotInvalid, Snapshots
from fairbook.log.command_log import CommandLog, LogDamaged


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a start found and did."""

    snapshot_position: int
    """0: no snapshot was used."""
    replayed: int
    """How many entries of the log came after it."""
    position: int
    """Where the engine stands now."""
    problems: tuple[str, ...]
    """For the operator to read: each snapshot that was passed over, and why."""


def recover(
    log: CommandLog, snapshots: Snapshots, subscribers: Sequence[Subscriber] = ()
) -> tuple[Runner, Recovery]:
    """The state after the last entry of `log`. The subscribers see the replayed entries.

    Raises LogDamaged if the log cannot be trusted, and whatever a bug raises in the replay.
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
                runner = _runner_at(snapshots.read(path), subscribers)
        except SnapshotInvalid as problem:
            snapshots.pass_over(path)
            problems.append(str(problem))
    # Oldest first: so the log is gone through once, from where the oldest one's segment begins.
    for position, chain in reversed(known):
        log.require(position, chain)
    if runner is None:
        runner = Runner(Exchange(), subscribers=subscribers)
        if problems:
            problems.append("no snapshot is sound: everything is replayed from the first entry")

    start = runner.position
    for entry in log.read(start + 1):
        runner.apply(entry)
    if runner.position != log.last.position:
        raise LogDamaged(f"read up to position {runner.position} of {log.last.position}")
    return runner, Recovery(
        snapshot_position=start,
        replayed=runner.position - start,
        position=runner.position,
        problems=tuple(problems),
    )


def _runner_at(snapshot: Snapshot, subscribers: Sequence[Subscriber]) -> Runner:
    return Runner(
        snapshot.restore(),
        position=snapshot.position,
        chain=snapshot.chain,
        event_hash=snapshot.event_hash,
        subscribers=subscribers,
    )
