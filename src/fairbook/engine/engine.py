"""The engine of one process: log, state machine, answers, queries and snapshots, put together.

How it works: `start` recovers and opens the way in, `stop` drains it, writes a snapshot and closes
the log. In between everything happens in the thread of the loop, but for appending, and for writing
a snapshot that was taken.

Always true: one engine per log (the log's lock sees to it); after a failure no snapshot is written,
and the next start replays what the log has.

Not here: configuration, signals, exit codes (processes.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from fairbook.core import state
from fairbook.engine import gc_policy as collector
from fairbook.engine.clock import Clock
from fairbook.engine.queries import EngineCatalogue, EngineQueries
from fairbook.engine.recovery import Recovery, recover
from fairbook.engine.runner import Runner, Subscriber
from fairbook.engine.sequencer import PENDING_MAX, RESERVED_FOR_CANCELS, TICK_AFTER_S, Sequencer
from fairbook.engine.snapshots import Snapshot, Snapshots
from fairbook.log.command_log import CommandLog


class Engine:
    """Owns its log from `start` to `stop`."""

    def __init__(
        self,
        log: CommandLog,
        snapshots: Snapshots,
        runner: Runner,
        commands: Sequencer,
        clock: Clock,
        recovery: Recovery,
    ) -> None:
        """Use `start`."""
        self.commands = commands
        self.queries = EngineQueries(runner)
        self.catalogue = EngineCatalogue(runner.exchange)
        self.clock = clock
        self.recovery = recovery
        self.runner = runner
        self.vouch: Callable[[], Awaitable[bool]] | None = None
        """Asked at the end, when nothing changes any more: may the state become a snapshot?"""
        self._log = log
        self._snapshots = snapshots
        self._runner = runner
        self._snapshot_lock = asyncio.Lock()
        self._stopping: asyncio.Task[None] | None = None
        runner.subscribe(lambda position, _time, _frame, _events: self.queries.advance(position))
        commands.failed.add_done_callback(lambda failed: self.queries.end(repr(failed.result())))

    @classmethod
    async def start(
        cls,
        log: CommandLog,
        snapshots: Snapshots,
        *,
        subscribers: Sequence[Subscriber] = (),
        clock: Clock | None = None,
        tick_after_s: float = TICK_AFTER_S,
        pending_max: int = PENDING_MAX,
        reserved_for_cancels: int = RESERVED_FOR_CANCELS,
    ) -> Engine:
        """Recover from what is on disk, and take commands from then on.

        Blocks the loop while it replays.

        subscribers: see the events of every frame that is applied here, the replayed ones too.
        Raises LogDamaged, or whatever a bug raises in the replay; `log` is closed then.
        """
        collector.hold()
        try:
            runner, recovery = recover(log, snapshots, subscribers)
        except BaseException:
            log.close()
            raise
        finally:
            collector.settle()
        clock = clock if clock is not None else Clock()
        commands = Sequencer(
            log,
            runner,
            clock,
            tick_after_s=tick_after_s,
            pending_max=pending_max,
            reserved_for_cancels=reserved_for_cancels,
        )
        return cls(log, snapshots, runner, commands, clock, recovery)

    @property
    def position(self) -> int:
        """Of the last frame that was applied."""
        return self._runner.position

    @property
    def failed(self) -> asyncio.Future[Exception]:
        """Ends when log or state machine failed: the process must `stop` and exit in error."""
        return self.commands.failed

    async def snapshot(self) -> int:
        """Write a snapshot and return its position. Raises OSError.

        Pauses the loop while the state is copied: about a second for a million orders. So it is for
        a stop, when nobody trades; the regular ones are written by another process.
        """
        async with self._snapshot_lock:
            runner = self._runner
            assert not runner.broken
            body = state.dump(runner.exchange)
            taken = Snapshot(
                position=runner.position,
                time_ns=runner.exchange.time_ns,
                chain=runner.chain,
                event_hash=runner.event_hash,
                body=body,
            )
            await asyncio.to_thread(self._snapshots.write, taken)
            return taken.position

    async def stop(self) -> None:
        """Answer what was taken, write a snapshot, close the log. After a failure it only closes.

        Idempotent. Raises OSError if the snapshot could not be written: the log still has it all.
        """
        if self._stopping is None:
            self._stopping = asyncio.ensure_future(self._stop())
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        try:
            await self.commands.stop()
            if not self.failed.done() and (self.vouch is None or await self.vouch()):
                await self.snapshot()
        finally:
            self.queries.end("shut down")
            self._log.close()
