"""The exchange over HTTP, typed.

How it works: one pooled aiohttp session; each call is one request, signed or with a token if its
endpoint is private. Nothing is repeated on its own: whoever placed an order with a client id may.

Always true: a call returns what the exchange answered, or raises Refused, OutcomeUnknown (sent, and
no answer), Disconnected or BadAnswer; it ends within `timeout_s`.

Not here: streams and orders over WebSocket (socket.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import aiohttp
import msgspec
from yarl import URL

from fairbook.client.credentials import Credentials
from fairbook.client.errors import (
    BadAnswer,
    Disconnected,
    OutcomeUnknown,
    RequestRefused,
    error_of,
)
from fairbook.client.fields import order_fields
from fairbook.client.messages import (
    Balance,
    Depth,
    Fill,
    Kline,
    Market,
    NewOrder,
    Order,
    Ticker,
    Trade,
)

CONNECTIONS_MAX: Final = 32
T = TypeVar("T")
_Item = dict[str, Any]
_DECODE_ORDER: Final = msgspec.json.Decoder(Order).decode


class Rest:
    """One exchange; use it as `async with Rest(...) as rest`."""

    def __init__(
        self, url: str, credentials: Credentials | None = None, *, timeout_s: float = 10.0
    ) -> None:
        """url: as in "http://127.0.0.1:8000". Private calls need credentials."""
        self._url = url.rstrip("/")
        self._credentials = credentials
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
            timeout=aiohttp.ClientTimeout(total=timeout_s),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End its connections."""
        await self._session.close()

    async def markets(self) -> list[Market]:
        """All markets."""
        return await self._ask("GET", "/api/v1/markets", list[Market])

    async def depth(self, symbol: str, *, limit: int | None = None) -> Depth:
        """The book now. limit: levels of each side, 1000 if None."""
        query = {"symbol": symbol} | ({} if limit is None else {"limit": str(limit)})
        return await self._ask("GET", "/api/v1/depth", Depth, query=query)

    async def ticker(self, symbol: str) -> Ticker:
        """24 hours of one market."""
        return await self._ask("GET", "/api/v1/ticker", Ticker, query={"symbol": symbol})

    async def tickers(self) -> list[Ticker]:
        """24 hours of all markets."""
        return await self._ask("GET", "/api/v1/tickers", list[Ticker])

    async def trades(self, symbol: str, *, limit: int = 100) -> list[Trade]:
        """The newest trades, newest first."""
        query = {"symbol": symbol, "limit": str(limit)}
        return await self._ask("GET", "/api/v1/trades", list[Trade], query=query)

    async def klines(
        self, symbol: str, interval: str, *, start_s: int, end_s: int | None = None
    ) -> list[Kline]:
        """Candles by rising start, the earliest 1000 of the range."""
        query = {"symbol": symbol, "interval": interval, "startTime": str(start_s)}
        if end_s is not None:
            query["endTime"] = str(end_s)
        return await self._ask("GET", "/api/v1/klines", list[Kline], query=query)

    async def balances(self) -> dict[str, Balance]:
        """By asset."""
        return await self._ask("GET", "/api/v1/capital", dict[str, Balance], "balanceQuery")

    async def open_orders(self, symbol: str | None = None) -> list[Order]:
        """By rising id; of one market, or of all."""
        query = {} if symbol is None else {"symbol": symbol}
        return await self._ask("GET", "/api/v1/orders", list[Order], "orderQueryAll", query=query)

    async def order(
        self, symbol: str, *, order_id: str | None = None, client_id: int | None = None
    ) -> Order:
        """One open order. Refused with 404 if it is not open."""
        query = order_fields(symbol, order_id=order_id, client_id=client_id)
        return await self._ask("GET", "/api/v1/order", Order, "orderQuery", query=query)

    async def place(self, order: NewOrder) -> Order:
        """Place an order; returned as it is after matching."""
        body = msgspec.to_builtins(order)
        return await self._ask("POST", "/api/v1/order", Order, "orderExecute", body=body)

    async def place_several(self, orders: Sequence[NewOrder]) -> list[Order | RequestRefused]:
        """Place orders in this order, each on its own: what became of each."""
        body = msgspec.to_builtins(list(orders))
        items = await self._ask("POST", "/api/v1/orders", list[_Item], "orderExecute", body=body)
        return [
            _DECODE_ORDER(msgspec.json.encode(item)) if item["operation"] == "Ok" else _no(item)
            for item in items
        ]

    async def amend(
        self,
        symbol: str,
        *,
        order_id: str | None = None,
        client_id: int | None = None,
        price: str | None = None,
        quantity: str | None = None,
    ) -> Order:
        """Give an open order another price, or another total quantity."""
        body = order_fields(
            symbol, order_id=order_id, client_id=client_id, price=price, quantity=quantity
        )
        return await self._ask("PATCH", "/api/v1/order", Order, "orderAmend", body=body)

    async def cancel(
        self, symbol: str, *, order_id: str | None = None, client_id: int | None = None
    ) -> Order:
        """Cancel an order; returned as it was closed."""
        body = order_fields(symbol, order_id=order_id, client_id=client_id)
        return await self._ask("DELETE", "/api/v1/order", Order, "orderCancel", body=body)

    async def cancel_all(self, symbol: str) -> list[Order]:
        """Cancel all orders of a market; they are returned as they were closed."""
        body = {"symbol": symbol}
        return await self._ask("DELETE", "/api/v1/orders", list[Order], "orderCancelAll", body=body)

    async def past_orders(
        self, *, symbol: str | None = None, limit: int = 100, **fields: str
    ) -> list[Order]:
        """Orders, open ones too, newest first. fields: more of the query (orderId, offset, ...)."""
        query = {"limit": str(limit)} | ({} if symbol is None else {"symbol": symbol}) | fields
        return await self._ask(
            "GET", "/wapi/v1/history/orders", list[Order], "orderHistoryQueryAll", query=query
        )

    async def fills(
        self, *, symbol: str | None = None, limit: int = 100, **fields: str
    ) -> list[Fill]:
        """Fills, newest first. fields: more of the query."""
        query = {"limit": str(limit)} | ({} if symbol is None else {"symbol": symbol}) | fields
        return await self._ask(
            "GET", "/wapi/v1/history/fills", list[Fill], "fillHistoryQueryAll", query=query
        )

    async def _ask(
        self,
        method: str,
        path: str,
        answer: type[T],
        instruction: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | list[Mapping[str, Any]] | None = None,
    ) -> T:
        """One request. instruction: what is signed for it; empty for public endpoints."""
        url = URL(self._url + path)
        if query:
            url = url.with_query(query)
        headers = {}
        if instruction:
            if self._credentials is None:
                raise ValueError(f"{path} needs credentials")
            pairs = body if isinstance(body, list) else [body or query or {}]
            headers = self._credentials.headers(instruction, pairs)
        sent = None
        if body is not None:
            sent = msgspec.json.encode(body)
            headers["Content-Type"] = "application/json"
        try:
            async with self._session.request(method, url, data=sent, headers=headers) as response:
                content = await response.read()
        except aiohttp.ClientConnectorError as error:
            raise Disconnected(str(error)) from error
        except (TimeoutError, aiohttp.ClientError) as error:
            if method == "GET":
                raise Disconnected(f"{path}: {error!r}") from error
            raise OutcomeUnknown(f"{method} {path}: {error!r}") from error
        if not 200 <= response.status < 300:
            raise _error(response.status, response.headers.get("Retry-After", ""), content)
        try:
            return msgspec.json.decode(content, type=answer)
        except msgspec.MsgspecError as error:
            raise BadAnswer(f"{method} {path}: {error}") from error


def _no(item: _Item) -> RequestRefused:
    return RequestRefused(400, str(item["code"]), str(item["message"]))


class _ErrorBody(msgspec.Struct):
    code: str = ""
    message: str = ""


def _error(status: int, retry_after: str, content: bytes) -> Exception:
    try:
        body = msgspec.json.decode(content, type=_ErrorBody)
    except msgspec.MsgspecError:
        body = _ErrorBody(message=content[:200].decode(errors="replace"))
    wait_s = float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0
    return error_of(status, body.code, body.message, retry_after_s=wait_s)
