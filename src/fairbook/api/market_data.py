"""Market data over HTTP as JSON: depth, trades, candles, tickers. Times are in UTC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fairbook.api.numbers import Scale, Terms
from fairbook.api.times import utc_second
from fairbook.core.records import ASK
from fairbook.core.units import MILLION

_FRACTION: Final = Scale("Fraction", step=1, decimals=6)


def depth_object(
    terms: Terms,
    *,
    bids: Sequence[tuple[int, int]],
    asks: Sequence[tuple[int, int]],
    update_id: int,
    time_ns: int,
) -> dict[str, Any]:
    """A book of (ticks, lots), best first; both sides are shown by rising price."""
    price, quantity = terms.price.text, terms.quantity.text
    return {
        "asks": [(price(ticks), quantity(lots)) for ticks, lots in asks],
        "bids": [(price(ticks), quantity(lots)) for ticks, lots in reversed(bids)],
        "lastUpdateId": str(update_id),
        "timestamp": time_ns // 1000,
    }


def trade_text(
    terms: Terms,
    *,
    trade_id: int,
    price: int,
    lots: int,
    quote: int,
    taker_side: int,
    time_ns: int,
) -> str:
    """One trade."""
    return (
        f'{{"id":{trade_id},"price":"{terms.price.text(price)}",'
        f'"quantity":"{terms.quantity.text(lots)}",'
        f'"quoteQuantity":"{terms.quote.text(quote)}","timestamp":{time_ns // MILLION},'
        f'"isBuyerMaker":{"true" if taker_side == ASK else "false"}}}'
    )


def kline_text(
    terms: Terms,
    *,
    start_s: int,
    end_s: int,
    open: int,
    high: int,
    low: int,
    close: int,
    lots: int,
    quote: int,
    trades: int,
) -> str:
    """One candle, from `start_s` up to and without `end_s`."""
    price = terms.price.text
    return (
        f'{{"start":"{utc_second(start_s, " ")}","end":"{utc_second(end_s, " ")}",'
        f'"open":"{price(open)}","high":"{price(high)}","low":"{price(low)}",'
        f'"close":"{price(close)}","volume":"{terms.quantity.text(lots)}",'
        f'"quoteVolume":"{terms.quote.text(quote)}","trades":"{trades}"}}'
    )


def ticker_text(
    terms: Terms,
    *,
    first: int,
    last: int,
    high: int,
    low: int,
    lots: int,
    quote: int,
    trades: int,
) -> str:
    """The last 24 hours. Before the first trade everything is 0."""
    price = terms.price.text
    change = last - first
    size = abs(change)
    ppm = (size * MILLION * 2 + first) // (2 * first) if size else 0
    sign = "-" if change < 0 else ""
    return (
        f'{{"symbol":"{terms.symbol}","firstPrice":"{price(first)}",'
        f'"lastPrice":"{price(last)}","priceChange":"{sign if size else ""}{price(size)}",'
        f'"priceChangePercent":"{sign if ppm else ""}{_FRACTION.text(ppm)}",'
        f'"high":"{price(high)}","low":"{price(low)}",'
        f'"volume":"{terms.quantity.text(lots)}",'
        f'"quoteVolume":"{terms.quote.text(quote)}","trades":"{trades}"}}'
    )
