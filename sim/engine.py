"""An engine: reads the log, executes it with the real core, and gives gateways their events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from fairbook.cluster.quorum_reader import LogRegressed, QuorumReader
from fairbook.core.exchange import Exchange
from fairbook.core.parts import FrameOrigin, has_origin
from fairbook.engine.runner import Runner
from fairbook.log.command_log import Entry
from sim.postgres_log import PostgresLog
from sim.scheduler import MS, Machine, Network, S, Simulation

POLL_NS: Final = 10 * MS
ANSWER_NS: Final = 250 * MS  # then it asks again
EVENTS_MAX: Final = 64  # frames in an answer
SILENT_NS: Final = 6 * S


class Executed(NamedTuple):
    """A frame that was executed, and the events of it."""

    position: int
    instance: int
    number: int
    events: bytes


class Engine(Machine):
    """One engine. What it has read is in its own files, which survive its process."""

    def __init__(
        self, simulation: Simulation, name: str, log: PostgresLog, network: Network
    ) -> None:
        super().__init__(simulation, name)
        self._log = log
        self._network = network
        self.segments: list[Entry] = []
        self.halted: str | None = None
        """Why it executes no more: the log is not the one that it knows."""
        self._begin()

    def start(self) -> None:
        super().start()
        self._begin()

    def _begin(self) -> None:
        self.runner = Runner(Exchange())
        self.executed: list[Executed] = []
        for entry in self.segments:
            self._execute(entry)
        self._reader = QuorumReader(self.runner.position, self.runner.chain)
        self._asked, self._asked_ns, self._is_asking = 0, 0, False
        self.after(0, self._poll)

    def _poll(self) -> None:
        is_waiting = self._is_asking and self.simulation.now_ns - self._asked_ns < ANSWER_NS
        if self.halted is None and not is_waiting:
            self._asked += 1
            asked = self._asked
            self._is_asking, self._asked_ns = True, self.simulation.now_ns

            def take(last: int, before: bytes, entries: list[Entry], durable: int) -> None:
                # A late answer to an earlier question would look like a log that went back.
                if asked == self._asked and self._is_asking and self.halted is None:
                    self._is_asking = False
                    self._take(last, before, entries, durable)

            self._log.read(self, self._reader.position + 1, take)
        self.after(POLL_NS, self._poll)

    def _take(self, last: int, before: bytes, entries: list[Entry], durable: int) -> None:
        try:
            if before or last < self._reader.position:
                self._reader.connect(last, before)
            for entry in self._reader.take(entries, durable):
                self.segments.append(entry)
                self._execute(entry)
        except LogRegressed as problem:
            self.halted = str(problem)
            self.simulation.count("engine halted")

    def _execute(self, entry: Entry) -> None:
        events = self.runner.apply(entry)
        assert events is not None
        instance = number = 0
        if has_origin(entry.frame):
            origin = FrameOrigin(entry.frame)
            instance, number = int(origin.instance), int(origin.number)
        self.executed.append(Executed(entry.position, instance, number, events))

    def events_after(
        self, sender: Machine, position: int, answer: Callable[[list[Executed]], None]
    ) -> None:
        """Ask for the frames after a position. answer: called at the sender, perhaps."""

        def found() -> None:
            known = self.executed[position:][:EVENTS_MAX]
            self._network.send(self, sender, lambda: answer(known))

        self._network.send(sender, self, found)

    def silent_instances(self) -> list[tuple[int, int]]:
        """Number of each instance that seems dead, and the last of its frames."""
        exchange = self.runner.exchange
        return [
            (int(each.number), int(each.last_number))
            for each in exchange.gateways()
            if not each.is_ended and exchange.time_ns - each.last_ns > SILENT_NS
        ]
