"""Requests about orders, which have the same fields and answers over REST and WebSocket."""

from collections.abc import Mapping
from typing import Any, Self, TypeVar

import msgspec

from fairbook.client.messages import NewOrder, OrderState

T = TypeVar("T")


class OrderRequests:
    """Base of both clients; `async with` closes one. Orders require credentials."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        raise NotImplementedError

    async def place(self, order: NewOrder) -> OrderState:
        """Returns the order after matching."""
        return await self._order_request("place", msgspec.to_builtins(order), OrderState)

    async def amend(
        self,
        symbol: str,
        *,
        order_id: str | None = None,
        client_id: int | str | None = None,
        price: str | None = None,
        quantity: str | None = None,
    ) -> OrderState:
        """Change the price or the total quantity of an open order."""
        fields = _fields(symbol, order_id, client_id, price=price, quantity=quantity)
        return await self._order_request("amend", fields, OrderState)

    async def cancel(
        self, symbol: str, *, order_id: str | None = None, client_id: int | str | None = None
    ) -> OrderState:
        """Returns the closed order."""
        fields = _fields(symbol, order_id, client_id)
        return await self._order_request("cancel", fields, OrderState)

    async def cancel_all(self, symbol: str) -> list[OrderState]:
        """Cancel all orders of a market; returns the closed orders."""
        return await self._order_request("cancelAll", {"symbol": symbol}, list[OrderState])

    async def open_order(
        self, symbol: str, *, order_id: str | None = None, client_id: int | str | None = None
    ) -> OrderState:
        """One open order. RequestRefused with 404 if it is not open."""
        fields = _fields(symbol, order_id, client_id)
        return await self._order_request("status", fields, OrderState)

    async def _order_request(self, action: str, fields: Mapping[str, Any], answer: type[T]) -> T:
        raise NotImplementedError


def _fields(
    symbol: str, order_id: str | None, client_id: int | str | None, **terms: str | None
) -> dict[str, str]:
    """Numbers are sent as text. Raises ValueError unless exactly one id is given."""
    if (order_id is None) == (client_id is None):
        raise ValueError("an order is named by its id or by its client id")
    client_text = None if client_id is None else str(client_id)
    fields = {"symbol": symbol, "orderId": order_id, "clientId": client_text, **terms}
    return {name: value for name, value in fields.items() if value is not None}
