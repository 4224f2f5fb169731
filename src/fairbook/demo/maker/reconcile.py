"""From the orders that are open to the book that is wanted, in as few commands as can be.

How it works: an open order that is just as wanted stays. Each other one of a side becomes one that
is missing there, by an amend; what is left over is cancelled or placed, from the best prices on. If
it is less to cancel everything and place all of it, that is done. An order of the same price is
amended before any other: with a lower quantity it keeps its place in the queue.

Always true:
- the commands, in their order, make exactly the wanted book of the open one;
- there are never more of them than one cancel-all and every wanted order placed, and with these
  kinds of commands there is no shorter list;
- if neither book crosses itself, no state on the way does.

Not here: which book is wanted (quotes.py), who sends the commands (bot.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from fairbook.demo.maker.quotes import ASK, BID, Quote


class Open(NamedTuple):
    """An open order of ours. lots: what is left of it."""

    order_id: str
    side: str
    price: int
    lots: int
    filled: int = 0


class Place(NamedTuple):
    """A new order."""

    side: str
    price: int
    lots: int


class Amend(NamedTuple):
    """Other terms for an open order. total: what is filled of it, and what shall be left."""

    order_id: str
    side: str
    price: int
    total: int


class Cancel(NamedTuple):
    """An open order less."""

    order_id: str
    side: str


class CancelAll(NamedTuple):
    """No order of ours left in the market."""


Command = Place | Amend | Cancel | CancelAll


def reconcile(wanted: Sequence[Quote], opened: Sequence[Open]) -> list[Command]:
    """The commands to send, in this order."""
    sides = {side: _one_side(side, wanted, opened) for side in (BID, ASK)}
    if sum(map(len, sides.values())) > 1 + len(wanted):
        return replace_all(wanted)
    first, second = (ASK, BID) if _bids_overtake(wanted, opened) else (BID, ASK)
    commands = [*sides[first], *sides[second]]
    return [
        *(command for command in commands if not isinstance(command, Place)),
        *_from_the_middle([command for command in commands if isinstance(command, Place)]),
    ]


def replace_all(wanted: Sequence[Quote]) -> list[Command]:
    """The commands that make the wanted book of whatever is open."""
    return [CancelAll(), *_from_the_middle([Place(*quote) for quote in wanted])]


def _from_the_middle(places: list[Place]) -> Iterator[Place]:
    """The sides in turn, the best prices first: a market has two sides as soon as can be."""
    bids = sorted((each for each in places if each.side == BID), key=_price, reverse=True)
    asks = sorted((each for each in places if each.side == ASK), key=_price)
    for bid, ask in zip_longest(bids, asks):
        if bid is not None:
            yield bid
        if ask is not None:
            yield ask


def _price(place: Place) -> int:
    return place.price


def _bids_overtake(wanted: Sequence[Quote], opened: Sequence[Open]) -> bool:
    """Whether a wanted bid would meet an open ask, which must then go first."""
    highest_bid = max((quote.price for quote in wanted if quote.side == BID), default=0)
    lowest_ask = min((order.price for order in opened if order.side == ASK), default=None)
    return lowest_ask is not None and highest_bid >= lowest_ask


def _one_side(side: str, wanted: Sequence[Quote], opened: Sequence[Open]) -> list[Command]:
    """Cancels, amends, places of one side."""
    standing: dict[tuple[int, int], list[Open]] = defaultdict(list)
    for order in opened:
        if order.side == side:
            standing[order.price, order.lots].append(order)
    missing: list[Quote] = []
    for quote in wanted:
        if quote.side != side:
            continue
        same = standing.get((quote.price, quote.lots))
        if same:
            same.pop()
        else:
            missing.append(quote)
    spare = sorted((o for same in standing.values() for o in same), key=lambda o: o.price)
    pairs, spare, missing = _at_one_price(spare, missing)
    # Then from the best price on: what is far from the middle matters least, and is left over.
    spare.sort(key=lambda order: order.price, reverse=side == BID)
    missing.sort(key=lambda quote: quote.price, reverse=side == BID)
    pairs += zip(spare, missing, strict=False)
    commands: list[Command] = [Cancel(order.order_id, side) for order in spare[len(missing) :]]
    commands += [
        Amend(order.order_id, side, quote.price, order.filled + quote.lots)
        for order, quote in pairs
    ]
    commands += [Place(*quote) for quote in missing[len(spare) :]]
    return commands


def _at_one_price(
    spare: list[Open], missing: list[Quote]
) -> tuple[list[tuple[Open, Quote]], list[Open], list[Quote]]:
    """Pairs of equal price, and what remains of both; first those that need a lower quantity."""
    by_price: dict[int, list[Open]] = defaultdict(list)
    for order in spare:
        by_price[order.price].append(order)
    for same in by_price.values():
        same.sort(key=lambda order: order.lots)  # the largest is last, and taken first
    pairs: list[tuple[Open, Quote]] = []
    rest: list[Quote] = []
    for quote in sorted(missing, key=lambda quote: quote.lots, reverse=True):
        same = by_price.get(quote.price, [])
        if same:
            pairs.append((same.pop(), quote))
        else:
            rest.append(quote)
    return pairs, [order for same in by_price.values() for order in same], rest
