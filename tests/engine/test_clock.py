"""The clock of log time."""

from __future__ import annotations

from fairbook.engine.clock import JUMP_MAX_NS, Clock, monotonic_ns

SECOND = 1_000_000_000
HOUR = 3600 * SECOND


class TwoClocks:
    """A wall clock and a monotonic clock that advance together; tests set the wall clock."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000 * SECOND
        self.elapsed = 77 * SECOND

    def wait(self, ns: int) -> None:
        self.wall += ns
        self.elapsed += ns

    def clock(self) -> Clock:
        return Clock(lambda: self.wall, lambda: self.elapsed)


def test_time_is_the_wall_clock_when_nothing_jumps() -> None:
    clocks = TwoClocks()
    clock = clocks.clock()
    for wait in (0, 1, SECOND, 26 * HOUR):
        clocks.wait(wait)
        assert clock.now_ns() == clocks.wall
    assert clock.jump_ns == 0


def test_a_jump_back_freezes_time_until_the_wall_clock_catches_up() -> None:
    clocks = TwoClocks()
    clock = clocks.clock()
    before = clock.now_ns()
    clocks.wall -= HOUR
    clocks.wait(SECOND)
    assert clock.now_ns() == before
    clocks.wait(HOUR - SECOND)
    assert clock.now_ns() == before
    clocks.wait(1)
    assert clock.now_ns() == before + 1


def test_a_wall_clock_corrected_after_a_jump_back_is_trusted() -> None:
    clocks = TwoClocks()
    clock = clocks.clock()
    clocks.wall -= HOUR
    clocks.wait(SECOND)
    clock.now_ns()
    clocks.wall += HOUR
    assert clock.now_ns() == clocks.wall
    assert clock.jump_ns == 0


def test_a_jump_ahead_of_up_to_a_minute_is_trusted() -> None:
    clocks = TwoClocks()
    clock = clocks.clock()
    clocks.wait(SECOND)
    clocks.wall += JUMP_MAX_NS
    assert clock.now_ns() == clocks.wall

    clocks.wall += JUMP_MAX_NS + 1
    before = clock.now_ns()
    assert before == clocks.wall - JUMP_MAX_NS - 1
    assert clock.jump_ns == JUMP_MAX_NS + 1


def test_after_a_larger_jump_time_follows_the_monotonic_clock() -> None:
    clocks = TwoClocks()
    clock = clocks.clock()
    right = clocks.wall
    clocks.wall += HOUR
    for _ in range(3):
        clocks.wait(SECOND)
        right += SECOND
        assert clock.now_ns() == right
        assert clock.jump_ns == HOUR


def test_a_confirmed_jump_is_trusted() -> None:
    clocks = TwoClocks()
    clock = clocks.clock()
    clocks.wall += HOUR
    assert clock.now_ns() < clocks.wall
    clock.confirm()
    assert clock.now_ns() == clocks.wall
    assert clock.jump_ns == 0
    clocks.wall += HOUR  # The next one is not.
    assert clock.now_ns() == clocks.wall - HOUR


def test_a_jump_that_is_undone_needs_no_confirmation() -> None:
    clocks = TwoClocks()
    clock = clocks.clock()
    clocks.wall += HOUR
    clocks.wait(SECOND)
    clock.now_ns()
    clocks.wall -= HOUR
    clocks.wait(SECOND)
    assert clock.now_ns() == clocks.wall
    assert clock.jump_ns == 0


def test_time_that_the_machine_sleeps_is_not_a_jump() -> None:
    clocks = TwoClocks()
    clock = clocks.clock()
    clocks.wait(9 * HOUR)
    assert clock.now_ns() == clocks.wall
    assert clock.jump_ns == 0


def test_the_real_clocks_work_together() -> None:
    first = monotonic_ns()
    assert monotonic_ns() >= first
    clock = Clock()
    before = clock.now_ns()
    assert clock.now_ns() >= before > START_OF_2020
    assert clock.jump_ns == 0


START_OF_2020 = 1_577_836_800 * SECOND
