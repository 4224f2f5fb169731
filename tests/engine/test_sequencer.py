"""Group commit: order, durability before answers, bounds, ticks, failures."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from fairbook.core import admin_records, records
from fairbook.core.exchange import Exchange
from fairbook.engine.clock import Clock
from fairbook.engine.runner import Runner
from fairbook.engine.sequencer import GATHER_TURNS_MAX, Sequencer
from fairbook.log.command_log import Entry, LogFailed
from fairbook.log.memory_log import MemoryLog
from fairbook.ports.commands import Answer, Busy, Stopped
from tests.engine.sequencers import Gate, run, sequencer
from tests.world import traffic


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_answers_are_the_events_of_each_command_in_the_order_of_submission() -> None:
    """However commands are spread over frames."""
    commands = traffic.setup() + list(itertools.islice(traffic.busy_traders(seed=11), 500))

    async def story() -> None:
        log = MemoryLog()
        queue = sequencer(log)
        done: list[asyncio.Future[Answer]] = []
        futures: list[asyncio.Future[Answer]] = []
        for number, command in enumerate(commands):
            future = queue.submit(command)
            future.add_done_callback(done.append)
            futures.append(future)
            if number % 7 == 0:
                await asyncio.sleep(0)
        answers = await asyncio.gather(*futures)
        await queue.stop()

        assert done == futures
        assert b"".join(entry.frame for entry in log.entries) == b"".join(commands)
        assert len(log.entries) > 1
        again = Runner(Exchange())
        events = b"".join(traffic.run_all(again, log.entries))
        assert b"".join(answer.events for answer in answers) == events
        for sequence, answer in enumerate(answers, start=1):
            assert records.read_outcome(answer.events).sequence == sequence
            assert answer.time_ns == log.entries[answer.position - 1].time_ns

    run(story())


def test_nothing_is_applied_or_answered_before_it_is_durable() -> None:
    gate = Gate(is_open=False)

    async def story() -> None:
        log = MemoryLog(before_durable=gate.pass_through)
        runner = Runner(Exchange())
        queue = sequencer(log, runner)
        first = queue.submit(admin_records.rules())
        await gate.until_held()
        await turns(20)
        assert not first.done()
        assert runner.exchange.sequence == 0
        gate.open()
        assert (await first).position == 1
        assert runner.exchange.sequence == 1
        await queue.stop()

    run(story())


def test_commands_that_arrive_during_an_append_share_the_next_frame() -> None:
    gate = Gate(is_open=False)

    async def story() -> None:
        log = MemoryLog(before_durable=gate.pass_through)
        queue = sequencer(log)
        together = [
            queue.submit(admin_records.tick()) for _ in range(3)
        ]  # In one turn of the loop.
        await gate.until_held()
        later = [queue.submit(admin_records.tick()) for _ in range(5)]
        gate.open()
        answers = await asyncio.gather(*together, *later)
        assert [answer.position for answer in answers] == [1] * 3 + [2] * 5
        await queue.stop()

    run(story())


def test_a_frame_is_bounded() -> None:
    async def story() -> None:
        log = MemoryLog()
        queue = sequencer(log, frame_records_max=4)
        answers = await asyncio.gather(*[queue.submit(admin_records.tick()) for _ in range(10)])
        assert [answer.position for answer in answers] == [1] * 4 + [2] * 4 + [3] * 2
        await queue.stop()

    run(story())


def test_a_frame_is_answered_before_the_next_one_is_sent() -> None:
    """Commands that follow from its answers, within a few turns, share the next frame."""
    gate = Gate(is_open=False)

    async def story() -> None:
        log = MemoryLog(before_durable=gate.pass_through)
        queue = sequencer(log)
        caused: list[asyncio.Future[Answer]] = []

        def cause(turns_left: int) -> None:
            caused.append(queue.submit(admin_records.tick()))
            if turns_left:
                asyncio.get_running_loop().call_soon(cause, turns_left - 1)

        first = queue.submit(admin_records.tick())
        first.add_done_callback(lambda _: cause(2))
        await gate.until_held()
        waiting = queue.submit(admin_records.tick())
        gate.open()
        await first
        await waiting
        answers = await asyncio.gather(waiting, *caused)
        assert [answer.position for answer in answers] == [2, 2, 2, 2]
        await queue.stop()

    run(story())


def test_gathering_is_bounded() -> None:
    """Commands that arrive in every turn do not delay the frame for ever."""

    async def story() -> None:
        log = MemoryLog()
        queue = sequencer(log)
        futures = []
        while not log.entries:
            futures.append(queue.submit(admin_records.tick()))
            await asyncio.sleep(0)
        await asyncio.gather(*futures)
        assert len(log.entries[0].frame) <= (GATHER_TURNS_MAX + 2) * records.COMMAND_BYTES
        await queue.stop()

    run(story())


def test_places_are_reserved_for_cancels() -> None:
    """6 places, 2 of them reserved: 4 orders, then 2 cancels, then none."""
    gate = Gate(is_open=False)

    async def story() -> None:
        log = MemoryLog(before_durable=gate.pass_through)
        queue = sequencer(log, pending_max=6, reserved_for_cancels=2)
        taken = [queue.submit(traffic.buy()) for _ in range(4)]
        for refused in (
            traffic.buy(),
            records.amend(account=2, order_id=1, price=1),
            admin_records.tick(),
        ):
            with pytest.raises(Busy):
                queue.submit(refused)
        taken.append(queue.submit(records.cancel_all(account=2)))
        taken.append(queue.submit(records.end_session(account=2, session=1)))
        with pytest.raises(Busy):
            queue.submit(records.cancel(account=2, order_id=1))
        assert queue.pending == 6

        gate.open()
        answers = await asyncio.gather(*taken)
        assert [records.read_outcome(answer.events).sequence for answer in answers] == [
            1,
            2,
            3,
            4,
            5,
            6,
        ]
        assert queue.pending == 0
        await queue.submit(traffic.buy())
        assert len(b"".join(entry.frame for entry in log.entries)) == 7 * records.COMMAND_BYTES
        await queue.stop()

    run(story())


def test_a_command_of_another_length_is_refused() -> None:
    """It would shift the commands after it in its frame."""

    async def story() -> None:
        queue = sequencer(MemoryLog())
        for wrong in (b"", admin_records.tick()[:-1], admin_records.tick() + b"\0"):
            with pytest.raises(ValueError, match="48 bytes each"):
                queue.submit(wrong)
        await queue.stop()

    run(story())


def test_cancelling_a_future_does_not_cancel_its_command() -> None:
    gate = Gate(is_open=False)

    async def story() -> None:
        log = MemoryLog(before_durable=gate.pass_through)
        queue = sequencer(log)
        futures = [queue.submit(admin_records.tick()) for _ in range(3)]
        await gate.until_held()
        waiting = [queue.submit(admin_records.tick()) for _ in range(3)]
        settled = queue.settled()
        futures[1].cancel()
        waiting[0].cancel()
        settled.cancel()
        gate.open()
        assert (await futures[2]).position == 1
        assert (await waiting[2]).position == 2
        assert len(b"".join(entry.frame for entry in log.entries)) == 6 * records.COMMAND_BYTES
        await queue.stop()

    run(story())


def test_ticks_are_logged_in_a_quiet_market() -> None:
    """Repeatedly, and not after a stop."""

    async def story() -> None:
        log = MemoryLog()
        three = asyncio.Event()
        runner = Runner(Exchange())
        runner.subscribe(lambda position, *_: three.set() if position == 4 else None)
        queue = Sequencer(log, runner, Clock(), tick_after_s=0.001)
        await asyncio.sleep(0.01)
        assert not log.entries, "a log begins with RULES"
        await queue.submit(admin_records.rules())
        await three.wait()
        await queue.stop()
        count = len(log.entries)
        assert {entry.frame for entry in log.entries[1:]} == {admin_records.tick()}
        await asyncio.sleep(0.01)
        assert len(log.entries) == count

    run(story())


def test_no_tick_while_an_append_is_under_way() -> None:
    gate = Gate(is_open=False)

    async def story() -> None:
        log = MemoryLog(before_durable=gate.pass_through)
        queue = Sequencer(log, Runner(Exchange()), Clock(), tick_after_s=0.001)
        first = queue.submit(admin_records.rules())
        await gate.until_held()
        await asyncio.sleep(0.02)
        assert queue.pending == 1
        gate.open()
        await first
        await queue.stop()

    run(story())


def test_settled_names_a_position_after_everything_submitted() -> None:
    gate = Gate(is_open=False)

    async def story() -> None:
        log = MemoryLog(before_durable=gate.pass_through)
        queue = sequencer(log, frame_records_max=2)
        assert await queue.settled() == 0
        futures = [queue.submit(admin_records.tick()) for _ in range(5)]
        await gate.until_held()
        settled = queue.settled()
        later = queue.submit(admin_records.tick())
        await turns()
        assert not settled.done()
        gate.open()
        position = await settled
        assert [future.done() for future in futures] == [True] * 5
        assert position == futures[-1].result().position == 3
        await later
        assert await queue.settled() == later.result().position
        await queue.stop()

    run(story())


def test_stop_answers_queued_commands_and_refuses_new_ones() -> None:
    gate = Gate(is_open=False)

    async def story() -> None:
        log = MemoryLog(before_durable=gate.pass_through)
        queue = sequencer(log)
        first = queue.submit(admin_records.tick())
        await gate.until_held()
        second = queue.submit(admin_records.tick())
        stops = [asyncio.ensure_future(queue.stop()) for _ in range(2)]
        await turns()
        with pytest.raises(Stopped, match="shutting down"):
            queue.submit(admin_records.tick())
        assert not any(stop.done() for stop in stops)
        gate.open()
        await asyncio.gather(*stops)
        assert (first.result().position, second.result().position) == (1, 2)
        assert await queue.settled() == 2
        await queue.stop()
        assert not queue.failed.done()

    run(story())


@pytest.mark.parametrize("durable", [False, True])
def test_a_failed_append_stops_everything(durable: bool) -> None:
    """Whether or not the frame is on disk, no result is given; `failed` has the reason."""
    gate = Gate(is_open=False)

    def fail(entry: Entry) -> None:
        gate.pass_through(entry)
        if entry.position == 2:
            raise OSError(5, "Input/output error")

    async def story() -> None:
        log = MemoryLog()
        if durable:
            log.after_durable = fail
        else:
            log.before_durable = fail
        runner = Runner(Exchange())
        queue = sequencer(log, runner)
        good = queue.submit(admin_records.rules())
        await gate.until_held()
        in_flight = queue.submit(admin_records.tick())
        in_flight_gone = queue.submit(admin_records.tick())
        in_flight_gone.cancel()
        settled = queue.settled()
        gate.open()
        assert (await good).position == 1
        waiting = queue.submit(admin_records.tick())
        assert isinstance(await queue.failed, LogFailed)

        for future in (in_flight, waiting, settled, queue.settled()):
            with pytest.raises(Stopped, match="Input/output error"):
                await future
        with pytest.raises(Stopped, match="Input/output error"):
            queue.submit(admin_records.tick())
        assert runner.position == 1
        await queue.stop()
        assert len(log.entries) == (2 if durable else 1)

    run(story())


def test_a_bug_in_the_state_machine_stops_everything() -> None:
    """The frame is durable, no result is given, and no later frame is applied."""

    async def story() -> None:
        log = MemoryLog()

        def bug(position: int, *_: object) -> None:
            assert position != 2, "held funds below zero"

        runner = Runner(Exchange())
        runner.subscribe(bug)
        queue = sequencer(log, runner, frame_records_max=1)
        futures = [queue.submit(admin_records.tick()) for _ in range(4)]
        error = await queue.failed
        assert isinstance(error, AssertionError)
        assert isinstance(await futures[0], Answer)
        for future in futures[1:]:
            with pytest.raises(Stopped, match="held funds below zero"):
                await future
        with pytest.raises(Stopped):
            queue.submit(admin_records.tick())
        await queue.stop()
        assert runner.broken
        assert 2 <= len(log.entries) <= 3, "the append under way may end, no other begins"

    run(story())


def test_futures_that_are_not_awaited_log_no_warning_after_a_failure() -> None:
    noise: list[object] = []

    def fail(_entry: Entry) -> None:
        raise OSError(28, "No space left on device")

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))
        queue = sequencer(MemoryLog(before_durable=fail))
        for _ in range(3):
            queue.submit(admin_records.tick())
        await queue.failed
        await queue.stop()

    run(story())
    assert noise == []


def test_the_order_of_submission_is_kept_with_many_clients() -> None:
    """64 clients that each await an answer before the next command: sequences only rise."""

    async def story() -> None:
        log = MemoryLog()
        queue = sequencer(log)
        for command in traffic.setup():
            queue.submit(command)
        last = 0

        async def client(seed: int) -> None:
            nonlocal last
            for command in itertools.islice(traffic.busy_traders(seed), 50):
                answer = await queue.submit(command)
                sequence = records.read_outcome(answer.events).sequence
                assert sequence > last
                last = sequence

        await asyncio.gather(*[client(seed) for seed in range(64)])
        await queue.stop()
        assert last == len(traffic.setup()) + 64 * 50
        assert len(log.entries) < last, "frames are shared"

    run(story())


def test_cancelled_settled_futures_do_not_pile_up_while_an_append_hangs() -> None:
    gate = Gate(is_open=False)

    async def story() -> None:
        queue = sequencer(MemoryLog(before_durable=gate.pass_through))
        queue.submit(admin_records.tick())
        await gate.until_held()
        for _ in range(100):
            queue.settled().cancel()
        assert len(queue._settlings) == 1
        settled = queue.settled()
        gate.open()
        assert await settled == 1
        await queue.stop()

    run(story())
