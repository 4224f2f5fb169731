"""The maker's open orders in one market, folded from answers and private updates.

How it works: orders and their terms come from the answers to its own commands; fills and ends come
from the private stream, in any order with the answers. Both say how much is filled in all, and the
larger one holds.

Always true: an order that either of them called closed does not come back; orders that were not
placed here do not appear.

Not here: what to do with them (reconcile.py).
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from fairbook.client.grid import Grid
from fairbook.client.messages import Order, OrderUpdate
from fairbook.demo.maker.reconcile import Open

OPEN: Final = ("New", "PartiallyFilled")
FATES_MAX: Final = 2_000


class OwnOrders:
    """What is open, as far as it is known here."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._terms: dict[str, tuple[str, int, int]] = {}  # id -> side, price, total lots
        self._filled: dict[str, int] = {}  # oldest first, of closed orders too
        self._closed: dict[str, None] = {}

    def answered(self, order: Order) -> None:
        """The answer to one of our commands."""
        order_id = order.id
        self._heard(order_id, order.executed_quantity)
        if order.status in OPEN and order_id not in self._closed:
            assert order.price is not None and order.quantity is not None
            price = self._grid.price.units(order.price)
            self._terms[order_id] = order.side, price, self._grid.quantity.units(order.quantity)
        else:
            self._end(order_id)

    def updated(self, update: OrderUpdate) -> None:
        """A message of `account.orderUpdate`."""
        self._heard(update.order_id, update.executed)
        if update.status not in OPEN:
            self._end(update.order_id)

    def gone(self, order_id: str) -> None:
        """The exchange does not know it any more."""
        self._end(order_id)

    def clear(self) -> None:
        """Everything that was open is cancelled. Answers come in the order of execution, so what is
        known here was placed before.
        """
        for order_id in list(self._terms):
            self._end(order_id)

    def open(self) -> list[Open]:
        """All, in the order in which they were placed."""
        found = []
        for order_id, (side, price, total) in self._terms.items():
            filled = self._filled.get(order_id, 0)
            if filled < total:
                found.append(Open(order_id, side, price, total - filled, filled))
        return found

    def levels(self) -> Counter[tuple[str, int]]:
        """How many lots of each level, (side, price), are ours."""
        found: Counter[tuple[str, int]] = Counter()
        for order in self.open():
            found[order.side, order.price] += order.lots
        return found

    def __len__(self) -> int:
        return len(self._terms)

    def _heard(self, order_id: str, executed: str) -> None:
        filled = self._grid.quantity.units(executed)
        self._filled[order_id] = max(filled, self._filled.pop(order_id, 0))
        if len(self._filled) > FATES_MAX:
            oldest = next(each for each in self._filled if each not in self._terms)
            del self._filled[oldest]

    def _end(self, order_id: str) -> None:
        self._terms.pop(order_id, None)
        self._closed[order_id] = None
        if len(self._closed) > FATES_MAX:
            del self._closed[next(iter(self._closed))]
