"""What became of a command: its outcome, or the truth that we do not know.

How it works: every waiting request hangs on the future that `Commands.submit` gave. All have the
same patience, so they expire in the order in which they began: one queue and one timer serve them
all, and a request costs no timer of its own.

Always true: 503 means that nothing was logged; whatever was submitted and is not answered in time
is 504, outcome unknown.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

from fairbook.api.errors import busy, maintenance, outcome_unknown
from fairbook.ports.commands import Answer, Busy, Commands, Stopped
from fairbook.ports.queries import Queries, StateView

SWEEP_S: Final = 0.05


class Submitter:
    """The way from a request to the engine and back, with a deadline."""

    def __init__(self, commands: Commands, queries: Queries, *, deadline_s: float) -> None:
        self._commands = commands
        self._queries = queries
        self._deadline_s = deadline_s
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweeping = False

    def submit(self, command: bytes) -> asyncio.Future[Answer]:
        """Hand in one command; await the result with `outcome`. Raises 503 if nothing was or will
        be logged.
        """
        try:
            future = self._commands.submit(command)
        except Busy:
            raise busy() from None
        except Stopped:
            raise maintenance() from None
        self._watch(future)
        return future

    async def outcome(self, future: asyncio.Future[Answer]) -> Answer:
        """The answer to what was submitted, durable and applied. Raises 504 if it does not come."""
        try:
            return await future
        except Stopped:
            raise outcome_unknown() from None
        except asyncio.CancelledError:
            if _is_ours():
                raise outcome_unknown() from None
            raise

    async def view(self) -> StateView:
        """The engine's state after everything that was submitted before this call. Use it before
        the next await.

        Raises 503 if the engine has stopped, 504 if it does not answer.
        """
        try:
            return await self._queries.at(await self.position())
        except Stopped:
            raise maintenance() from None

    async def position(self) -> int:
        """A position at which everything is applied that was submitted before this call. Raises as
        `view` does.
        """
        try:
            settled = self._commands.settled()
            if not settled.done():
                self._watch(settled)
            return await settled
        except Stopped:
            raise maintenance() from None
        except asyncio.CancelledError:
            if _is_ours():
                raise outcome_unknown() from None
            raise

    async def view_now(self) -> StateView:
        """The engine's state as it is: for what is public."""
        try:
            return await self._queries.at(0)
        except Stopped:
            raise maintenance() from None

    def _watch(self, future: asyncio.Future[Any]) -> None:
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        self._waiting.append((loop.time() + self._deadline_s, future))
        if not self._sweeping:
            self._sweeping = True
            loop.call_later(SWEEP_S, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give up what has waited too long. A cancelled future is how its request hears of it."""
        now = loop.time()
        waiting = self._waiting
        while waiting:
            deadline, future = waiting[0]
            if not future.done():
                if deadline > now:
                    break
                future.cancel()
            waiting.popleft()
        if waiting:
            loop.call_later(SWEEP_S, self._sweep, loop)
        else:
            self._sweeping = False


def answer_in(future: asyncio.Future[Answer]) -> Answer:
    """What `outcome` returns or raises, of a future that is done."""
    try:
        return future.result()
    except (Stopped, asyncio.CancelledError):
        raise outcome_unknown() from None


def _is_ours() -> bool:
    """Whether a CancelledError came from our sweep, not from someone who wants the task to end."""
    task = asyncio.current_task()
    return task is None or task.cancelling() == 0
