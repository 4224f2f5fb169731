"""What a maker wants in the book of one market: pure, and in whole ticks and lots.

How it works: the reference price is a seeded random walk that is drawn back to its anchor. Around
it, moved a little by what the maker owns, each side has levels on a fixed lattice of prices; how
large a level is depends on its price alone. So a small move leaves nearly all of the book as it is,
and takes few commands.

Always true:
- the best bid is below the best ask, every bid below the best foreign ask, every ask above the best
  foreign bid;
- if everything on one side is taken, what the maker owns stays within `inventory_lots`.

Not here: what is in the book already (reconcile.py).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final, NamedTuple

from fairbook.demo.maker.style import MILLION, PARTS, Style

BID: Final = "Bid"
ASK: Final = "Ask"
_NOISE: Final = 1_000  # three even throws of -_NOISE.._NOISE have a deviation of about _NOISE


class Quote(NamedTuple):
    """One order that should be in the book."""

    side: str
    price: int
    lots: int


class RandomWalk:
    """The reference price, in parts of a tick."""

    def __init__(self, style: Style, chance: random.Random, reference_ticks: int) -> None:
        self._style = style
        self._chance = chance
        self.reference_parts = 0
        self.move_to(reference_ticks)

    def move_to(self, reference_ticks: int) -> None:
        """Go on from here."""
        self.reference_parts = self._bounded(reference_ticks * PARTS)

    def step(self) -> None:
        """One move."""
        style = self._style
        noise = sum(self._chance.randrange(-_NOISE, _NOISE + 1) for _ in range(3))
        wander = self.reference_parts * style.wander_ppm * noise // (MILLION * _NOISE)
        back = (style.anchor_ticks * PARTS - self.reference_parts) * style.return_ppm // MILLION
        self.reference_parts = self._bounded(self.reference_parts + wander + back)

    def _bounded(self, parts: int) -> int:
        anchor = self._style.anchor_ticks * PARTS
        return min(max(parts, anchor // 4), anchor * 4)


def quotes(
    style: Style,
    reference_parts: int,
    *,
    inventory_lots: int,
    foreign_bid: int | None = None,
    foreign_ask: int | None = None,
) -> list[Quote]:
    """The wanted book of one market: bids, then asks, each from the best on.

    inventory_lots: how much more (or less) of the base asset the maker owns than it means to.
    foreign_bid, foreign_ask: the best prices of others.
    """
    inventory = min(max(inventory_lots, -style.inventory_lots), style.inventory_lots)
    middle = reference_parts - style.skew_parts * inventory // style.inventory_lots
    bid_most = (middle - style.half_spread_parts) // PARTS
    ask_least = -((-middle - style.half_spread_parts) // PARTS)
    if foreign_ask is not None:
        bid_most = min(bid_most, foreign_ask - 1)
    if foreign_bid is not None:
        ask_least = max(ask_least, foreign_bid + 1)
    bids = _within(style, BID, _below(style, bid_most), style.inventory_lots - inventory)
    asks = _within(style, ASK, _above(style, ask_least), style.inventory_lots + inventory)
    return [*bids, *asks]


def size_at(style: Style, price: int) -> int:
    """The lots of a level: the round prices have more, and no two neighbours are alike."""
    step = price // style.step_ticks
    weight = max((b.weight for b in style.bands if step % b.every == 0), default=1)
    mixed = (step * 2_654_435_761 & 0xFFFFFFFF) >> 16
    return max(1, style.size_lots * weight * (600 + mixed % 801) // 1_000)


def _below(style: Style, most: int) -> Iterator[int]:
    """Prices of bids, falling."""
    for band in style.bands:
        lattice = style.step_ticks * band.every
        for _ in range(band.levels):
            price = most // lattice * lattice
            if price < 1:
                return
            yield price
            most = price - 1


def _above(style: Style, least: int) -> Iterator[int]:
    """Prices of asks, rising."""
    for band in style.bands:
        lattice = style.step_ticks * band.every
        for _ in range(band.levels):
            price = -(-least // lattice) * lattice
            yield price
            least = price + 1


def _within(style: Style, side: str, prices: Iterator[int], room_lots: int) -> Iterator[Quote]:
    """Quotes at these prices, as long as there is room for what they may bring."""
    for price in prices:
        lots = min(size_at(style, price), room_lots)
        if lots <= 0:
            return
        room_lots -= lots
        yield Quote(side, price, lots)
