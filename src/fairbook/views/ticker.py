"""The last 24 hours of one market."""

from __future__ import annotations

from typing import NamedTuple


class Totals(NamedTuple):
    """What happened in 24 hours: prices in ticks, `lots`, `quote` in atoms, number of trades."""

    first: int
    last: int
    high: int
    low: int
    lots: int
    quote: int
    trades: int
