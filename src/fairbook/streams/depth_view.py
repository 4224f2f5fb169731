"""Depth of one market: its price levels, and what changed them.

How it works: a view is the book by price level, brought up to date one change at a time; a delta
says what levels have become over a stretch of changes, and two that follow each other make one.

Always true: every change raises the update id by one, so ids of a delta are a range without gaps;
a view plus all deltas after it is the later view, however they were merged.

Not here: the book itself (core), what levels look like to clients.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from fairbook.core import records


class Delta:
    """What the levels that changed over the update ids `first_id` to `last_id` have become."""

    __slots__ = ("first_id", "last_id", "time_ns", "bids", "asks")

    def __init__(self, first_id: int, last_id: int, time_ns: int) -> None:
        """Without a changed level. `last_id` may be `first_id` - 1: no change yet."""
        assert last_id >= first_id - 1
        self.first_id = first_id
        self.last_id = last_id
        self.time_ns = time_ns
        """Of the newest change."""
        self.bids: dict[int, int] = {}
        """Price in ticks to lots, 0 if the level is gone; in no order."""
        self.asks: dict[int, int] = {}

    def set(self, side: int, price: int, lots: int, update_id: int, time_ns: int) -> None:
        """Take in the next change."""
        assert update_id == self.last_id + 1, f"update {update_id} after {self.last_id}"
        self.last_id = update_id
        self.time_ns = time_ns
        levels = self.bids if side == records.BID else self.asks
        levels[price] = lots

    def merged(self, newer: Delta) -> Delta:
        """One delta for both; `newer` must follow this one."""
        assert newer.first_id == self.last_id + 1, f"{newer.first_id} after {self.last_id}"
        both = Delta(self.first_id, newer.last_id, newer.time_ns)
        both.bids = self.bids | newer.bids
        both.asks = self.asks | newer.asks
        return both


class DepthView:
    """The price levels of one market."""

    def __init__(
        self,
        update_id: int,
        bids: Iterable[tuple[int, int]],
        asks: Iterable[tuple[int, int]],
    ) -> None:
        """bids, asks: (price in ticks, lots), in any order, as of `update_id`."""
        self.update_id = update_id
        self._lots: tuple[dict[int, int], dict[int, int]] = (dict(bids), dict(asks))
        # The best price is the last one of the bids, the first one of the asks.
        self._prices = (sorted(self._lots[records.BID]), sorted(self._lots[records.ASK]))

    def set(self, side: int, price: int, lots: int, update_id: int) -> None:
        """Take in the next change: the level has now `lots`, 0: it is gone."""
        assert update_id == self.update_id + 1, f"update {update_id} after {self.update_id}"
        self.update_id = update_id
        levels = self._lots[side]
        if lots > 0:
            if price not in levels:
                prices = self._prices[side]
                prices.insert(bisect_left(prices, price), price)
            levels[price] = lots
        elif levels.pop(price, None) is not None:
            prices = self._prices[side]
            del prices[bisect_left(prices, price)]

    def best(self, side: int) -> tuple[int, int] | None:
        """(price, lots) of the level nearest the spread; None if the side is empty."""
        prices = self._prices[side]
        if not prices:
            return None
        price = prices[-1 if side == records.BID else 0]
        return price, self._lots[side][price]

    def levels(self, side: int) -> list[tuple[int, int]]:
        """(price, lots) of every level, best first."""
        prices = self._prices[side]
        lots = self._lots[side]
        ordered = reversed(prices) if side == records.BID else prices
        return [(price, lots[price]) for price in ordered]
