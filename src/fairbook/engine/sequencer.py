"""The way in: commands become frames, frames become durable and are applied, commands are answered.

How it works: commands collect in a list while one worker thread appends the frame before; when that
is durable, the loop's thread hands over what has collected as the next frame, applies the durable
one, and ends its futures. So the log works on one frame while the state machine works on the one
before, and many commands share one sync.

Always true:
- the order of `submit` is the order in the log, and the order of the answers;
- nothing is answered before it is durable and applied; one append at a time is under way;
- commands without an answer are at most `pending_max`, and the last `reserved_for_cancels` of these
  places are for cancels;
- once an append or a frame has failed, nothing is taken or answered any more: `failed` says why,
  and the process must end.

Not here: what a command means (core), storing it (log), reading the log after a crash
(recovery.py).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final

from fairbook.core import records
from fairbook.engine.clock import Clock
from fairbook.engine.runner import Runner
from fairbook.log.log import CommandLog, Entry
from fairbook.ports.commands import Answer, Busy, Stopped

PENDING_MAX: Final = 8192
RESERVED_FOR_CANCELS: Final = 1024
FRAME_COMMANDS_MAX: Final = 4096
TICK_AFTER_S: Final = 1.0

_CANCELS: Final = frozenset((records.CANCEL, records.CANCEL_ALL, records.END_SESSION))


class Sequencer:
    """One writer's queue. All methods are for the thread of the loop in which it was made."""

    def __init__(
        self,
        log: CommandLog,
        runner: Runner,
        clock: Clock,
        *,
        tick_after_s: float = TICK_AFTER_S,
        pending_max: int = PENDING_MAX,
        reserved_for_cancels: int = RESERVED_FOR_CANCELS,
        frame_commands_max: int = FRAME_COMMANDS_MAX,
    ) -> None:
        """Starts at once; needs a running loop. `runner` must have applied all of `log`.

        tick_after_s: how long without a frame before a TICK is logged. The other limits count
        commands.
        """
        assert runner.position == log.last.position
        assert 0 <= reserved_for_cancels < pending_max
        self._loop = asyncio.get_running_loop()
        self._create_future = self._loop.create_future
        self._append = log.append
        self._runner = runner
        self._clock = clock
        self._tick_after_s = tick_after_s
        self._pending_max = pending_max
        self._room = pending_max - reserved_for_cancels
        self._frame_commands_max = frame_commands_max

        self._commands: list[bytes] = []  # Waiting for the next frame, and their futures.
        self._futures: list[asyncio.Future[Answer]] = []
        self._sent: list[asyncio.Future[Answer]] = []  # Of the frame that is being appended.
        self._settlings: deque[tuple[int, asyncio.Future[int]]] = deque()
        self._submitted = 0
        self._applied = 0
        self._idle = True  # Nothing is being appended, and `_send` is not about to run.
        self._closed: str | None = None
        self.failed: asyncio.Future[Exception] = self._create_future()
        """Ends, with the reason, when log or state machine failed: the process must exit."""

        self._frames: SimpleQueue[tuple[bytes, int] | None] = SimpleQueue()
        self._worker = Thread(target=self._append_frames, name="log-append", daemon=True)
        self._worker.start()
        self._last_frame_s = self._loop.time()
        self._timer = self._loop.call_later(tick_after_s, self._tick_if_quiet)

    @property
    def pending(self) -> int:
        """How many commands wait for their answer."""
        return self._submitted - self._applied

    def submit(self, command: bytes) -> asyncio.Future[Answer]:
        """Queue one command of 48 bytes, in the order of calls; it ends when durable and applied.

        Raises Busy or Stopped at once: then it is not logged. The future may raise Stopped: then
        nobody knows. It may be cancelled, which changes nothing for the command.
        """
        if self._closed is not None:
            raise Stopped(self._closed)
        if len(command) != records.COMMAND_BYTES:
            raise ValueError(f"a command has {records.COMMAND_BYTES} bytes, not {len(command)}")
        pending = self._submitted - self._applied
        if pending >= self._room and (pending >= self._pending_max or command[0] not in _CANCELS):
            raise Busy(f"{pending} commands are waiting")
        future: asyncio.Future[Answer] = self._create_future()
        self._commands.append(command)
        self._futures.append(future)
        self._submitted += 1
        if self._idle:
            # Not at once: what else arrives in this turn of the loop shares the frame.
            self._idle = False
            self._loop.call_soon(self._send)
        return future

    def settled(self) -> asyncio.Future[int]:
        """A position at which everything submitted before this call is applied; or Stopped."""
        future: asyncio.Future[int] = self._create_future()
        if self.failed.done():
            _refuse(future, str(self._closed))
        elif self._submitted == self._applied:
            future.set_result(self._runner.position)
        else:
            # Those that nobody awaits any more must not pile up while an append hangs.
            while self._settlings and self._settlings[0][1].done():
                self._settlings.popleft()
            self._settlings.append((self._submitted, future))
        return future

    async def stop(self) -> None:
        """Take nothing more, answer what was taken, return. Idempotent; returns after a failure."""
        if self._closed is None:
            self._closed = "shutting down"
        self._timer.cancel()
        try:
            await self.settled()
        except Stopped:
            pass  # `failed` says why.
        self._frames.put(None)
        await self._loop.run_in_executor(None, self._worker.join)

    def _send(self) -> None:
        """Hand over what has collected, as one frame. Nothing is being appended."""
        commands, futures = self._commands, self._futures
        if not commands:
            self._idle = True
            return
        if len(commands) > self._frame_commands_max:
            self._commands = commands[self._frame_commands_max :]
            self._futures = futures[self._frame_commands_max :]
            commands = commands[: self._frame_commands_max]
            futures = futures[: self._frame_commands_max]
        else:
            self._commands, self._futures = [], []
        self._sent = futures
        self._last_frame_s = self._loop.time()
        self._frames.put((b"".join(commands), self._clock.now_ns()))

    def _append_frames(self) -> None:
        """The worker thread: append, one frame after the other, and say so to the loop."""
        while (job := self._frames.get()) is not None:
            frame, time_ns = job
            try:
                entry = self._append(frame, time_ns)
            except Exception as error:  # noqa: BLE001
                # LogFailed, or a bug in the log: either way it is not known what is on disk.
                self._tell(self._fail, error)
                return
            self._tell(self._durable, entry)

    def _tell(self, callback: Callable[[Any], None], what: Entry | Exception) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, what)
        except RuntimeError:
            if not self._loop.is_closed():
                raise
            # The process is on its way out, and nobody waits for an answer.

    def _durable(self, entry: Entry) -> None:
        """A frame is on disk: start the next append, apply this one meanwhile, answer."""
        if self.failed.done():
            return
        futures = self._sent
        self._sent = []
        self._send()
        try:
            events = self._runner.apply(entry)
            assert events is not None, "the log returned a position that was applied before"
            answers = records.split(events)
            assert len(answers) == len(futures), "one outcome per command"
        except Exception as error:  # noqa: BLE001
            # A bug. The state may be half changed; the log has it all: only a restart can go on.
            self._sent += futures
            self._fail(error)
            return
        position, time_ns = entry.position, entry.time_ns
        for future, its_events in zip(futures, answers, strict=True):
            if not future.done():  # Cancelled: its client is gone.
                future.set_result(Answer(position, time_ns, its_events))
        self._applied += len(futures)
        settlings = self._settlings
        while settlings and settlings[0][0] <= self._applied:
            _, settling = settlings.popleft()
            if not settling.done():
                settling.set_result(position)

    def _fail(self, error: Exception) -> None:
        """Nothing goes on from here: not one more append, not one more answer."""
        if self.failed.done():
            return
        self._closed = f"stopped by a failure: {error!r}"
        self._timer.cancel()
        self._frames.put(None)
        for future in self._sent + self._futures:
            _refuse(future, self._closed)
        for _, settling in self._settlings:
            _refuse(settling, self._closed)
        self._commands, self._futures, self._sent = [], [], []
        self._settlings.clear()
        self.failed.set_result(error)

    def _tick_if_quiet(self) -> None:
        rest_s = self._last_frame_s + self._tick_after_s - self._loop.time()
        if rest_s <= 0:
            if self._idle:
                self.submit(records.tick())
            rest_s = self._tick_after_s
        self._timer = self._loop.call_later(rest_s, self._tick_if_quiet)


def _refuse(future: asyncio.Future[Any], why: str) -> None:
    if not future.done():
        future.set_exception(Stopped(why))
        future.exception()  # Seen: one that nobody awaits any more is not worth a warning.
