"""The endpoints of an account: open orders, balances, settings, limits.

Invariant: an answer includes everything that was submitted before the request.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from fairbook.api import account as shapes
from fairbook.api.enumerations import wants_spot
from fairbook.api.errors import ApiError, not_found, rejected
from fairbook.api.listings import Listings
from fairbook.api.orders import ROWS_AT_ONCE, SIDES, named_order, record_text
from fairbook.api.requests import choice, is_absent, number_field, symbol_field, text_field
from fairbook.core.exchange import ORDER_ID_MAX
from fairbook.core.records import ASK, BAD_PRICE, OrderRecord
from fairbook.core.units import MAX_UNITS
from fairbook.gateway.long_answers import LongAnswers
from fairbook.gateway.request import Endpoint, Endpoints, JsonOrReply, Reply, Request, always
from fairbook.gateway.submitter import Submitter
from fairbook.ports.accounts import READ, TRADE
from fairbook.ports.queries import StateView

encode = msgspec.json.encode


class AccountEndpoints:
    """What is read of an account in the engine's state."""

    def __init__(self, submitter: Submitter, listings: Listings, long_answers: LongAnswers) -> None:
        self._submitter = submitter
        self._long_answers = long_answers
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

    async def orders(self, request: Request) -> JsonOrReply:
        """The open ones, by rising id; `limit` of them, after `offset`. A long answer is made while
        it is sent: it has each order once that is open all the time, as it is at some moment.
        """
        market = self._listings.market_id(request.fields)
        limit = number_field(request.fields, "limit", ORDER_ID_MAX, minimum=1)
        offset = number_field(request.fields, "offset", 0)
        if not wants_spot(request.fields):
            return b"[]"
        view = await self._submitter.view()
        wanted = min(offset + limit, view.open_order_count(request.account, market))
        if wanted <= ROWS_AT_ONCE:
            orders = view.open_orders(request.account, market, None, wanted)[offset:]
            return f"[{','.join(map(self._order_text, orders))}]".encode()
        self._long_answers.charge(request, wanted)
        return Reply(b"", pieces=self._order_pieces(request.account, market, offset, wanted))

    async def _order_pieces(
        self, account: int, market: int, skipped: int, end: int
    ) -> AsyncIterator[bytes]:
        """The orders up to `end`, without the first `skipped`, in the order of their ids."""
        start = b"["
        last: OrderRecord | None = None
        while end:
            view = await self._submitter.view_now()
            orders = view.open_orders(account, market, last, min(end, ROWS_AT_ONCE))
            if not orders:
                break
            last = orders[-1]
            end -= len(orders)
            shown = orders[skipped:]
            skipped -= len(orders) - len(shown)
            if shown:
                yield start + await self._long_answers.piece(shown, self._order_text)
                start = b","
            else:
                await asyncio.sleep(0)
        yield b"]" if start == b"," else b"[]"

    def _order_text(self, order: OrderRecord) -> str:
        return record_text(order, self._listings.scales_of(order.market))

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
                open_orders=view.open_order_count(request.account),
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
        """Everything that is not locked, within the limit of the day."""
        asset = self._listings.asset(text_field(request.fields, "symbol"))
        view = await self._submitter.view()
        _, scale = self._listings.asset_scale(asset.id)
        available = _available(view, request.account, asset.id)
        quantity = scale.text(min(available, view.withdrawable_today(request.account, asset.id)))
        return encode(shapes.withdrawal_limit_object(asset.name, quantity))

    async def borrow_limit(self, request: Request) -> bytes:
        asset = self._listings.asset(text_field(request.fields, "symbol"))
        return encode(shapes.borrow_limit_object(asset.name))


def _available(view: StateView, account: int, asset_id: int) -> int:
    return next((free for asset, free, _ in view.balances(account) if asset == asset_id), 0)
