"""Virtual time: what happens next, decided by one seed.

Invariant: the same seed gives the same events in the same order; nothing reads a clock, and no
order depends on hashes.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

US: Final = 1_000
MS: Final = 1_000_000
S: Final = 1_000_000_000
START_NS: Final = 1_800_000_000 * S


class Simulation:
    """The scheduler, the chance, and a record of what happened."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now_ns = START_NS
        self.chance = random.Random(seed)
        self.steps = 0
        self.counts: dict[str, int] = {}
        """How often each kind of thing happened, for the summary."""
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._serial = 0
        self._digest = blake2b(digest_size=16)

    def after(self, delay_ns: int, action: Callable[[], None]) -> None:
        self._serial += 1
        heapq.heappush(self._queue, (self.now_ns + delay_ns, self._serial, action))

    def run(self, until_ns: int) -> None:
        """Everything up to that time."""
        queue = self._queue
        while queue and queue[0][0] <= until_ns:
            self.now_ns, _, action = heapq.heappop(queue)
            self.steps += 1
            action()
        self.now_ns = until_ns

    def count(self, name: str) -> None:
        """Something that is worth counting; it also makes two runs of a seed comparable."""
        self.counts[name] = self.counts.get(name, 0) + 1
        self._digest.update(f"{name} {self.now_ns} {self.steps}\n".encode())

    @property
    def digest(self) -> str:
        """Of everything that was counted, and when."""
        return self._digest.hexdigest()


class Machine:
    """What runs on one machine, and is lost when its process ends."""

    def __init__(self, simulation: Simulation, name: str) -> None:
        self.simulation = simulation
        self.name = name
        self.is_up = True
        self.life = 0
        """Number of the present process; actions of earlier ones are dropped."""

    def after(self, delay_ns: int, action: Callable[[], None]) -> None:
        """Unless the process ends before."""
        life = self.life

        def if_alive() -> None:
            if self.is_up and self.life == life:
                action()

        self.simulation.after(delay_ns, if_alive)

    def end(self) -> None:
        """kill -9, or the machine loses power."""
        self.is_up = False
        self.life += 1

    def start(self) -> None:
        self.is_up = True


class Network:
    """Messages between machines: delayed, reordered, lost, repeated, cut off."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.loss = 0.0
        self.repeats = 0.0
        self.delay_max_ns = 3 * MS
        self.cut: set[frozenset[str]] = set()
        """Pairs of names that do not reach each other."""

    def send(self, sender: Machine, receiver: Machine, action: Callable[[], None]) -> None:
        """Have `action` done at the receiver, some time later, perhaps."""
        chance = self._simulation.chance
        for _ in range(2 if chance.random() < self.repeats else 1):
            if chance.random() < self.loss:
                self._simulation.count("message lost")
                continue
            delay_ns = chance.randrange(100 * US, self.delay_max_ns)
            life = receiver.life

            def arrive(life: int = life) -> None:
                pair = frozenset((sender.name, receiver.name))
                if receiver.is_up and receiver.life == life and pair not in self.cut:
                    action()

            self._simulation.after(delay_ns, arrive)
