"""The replica: a second state machine, in a process of its own, that checks the first.

How it works: it is led by the engine's messages (replica_wire.py). Told of a position, it reads the
log's files up to there, applies the frames, and compares the running hash of the events; told of a
slice, it hashes the same slice of its own state and compares. It also writes the snapshots: the
state is copied at some position, and becomes a file only when every slice has been found equal
afterwards, so that a snapshot never keeps what only one of the two believes.

Always true:
- nothing is read of the log that the engine has not told: what is told is durable;
- nothing is written but snapshots that both agreed on, and slices that they did not agree on;
- it ends when the engine's end of the connection is closed.

Not here: processes (children.py); what a difference leads to (audit.py).
"""

from __future__ import annotations

import json
import os
import secrets
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import Final

from fairbook.core import state
from fairbook.core.slices import slice_bytes
from fairbook.engine import gc_policy as collector
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import Snapshot, Snapshots
from fairbook.followers import wire
from fairbook.followers.audit_files import edit_memory, slice_path, write_slice
from fairbook.followers.catch_up import runner_before
from fairbook.log.command_log import Entry, LogDamaged
from fairbook.log.file_log import FileLog

SNAPSHOT_COMMANDS: Final = 25_000
SNAPSHOT_S: Final = 60.0
COMMANDS_FOR_TIME: Final = 100  # a snapshot for its age needs 1/100 of SNAPSHOT_COMMANDS
REST_PER_SNAPSHOT: Final = 10  # a snapshot that took a second is followed by ten without one
LOOK_UP_EVERY: Final = 512  # frames, while catching up, between two looks at the connection
REPORT_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class ReplicaOptions:
    """What a replica may be told when it is started."""

    snapshot_commands: int = SNAPSHOT_COMMANDS
    """A snapshot is due after that many commands,"""
    snapshot_s: float = SNAPSHOT_S
    """or after so long, if there was a hundredth of them."""
    allow_faults: bool = False
    """Whether the engine may have it change its memory, for tests."""


class EngineGone(Exception):
    """The connection ended: the engine did, or has no more use for this replica."""


class Replica:
    """One replica, from HELLO until the engine is gone."""

    def __init__(self, directory: Path, connection: socket.socket, options: ReplicaOptions) -> None:
        """directory: the engine's. Blocks on the connection, which it takes over."""
        self.id = f"replica-{secrets.token_hex(4)}"
        self._directory = directory
        self._connection = connection
        self._options = options
        self._poll = select.poll()
        self._poll.register(connection, 0)  # Only that it was hung up.
        self._log = FileLog(directory, read_only=True)
        self._entries: Iterator[Entry] = iter(())
        self._runner: Runner | None = None
        self._serial = 0
        self._events_differ = False
        self._reported_s = 0.0
        self._album = SnapshotPolicy(Snapshots(directory), options)

    def run(self) -> None:
        """Follow until the engine is gone. Raises LogDamaged, and what a bug raises."""
        messages = wire.Messages()
        try:
            self._send(wire.pack_hello(self.id, pid=os.getpid()))
            while octets := self._connection.recv(256 * 1024):
                for message in messages.feed(octets):
                    self._take(message)
                self._album.look_after(self._runner)
                self._report()
        except (EngineGone, ConnectionError):
            pass
        except Exception as error:
            self._note(f"it cannot go on: {error!r}")
            raise
        finally:
            self._connection.close()
            self._log.close()

    def _take(self, message: wire.Message) -> None:
        match message.kind:
            case wire.FRAME:
                self._follow(message.position, message.digest)
            case wire.SLICE:
                self._compare(message)
            case wire.EDIT if self._options.allow_faults:
                assert self._runner is not None
                edit_memory(
                    self._runner.exchange,
                    account=message.number,
                    asset=message.detail,
                    field=message.digest[0],
                    atoms=message.position,
                )
            case wire.HELLO:
                pass  # The engine compares the versions.

    def _follow(self, position: int, event_hash: bytes) -> None:
        """Apply up to `position`, and compare what came of it."""
        runner = self._runner
        if runner is None:
            runner = self._runner = self._recover(position)
        since = 0
        while runner.position < position:
            entry = next(self._entries, None)
            if entry is None:
                self._entries = self._log.read(runner.position + 1)
                entry = next(self._entries, None)
            if entry is None:
                raise LogDamaged(
                    f"the log ends at position {runner.position}, but the engine has applied"
                    f" position {position}"
                )
            runner.apply(entry)
            since += 1
            if since % LOOK_UP_EVERY == 0:
                self._look_up()
        if runner.event_hash != event_hash and not self._events_differ:
            # Once different, a running hash stays so: it is said once.
            self._events_differ = True
            self._album.close()
            both = {"engine": event_hash.hex(), "replica": runner.event_hash.hex()}
            text = json.dumps({"position": position} | both)
            self._send(wire.pack_text(wire.EVENTS_DIFFER, text))

    def _compare(self, message: wire.Message) -> None:
        runner = self._runner
        assert runner is not None and runner.position == message.position
        index, count = wire.shared(message.detail)
        octets = slice_bytes(runner.exchange, index, count)
        digest = sha256(octets).digest()
        self._serial = message.number
        if digest == message.digest:
            self._album.agreed(index, count)
            return
        self._album.close()
        path = slice_path(self._directory, message.position, index, count, "replica")
        try:
            write_slice(path, octets)
        except OSError as error:
            self._note(f"the slice that differs was not kept: {error}")
        self._send(
            wire.pack(wire.SLICE_DIFFERS, message.position, message.number, message.detail, digest)
        )

    def _recover(self, position: int) -> Runner:
        """From the newest sound snapshot that is not ahead of the engine; it need not be there."""
        collector.hold()
        try:
            runner = runner_before(self._log, Snapshots(self._directory), position, note=self._note)
        finally:
            collector.settle()
        self._album.begin(runner)
        return runner

    def _report(self) -> None:
        if self._runner is not None:
            self._reported_s = time.monotonic()
            self._send(wire.pack(wire.DONE, self._runner.position, self._serial))

    def _look_up(self) -> None:
        """In the middle of catching up: is the engine still there, and does it know how far?"""
        if self._poll.poll(0):
            raise EngineGone
        if time.monotonic() - self._reported_s > REPORT_S:
            self._report()

    def _send(self, octets: bytes) -> None:
        kept = self._album.take_kept()
        self._connection.sendall(octets + kept)

    def _note(self, text: str) -> None:
        try:
            self._send(wire.pack_text(wire.NOTE, text))
        except ConnectionError:
            pass  # Nobody is left to be told.


class SnapshotPolicy:
    """The snapshots of a replica: when one is taken, and when it may become a file."""

    def __init__(self, snapshots: Snapshots, options: ReplicaOptions) -> None:
        self._snapshots = snapshots
        self._options = options
        self._candidate: Snapshot | None = None
        self._seen = bytearray()
        self._sequence = 0
        self._next_s = 0.0
        self._rest_until_s = 0.0
        self._writing: Thread | None = None
        self._kept: list[bytes] = []
        self._is_closed = False

    def begin(self, runner: Runner) -> None:
        """The replica is at the position of a snapshot, or at the log's beginning."""
        self._sequence = runner.exchange.sequence
        self._next_s = time.monotonic() + self._options.snapshot_s

    def close(self) -> None:
        """Engine and replica do not agree: nothing more becomes a file."""
        self._is_closed = True
        self._candidate = None

    def look_after(self, runner: Runner | None) -> None:
        """Take a candidate if one is due."""
        if runner is None or self._is_closed or self._candidate is not None:
            return
        if self._writing is not None and self._writing.is_alive():
            return
        now_s = time.monotonic()
        commands = runner.exchange.sequence - self._sequence
        wanted = self._options.snapshot_commands
        if now_s >= self._next_s:
            wanted = max(1, wanted // COMMANDS_FOR_TIME)
        if commands < wanted or now_s < self._rest_until_s:
            return
        self._candidate = Snapshot(
            position=runner.position,
            time_ns=runner.exchange.time_ns,
            chain=runner.chain,
            event_hash=runner.event_hash,
            body=state.dump(runner.exchange),
        )
        self._seen = bytearray()
        self._sequence = runner.exchange.sequence
        self._next_s = now_s + self._options.snapshot_s
        self._rest_until_s = now_s + REST_PER_SNAPSHOT * (time.monotonic() - now_s)

    def agreed(self, index: int, count: int) -> None:
        """A slice was found equal: once all have been, the candidate becomes a file."""
        candidate = self._candidate
        if candidate is None:
            return
        if len(self._seen) != count:
            self._seen = bytearray(count)
        self._seen[index] = 1
        if self._seen.find(0) < 0:
            self._candidate = None
            # In a thread: following goes on meanwhile.
            self._writing = Thread(target=self._write, args=(candidate,), daemon=True)
            self._writing.start()

    def take_kept(self) -> bytes:
        """What is to be said to the engine of snapshots written, or not written."""
        said = b""
        while self._kept:
            said += self._kept.pop(0)
        return said

    def _write(self, snapshot: Snapshot) -> None:
        began_s = time.monotonic()
        try:
            self._snapshots.write(snapshot)
        except OSError as error:
            text = f"the snapshot of position {snapshot.position} was not written: {error}"
            self._kept.append(wire.pack_text(wire.NOTE, text))
            return
        finally:
            ended_s = time.monotonic()
            self._rest_until_s = ended_s + REST_PER_SNAPSHOT * (ended_s - began_s)
        self._kept.append(wire.pack(wire.KEPT, snapshot.position, 0, 0, snapshot.digest))
