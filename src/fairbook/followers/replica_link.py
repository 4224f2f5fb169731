"""The engine's half of the comparison: it tells the replica what it has applied, and hears if the
replica came to something else.

How it works: after each frame, its position and the running hash of all events go into a buffer
that is sent every few milliseconds. Between frames a timer hashes one slice of the state after the
other and sends the digest, with the position it is of: the replica hashes the same slice when it is
at the same position. A round is all slices of one count; the next round has as many as keeps one
small.

Always true:
- nothing here waits for the replica: what the socket does not take is kept up to `BUFFER_BYTES_MAX`
  and then dropped, but for the newest position, whose running hash stands for all before it;
- at most `OUTSTANDING_MAX` slices, `OUTSTANDING_BYTES_MAX` bytes in all, wait for the replica; with
  a slow one, or none, no more are made;
- slices take at most a third of the time of the loop, however large the state.

Not here: what a difference leads to (audit.py); processes (children.py).
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from fairbook.core.slices import slice_bytes
from fairbook.engine.runner import Runner
from fairbook.followers import wire
from fairbook.ports.queries import Checkpoint

ROUND_S: Final = 2.0
FLUSH_S: Final = 0.02
BUFFER_BYTES_MAX: Final = 1024 * wire.BLOCK
OUTSTANDING_MAX: Final = 64
OUTSTANDING_BYTES_MAX: Final = 64 * 1024 * 1024
SLICES_MIN: Final = 64
SLICES_MAX: Final = 2048
SLICE_BYTES: Final = 256 * 1024  # what one slice should have, of a large state
ORDER_BYTES: Final = 200  # what an open order has in its slice, roughly, with its receipt
REST_PER_WORK: Final = 2  # after a slice, at least so many times as long without one
CHECKPOINTS_MAX: Final = 1024
MARK_S: Final = 0.02
HURRIED_S: Final = 0.0005

DOWN: Final = "down"
CATCHING_UP: Final = "catching up"
LAGGING: Final = "lagging"
FOLLOWING: Final = "following"
LAGGING_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice as the engine has it, until the replica has compared it."""

    serial: int
    position: int
    index: int
    count: int
    digest: bytes
    octets: bytes
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Disagreement:
    """What the replica reported."""

    position: int
    engine_digest: bytes
    replica_digest: bytes
    of_engine: Slice | None
    """None: events differ, and the digests are running hashes of them."""


def slices_for(state_bytes: int) -> int:
    """How many slices keep each one small. state_bytes: of all of them."""
    return min(max(state_bytes // SLICE_BYTES, SLICES_MIN), SLICES_MAX)


class Round:
    """Which slices of the state, made after a moment, have been compared, and with what result."""

    def __init__(self, since: int, count: int) -> None:
        """since: the last serial that does not count; count: of the slices."""
        self.since = since
        self.count = count
        self._results = bytearray(count)  # 0: none yet, 1: equal, 2: not equal

    def compared(self, made: Slice, *, is_equal: bool) -> None:
        """The replica has compared a slice."""
        if made.serial > self.since and made.count == self.count:
            result = 1 if is_equal else 2
            self._results[made.index] = max(self._results[made.index], result)

    @property
    def is_complete(self) -> bool:
        """Whether every slice was compared."""
        return self._results.find(0) < 0

    @property
    def is_agreed(self) -> bool:
        """Whether every slice was equal."""
        return self._results.count(1) == self.count


class ReplicaLink:
    """One per engine; replicas come and go. All methods are for the loop's thread."""

    def __init__(self, runner: Runner, *, round_s: float = ROUND_S) -> None:
        """Needs a running loop. `runner` is the engine's."""
        self.id = f"engine-{secrets.token_hex(4)}"
        self.replica: dict[str, Any] = {}
        """What the replica said of itself: id, version, python, pid, position it began at."""
        self.on_disagreement: Callable[[Disagreement], None] = lambda _: None
        self.on_note: Callable[[str], None] = lambda _: None
        self.last_note: str | None = None
        self.position = 0
        """Up to where the replica has compared what it was told."""
        self.agreed_position = 0
        """Up to where it agreed with everything."""
        self.rounds = 0
        """How often the whole state was found equal, since the engine started."""
        self.round_at_s: float | None = None
        self.snapshot_position = 0
        self.slice_s_max = 0.0
        """The longest that one slice has taken."""
        self._runner = runner
        self._round_s = round_s
        self._loop = asyncio.get_running_loop()
        self._connection: socket.socket | None = None
        self._ended: asyncio.Future[str] | None = None
        self._incoming = wire.Messages()
        self._buffer = bytearray()
        self._flushing: asyncio.TimerHandle | None = None
        self._slicing: asyncio.TimerHandle | None = None
        self._caught_up_at = 0  # Following again once the replica is there.
        self._is_behind = True
        self._outstanding: dict[int, Slice] = {}
        self._outstanding_bytes = 0
        self._serial = 0
        self._disagrees = False
        orders = len(runner.exchange.matcher.slots.orders)
        self._index, self._count = 0, slices_for(orders * ORDER_BYTES)
        self._round_bytes = 0
        self._round = Round(0, self._count)
        self._round_waiters: list[asyncio.Future[bool]] = []
        self._is_hurried = False
        self._marks: deque[tuple[int, float]] = deque(maxlen=20_000)
        self._checkpoints: deque[Checkpoint] = deque(maxlen=CHECKPOINTS_MAX)
        runner.subscribe(self._applied)

    # The replica's connection.

    def connect(self, connection: socket.socket) -> asyncio.Future[str]:
        """Lead whoever is at the other end; the future ends, with the reason, when it is gone.

        Takes the socket over.
        """
        assert self._connection is None
        connection.setblocking(False)
        self._connection = connection
        self._ended = self._loop.create_future()
        self._incoming = wire.Messages()
        self.replica = {}
        self._buffer.clear()
        self._forget_outstanding()
        self._marks.clear()
        self.position = 0
        self._disagrees = False
        self._buffer += wire.pack_hello(self.id)
        self._tell_position()
        self._is_behind, self._caught_up_at = True, self._runner.position
        self._begin_round()
        self._loop.add_reader(connection, self._readable)
        self._flush()
        self._schedule_slice(0)
        return self._ended

    def disconnect(self, why: str) -> None:
        """Let go of the replica: it ends when it sees that. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._loop.remove_reader(connection)
        connection.close()
        for timer in (self._flushing, self._slicing):
            if timer is not None:
                timer.cancel()
        self._flushing = self._slicing = None
        self._buffer.clear()
        self._forget_outstanding()
        assert self._ended is not None
        if not self._ended.done():
            self._ended.set_result(why)

    @property
    def state(self) -> str:
        """DOWN, CATCHING_UP, LAGGING or FOLLOWING."""
        if self._connection is None or not self.replica:
            return DOWN
        if self._is_behind:
            return CATCHING_UP
        return LAGGING if self.lag()[1] > LAGGING_S else FOLLOWING

    def progress(self) -> int | None:
        """The replica's position; None while it has nothing to do."""
        return None if self.position >= self._runner.position else self.position

    @property
    def waiting_bytes(self) -> int:
        """What the socket has not taken yet."""
        return len(self._buffer)

    def lag(self) -> tuple[int, float]:
        """How far the replica is behind, in frames and in seconds; seconds to about 20 ms."""
        frames = max(0, self._runner.position - self.position)
        for position, at_s in self._marks:
            if position > self.position:
                return frames, time.monotonic() - at_s
        return frames, 0.0

    def checkpoints(self, first: int) -> list[Checkpoint]:
        """The newest ones at positions of at least `first`, newest first; the first is now."""
        runner = self._runner
        now = Checkpoint(runner.position, runner.chain, runner.event_hash, 0, 0, b"", [self.id])
        found = [each for each in reversed(self._checkpoints) if each.position >= first]
        return [now, *found] if now.position >= first else found

    # Rounds.

    def _begin_round(self) -> None:
        """Forget which slices agreed: a round from here on is of the state from here on."""
        self._round = Round(self._serial, self._count)

    async def round_agreed(self, *, within_s: float, hurried: bool = False) -> bool:
        """Whether the whole state, as it is from here on, is found equal in that time.

        hurried: do not spread the slices over the usual time. Returns early with False when all
        slices have been compared and one was not equal.
        """
        self._begin_round()
        waiter: asyncio.Future[bool] = self._loop.create_future()
        self._round_waiters.append(waiter)
        self._is_hurried = hurried
        if hurried and self._connection is not None:
            self._schedule_slice(0)
        try:
            return await asyncio.wait_for(waiter, within_s)
        except TimeoutError:
            return False
        finally:
            self._is_hurried = False

    def _end_round(self) -> None:
        """All slices have been compared."""
        agreed = self._round.is_agreed
        if agreed:
            self.rounds += 1
            self.round_at_s = time.monotonic()
        self._begin_round()
        waiters, self._round_waiters = self._round_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(agreed)

    # Out.

    def edit(self, *, account: int, asset: int, field: int, atoms: int) -> None:
        """Have the replica make a fault in its memory, if it was started to allow that."""
        self._buffer += wire.pack(wire.EDIT, atoms, account, asset, field.to_bytes(1, "little"))
        self._flush()

    def _applied(self, position: int, _time_ns: int, _frame: bytes, _events: bytes) -> None:
        """A frame was applied. On the path of every order: only a note for later."""
        if self._connection is None:
            return
        self._buffer += wire.pack(wire.FRAME, position, 0, 0, self._runner.event_hash)
        if self._flushing is None:
            self._flushing = self._loop.call_later(FLUSH_S, self._flush)

    def _tell_position(self) -> None:
        runner = self._runner
        self._buffer += wire.pack(wire.FRAME, runner.position, 0, 0, runner.event_hash)

    def _flush(self) -> None:
        """Send what the socket takes."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        connection, buffer = self._connection, self._buffer
        if connection is None:
            return
        now_s = time.monotonic()
        if not self._marks or now_s - self._marks[-1][1] >= MARK_S:
            self._marks.append((self._runner.position, now_s))
        try:
            sent = connection.send(buffer)
            del buffer[:sent]
        except BlockingIOError:
            pass
        except OSError as error:
            self.disconnect(f"cannot write to it: {error}")
            return
        if len(buffer) > BUFFER_BYTES_MAX:
            self._drop_backlog()
        if buffer:
            self._flushing = self._loop.call_later(FLUSH_S, self._flush)

    def _drop_backlog(self) -> None:
        """The replica is too slow: the newest position will tell it all that was not sent."""
        begun = len(self._buffer) % wire.BLOCK  # The rest of a block that was sent in part.
        dropped = bytes(self._buffer[begun:])
        del self._buffer[begun:]
        for message in wire.Messages().feed(dropped):
            if message.kind == wire.SLICE:
                self._take_outstanding(message.number)
        self._tell_position()
        self._is_behind, self._caught_up_at = True, self._runner.position

    # Slices.

    def _schedule_slice(self, delay_s: float) -> None:
        if self._slicing is not None:
            self._slicing.cancel()
        self._slicing = self._loop.call_later(delay_s, self._next_slice)

    def _next_slice(self) -> None:
        began_s = time.monotonic()
        is_room = (
            len(self._outstanding) < OUTSTANDING_MAX
            and self._outstanding_bytes < OUTSTANDING_BYTES_MAX
        )
        if not self._is_behind and is_room and not self._runner.broken:
            self._make_slice()
        took_s = time.monotonic() - began_s
        self.slice_s_max = max(self.slice_s_max, took_s)
        spread_s = HURRIED_S if self._is_hurried else self._round_s / self._count
        self._schedule_slice(max(spread_s - took_s, REST_PER_WORK * took_s))

    def _make_slice(self) -> None:
        if self._index >= self._count:
            self._count = slices_for(self._round_bytes)
            if self._round.count != self._count:
                self._begin_round()
            self._index = self._round_bytes = 0
        runner, index, count = self._runner, self._index, self._count
        octets = slice_bytes(runner.exchange, index, count)
        digest = sha256(octets).digest()
        self._serial += 1
        self._index += 1
        self._round_bytes += len(octets)
        checkpoint = Checkpoint(
            runner.position, runner.chain, runner.event_hash, index, count, digest, [self.id]
        )
        made = Slice(self._serial, runner.position, index, count, digest, octets, checkpoint)
        self._outstanding[made.serial] = made
        self._outstanding_bytes += len(octets)
        self._checkpoints.append(checkpoint)
        # Behind the FRAME of its position, before that of the next.
        detail = wire.share(index, count)
        self._buffer += wire.pack(wire.SLICE, made.position, made.serial, detail, digest)
        if self._is_hurried or self._flushing is None:
            self._flush()

    def _take_outstanding(self, serial: int) -> Slice | None:
        made = self._outstanding.pop(serial, None)
        if made is not None:
            self._outstanding_bytes -= len(made.octets)
        return made

    def _forget_outstanding(self) -> None:
        self._outstanding.clear()
        self._outstanding_bytes = 0

    # In.

    def _readable(self) -> None:
        connection = self._connection
        assert connection is not None
        try:
            octets = connection.recv(64 * 1024)
            if not octets:
                self.disconnect("it closed the connection")
                return
            for message in self._incoming.feed(octets):
                self._take(message)
        except (BlockingIOError, InterruptedError):
            return
        except (OSError, ValueError, wire.WireError) as error:
            self.disconnect(f"cannot read from it: {error}")

    def _take(self, message: wire.Message) -> None:
        match message.kind:
            case wire.DONE:
                self._done(message.position, message.number)
            case wire.HELLO:
                self.replica = json.loads(message.text)
            case wire.SLICE_DIFFERS:
                made = self._take_outstanding(message.number)
                if made is not None:
                    self._round.compared(made, is_equal=False)
                    self._differ(Disagreement(made.position, made.digest, message.digest, made))
            case wire.EVENTS_DIFFER:
                told = json.loads(message.text)
                engine, replica = bytes.fromhex(told["engine"]), bytes.fromhex(told["replica"])
                self._differ(Disagreement(int(told["position"]), engine, replica, None))
            case wire.KEPT:
                self.snapshot_position = message.position
            case wire.NOTE:
                self.last_note = message.text
                self.on_note(message.text)
            case kind:
                raise wire.WireError(f"message of kind {kind}")

    def _differ(self, disagreement: Disagreement) -> None:
        self._disagrees = True
        self.on_disagreement(disagreement)

    def _done(self, position: int, serial: int) -> None:
        """All that was told up to there was compared, and what is still outstanding agreed."""
        self.position = position
        if not self._disagrees:
            self.agreed_position = position
        while self._marks and self._marks[0][0] <= position:
            self._marks.popleft()
        if self._is_behind and position >= self._caught_up_at:
            self._is_behind = False
        for made in [each for each in self._outstanding.values() if each.serial <= serial]:
            self._take_outstanding(made.serial)
            made.checkpoint.engines.append(str(self.replica.get("id", "")))
            self._round.compared(made, is_equal=True)
        if self._round.is_complete:
            self._end_round()
