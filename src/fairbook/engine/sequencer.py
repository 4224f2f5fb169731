"""Group commit: queued commands become frames, frames become durable and are applied.

Design: commands collect in a list while a worker thread appends the previous frame to the log.
When that frame is durable, it is applied and its commands are answered; then the next frame is
sent. Clients that wait for their answers send their next commands within a few turns of the event
loop, so the sequencer gathers: it sends the next frame only after a turn that brought no new
command, or after GATHER_TURNS_MAX turns. A frame then holds the commands of many clients, and one
sync serves them all.

A command and the parts that stand before it are one unit: one waiter, one answer, as many places as
it has records.

Invariants:
- the order of `enqueue` is the order in the log, and the order of the answers;
- a frame holds whole units, and each unit gives exactly one OUTCOME;
- a command is answered only after it is durable and applied; one append at a time is under way;
- at most `pending_max` records are unanswered, and the last `reserved_for_cancels` of these places
  are for cancels;
- after an append or a frame has failed, no command is accepted or answered: `failed` holds the
  reason, and the process must exit.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from time import perf_counter
from typing import Any, Final

from fairbook.core import admin_records, records
from fairbook.core.parts import bit_of
from fairbook.core.records import COMMAND_BYTES, TEXT_PART
from fairbook.engine.clock import Clock
from fairbook.engine.measurements import STATUSES, Measurements
from fairbook.engine.runner import Runner
from fairbook.log.command_log import CommandLog, Entry
from fairbook.ports.commands import Answer, Busy, Stopped, Waiter

PENDING_MAX: Final = 8192
RESERVED_FOR_CANCELS: Final = 1024
FRAME_RECORDS_MAX: Final = 4096
GATHER_TURNS_MAX: Final = 4
TICK_AFTER_S: Final = 1.0

_CANCELS: Final = frozenset((records.CANCEL, records.CANCEL_ALL, records.END_SESSION))
_PARTS_AT: Final = 2  # in a command
_KIND_AT: Final = -55  # in the events of a command, whose last is its OUTCOME of 56 bytes
_STATUS_AT: Final = -50


class Sequencer:
    """The command queue of one log writer. Call all methods in the thread of its event loop."""

    def __init__(
        self,
        log: CommandLog,
        runner: Runner,
        clock: Clock,
        *,
        tick_after_s: float = TICK_AFTER_S,
        pending_max: int = PENDING_MAX,
        reserved_for_cancels: int = RESERVED_FOR_CANCELS,
        frame_records_max: int = FRAME_RECORDS_MAX,
    ) -> None:
        """Starts at once; needs a running loop. `runner` must have applied all of `log`.
        tick_after_s: after this time without a frame a TICK is logged, but not as the first frame:
        a log begins with RULES. The other limits count records of 48 bytes: commands and parts.
        """
        assert (runner.position, runner.chain) == (log.last.position, log.last.chain)
        assert 0 <= reserved_for_cancels < pending_max
        self._loop = asyncio.get_running_loop()
        self._append = log.append
        self._runner = runner
        self._clock = clock
        self._tick_after_s = tick_after_s
        self._pending_max = pending_max
        self._orders_max = pending_max - reserved_for_cancels
        self._frame_records_max = frame_records_max

        self.measurements = Measurements()
        self._units: list[bytes] = []  # for the next frame
        self._oldest_s = 0.0  # when the first of these was queued
        self._sent_oldest_s = 0.0  # of the frame that is being appended
        self._waiters: list[Waiter] = []  # of these units
        self._sent: list[Waiter] = []  # of the frame that is being appended
        self._sent_until = 0  # `_applied` once that frame is applied
        self._settlings: deque[tuple[int, asyncio.Future[int]]] = deque()
        self._submitted = 0  # in records, as `_applied`
        self._applied = 0
        self._is_idle = True  # no append is under way, and no call of `_gather` is scheduled
        self._closed: str | None = None
        self.failed: asyncio.Future[Exception] = self._loop.create_future()
        """Done, with the reason, when log or state machine failed: the process must exit."""

        self._frames: SimpleQueue[tuple[bytes, int] | None] = SimpleQueue()
        self._worker = Thread(target=self._append_frames, name="log-append", daemon=True)
        self._worker.start()
        self._last_frame_s = self._loop.time()
        self._timer = self._loop.call_later(tick_after_s, self._tick_if_quiet)

    @property
    def pending(self) -> int:
        """How many places are taken: records of unanswered commands."""
        return self._submitted - self._applied

    def enqueue(self, command: bytes, waiter: Waiter) -> None:
        """Queue one command, with its parts before it; `waiter` gets the answer once it is durable
        and applied.

        Raises Busy or Stopped if the command is not and will not be logged; ValueError if it would
        not give exactly one OUTCOME. If `waiter` gets Stopped, it is not known whether the command
        was logged.
        """
        if self._closed is not None:
            raise Stopped(self._closed)
        places = 1
        if len(command) != COMMAND_BYTES or command[_PARTS_AT] or command[0] >= TEXT_PART:
            places = count_records(command)
        submitted = self._submitted + places
        pending = submitted - self._applied
        if pending > self._orders_max and (
            pending > self._pending_max or command[-COMMAND_BYTES] not in _CANCELS
        ):
            self.measurements.refused += 1
            raise Busy(f"{pending - places} records are waiting")
        self._submitted = submitted
        if not self._units:
            self._oldest_s = perf_counter()
        self._units.append(command)
        self._waiters.append(waiter)
        if self._is_idle:
            self._is_idle = False
            self._loop.call_soon(self._gather, 1, GATHER_TURNS_MAX)

    def submit(self, command: bytes) -> asyncio.Future[Answer]:
        """`enqueue` with a future as the waiter. Cancelling it does not cancel the command."""
        future: asyncio.Future[Answer] = self._loop.create_future()
        self.enqueue(command, future)
        return future

    def settled(self) -> asyncio.Future[int]:
        """A position at which everything submitted before this call is applied; or Stopped."""
        future: asyncio.Future[int] = self._loop.create_future()
        if self.failed.done():
            _stop_waiting(future, str(self._closed))
        elif self._submitted == self._applied:
            future.set_result(self._runner.position)
        else:
            # Cancelled futures must not pile up while an append hangs.
            while self._settlings and self._settlings[0][1].done():
                self._settlings.popleft()
            self._settlings.append((self._submitted, future))
        return future

    async def stop(self) -> None:
        """Refuse new commands, answer the queued ones, return. Idempotent; also after a failure."""
        if self._closed is None:
            self._closed = "shutting down"
        self._timer.cancel()
        try:
            await self.settled()
        except Stopped:
            pass  # `failed` holds the reason.
        self._frames.put(None)
        await self._loop.run_in_executor(None, self._worker.join)

    def _gather(self, seen: int, turns_left: int) -> None:
        """Send the next frame if the last turn of the loop has brought no new command.

        seen: how many commands were queued a turn ago. No append is under way.
        """
        count = len(self._units)
        if count == 0:
            self._is_idle = True
        elif count == seen or turns_left == 0 or count >= self._frame_records_max:
            self._send()
        else:
            self._loop.call_soon(self._gather, count, turns_left - 1)

    def _send(self) -> None:
        """Hand the queued commands to the worker, as one frame."""
        units, waiters = self._units, self._waiters
        count, self._sent_until = len(units), self._submitted
        if self._submitted - self._applied > self._frame_records_max:
            count = self._count_for_frame()
        self._units, self._waiters = units[count:], waiters[count:]
        self._sent = waiters[:count]
        self._last_frame_s = self._loop.time()
        self._sent_oldest_s = self._oldest_s
        self._frames.put((b"".join(units[:count]), self._clock.now_ns()))

    def _count_for_frame(self) -> int:
        """How many of the queued units the next frame takes. Sets `_sent_until`."""
        records_taken = 0
        for count, unit in enumerate(self._units):
            places = len(unit) // COMMAND_BYTES
            if count > 0 and records_taken + places > self._frame_records_max:
                break
            records_taken += places
        else:
            count = len(self._units)
        self._sent_until = self._applied + records_taken
        return count

    def _append_frames(self) -> None:
        """The worker thread: append one frame after the other, and notify the loop."""
        while (job := self._frames.get()) is not None:
            frame, time_ns = job
            began_s = perf_counter()
            try:
                entry = self._append(frame, time_ns)
            except Exception as error:  # noqa: BLE001
                # LogFailed, or a bug in the log: either way it is not known what is on disk.
                self._notify(self._fail, error)
                return
            self.measurements.sync.add(perf_counter() - began_s)
            self._notify(self._durable, entry)

    def _notify(self, callback: Callable[[Any], None], argument: Entry | Exception) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, argument)
        except RuntimeError:
            if not self._loop.is_closed():
                raise
            # The process is exiting, and no answer can be sent.

    def _durable(self, entry: Entry) -> None:
        """A frame is on disk: apply it, answer its commands, then gather the next frame."""
        if self.failed.done():
            return
        waiters = self._sent
        try:
            events = self._runner.apply(entry)
            assert events is not None, "an append has a new position"
            answers = records.split(events)
            assert len(answers) == len(waiters), "one outcome per command"
        except Exception as error:  # noqa: BLE001
            # A bug. The state may be half changed, but the log is complete: a restart recovers.
            self._fail(error)
            return
        self._sent = []
        self._applied = self._sent_until
        position, time_ns = entry.position, entry.time_ns
        outcomes = self.measurements.outcomes
        for waiter, its_events in zip(waiters, answers, strict=True):
            outcomes[its_events[_KIND_AT] * STATUSES + its_events[_STATUS_AT]] += 1
            if not waiter.done():
                waiter.set_result(Answer(position, time_ns, its_events))
        self.measurements.frames += 1
        self.measurements.answered.add(perf_counter() - self._sent_oldest_s, len(waiters))
        settlings = self._settlings
        while settlings and settlings[0][0] <= self._applied:
            _, settling = settlings.popleft()
            if not settling.done():
                settling.set_result(position)
        self._loop.call_soon(self._gather, len(self._units), GATHER_TURNS_MAX)

    def _fail(self, error: Exception) -> None:
        """Stop for good: no more appends and no more answers."""
        if self.failed.done():
            return
        self._closed = f"stopped by a failure: {error!r}"
        self._timer.cancel()
        self._frames.put(None)
        waiting = self._sent + self._waiters
        self._units, self._waiters, self._sent = [], [], []
        for waiter in waiting:
            _stop_waiting(waiter, self._closed)
        for _, settling in self._settlings:
            _stop_waiting(settling, self._closed)
        self._settlings.clear()
        self.failed.set_result(error)

    def _tick_if_quiet(self) -> None:
        rest_s = self._last_frame_s + self._tick_after_s - self._loop.time()
        if rest_s <= 0:
            if self._is_idle and self._runner.position > 0:
                self.submit(admin_records.tick())
            rest_s = self._tick_after_s
        self._timer = self._loop.call_later(rest_s, self._tick_if_quiet)


def count_records(unit: bytes) -> int:
    """How many records a command and its parts have. Raises ValueError unless the exchange takes
    them as one: only then they give exactly one OUTCOME.
    """
    count, rest = divmod(len(unit), COMMAND_BYTES)
    if count == 0 or rest != 0:
        raise ValueError(f"a command and its parts have 48 bytes each, not {len(unit)} in all")
    found = 0
    for kind in unit[:-COMMAND_BYTES:COMMAND_BYTES]:
        bit = bit_of(kind)
        if bit <= found:
            raise ValueError(f"a record of kind {kind} cannot stand there before a command")
        found |= bit
    kind, announced = unit[-COMMAND_BYTES], unit[_PARTS_AT - COMMAND_BYTES]
    if kind >= TEXT_PART:
        raise ValueError(f"a record of kind {kind} is no command")
    if announced != found:
        raise ValueError(f"the command announces the parts {announced}, but has {found}")
    return count


def _stop_waiting(waiter: Waiter | asyncio.Future[int], reason: str) -> None:
    if not waiter.done():
        waiter.set_exception(Stopped(reason))
        if isinstance(waiter, asyncio.Future):
            waiter.exception()  # Mark it as seen: a future that is not awaited needs no warning.
