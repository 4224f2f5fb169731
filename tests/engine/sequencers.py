"""A sequencer over a log in memory, and a disk that a test holds up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable

from fairbook.core.exchange import Exchange
from fairbook.engine.clock import Clock
from fairbook.engine.runner import Runner
from fairbook.engine.sequencer import Sequencer
from fairbook.log.command_log import Entry
from fairbook.log.memory_log import MemoryLog

NEVER_S = 3600.0
ENOUGH_S = 30.0  # A test that hangs fails.


class Gate:
    """A disk whose appends wait until the gate is opened."""

    def __init__(self, *, is_open: bool = True) -> None:
        self._open = threading.Event()
        self.arrived = threading.Semaphore(0)
        if is_open:
            self._open.set()

    def pass_through(self, _entry: Entry) -> None:
        self.arrived.release()
        assert self._open.wait(ENOUGH_S)

    def open(self) -> None:
        self._open.set()

    async def until_held(self) -> None:
        """An append is under way."""
        assert await asyncio.to_thread(self.arrived.acquire, timeout=ENOUGH_S)


def sequencer(log: MemoryLog, runner: Runner | None = None, **limits: int) -> Sequencer:
    return Sequencer(
        log,
        runner if runner is not None else Runner(Exchange()),
        Clock(),
        tick_after_s=NEVER_S,
        **limits,
    )


def run(story: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(ENOUGH_S):
            await story

    asyncio.run(bounded())
