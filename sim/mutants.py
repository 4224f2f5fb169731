"""Faults that are kept: each breaks one rule of the design, and runs must find it.

A mutant is a class, the name of a method, and another method in its place; and the scenario in
which it must be found, within so many seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from fairbook.cluster.gateway_instance import (
    Action,
    BeginAnew,
    GatewayInstance,
    RefuseUnit,
)
from fairbook.cluster.quorum_reader import QuorumReader
from fairbook.log.command_log import Entry
from sim.gateway import Gateway
from sim.postgres_log import PostgresLog


class Mutant(NamedTuple):
    """What is replaced by what. rule: that it breaks. scenario, seeds: where it is found."""

    rule: str
    owner: type
    attribute: str
    replacement: Any
    scenario: str = "all"
    seeds: int = 10


def _give_up(self: GatewayInstance) -> list[Action]:
    """An append without an answer counts as not done."""
    sent, self._sent = self._sent, None
    tickets = () if sent is None else sent.tickets
    self.is_over = True
    refused: list[Action] = [RefuseUnit(each, "") for each in tickets if each is not None]
    return [*refused, BeginAnew("")]


def _reuse(self: GatewayInstance) -> list[Action]:
    """The number of an append without an answer is given to another frame."""
    if self._sent is None or self._confirmed_at or not self._sent.append.instance:
        return [] if self._sent is None else [self._sent.append]
    sent, self._sent = self._sent, None
    self.number -= 1
    refused: list[Action] = [RefuseUnit(each, "") for each in sent.tickets if each is not None]
    return refused + self._next(self._last_ns)


def _skip(self: GatewayInstance) -> list[Action]:
    """The next number is sent although the fate of this one is not known."""
    if self._sent is None or self._confirmed_at or not self._sent.append.instance:
        return [] if self._sent is None else [self._sent.append]
    sent, self._sent = self._sent, None
    for ticket in reversed(sent.tickets):
        self._units.appendleft((ticket, sent.append.frame[-48:]))
    return self._next(self._last_ns)


def _at_once(self: QuorumReader, entries: Sequence[Entry], durable: int) -> list[Entry]:
    """Everything that the primary shows is executed."""
    return _take(self, entries, durable + 10**9)


def _no_idle_write(self: GatewayInstance, now_ns: int) -> list[Action]:
    return []


def _same_begin(self: GatewayInstance, **settings: Any) -> None:
    """A gateway that starts again uses the number of its first begin."""
    _begin_instance(self, **settings | {"begin_number": 1})


def _forget_ended(self: Gateway) -> None:
    """No gateway ends those that are silent."""


def _promote_any(self: PostgresLog) -> None:
    """The standby that has least is promoted."""
    standbys = [each for each in self.servers if each.is_up]
    if self.primary is None and standbys:
        self.primary = min(standbys, key=lambda each: each.last)
        self._replicate(self.primary)


_take = QuorumReader.take
_begin_instance = GatewayInstance.__init__

MUTANTS: Final[dict[str, Mutant]] = {
    "give up": Mutant(
        "an append without an answer is repeated", GatewayInstance, "lost", _give_up
    ),
    "reuse a number": Mutant(
        "a number is of one frame only", GatewayInstance, "lost", _reuse, "failover"
    ),
    "skip a number": Mutant(
        "the next number is sent when the fate of this one is known", GatewayInstance, "lost",
        _skip, "failover",
    ),
    "apply before the quorum": Mutant(
        "an entry is executed when a quorum has it", QuorumReader, "take", _at_once, "failover", 30
    ),
    "no idle write": Mutant(
        "a gateway without orders writes all the same", GatewayInstance, "pass_time",
        _no_idle_write, "quiet", 3,
    ),
    "begin again": Mutant(
        "each begin of a key has a higher number", GatewayInstance, "__init__", _same_begin, "crash"
    ),
    "end no silent one": Mutant(
        "sessions of dead gateways are ended", Gateway, "_look_for_silent", _forget_ended, "crash"
    ),
    "promote any": Mutant(
        "the standby that has most is promoted", PostgresLog, "_promote", _promote_any, "failover"
    ),
}  # fmt: skip


@contextmanager
def mutated(name: str | None) -> Iterator[None]:
    """With one fault in the code; None: with none."""
    if name is None:
        yield
        return
    mutant = MUTANTS[name]
    original = mutant.owner.__dict__[mutant.attribute]
    setattr(mutant.owner, mutant.attribute, mutant.replacement)
    try:
        yield
    finally:
        setattr(mutant.owner, mutant.attribute, original)
