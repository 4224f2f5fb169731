"""The fewest commands that turn the open orders into the wanted book.

Design: an open order that equals a wanted one stays. The other ones of a side are amended to the
missing ones; the rest is cancelled or placed, from the best prices on. If cancelling everything and
placing all of it takes fewer commands, that is done. An order of the same price is amended first,
because it keeps its place in the queue when its quantity falls.

Invariants:
- the commands, in their order, turn the open orders into exactly the wanted book;
- with these kinds of commands no list is shorter;
- if neither book crosses itself, no intermediate state does.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import zip_longest
from operator import attrgetter
from typing import NamedTuple

from fairbook.demo.maker.quotes import ASK, BID, LimitOrder


class OpenOrder(NamedTuple):
    """One of the maker's open orders. lots: what is not filled."""

    order_id: str
    side: str
    price: int
    lots: int
    filled: int = 0


class AmendOrder(NamedTuple):
    """Change an open order. total: the filled lots and those that shall be left."""

    order_id: str
    side: str
    price: int
    total: int


class CancelOrder(NamedTuple):
    """Cancel an open order."""

    order_id: str
    side: str


class CancelAll(NamedTuple):
    """Cancel all of the maker's orders in the market."""


Command = LimitOrder | AmendOrder | CancelOrder | CancelAll
"""A LimitOrder is placed, post-only."""


def reconcile(wanted: Sequence[LimitOrder], opened: Sequence[OpenOrder]) -> list[Command]:
    sides = {side: _one_side(side, wanted, opened) for side in (BID, ASK)}
    if sum(map(len, sides.values())) > 1 + len(wanted):
        return replace_all(wanted)
    first, second = (ASK, BID) if _bids_overtake(wanted, opened) else (BID, ASK)
    commands = [*sides[first], *sides[second]]
    return [
        *(command for command in commands if not isinstance(command, LimitOrder)),
        *_best_first([command for command in commands if isinstance(command, LimitOrder)]),
    ]


def replace_all(wanted: Sequence[LimitOrder]) -> list[Command]:
    """The commands that make the wanted book, whatever is open."""
    return [CancelAll(), *_best_first(wanted)]


def _best_first(places: Sequence[LimitOrder]) -> list[LimitOrder]:
    """Alternate the sides, best prices first: so the market soon has two sides."""
    price = attrgetter("price")
    bids = sorted((each for each in places if each.side == BID), key=price, reverse=True)
    asks = sorted((each for each in places if each.side == ASK), key=price)
    return [each for pair in zip_longest(bids, asks) for each in pair if each is not None]


def _bids_overtake(wanted: Sequence[LimitOrder], opened: Sequence[OpenOrder]) -> bool:
    """Whether a wanted bid crosses an open ask, which must then be changed first."""
    highest_bid = max((quote.price for quote in wanted if quote.side == BID), default=0)
    lowest_ask = min((order.price for order in opened if order.side == ASK), default=None)
    return lowest_ask is not None and highest_bid >= lowest_ask


def _one_side(
    side: str, wanted: Sequence[LimitOrder], opened: Sequence[OpenOrder]
) -> list[Command]:
    unmet = Counter(quote for quote in wanted if quote.side == side)
    spare: list[OpenOrder] = []
    for order in opened:
        quote = LimitOrder(order.side, order.price, order.lots)
        if unmet[quote]:
            unmet[quote] -= 1
        elif order.side == side:
            spare.append(order)
    pairs, spare, missing = _at_one_price(spare, list(unmet.elements()))
    # Then best prices first: orders far from the middle matter least.
    for orders in (spare, missing):
        orders.sort(key=attrgetter("price"), reverse=side == BID)
    pairs += zip(spare, missing, strict=False)
    commands: list[Command] = [CancelOrder(order.order_id, side) for order in spare[len(missing) :]]
    commands += [
        AmendOrder(order.order_id, side, quote.price, order.filled + quote.lots)
        for order, quote in pairs
    ]
    commands += missing[len(spare) :]
    return commands


def _at_one_price(
    spare: list[OpenOrder], missing: list[LimitOrder]
) -> tuple[list[tuple[OpenOrder, LimitOrder]], list[OpenOrder], list[LimitOrder]]:
    """Pairs of equal price, and the rest of both; lower quantities are preferred."""
    by_price: dict[int, list[OpenOrder]] = defaultdict(list)
    for order in sorted(spare, key=attrgetter("lots")):  # the largest is last, and taken first
        by_price[order.price].append(order)
    pairs: list[tuple[OpenOrder, LimitOrder]] = []
    rest: list[LimitOrder] = []
    for quote in sorted(missing, key=attrgetter("lots"), reverse=True):
        if same := by_price[quote.price]:
            pairs.append((same.pop(), quote))
        else:
            rest.append(quote)
    return pairs, [order for same in by_price.values() for order in same], rest
