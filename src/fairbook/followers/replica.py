"""The replica: a second state machine, in a process of its own, that checks the first.

Design: the engine announces positions and digests of slices. The replica applies the log up to each
position and compares the running hash of the events; it hashes the same slice of its own state and
compares. It also writes the snapshots: a copy of the state is taken at some position, and written
only when every slice has been found equal afterwards, so no snapshot holds what only one of the two
has.

Invariant: it writes nothing but snapshots that both agreed on, and slices that differ.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import Final

from fairbook.core.slices import slice_bytes
from fairbook.engine import gc_policy
from fairbook.engine.recovery import restore_before
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import Snapshot, Snapshots
from fairbook.followers import wire
from fairbook.followers.audit_files import edit_memory, slice_path, write_audit_file
from fairbook.followers.follower import FileSource, follow

SNAPSHOT_COMMANDS: Final = 25_000
SNAPSHOT_S: Final = 60.0
COMMANDS_FOR_TIME: Final = 100  # a snapshot for its age needs 1/100 of SNAPSHOT_COMMANDS
REST_PER_SNAPSHOT: Final = 10  # a snapshot that took a second is followed by ten without one


@dataclass(frozen=True, slots=True)
class ReplicaOptions:
    """Options of a replica's process."""

    snapshot_commands: int = SNAPSHOT_COMMANDS
    """A snapshot is due after that many commands,"""
    snapshot_s: float = SNAPSHOT_S
    """or after so long, if there was a hundredth of them."""
    allow_faults: bool = False
    """Whether the engine may have it corrupt its memory, for tests."""


def run(directory: Path, descriptor: int, options: ReplicaOptions) -> None:
    """Be the replica of the engine at the other end of `descriptor`, until that is gone.

    directory: the engine's. Raises LogDamaged, OSError, and what a bug raises.
    """
    source = FileSource("replica", directory, socket.socket(fileno=descriptor))
    follow(source, Replica(directory, source, options))


class Replica:
    """A Follower that compares."""

    def __init__(self, directory: Path, source: FileSource, options: ReplicaOptions) -> None:
        self._directory = directory
        self._source = source
        self._options = options
        self._runner: Runner | None = None
        self._serial = 0
        self._events_differ = False
        self._policy = SnapshotPolicy(Snapshots(directory), options, source.send)

    def handle(self, messages: list[wire.Message]) -> None:
        for message in messages:
            match message.kind:
                case wire.APPLIED:
                    self._apply_to(message.position, message.digest)
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
        if self._runner is not None:
            self._source.advance(self._runner.position, self._serial)
            self._policy.take_if_due(self._runner)

    def finish(self) -> None:
        pass  # The next replica begins at the last snapshot that was agreed on.

    def _apply_to(self, position: int, event_hash: bytes) -> None:
        """Apply the log up to `position`, and compare the events."""
        runner = self._runner
        if runner is None:
            runner = self._runner = self._restore(position)
        for entry in self._source.entries(runner.position + 1, position):
            runner.apply(entry)
            self._source.advance(entry.position, self._serial)
        if runner.event_hash != event_hash and not self._events_differ:
            # Once different, a running hash stays so: report it once.
            self._events_differ = True
            self._policy.stop()
            both = {"engine": event_hash.hex(), "replica": runner.event_hash.hex()}
            text = json.dumps({"position": position} | both)
            self._source.send(wire.pack_text(wire.EVENTS_DIFFER, text))

    def _compare(self, message: wire.Message) -> None:
        runner = self._runner
        assert runner is not None and runner.position == message.position
        index, count = wire.unpack_slice(message.detail)
        content = slice_bytes(runner.exchange, index, count)
        digest = sha256(content).digest()
        self._serial = message.number
        if digest == message.digest:
            self._policy.slice_agreed(index, count)
            return
        self._policy.stop()
        path = slice_path(self._directory, message.position, index, count, "replica")
        try:
            write_audit_file(path, content)
        except OSError as error:
            self._source.note(f"the slice that differs was not written: {error}")
        self._source.send(
            wire.pack(wire.SLICE_DIFFERS, message.position, message.number, message.detail, digest)
        )

    def _restore(self, position: int) -> Runner:
        """From the newest valid snapshot that is not ahead of the engine."""
        with gc_policy.frozen_afterwards():
            source, snapshots = self._source, [Snapshots(self._directory)]
            runner = restore_before(source.log, snapshots, position, on_problem=source.note)
        self._policy.start(runner)
        return runner


class SnapshotPolicy:
    """When a replica copies its state, and when the copy may be written."""

    def __init__(
        self, snapshots: Snapshots, options: ReplicaOptions, send: Callable[[bytes], None]
    ) -> None:
        """send: sends a message to the engine; called in another thread."""
        self._snapshots = snapshots
        self._options = options
        self._send = send
        self._candidate: Snapshot | None = None
        self._agreed = bytearray()  # 1 for each slice that was equal since the copy.
        self._sequence = 0
        self._next_s = 0.0
        self._rest_until_s = 0.0
        self._writing: Thread | None = None
        self._is_stopped = False

    def start(self, runner: Runner) -> None:
        """The replica is at the position of a snapshot, or at the beginning of the log."""
        self._sequence = runner.exchange.sequence
        self._next_s = time.monotonic() + self._options.snapshot_s

    def stop(self) -> None:
        """Engine and replica differ: write no more snapshots."""
        self._is_stopped = True
        self._candidate = None

    def take_if_due(self, runner: Runner) -> None:
        """Copy the state if a snapshot is due."""
        if self._is_stopped or self._candidate is not None:
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
        self._candidate = runner.snapshot()
        self._agreed = bytearray()
        self._sequence = runner.exchange.sequence
        self._next_s = now_s + self._options.snapshot_s
        self._rest_until_s = now_s + REST_PER_SNAPSHOT * (time.monotonic() - now_s)

    def slice_agreed(self, index: int, count: int) -> None:
        """A slice was equal: once all have been, the copy is written."""
        candidate = self._candidate
        if candidate is None:
            return
        if len(self._agreed) != count:
            self._agreed = bytearray(count)
        self._agreed[index] = 1
        if self._agreed.find(0) < 0:
            self._candidate = None
            # In a thread: following goes on meanwhile.
            self._writing = Thread(target=self._write, args=(candidate,), daemon=True)
            self._writing.start()

    def _write(self, snapshot: Snapshot) -> None:
        began_s = time.monotonic()
        try:
            self._snapshots.write(snapshot)
            message = wire.pack(wire.SNAPSHOT_WRITTEN, snapshot.position, digest=snapshot.digest)
        except OSError as error:
            text = f"the snapshot of position {snapshot.position} was not written: {error}"
            message = wire.pack_text(wire.NOTE, text)
        ended_s = time.monotonic()
        self._rest_until_s = ended_s + REST_PER_SNAPSHOT * (ended_s - began_s)
        self._send(message)
