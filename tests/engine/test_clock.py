"""Rules of log time."""

from __future__ import annotations

from fairbook.engine.clock import JUMP_MAX_NS, Clock, monotonic_ns

SECOND = 1_000_000_000
HOUR = 3600 * SECOND


class Hands:
    """Two clocks that go on together, unless somebody turns the wall clock."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000 * SECOND
        self.elapsed = 77 * SECOND

    def wait(self, ns: int) -> None:
        self.wall += ns
        self.elapsed += ns

    def clock(self) -> Clock:
        return Clock(lambda: self.wall, lambda: self.elapsed)


def test_time_is_the_wall_clock_when_nothing_jumps() -> None:
    hands = Hands()
    clock = hands.clock()
    for wait in (0, 1, SECOND, 26 * HOUR):
        hands.wait(wait)
        assert clock.now_ns() == hands.wall
    assert clock.jump_ns == 0


def test_a_jump_back_freezes_time_until_the_wall_clock_catches_up() -> None:
    hands = Hands()
    clock = hands.clock()
    before = clock.now_ns()
    hands.wall -= HOUR
    hands.wait(SECOND)
    assert clock.now_ns() == before
    hands.wait(HOUR - SECOND)
    assert clock.now_ns() == before
    hands.wait(1)
    assert clock.now_ns() == before + 1


def test_a_wall_clock_put_right_after_a_jump_back_is_believed() -> None:
    hands = Hands()
    clock = hands.clock()
    hands.wall -= HOUR
    hands.wait(SECOND)
    clock.now_ns()
    hands.wall += HOUR
    assert clock.now_ns() == hands.wall
    assert clock.jump_ns == 0


def test_a_jump_ahead_of_a_minute_is_believed_and_no_more() -> None:
    hands = Hands()
    clock = hands.clock()
    hands.wait(SECOND)
    hands.wall += JUMP_MAX_NS
    assert clock.now_ns() == hands.wall

    hands.wall += JUMP_MAX_NS + 1
    before = clock.now_ns()
    assert before == hands.wall - JUMP_MAX_NS - 1
    assert clock.jump_ns == JUMP_MAX_NS + 1


def test_a_jump_that_is_not_believed_leaves_time_to_the_monotonic_clock() -> None:
    hands = Hands()
    clock = hands.clock()
    right = hands.wall
    hands.wall += HOUR
    for _ in range(3):
        hands.wait(SECOND)
        right += SECOND
        assert clock.now_ns() == right
        assert clock.jump_ns == HOUR


def test_a_confirmed_jump_is_believed() -> None:
    hands = Hands()
    clock = hands.clock()
    hands.wall += HOUR
    assert clock.now_ns() < hands.wall
    clock.confirm()
    assert clock.now_ns() == hands.wall
    assert clock.jump_ns == 0
    hands.wall += HOUR  # The next one is not.
    assert clock.now_ns() == hands.wall - HOUR


def test_a_jump_that_is_taken_back_needs_no_confirmation() -> None:
    hands = Hands()
    clock = hands.clock()
    hands.wall += HOUR
    hands.wait(SECOND)
    clock.now_ns()
    hands.wall -= HOUR
    hands.wait(SECOND)
    assert clock.now_ns() == hands.wall
    assert clock.jump_ns == 0


def test_time_asleep_is_no_jump() -> None:
    hands = Hands()
    clock = hands.clock()
    hands.wait(9 * HOUR)
    assert clock.now_ns() == hands.wall
    assert clock.jump_ns == 0


def test_the_real_clocks_work_together() -> None:
    first = monotonic_ns()
    assert monotonic_ns() >= first
    clock = Clock()
    before = clock.now_ns()
    assert clock.now_ns() >= before > START_OF_2020
    assert clock.jump_ns == 0


START_OF_2020 = 1_577_836_800 * SECOND
