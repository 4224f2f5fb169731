"""The recorder's process: follows the log with an exchange of its own, and records.

How it works: told of a position, it applies the log's frames up to there and commits them to the
store, `TRANSACTION_COMMANDS` or so at a time. It begins at the newest snapshot that is not ahead of
the store, of its own or of the engine's, and replays from there to the store's position without
recording. A fault of the store that may go away is tried again for half a minute; then the process
ends, and another one takes over.

Always true:
- nothing is read of the log that the engine has not told: what is told is durable;
- the log is the truth: a store that is ahead of it, of another chain or unsound is put aside, and
  everything is recorded anew from the first entry;
- a snapshot is written only when what it knows is durable in the store;
- it ends when the engine's end of the connection is closed.

Not here: what is recorded (history/recorder.py); signals and priority (processes.py).
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fairbook.core import state
from fairbook.core.exchange import Exchange
from fairbook.core.records import COMMAND_BYTES
from fairbook.engine import gc_policy as collector
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import Snapshot, SnapshotInvalid, Snapshots
from fairbook.followers.catch_up import runner_before
from fairbook.followers.recorder_wire import NUMBER, Numbers, pack_note
from fairbook.history.projection import HistoryProjection
from fairbook.history.sqlite_store import FILE_NAME, SqliteStore, move_aside
from fairbook.history.store import StoreInvalid, StoreTaken, StoreUnavailable
from fairbook.log.command_log import Entry, LogDamaged
from fairbook.log.file_log import FileLog

DIRECTORY: Final = "recorder"  # of its snapshots, in the data directory
TRANSACTION_COMMANDS: Final = 4_096
SNAPSHOT_COMMANDS: Final = 500_000
SNAPSHOT_COMMANDS_AT_END: Final = 10_000  # Fewer are replayed sooner than a state is written.
FINISH_S: Final = 1.0
LOOK_UP_EVERY: Final = 512  # frames, while replaying
BEAT_S: Final = 1.0
RETRY_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 2.0, 2.0, 5.0, 5.0, 5.0, 5.0)


class EngineGone(Exception):
    """The connection ended: the engine did, or wants no recorder any more."""


class RecorderProcess:
    """One recorder, from the first position that it is told until the engine is gone."""

    def __init__(
        self,
        directory: Path,
        connection: socket.socket,
        *,
        transaction_commands: int = TRANSACTION_COMMANDS,
        snapshot_commands: int = SNAPSHOT_COMMANDS,
    ) -> None:
        """directory: the engine's. Blocks on the connection, which it takes over."""
        self._directory = directory
        self._connection = connection
        self._transaction_commands = transaction_commands
        self._snapshot_commands = snapshot_commands
        self._poll = select.poll()
        self._poll.register(connection, 0)  # Only that it was hung up.
        self._gone_s: float | None = None
        self._said_s = 0.0
        self._log = FileLog(directory, read_only=True)
        self._entries: Iterator[Entry] = iter(())
        own = directory / DIRECTORY
        own.mkdir(exist_ok=True)
        self._snapshots = Snapshots(own)
        self._snapshots.remove_leftovers()
        self._kept_sequence = 0  # Of the newest snapshot.
        self._is_anew = False
        self._state: tuple[SqliteStore, Runner, HistoryProjection] | None = None

    def run(self) -> None:
        """Follow until the engine is gone. Raises LogDamaged, StoreUnavailable, and what a bug
        raises.
        """
        numbers = Numbers()
        try:
            while octets := self._connection.recv(64 * 1024):
                told = numbers.feed(octets)
                if told:
                    position = told[-1]
                    assert isinstance(position, int)
                    self._follow(position)
            self._keep_snapshot(SNAPSHOT_COMMANDS_AT_END)
        except (EngineGone, ConnectionError):
            self._keep_snapshot(SNAPSHOT_COMMANDS_AT_END)
        except Exception as error:
            self._note(f"it cannot go on: {error}")
            raise
        finally:
            self._connection.close()
            self._log.close()
            if self._state is not None:
                self._state[0].close()

    def _follow(self, told: int) -> None:
        """Record everything up to `told`."""
        if self._state is None:
            self._state = self._begin(told)
        while self._state[1].position < told:
            try:
                self._transaction(told)
            except StoreInvalid as problem:
                self._state[0].close()
                self._state = None
                self._put_aside(str(problem))
                self._state = self._begin(told)
            self._keep_snapshot(self._snapshot_commands)
            self._look_up()
        self._say(self._state[0].position)

    def _transaction(self, told: int) -> None:
        assert self._state is not None
        store, runner, recorder = self._state
        commands = 0
        while runner.position < told and commands < self._transaction_commands:
            entry = self._next_entry(runner.position + 1)
            events = runner.apply(entry)
            assert events is not None
            recorder.take(entry.time_ns, events)
            commands += len(entry.frame) // COMMAND_BYTES
        pauses_s = iter(RETRY_S)
        while True:
            try:
                recorder.commit(
                    position=runner.position, time_ns=runner.exchange.time_ns, chain=runner.chain
                )
                break
            except StoreTaken:
                raise  # One that was left over from another engine: it ends soon, and so does this.
            except StoreUnavailable as problem:
                self._pause(next(pauses_s, None), problem)
        self._say(store.position)

    # Beginning.

    def _begin(self, told: int) -> tuple[SqliteStore, Runner, HistoryProjection]:
        """The store, and an exchange at its position."""
        collector.hold()
        try:
            store = self._sound_store(told)
            self._say(store.position)
            runner = self._runner_before(store.position)
            self._kept_sequence = runner.exchange.sequence
            while runner.position < store.position:
                runner.apply(self._next_entry(runner.position + 1))
                if runner.position % LOOK_UP_EVERY == 0:
                    self._look_up()
                    self._beat(store.position)
        finally:
            collector.settle()
        return store, runner, HistoryProjection(store, runner.exchange)

    def _sound_store(self, told: int) -> SqliteStore:
        """The store if the log knows what it knows; else an empty one."""
        try:
            store = self._open_store()
        except StoreInvalid as problem:
            self._put_aside(str(problem))
            return self._open_store()
        why = None
        if store.position > told:
            why = f"it goes up to position {store.position}, the log to {told}"
        else:
            try:
                self._log.require(store.position, store.chain)
            except LogDamaged as damage:
                why = str(damage)
        if why is None:
            return store
        store.close()
        self._put_aside(why)
        return self._open_store()

    def _open_store(self) -> SqliteStore:
        pauses_s = iter(RETRY_S)
        while True:
            try:
                return SqliteStore(self._directory / FILE_NAME)
            except StoreUnavailable as problem:
                self._pause(next(pauses_s, None), problem)

    def _put_aside(self, why: str) -> None:
        """Begin anew, with an empty store: once in a process, or something else is wrong."""
        if self._is_anew:
            raise StoreUnavailable(f"recorded anew, the store is not sound either: {why}")
        self._is_anew = True
        for path in self._snapshots.paths():
            path.unlink()
        aside = move_aside(self._directory / FILE_NAME)
        self._note(f"the store is put aside as {aside.name}, and recorded anew: {why}")

    def _runner_before(self, position: int) -> Runner:
        """At the newest snapshot that can be used, or at the log's beginning."""
        sources = [self._snapshots, Snapshots(self._directory)]
        sources.sort(key=lambda source: _newest_before(source, position), reverse=True)
        for source in sources:
            try:
                runner = runner_before(self._log, source, position, note=self._note)
            except LogDamaged as problem:
                self._note(f"a snapshot is passed over: {problem}")
                continue
            if runner.position:
                return runner
        return Runner(Exchange())

    def _keep_snapshot(self, commands: int) -> None:
        """Write one, if there were that many commands since the last."""
        if self._state is None:
            return
        store, runner, _ = self._state
        exchange = runner.exchange
        # What is applied but not recorded must not be in it.
        if exchange.sequence - self._kept_sequence < commands or runner.position > store.position:
            return
        self._kept_sequence = exchange.sequence
        try:
            store.sync()
            self._snapshots.write(
                Snapshot(
                    position=runner.position,
                    time_ns=exchange.time_ns,
                    chain=runner.chain,
                    event_hash=runner.event_hash,
                    body=state.dump(exchange),
                )
            )
        except OSError as problem:
            self._note(f"the snapshot of position {runner.position} was not written: {problem}")

    # Log and connection.

    def _next_entry(self, position: int) -> Entry:
        entry = next(self._entries, None)
        if entry is None or entry.position != position:
            self._entries = self._log.read(position)
            entry = next(self._entries, None)
        if entry is None:
            raise LogDamaged(f"the log ends before position {position}, which is durable")
        return entry

    def _look_up(self) -> None:
        """In the middle of something: is the engine still there? If not, there is little time."""
        if self._poll.poll(0):
            now_s = time.monotonic()
            self._gone_s = self._gone_s or now_s
            if now_s - self._gone_s > FINISH_S:
                raise EngineGone

    def _pause(self, pause_s: float | None, problem: StoreUnavailable) -> None:
        """Before something is tried again. None: not any more."""
        if pause_s is None:
            raise problem
        self._note(f"the store cannot be used, it is tried again: {problem}")
        if self._poll.poll(1000 * pause_s):
            raise EngineGone

    def _beat(self, position: int) -> None:
        """Show that something goes on."""
        if time.monotonic() - self._said_s > BEAT_S:
            self._say(position)

    def _say(self, position: int) -> None:
        self._said_s = time.monotonic()
        self._send(NUMBER.pack(position))

    def _note(self, text: str) -> None:
        self._send(pack_note(text))

    def _send(self, octets: bytes) -> None:
        try:
            self._connection.sendall(octets)
        except ConnectionError:
            pass  # Nobody is left to be told: `run` and `_look_up` see that.


def run(directory: Path, descriptor: int) -> None:
    """Be the recorder for the engine at the other end of `descriptor`, until that is gone.

    Raises LogDamaged, OSError (StoreUnavailable), and what a bug raises.
    """
    RecorderProcess(directory, socket.socket(fileno=descriptor)).run()


def _newest_before(snapshots: Snapshots, position: int) -> int:
    """Of the snapshots that look sound, the newest that is not ahead of `position`; or 0."""
    for path in snapshots.paths():
        try:
            head = snapshots.read_head(path)
        except SnapshotInvalid:
            continue
        if head.position <= position:
            return head.position
    return 0
