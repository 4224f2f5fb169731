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


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_silence_alone_is_not_stale() -> None:
    clock = Clock()
    monitor = FeedMonitor(clock)
    clock.now_s = 1_000.0
    assert not monitor.is_stale(4)


def test_an_answered_command_must_change_the_book() -> None:
    clock = Clock()
    monitor = FeedMonitor(clock)
    for clock.now_s in (10.0, 13.0):
        monitor.on_answer()
    clock.now_s = 14.0
    assert not monitor.is_stale(4)
    clock.now_s = 14.1
    assert monitor.is_stale(4), "the second command does not put it off"
    clock.now_s = 14.2
    monitor.on_book(None)
    clock.now_s = 100.0
    assert not monitor.is_stale(4)


def test_candles_are_due_every_second_after_the_first() -> None:
    clock = Clock()
    monitor = FeedMonitor(clock)
    clock.now_s = 10.0
    monitor.on_candle(None)
    clock.now_s = 12.0
    monitor.on_book(None)
    clock.now_s = 16.0
    assert not monitor.is_stale(4)
    clock.now_s = 16.1
    assert monitor.is_stale(4)
    clock.now_s = 16.2
    monitor.on_candle(None)
    clock.now_s = 20.0
    assert not monitor.is_stale(4)
