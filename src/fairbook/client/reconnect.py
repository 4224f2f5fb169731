"""A connection that comes back: `async for socket in Connections(url): ...`.

How it works: each round gives a fresh, connected socket; when the body ends, or raises Disconnected
or OutcomeUnknown inside `async with socket`, the next round waits and connects again. The wait
doubles from `wait_least_s` to `wait_most_s` and each time a random part of it is waited, so that a
thousand clients of a server that restarts do not come back at once. A connection that lasted
`settled_s` resets it. A server that says when to come back is taken at its word.

Always true: there is at most one connection at a time, and nothing of an earlier one is remembered:
who wants orders, books and subscriptions back asks for them anew.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from typing import Final, Self

from fairbook.client.errors import Disconnected
from fairbook.client.socket import Socket

WAIT_LEAST_S: Final = 0.1
WAIT_MOST_S: Final = 5.0
SETTLED_S: Final = 10.0
HINT_MOST_S: Final = 60.0
_HINT: Final = re.compile(r"reconnect in ([0-9]{1,6}(?:\.[0-9]{1,6})?) s", re.ASCII)

logger = logging.getLogger(__name__)


class Backoff:
    """How long to wait before the next attempt: pure, its chance and its time are given to it."""

    def __init__(
        self,
        chance: random.Random,
        *,
        wait_least_s: float = WAIT_LEAST_S,
        wait_most_s: float = WAIT_MOST_S,
        settled_s: float = SETTLED_S,
    ) -> None:
        self._chance = chance
        self._least_s = wait_least_s
        self._most_s = wait_most_s
        self._settled_s = settled_s
        self._bound_s = wait_least_s

    def wait_s(self, lasted_s: float) -> float:
        """After a connection that lasted so long (0: it was never made): half to all of the bound,
        which doubles each time.
        """
        if lasted_s >= self._settled_s:
            self._bound_s = self._least_s
        bound_s = self._bound_s
        self._bound_s = min(2 * bound_s, self._most_s)
        return bound_s * self._chance.uniform(0.5, 1.0)


def hinted_s(close_reason: str) -> float:
    """When to come back, as the reason of a Close says it ("... reconnect in 2.5 s"); 0: it does
    not.
    """
    found = _HINT.search(close_reason)
    return min(float(found[1]), HINT_MOST_S) if found else 0.0


class Reconnecting:
    """Fresh sockets, one after the other, for ever. To be iterated by one task."""

    def __init__(self, url: str, *, backoff: Backoff | None = None) -> None:
        self._url = url
        self._backoff = backoff or Backoff(random.Random())
        self._socket: Socket | None = None
        self._connected_s = 0.0
        self._attempts = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Socket:
        """Close what there was, wait, connect; again, until it succeeds."""
        while True:
            lasted_s = hint_s = 0.0
            if self._socket is not None:
                await self._socket.close()
                lasted_s = time.monotonic() - self._connected_s
                hint_s = hinted_s(self._socket.close_reason)
                self._socket = None
            if self._attempts:
                await asyncio.sleep(max(hint_s, self._backoff.wait_s(lasted_s)))
            self._attempts += 1
            try:
                self._socket = await Socket.open(self._url)
            except Disconnected as error:
                if self._attempts == 1:
                    logger.info("not reached yet: %s", error)
                continue
            self._connected_s = time.monotonic()
            return self._socket
