"""The fields of a request about an open order: the same over HTTP and WebSocket."""

from __future__ import annotations


def order_fields(
    symbol: str,
    *,
    order_id: str | None,
    client_id: int | None,
    price: str | None = None,
    quantity: str | None = None,
) -> dict[str, str]:
    """What names the order, and the terms that are to change. Numbers are text: servers take both.

    Raises ValueError unless it is named once.
    """
    if (order_id is None) == (client_id is None):
        raise ValueError("an order is named by its id or by its client id")
    fields = {
        "symbol": symbol,
        "orderId": order_id,
        "clientId": None if client_id is None else str(client_id),
        "price": price,
        "quantity": quantity,
    }
    return {name: value for name, value in fields.items() if value is not None}
