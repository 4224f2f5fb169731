"""The effect of an order on the book, computed without changing it.

The makers are visited in the order of the book, best price and oldest first, until the order is
done or stopped, the bound is reached, or the book is empty. The caller executes the plan without
further checks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.core import wire
from tests.core.oracle_checks import is_beyond_band
from tests.core.oracle_records import WALK_MAX, Order
from tests.core.oracle_state import State

FRAME_WALK_MAX = 4_000  # orders that the commands of one frame look at in one market


@dataclass
class Plan:
    """The makers in order, each with its lots; None: removed, because it is the taker's own order.

    looked_at: how many orders were looked at. end: the close reason of the order, 0 if its rest
    goes to the book.
    """

    steps: list[tuple[Order, int | None]] = field(default_factory=list)
    lots: int = 0
    quote: int = 0
    looked_at: int = 0
    end: int = 0

    def cost(self, order: Order) -> int:
        """Atoms of the asset that the order pays with."""
        return self.quote if order.side == wire.BID else self.lots * order.market.lot_atoms


def walk(state: State, order: Order, cap: int | None = None) -> Plan:
    """What the order would do now. `cap`: it ends with the order that would cost more atoms."""
    plan = Plan()
    market = order.market
    bound = min(market.parameters[WALK_MAX], FRAME_WALK_MAX - market.looked_at)
    best = 0
    for maker in makers(state, order):
        best = best or maker.price
        if is_done(order, plan) or not order.satisfied_by(maker.price):
            break
        if order.is_market and is_beyond_band(order, best, maker.price):
            plan.end = wire.PRICE_OUT_OF_BOUNDS
            return plan
        if plan.looked_at == bound:
            plan.end = wire.WALK_LIMIT
            return plan
        plan.looked_at += 1
        if maker.account == order.account:
            if order.self_trade != wire.REJECT_TAKER:
                plan.steps.append((maker, None))
            if order.self_trade != wire.REJECT_MAKER:
                plan.end = wire.SELF_TRADE
                return plan
            continue
        price_of_lot = maker.price * market.tick_atoms
        if order.is_by_quote:
            lots = min(maker.rest, (order.quantity - plan.quote) // price_of_lot)
        else:
            lots = min(maker.rest, order.rest - plan.lots)
        if lots == 0:  # what is left of its budget buys no lot
            plan.end = wire.BY_FILL if plan.lots else wire.INSUFFICIENT_LIQUIDITY
            return plan
        plan.steps.append((maker, lots))
        plan.lots += lots
        plan.quote += lots * price_of_lot
        if cap is not None and plan.cost(order) > cap:
            return plan
        if order.is_by_quote and lots < maker.rest:  # what is left buys no other lot of it
            plan.end = wire.BY_FILL
            return plan
    if is_done(order, plan):
        plan.end = wire.BY_FILL
    elif order.is_market:
        plan.end = wire.INSUFFICIENT_LIQUIDITY
    elif order.tif == wire.IOC:
        plan.end = wire.IMMEDIATE_OR_CANCEL
    return plan


def makers(state: State, order: Order) -> Iterator[Order]:
    """The orders of the opposite side, by price and priority."""
    for price in state.prices(order.market, 1 - order.side):
        yield from state.orders_at(order.market, 1 - order.side, price)


def is_done(order: Order, plan: Plan) -> bool:
    """Whether nothing is left of its lots or of its budget."""
    return plan.quote == order.quantity if order.is_by_quote else plan.lots == order.rest
