"""Limits of open connections: in all, and per client address."""

from collections import Counter
from enum import Enum, auto


class ExceededLimit(Enum):
    """Why a new connection is refused."""

    SERVER = auto()
    ADDRESS = auto()


class ConnectionLimits:
    """Counts the open connections of one server."""

    def __init__(self, *, connections_max: int, per_address_max: int) -> None:
        self._connections_max = connections_max
        self._per_address_max = per_address_max
        self.open = 0
        self.open_of: Counter[str] = Counter()  # open connections by address key; no entry is 0

    def admit(self, address: str) -> ExceededLimit | None:
        """Count a new connection, unless it would exceed a limit, which is then returned.

        address: as `addresses.address_key` returns it. Call `release` when an admitted connection
        has ended.
        """
        if self.open >= self._connections_max:
            return ExceededLimit.SERVER
        if self.open_of[address] >= self._per_address_max:
            return ExceededLimit.ADDRESS
        self.open += 1
        self.open_of[address] += 1
        return None

    def release(self, address: str) -> None:
        self.open -= 1
        self.open_of[address] -= 1
        if not self.open_of[address]:
            del self.open_of[address]
