"""Submitting commands: the port to the engine's log."""

import asyncio
from typing import NamedTuple, Protocol


class Answer(NamedTuple):
    """The result of one command, durable and applied."""

    position: int
    time_ns: int
    events: bytes  # the events of this command alone; the last one is its OUTCOME


class Busy(Exception):
    """Too many commands are queued. The command was not logged and never will be."""


class Stopped(Exception):
    """The exchange takes no more commands: it is shutting down, or its log failed."""


class Waiter(Protocol):
    """Receives the answer to one command, at most once. `asyncio.Future[Answer]` is a Waiter."""

    def done(self) -> bool:
        """Whether it was answered or cancelled."""

    def set_result(self, answer: Answer, /) -> None:
        """The command is durable and applied. Must not raise."""

    def set_exception(self, error: Exception, /) -> None:
        """The outcome is unknown: the error is Stopped. Must not raise."""


class Commands(Protocol):
    """Submits commands to the log."""

    def enqueue(self, command: bytes, waiter: Waiter) -> None:
        """Queue one command, in the order of calls. After this call has returned, `waiter` gets
        the answer once the command is durable and applied; waiters are called in the same order.

        Cancels (CANCEL, CANCEL_ALL, END_SESSION) may use a reserved part of the queue. Raises Busy
        or Stopped at once: nothing was logged.
        """

    def submit(self, command: bytes) -> asyncio.Future[Answer]:
        """`enqueue` with a future as the waiter. Cancelling it does not cancel the command."""

    def settled(self) -> asyncio.Future[int]:
        """A position at which everything submitted before this call is applied."""
