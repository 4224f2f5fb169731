"""Submit a command and pass on its outcome; after the deadline the outcome is unknown (504).

Design: a waiter is queued with the command and gets the outcome when the engine has it. All
waiters have the same deadline, so they expire in the order in which they began: one queue and one
timer serve them all.

Invariant: 503 means that nothing was logged. A command that was submitted and has no outcome in
time is 504, outcome unknown.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar

from fairbook.api.errors import ApiError, busy, maintenance, outcome_unknown
from fairbook.api.orders import OrderCommand
from fairbook.core.records import OrderRecord
from fairbook.gateway.account_shares import AccountShare
from fairbook.gateway.long_answers import LongAnswers
from fairbook.gateway.request import JsonOrReply, Reply, Respond
from fairbook.ports.commands import Answer, Busy, Commands, Stopped, Waiter
from fairbook.ports.queries import Queries, StateView

SWEEP_S: Final = 0.05

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class OrderWaiter:
    """Waits for the outcome of one order command, and responds with it or with an error."""

    __slots__ = ("_is_done", "_long_answers", "_order", "_respond", "_share")

    def __init__(
        self,
        order: OrderCommand,
        respond: Respond,
        share: AccountShare,
        long_answers: LongAnswers,
    ) -> None:
        self._long_answers = long_answers
        self._order = order
        self._respond = respond
        self._share = share
        self._is_done = False

    def done(self) -> bool:
        return self._is_done

    def set_result(self, answer: Answer, /) -> None:
        try:
            result = self._order.result(answer.events)
            if type(result) is str:
                self._finish(result.encode(), answer.position)
            else:
                pieces = self._long_answers.pieces(*result)
                self._finish(Reply(b"", pieces=pieces), answer.position)
        except ApiError as error:
            self._finish(error, answer.position)
        except Exception:
            logger.exception("an answer failed")
            self._finish(outcome_unknown())

    def set_exception(self, _error: Exception, /) -> None:
        self._finish(outcome_unknown())

    def cancel(self) -> None:
        """The deadline has passed."""
        self._finish(outcome_unknown())

    def _finish(self, answer: JsonOrReply | ApiError, position: int = 0) -> None:
        self._is_done = True
        self._share.end()
        try:
            self._respond(answer, position)
        except Exception:
            logger.exception("a response failed")


class Submitter:
    """Submits commands to the engine, with a deadline for their outcomes."""

    def __init__(
        self,
        commands: Commands,
        queries: Queries,
        long_answers: LongAnswers,
        *,
        deadline_s: float,
    ) -> None:
        self._long_answers = long_answers
        self._commands = commands
        self._queries = queries
        self._deadline_s = deadline_s
        self._waiting: deque[tuple[float, OrderWaiter | asyncio.Future[Any]]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_sweeping = False

    def execute(self, order: OrderCommand, respond: Respond, share: AccountShare) -> None:
        """`respond` gets the answer after this call. Raises 503: nothing is or will be logged.

        share: of its account.
        """
        waiter = OrderWaiter(order, respond, share, self._long_answers)
        self._enqueue(order.command, waiter)
        share.begin()
        self._watch(waiter)

    def submit(self, command: bytes) -> asyncio.Future[Answer]:
        """Submit a command; await the result with `outcome`. Raises as `execute` does."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._enqueue(command, future)
        self._watch(future)
        return future

    async def outcome(self, future: asyncio.Future[Answer]) -> Answer:
        """The answer to a submitted command, durable and applied. Raises 504 if there is none."""
        return await _result(future, outcome_unknown)

    async def view(self) -> StateView:
        """The engine's state after all that was submitted before this call. Use it before the next
        await. Raises 503 if the engine has stopped, 504 if it does not answer.
        """
        return await self._view_at(await self.position())

    async def view_now(self) -> StateView:
        """The engine's current state, for public data. Raises 503 if the engine has stopped."""
        return await self._view_at(0)

    def text_of(self, order: OrderRecord) -> str | None:
        """As Queries.text_of."""
        return self._queries.text_of(order)

    async def position(self) -> int:
        """A position after all that was submitted before. Raises as `view` does."""
        settled = self._commands.settled()
        if not settled.done():
            self._watch(settled)
        return await _result(settled, maintenance)

    async def _view_at(self, position: int) -> StateView:
        try:
            return await self._queries.at(position)
        except Stopped:
            raise maintenance() from None

    def _enqueue(self, command: bytes, waiter: Waiter) -> None:
        try:
            self._commands.enqueue(command, waiter)
        except Busy:
            raise busy() from None
        except Stopped:
            raise maintenance() from None

    def _watch(self, waiter: OrderWaiter | asyncio.Future[Any]) -> None:
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        self._waiting.append((loop.time() + self._deadline_s, waiter))
        if not self._is_sweeping:
            self._is_sweeping = True
            loop.call_later(SWEEP_S, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        waiting = self._waiting
        while waiting:
            deadline, waiter = waiting[0]
            if not waiter.done():
                if deadline > now:
                    break
                waiter.cancel()
            waiting.popleft()
        if waiting:
            loop.call_later(SWEEP_S, self._sweep, loop)
        else:
            self._is_sweeping = False


async def _result(future: asyncio.Future[Result], stopped_error: Callable[[], ApiError]) -> Result:
    """The result. Raises `stopped_error` if the engine has stopped, 504 after the deadline."""
    try:
        return await future
    except Stopped:
        raise stopped_error() from None
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise  # The task was cancelled, not the future.
        raise outcome_unknown() from None
