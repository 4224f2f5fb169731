"""Entries of the log in, events out: the same for an answering engine, recovery, every replica.

How it works: an entry is checked against the position and the chain reached so far, applied, and
shown to the subscribers. A running hash over the events of all frames is there for whoever compares
replicas: two that agree at one position made the same events at every position before it.

Always true:
- entries are applied once each and in order: an older one is passed over, a gap or another chain
  stops the runner;
- whatever goes wrong on the way leaves the runner broken for good: it never goes on from half a
  change.

Not here: where entries come from (sequencer.py, recovery.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b

from fairbook.core.exchange import Exchange
from fairbook.log.command_log import CHAIN_BYTES, GENESIS_CHAIN, Entry, LogDamaged, chain_after

Subscriber = Callable[[int, int, bytes, bytes], None]
"""Called with (position, time_ns, frame, events) of each frame, in order, once it is applied.

It runs where the engine runs: it must be quick, and an exception in it is a bug that stops the
engine.
"""

EVENT_HASH_BYTES = 32


class RunnerBroken(Exception):
    """An earlier frame could not be applied whole; the state is not to be used."""


class Runner:
    """One exchange and the place in the log that it has reached."""

    def __init__(
        self,
        exchange: Exchange,
        *,
        position: int = 0,
        chain: bytes = GENESIS_CHAIN,
        event_hash: bytes = bytes(EVENT_HASH_BYTES),
        subscribers: Iterable[Subscriber] = (),
    ) -> None:
        """position, chain, event_hash: of the last entry in `exchange`; by default of no entry.

        event_hash: blake2b(event_hash of the entry before || its events); zeros at position 0.
        """
        assert len(chain) == CHAIN_BYTES
        assert len(event_hash) == EVENT_HASH_BYTES
        self.exchange = exchange
        self.position = position
        self.chain = chain
        self.broken = False
        self.event_hash = event_hash
        self._subscribers = list(subscribers)

    def apply(self, entry: Entry) -> bytes | None:
        """Apply the next entry and return its events; None if it was applied before.

        Raises LogDamaged if it is not the next one, Broken after any earlier failure, and what a
        bug raises.
        """
        if self.broken:
            raise RunnerBroken(f"stopped in the frame after position {self.position}")
        position, time_ns, chain, frame = entry
        if position <= self.position:
            return None
        self.broken = True  # Until all of it is done.
        self._check(entry)
        events = self.exchange.apply(frame, time_ns)
        self.position = position
        self.chain = chain
        event_hash = blake2b(self.event_hash, digest_size=EVENT_HASH_BYTES)
        event_hash.update(events)
        self.event_hash = event_hash.digest()
        for subscriber in self._subscribers:
            subscriber(position, time_ns, frame, events)
        self.broken = False
        return events

    def subscribe(self, subscriber: Subscriber) -> None:
        """Show it every frame from here on."""
        self._subscribers.append(subscriber)

    def replace(self, subscriber: Subscriber, by: Subscriber) -> None:
        """Show `by` every frame from here on, in the place of a subscriber."""
        self._subscribers[self._subscribers.index(subscriber)] = by

    def _check(self, entry: Entry) -> None:
        position, time_ns, chain, frame = entry
        if position != self.position + 1:
            raise LogDamaged(f"expected position {self.position + 1}, got {position}")
        if chain_after(self.chain, position, time_ns, frame) != chain:
            raise LogDamaged(f"position {position} does not continue the chain of the one before")
        if time_ns < self.exchange.time_ns:
            raise LogDamaged(
                f"position {position} is of {time_ns} ns, before {self.exchange.time_ns} ns"
            )
