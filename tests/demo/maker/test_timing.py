"""The rate of commands, and when a feed counts as stale."""

import itertools
import random

import pytest

from fairbook.demo.maker.bot import CommandPacer, FeedMonitor


@pytest.mark.parametrize("per_s", [1.0, 15.0, 20.0])
def test_commands_are_spaced_evenly(per_s: float) -> None:
    """For any pattern of calls the reserved times are in their order, and apart."""
    pacer, chance = CommandPacer(per_s), random.Random(4)
    now_s, turns = 100.0, []
    for _ in range(1_000):
        if chance.randrange(5) == 0:
            now_s += chance.uniform(0, 2)
        turns.append(now_s + pacer.reserve(now_s))
    assert turns == sorted(turns)
    apart = [later - earlier for earlier, later in itertools.pairwise(turns)]
    assert min(apart) >= 1 / per_s - 1e-9


def test_unused_time_is_not_saved() -> None:
    pacer = CommandPacer(10)
    assert pacer.reserve(0.0) == 0
    assert pacer.reserve(50.0) == 0
    assert pacer.reserve(50.0) == pytest.approx(0.1)


def test_silence_alone_is_not_stale() -> None:
    monitor = FeedMonitor()
    assert not monitor.is_stale(1_000.0, after_s=4)


def test_an_answered_command_must_change_the_book() -> None:
    monitor = FeedMonitor()
    monitor.on_answer(10.0)
    monitor.on_answer(13.0)
    assert not monitor.is_stale(14.0, after_s=4)
    assert monitor.is_stale(14.1, after_s=4), "the second command does not put it off"
    monitor.on_book(14.2)
    assert not monitor.is_stale(100.0, after_s=4)


def test_candles_are_due_every_second_after_the_first() -> None:
    monitor = FeedMonitor()
    monitor.on_candle(10.0)
    monitor.on_book(12.0)
    assert not monitor.is_stale(16.0, after_s=4)
    assert monitor.is_stale(16.1, after_s=4)
    monitor.on_candle(16.2)
    assert not monitor.is_stale(20.0, after_s=4)
