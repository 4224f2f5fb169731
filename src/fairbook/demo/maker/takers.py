"""When and what to take, so that there are trades: pure, and in whole ticks and lots.

How it works: after a random while one order of random size takes from one side, as deep as one step
beyond the best price. Buying is the likelier the further the reference price is above the
middle of the book, and the less the taker owns.

Always true: what the taker owns more or less than it means to stays within `inventory_lots`; an
order is never larger than that allows.

Not here: the book it takes from (client/book.py).
"""

from __future__ import annotations

import random
from typing import NamedTuple

from fairbook.demo.maker.quotes import ASK, BID
from fairbook.demo.maker.style import PARTS, Style


class Take(NamedTuple):
    """An order that takes at once what it can get at this price or better (IOC)."""

    side: str
    price: int
    lots: int


class Taker:
    """The chance of one market."""

    def __init__(self, style: Style, chance: random.Random) -> None:
        self._style = style
        self._chance = chance

    def wait_ms(self) -> int:
        """How long to wait before the next order: a fifth to nine fifths of the average."""
        average = self._style.take_ms
        return self._chance.randrange(average // 5, average * 9 // 5 + 1)

    def take(
        self,
        *,
        bid: tuple[int, int] | None,
        ask: tuple[int, int] | None,
        reference_parts: int,
        inventory_lots: int,
    ) -> Take | None:
        """The next order; None if there is nothing to take.

        bid, ask: the best (price, lots) of each side.
        """
        style, chance = self._style, self._chance
        if bid is None or ask is None:
            return None
        ahead = reference_parts - (bid[0] + ask[0]) * PARTS // 2
        for_price = 150 * ahead // (style.step_ticks * PARTS)
        for_stock = -600 * inventory_lots // style.inventory_lots
        buys = chance.randrange(1_000) < min(max(500 + for_price + for_stock, 50), 950)
        room = (
            style.inventory_lots - inventory_lots if buys else style.inventory_lots + inventory_lots
        )
        lots = style.take_lots * chance.randrange(100, 1_901) // 1_000
        if chance.randrange(10) == 0:
            lots *= 4
        lots = min(max(lots, 1), room)
        if lots <= 0:
            return None
        if buys:
            return Take(BID, ask[0] + style.step_ticks, lots)
        price = bid[0] - style.step_ticks
        return Take(ASK, max(price, 1), lots)
