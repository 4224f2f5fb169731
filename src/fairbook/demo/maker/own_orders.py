"""The maker's open orders in one market, folded from answers and private updates.

Design: orders and their terms come from the answers to the maker's commands; fills and ends come
from the private stream, in any order relative to the answers. Both contain the filled total, and
the larger one holds.

Invariants: an order that was reported closed does not come back; orders that were not placed here
do not appear.
"""

from collections import Counter
from typing import Final

from fairbook.client.grid import Grid
from fairbook.client.messages import OrderState, OrderUpdate
from fairbook.demo.maker.reconcile import OpenOrder

OPEN: Final = ("New", "PartiallyFilled")
ENDED_MAX: Final = 2_000  # orders that are remembered after their end


class OwnOrders:
    """The open orders, as far as they are known."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._terms: dict[str, tuple[str, int, int]] = {}  # id -> side, price, total lots
        self._filled: dict[str, int] = {}  # oldest first, of closed orders too
        self._closed: dict[str, None] = {}

    def on_answer(self, order: OrderState) -> None:
        order_id = order.id
        self._set_filled(order_id, order.executed_quantity)
        if order.status in OPEN and order_id not in self._closed:
            assert order.price is not None and order.quantity is not None
            price = self._grid.price.units(order.price)
            self._terms[order_id] = order.side, price, self._grid.quantity.units(order.quantity)
        else:
            self.remove(order_id)

    def on_update(self, update: OrderUpdate) -> None:
        """A message of `account.orderUpdate`."""
        self._set_filled(update.order_id, update.executed)
        if update.status not in OPEN:
            self.remove(update.order_id)

    def remove(self, order_id: str) -> None:
        self._terms.pop(order_id, None)
        self._closed[order_id] = None
        if len(self._closed) > ENDED_MAX:
            del self._closed[next(iter(self._closed))]

    def clear(self) -> None:
        """Every order known here was cancelled: answers come in the order of execution."""
        for order_id in list(self._terms):
            self.remove(order_id)

    def open(self) -> list[OpenOrder]:
        """In the order in which they were placed."""
        return [
            OpenOrder(order_id, side, price, total - filled, filled)
            for order_id, (side, price, total) in self._terms.items()
            if (filled := self._filled.get(order_id, 0)) < total
        ]

    def levels(self) -> Counter[tuple[str, int]]:
        """The maker's lots by (side, price)."""
        found: Counter[tuple[str, int]] = Counter()
        for order in self.open():
            found[order.side, order.price] += order.lots
        return found

    def __len__(self) -> int:
        return len(self._terms)

    def _set_filled(self, order_id: str, executed: str) -> None:
        filled = self._grid.quantity.units(executed)
        self._filled[order_id] = max(filled, self._filled.pop(order_id, 0))
        if len(self._filled) > ENDED_MAX:
            oldest = next(each for each in self._filled if each not in self._terms)
            del self._filled[oldest]
