"""The endpoints that only read: markets, depth, balances, open orders, limits.

How it works: what is public is answered from the state as it is; what belongs to an account is
answered after everything that was submitted before the request, so that a read sees the writes
before it.

Not here: what needs recorded history, and what is never offered (stubs.py).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from fairbook.api.errors import ApiError, invalid_market, not_found, rejected
from fairbook.api.numbers import Scale
from fairbook.api.orders import SIDES, named_order, record_text
from fairbook.api.requests import Fields, choice, is_absent, symbol_field, text_field
from fairbook.core.records import ASK, BAD_PRICE, OrderRecord
from fairbook.core.units import MAX_UNITS
from fairbook.gateway.listings import Listings, market_object
from fairbook.gateway.request import OF_BODY, TEXT_TYPE, Endpoint, Endpoints, Reply, Request
from fairbook.gateway.submitter import Submitter
from fairbook.ports.accounts import READ, TRADE

_DEPTH_LEVELS: Final = (5, 10, 20, 50, 100, 500, 1000)
_BASIS_POINTS: Final = Scale("Fee", step=1, decimals=2)  # of ppm
_PONG: Final = Reply(b"pong", content_type=TEXT_TYPE)

encode = msgspec.json.encode


class Reads:
    """Everything that is asked of the catalogue or the engine."""

    def __init__(self, answers: Submitter, listings: Listings) -> None:
        self._answers = answers
        self._listings = listings

    def endpoints(self) -> Endpoints:
        """Every GET with an answer of its own, and PATCH /api/v1/account."""
        limits = b"/api/v1/account/limits/"
        return {
            ("GET", b"/api/v1/ping"): Endpoint(self.ping),
            ("GET", b"/api/v1/time"): Endpoint(self.time),
            ("GET", b"/api/v1/status"): Endpoint(self.status),
            ("GET", b"/api/v1/markets"): Endpoint(self.markets),
            ("GET", b"/api/v1/market"): Endpoint(self.market),
            ("GET", b"/api/v1/assets"): Endpoint(self.assets),
            ("GET", b"/api/v1/depth"): Endpoint(self.depth),
            ("GET", b"/api/v1/order"): Endpoint(self.order, "orderQuery", READ),
            ("GET", b"/api/v1/orders"): Endpoint(self.orders, "orderQueryAll", READ),
            ("GET", b"/api/v1/capital"): Endpoint(self.capital, "balanceQuery", READ),
            ("GET", b"/api/v1/account"): Endpoint(self.account, "accountQuery", READ),
            ("PATCH", b"/api/v1/account"): Endpoint(
                self.set_account, "accountUpdate", TRADE, OF_BODY, writes=True
            ),
            ("GET", limits + b"order"): Endpoint(self.order_limit, "maxOrderQuantity", READ),
            ("GET", limits + b"withdrawal"): Endpoint(
                self.withdrawal_limit, "maxWithdrawalQuantity", READ
            ),
            ("GET", limits + b"borrow"): Endpoint(self.borrow_limit, "maxBorrowQuantity", READ),
        }

    async def ping(self, _call: Request) -> Reply:
        """GET /api/v1/ping: text."""
        return _PONG

    async def time(self, _call: Request) -> Reply:
        """GET /api/v1/time: milliseconds, as text."""
        return Reply(b"%d" % (time.time_ns() // 1_000_000), content_type=TEXT_TYPE)

    async def status(self, _call: Request) -> bytes:
        """GET /api/v1/status: Maintenance while only cancels are taken."""
        view = await self._answers.view_now()
        if view.paused():
            return b'{"status":"Maintenance","message":"Only cancels are taken"}'
        return b'{"status":"Ok","message":null}'

    async def markets(self, call: Request) -> bytes:
        """GET /api/v1/markets[?marketType=]."""
        if not wants_spot(call.fields):
            return b"[]"
        return encode([market_object(terms) for terms in self._listings.all_terms()])

    async def market(self, call: Request) -> bytes:
        """GET /api/v1/market?symbol=."""
        return encode(market_object(self._listings.terms(symbol_field(call.fields))))

    async def market_of_path(self, call: Request) -> bytes:
        """GET /api/v1/markets/{symbol}."""
        try:
            symbol = call.path.rpartition(b"/")[2].decode("ascii")
        except UnicodeDecodeError:
            raise invalid_market() from None
        return encode(market_object(self._listings.terms(symbol)))

    async def assets(self, _call: Request) -> bytes:
        """GET /api/v1/assets."""
        return encode(self._listings.asset_objects())

    async def depth(self, call: Request) -> bytes:
        """GET /api/v1/depth: both sides by rising price."""
        terms = self._listings.terms(symbol_field(call.fields))
        levels_max = _levels_max(call.fields)
        depth = (await self._answers.view_now()).depth(terms.id, levels_max)
        price, quantity = terms.price.text, terms.quantity.text
        return encode(
            {
                "asks": [(price(p), quantity(q)) for p, q in depth.asks],
                "bids": [(price(p), quantity(q)) for p, q in reversed(depth.bids)],
                "lastUpdateId": str(depth.update_id),
                "timestamp": depth.time_ns // 1000,
            }
        )

    async def order(self, call: Request) -> bytes:
        """GET /api/v1/order: an open order; 404 for any other, whoever's it is."""
        terms = self._listings.terms(symbol_field(call.fields))
        try:
            order_id, client_id = named_order(call.fields)
        except ApiError as error:
            if error.code == "INVALID_ORDER":
                raise not_found() from None
            raise
        view = await self._answers.view()
        order = view.order(call.account, market=terms.id, order_id=order_id, client_id=client_id)
        if order is None:
            raise not_found()
        return record_text(order, terms).encode()

    async def orders(self, call: Request) -> bytes:
        """GET /api/v1/orders[?symbol=][&marketType=]: the open ones, by rising id."""
        market = 0
        if not is_absent(call.fields, "symbol"):
            market = self._listings.terms(symbol_field(call.fields)).id
        if not wants_spot(call.fields):
            return b"[]"
        view = await self._answers.view()
        return self._order_array(view.open_orders(call.account, market))

    def _order_array(self, orders: Sequence[OrderRecord]) -> bytes:
        terms_of = self._listings.terms_of
        return f"[{','.join(record_text(o, terms_of(o.market)) for o in orders)}]".encode()

    async def capital(self, call: Request) -> bytes:
        """GET /api/v1/capital: what is not zero, by asset."""
        view = await self._answers.view()
        balances: dict[str, Any] = {}
        for asset_id, available, locked in view.balances(call.account):
            if available or locked:
                name, scale = self._listings.amounts(asset_id)
                balances[name] = {
                    "available": scale.text(available),
                    "locked": scale.text(locked),
                    "staked": "0",
                }
        return encode(balances)

    async def account(self, call: Request) -> bytes:
        """GET /api/v1/account: fees in basis points, the highest of all markets."""
        markets = [terms.market for terms in self._listings.all_terms()]
        view = await self._answers.view()
        return encode(
            {
                "autoBorrowSettlements": False,
                "autoLend": False,
                "autoRealizePnl": False,
                "autoRepayBorrows": False,
                "borrowLimit": "0",
                "futuresMakerFee": "0",
                "futuresTakerFee": "0",
                "leverageLimit": "1",
                "limitOrders": len(view.open_orders(call.account)),
                "liquidating": False,
                "positionLimit": "0",
                "spotMakerFee": _BASIS_POINTS.text(
                    max((m.maker_fee_ppm for m in markets), default=0)
                ),
                "spotTakerFee": _BASIS_POINTS.text(
                    max((m.taker_fee_ppm for m in markets), default=0)
                ),
                "triggerOrders": 0,
            }
        )

    async def set_account(self, _call: Request) -> bytes:
        """PATCH /api/v1/account: taken, and nothing here can be set."""
        return b"{}"

    async def order_limit(self, call: Request) -> bytes:
        """GET /api/v1/account/limits/order: what the balance allows at `price`, or at the best
        opposite price.
        """
        terms = self._listings.terms(symbol_field(call.fields))
        side = choice(call.fields, "side", SIDES)
        has_price = not is_absent(call.fields, "price")
        price = terms.price.units(call.fields["price"]) if has_price else 0
        if price > MAX_UNITS:
            raise rejected(BAD_PRICE)
        view = await self._answers.view()
        free = {asset: available for asset, available, _ in view.balances(call.account)}
        market = terms.market
        if side == ASK:
            lots = free.get(market.base, 0) // market.lot_atoms
        else:
            if not has_price:
                asks = view.depth(terms.id, 1).asks
                price = asks[0][0] if asks else 0
            lots = free.get(market.quote, 0) // (price * market.tick_atoms) if price else 0
        return encode(
            {
                "symbol": terms.symbol,
                "side": call.fields["side"],
                "maxOrderQuantity": terms.quantity.text(min(lots, market.quantity_max)),
                "price": terms.price.text(price) if has_price else None,
            }
        )

    async def withdrawal_limit(self, call: Request) -> bytes:
        """GET /api/v1/account/limits/withdrawal: everything that is not locked."""
        asset = self._listings.asset(text_field(call.fields, "symbol"))
        view = await self._answers.view()
        free = {asset_id: available for asset_id, available, _ in view.balances(call.account)}
        _, scale = self._listings.amounts(asset.id)
        quantity = scale.text(free.get(asset.id, 0))
        return encode({"symbol": asset.name, "maxWithdrawalQuantity": quantity})

    async def borrow_limit(self, call: Request) -> bytes:
        """GET /api/v1/account/limits/borrow: nothing is lent here."""
        asset = self._listings.asset(text_field(call.fields, "symbol"))
        return encode({"symbol": asset.name, "maxBorrowQuantity": "0"})


def wants_spot(fields: Fields) -> bool:
    """Whether `marketType`, which may be given several times, leaves spot markets in."""
    kinds = fields.get("marketType")
    return not kinds or "SPOT" in kinds


def _levels_max(fields: Fields) -> int:
    """The depth limit, rounded up to one the contract names. Raises INVALID_RANGE."""
    if is_absent(fields, "limit"):
        return _DEPTH_LEVELS[-1]
    text = fields["limit"]
    if not (text.isascii() and text.isdigit()) or len(text) > 18 or int(text) == 0:
        raise ApiError(400, "INVALID_RANGE", "Invalid limit")
    wanted = int(text)
    return next((levels for levels in _DEPTH_LEVELS if levels >= wanted), _DEPTH_LEVELS[-1])
