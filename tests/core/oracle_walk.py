"""The effect of an order on the book, computed without changing it.

The makers are visited in the order of the book, best price and oldest first, until the order is
done or stopped, or the book is empty. The caller executes the plan without further checks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.core import wire
from tests.core.oracle_checks import is_beyond_band
from tests.core.oracle_state import Order, State


@dataclass
class Plan:
    """The makers in order, each with its lots; None: removed, because it is the taker's own order.

    end: the close reason of the order, 0 if its rest goes to the book.
    """

    steps: list[tuple[Order, int | None]] = field(default_factory=list)
    lots: int = 0
    quote: int = 0
    end: int = 0


def walk(state: State, order: Order) -> Plan:
    """What the order would do now."""
    plan = Plan()
    opposite = state.book(order.market, 1 - order.side)
    for maker in opposite:
        if is_done(order, plan) or not order.satisfied_by(maker.price):
            break
        if order.is_market and is_beyond_band(order, opposite[0].price, maker.price):
            plan.end = wire.PRICE_OUT_OF_BOUNDS
            return plan
        if maker.account == order.account:
            if order.self_trade != wire.REJECT_TAKER:
                plan.steps.append((maker, None))
            if order.self_trade != wire.REJECT_MAKER:
                plan.end = wire.SELF_TRADE
                return plan
            continue
        price_of_lot = maker.price * order.market.tick_atoms
        if order.is_by_quote:
            lots = min(maker.rest, (order.quantity - plan.quote) // price_of_lot)
        else:
            lots = min(maker.rest, order.rest - plan.lots)
        if lots:
            plan.steps.append((maker, lots))
            plan.lots += lots
            plan.quote += lots * price_of_lot
        if order.is_by_quote and lots < maker.rest:  # what is left buys no other lot of it
            plan.end = wire.BY_FILL if plan.lots else wire.INSUFFICIENT_LIQUIDITY
            return plan
    if is_done(order, plan):
        plan.end = wire.BY_FILL
    elif order.is_market:
        plan.end = wire.INSUFFICIENT_LIQUIDITY
    elif order.tif == wire.IOC:
        plan.end = wire.IMMEDIATE_OR_CANCEL
    return plan


def is_done(order: Order, plan: Plan) -> bool:
    """Whether nothing is left of its lots or of its budget."""
    return plan.quote == order.quantity if order.is_by_quote else plan.lots == order.rest
