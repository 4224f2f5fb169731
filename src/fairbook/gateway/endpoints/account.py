"""The endpoints of an account: open orders, balances, settings, limits.

Invariant: an answer includes everything that was submitted before the request.
"""

from typing import Any

import msgspec

from fairbook.api import account as shapes
from fairbook.api.enumerations import wants_spot
from fairbook.api.errors import ApiError, not_found, rejected
from fairbook.api.listings import Listings
from fairbook.api.orders import SIDES, named_order, record_text
from fairbook.api.requests import choice, is_absent, symbol_field, text_field
from fairbook.core.records import ASK, BAD_PRICE
from fairbook.core.units import MAX_UNITS
from fairbook.gateway.request import Endpoint, Endpoints, Request, always
from fairbook.gateway.submitter import Submitter
from fairbook.ports.accounts import READ, TRADE
from fairbook.ports.queries import StateView

encode = msgspec.json.encode


class AccountEndpoints:
    """What is read of an account in the engine's state."""

    def __init__(self, submitter: Submitter, listings: Listings) -> None:
        self._submitter = submitter
        self._listings = listings

    def endpoints(self) -> Endpoints:
        limits = b"/api/v1/account/limits/"
        return {
            (b"GET", b"/api/v1/order"): Endpoint(self.order, "orderQuery", READ),
            (b"GET", b"/api/v1/orders"): Endpoint(self.orders, "orderQueryAll", READ),
            (b"GET", b"/api/v1/capital"): Endpoint(self.capital, "balanceQuery", READ),
            (b"GET", b"/api/v1/account"): Endpoint(self.account, "accountQuery", READ),
            # There are no settings to change.
            (b"PATCH", b"/api/v1/account"): Endpoint(
                always(b"{}"), "accountUpdate", TRADE, "body", writes=True
            ),
            (b"GET", limits + b"order"): Endpoint(self.order_limit, "maxOrderQuantity", READ),
            (b"GET", limits + b"withdrawal"): Endpoint(
                self.withdrawal_limit, "maxWithdrawalQuantity", READ
            ),
            (b"GET", limits + b"borrow"): Endpoint(self.borrow_limit, "maxBorrowQuantity", READ),
        }

    async def order(self, request: Request) -> bytes:
        """An open order; 404 for any other, also another account's."""
        scales = self._listings.scales(symbol_field(request.fields))
        try:
            order_id, client_id = named_order(request.fields)
        except ApiError as error:
            if error.code == "INVALID_ORDER":
                raise not_found() from None
            raise
        view = await self._submitter.view()
        order = view.order(
            request.account, market=scales.id, order_id=order_id, client_id=client_id
        )
        if order is None:
            raise not_found()
        return record_text(order, scales).encode()

    async def orders(self, request: Request) -> bytes:
        """The open ones, by rising id."""
        market = self._listings.market_id(request.fields)
        if not wants_spot(request.fields):
            return b"[]"
        view = await self._submitter.view()
        scales_of = self._listings.scales_of
        orders = view.open_orders(request.account, market)
        return f"[{','.join(record_text(o, scales_of(o.market)) for o in orders)}]".encode()

    async def capital(self, request: Request) -> bytes:
        """Balances that are not zero, by asset."""
        view = await self._submitter.view()
        balances: dict[str, Any] = {}
        for asset_id, available, locked in view.balances(request.account):
            if available or locked:
                name, scale = self._listings.asset_scale(asset_id)
                balances[name] = shapes.balance_object(scale, available=available, locked=locked)
        return encode(balances)

    async def account(self, request: Request) -> bytes:
        """Fees are the highest of all markets."""
        markets = self._listings.catalogue.markets()
        view = await self._submitter.view()
        return encode(
            shapes.account_object(
                open_orders=len(view.open_orders(request.account)),
                maker_fee_ppm=max((market.maker_fee_ppm for market in markets), default=0),
                taker_fee_ppm=max((market.taker_fee_ppm for market in markets), default=0),
            )
        )

    async def order_limit(self, request: Request) -> bytes:
        """What the balance allows at `price`, or at the best opposite price."""
        fields = request.fields
        scales = self._listings.scales(symbol_field(fields))
        side = choice(fields, "side", SIDES)
        has_price = not is_absent(fields, "price")
        price = scales.price.units(fields["price"]) if has_price else 0
        if price > MAX_UNITS:
            raise rejected(BAD_PRICE)
        view = await self._submitter.view()
        market = scales.market
        if side == ASK:
            lots = _available(view, request.account, market.base) // market.lot_atoms
        else:
            if not has_price:
                asks = view.depth(scales.id, 1).asks
                price = asks[0][0] if asks else 0
            available = _available(view, request.account, market.quote)
            lots = available // (price * market.tick_atoms) if price else 0
        return encode(
            shapes.order_limit_object(
                scales.symbol,
                side=fields["side"],
                quantity=scales.quantity.text(min(lots, market.quantity_max)),
                price=scales.price.text(price) if has_price else None,
            )
        )

    async def withdrawal_limit(self, request: Request) -> bytes:
        """Everything that is not locked."""
        asset = self._listings.asset(text_field(request.fields, "symbol"))
        view = await self._submitter.view()
        _, scale = self._listings.asset_scale(asset.id)
        quantity = scale.text(_available(view, request.account, asset.id))
        return encode(shapes.withdrawal_limit_object(asset.name, quantity))

    async def borrow_limit(self, request: Request) -> bytes:
        asset = self._listings.asset(text_field(request.fields, "symbol"))
        return encode(shapes.borrow_limit_object(asset.name))


def _available(view: StateView, account: int, asset_id: int) -> int:
    return next((free for asset, free, _ in view.balances(account) if asset == asset_id), 0)
