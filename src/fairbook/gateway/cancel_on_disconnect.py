"""Whose end cancels which orders: numbers of connections, and the logged command that ends one.

How it works: an order that is to go with its connection carries the connection's number. When the
connection ends, one END_SESSION goes the way of every command, after all of that connection; if
there is no room, it is tried again. What a process leaves behind is ended by the next one, before
it listens.

Always true:
- a number is 1 to 2^32 - 2, and no other connection of this process has it until its END_SESSION is
  handed in; what an earlier process gave away has been ended;
- END_SESSION is logged once for each account that placed orders with a number.

Not here: which orders carry a number (entry.py), what END_SESSION does (core).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection
from typing import Final

from fairbook.core import records
from fairbook.ports.commands import Busy, Commands, Stopped
from fairbook.ports.queries import Queries

SESSION_MAX: Final = 2**32 - 2  # One more marks orders that were generated.
RETRY_S: Final = 0.05
ENDED_AT_ONCE: Final = 256  # fewer than the places that are kept for cancels


class SessionNumbers:
    """The numbers of this process."""

    def __init__(self, commands: Commands, *, first: int = 1) -> None:
        """`first`: the number to begin with."""
        self._commands = commands
        self._next = first
        self._in_use: set[int] = set()
        self._ending: deque[tuple[int, int]] = deque()  # (account, session)
        self._is_waiting = False  # for room

    def begin(self) -> int:
        """A number for a connection. Give it back with `end`."""
        while self._next in self._in_use:
            self._step()
        session = self._next
        self._in_use.add(session)
        self._step()
        return session

    def end(self, session: int, accounts: Collection[int]) -> None:
        """The connection is gone: cancel what these accounts left open, behind everything that was
        submitted before.
        """
        if not accounts:
            self._in_use.remove(session)
            return
        self._ending.extend((account, session) for account in accounts)
        if not self._is_waiting:
            self._submit()

    def _submit(self) -> None:
        self._is_waiting = False
        ending = self._ending
        while ending:
            account, session = ending[0]
            try:
                self._commands.submit(records.end_session(account=account, session=session))
            except Busy:
                self._is_waiting = True
                asyncio.get_running_loop().call_later(RETRY_S, self._submit)
                return
            except Stopped:
                ending.clear()  # The next process does it.
                return
            ending.popleft()
            if not ending or ending[0][1] != session:
                self._in_use.remove(session)

    def _step(self) -> None:
        self._next = self._next + 1 if self._next < SESSION_MAX else 1


async def end_old_sessions(commands: Commands, queries: Queries) -> int:
    """End every session that has open orders, whoever began it; return how many there were.

    For a process that starts: nobody is connected yet, so all of them are of earlier processes.
    Raises Busy or Stopped.
    """
    view = await queries.at(await commands.settled())
    sessions = list(view.sessions())
    for first in range(0, len(sessions), ENDED_AT_ONCE):
        some = sessions[first : first + ENDED_AT_ONCE]
        ends = [records.end_session(account=account, session=number) for account, number in some]
        for future in [commands.submit(command) for command in ends]:
            await future
    return len(sessions)
