"""Wait until a condition holds; a test fails with an explanation when it does not in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

WAIT_S = 30.0
INTERVAL_S = 0.005

T = TypeVar("T")


async def until(condition: Callable[[], T], explain: object = "", *, within_s: float = WAIT_S) -> T:
    """Return the first true value of `condition`. explain: shown on failure, or called for it."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, explain() if callable(explain) else explain
        await asyncio.sleep(INTERVAL_S)
    return found


def wait_until(
    condition: Callable[[], T],
    explain: object = "",
    *,
    within_s: float = WAIT_S,
    interval_s: float = INTERVAL_S,
) -> T:
    """The same in a thread that may block."""
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline, explain() if callable(explain) else explain
        time.sleep(interval_s)
    return found
