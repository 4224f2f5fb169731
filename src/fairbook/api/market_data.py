"""Markets and their data over HTTP as JSON: listings, depth, trades, candles, tickers."""

from typing import Any, Final, NamedTuple

from fairbook.api.numbers import MarketScales, Scale
from fairbook.api.times import utc_second, utc_text
from fairbook.candles.bars import Bar
from fairbook.candles.ticker import Totals
from fairbook.core.markets import Asset
from fairbook.core.records import ASK
from fairbook.core.units import MAX_UNITS, MILLION
from fairbook.ports.history import TradeRow
from fairbook.ports.queries import BookDepth

STATE_TEXT: Final = ("Open", "PostOnly", "LimitOnly", "CancelOnly", "Closed")
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


def market_object(scales: MarketScales) -> dict[str, Any]:
    """A market; a limit that it does not set is null."""
    market = scales.market
    return {
        "symbol": scales.symbol,
        "baseSymbol": scales.base_symbol,
        "quoteSymbol": scales.quote_symbol,
        "marketType": "SPOT",
        "orderBookState": STATE_TEXT[market.state],
        "visible": True,
        "createdAt": utc_text(market.created_ns),
        "filters": {
            "price": {
                "minPrice": scales.price.text(market.price_min),
                "maxPrice": _limit(scales.price, market.price_max),
                "tickSize": scales.price.text(1),
                **_NO_MULTIPLIERS,
            },
            "quantity": {
                "minQuantity": scales.quantity.text(market.quantity_min),
                "maxQuantity": _limit(scales.quantity, market.quantity_max),
                "stepSize": scales.quantity.text(1),
            },
        },
        **_NO_FUTURES,
    }


def _limit(scale: Scale, units: int) -> str | None:
    return None if units == MAX_UNITS else scale.text(units)


def asset_object(asset: Asset) -> dict[str, Any]:
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


def depth_object(scales: MarketScales, book: BookDepth) -> dict[str, Any]:
    """Both sides are shown by rising price."""
    price, quantity = scales.price.text, scales.quantity.text
    return {
        "asks": [(price(ticks), quantity(lots)) for ticks, lots in book.asks],
        "bids": [(price(ticks), quantity(lots)) for ticks, lots in reversed(book.bids)],
        "lastUpdateId": str(book.update_id),
        "timestamp": book.time_ns // 1000,
    }


def trade_text(scales: MarketScales, trade: TradeRow) -> str:
    return (
        f'{{"id":{trade.trade_id},"price":"{scales.price.text(trade.price)}",'
        f'"quantity":"{scales.quantity.text(trade.lots)}",'
        f'"quoteQuantity":"{scales.quote.text(trade.quote)}",'
        f'"timestamp":{trade.time_ns // MILLION},'
        f'"isBuyerMaker":{"true" if trade.taker_side == ASK else "false"}}}'
    )


def kline_text(scales: MarketScales, bar: Bar, *, end_s: int) -> str:
    """One candle, up to and without `end_s`."""
    price = scales.price.text
    return (
        f'{{"start":"{utc_second(bar.start_s, " ")}","end":"{utc_second(end_s, " ")}",'
        f'"open":"{price(bar.open)}","high":"{price(bar.high)}","low":"{price(bar.low)}",'
        f'"close":"{price(bar.close)}","volume":"{scales.quantity.text(bar.lots)}",'
        f'"quoteVolume":"{scales.quote.text(bar.quote)}","trades":"{bar.trades}"}}'
    )


def ticker_text(scales: MarketScales, totals: Totals) -> str:
    """The last 24 hours. Before the first trade everything is 0."""
    price, first = scales.price.text, totals.first
    change = totals.last - first
    size = abs(change)
    ppm = (size * MILLION * 2 + first) // (2 * first) if size else 0
    sign = "-" if change < 0 else ""
    return (
        f'{{"symbol":"{scales.symbol}","firstPrice":"{price(first)}",'
        f'"lastPrice":"{price(totals.last)}","priceChange":"{sign if size else ""}{price(size)}",'
        f'"priceChangePercent":"{sign if ppm else ""}{_FRACTION.text(ppm)}",'
        f'"high":"{price(totals.high)}","low":"{price(totals.low)}",'
        f'"volume":"{scales.quantity.text(totals.lots)}",'
        f'"quoteVolume":"{scales.quote.text(totals.quote)}","trades":"{totals.trades}"}}'
    )
