"""One exchange and the place in the log that it has reached: entries in, events out.

Design: an entry is checked against the position and the chain reached so far, applied, and shown to
the subscribers. The log has verified that its chain follows from its frame, so no frame is hashed
again here. A running hash over the events of all frames serves to compare replicas: two that agree
at one position made the same events at every position before it.

Invariants:
- entries are applied once each and in order: an older one is passed over, a gap or another chain
  stops the runner;
- an entry that fails leaves the runner broken for good: it never goes on from half a change, and
  no subscriber sees anything of that entry.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from fairbook.core import state
from fairbook.core.admin_commands import RulesUnknown
from fairbook.core.exchange import Exchange
from fairbook.engine.snapshots import Snapshot
from fairbook.log.command_log import CHAIN_BYTES, GENESIS_CHAIN, Entry, LogDamaged

Subscriber = Callable[[int, int, bytes, bytes], None]
"""Called with (position, time_ns, frame, events) of each frame, in order, once it is applied.

It runs on the engine's thread: it must be quick, and an exception in it is a bug that stops the
engine.
"""

EVENT_HASH_BYTES: Final = 32


class RunnerBroken(Exception):
    """An earlier frame could not be applied whole; the state is not to be used."""


class Runner:
    """An exchange at a position of the log."""

    def __init__(
        self,
        exchange: Exchange,
        *,
        position: int = 0,
        chain: bytes = GENESIS_CHAIN,
        event_hash: bytes = bytes(EVENT_HASH_BYTES),
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
        self._subscribers: list[Subscriber] = []

    @classmethod
    def restore(cls, snapshot: Snapshot, *, is_checked: bool = True) -> Runner:
        """At the position of a snapshot. Arguments and errors as Snapshot.restore."""
        return cls(
            snapshot.restore(is_checked=is_checked),
            position=snapshot.position,
            chain=snapshot.chain,
            event_hash=snapshot.event_hash,
        )

    def snapshot(self) -> Snapshot:
        """A copy of the state: takes about a second for a million orders."""
        assert not self.broken
        return Snapshot(
            position=self.position,
            time_ns=self.exchange.time_ns,
            chain=self.chain,
            event_hash=self.event_hash,
            body=state.dump(self.exchange),
        )

    def apply(self, entry: Entry) -> bytes | None:
        """Apply an entry that was appended or read, and return its events; None if it was applied
        before.

        Raises LogDamaged for a gap, RulesUnknown for an entry that only a later release can
        execute, RunnerBroken after a failure, and what a bug raises.
        """
        if self.broken:
            raise RunnerBroken(f"an earlier frame failed, after position {self.position}")
        position, time_ns, chain, frame, before = entry
        if position <= self.position:
            return None
        self.broken = True  # Until all of it is done.
        if position != self.position + 1:
            raise LogDamaged(f"expected position {self.position + 1}, got {position}")
        if before != self.chain:
            raise LogDamaged(f"position {position} does not continue the chain of the one before")
        if time_ns < self.exchange.time_ns:
            raise LogDamaged(
                f"position {position} is of {time_ns} ns, before {self.exchange.time_ns} ns"
            )
        try:
            events = self.exchange.apply(frame, time_ns)
        except RulesUnknown as unknown:
            raise RulesUnknown(
                f"position {position} has {unknown}; everything before it is unharmed, and a later"
                " release goes on from there"
            ) from None
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
