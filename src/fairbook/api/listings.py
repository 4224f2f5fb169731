"""Markets and assets by symbol, with the scales of their numbers."""

from fairbook.api.errors import ApiError, invalid_market
from fairbook.api.numbers import MarketScales, Scale, asset_scale
from fairbook.api.requests import Fields, is_absent, symbol_field
from fairbook.core.markets import Asset
from fairbook.ports.queries import Catalogue


class Listings:
    """Markets and assets of the catalogue. Nothing is unlisted, so scales are made once."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._by_symbol: dict[str, MarketScales] = {}
        self._by_id: dict[int, MarketScales] = {}
        self._asset_scales: dict[int, Scale] = {}

    def scales(self, symbol: str) -> MarketScales:
        """The market of exactly this symbol. Raises INVALID_MARKET."""
        scales = self._by_symbol.get(symbol)
        if scales is None:
            market = self.catalogue.market_named(symbol)
            if market is None:
                raise invalid_market()
            scales = self._by_symbol[symbol] = self._by_id[market.id] = MarketScales(
                market,
                base=self.catalogue.asset(market.base),
                quote=self.catalogue.asset(market.quote),
            )
        return scales

    def market_id(self, fields: Fields) -> int:
        """The market of `symbol`; 0, any market, if it is absent. Raises INVALID_MARKET."""
        return 0 if is_absent(fields, "symbol") else self.scales(symbol_field(fields)).id

    def scales_of(self, market_id: int) -> MarketScales:
        """The market with this id; it must exist."""
        scales = self._by_id.get(market_id)
        return self.scales(self.catalogue.market(market_id).name) if scales is None else scales

    def asset(self, name: str) -> Asset:
        """The asset of exactly this name. Raises INVALID_ASSET."""
        asset = self.catalogue.asset_named(name)
        if asset is None:
            raise ApiError(400, "INVALID_ASSET", "Unknown asset")
        return asset

    def asset_scale(self, asset_id: int) -> tuple[str, Scale]:
        asset = self.catalogue.asset(asset_id)
        scale = self._asset_scales.get(asset_id)
        if scale is None:
            scale = self._asset_scales[asset_id] = asset_scale(asset)
        return asset.name, scale
