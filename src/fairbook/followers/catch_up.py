"""A state of one's own beside a running engine: from a snapshot that is not ahead of a position.

How it works: as recovery.py, but for those who only read: a replica, a judge.

Always true: nothing on disk is changed or judged for others; a snapshot that was cut off while it
was being replaced is passed over like any other that is not sound.

Not here: the tail of the log (replica.py, judge.py).
"""

from __future__ import annotations

from collections.abc import Callable

from fairbook.core.exchange import Exchange
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import SnapshotInvalid, Snapshots
from fairbook.log.command_log import CommandLog


def runner_before(
    log: CommandLog,
    snapshots: Snapshots,
    position: int,
    *,
    note: Callable[[str], None] = lambda _: None,
    is_checked: bool = True,
) -> Runner:
    """At the newest sound snapshot of at most `position`; at position 0 if there is none.

    is_checked: whether what was loaded is held against the snapshot. note: told of each snapshot
    that is passed over. Raises LogDamaged if the log denies the one that is used.
    """
    for path in snapshots.paths():
        try:
            if snapshots.read_head(path).position > position:
                continue
            snapshot = snapshots.read(path)
            log.require(snapshot.position, snapshot.chain)
            exchange = snapshot.restore(is_checked=is_checked)
        except SnapshotInvalid as problem:
            note(str(problem))
            continue
        return Runner(
            exchange,
            position=snapshot.position,
            chain=snapshot.chain,
            event_hash=snapshot.event_hash,
        )
    return Runner(Exchange())
