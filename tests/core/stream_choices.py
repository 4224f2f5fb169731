"""Choices of a stream: numbers from a seed or from hypothesis, and the values that collide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

SECOND = 10**9
START_NS = 1_700_000_000 * SECOND
FIRST, LAST = 2, 6  # the accounts that are opened at the start
POOR = 6  # has just enough for an order, or just not
EXTREMES = (0, 1, 2**40, 2**40 + 1, 2**62, 2**62 + 1, 2**63 - 1, -1, -(2**63))
WIDE = 3  # the market whose lots and ticks are large: its orders reach the bounds
WIDE_LOT, WIDE_TICK = 2**22, 2**20  # atoms


class SplitMix64:
    """Numbers from a seed, equal in every version of Python."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def pick(self, count: int) -> int:
        """0..count-1."""
        mask = 2**64 - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        mixed = self.state
        mixed = ((mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9) & mask
        mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & mask
        return (mixed ^ mixed >> 31) % count


class Choices:
    """What a stream decides by chance. 0 is always the simplest choice."""

    def __init__(self, pick: Callable[[int], int]) -> None:
        self.pick = pick
        self.time_ns = START_NS
        self.counted = 100
        self.repairs: list[bytes] = []  # what undoes a freeze, a closed market and the like
        self.slots: dict[tuple[int, int], dict[int, bytes]] = {}  # owner -> slot -> hash

    def one_of(self, choices: Sequence[T]) -> T:
        """The first is the simplest."""
        return choices[self.pick(len(choices))]

    def rarely(self, one_in: int) -> bool:
        """Once in so many times."""
        return self.pick(one_in) == one_in - 1

    def next_number(self) -> int:
        """One that was not used before."""
        self.counted += 1
        return self.counted

    def account(self) -> int:
        """Mostly one that exists."""
        if self.rarely(50):
            return self.one_of((0, 1, 7, 99, 2**32 - 1))
        return FIRST + self.pick(LAST - FIRST + 1)

    def market(self) -> int:
        """Mostly one that exists."""
        return self.one_of((1, 1, 1, 2, 2, WIDE)) if self.pick(60) < 59 else self.pick(6)

    def credential_of(self, owner_kind: int, owner: int) -> int:
        """A slot: mostly 0, else one that was used, which may have ended."""
        if self.pick(6) < 5:
            return 0
        used = list(self.slots.get((owner_kind, owner), {}))
        return self.one_of(used) if used and self.pick(12) else self.one_of((1, 2, 65_535))

    def repair(self, command: bytes) -> None:
        """A command that is sent some time later."""
        if command not in self.repairs:
            self.repairs.append(command)
