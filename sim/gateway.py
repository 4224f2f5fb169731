"""A gateway: takes orders of clients, appends them as its instance, and answers from the events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from nacl.signing import SigningKey

from fairbook.cluster.gateway_instance import (
    Action,
    AnswerUnit,
    Append,
    BeginAnew,
    GatewayInstance,
    RefuseUnit,
    UnknownUnit,
)
from fairbook.core.admin_records import end_gateway
from sim.engine import Engine, Executed
from sim.postgres_log import PostgresLog, Stored
from sim.scheduler import MS, Machine, Network, S, Simulation

REPEAT_NS: Final = 300 * MS  # an append without an answer
POLL_NS: Final = 10 * MS
TIME_NS: Final = S
BEGIN_ANEW_NS: Final = 200 * MS
LOOK_NS: Final = 2 * S  # for silent instances

# What a client is told.
DONE: Final = "done"
REFUSED: Final = "refused"  # nothing was done
UNKNOWN: Final = "unknown"

Reply = Callable[[str, bytes], None]
"""What became of a unit, and its events."""


class Gateway(Machine):
    """One gateway. Nothing of it survives its process but its key."""

    def __init__(
        self, simulation: Simulation, name: str, log: PostgresLog, engines: list[Engine],
        network: Network, *, key: SigningKey, log_id: int,
    ) -> None:  # fmt: skip
        super().__init__(simulation, name)
        self._log = log
        self._engines = engines
        self._network = network
        self._key = key
        self._log_id = log_id
        self._begin()

    def start(self) -> None:
        super().start()
        self._begin()

    def _begin(self) -> None:
        self._replies: dict[int, Reply] = {}
        self._tickets = 0
        self._read_to = 0
        """Position up to which the events of engines were seen."""
        self.machine = GatewayInstance(
            log_id=self._log_id, key=bytes(self._key.verify_key),
            sign=lambda data: bytes(self._key.sign(data).signature),
            begin_number=self.simulation.now_ns,
        )  # fmt: skip
        self._do(self.machine.begin(self.simulation.now_ns))
        self.after(0, self._poll)
        self.after(TIME_NS, self._pass_time)
        self.after(LOOK_NS, self._look_for_silent)

    def order(self, sender: Machine, unit: bytes, answer: Reply) -> None:
        """A client's order. answer: called at the client, perhaps."""

        def arrive() -> None:
            self._tickets += 1
            ticket = self._tickets
            self._replies[ticket] = lambda what, events: self._network.send(
                self, sender, lambda: answer(what, events)
            )
            self._do(self.machine.submit(ticket, unit, self.simulation.now_ns))

        self._network.send(sender, self, arrive)

    def _do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Append():
                    self._append(action)
                case AnswerUnit():
                    self._reply(action.ticket, DONE, action.events)
                case RefuseUnit():
                    self._reply(action.ticket, REFUSED)
                case UnknownUnit():
                    self._reply(action.ticket, UNKNOWN)
                case BeginAnew():
                    self.simulation.count("instance over")
                    self.life += 1  # Nothing of the old one goes on.
                    self.after(BEGIN_ANEW_NS, self._begin)

    def _reply(self, ticket: int, what: str, events: bytes = b"") -> None:
        if reply := self._replies.pop(ticket, None):
            reply(what, events)

    def _append(self, append: Append) -> None:
        machine = self.machine

        def answered(stored: Stored) -> None:
            if machine is not self.machine:
                return
            if stored.is_refused:
                self._do(machine.refused(stored.number))
            elif stored.is_durable:
                self._do(machine.confirmed(stored.number, stored.position, self.simulation.now_ns))
            else:
                self._do(machine.lost())

        self._log.append(
            self, append.instance, append.number, bytes(self._key.verify_key), append.frame,
            answered,
        )  # fmt: skip
        self.after(REPEAT_NS, lambda: self._repeat(machine, append))

    def _repeat(self, machine: GatewayInstance, append: Append) -> None:
        if machine is self.machine and machine.is_under_way(append):
            self.simulation.count("append repeated")
            self._do(machine.lost())

    def _poll(self) -> None:
        engine = self.simulation.chance.choice(self._engines)
        engine.events_after(self, self._read_to, self._take)
        self.after(POLL_NS, self._poll)

    def _take(self, executed: list[Executed]) -> None:
        for each in executed:
            if each.position == self._read_to + 1:
                self._read_to = each.position
                self._do(
                    self.machine.applied(each.position, each.instance, each.number, each.events)
                )

    def _pass_time(self) -> None:
        self._do(self.machine.pass_time(self.simulation.now_ns))
        self.after(TIME_NS, self._pass_time)

    def _look_for_silent(self) -> None:
        """End instances that are dead, as another gateway would for this one."""
        engine = self.simulation.chance.choice(self._engines)
        if engine.is_up and self.machine.instance:
            for instance, last in engine.silent_instances():
                if instance != self.machine.instance:
                    unit = end_gateway(instance, last_number=last)
                    self._tickets += 1
                    self._do(self.machine.submit(self._tickets, unit, self.simulation.now_ns))
        self.after(LOOK_NS, self._look_for_silent)
