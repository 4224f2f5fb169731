"""File descriptors: a process without one cannot open the next segment of its log.

Design: the soft limit is raised at the start. Of what it allows a reserve is kept for log,
snapshots, databases, children and the control socket; the rest is the budget of connections, of all
ports together. When it is used up, the connection that has been silent for longest since it was
accepted gives way; if all have sent something, new ones are refused.

Invariant: connections beyond the budget live for one turn of the loop, or are among the few that
are sent a refusal; the backlog of a small budget bounds how many one turn accepts.
"""

import logging
import resource
from collections.abc import Hashable
from typing import Final, Protocol

RESERVE: Final = 256
WANTED: Final = 65_536
CONNECTIONS_MIN: Final = 64
_LARGE: Final = 8 * 1024  # with such a budget a whole backlog is no danger
_BACKLOG: Final = 2048
_SMALL_BACKLOG: Final = 64

logger = logging.getLogger(__name__)


class Guest(Hashable, Protocol):
    """A connection that uses the budget."""

    def give_way(self) -> None:
        """Close at once."""


class ConnectionBudget:
    """Counts the connections of all ports."""

    def __init__(self, connections_max: int) -> None:
        self.connections_max = connections_max
        self.open = 0
        self._silent: dict[Guest, None] = {}  # nothing was received from them; oldest first
        self._is_reported = False

    @property
    def backlog(self) -> int:
        """Of a listening socket."""
        return _BACKLOG if self.connections_max >= _LARGE else _SMALL_BACKLOG

    def enter(self, guest: Guest) -> bool:
        """Count a connection, if need be in the place of a silent one. False: there is none."""
        if self.open >= self.connections_max:
            if not self._is_reported:
                self._is_reported = True
                logger.warning(
                    "all %d connections are in use, more are refused; raise `ulimit -n`",
                    self.connections_max,
                )
            if not self._silent:
                return False
            silent = next(iter(self._silent))
            del self._silent[silent]
            silent.give_way()
        self.open += 1
        self._silent[guest] = None
        return True

    def has_spoken(self, guest: Guest) -> None:
        """Something was received from it."""
        self._silent.pop(guest, None)

    def leave(self, guest: Guest) -> None:
        self.open -= 1
        self._silent.pop(guest, None)


def connection_budget() -> ConnectionBudget:
    """Raise the soft limit of this process. Raises OSError if too little is allowed."""
    limit = _raised_limit()
    if limit - RESERVE < CONNECTIONS_MIN:
        raise OSError(
            f"{limit} file descriptors are too few, {RESERVE + CONNECTIONS_MIN} are required:"
            " raise `ulimit -n`"
        )
    return ConnectionBudget(limit - RESERVE)


def _raised_limit() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return WANTED
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    while soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            break
        except (OSError, ValueError):
            wanted //= 2  # Some systems have a lower limit of their own.
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
