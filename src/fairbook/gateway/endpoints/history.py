"""The endpoints of history: trades, candles and tickers; orders and fills of an account."""

from functools import partial
from typing import Final

from fairbook.api.enumerations import LAST_PRICE, wants_spot
from fairbook.api.errors import ApiError, not_implemented
from fairbook.api.field_names import refuse_filters
from fairbook.api.listings import Listings
from fairbook.api.market_data import kline_text, ticker_text, trade_text
from fairbook.api.orders import client_id_of, fill_text, history_text
from fairbook.api.requests import (
    CLIENT_ID_NAMES,
    Fields,
    client_id_field,
    order_id_field,
    symbol_field,
    text_field,
)
from fairbook.candles.bars import Bar, bucket_end
from fairbook.candles.ticker import NO_TRADES, Totals
from fairbook.core.records import OrderRecord
from fairbook.gateway.endpoints.paging import SECONDS_MAX, page, seconds, sorted_page, span
from fairbook.gateway.read_barrier import ReadBarrier
from fairbook.gateway.request import Endpoint, Endpoints, Request
from fairbook.gateway.submitter import Submitter
from fairbook.ports.accounts import READ
from fairbook.ports.history import FillRow, OrderRow

BARS_MAX: Final = 1000


class HistoryEndpoints:
    """What is read from the history, without deposits and withdrawals."""

    def __init__(self, submitter: Submitter, listings: Listings, barrier: ReadBarrier) -> None:
        self._submitter = submitter
        self._barrier = barrier
        self._listings = listings

    def endpoints(self) -> Endpoints:
        guard = self._barrier.guard
        history = b"/wapi/v1/history/"
        trades = Endpoint(guard(self.trades))
        orders = Endpoint(guard(self.orders), "orderHistoryQueryAll", READ)
        fills = Endpoint(guard(self.fills), "fillHistoryQueryAll", READ)
        return {
            (b"GET", b"/api/v1/trades"): trades,
            (b"GET", b"/api/v1/trades/history"): trades,
            (b"GET", b"/api/v1/klines"): Endpoint(guard(self.klines)),
            (b"GET", b"/api/v1/ticker"): Endpoint(guard(self.ticker)),
            (b"GET", b"/api/v1/tickers"): Endpoint(guard(self.tickers)),
            (b"GET", history + b"orders"): orders,
            (b"GET", history + b"fills"): fills,
        }

    async def trades(self, request: Request) -> bytes:
        scales = self._listings.scales(symbol_field(request.fields))
        wanted = page(request.fields)
        history = await self._barrier.recent()
        rows = await history.trades(scales.id, wanted)
        return await self._barrier.long_answers.array(request, rows, partial(trade_text, scales))

    async def klines(self, request: Request) -> bytes:
        """The earliest candles of the range, by rising start, without gaps. ccxt 4.5.90 asks for a
        range that ends before it starts whenever nothing was traded: there are none.
        """
        fields = request.fields
        scales = self._listings.scales(symbol_field(fields))
        interval = text_field(fields, "interval")
        if fields.get("priceType", "") not in ("", *LAST_PRICE):
            raise not_implemented("klines of other prices than the last")
        start_s = seconds(fields, "startTime")
        end_s = seconds(fields, "endTime", SECONDS_MAX)
        if start_s > end_s:
            return b"[]"
        history = await self._barrier.recent()
        bars = await history.klines(
            scales.id, interval, start_s=start_s, end_s=end_s, bars_max=BARS_MAX
        )

        def text_of(bar: Bar) -> str:
            return kline_text(scales, bar, end_s=bucket_end(interval, bar.start_s))

        return await self._barrier.long_answers.array(request, bars, text_of)

    async def ticker(self, request: Request) -> bytes:
        market_id = self._listings.scales(symbol_field(request.fields)).id
        _require_a_day(request.fields)
        history = await self._barrier.recent()
        return self._ticker_text((market_id, await history.ticker(market_id))).encode()

    async def tickers(self, request: Request) -> bytes:
        _require_a_day(request.fields)
        if not wants_spot(request.fields):
            return b"[]"
        history = await self._barrier.recent()
        markets = self._listings.catalogue.markets()
        tickers = [(market.id, await history.ticker(market.id)) for market in markets]
        return await self._barrier.long_answers.array(request, tickers, self._ticker_text)

    def _ticker_text(self, ticker: tuple[int, Totals | None]) -> str:
        market_id, totals = ticker
        return ticker_text(self._listings.scales_of(market_id), totals or NO_TRADES)

    async def orders(self, request: Request) -> bytes:
        """Open and closed ones, newest first."""
        fields = request.fields
        wanted = sorted_page(fields)
        market = self._listings.market_id(fields)
        client_id = client_id_field(fields)
        order_id = _order_id(fields)
        if order_id is None or not wants_spot(fields):
            return b"[]"
        if order_id and not wanted.offset:
            # The engine knows an open order, even while the recorder is down.
            view = await self._submitter.view()
            order = view.order(request.account, market=market, order_id=order_id)
            if order is not None and client_id in (None, client_id_of(order)):
                return f"[{self._order_text(order)}]".encode()
        history = await self._barrier.settled()
        rows = await history.orders(
            request.account, wanted, market=market, order_id=order_id, client_id=client_id
        )
        return await self._barrier.long_answers.array(request, rows, self._order_text)

    async def fills(self, request: Request) -> bytes:
        fields = request.fields
        refuse_filters(fields, CLIENT_ID_NAMES)
        wanted, within = sorted_page(fields), span(fields)
        market = self._listings.market_id(fields)
        order_id = _order_id(fields)
        if order_id is None or fields.get("fillType", "User") not in ("", "User"):
            return b"[]"  # there are no liquidations
        if not wants_spot(fields):
            return b"[]"
        history = await self._barrier.settled()
        rows = await history.fills(
            request.account, wanted, span=within, market=market, order_id=order_id
        )
        return await self._barrier.long_answers.array(request, rows, self._fill_text)

    def _order_text(self, row: OrderRow | OrderRecord) -> str:
        return history_text(row, self._listings.scales_of(row.market))

    def _fill_text(self, row: FillRow) -> str:
        return fill_text(row, self._listings.scales_of(row.market))


def _require_a_day(fields: Fields) -> None:
    """Refuse tickers of a week."""
    if fields.get("interval") == "1w":
        raise not_implemented("tickers of a week")


def _order_id(fields: Fields) -> int | None:
    """`orderId`; 0: any; None: an id that no order has."""
    try:
        order_id = order_id_field(fields)
    except ApiError as error:
        if error.code == "INVALID_ORDER":
            return None
        raise
    return 0 if order_id is None else order_id or None
