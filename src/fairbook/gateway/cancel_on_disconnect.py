"""Session numbers: which open orders to cancel when a WebSocket connection closes.

Design: an order that is cancelled on disconnect carries the session number of its connection. When
the connection closes, an END_SESSION is submitted after all commands of that connection; if the
queue is full, it is tried again. The exchange keeps the sessions of each instance of a gateway
apart, so the numbers of earlier processes do not matter (engine/local_instance.py).

Invariants:
- a number is 1 to 2^32 - 2. No two connections of a process have the same one; it is free again
  when its END_SESSION is submitted;
- one END_SESSION is logged for each account that placed orders in a session.
"""

import asyncio
from collections import deque
from collections.abc import Collection
from typing import Final

from fairbook.core import records
from fairbook.ports.commands import Busy, Commands, Stopped

SESSION_MAX: Final = 2**32 - 2  # The number above it marks generated orders.
RETRY_S: Final = 0.05


class SessionNumbers:
    """The sessions of this process, numbered from `first`."""

    def __init__(self, commands: Commands, *, first: int = 1) -> None:
        self._commands = commands
        self._next = first
        self._in_use: set[int] = set()
        self._ending: deque[tuple[int, int]] = deque()  # (account, session)
        self._is_retrying = False  # because the queue was full

    def begin(self) -> int:
        """The number of a new session. Call `end` when its connection has closed."""
        while True:
            session, self._next = self._next, self._next % SESSION_MAX + 1
            if session not in self._in_use:
                self._in_use.add(session)
                return session

    def end(self, session: int, accounts: Collection[int]) -> None:
        """Cancel the open orders of these accounts in the session, after earlier commands."""
        if not accounts:
            self._in_use.remove(session)
            return
        self._ending.extend((account, session) for account in accounts)
        if not self._is_retrying:
            self._submit()

    def _submit(self) -> None:
        self._is_retrying = False
        ending = self._ending
        while ending:
            account, session = ending[0]
            try:
                self._commands.submit(records.end_session(account=account, session=session))
            except Busy:
                self._is_retrying = True
                asyncio.get_running_loop().call_later(RETRY_S, self._submit)
                return
            except Stopped:
                ending.clear()  # The next process ends them.
                return
            ending.popleft()
            if not ending or ending[0][1] != session:
                self._in_use.remove(session)
