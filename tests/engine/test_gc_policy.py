"""Full collections leave alone what is there for good, and still find what is garbage."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Iterator

import pytest

from fairbook.engine import gc_policy


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.collect()


class Knot:
    """Refers to itself, so that only the collector can free it."""

    def __init__(self) -> None:
        self.me = self


def test_nothing_is_collected_while_it_is_held() -> None:
    gc_policy.pause()
    assert not gc.isenabled()
    gc_policy.freeze_and_resume()
    assert gc.isenabled()


def test_what_was_there_is_not_looked_at_again() -> None:
    kept = [[number] for number in range(50_000)]
    gc_policy.freeze_and_resume()
    assert gc.get_freeze_count() > len(kept)
    assert len(gc.get_objects()) < 10_000


def test_garbage_that_came_later_is_collected() -> None:
    """By itself, while small objects come and go."""
    gc_policy.freeze_and_resume()
    knots = [weakref.ref(Knot()) for _ in range(1_000)]
    kept = [[number] for number in range(200_000)]
    assert len(kept) == 200_000
    assert [knot for knot in knots if knot() is not None] == []


def test_after_a_long_collection_what_survived_is_left_alone() -> None:
    """So that a heap that grows does not make every later collection longer."""
    gc_policy.freeze_and_resume()
    gc.disable()
    kept = [[number] for number in range(400_000)]
    frozen = gc.get_freeze_count()
    started_ns = time.perf_counter_ns()
    gc.collect()
    if time.perf_counter_ns() - started_ns > 2 * gc_policy.LONG_NS:  # A slow machine, or not.
        assert gc.get_freeze_count() >= frozen + len(kept)


def test_settling_again_changes_nothing() -> None:
    """Each start of an engine in a process does it."""
    before = len(gc.callbacks)
    for _ in range(3):
        gc_policy.pause()
        gc_policy.freeze_and_resume()
    assert len(gc.callbacks) <= before + 1
