"""Answers of REST, requests of orders and messages of streams, typed.

One msgspec struct for each shape of the public contract. Decimals stay text; `Grid` (grid.py) turns
them into whole numbers. Fields that no caller needs are left out. Unknown fields are ignored, so
that a server may add some.
"""

from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType

from fairbook.api import stream_names

Level = tuple[str, str]  # price, quantity


class PriceFilter(Struct, frozen=True, rename="camel"):
    """Prices are multiples of tick_size."""

    tick_size: str
    min_price: str | None = None
    max_price: str | None = None


class QuantityFilter(Struct, frozen=True, rename="camel"):
    """Quantities are multiples of step_size."""

    step_size: str
    min_quantity: str | None = None
    max_quantity: str | None = None


class Filters(Struct, frozen=True):
    """The filters of one market."""

    price: PriceFilter
    quantity: QuantityFilter


class MarketInfo(Struct, frozen=True, rename="camel"):
    """A market of GET /api/v1/markets."""

    symbol: str
    base_symbol: str
    quote_symbol: str
    order_book_state: str
    filters: Filters


class Depth(Struct, frozen=True, rename="camel"):
    """The book at one update id. Both sides by rising price: the best bid is last."""

    asks: list[Level]
    bids: list[Level]
    last_update_id: str
    timestamp: int


class Ticker(Struct, frozen=True, rename="camel"):
    """The last 24 hours. All "0" before the first trade."""

    symbol: str
    first_price: str
    last_price: str
    high: str
    low: str
    volume: str
    quote_volume: str
    trades: str


class Trade(Struct, frozen=True, rename="camel"):
    """A public trade. timestamp in ms."""

    id: int
    price: str
    quantity: str
    quote_quantity: str
    timestamp: int
    is_buyer_maker: bool


class Kline(Struct, frozen=True, rename="camel"):
    """A candle. start and end as "2025-07-19 13:09:00", UTC."""

    start: str
    end: str
    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str
    trades: str


class Balance(Struct, frozen=True):
    """An account's balance of one asset."""

    available: str
    locked: str


class OrderState(Struct, frozen=True, rename="camel"):
    """An order. created_at: in ms, or text in the history."""

    id: str
    symbol: str
    side: str
    order_type: str
    status: str
    executed_quantity: str
    executed_quote_quantity: str
    time_in_force: str
    created_at: int | str
    client_id: int | str | None = None
    price: str | None = None
    quantity: str | None = None
    quote_quantity: str | None = None
    post_only: bool | None = None
    self_trade_prevention: str | None = None
    expiry_reason: str | None = None


class OwnFill(Struct, frozen=True, rename="camel"):
    """The account's own side of a trade, in its history."""

    trade_id: int
    order_id: str
    symbol: str
    side: str
    price: str
    quantity: str
    fee: str
    fee_symbol: str
    is_maker: bool
    timestamp: str
    client_id: str | None = None


class NewOrder(Struct, frozen=True, rename="camel", kw_only=True):
    """A request to place an order; UNSET fields are not sent.

    client_id: 0 to 2^32 - 1, or a text of up to 36 characters A-Z a-z 0-9 . _ : / - ; the decimal
    text of a number is that number.
    """

    symbol: str
    side: str
    order_type: str = "Limit"
    price: str | UnsetType = UNSET
    quantity: str | UnsetType = UNSET
    quote_quantity: str | UnsetType = UNSET
    time_in_force: str | UnsetType = UNSET
    post_only: bool | UnsetType = UNSET
    client_id: int | str | UnsetType = UNSET
    self_trade_prevention: str | UnsetType = UNSET


class _StreamMessage(
    Struct,
    frozen=True,
    rename={
        "symbol": "s", "time_us": "T", "update_id": "u", "first_id": "U", "last_id": "u",
        "bids": "b", "asks": "a", "bid": "b", "bid_quantity": "B", "ask": "a", "ask_quantity": "A",
        "price": "p", "quantity": "q", "trade_id": "t", "is_buyer_maker": "m",
        "start": "t", "end": "T", "first": "o", "open": "o", "high": "h", "low": "l", "last": "c",
        "close": "c", "volume": "v", "quote_volume": "V", "trades": "n", "is_final": "X",
        "event": "e", "side": "S", "status": "X", "order_id": "i", "client_id": "c",
        "executed": "z", "fill_price": "L", "fill_quantity": "l", "fee": "n", "fee_symbol": "N",
        "is_maker": "m", "reason": "R", "asset": "a", "available": "A", "locked": "L",
    },
):  # fmt: skip
    """Base of the messages of streams: the letter of each field."""


class DepthUpdate(_StreamMessage, frozen=True):
    """The new quantities of the levels that changed from update `first_id` to `last_id`."""

    symbol: str
    first_id: int
    last_id: int
    bids: list[Level]
    asks: list[Level]


class BookTicker(_StreamMessage, frozen=True):
    """The best price of each side; "0" if it is empty."""

    symbol: str
    bid: str
    bid_quantity: str
    ask: str
    ask_quantity: str
    update_id: int


class TradeUpdate(_StreamMessage, frozen=True):
    """A public trade of the stream."""

    symbol: str
    price: str
    quantity: str
    trade_id: int
    time_us: int
    is_buyer_maker: bool


class TickerUpdate(_StreamMessage, frozen=True):
    """The last 24 hours, at most once a second."""

    symbol: str
    first: str
    last: str
    high: str
    low: str
    volume: str
    quote_volume: str
    trades: int


class KlineUpdate(_StreamMessage, frozen=True):
    """The running candle, or one that has ended (is_final)."""

    symbol: str
    start: str
    end: str
    open: str | None
    high: str | None
    low: str | None
    close: str | None
    volume: str
    trades: int
    is_final: bool


class OrderUpdate(_StreamMessage, frozen=True):
    """event: orderAccepted, orderFill, orderCancelled, orderExpired or orderModified."""

    event: str
    symbol: str
    side: str
    status: str
    order_id: str
    executed: str
    client_id: int | str | None = None
    price: str | None = None
    quantity: str | None = None
    fill_price: str | None = None
    fill_quantity: str | None = None
    trade_id: int | None = None
    fee: str | None = None
    fee_symbol: str | None = None
    is_maker: bool | None = None
    reason: str | None = None


class BalanceUpdate(_StreamMessage, frozen=True):
    """The account's new balance of one asset."""

    asset: str
    available: str
    locked: str
    time_us: int


_TYPES: Final[dict[int, Any]] = {
    stream_names.DEPTH: DepthUpdate,
    stream_names.BOOK_TICKER: BookTicker,
    stream_names.TRADE: TradeUpdate,
    stream_names.TICKER: TickerUpdate,
    stream_names.KLINE: KlineUpdate,
    stream_names.ORDER_UPDATE: OrderUpdate,
    stream_names.BALANCE_UPDATE: BalanceUpdate,
}


def type_of_stream(name: str) -> Any:
    """The type of a stream's messages; `Any` (plain JSON) for unknown names."""
    found = stream_names.parse_stream_name(name)
    return Any if found is None else _TYPES.get(found.kind, Any)
