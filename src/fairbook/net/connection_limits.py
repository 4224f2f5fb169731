"""Limits of open connections: in all, and per client address."""

from collections import Counter
from typing import Final

from fairbook.net.descriptors import ConnectionBudget, Guest

SERVER_FULL: Final = "Too many connections"
ADDRESS_FULL: Final = "Too many connections from this address"


class ConnectionLimits:
    """Counts the open connections of one server, within a budget of several."""

    def __init__(
        self, *, connections_max: int, per_address_max: int, budget: ConnectionBudget | None = None
    ) -> None:
        self.budget = budget or ConnectionBudget(connections_max)
        self._connections_max = connections_max
        self._per_address_max = per_address_max
        self.open = 0
        self.open_of: Counter[str] = Counter()  # open connections by address key; no entry is 0

    def admit(self, address: str, guest: Guest) -> str | None:
        """Count a new connection of this address key, or return the limit that it would exceed.

        address: "" for a connection of a proxy, which has no limit of its own.
        """
        if self.open >= self._connections_max:
            return SERVER_FULL
        if address and self.open_of[address] >= self._per_address_max:
            return ADDRESS_FULL
        if not self.budget.enter(guest):
            return SERVER_FULL
        self.open += 1
        self.open_of[address] += 1
        return None

    def name(self, address: str) -> str | None:
        """The client behind a proxy's connection is known: count it as that of this address key, or
        return the limit that it would exceed.
        """
        if self.open_of[address] >= self._per_address_max:
            return ADDRESS_FULL
        self.open_of[""] -= 1
        self.open_of[address] += 1
        return None

    def release(self, address: str, guest: Guest) -> None:
        self.budget.leave(guest)
        self.open -= 1
        self.open_of[address] -= 1
        if not self.open_of[address]:
            del self.open_of[address]
