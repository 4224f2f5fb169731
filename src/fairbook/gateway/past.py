"""Recorded history as endpoints ask it: how long a request waits for the recorder.

How it works: history follows the log a little behind. What belongs to an account waits until
everything is recorded that was submitted before the request; what is public waits a moment, and is
then answered from what is there.

Always true: a private answer has every write before it, or is 504; a recorder that is down does not
keep public ones from being answered.

Not here: the history itself (its port in ports.py), the endpoints (history.py, transfers.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from fairbook.api.errors import ApiError, not_implemented
from fairbook.gateway.answers import Answers
from fairbook.gateway.call import Call, Endpoints, Handler, Reply, refusing
from fairbook.gateway.ports import History, HistoryBehind, View

MOMENT_S: Final = 0.25
_ROWS_AT_ONCE: Final = 25  # are written as JSON before others have their turn: about 0.2 ms

Row = TypeVar("Row")


class Past:
    """The history, and the way to know that it is far enough."""

    def __init__(self, answers: Answers, history: History) -> None:
        self._answers = answers
        self.history = history
        self._writing = asyncio.Lock()

    async def view(self) -> View:
        """The engine's state after everything that was submitted before this call."""
        return await self._answers.view()

    async def settled(self) -> History:
        """The history with everything that was submitted before this call.

        Raises HistoryBehind; 503 if the engine has stopped, 504 if it does not answer.
        """
        await self.history.reached(await self._answers.position())
        return self.history

    async def lately(self) -> History:
        """The history with everything up to now, if it takes no longer than a moment."""
        try:
            async with asyncio.timeout(MOMENT_S):
                return await self.settled()
        except (TimeoutError, HistoryBehind):
            return self.history

    async def array(self, rows: Sequence[Row], text_of: Callable[[Row], str]) -> bytes:
        """A JSON array of rows. If they are many, whoever places an order does not wait for all of
        them, nor for some of every such array: one is made at a time.
        """
        if len(rows) <= _ROWS_AT_ONCE:
            return f"[{','.join(map(text_of, rows))}]".encode()
        texts: list[str] = []
        async with self._writing:
            for at in range(0, len(rows), _ROWS_AT_ONCE):
                texts += map(text_of, rows[at : at + _ROWS_AT_ONCE])
                await asyncio.sleep(0)
        return f"[{','.join(texts)}]".encode()


def recorded(endpoints: Endpoints) -> Endpoints:
    """Endpoints that tell a client when the history is behind."""
    return {
        key: endpoint._replace(handler=_telling(endpoint.handler))
        for key, endpoint in endpoints.items()
    }


def unrecorded(endpoints: Endpoints) -> Endpoints:
    """The same endpoints where nothing is recorded: 501, after the usual checks."""
    return {
        key: endpoint._replace(handler=refusing(lambda: not_implemented("history")))
        for key, endpoint in endpoints.items()
    }


def _telling(handler: Handler) -> Handler:
    async def told(call: Call) -> bytes | Reply:
        try:
            return await handler(call)
        except HistoryBehind:
            raise ApiError(504, "TIMEOUT", "History is behind") from None

    return told
