"""Read barrier: read history only after it contains what was submitted before.

History follows the log with a small delay. Private requests wait until everything submitted before
them is recorded, or are answered 504. Public ones wait MOMENT_S at most, and are then answered from
what is recorded, so they work without a recorder.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from fairbook.api.errors import ApiError, not_implemented
from fairbook.gateway.long_answers import LongAnswers
from fairbook.gateway.rate_limits import too_many
from fairbook.gateway.request import Request
from fairbook.gateway.submitter import Submitter
from fairbook.net.addresses import address_key
from fairbook.ports.history import History, HistoryBehind

MOMENT_S: Final = 0.25
QUERIES_MAX: Final = 32  # under way for one caller: half of the history's queue

AsyncHandler = Callable[[Request], Awaitable[bytes]]


class QueryShares:
    """Limits the history queries that one caller has under way, so that none fills the queue."""

    def __init__(self, each_max: int = QUERIES_MAX) -> None:
        self._each_max = each_max
        self._under_way: Counter[int | str] = Counter()

    @contextmanager
    def slot(self, request: Request) -> Iterator[None]:
        """One slot of the account, or of the address. Raises TOO_MANY_REQUESTS."""
        caller = request.account or address_key(request.address)
        if self._under_way[caller] >= self._each_max:
            raise too_many(1)
        self._under_way[caller] += 1
        try:
            yield
        finally:
            self._under_way[caller] -= 1
            if not self._under_way[caller]:
                del self._under_way[caller]


class ReadBarrier:
    """Access to the history, for handlers under `guard`."""

    def __init__(
        self, submitter: Submitter, history: History | None, long_answers: LongAnswers
    ) -> None:
        self.long_answers = long_answers
        self._submitter = submitter
        self._history = history
        self._shares = QueryShares()

    def guard(self, handler: AsyncHandler) -> AsyncHandler:
        """The handler; 501 without a history, 504 if it is behind, 429 for too many queries."""

        async def guarded(request: Request) -> bytes:
            if self._history is None:
                raise not_implemented("history")
            try:
                with self._shares.slot(request):
                    return await handler(request)
            except HistoryBehind:
                raise ApiError(504, "TIMEOUT", "History is behind") from None

        return guarded

    async def settled(self) -> History:
        """With everything submitted before. Raises HistoryBehind, and as `Submitter.position`."""
        assert self._history is not None
        await self._history.reached(await self._submitter.position())
        return self._history

    async def recent(self) -> History:
        """The history with everything up to now, if that is recorded within MOMENT_S."""
        assert self._history is not None
        try:
            async with asyncio.timeout(MOMENT_S):
                return await self.settled()
        except (TimeoutError, HistoryBehind):
            return self._history
