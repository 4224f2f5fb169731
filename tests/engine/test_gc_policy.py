"""GC policy: long-lived objects are not visited, garbage is still collected."""

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


class SelfReference:
    """Only the collector can free it."""

    def __init__(self) -> None:
        self.me = self


def freeze() -> None:
    with gc_policy.frozen_afterwards():
        pass


def test_nothing_is_collected_while_objects_are_made_that_stay() -> None:
    """Afterwards it is, also after an error."""
    with pytest.raises(OSError), gc_policy.frozen_afterwards():
        assert not gc.isenabled()
        raise OSError
    assert gc.isenabled()


def test_frozen_objects_are_not_visited() -> None:
    kept = [[number] for number in range(50_000)]
    freeze()
    assert gc.get_freeze_count() > len(kept)
    assert len(gc.get_objects()) < 10_000


def test_later_garbage_is_collected() -> None:
    """Without an explicit collection, while small objects come and go."""
    freeze()
    cycles = [weakref.ref(SelfReference()) for _ in range(1_000)]
    kept = [[number] for number in range(200_000)]
    assert len(kept) == 200_000
    assert [cycle for cycle in cycles if cycle() is not None] == []


def test_survivors_of_a_long_collection_are_frozen() -> None:
    """So a growing heap does not make later collections longer."""
    freeze()
    gc.disable()
    kept = [[number] for number in range(400_000)]
    frozen = gc.get_freeze_count()
    started_ns = time.perf_counter_ns()
    gc.collect()
    if time.perf_counter_ns() - started_ns > 2 * gc_policy.LONG_NS:  # On any machine.
        assert gc.get_freeze_count() >= frozen + len(kept)


def test_freezing_again_changes_nothing() -> None:
    """Each start of an engine in a process freezes."""
    before = len(gc.callbacks)
    for _ in range(3):
        freeze()
    assert len(gc.callbacks) <= before + 1
