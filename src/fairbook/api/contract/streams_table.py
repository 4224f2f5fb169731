"""The streams of the public contract, and the shapes of their messages, for `/streams.json`."""

from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from fairbook.api.contract.reply_shapes import (
    Decimal,
    Expiry,
    Level,
    MarketState,
    Microseconds,
    OrderId,
    OrderStatus,
    SelfTrade,
    Side,
    TimeInForce,
    UtcTime,
)
from fairbook.candles.bars import INTERVALS


class Event(Struct, forbid_unknown_fields=True, kw_only=True):
    """Sent at `E`, by the clock, in microseconds."""

    sent: Microseconds = field(name="E")
    symbol: str = field(name="s")


class DepthEvent(Event, kw_only=True):
    kind: Literal["depth"] = field(name="e")
    asks: list[Level] = field(name="a")
    bids: list[Level] = field(name="b")
    first_id: int = field(name="U")
    last_id: int = field(name="u")
    time: Microseconds = field(name="T")


class BookTickerEvent(Event, kw_only=True):
    kind: Literal["bookTicker"] = field(name="e")
    ask: Decimal = field(name="a")
    ask_quantity: Decimal = field(name="A")
    bid: Decimal = field(name="b")
    bid_quantity: Decimal = field(name="B")
    last_id: int = field(name="u")
    time: Microseconds = field(name="T")


class TradeEvent(Event, kw_only=True):
    kind: Literal["trade"] = field(name="e")
    price: Decimal = field(name="p")
    quantity: Decimal = field(name="q")
    buyer_order: OrderId = field(name="b")
    seller_order: OrderId = field(name="a")
    trade_id: int = field(name="t")
    time: Microseconds = field(name="T")
    is_buyer_maker: bool = field(name="m")


class TickerEvent(Event, kw_only=True):
    kind: Literal["ticker"] = field(name="e")
    open: Decimal = field(name="o")
    close: Decimal = field(name="c")
    high: Decimal = field(name="h")
    low: Decimal = field(name="l")
    volume: Decimal = field(name="v")
    quote_volume: Decimal = field(name="V")
    trades: int = field(name="n")


class KlineEvent(Event, kw_only=True):
    kind: Literal["kline"] = field(name="e")
    start: UtcTime = field(name="t")
    end: UtcTime = field(name="T")
    open: Decimal = field(name="o")
    close: Decimal = field(name="c")
    high: Decimal = field(name="h")
    low: Decimal = field(name="l")
    volume: Decimal = field(name="v")
    trades: int = field(name="n")
    is_final: bool = field(name="X")


class OrderEvent(Event, kw_only=True):
    kind: Literal[
        "orderAccepted", "orderFill", "orderCancelled", "orderExpired", "orderModified"
    ] = field(name="e")
    client_id: int | str | UnsetType = field(name="c", default=UNSET)
    side: Side = field(name="S")
    order_type: Literal["LIMIT", "MARKET"] = field(name="o")
    time_in_force: TimeInForce = field(name="f")
    quantity: Decimal = field(name="q")
    quote_quantity: Decimal | UnsetType = field(name="Q", default=UNSET)
    price: Decimal | UnsetType = field(name="p", default=UNSET)
    status: OrderStatus = field(name="X")
    order_id: OrderId = field(name="i")
    trade_id: int | UnsetType = field(name="t", default=UNSET)
    fill_quantity: Decimal | UnsetType = field(name="l", default=UNSET)
    fill_price: Decimal | UnsetType = field(name="L", default=UNSET)
    is_maker: bool | UnsetType = field(name="m", default=UNSET)
    fee: Decimal | UnsetType = field(name="n", default=UNSET)
    fee_symbol: str | UnsetType = field(name="N", default=UNSET)
    executed: Decimal = field(name="z")
    executed_quote: Decimal = field(name="Z")
    self_trade_prevention: SelfTrade = field(name="V")
    time: Microseconds = field(name="T")
    origin: Literal["USER"] = field(name="O")
    reduce_only: bool = field(name="r")
    post_only: bool = field(name="y")
    reason: Expiry | UnsetType = field(name="R", default=UNSET)


class BalanceEvent(Struct, forbid_unknown_fields=True, kw_only=True):
    kind: Literal["balanceUpdate"] = field(name="e")
    sent: Microseconds = field(name="E")
    symbol: str = field(name="a")
    available: Decimal = field(name="A")
    locked: Decimal = field(name="L")
    staked: Annotated[str, Meta(pattern="^0$")] = field(name="S")
    time: Microseconds = field(name="T")


class VenueEvent(Struct, forbid_unknown_fields=True, kw_only=True):
    kind: Literal["venue"] = field(name="e")
    sent: Microseconds = field(name="E")
    is_paused: bool = field(name="paused")
    markets: dict[str, MarketState]
    announcements: list[str]


class CheckpointEvent(Struct, forbid_unknown_fields=True, kw_only=True):
    kind: Literal["checkpoint"] = field(name="e")
    sent: Microseconds = field(name="E")
    note: str
    key: str


class Stream(NamedTuple):
    """One kind of stream. `name`: with its parts in braces."""

    name: str
    summary: str
    message: Any
    is_private: bool = False


STREAMS: Final = (
    Stream("depth.{symbol}", "changes of the book, as they come", DepthEvent),
    Stream("depth.{every}.{symbol}", "the same, merged: 200ms, 600ms, 1000ms", DepthEvent),
    Stream("bookTicker.{symbol}", "the best prices", BookTickerEvent),
    Stream("trade.{symbol}", "trades", TradeEvent),
    Stream("ticker.{symbol}", "the last 24 hours, once a second", TickerEvent),
    Stream("kline.{interval}.{symbol}", f"candles: {', '.join(INTERVALS)}", KlineEvent),
    Stream("venue", "states of the markets, pauses, announcements", VenueEvent),
    Stream("checkpoint", "each signed checkpoint", CheckpointEvent),
    Stream("account.orderUpdate", "own orders", OrderEvent, True),
    Stream("account.orderUpdate.{symbol}", "own orders of a market", OrderEvent, True),
    Stream("account.balanceUpdate", "own balances", BalanceEvent, True),
)


def streams() -> dict[str, Any]:
    """The document. Names in messages are those on the wire."""
    schemas, components = msgspec.json.schema_components(
        [stream.message for stream in STREAMS], ref_template="#/components/schemas/{name}"
    )
    return {
        "streams": [
            {
                "name": stream.name, "summary": stream.summary, "private": stream.is_private,
                "data": schema,
            }
            for stream, schema in zip(STREAMS, schemas, strict=True)
        ],
        "components": {"schemas": components},
    }  # fmt: skip
