"""When a replica copies its state, and when the copy becomes a snapshot file.

Invariant: a copy is written only when every slice has been found equal after it was taken, so no
snapshot holds what only one of engine and replica has.
"""

import time
from collections.abc import Callable
from threading import Thread
from typing import Final

from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import Snapshot, Snapshots
from fairbook.followers import wire

COMMANDS_FOR_TIME: Final = 100  # a snapshot for its age needs 1/100 of the commands
REST_PER_SNAPSHOT: Final = 10  # a snapshot that took a second is followed by ten without one


class SnapshotPolicy:
    """When a replica copies its state, and when the copy may be written."""

    def __init__(
        self, snapshots: Snapshots, send: Callable[[bytes], None], *, commands: int, seconds: float
    ) -> None:
        """send: called in another thread. commands, seconds: as ReplicaOptions."""
        self._snapshots = snapshots
        self._send = send
        self._commands = commands
        self._seconds = seconds
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
        self._next_s = time.monotonic() + self._seconds

    def stop(self) -> None:
        """Engine and replica differ: write no more snapshots."""
        self._is_stopped = True
        self._candidate = None

    def take_if_due(self, runner: Runner) -> None:
        if self._is_stopped or self._candidate is not None:
            return
        if self._writing is not None and self._writing.is_alive():
            return
        now_s = time.monotonic()
        commands = runner.exchange.sequence - self._sequence
        wanted = self._commands
        if now_s >= self._next_s:
            wanted = max(1, wanted // COMMANDS_FOR_TIME)
        if commands < wanted or now_s < self._rest_until_s:
            return
        self._candidate = runner.snapshot()
        self._agreed = bytearray()
        self._sequence = runner.exchange.sequence
        self._next_s = now_s + self._seconds
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
