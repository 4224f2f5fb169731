"""The REST API, typed: one request per call, over a pool of connections.

A call returns the exchange's answer, or raises RequestRefused, OutcomeUnknown (sent, but not
answered), Disconnected or InvalidAnswer; it ends within `timeout_s`. No request is repeated: only
the caller knows whether that is safe, as for an order with a client id.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import aiohttp
import msgspec
from yarl import URL

from fairbook.client import errors
from fairbook.client.credentials import Credentials
from fairbook.client.messages import (
    Balance,
    Depth,
    Kline,
    MarketInfo,
    NewOrder,
    OrderState,
    OwnFill,
    Ticker,
    Trade,
)
from fairbook.client.order_requests import OrderRequests

CONNECTIONS_MAX: Final = 32
T = TypeVar("T")
_ORDER_ENDPOINTS: Final = {
    "place": ("POST", "/api/v1/order", "orderExecute"),
    "amend": ("PATCH", "/api/v1/order", "orderAmend"),
    "cancel": ("DELETE", "/api/v1/order", "orderCancel"),
    "cancelAll": ("DELETE", "/api/v1/orders", "orderCancelAll"),
    "status": ("GET", "/api/v1/order", "orderQuery"),
}
"""Method, path and instruction."""


class RestClient(OrderRequests):
    """A client of one exchange; use it as `async with RestClient(...) as rest`."""

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

    async def close(self) -> None:
        await self._session.close()

    async def markets(self) -> list[MarketInfo]:
        return await self._request("GET", "/api/v1/markets", list[MarketInfo])

    async def depth(self, symbol: str, *, limit: int | None = None) -> Depth:
        """limit: levels of each side, 1000 if None."""
        query = {"symbol": symbol} | ({} if limit is None else {"limit": str(limit)})
        return await self._request("GET", "/api/v1/depth", Depth, query=query)

    async def ticker(self, symbol: str) -> Ticker:
        return await self._request("GET", "/api/v1/ticker", Ticker, query={"symbol": symbol})

    async def tickers(self) -> list[Ticker]:
        return await self._request("GET", "/api/v1/tickers", list[Ticker])

    async def trades(self, symbol: str, *, limit: int = 100) -> list[Trade]:
        """Newest first."""
        query = {"symbol": symbol, "limit": str(limit)}
        return await self._request("GET", "/api/v1/trades", list[Trade], query=query)

    async def klines(
        self, symbol: str, interval: str, *, start_s: int, end_s: int | None = None
    ) -> list[Kline]:
        """Candles by rising start, the earliest 1000 of the range."""
        query = {"symbol": symbol, "interval": interval, "startTime": str(start_s)}
        if end_s is not None:
            query["endTime"] = str(end_s)
        return await self._request("GET", "/api/v1/klines", list[Kline], query=query)

    async def balances(self) -> dict[str, Balance]:
        """By asset."""
        return await self._request("GET", "/api/v1/capital", dict[str, Balance], "balanceQuery")

    async def liabilities(self) -> dict[str, Any]:
        """The newest proof of liabilities, as it was answered."""
        return await self._request("GET", "/api/v1/proof/liabilities", dict[str, Any])

    async def own_liabilities(self) -> dict[str, Any]:
        """The leaves of this account in it."""
        path = "/api/v1/proof/liabilities/account"
        return await self._request("GET", path, dict[str, Any], "liabilitiesQuery")

    async def open_orders(self, symbol: str | None = None) -> list[OrderState]:
        """By rising id; of one market, or of all."""
        query = {} if symbol is None else {"symbol": symbol}
        return await self._request(
            "GET", "/api/v1/orders", list[OrderState], "orderQueryAll", query=query
        )

    async def place_several(
        self, orders: Sequence[NewOrder]
    ) -> list[OrderState | errors.RequestRefused]:
        """Place orders one after the other, independently; one result for each."""
        body = msgspec.to_builtins(list(orders))
        items = await self._request(
            "POST", "/api/v1/orders", list[dict[str, Any]], "orderExecute", body=body
        )
        return [
            msgspec.convert(item, OrderState)
            if item["operation"] == "Ok"
            else errors.RequestRefused(400, str(item["code"]), str(item["message"]))
            for item in items
        ]

    async def past_orders(self, *, limit: int = 100, **fields: str) -> list[OrderState]:
        """Open and closed orders, newest first. fields: of the query (symbol, orderId, offset)."""
        query = {"limit": str(limit)} | fields
        return await self._request(
            "GET", "/wapi/v1/history/orders", list[OrderState], "orderHistoryQueryAll", query=query
        )

    async def fills(self, *, limit: int = 100, **fields: str) -> list[OwnFill]:
        """Newest first. fields: of the query."""
        query = {"limit": str(limit)} | fields
        return await self._request(
            "GET", "/wapi/v1/history/fills", list[OwnFill], "fillHistoryQueryAll", query=query
        )

    async def _order_request(self, action: str, fields: Mapping[str, Any], answer: type[T]) -> T:
        method, path, instruction = _ORDER_ENDPOINTS[action]
        if method == "GET":
            return await self._request(method, path, answer, instruction, query=fields)
        return await self._request(method, path, answer, instruction, body=fields)

    async def _request(
        self,
        method: str,
        path: str,
        answer: type[T],
        instruction: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | list[Mapping[str, Any]] | None = None,
    ) -> T:
        """instruction: of the signature; empty for public endpoints."""
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
            raise errors.Disconnected(str(error)) from error
        except (TimeoutError, aiohttp.ClientError) as error:
            if method == "GET":
                raise errors.Disconnected(f"{path}: {error!r}") from error
            raise errors.OutcomeUnknown(f"{method} {path}: {error!r}") from error
        if not 200 <= response.status < 300:
            raise _error(response.status, response.headers.get("Retry-After", ""), content)
        try:
            return msgspec.json.decode(content, type=answer)
        except msgspec.MsgspecError as error:
            raise errors.InvalidAnswer(f"{method} {path}: {error}") from error


def _error(status: int, retry_after: str, content: bytes) -> errors.ClientError:
    try:
        body = msgspec.json.decode(content, type=errors.ErrorBody)
    except msgspec.MsgspecError:
        body = errors.ErrorBody(message=content[:200].decode(errors="replace"))
    wait_s = float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0
    return body.exception(status, retry_after_s=wait_s)
