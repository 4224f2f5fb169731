"""Markets and their data over HTTP as JSON: listings, depth, trades, candles, tickers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from fairbook.api.numbers import Scale, Terms
from fairbook.api.times import utc_second, utc_text
from fairbook.core.markets import Asset
from fairbook.core.records import ASK
from fairbook.core.units import MAX_UNITS, MILLION

_STATE_TEXT: Final = ("Open", "PostOnly", "LimitOnly", "CancelOnly", "Closed")
_FRACTION: Final = Scale("Fraction", step=1, decimals=6)
_NO_MULTIPLIERS: Final = dict.fromkeys(
    ("maxMultiplier", "minMultiplier", "maxImpactMultiplier", "minImpactMultiplier")
)
_NO_FUTURES: Final = dict.fromkeys(
    (
        "imfFunction", "mmfFunction", "fundingInterval", "fundingRateUpperBound",
        "fundingRateLowerBound", "openInterestLimit", "positionLimitWeight",
    )
)  # fmt: skip


class AssetNames(NamedTuple):
    """How public clients know an asset."""

    display_name: str
    coingecko_id: str | None
    blockchain: str
    """The one blockchain on which it is deposited and withdrawn."""


_KNOWN: Final = {
    "BTC": AssetNames("Bitcoin", "bitcoin", "Bitcoin"),
    "ETH": AssetNames("Ethereum", "ethereum", "Ethereum"),
    "SOL": AssetNames("Solana", "solana", "Solana"),
    "USDC": AssetNames("USD Coin", "usd-coin", "Solana"),
    "USDT": AssetNames("Tether", "tether", "Solana"),
}


def asset_names(asset: Asset) -> AssetNames:
    """The names of an asset; an unknown one goes by its symbol."""
    return _KNOWN.get(asset.name, AssetNames(asset.name, None, "Solana"))


def market_object(terms: Terms) -> dict[str, Any]:
    """A market; a limit that it does not set is null."""
    market = terms.market
    return {
        "symbol": terms.symbol,
        "baseSymbol": terms.base_symbol,
        "quoteSymbol": terms.quote_symbol,
        "marketType": "SPOT",
        "orderBookState": _STATE_TEXT[market.state],
        "visible": True,
        "createdAt": utc_text(market.created_ns),
        "filters": {
            "price": {
                "minPrice": terms.price.text(market.price_min),
                "maxPrice": _limit(terms.price, market.price_max),
                "tickSize": terms.price.text(1),
                **_NO_MULTIPLIERS,
            },
            "quantity": {
                "minQuantity": terms.quantity.text(market.quantity_min),
                "maxQuantity": _limit(terms.quantity, market.quantity_max),
                "stepSize": terms.quantity.text(1),
            },
        },
        **_NO_FUTURES,
    }


def _limit(scale: Scale, units: int) -> str | None:
    return None if units == MAX_UNITS else scale.text(units)


def asset_object(asset: Asset) -> dict[str, Any]:
    """An asset, with its one blockchain."""
    names = asset_names(asset)
    return {
        "symbol": asset.name,
        "displayName": names.display_name,
        "coingeckoId": names.coingecko_id,
        "tokens": [
            {
                "displayName": names.display_name,
                "blockchain": names.blockchain,
                "contractAddress": None,
                "depositEnabled": True,
                "minimumDeposit": "0",
                "withdrawEnabled": True,
                "minimumWithdrawal": "0",
                "maximumWithdrawal": None,
                "withdrawalFee": "0",
                "nativeDecimals": asset.decimals,
            }
        ],
    }


def depth_object(
    terms: Terms, *, bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]],
    update_id: int, time_ns: int,
) -> dict[str, Any]:  # fmt: skip
    """A book of (ticks, lots), best first; both sides are shown by rising price."""
    price, quantity = terms.price.text, terms.quantity.text
    return {
        "asks": [(price(ticks), quantity(lots)) for ticks, lots in asks],
        "bids": [(price(ticks), quantity(lots)) for ticks, lots in reversed(bids)],
        "lastUpdateId": str(update_id),
        "timestamp": time_ns // 1000,
    }


def trade_text(
    terms: Terms, *, trade_id: int, price: int, lots: int, quote: int, taker_side: int,
    time_ns: int,
) -> str:  # fmt: skip
    """One trade."""
    return (
        f'{{"id":{trade_id},"price":"{terms.price.text(price)}",'
        f'"quantity":"{terms.quantity.text(lots)}",'
        f'"quoteQuantity":"{terms.quote.text(quote)}","timestamp":{time_ns // MILLION},'
        f'"isBuyerMaker":{"true" if taker_side == ASK else "false"}}}'
    )


def kline_text(
    terms: Terms, *, start_s: int, end_s: int, open: int, high: int, low: int, close: int,
    lots: int, quote: int, trades: int,
) -> str:  # fmt: skip
    """One candle, from `start_s` up to and without `end_s`."""
    price = terms.price.text
    return (
        f'{{"start":"{utc_second(start_s, " ")}","end":"{utc_second(end_s, " ")}",'
        f'"open":"{price(open)}","high":"{price(high)}","low":"{price(low)}",'
        f'"close":"{price(close)}","volume":"{terms.quantity.text(lots)}",'
        f'"quoteVolume":"{terms.quote.text(quote)}","trades":"{trades}"}}'
    )


def ticker_text(
    terms: Terms, *, first: int, last: int, high: int, low: int, lots: int, quote: int,
    trades: int,
) -> str:  # fmt: skip
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
