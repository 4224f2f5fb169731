"""The instance of a gateway, step by step, over the real core."""

from __future__ import annotations

from typing import Any

from nacl.signing import SigningKey

from fairbook.cluster.gateway_instance import (
    BUSY,
    IDLE_NS,
    NOT_BEGUN,
    PENDING_MAX,
    AnswerUnit,
    Append,
    BeginAnew,
    GatewayInstance,
    RefuseUnit,
    UnknownUnit,
)
from fairbook.core import records
from fairbook.core.admin_records import end_gateway, tick
from fairbook.core.exchange import Exchange
from fairbook.core.parts import FrameOrigin
from sim.world import LOG_ID, opening

KEY = SigningKey(bytes([1]) * 32)
START_NS = 10**18
S = 10**9


class Log:
    """What is appended, executed at once."""

    def __init__(self) -> None:
        self.exchange = Exchange()
        self.position = 0
        self.now_ns = START_NS
        self.execute(opening([KEY]))

    def execute(self, frame: bytes) -> bytes:
        self.position += 1
        return bytes(self.exchange.apply(frame, self.now_ns))

    def take(self, machine: GatewayInstance, append: Append) -> list[Any]:
        """Append it, confirm it, and tell its events."""
        events = self.execute(append.frame)
        origin = FrameOrigin(append.frame)
        confirmed = machine.confirmed(append.number, self.position, self.now_ns)
        return confirmed + machine.applied(
            self.position, int(origin.instance), int(origin.number), events
        )


def begun(log: Log) -> GatewayInstance:
    machine = GatewayInstance(
        log_id=LOG_ID, key=bytes(KEY.verify_key), begin_number=START_NS,
        sign=lambda data: bytes(KEY.sign(data).signature),
    )  # fmt: skip
    (append,) = machine.begin(log.now_ns)
    assert isinstance(append, Append) and append.instance == 0
    assert machine.submit(1, tick(), log.now_ns) == [RefuseUnit(1, NOT_BEGUN)]
    assert log.take(machine, append) == [] and machine.instance > 0
    return machine


def test_units_are_answered_when_confirmed_and_executed() -> None:
    log = Log()
    machine = begun(log)
    (append,) = machine.submit(1, tick(), log.now_ns)
    assert isinstance(append, Append) and append.number == 1
    assert machine.submit(2, tick(), log.now_ns) == []
    events = log.execute(append.frame)
    assert machine.applied(log.position, append.instance, 1, events) == [], "not confirmed yet"
    answer, following = machine.confirmed(1, log.position, log.now_ns)
    assert isinstance(answer, AnswerUnit) and answer.ticket == 1
    assert isinstance(following, Append) and following.number == 2
    assert records.read_outcome(answer.events).command == records.TICK


def test_an_append_without_an_answer_is_repeated_as_it_is() -> None:
    log = Log()
    machine = begun(log)
    (append,) = machine.submit(1, tick(), log.now_ns)
    machine.submit(2, tick(), log.now_ns)
    for _ in range(3):
        assert machine.lost() == [append]
    log.take(machine, append)  # type: ignore[arg-type]
    (following,) = machine.lost()
    assert isinstance(following, Append) and following.number == 2
    assert machine.confirmed(1, log.position, log.now_ns) == [], "a late answer"
    assert machine.refused(1) == []


def test_an_idle_instance_writes() -> None:
    log = Log()
    machine = begun(log)
    assert machine.pass_time(log.now_ns + IDLE_NS - 1) == []
    (append,) = machine.pass_time(log.now_ns + IDLE_NS)
    assert isinstance(append, Append)
    assert machine.pass_time(log.now_ns + 2 * IDLE_NS) == [], "one is under way"
    assert log.take(machine, append) == [], "there is no client to answer"


def test_one_that_was_ended_refuses_and_begins_anew() -> None:
    """Its frame is passed over: nothing was done."""
    log = Log()
    machine = begun(log)
    log.now_ns += 6 * S
    other = GatewayInstance(
        log_id=LOG_ID, key=bytes(KEY.verify_key), begin_number=START_NS + 1,
        sign=lambda data: bytes(KEY.sign(data).signature),
    )  # fmt: skip
    (begin,) = other.begin(log.now_ns)
    log.take(other, begin)  # type: ignore[arg-type]
    (end,) = other.submit(9, end_gateway(machine.instance, last_number=0), log.now_ns)
    log.take(other, end)  # type: ignore[arg-type]
    (append,) = machine.submit(1, tick(), log.now_ns)
    machine.submit(2, tick(), log.now_ns)
    first, second, anew = log.take(machine, append)  # type: ignore[arg-type]
    assert (first.ticket, second.ticket) == (1, 2)
    assert isinstance(first, RefuseUnit) and isinstance(second, RefuseUnit)
    assert isinstance(anew, BeginAnew) and machine.is_over
    assert isinstance(machine.submit(3, tick(), log.now_ns)[0], RefuseUnit)


def test_a_refused_append_leaves_its_units_unknown() -> None:
    """Another process writes under its number: what became of the frame is not known."""
    log = Log()
    machine = begun(log)
    machine.submit(1, tick(), log.now_ns)
    machine.submit(2, tick(), log.now_ns)
    unknown, refused, anew = machine.refused(1)
    assert unknown == UnknownUnit(1)
    assert isinstance(refused, RefuseUnit) and refused.ticket == 2
    assert isinstance(anew, BeginAnew)


def test_what_waits_is_bounded() -> None:
    log = Log()
    machine = begun(log)
    for ticket in range(PENDING_MAX):
        machine.submit(ticket, tick(), log.now_ns)
    assert machine.submit(-1, tick(), log.now_ns) == [RefuseUnit(-1, BUSY)]
