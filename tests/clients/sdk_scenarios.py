"""Scenarios of unmodified backpack-exchange-sdk; only its base URLs are overridden."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from backpack_exchange_sdk._base.errors import (  # type: ignore[import-not-found,unused-ignore]
    BackpackAPIError,
)
from backpack_exchange_sdk.authenticated import (  # type: ignore[import-not-found,unused-ignore]
    AuthenticationClient,
)
from backpack_exchange_sdk.public import (  # type: ignore[import-not-found,unused-ignore]
    PublicClient,
)
from backpack_exchange_sdk.websocket import (  # type: ignore[import-not-found,unused-ignore]
    WebSocketClient,
)

from tests.clients.every_call import ORDER, SYMBOL, Arguments, call_every
from tests.clients.scenario import run

PATIENCE_S = 15
STREAMS = ("depth", "bookTicker", "ticker")
Venue = dict[str, Any]


def account(venue: Venue) -> Any:
    keys = venue["accounts"]["demo1"]
    return AuthenticationClient(keys["apiKey"], keys["apiSecret"], base_url=venue["http"] + "/")


def test_every_call(venue: Venue) -> None:
    def call(method: Callable[..., Any], given: Arguments) -> Any:
        try:
            return method(**given)
        except BackpackAPIError as error:
            return error.code

    order = {**ORDER, "orderType": "Limit", "timeInForce": "GTC"}
    call_every([PublicClient(base_url=venue["http"] + "/"), account(venue)], order, call)


def test_streams(venue: Venue) -> None:
    """Public ones and that of the own orders, until each has delivered."""

    class Local(WebSocketClient):  # type: ignore[misc,unused-ignore]
        """The address is a constant of its constructor."""

        base_url = property(lambda _: venue["ws"], lambda _, __: None)

    keys = venue["accounts"]["demo1"]
    socket = Local(keys["apiKey"], keys["apiSecret"])
    names = [f"{each}.{SYMBOL}" for each in STREAMS]
    received: dict[str, list[Any]] = {each: [] for each in (*names, "account.orderUpdate")}
    for name, messages in received.items():
        socket.subscribe([name], messages.append, is_private=name.startswith("account."))
    trader = account(venue)
    until_s = time.monotonic() + PATIENCE_S
    while not all(received.values()):
        assert time.monotonic() < until_s, {each: len(got) for each, got in received.items()}
        time.sleep(0.2)
        order = trader.execute_order(**ORDER, orderType="Limit")
        trader.cancel_open_order(SYMBOL, orderId=order["id"])
    socket.close()


def clean(venue: Venue) -> None:
    """Cancel every order."""
    account(venue).cancel_open_orders(SYMBOL)


run({"every": [test_every_call], "streams": [test_streams]}, clean=clean)
