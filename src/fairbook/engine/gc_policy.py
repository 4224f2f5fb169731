"""GC policy: freeze long-lived objects, so that full collections stay short.

Design: a full collection visits every object that the collector tracks, and each list and
dictionary of such objects. Within `frozen_afterwards` there are no collections, because a state
that is loaded and replayed stays; its end excludes everything that exists from later collections
(`gc.freeze`), such as the lists of a million resting orders. Newer objects are collected as usual;
after a full collection that took longer than LONG_NS, its survivors are frozen too.

Compiled, orders, levels, balances and tables of client ids are not tracked (`acyclic`), only lists
of them are. What `./dev bench pauses` has measured stands in docs/internals/performance.md.

Invariant: cyclic garbage made after `frozen_afterwards` is collected, except cycles that were alive
at the end of a long collection. Long collections happen only when tens of thousands of new objects
stay, which trading on the compiled core never causes; reference counts free everything else.
"""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

LONG_NS: Final = 5_000_000
THRESHOLDS: Final = (700, 10, 5)
"""The interpreter's, but full collections twice as often: each has half as much to visit."""


class _CollectionTimer:
    """Called by the collector when it begins and ends."""

    def __init__(self) -> None:
        self.started_ns = 0

    def __call__(self, phase: str, about: dict[str, int]) -> None:
        if about["generation"] < 2:
            return
        if phase == "start":
            self.started_ns = time.perf_counter_ns()
        elif time.perf_counter_ns() - self.started_ns > LONG_NS:
            gc.freeze()


_timer: Final = _CollectionTimer()


@contextmanager
def frozen_afterwards() -> Iterator[None]:
    """No collections while objects are made that stay, and none of these objects later."""
    gc.disable()
    try:
        yield
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)
        if _timer not in gc.callbacks:
            gc.callbacks.append(_timer)
        gc.enable()
