"""Prices, quantities and amounts as decimals. Whole numbers until then, never floats."""

from fairbook.api.numbers import MarketScales, Scale, asset_scale
from fairbook.cli.command_text import asset_text
from fairbook.core.exchange import Exchange


def decimal_text(scale: Scale, units: int) -> str:
    """units: of the scale; they may be negative."""
    return f"-{scale.text(-units)}" if units < 0 else scale.text(units)


def amount_text(exchange: Exchange, asset: int, atoms: int) -> str:
    """Such as "1.5 SOL"."""
    if not 0 < asset < len(exchange.assets):
        return f"{atoms} atoms of {asset_text(asset, exchange)}"
    listed = exchange.assets[asset]
    return f"{decimal_text(asset_scale(listed), atoms)} {listed.name}"


def percent_text(ppm: int) -> str:
    """Parts of a million as a percentage, such as "0.08 %"."""
    return f"{decimal_text(_PERCENT, ppm)} %"


_PERCENT = Scale("Percent", step=1, decimals=4)


class MarketAmounts:
    """Writes ticks and lots of one listed market."""

    def __init__(self, exchange: Exchange, market: int) -> None:
        listed = exchange.markets[market]
        base, quote = exchange.assets[listed.base], exchange.assets[listed.quote]
        self._scales = MarketScales(listed, base=base, quote=quote)
        self.name = self._scales.symbol
        self.base_name = self._scales.base_symbol

    def price(self, ticks: int) -> str:
        return f"{decimal_text(self._scales.price, ticks)} {self._scales.quote_symbol}"

    def quantity(self, lots: int) -> str:
        return f"{decimal_text(self._scales.quantity, lots)} {self.base_name}"

    def quantity_of(self, part: int, whole: int) -> str:
        """Such as "0.5 of 1.5 SOL"."""
        return f"{decimal_text(self._scales.quantity, part)} of {self.quantity(whole)}"

    def quote(self, atoms: int) -> str:
        return f"{decimal_text(self._scales.quote, atoms)} {self._scales.quote_symbol}"

    def received(self, side: int, atoms: int) -> str:
        """An amount of what an order of this side receives, and pays fees in."""
        scale, symbol = self._scales.received(side)
        return f"{decimal_text(scale, atoms)} {symbol}"
