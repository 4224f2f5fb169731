"""What Python's collector of cyclic garbage looks at, and when: so that it never pauses for long.

How it works: a full collection visits every object that the collector knows, and each list and
dictionary of such objects. `hold` stops it while a state is loaded and replayed, when everything
stays anyway. `settle` then moves all there is to where it is not visited again (`gc.freeze`): with
it the lists of a million resting orders. What comes later is visited as usual. A full collection
that took longer than `LONG_NS` moves what has survived it to the same place, so that the next one
begins anew.

What holds, measured with a million resting orders (`./dev bench pauses`):
- compiled: orders, levels, balances and receipts are not known to the collector (`acyclic`), and
  their lists are frozen. A full collection takes about a millisecond, without `settle` 50;
- interpreted: orders are known. A full collection takes 10 to 20 ms, without the rule 200 to 900.

Always true: cyclic garbage made after `settle` is collected, but for cycles that were alive when a
long collection ended and die later. Those collections happen only when tens of thousands of new
objects stay, which compiled is no part of trading; reference counts free everything else.
"""

from __future__ import annotations

import gc
import time
from typing import Final

LONG_NS: Final = 5_000_000
THRESHOLDS: Final = (700, 10, 5)
"""The interpreter's, but full collections twice as often: each has half as much to look at."""


class _Watch:
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


_watch: Final = _Watch()


def hold() -> None:
    """No collections until `settle` or `release`: what is made now stays."""
    gc.disable()


def release() -> None:
    """Collections as before `hold`, for what does not stay."""
    gc.enable()


def settle() -> None:
    """From here on only what is new is looked at."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    if _watch not in gc.callbacks:
        gc.callbacks.append(_watch)
    gc.enable()
