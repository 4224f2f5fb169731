"""Reconnect with backoff: `async for socket in Reconnecting(url): ...`.

Design: each round yields a new connection; when the body has ended, the next round waits and
connects again. The wait doubles from WAIT_LEAST_S to WAIT_MOST_S, with a random part, so that
the clients of a server that restarts do not all reconnect at once. A connection that lasted
SETTLED_S resets it. A time in the reason of the server's Close is obeyed.

There is at most one connection at a time. Subscriptions, books and logins are not restored.
"""

import asyncio
import logging
import random
import re
from typing import Final, Self

from fairbook.client.errors import Disconnected
from fairbook.client.websocket import WebSocketClient

WAIT_LEAST_S: Final = 0.1
WAIT_MOST_S: Final = 5.0
SETTLED_S: Final = 10.0
HINT_MOST_S: Final = 60.0
_HINT: Final = re.compile(r"reconnect in ([0-9]{1,6}(?:\.[0-9]{1,6})?) s", re.ASCII)

logger = logging.getLogger(__name__)


class Backoff:
    """The wait before the next attempt to connect."""

    def __init__(
        self,
        rng: random.Random,
        *,
        wait_least_s: float = WAIT_LEAST_S,
        wait_most_s: float = WAIT_MOST_S,
    ) -> None:
        self._rng = rng
        self._least_s = wait_least_s
        self._most_s = wait_most_s
        self._bound_s = wait_least_s

    def wait_s(self, lasted_s: float) -> float:
        """Half to all of a bound that doubles each time. lasted_s: of the last connection, or 0."""
        if lasted_s >= SETTLED_S:
            self._bound_s = self._least_s
        bound_s = self._bound_s
        self._bound_s = min(2 * bound_s, self._most_s)
        return bound_s * self._rng.uniform(0.5, 1.0)


def hinted_s(close_reason: str) -> float:
    """The time in the reason of a Close ("... reconnect in 2.5 s"), at most HINT_MOST_S; else 0."""
    found = _HINT.search(close_reason)
    return min(float(found[1]), HINT_MOST_S) if found else 0.0


class Reconnecting:
    """An endless iterator of new connections, for one task."""

    def __init__(self, url: str, *, backoff: Backoff | None = None) -> None:
        self._url = url
        self._backoff = backoff or Backoff(random.Random())
        self._socket: WebSocketClient | None = None
        self._connected_s = 0.0
        self._attempts = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WebSocketClient:
        """Close the last connection, wait, and try to connect until it succeeds."""
        while True:
            lasted_s = hint_s = 0.0
            if self._socket is not None:
                await self._socket.close()
                lasted_s = asyncio.get_running_loop().time() - self._connected_s
                hint_s = hinted_s(self._socket.close_reason)
                self._socket = None
            if self._attempts:
                await asyncio.sleep(max(hint_s, self._backoff.wait_s(lasted_s)))
            self._attempts += 1
            try:
                self._socket = await WebSocketClient.open(self._url)
            except Disconnected as error:
                if self._attempts == 1:
                    logger.info("cannot connect yet: %s", error)
                continue
            self._connected_s = asyncio.get_running_loop().time()
            return self._socket
