"""Submitting commands: the port to the engine's log."""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Protocol


class Answer(NamedTuple):
    """The result of one command, durable and applied."""

    position: int
    time_ns: int
    events: bytes
    """The events of this command alone; the last one is its OUTCOME."""


class Busy(Exception):
    """Too many commands are queued. The command was not logged and never will be."""


class Stopped(Exception):
    """The exchange takes no more commands: it is shutting down, or its log failed."""


class Commands(Protocol):
    """Submits commands to the log."""

    def submit(self, command: bytes) -> asyncio.Future[Answer]:
        """Queue one command, in the order of calls. The future ends when it is durable and applied.

        Cancels (CANCEL, CANCEL_ALL, END_SESSION) may use a reserved part of the queue. Raises Busy
        or Stopped at once: nothing was logged. The future may raise Stopped: the outcome is
        unknown.
        """

    def settled(self) -> asyncio.Future[int]:
        """A position at which everything submitted before this call is applied."""
