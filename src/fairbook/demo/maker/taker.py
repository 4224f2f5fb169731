"""The taker of one market: random orders, so that there are trades. In ticks and lots.

Invariant: the inventory stays within `inventory_lots`.
"""

from __future__ import annotations

import random

from fairbook.demo.maker.plan import PARTS, QuotingParameters
from fairbook.demo.maker.quotes import ASK, BID, LimitOrder


class Taker:
    """Draws the waits and orders of one market."""

    def __init__(self, parameters: QuotingParameters, rng: random.Random) -> None:
        self._parameters = parameters
        self._rng = rng

    def wait_ms(self) -> int:
        """The wait before the next order: a fifth to nine fifths of the average."""
        average = self._parameters.plan.take_ms
        return self._rng.randrange(average // 5, average * 9 // 5 + 1)

    def next_order(
        self,
        *,
        bid: tuple[int, int] | None,
        ask: tuple[int, int] | None,
        reference_parts: int,
        inventory_lots: int,
    ) -> LimitOrder | None:
        """The next order, which is IOC; None if the book has no two sides or there is no room.

        It is the more likely a buy, the further the reference price is above the middle of the book
        and the smaller the inventory. bid, ask: the best (price, lots) of each side.
        """
        p, rng = self._parameters, self._rng
        if bid is None or ask is None:
            return None
        ahead = reference_parts - (bid[0] + ask[0]) * PARTS // 2
        for_price = 150 * ahead // (p.step_ticks * PARTS)
        for_stock = -600 * inventory_lots // p.inventory_lots
        buys = rng.randrange(1_000) < min(max(500 + for_price + for_stock, 50), 950)
        room = p.inventory_lots - inventory_lots if buys else p.inventory_lots + inventory_lots
        lots = p.take_lots * rng.randrange(100, 1_901) // 1_000
        if rng.randrange(10) == 0:
            lots *= 4
        lots = min(max(lots, 1), room)
        if lots <= 0:
            return None
        if buys:
            return LimitOrder(BID, ask[0] + p.step_ticks, lots)
        return LimitOrder(ASK, max(bid[0] - p.step_ticks, 1), lots)
