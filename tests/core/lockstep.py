"""Core and oracle side by side: both get the same frames, and all results are compared.

`apply` compares the events of each unit, `compare` the answers to all queries (comparison.py). A
difference is an AssertionError with the last commands and both answers.
"""

from __future__ import annotations

from collections import Counter, deque

from fairbook.core import invariants
from fairbook.core.exchange import Exchange
from tests.core import wire
from tests.core.commands import Command, describe
from tests.core.comparison import compare
from tests.core.oracle import Oracle
from tests.core.wire import Event

SHOWN = 12  # commands before a difference


class Lockstep:
    """A core and an oracle that must not differ."""

    def __init__(self) -> None:
        self.core = Exchange()
        self.oracle = Oracle()
        self.recent: deque[tuple[int, Command | None]] = deque(maxlen=SHOWN)
        self.met: Counter[tuple[int, int, int]] = Counter()  # kind, status, reason of outcomes

    def apply(self, frame: bytes, time_ns: int) -> list[Event]:
        """Both execute the frame; returns the events."""
        given = wire.split_events(self.core.apply(frame, time_ns))
        at = 0
        for unit, expected in self.oracle.apply(frame, time_ns):
            self.recent.append((self.oracle.sequence, unit))
            end = at + len(expected)
            if given[at:end] != expected:
                raise AssertionError(self.report(expected, given[at : end + 3]))
            last = expected[-1]
            if isinstance(last, wire.Outcome):
                self.met[last.command, last.status, last.reason] += 1
            at = end
        assert at == len(given), f"events after the last outcome: {given[at:]}"
        return given

    def report(self, expected: list[Event], given: list[Event]) -> str:
        """The last commands, and where the answers to the last one differ."""
        lines = ["the core and the oracle differ; the last commands:"]
        lines += [f"{sequence}: {describe(command)}" for sequence, command in self.recent]
        for at in range(max(len(expected), len(given))):
            want = expected[at] if at < len(expected) else None
            got = given[at] if at < len(given) else None
            lines += [f"  same     {got}"] if want == got else []
            lines += [f"  expected {want}", f"  given    {got}"] if want != got else []
        return "\n".join(lines)

    def compare(self) -> None:
        """The answers of both to all queries."""
        compare(self.core, self.oracle)

    def check(self) -> None:
        """The core's own invariants."""
        invariants.check(self.core)
