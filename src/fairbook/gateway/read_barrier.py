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
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

from fairbook.api.errors import ApiError, not_implemented
from fairbook.gateway.rate_limits import too_many
from fairbook.gateway.request import Endpoints, Handler, Reply, Request, refusing
from fairbook.gateway.submitter import Submitter
from fairbook.net.addresses import address_key
from fairbook.ports.history import History, HistoryBehind
from fairbook.ports.queries import StateView

MOMENT_S: Final = 0.25
SHARE_MAX: Final = 32  # questions of one caller under way: half of what may wait (history)
_ROWS_AT_ONCE: Final = 25  # are written as JSON before others have their turn: about 0.2 ms

Row = TypeVar("Row")


class Shares:
    """How many questions each caller has under way: history answers a few at a time, and nobody may
    have all of its waiting room.
    """

    def __init__(self, each_max: int = SHARE_MAX) -> None:
        self._each_max = each_max
        self._taken: Counter[int | str] = Counter()

    @contextmanager
    def place(self, call: Request) -> Iterator[None]:
        """One place of the account that asks, or of the address. Raises TOO_MANY_REQUESTS."""
        caller = call.account or address_key(call.address)
        if self._taken[caller] >= self._each_max:
            raise too_many(1)
        self._taken[caller] += 1
        try:
            yield
        finally:
            self._taken[caller] -= 1
            if not self._taken[caller]:
                del self._taken[caller]


class ReadBarrier:
    """The history, and the way to know that it is far enough."""

    def __init__(self, answers: Submitter, history: History) -> None:
        self._answers = answers
        self.history = history
        self.shares = Shares()
        self._writing = asyncio.Lock()

    async def view(self) -> StateView:
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


def recorded(past: ReadBarrier, endpoints: Endpoints) -> Endpoints:
    """Endpoints that tell a client when the history is behind, and share it out."""
    return {
        key: endpoint._replace(handler=_telling(endpoint.handler, past.shares))
        for key, endpoint in endpoints.items()
    }


def unrecorded(endpoints: Endpoints) -> Endpoints:
    """The same endpoints where nothing is recorded: 501, after the usual checks."""
    return {
        key: endpoint._replace(handler=refusing(lambda: not_implemented("history")))
        for key, endpoint in endpoints.items()
    }


def _telling(handler: Handler, shares: Shares) -> Handler:
    async def told(call: Request) -> bytes | Reply:
        try:
            with shares.place(call):
                return await handler(call)
        except HistoryBehind:
            raise ApiError(504, "TIMEOUT", "History is behind") from None

    return told
