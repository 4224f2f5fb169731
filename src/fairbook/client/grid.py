"""Prices and quantities of one market as whole numbers, exactly and without floats."""

from fairbook.api.numbers import Scale
from fairbook.client.messages import MarketInfo


class Grid:
    """The steps of a market: a price is a number of ticks, a quantity a number of lots."""

    __slots__ = ("base", "price", "quantity", "quote", "symbol")

    def __init__(self, market: MarketInfo) -> None:
        self.symbol = market.symbol
        self.base = market.base_symbol
        self.quote = market.quote_symbol
        self.price = _scale("Price", market.filters.price.tick_size)
        self.quantity = _scale("Quantity", market.filters.quantity.step_size)

    def lots_in(self, amount: str) -> int:
        """The whole lots in an amount of the base asset, rounded down."""
        whole, _, fraction = amount.partition(".")
        decimals = self.quantity.decimals
        return int(whole + fraction[:decimals].ljust(decimals, "0")) // self.quantity.step


def _scale(name: str, step: str) -> Scale:
    """The scale with this step, such as "0.01" or "10"."""
    whole, _, fraction = step.partition(".")
    return Scale(name, step=int(whole + fraction), decimals=len(fraction))
