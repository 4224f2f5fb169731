"""The book that the maker wants in one market, in ticks and lots.

Design: levels lie on a fixed grid of prices, and the size of a level depends on its price alone. So
a small move leaves nearly all of the book as it is, and needs few commands.

Invariants:
- the best bid is below the best ask, every bid below the best foreign ask, every ask above the best
  foreign bid;
- if one side is filled completely, the inventory stays within `inventory_lots`.
"""

import random
from collections.abc import Iterator
from typing import Final, NamedTuple

from fairbook.demo.maker.plan import MILLION, PARTS, QuotingParameters

BID: Final = "Bid"
ASK: Final = "Ask"
_NOISE: Final = 1_000  # the standard deviation of three uniform numbers in -_NOISE.._NOISE


class LimitOrder(NamedTuple):
    """An order that is wanted or to be placed."""

    side: str
    price: int
    lots: int


class RandomWalk:
    """The reference price, in parts of a tick: drawn back to the anchor of the plan."""

    def __init__(self, parameters: QuotingParameters, rng: random.Random) -> None:
        self._parameters = parameters
        self._rng = rng
        self.reference_parts = parameters.anchor_ticks * PARTS

    def move_to(self, reference_ticks: int) -> None:
        self.reference_parts = self._bounded(reference_ticks * PARTS)

    def step(self) -> None:
        p = self._parameters
        noise = sum(self._rng.randrange(-_NOISE, _NOISE + 1) for _ in range(3))
        wander = self.reference_parts * p.plan.wander_ppm * noise // (MILLION * _NOISE)
        back = (p.anchor_ticks * PARTS - self.reference_parts) * p.plan.return_ppm // MILLION
        self.reference_parts = self._bounded(self.reference_parts + wander + back)

    def _bounded(self, parts: int) -> int:
        anchor = self._parameters.anchor_ticks * PARTS
        return min(max(parts, anchor // 4), anchor * 4)


def quotes(
    parameters: QuotingParameters,
    reference_parts: int,
    *,
    inventory_lots: int,
    foreign_bid: int | None = None,
    foreign_ask: int | None = None,
) -> list[LimitOrder]:
    """The wanted bids, then the wanted asks, best first. inventory_lots: beyond that at the start.
    foreign_bid, foreign_ask: the best prices of others.
    """
    p = parameters
    inventory = min(max(inventory_lots, -p.inventory_lots), p.inventory_lots)
    middle = reference_parts - p.skew_parts * inventory // p.inventory_lots
    bid_most = (middle - p.half_spread_parts) // PARTS
    ask_least = -((-middle - p.half_spread_parts) // PARTS)
    if foreign_ask is not None:
        bid_most = min(bid_most, foreign_ask - 1)
    if foreign_bid is not None:
        ask_least = max(ask_least, foreign_bid + 1)
    return [
        *_side(p, BID, bid_most, p.inventory_lots - inventory),
        *_side(p, ASK, ask_least, p.inventory_lots + inventory),
    ]


def size_at(parameters: QuotingParameters, price: int) -> int:
    """The lots of a level: more at round prices, and different from those of its neighbours."""
    step = price // parameters.step_ticks
    weight = max((b.weight for b in parameters.plan.bands if step % b.every == 0), default=1)
    mixed = (step * 2_654_435_761 & 0xFFFFFFFF) >> 16
    return max(1, parameters.size_lots * weight * (600 + mixed % 801) // 1_000)


def _side(
    parameters: QuotingParameters, side: str, limit: int, room_lots: int
) -> Iterator[LimitOrder]:
    """Quotes from the price `limit` on, as long as their fills would fit into `room_lots`."""
    away = -1 if side == BID else 1
    for band in parameters.plan.bands:
        spacing = parameters.step_ticks * band.every
        for _ in range(band.levels):
            # On the grid, rounded away from the middle.
            price = -(-away * limit // spacing) * spacing * away
            lots = min(size_at(parameters, price), room_lots)
            if price < 1 or lots <= 0:
                return
            room_lots -= lots
            yield LimitOrder(side, price, lots)
            limit = price + away
