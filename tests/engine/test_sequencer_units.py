"""Units: a command and its parts stay together, are counted, and get one answer."""

from __future__ import annotations

import asyncio
import random

import pytest

from fairbook.core import admin_records, parts, records
from fairbook.core.exchange import Exchange
from fairbook.engine.runner import Runner
from fairbook.log.memory_log import MemoryLog
from fairbook.ports.commands import Busy
from tests.engine.sequencers import Gate, run, sequencer
from tests.world import traffic


def named(text: str, price: int = 90) -> bytes:
    """A unit of two records: an order with a text as its client id."""
    return records.place(
        account=2, market=traffic.MARKET, side=records.BID, price=price, quantity=1, text=text
    )


def everything() -> bytes:
    """A unit of three records, as an operator sends it."""
    pause = parts.with_detail(admin_records.pause(admin_records.BY_OPERATOR, 1), bytes(32))
    return parts.with_operator(pause, operator=1, reason_hash=bytes(32))


def test_a_command_and_its_parts_get_one_answer_in_one_frame() -> None:
    """Whatever the number of records in a frame, so that its end falls on each place of a unit."""
    chance = random.Random(5)
    units = traffic.setup()
    for number in range(300):
        one = chance.choice((traffic.buy(), named(f"id-{number}"), everything()))
        units.append(one)

    async def story(frame_records_max: int) -> None:
        log = MemoryLog()
        queue = sequencer(log, frame_records_max=frame_records_max)
        answers = await asyncio.gather(*[queue.submit(unit) for unit in units])
        assert queue.pending == 0
        await queue.stop()
        assert b"".join(entry.frame for entry in log.entries) == b"".join(units)
        for at, (answer, unit) in enumerate(zip(answers, units, strict=True), 1):
            outcome = records.read_outcome(answer.events)
            assert (outcome.sequence, outcome.command) == (at, unit[-records.COMMAND_BYTES])
            assert unit in log.entries[answer.position - 1].frame
        sizes = [len(entry.frame) // records.COMMAND_BYTES for entry in log.entries]
        assert max(sizes) <= max(frame_records_max, 3)
        assert all(size >= frame_records_max - 2 for size in sizes[:-1])

    for frame_records_max in (1, 2, 3, 5, 7, 64):
        run(story(frame_records_max))


def test_a_unit_takes_a_place_for_each_of_its_records() -> None:
    """8 places, 3 of them reserved: an order in two, a pause in three; then only cancels fit."""
    gate = Gate(is_open=False)
    cancel = records.cancel(account=2, text="a")

    async def story() -> None:
        log = MemoryLog(before_durable=gate.pass_through)
        queue = sequencer(log, pending_max=8, reserved_for_cancels=3)
        taken = [queue.submit(named("a")), queue.submit(everything())]
        assert queue.pending == 5
        for refused in (traffic.buy(), named("b"), everything()):
            with pytest.raises(Busy):
                queue.submit(refused)
        taken.append(queue.submit(cancel))
        assert queue.pending == 7
        with pytest.raises(Busy):
            queue.submit(cancel)
        taken.append(queue.submit(records.cancel_all(account=2)))
        with pytest.raises(Busy):
            queue.submit(records.cancel_all(account=2))
        settled = queue.settled()
        gate.open()
        answers = await asyncio.gather(*taken)
        assert await settled == answers[-1].position
        assert queue.pending == 0
        await queue.submit(named("b"))
        await queue.stop()

    run(story())


@pytest.mark.parametrize(
    "wrong",
    [
        named("a")[: records.COMMAND_BYTES],
        traffic.buy() + named("a"),
        named("a")[: records.COMMAND_BYTES] + named("a"),
        named("a")[: records.COMMAND_BYTES] + traffic.buy(),
        named("a")[records.COMMAND_BYTES :],
        everything()[records.COMMAND_BYTES :],
        everything()[records.COMMAND_BYTES : 2 * records.COMMAND_BYTES]
        + everything()[: records.COMMAND_BYTES]
        + everything()[2 * records.COMMAND_BYTES :],
        traffic.buy() + traffic.buy(),
        traffic.buy() + named("a")[: records.COMMAND_BYTES],
        parts.with_origin(b"", instance=1, number=1, signature=bytes(64)),
        parts.with_origin(traffic.buy(), instance=1, number=1, signature=bytes(64)),
        bytes([records.ORIGIN]) + bytes(records.COMMAND_BYTES - 1),
        bytes([records.PLACE, 0, 128]) + bytes(records.COMMAND_BYTES - 3),
    ],
)
def test_what_would_not_give_exactly_one_outcome_is_refused(wrong: bytes) -> None:
    """Parts without their command, in another order, twice; commands that announce others; two
    commands; what says where a frame comes from. Nothing of it is logged.
    """

    async def story() -> None:
        log = MemoryLog()
        queue = sequencer(log)
        with pytest.raises(ValueError, match=r"a record of kind|the command announces"):
            queue.submit(wrong)
        assert queue.pending == 0
        answer = await queue.submit(admin_records.rules())
        assert records.read_outcome(answer.events).sequence == 1
        await queue.stop()

    run(story())


def test_no_answer_shows_orders_of_an_ended_gateway() -> None:
    """They are closed at the head of a frame, before the events of its first command."""

    async def story() -> None:
        exchange = Exchange()
        queue = sequencer(MemoryLog(), Runner(exchange))
        for command in (*traffic.setup(), admin_records.begin_gateway()):
            await queue.submit(command)
        for account in traffic.USERS:
            order = records.place(
                account=account, market=traffic.MARKET, side=records.BID, price=50, quantity=1,
                session=3,
            )  # fmt: skip
            await queue.submit(order)
        await queue.submit(admin_records.begin_gateway())
        assert exchange.sessions()
        answers = [queue.submit(each) for each in (traffic.buy(account=2), named("x"))]
        for answer in await asyncio.gather(*answers):
            events = answer.events
            assert [record.account for record in records.order_records(events)] == []
            assert records.kind_at(events, 0) in (records.ACCEPTED, records.TEXT)
            assert records.read_outcome(events).status == records.NEW
        assert exchange.sessions() == []
        await queue.stop()

    run(story())
