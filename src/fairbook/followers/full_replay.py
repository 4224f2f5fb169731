"""The full replay: executes the whole log from its first entry, beside a running exchange.

Design: a process of lowest priority with a state of its own. It compares every snapshot of exchange
and recorder, and every signed checkpoint, with its state at that position, and its running hash of
events with the engine's. What it has computed is saved in DIR/replay from time to time, so that the
next start goes on from there; the digest of what was saved stands in the next signed checkpoint.

Invariants:
- it loads nothing but its own saved state, and only one that fits the log;
- a difference counts only in a pass from the first entry, or in one that goes on from a state which
  a witness has in a signed checkpoint. Any other one that finds a difference puts its saved states
  aside and starts over;
- a snapshot that the log contradicts is put aside.
"""

import json
import os
import socket
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from fairbook.checkpoints.remote_checkpoints import RemoteCheckpoints
from fairbook.checkpoints.signed_checkpoint import parse
from fairbook.checkpoints.signed_note import NoteInvalid
from fairbook.core.exchange import Exchange
from fairbook.core.state_slices import slice_bytes
from fairbook.engine.recovery import restore_before
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import Head, SnapshotInvalid, Snapshots
from fairbook.followers import wire
from fairbook.followers.follower import CHECK_EVERY, FileSource, follow
from fairbook.followers.judge import described
from fairbook.followers.recorder import DIRECTORY as RECORDER
from fairbook.followers.replayed_checkpoints import CheckpointContradicted, ReplayedCheckpoints
from fairbook.log.command_log import LogDamaged

DIRECTORY: Final = "replay"
PASS_NAME: Final = "pass.json"
NICE: Final = 14  # on top of a follower's 5: the lowest priority
REST_PER_WORK: Final = 2.0  # it takes at most a third of a CPU
SAVE_S: Final = 300.0
SAVE_COMMANDS: Final = 25_000  # of new work, or it is not worth a file
LOOK_S: Final = 1.0  # between two looks at the folders of snapshots, and at the engine
BEHIND_S: Final = 20.0  # it takes the replica some seconds to write a snapshot
WITNESS_S: Final = 5.0  # for the answer of one
SEARCHED_MAX: Final = 20_000  # checkpoints after a saved state in which it may stand
UNCONFIRMED, CONFIRMED = 0, 1  # by a witness: the saved state that a pass goes on from


class ReplayOptions(NamedTuple):
    """pass_max_s: age of a pass after which the next start begins with the first entry.
    checkpoints: the file of signed ones. witnesses: URLs of those that may confirm a saved state.
    """

    pass_max_s: float
    checkpoints: Path
    witnesses: Sequence[str] = ()


def run(directory: Path, descriptor: int, options: ReplayOptions) -> None:
    """Follow the engine at the other end of `descriptor`, until that is gone. Raises as
    replica.run.
    """
    os.nice(NICE)
    source = FileSource("replay", directory, socket.socket(fileno=descriptor))
    follow(source, FullReplay(directory, source, options))


class FullReplay:
    """A Follower that executes everything."""

    def __init__(self, directory: Path, source: FileSource, options: ReplayOptions) -> None:
        self._own_directory = directory / DIRECTORY
        self._own = Snapshots(self._own_directory)
        self._watched = {"": Snapshots(directory), RECORDER: Snapshots(directory / RECORDER)}
        """Where others keep snapshots, by folder."""
        self._source = source
        self._options = options
        self._runner: Runner | None = None
        self._later: deque[tuple[float, wire.Message]] = deque()  # at most BEHIND_S / LOOK_S
        self._counts = True  # what this pass finds: see the invariants
        self._checkpoints: ReplayedCheckpoints | None = None
        self._heads: dict[str, dict[int, tuple[Path, Head]]] = {}  # by folder and position
        self._looked_s = self._saved_s = self._rested_s = time.monotonic()
        self._saved_sequence = 0
        self._events_differ = False

    def handle(self, messages: list[wire.Message]) -> None:
        """What was there at the start is executed at once, what comes later BEHIND_S later: so a
        snapshot, and a checkpoint, is there before its position is reached.
        """
        now_s = time.monotonic()
        applied = [each for each in messages if each.kind == wire.APPLIED]
        is_first = self._runner is None
        if is_first:
            self._later.extend((0.0, each) for each in applied)
        elif applied and (not self._later or now_s - self._later[-1][0] > LOOK_S):
            self._later.append((now_s, applied[-1]))
        while self._later and now_s - self._later[0][0] > BEHIND_S:
            _, message = self._later.popleft()
            try:
                self._follow(message.position)
            except LogDamaged as problem:
                # The others do not read there: it would not be seen otherwise.
                self._send(message.position, problems=[f"the log is damaged: {problem}"])
                raise
            self._compare_events(message.position, message.digest)
        if is_first:
            self._save()  # So that a witness soon knows it.

    def finish(self) -> None:
        self._save()

    def _follow(self, target: int) -> None:
        runner = self._runner or self._begin(target)
        self._rested_s = time.monotonic()
        while runner.position < target:
            for entry in self._source.entries(runner.position + 1, target):
                runner.apply(entry)
                self._source.advance(entry.position)
                if entry.position % CHECK_EVERY == 0:
                    self._save_in_time()
                    self._rest()
                if not (self._is_right(runner) and self._is_signed(runner)):
                    runner = self._start_over()
                    break
        self._save_in_time()

    def _save_in_time(self) -> None:
        if time.monotonic() - self._saved_s > SAVE_S:
            self._save()

    def _begin(self, target: int) -> Runner:
        if time.time() - self._pass_began_s() > self._options.pass_max_s:
            return self._begin_with_the_first()
        confirmed = self._confirmed_position(target)
        runner = restore_before(
            self._source.log, [self._own], confirmed or target, on_problem=self._source.note
        )
        if runner.position == 0:
            return self._begin_with_the_first()
        return self._began(runner, is_confirmed=runner.position == confirmed)

    def _confirmed_position(self, target: int) -> int:
        """Of the newest saved state whose digest a witness has in a signed checkpoint; 0: none."""
        for position, (_, head) in sorted(self._own.heads().items(), reverse=True):
            if position <= target and self._is_confirmed(head):
                return position
        return 0

    def _is_confirmed(self, head: Head) -> bool:
        for url in self._options.witnesses:
            try:
                # The engine may have been far ahead when the state was saved.
                notes = RemoteCheckpoints(url, wait_s=WITNESS_S).notes(head.position)
                for note in islice(notes, SEARCHED_MAX):
                    found = parse(note)
                    if (found.state_position, found.state_digest) == (head.position, head.digest):
                        return True
            except (OSError, NoteInvalid) as problem:
                self._source.note(f"witness {url}: {problem}")
        return False

    def _start_over(self) -> Runner:
        """The saved state may be wrong."""
        for path in self._own.paths():
            self._own.put_aside(path)
        return self._begin_with_the_first()

    def _begin_with_the_first(self) -> Runner:
        for path in self._own.paths():
            path.unlink()
        content = json.dumps({"began": time.time()})
        (self._own_directory / PASS_NAME).write_text(content)
        return self._began(Runner(Exchange()))

    def _began(self, runner: Runner, *, is_confirmed: bool = False) -> Runner:
        self._runner = runner
        self._counts = runner.position == 0 or is_confirmed
        self._checkpoints = ReplayedCheckpoints(self._options.checkpoints, runner.position)
        self._saved_sequence = runner.exchange.sequence
        self._heads = {}
        self._looked_s = 0.0
        confirmed = CONFIRMED if is_confirmed else UNCONFIRMED
        self._source.send(wire.pack(wire.STARTED, runner.position, confirmed))
        return runner

    def _pass_began_s(self) -> float:
        """Seconds since 1970; 0.0: not known, or not believed."""
        try:
            began_s = float(json.loads((self._own_directory / PASS_NAME).read_text())["began"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0
        return began_s if began_s <= time.time() else 0.0

    def _rest(self) -> None:
        worked_s = time.monotonic() - self._rested_s
        time.sleep(min(worked_s * REST_PER_WORK, 1.0))
        self._rested_s = time.monotonic()

    def _save(self) -> None:
        runner = self._runner
        self._saved_s = time.monotonic()
        if runner is None or runner.exchange.sequence - self._saved_sequence < SAVE_COMMANDS:
            return
        self._saved_sequence = runner.exchange.sequence
        snapshot = runner.snapshot()
        try:
            self._own.write(snapshot)
        except OSError as error:
            self._source.note(f"its state was not saved: {error}")
            return
        if self._counts:
            self._source.send(
                wire.pack(wire.SNAPSHOT_WRITTEN, snapshot.position, digest=snapshot.digest)
            )

    def _is_right(self, runner: Runner) -> bool:
        """Whether a snapshot of this position, if there is one, has this state. False: start over;
        a difference of a pass from the first entry is reported instead.
        """
        now_s = time.monotonic()
        if now_s - self._looked_s > LOOK_S:
            self._looked_s = now_s
            self._heads = {
                folder: snapshots.heads(runner.position)
                for folder, snapshots in self._watched.items()
            }
        known = {
            folder: heads.pop(runner.position)
            for folder, heads in self._heads.items()
            if runner.position in heads
        }
        if not known:
            return True
        own = runner.snapshot()
        for folder, (path, head) in known.items():
            if head.is_of(own):
                continue
            if not self._counts:
                self._source.note(f"{path.name} or the saved state is wrong: starting over")
                return False
            self._report(runner, folder, path)
        return True

    def _is_signed(self, runner: Runner) -> bool:
        """Whether the signed checkpoints, as far as there are any, are those of this log. False:
        start over; a difference that counts is reported instead.
        """
        if self._checkpoints is None:
            return True
        try:
            self._checkpoints.compare(runner, self._source.log)
        except CheckpointContradicted as problem:
            if not self._counts:
                self._source.note(f"{problem}, or the saved state is wrong: starting over")
                return False
            self._checkpoints = None  # Once is enough.
            self._send(runner.position, problems=[str(problem)])
        return True

    def _report(self, runner: Runner, folder: str, path: Path) -> None:
        found: list[dict[str, Any]] = []
        snapshots = self._watched[folder]
        with suppress(SnapshotInvalid, ValueError):
            theirs = snapshots.read(path).restore(is_checked=False)
            every = described(
                runner.exchange, slice_bytes(runner.exchange, 0, 1), slice_bytes(theirs, 0, 1)
            )
            found = [{"process": path.name, "position": runner.position} | each for each in every]
        with suppress(FileNotFoundError):  # An older one was removed meanwhile.
            aside = Path(folder, snapshots.put_aside(path).name)
            self._send(runner.position, contradicted=[str(aside)], differences=found)

    def _compare_events(self, position: int, event_hash: bytes) -> None:
        runner = self._runner
        if runner is None or runner.position != position or self._events_differ:
            return
        if runner.event_hash == event_hash:
            return
        if not self._counts:
            self._source.note("the events or the saved state are wrong: starting over")
            self._start_over()
            self._follow(position)
            self._compare_events(position, event_hash)
            return
        self._events_differ = True
        self._send(position)

    def _send(self, position: int, **more: list[Any]) -> None:
        nothing: dict[str, list[Any]] = {"contradicted": [], "differences": [], "problems": []}
        text = json.dumps({"position": position} | nothing | more)
        self._source.send(wire.pack_text(wire.REPLAY_DIFFERS, text))
