"""The runner applies entries once, in order, and whole."""

from __future__ import annotations

from hashlib import blake2b

import pytest

from fairbook.core import admin_records
from fairbook.core.exchange import Exchange
from fairbook.engine.runner import Runner, RunnerBroken
from fairbook.log.command_log import Entry, LogDamaged
from fairbook.log.memory_log import MemoryLog
from tests.world import traffic


def test_entries_are_applied_once_and_in_order() -> None:
    """An older entry is passed over, and changes nothing."""
    entries = traffic.logged(traffic.frames(seed=1, count=20)).entries
    runner = Runner(Exchange())
    events = traffic.run_all(runner, entries)
    sequence = runner.exchange.sequence

    assert runner.apply(entries[3]) is None
    assert runner.apply(entries[-1]) is None
    assert runner.exchange.sequence == sequence
    assert runner.position == len(entries)
    assert runner.chain == entries[-1].chain
    running = bytes(32)
    for made in events:
        running = blake2b(running + made, digest_size=32).digest()
    assert runner.event_hash == running


def test_subscribers_see_every_frame_after_it_was_applied() -> None:
    entries = traffic.logged(traffic.frames(seed=2, count=5)).entries
    seen: list[tuple[int, int, bytes, bytes]] = []
    runner = Runner(Exchange())
    runner.subscribe(
        lambda position, time_ns, frame, events: seen.append((position, time_ns, frame, events))
    )
    runner.subscribe(lambda position, *_: seen.append((runner.position, position, b"", b"")))
    events = traffic.run_all(runner, entries)
    expected: list[tuple[int, int, bytes, bytes]] = []
    for entry, made in zip(entries, events, strict=True):
        expected.append((entry.position, entry.time_ns, entry.frame, made))
        expected.append((entry.position, entry.position, b"", b""))
    assert seen == expected


def test_a_gap_stops_the_runner_for_good() -> None:
    entries = traffic.logged(traffic.frames(seed=3, count=5)).entries
    runner = Runner(Exchange())
    runner.apply(entries[0])
    with pytest.raises(LogDamaged, match="expected position 2, got 3"):
        runner.apply(entries[2])
    with pytest.raises(RunnerBroken):
        runner.apply(entries[1])
    assert runner.exchange.sequence == len(traffic.setup())


@pytest.mark.parametrize("wrong", ["of another log", "changed", "without a frame"])
def test_an_entry_that_does_not_continue_the_chain_is_refused(wrong: str) -> None:
    entries = traffic.logged(traffic.frames(seed=4, count=2)).entries
    other = MemoryLog()
    for each in entries:
        other.append(each.frame, each.time_ns + 1)
    runner = Runner(Exchange())
    runner.apply(entries[0])
    entry = {
        "of another log": other.entries[1],
        "changed": entries[1]._replace(before=bytes(32)),
        "without a frame": entries[1].without_frame(),
    }[wrong]
    with pytest.raises(LogDamaged, match="position 2 does not continue the chain"):
        runner.apply(entry)
    assert runner.broken
    assert runner.position == 1


def test_time_that_goes_back_is_refused() -> None:
    runner = Runner(Exchange())
    entry = traffic.logged(traffic.frames(seed=5, count=0)).entries[0]
    runner.apply(entry)
    frame = admin_records.tick()
    earlier = entry.time_ns - 1
    back = Entry(2, earlier, bytes(32), frame, entry.chain)
    with pytest.raises(LogDamaged, match=r"position 2 is of \d+ ns, before"):
        runner.apply(back)


def test_an_exception_on_the_way_breaks_the_runner() -> None:
    """In the state machine or a subscriber: a frame that is not applied whole is the last one."""
    entries = traffic.logged(traffic.frames(seed=6, count=3)).entries

    def fail_at_two(position: int, *_: object) -> None:
        if position == 2:
            raise ZeroDivisionError

    runner = Runner(Exchange())
    runner.subscribe(fail_at_two)
    runner.apply(entries[0])
    with pytest.raises(ZeroDivisionError):
        runner.apply(entries[1])
    with pytest.raises(RunnerBroken):
        runner.apply(entries[2])
