"""The engine's end of the replica: announces what was applied, and compares slices of the state.

Design: docs/operate/replicas.md, "What is compared". A round is all slices of one count; the next
round has as many as keeps one small.

Invariants:
- at most OUTSTANDING_MAX slices, OUTSTANDING_BYTES_MAX bytes in all, wait for the replica; with a
  slow one, or none, no more are made;
- slices take at most a third of the loop's time, however large the state.
"""

import asyncio
import json
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from fairbook.core.state_slices import slice_bytes
from fairbook.engine.runner import Runner
from fairbook.followers import wire
from fairbook.followers.follower_link import FollowerLink
from fairbook.ports.queries import Checkpoint

ROUND_S: Final = 2.0
FLUSH_S: Final = 0.02
LAGGING_S: Final = 1.0
OUTSTANDING_MAX: Final = 64
OUTSTANDING_BYTES_MAX: Final = 64 * 1024 * 1024
SLICES_MIN: Final = 64
SLICES_MAX: Final = 2048
SLICE_BYTES: Final = 256 * 1024  # what one slice should have, of a large state
ORDER_BYTES: Final = 200  # of an open order and its client id in a slice, roughly
REST_PER_WORK: Final = 2  # after a slice, at least so many times as long without one
CHECKPOINTS_MAX: Final = 1024
URGENT_S: Final = 0.0005  # between slices of an urgent round


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice as the engine has it, until the replica has compared it."""

    serial: int
    content: bytes
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Mismatch:
    """What the replica reported."""

    position: int
    engine_digest: bytes
    replica_digest: bytes
    engine_slice: Slice | None
    """None: events differ, and the digests are running hashes of them."""


def slices_for(state_bytes: int) -> int:
    """How many slices keep each one small. state_bytes: of all of them."""
    return min(max(state_bytes // SLICE_BYTES, SLICES_MIN), SLICES_MAX)


class ComparisonRound:
    """Which slices of the state, made after a moment, have been compared, and with what result."""

    def __init__(self, since: int, count: int) -> None:
        """since: the last serial that does not count; count: of the slices."""
        self.since = since
        self.count = count
        self._results = bytearray(count)  # 0: none yet, 1: equal, 2: not equal

    def compared(self, made: Slice, *, is_equal: bool) -> None:
        index, count = made.checkpoint.slice_index, made.checkpoint.slice_count
        if made.serial > self.since and count == self.count:
            self._results[index] = max(self._results[index], 1 if is_equal else 2)

    @property
    def is_complete(self) -> bool:
        return self._results.find(0) < 0

    @property
    def is_agreed(self) -> bool:
        return self._results.count(1) == self.count


class ReplicaLink(FollowerLink):
    """The connection to the replica; one per engine. All methods are for the loop's thread."""

    def __init__(
        self, runner: Runner, *, on_mismatch: Callable[[Mismatch], None], round_s: float = ROUND_S
    ) -> None:
        """Needs a running loop. runner: the engine's. on_mismatch: called for each report."""
        super().__init__("replica", runner, flush_s=FLUSH_S, lagging_s=LAGGING_S)
        self.agreed_position = 0
        """Up to where the replica agreed with everything."""
        self.rounds = 0
        """How often the whole state was found equal, since the engine started."""
        self._round_at_s: float | None = None
        self.snapshot_position = 0
        self.snapshot_digest = bytes(32)
        self.signed: Checkpoint | None = None
        """The newest checkpoint that the exchange has signed."""
        self.started_from = 0
        """Position of the snapshot that the replica started from; 0: the first entry."""
        self.unbalanced_assets: int | None = None  # None: nothing was added up yet
        self._slice_s_max = 0.0
        self._on_mismatch = on_mismatch
        self._round_s = round_s
        self._slice_timer: asyncio.TimerHandle | None = None
        self._outstanding: dict[int, Slice] = {}
        self._serial = 0
        self._differs = False
        orders = sum(len(book.slots.orders) for book in runner.exchange.tables.books)
        self._index, self._count = 0, slices_for(orders * ORDER_BYTES)
        self._round_bytes = 0
        self._round = ComparisonRound(0, self._count)
        self._round_waiters: list[asyncio.Future[bool]] = []
        self._is_urgent = False
        self._checkpoints: deque[Checkpoint] = deque(maxlen=CHECKPOINTS_MAX)

    def connect(self, connection: socket.socket) -> asyncio.Future[str]:
        self._outstanding.clear()
        self._marks.clear()
        self.position = self.started_from = 0
        self._differs = False
        ended = super().connect(connection)
        self._begin_round()
        self._schedule_slice(0)
        return ended

    def disconnect(self, reason: str) -> None:
        super().disconnect(reason)
        if self._slice_timer is not None:
            self._slice_timer.cancel()
            self._slice_timer = None
        self._outstanding.clear()

    def status(self) -> dict[str, Any]:
        age_s = None if self._round_at_s is None else time.monotonic() - self._round_at_s
        return super().status() | {
            "agreed_position": self.agreed_position,
            "rounds_agreed": self.rounds,
            "round_age_s": None if age_s is None else round(age_s, 3),
            "slice_ms_max": round(1000 * self._slice_s_max, 3),
            "snapshot_position": self.snapshot_position,
            "started_from": self.started_from,
            "unbalanced_assets": self.unbalanced_assets,
        }

    def checkpoints(self, first: int) -> list[Checkpoint]:
        """The newest ones at positions of at least `first`: first that of now, then the newest
        signed one, then slices, newest first.
        """
        runner = self._runner
        now = Checkpoint(runner.position, runner.chain, runner.event_hash, 0, 0, b"", [self.id])
        signed = [] if self.signed is None else [self.signed]
        found = [each for each in [*signed, *reversed(self._checkpoints)] if each.position >= first]
        return [now, *found] if now.position >= first else found

    def edit(self, *, account: int, asset: int, field: int, atoms: int) -> None:
        """Have the replica corrupt its memory, if it was started to allow that."""
        self._buffer += wire.pack(wire.EDIT, atoms, account, asset, field.to_bytes(1, "little"))
        self._flush()

    def _begin_round(self) -> None:
        """Forget which slices agreed: a round from here on is of the state from here on."""
        self._round = ComparisonRound(self._serial, self._count)

    async def round_agreed(self, *, within_s: float) -> bool:
        """Whether the whole state, as it is from here on, is found equal in that time; False at
        once when all slices have been compared and one was not equal. Slices are not spread.
        """
        self._begin_round()
        waiter: asyncio.Future[bool] = self._loop.create_future()
        self._round_waiters.append(waiter)
        self._is_urgent = True
        if self._connection is not None:
            self._schedule_slice(0)
        try:
            return await asyncio.wait_for(waiter, within_s)
        except TimeoutError:
            return False
        finally:
            self._is_urgent = False

    def _end_round(self) -> None:
        agreed = self._round.is_agreed
        if agreed:
            self.rounds += 1
            self._round_at_s = time.monotonic()
        self._begin_round()
        waiters, self._round_waiters = self._round_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(agreed)

    def _schedule_slice(self, delay_s: float) -> None:
        if self._slice_timer is not None:
            self._slice_timer.cancel()
        self._slice_timer = self._loop.call_later(delay_s, self._next_slice)

    def _next_slice(self) -> None:
        began_s = time.monotonic()
        has_room = (
            len(self._outstanding) < OUTSTANDING_MAX
            and sum(len(each.content) for each in self._outstanding.values())
            < OUTSTANDING_BYTES_MAX
        )
        if self._caught_up_at is None and has_room and not self._runner.broken:
            self._make_slice()
        took_s = time.monotonic() - began_s
        self._slice_s_max = max(self._slice_s_max, took_s)
        spread_s = URGENT_S if self._is_urgent else self._round_s / self._count
        if self._connection is not None:
            self._schedule_slice(max(spread_s - took_s, REST_PER_WORK * took_s))

    def _make_slice(self) -> None:
        if self._index >= self._count:
            self._count = slices_for(self._round_bytes)
            if self._round.count != self._count:
                self._begin_round()
            self._index = self._round_bytes = 0
        runner, index, count = self._runner, self._index, self._count
        content = slice_bytes(runner.exchange, index, count)
        digest = sha256(content).digest()
        self._serial += 1
        self._index += 1
        self._round_bytes += len(content)
        checkpoint = Checkpoint(
            runner.position, runner.chain, runner.event_hash, index, count, digest, [self.id]
        )
        self._outstanding[self._serial] = Slice(self._serial, content, checkpoint)
        self._checkpoints.append(checkpoint)
        # Behind the APPLIED of its position, before that of the next.
        detail = wire.pack_slice(index, count)
        self._buffer += wire.pack(wire.SLICE, runner.position, self._serial, detail, digest)
        if self._is_urgent or self._flush_timer is None:
            self._flush()

    def _on_frame(self, position: int, time_ns: int, frame: bytes, events: bytes) -> None:
        if self._connection is not None:
            self._announce()
            super()._on_frame(position, time_ns, frame, events)

    def _drop_backlog(self) -> list[wire.Message]:
        dropped = super()._drop_backlog()
        for message in dropped:
            if message.kind == wire.SLICE:
                self._outstanding.pop(message.number, None)
        return dropped

    def _handle(self, message: wire.Message) -> None:
        match message.kind:
            case wire.PROGRESS:
                super()._handle(message)
                self._compared(message.number)
            case wire.SLICE_DIFFERS:
                made = self._outstanding.pop(message.number, None)
                if made is not None:
                    self._round.compared(made, is_equal=False)
                    expected = made.checkpoint.slice_digest
                    self._report(Mismatch(message.position, expected, message.digest, made))
            case wire.EVENTS_DIFFER:
                both = json.loads(message.text)
                engine, replica = bytes.fromhex(both["engine"]), bytes.fromhex(both["replica"])
                self._report(Mismatch(int(both["position"]), engine, replica, None))
            case wire.SNAPSHOT_WRITTEN:
                self.snapshot_position, self.snapshot_digest = message.position, message.digest
            case wire.STARTED:
                self.started_from = message.position
            case wire.BALANCED:
                self.unbalanced_assets = message.number
            case _:
                super()._handle(message)

    def _report(self, mismatch: Mismatch) -> None:
        self._differs = True
        self._on_mismatch(mismatch)

    def _compared(self, serial: int) -> None:
        """All up to there was compared, and slices that are still outstanding agreed."""
        if not self._differs:
            self.agreed_position = self.position
        for made in [each for each in self._outstanding.values() if each.serial <= serial]:
            del self._outstanding[made.serial]
            made.checkpoint.engines.append(str(self.follower.get("id", "")))
            self._round.compared(made, is_equal=True)
        if self._round.is_complete:
            self._end_round()
