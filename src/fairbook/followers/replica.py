"""The replica: a second state machine, in a process of its own, that checks the first.

Design: docs/operate/replicas.md, "What is compared". It also writes snapshots (snapshot_policy.py).

Invariants:
- it writes nothing but snapshots that both agreed on, and slices that differ;
- it does not start from the snapshot that the engine started from.
"""

import json
import socket
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from fairbook.core.state_slices import slice_bytes
from fairbook.engine import gc_policy
from fairbook.engine.recovery import restore_before
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import Snapshots
from fairbook.followers import wire
from fairbook.followers.audit_files import edit_memory, slice_path, write_audit_file
from fairbook.followers.follower import FileSource, follow
from fairbook.followers.snapshot_policy import SnapshotPolicy

SNAPSHOT_COMMANDS: Final = 25_000
SNAPSHOT_S: Final = 60.0
ADD_UP_S: Final = 5.0
REST_PER_ADDING: Final = 50.0  # so that it takes at most 2 % of the time


@dataclass(frozen=True, slots=True)
class ReplicaOptions:
    """Options of a replica's process."""

    snapshot_commands: int = SNAPSHOT_COMMANDS
    """A snapshot is due after that many commands,"""
    snapshot_s: float = SNAPSHOT_S
    """or after so long, if there was a hundredth of them."""
    allow_faults: bool = False
    """Whether the engine may have it corrupt its memory, for tests."""
    without: int = 0
    """Position of the snapshot that the engine started from: this replica starts from another, so
    that one edited file shows."""


def run(directory: Path, descriptor: int, options: ReplicaOptions) -> None:
    """Be the replica of the engine at the other end of `descriptor`, until that is gone.
    Raises LogDamaged, RulesUnknown, OSError, and what a bug raises.
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
        self._add_up_s = 0.0  # when balances are added up next
        self._policy = SnapshotPolicy(
            Snapshots(directory),
            source.send,
            commands=options.snapshot_commands,
            seconds=options.snapshot_s,
        )

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
            self._add_up(self._runner)
            self._policy.take_if_due(self._runner)

    def _add_up(self, runner: Runner) -> None:
        """From time to time: whether the balances of each asset add up to zero."""
        now_s = time.monotonic()
        if now_s >= self._add_up_s:
            unbalanced = runner.exchange.unbalanced_assets()
            self._add_up_s = now_s + max(ADD_UP_S, REST_PER_ADDING * (time.monotonic() - now_s))
            self._source.send(wire.pack(wire.BALANCED, runner.position, unbalanced))

    def finish(self) -> None:
        pass  # The next replica begins at the last snapshot that was agreed on.

    def _apply_to(self, position: int, event_hash: bytes) -> None:
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
        """From the newest valid snapshot that is not ahead of the engine, nor its own."""
        source, snapshots = self._source, [Snapshots(self._directory)]
        with gc_policy.frozen_afterwards():
            runner = restore_before(
                source.log, snapshots, position, on_problem=source.note,
                without=self._options.without,
            )  # fmt: skip
        source.send(wire.pack(wire.STARTED, runner.position))
        self._policy.start(runner)
        return runner
