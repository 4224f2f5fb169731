"""Markets and assets in the words of the public contract: symbols, scales, and what they look like
as JSON.

How it works: the catalogue's objects never go away, so the terms of a market are made once, when
its symbol is first asked for.

Not here: prices and quantities of requests (api/numbers.py).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from fairbook.api.errors import ApiError, invalid_market
from fairbook.api.numbers import Scale, Terms, amounts
from fairbook.core.markets import Asset
from fairbook.core.units import MAX_UNITS, NS_PER_SECOND
from fairbook.ports.queries import Catalogue

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  UTC, as all that is made from it.

STATE_TEXT: Final = ("Open", "PostOnly", "LimitOnly", "CancelOnly", "Closed")

# (display name, coingecko id, blockchain) of assets that public clients know; others go by their
# symbol.
_KNOWN: Final[dict[str, tuple[str, str | None, str]]] = {
    "BTC": ("Bitcoin", "bitcoin", "Bitcoin"),
    "ETH": ("Ethereum", "ethereum", "Ethereum"),
    "SOL": ("Solana", "solana", "Solana"),
    "USDC": ("USD Coin", "usd-coin", "Solana"),
    "USDT": ("Tether", "tether", "Solana"),
}


class Listings:
    """What can be traded, as clients see it."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._by_symbol: dict[str, Terms] = {}
        self._by_id: dict[int, Terms] = {}
        self._amounts: dict[int, Scale] = {}

    def terms(self, symbol: str) -> Terms:
        """The market of exactly this symbol. Raises INVALID_MARKET."""
        terms = self._by_symbol.get(symbol)
        if terms is None:
            market = self._catalogue.market_named(symbol)
            if market is None:
                raise invalid_market()
            terms = self._by_symbol[symbol] = self._by_id[market.id] = Terms(
                market,
                base=self._catalogue.asset(market.base),
                quote=self._catalogue.asset(market.quote),
            )
        return terms

    def terms_of(self, market_id: int) -> Terms:
        """The market with this id; it must exist."""
        terms = self._by_id.get(market_id)
        return self.terms(self._catalogue.market(market_id).name) if terms is None else terms

    def asset(self, name: str) -> Asset:
        """The asset of exactly this name. Raises INVALID_ASSET."""
        asset = self._catalogue.asset_named(name)
        if asset is None:
            raise ApiError(400, "INVALID_ASSET", "Unknown asset")
        return asset

    def amounts(self, asset_id: int) -> tuple[str, Scale]:
        """Name and scale of an asset."""
        asset = self._catalogue.asset(asset_id)
        scale = self._amounts.get(asset_id)
        if scale is None:
            scale = self._amounts[asset_id] = amounts(asset)
        return asset.name, scale

    def blockchain(self, asset: Asset) -> str:
        """The one chain on which an asset comes and goes."""
        return _known(asset)[2]

    def blockchains(self) -> set[str]:
        """Of all assets."""
        return {_known(asset)[2] for asset in self._catalogue.assets()}

    def all_terms(self) -> list[Terms]:
        """Every market, by id."""
        return [self.terms_of(market.id) for market in self._catalogue.markets()]

    def asset_objects(self) -> list[dict[str, Any]]:
        """Every asset, by id."""
        return [_asset_object(asset) for asset in self._catalogue.assets()]


def market_object(terms: Terms) -> dict[str, Any]:
    """A market as GET /api/v1/markets shows it. A bound that the market does not set is null."""
    market = terms.market
    price_max: int = market.price_max
    quantity_max: int = market.quantity_max
    return {
        "symbol": terms.symbol,
        "baseSymbol": terms.base_symbol,
        "quoteSymbol": terms.quote_symbol,
        "marketType": "SPOT",
        "orderBookState": STATE_TEXT[market.state],
        "visible": True,
        "createdAt": naive_utc(market.created_ns),
        "filters": {
            "price": {
                "minPrice": terms.price.text(market.price_min),
                "maxPrice": None if price_max == MAX_UNITS else terms.price.text(price_max),
                "tickSize": terms.price.text(1),
                "maxMultiplier": None,
                "minMultiplier": None,
                "maxImpactMultiplier": None,
                "minImpactMultiplier": None,
            },
            "quantity": {
                "minQuantity": terms.quantity.text(market.quantity_min),
                "maxQuantity": None
                if quantity_max == MAX_UNITS
                else terms.quantity.text(quantity_max),
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


def _known(asset: Asset) -> tuple[str, str | None, str]:
    return _KNOWN.get(asset.name, (asset.name, None, "Solana"))


def _asset_object(asset: Asset) -> dict[str, Any]:
    display_name, coingecko_id, blockchain = _known(asset)
    return {
        "symbol": asset.name,
        "displayName": display_name,
        "coingeckoId": coingecko_id,
        "tokens": [
            {
                "displayName": display_name,
                "blockchain": blockchain,
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


def naive_utc(time_ns: int, *, decimals: int = 6) -> str:
    """Log time as "2025-01-21T06:34:54.691858": UTC, no zone, cut to so many decimals (1 to 9)."""
    seconds, rest = divmod(time_ns, NS_PER_SECOND)
    whole = (_EPOCH + timedelta(0, seconds)).isoformat()
    return f"{whole}.{rest:09d}"[: len(whole) + 1 + decimals]


def spaced_utc(time_s: int) -> str:
    """A second as "2025-07-19 13:09:00": UTC, no zone."""
    return (_EPOCH + timedelta(0, time_s)).isoformat(" ")
