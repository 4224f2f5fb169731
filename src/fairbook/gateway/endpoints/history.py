"""The endpoints of what happened: trades, candles, tickers; orders and fills of an account.

How it works: rows of the history become the JSON of the contract, a few at a time.

Always true: prices, quantities and fees are exact texts; no float is made, for ratios either.

Not here: money that came or went (transfers.py), how far the history is (past.py), where it is kept
(the package history).
"""

from __future__ import annotations

from typing import Final

from fairbook.api.errors import ApiError, BadRequest, not_implemented
from fairbook.api.numbers import Scale, Terms
from fairbook.api.orders import past_text
from fairbook.api.requests import (
    Fields,
    client_id_field,
    is_absent,
    order_id_field,
    symbol_field,
    text_field,
)
from fairbook.candles.bars import INTERVALS, Bar, bucket_end
from fairbook.candles.ticker import Totals
from fairbook.core.records import ASK, BID, HAS_CLIENT_ID, OrderRecord
from fairbook.gateway.endpoints.ranges import SECONDS_MAX, page, seconds, sorted_page, span
from fairbook.gateway.endpoints.state import wants_spot
from fairbook.gateway.listings import Listings, naive_utc, spaced_utc
from fairbook.gateway.read_barrier import ReadBarrier, recorded, unrecorded
from fairbook.gateway.request import Endpoint, Endpoints, Request
from fairbook.ports.accounts import READ
from fairbook.ports.history import FillRow, OrderRow, TradeRow

BARS_MAX: Final = 1000
_MILLION: Final = 1_000_000
_FRACTION: Final = Scale("Fraction", step=1, decimals=6)


def record_endpoints(past: ReadBarrier | None, listings: Listings) -> Endpoints:
    """Everything that is asked of the history but transfers; 501 if nothing is recorded."""
    endpoints = Records(past, listings).endpoints()
    return unrecorded(endpoints) if past is None else recorded(past, endpoints)


class Records:
    """The handlers. Without `past` they must not be called."""

    def __init__(self, past: ReadBarrier | None, listings: Listings) -> None:
        self._past = past
        self._listings = listings

    def endpoints(self) -> Endpoints:
        """Five that are public, two of an account."""
        history = b"/wapi/v1/history/"
        return {
            ("GET", b"/api/v1/trades"): Endpoint(self.trades),
            ("GET", b"/api/v1/trades/history"): Endpoint(self.trades),
            ("GET", b"/api/v1/klines"): Endpoint(self.klines),
            ("GET", b"/api/v1/ticker"): Endpoint(self.ticker),
            ("GET", b"/api/v1/tickers"): Endpoint(self.tickers),
            ("GET", history + b"orders"): Endpoint(self.orders, "orderHistoryQueryAll", READ),
            ("GET", history + b"fills"): Endpoint(self.fills, "fillHistoryQueryAll", READ),
        }

    async def trades(self, call: Request) -> bytes:
        """GET /api/v1/trades, /api/v1/trades/history: newest first."""
        terms = self._listings.terms(symbol_field(call.fields))
        wanted = page(call.fields)
        history = await self._known.lately()
        rows = await history.trades(terms.id, wanted)
        return await self._known.array(rows, lambda row: _trade_text(row, terms))

    async def klines(self, call: Request) -> bytes:
        """GET /api/v1/klines: the earliest bars of the stretch, by rising start, without gaps."""
        terms = self._listings.terms(symbol_field(call.fields))
        interval = text_field(call.fields, "interval")
        if interval not in INTERVALS:
            raise BadRequest("Invalid interval")
        if call.fields.get("priceType", "") not in ("", "Last", "LastPrice"):
            raise not_implemented("klines of other prices than the last")
        start_s = seconds(call.fields, "startTime")
        end_s = seconds(call.fields, "endTime", SECONDS_MAX)
        if start_s > end_s:
            raise ApiError(400, "INVALID_RANGE", "startTime is after endTime")
        history = await self._known.lately()
        bars = await history.klines(
            terms.id, interval, start_s=start_s, end_s=end_s, bars_max=BARS_MAX
        )
        return await self._known.array(bars, lambda bar: _bar_text(bar, interval, terms))

    async def ticker(self, call: Request) -> bytes:
        """GET /api/v1/ticker: the last 24 hours of one market."""
        terms = self._listings.terms(symbol_field(call.fields))
        _require_a_day(call.fields)
        history = await self._known.lately()
        return _ticker_text(await history.ticker(terms.id), terms).encode()

    async def tickers(self, call: Request) -> bytes:
        """GET /api/v1/tickers: of every market."""
        _require_a_day(call.fields)
        if not wants_spot(call.fields):
            return b"[]"
        history = await self._known.lately()
        texts = [
            _ticker_text(await history.ticker(terms.id), terms)
            for terms in self._listings.all_terms()
        ]
        return f"[{','.join(texts)}]".encode()

    async def orders(self, call: Request) -> bytes:
        """GET /wapi/v1/history/orders: open and closed ones, newest first."""
        fields = call.fields
        wanted = sorted_page(fields)
        market = self._market(fields)
        client_id = client_id_field(fields)
        order_id = _order_id(fields)
        if order_id is None or not wants_spot(fields):
            return b"[]"
        if order_id and not wanted.offset:
            # The engine knows an open one: no recorder needs to be asked, and none to be there.
            view = await self._known.view()
            order = view.order(call.account, market=market, order_id=order_id)
            if order is not None and client_id in (None, _client_id_of(order)):
                return f"[{self._order_text(order)}]".encode()
        history = await self._known.settled()
        rows = await history.orders(
            call.account, wanted, market=market, order_id=order_id, client_id=client_id
        )
        return await self._known.array(rows, self._order_text)

    async def fills(self, call: Request) -> bytes:
        """GET /wapi/v1/history/fills: newest first."""
        fields = call.fields
        wanted = sorted_page(fields)
        within = span(fields)
        market = self._market(fields)
        order_id = _order_id(fields)
        if order_id is None or fields.get("fillType", "User") not in ("", "User"):
            return b"[]"  # Nobody is liquidated here.
        if not wants_spot(fields):
            return b"[]"
        history = await self._known.settled()
        rows = await history.fills(
            call.account, wanted, span=within, market=market, order_id=order_id
        )
        return await self._known.array(rows, self._fill_text)

    @property
    def _known(self) -> ReadBarrier:
        assert self._past is not None
        return self._past

    def _market(self, fields: Fields) -> int:
        """The id of the market that is asked for; 0: any."""
        if is_absent(fields, "symbol"):
            return 0
        return self._listings.terms(symbol_field(fields)).id

    def _order_text(self, row: OrderRow | OrderRecord) -> str:
        return past_text(
            self._listings.terms_of(row.market), flags=row.flags, side=row.side, tif=row.tif,
            order_id=row.order_id, client_id=row.client_id, price=row.price,
            quantity=row.quantity, filled=row.filled, quote=row.quote, status=row.status,
            reason=row.reason, created=naive_utc(row.created_ns, decimals=3),
        )  # fmt: skip

    def _fill_text(self, row: FillRow) -> str:
        terms = self._listings.terms_of(row.market)
        is_bid = row.side == BID
        client_id = "null" if row.client_id is None else f'"{row.client_id}"'
        fee = (terms.base if is_bid else terms.quote).text(row.fee)
        return (
            f'{{"tradeId":{row.trade_id},"orderId":"{row.order_id}","clientId":{client_id},'
            f'"symbol":"{terms.symbol}","side":"{"Bid" if is_bid else "Ask"}",'
            f'"price":"{terms.price.text(row.price)}","quantity":"{terms.quantity.text(row.lots)}",'
            f'"fee":"{fee}","feeSymbol":"{terms.base_symbol if is_bid else terms.quote_symbol}",'
            f'"isMaker":{"true" if row.is_maker else "false"},"systemOrderType":null,'
            f'"timestamp":"{naive_utc(row.time_ns, decimals=3)}"}}'
        )


def _require_a_day(fields: Fields) -> None:
    """The one stretch for which there are tickers."""
    interval = fields.get("interval", "")
    if interval == "1w":
        raise not_implemented("tickers of a week")
    if interval not in ("", "1d"):
        raise BadRequest("Invalid interval")


def _order_id(fields: Fields) -> int | None:
    """The order that is asked for; 0: any; None: one that cannot be."""
    try:
        order_id = order_id_field(fields)
    except ApiError as error:
        if error.code == "INVALID_ORDER":
            return None
        raise
    return 0 if order_id is None else order_id or None  # No order has the id 0.


def _client_id_of(order: OrderRecord) -> int | None:
    return order.client_id if order.flags & HAS_CLIENT_ID else None


def _trade_text(row: TradeRow, terms: Terms) -> str:
    return (
        f'{{"id":{row.trade_id},"price":"{terms.price.text(row.price)}",'
        f'"quantity":"{terms.quantity.text(row.lots)}",'
        f'"quoteQuantity":"{terms.quote.text(row.quote)}","timestamp":{row.time_ns // _MILLION},'
        f'"isBuyerMaker":{"true" if row.taker_side == ASK else "false"}}}'
    )


def _bar_text(bar: Bar, interval: str, terms: Terms) -> str:
    price = terms.price.text
    start, end = spaced_utc(bar.start_s), spaced_utc(bucket_end(interval, bar.start_s))
    return (
        f'{{"start":"{start}","end":"{end}","open":"{price(bar.open)}","high":"{price(bar.high)}",'
        f'"low":"{price(bar.low)}","close":"{price(bar.close)}",'
        f'"volume":"{terms.quantity.text(bar.lots)}","quoteVolume":"{terms.quote.text(bar.quote)}",'
        f'"trades":"{bar.trades}"}}'
    )


def _ticker_text(totals: Totals | None, terms: Terms) -> str:
    """Zeros before the first trade."""
    if totals is None:
        totals = Totals(first=0, last=0, high=0, low=0, lots=0, quote=0, trades=0)
    price = terms.price.text
    change = totals.last - totals.first
    size = abs(change)
    ppm = (size * _MILLION * 2 + totals.first) // (2 * totals.first) if size else 0
    sign = "-" if change < 0 else ""
    return (
        f'{{"symbol":"{terms.symbol}","firstPrice":"{price(totals.first)}",'
        f'"lastPrice":"{price(totals.last)}","priceChange":"{sign if size else ""}{price(size)}",'
        f'"priceChangePercent":"{sign if ppm else ""}{_FRACTION.text(ppm)}",'
        f'"high":"{price(totals.high)}","low":"{price(totals.low)}",'
        f'"volume":"{terms.quantity.text(totals.lots)}",'
        f'"quoteVolume":"{terms.quote.text(totals.quote)}","trades":"{totals.trades}"}}'
    )
