"""Shares of the accounts: how many requests one account may have under way and waiting.

Design: each command and each read takes a place until it is answered, a batch one for each order;
what is answered at once has it until the next turn of the loop. With all places taken an account is
busy: its further requests are held before their bodies are parsed, first in, first out, and their
connections are read no further. When places are free again, few of them go on in each turn of the
loop, so requests of others come between. The queue of commands itself is not reordered, and the
work of one account in it stays short.

Invariants:
- requests of one connection go on in their order;
- a request that is held goes on: a busy account has something under way, and its answer frees it;
- what all held requests of an account take is bounded. One that exceeds the bound is refused in its
  turn, not at once: a client that asks again and again would cost as much as one that is served.
"""

import asyncio
from collections import deque
from typing import Final

PLACES_MAX: Final = 48  # of one account; a batch may exceed it
HELD_BYTES_MAX: Final = 1024 * 1024  # of the requests of one account that wait for that

TURN_BYTES: Final = 6 * 1024  # of requests that go on in one turn of the loop, and one more
REQUEST_BYTES: Final = 1024  # of the objects of a request
RESERVED_FOR_CANCELS: Final = 128 * 1024  # bytes beyond that


class AccountShare:
    """What one account has under way over all its connections."""

    __slots__ = ("_held", "_is_waking", "_taken", "held_bytes", "is_busy")

    def __init__(self) -> None:
        self.is_busy = False  # further requests must be held
        self._taken = 0  # places
        self._held: deque[tuple[asyncio.Future[None], int]] = deque()  # and its bytes
        self.held_bytes = 0
        self._is_waking = False

    def begin(self, places: int = 1) -> None:
        """Take places for a command that was submitted, or for what takes time otherwise."""
        self._taken += places
        if self._taken >= PLACES_MAX:
            self.is_busy = True

    def end(self, places: int = 1) -> None:
        """It is answered, or given up."""
        self._taken -= places
        if self.is_busy and self._taken < PLACES_MAX:
            self.is_busy = bool(self._held)
            self._wake_soon()

    def spend(self) -> None:
        """Take a place until the next turn of the loop, for what was answered at once."""
        self.begin()
        asyncio.get_running_loop().call_soon(self.end)

    def has_room(self, size: int, *, is_cancel: bool = False) -> bool:
        """Whether a request of so many bytes may be held."""
        bytes_max = HELD_BYTES_MAX + (RESERVED_FOR_CANCELS if is_cancel else 0)
        return self.held_bytes + size <= bytes_max

    async def turn(self, size: int) -> None:
        """Hold a request of `size` bytes until it may go on."""
        self.held_bytes += size
        its_turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held.append((its_turn, max(size, REQUEST_BYTES)))
        self.is_busy = True
        self._wake_soon()
        try:
            await its_turn
        finally:
            self.held_bytes -= size

    def _wake_soon(self) -> None:
        if self._held and not self._is_waking and self._taken < PLACES_MAX:
            self._is_waking = True
            asyncio.get_running_loop().call_soon(self._wake)

    def _wake(self) -> None:
        """Let the next requests go on, if there is room."""
        self._is_waking = False
        if self._taken >= PLACES_MAX:
            return  # `end` comes back.
        woken_bytes = 0
        while self._held and woken_bytes < TURN_BYTES:
            its_turn, size = self._held.popleft()
            if not its_turn.done():  # The task that waits is not cancelled.
                its_turn.set_result(None)
                woken_bytes += size
        self.is_busy = bool(self._held)
        self._wake_soon()


class AccountBusy(Exception):
    """The request must wait for its turn."""

    def __init__(self, share: AccountShare) -> None:
        super().__init__()
        self.share = share


class AccountShares(dict[int, AccountShare]):
    """The shares, by account; as many as accounts have asked for something."""

    def __missing__(self, account: int) -> AccountShare:
        share = self[account] = AccountShare()
        return share
