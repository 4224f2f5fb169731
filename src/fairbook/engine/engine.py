"""The engine of one process: log, state machine, answers, queries and snapshots.

Design: `start` recovers and opens the queue for commands, `stop` drains it, writes a snapshot and
closes the log. Everything happens in the thread of the loop, except appending and writing a
snapshot that was taken.

Invariants: one engine per log (the log's lock guarantees it); after a failure no snapshot is
written, and the next start replays what the log has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fairbook.engine import gc_policy
from fairbook.engine.clock import Clock
from fairbook.engine.queries import EngineCatalogue, EngineQueries
from fairbook.engine.recovery import Recovery, recover
from fairbook.engine.runner import Runner, Subscriber
from fairbook.engine.sequencer import TICK_AFTER_S, Sequencer
from fairbook.engine.snapshots import Snapshots
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
        self._log = log
        self._snapshots = snapshots
        self._stopping: asyncio.Task[None] | None = None
        commands.failed.add_done_callback(lambda failed: self.queries.end(repr(failed.result())))

    @classmethod
    async def start(
        cls,
        log: CommandLog,
        snapshots: Snapshots,
        *,
        on_replayed: Subscriber | None = None,
        clock: Clock | None = None,
        tick_after_s: float = TICK_AFTER_S,
    ) -> Engine:
        """Recover from what is on disk, and take commands from then on.

        Blocks the loop while it replays. on_replayed: called with every frame of the replay.
        Raises LogDamaged, RulesUnknown, and what a bug raises in the replay; `log` is closed then.
        """
        try:
            with gc_policy.frozen_afterwards():
                runner, recovery = recover(log, snapshots, on_replayed)
        except BaseException:
            log.close()
            raise
        clock = clock if clock is not None else Clock()
        commands = Sequencer(log, runner, clock, tick_after_s=tick_after_s)
        return cls(log, snapshots, runner, commands, clock, recovery)

    @property
    def position(self) -> int:
        return self.runner.position

    @property
    def failed(self) -> asyncio.Future[Exception]:
        """Ends when log or state machine failed: the process must `stop` and exit in error."""
        return self.commands.failed

    async def snapshot(self) -> int:
        """Write a snapshot and return its position. Blocks the loop while the state is copied, so
        it is for a stop; the replica writes the regular ones. Raises OSError.
        """
        snapshot = self.runner.snapshot()
        await asyncio.to_thread(self._snapshots.write, snapshot)
        return snapshot.position

    async def stop(self, approves_snapshot: Callable[[], Awaitable[bool]] | None = None) -> None:
        """Answer what was taken, write a snapshot, close the log. After a failure it only closes.

        approves_snapshot: asked when the state changes no more: may it be written as a snapshot?
        Idempotent. Raises OSError if the snapshot could not be written: the log still has it all.
        """
        if self._stopping is None:
            self._stopping = asyncio.ensure_future(self._stop(approves_snapshot))
        await asyncio.shield(self._stopping)

    async def _stop(self, approves_snapshot: Callable[[], Awaitable[bool]] | None) -> None:
        try:
            await self.commands.stop()
            if self.failed.done():
                return
            if approves_snapshot is None or await approves_snapshot():
                await self.snapshot()
        finally:
            self.queries.end("shut down")
            self._log.close()
