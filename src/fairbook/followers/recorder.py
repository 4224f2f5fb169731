"""The recorder: follows the log with an exchange of its own, and writes the history store.

Design: the log's entries up to an announced position are applied and committed to the store,
TRANSACTION_COMMANDS or so at a time. It begins at the newest snapshot, its own or the engine's,
that is not ahead of the store, and replays from there to the store's position without recording. A
fault of the store that may go away is retried for half a minute; then the process ends, and another
one is started.

Invariants:
- the log is authoritative: a store that is ahead of it, of another log or damaged is renamed, and
  everything is recorded again from the first entry; also if its events are not the engine's;
- a snapshot is written only when the store has everything in it, durably;
- of a frame that only a later release can execute nothing is recorded, of those before it all is.
"""

import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from fairbook.core.admin_commands import RulesUnknown
from fairbook.core.records import COMMAND_BYTES
from fairbook.engine import gc_policy
from fairbook.engine.recovery import restore_before
from fairbook.engine.runner import EVENT_HASH_BYTES, Runner
from fairbook.engine.snapshots import Snapshots
from fairbook.followers import wire
from fairbook.followers.follower import EngineGone, FileSource, follow
from fairbook.history.projection import HistoryProjection
from fairbook.history.sqlite_store import FILE_NAME, SqliteStore, move_aside
from fairbook.history.store import StoreInvalid, StoreTaken, StoreUnavailable
from fairbook.log.command_log import LogDamaged

DIRECTORY: Final = "recorder"  # of its snapshots, in the data directory
TRANSACTION_COMMANDS: Final = 4_096
SNAPSHOT_COMMANDS: Final = 500_000
SNAPSHOT_COMMANDS_AT_END: Final = 10_000  # Fewer are replayed sooner than a state is written.
FINISH_S: Final = 1.0
UNKNOWN: Final = bytes(EVENT_HASH_BYTES)  # a digest that the engine has not sent


def run(directory: Path, descriptor: int, **limits: int) -> None:
    """Be the recorder of the engine at the other end of `descriptor`, until that is gone.
    Raises LogDamaged, RulesUnknown, OSError (StoreUnavailable), and what a bug raises.
    """
    connection = socket.socket(fileno=descriptor)
    source = FileSource("recorder", directory, connection, finish_s=FINISH_S)
    follow(source, Recorder(directory, source, **limits))


class Recorder:
    """A Follower that records."""

    def __init__(
        self,
        directory: Path,
        source: FileSource,
        *,
        transaction_commands: int = TRANSACTION_COMMANDS,
        snapshot_commands: int = SNAPSHOT_COMMANDS,
    ) -> None:
        self._directory = directory
        self._source = source
        self._transaction_commands = transaction_commands
        self._snapshot_commands = snapshot_commands
        own = directory / DIRECTORY
        own.mkdir(exist_ok=True)
        self._snapshots = Snapshots(own)
        self._snapshots.remove_leftovers()
        self._snapshot_sequence = 0  # Of the newest snapshot.
        self._was_moved_aside = self._has_noted = False
        self._began_at = 0  # position of the snapshot that it began with; 0: none
        self._state: tuple[SqliteStore, Runner, HistoryProjection] | None = None

    def handle(self, messages: list[wire.Message]) -> None:
        applied = [each for each in messages if each.kind == wire.APPLIED]
        if applied:
            self._record_to(applied[-1].position)
            self._compare_events(applied[-1])

    def finish(self) -> None:
        self._write_snapshot(SNAPSHOT_COMMANDS_AT_END)
        if self._state is not None:
            self._state[0].close()

    def _record_to(self, position: int) -> None:
        if self._state is None:
            self._state = self._begin(position)
        while self._state[1].position < position:
            try:
                self._transaction(position)
            except StoreInvalid as problem:
                self._state[0].close()
                self._state = None
                self._move_aside(str(problem))
                self._state = self._begin(position)
            except RulesUnknown:
                self._record_before_unknown()
                raise
            self._write_snapshot(self._snapshot_commands)
            self._source.check()

    def _compare_events(self, applied: wire.Message) -> None:
        """The snapshot that this began with may have been edited; without one, or a second time,
        the engine may be the wrong one, which the replica finds out.
        """
        assert self._state is not None
        store, runner, _ = self._state
        if runner.position != applied.position or applied.digest in (UNKNOWN, runner.event_hash):
            return
        problem = f"its events up to position {runner.position} are not the engine's"
        if self._was_moved_aside or not self._began_at:
            if not self._has_noted:
                self._source.note(problem)
            self._has_noted = True
            return
        self._state = None
        store.close()
        self._move_aside(problem)
        self._record_to(applied.position)

    def _record_before_unknown(self) -> None:
        """Record everything before a frame that cannot be executed, anew: the state has a part of
        it.
        """
        assert self._state is not None
        store, runner, _ = self._state
        last, self._state = runner.position, None
        recorded = store.position
        store.close()
        if recorded < last:
            self._record_to(last)

    def _transaction(self, last: int) -> None:
        """Record some entries, up to position `last` at most."""
        assert self._state is not None
        store, runner, projection = self._state
        commands = 0
        with suppress(EngineGone):  # What was applied is recorded; then `check` raises it again.
            for entry in self._source.entries(runner.position + 1, last):
                events = runner.apply(entry)
                assert events is not None
                projection.take(entry.time_ns, events)
                commands += len(entry.frame) // COMMAND_BYTES
                if commands >= self._transaction_commands:
                    break

        # StoreTaken: the recorder of an earlier engine still runs, and ends soon. Begin again.
        self._source.retry(
            lambda: projection.commit(
                position=runner.position, time_ns=runner.exchange.time_ns, chain=runner.chain
            ),
            StoreUnavailable,
            but=StoreTaken,
        )
        self._source.advance(store.position)
        self._source.report()

    def _begin(self, last: int) -> tuple[SqliteStore, Runner, HistoryProjection]:
        """The store, and an exchange at its position. last: of the log."""
        with gc_policy.frozen_afterwards():
            store = self._sound_store(last)
            self._source.advance(store.position)
            self._source.report()
            runner = restore_before(
                self._source.log,
                [self._snapshots, Snapshots(self._directory)],
                store.position,
                on_problem=self._source.note,
            )
            self._snapshot_sequence = runner.exchange.sequence
            self._began_at = runner.position
            for entry in self._source.entries(runner.position + 1, store.position):
                runner.apply(entry)
        return store, runner, HistoryProjection(store, runner.exchange)

    def _sound_store(self, last: int) -> SqliteStore:
        """The store if the log contains it; else an empty one."""
        try:
            store = self._open_store()
        except StoreInvalid as problem:
            self._move_aside(str(problem))
            return self._open_store()
        try:
            if store.position > last:
                raise LogDamaged(f"it goes up to position {store.position}, the log to {last}")
            self._source.log.require(store.position, store.chain)
        except LogDamaged as problem:
            store.close()
            self._move_aside(str(problem))
            return self._open_store()
        return store

    def _open_store(self) -> SqliteStore:
        return self._source.retry(
            lambda: SqliteStore(self._directory / FILE_NAME), StoreUnavailable
        )

    def _move_aside(self, reason: str) -> None:
        """Begin with an empty store: once in a process, or something else is wrong."""
        if self._was_moved_aside:
            raise StoreUnavailable(f"recorded again, the store is not sound either: {reason}")
        self._was_moved_aside = True
        for path in self._snapshots.paths():
            path.unlink()
        aside = move_aside(self._directory / FILE_NAME)
        self._source.note(f"the store is put aside as {aside.name}, and recorded again: {reason}")

    def _write_snapshot(self, commands: int) -> None:
        """Write a snapshot, if there were that many commands since the last."""
        if self._state is None:
            return
        store, runner, _ = self._state
        sequence = runner.exchange.sequence
        # What is applied but not recorded must not be in it.
        if sequence - self._snapshot_sequence < commands or runner.position > store.position:
            return
        self._snapshot_sequence = sequence
        try:
            store.sync()
            self._snapshots.write(runner.snapshot())
        except OSError as problem:
            self._source.note(
                f"the snapshot of position {runner.position} was not written: {problem}"
            )
