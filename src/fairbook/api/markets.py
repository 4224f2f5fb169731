"""Markets and assets as JSON objects."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from fairbook.api.numbers import Scale, Terms
from fairbook.api.times import utc_text
from fairbook.core.markets import Asset
from fairbook.core.units import MAX_UNITS

_STATE_TEXT: Final = ("Open", "PostOnly", "LimitOnly", "CancelOnly", "Closed")


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
                "maxMultiplier": None,
                "minMultiplier": None,
                "maxImpactMultiplier": None,
                "minImpactMultiplier": None,
            },
            "quantity": {
                "minQuantity": terms.quantity.text(market.quantity_min),
                "maxQuantity": _limit(terms.quantity, market.quantity_max),
                "stepSize": terms.quantity.text(1),
            },
        },
        "imfFunction": None,
        "mmfFunction": None,
        "fundingInterval": None,
        "fundingRateUpperBound": None,
        "fundingRateLowerBound": None,
        "openInterestLimit": None,
        "positionLimitWeight": None,
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
