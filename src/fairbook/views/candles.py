"""Candles of one market: bars of trades over stretches of time.

How it works: a bar knows the first and the last trade in it, so bars join in any order, and open
and close go by trade id, never by time. Only the running second is touched by a trade; the longer
bars take it over when they are read, or when it has ended.

Always true: a bar is final once log time has reached its end, and never changes after.

Not here: where old bars are kept (history), what they look like to clients.
"""

from __future__ import annotations

from typing import Final

INTERVALS: Final = (
    "1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w",
    "1month",
)  # fmt: skip


class Bar:
    """Trades of one stretch of time: prices in ticks, `lots`, `quote` in atoms."""

    __slots__ = (
        "start_s", "open", "high", "low", "close", "lots", "quote", "trades", "first_id", "last_id",
    )  # fmt: skip
