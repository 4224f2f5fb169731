"""Decimal text to whole units and back.

A scale defines one unit as step / 10^decimals. Text is checked against one ASCII grammar, its
digits become one integer, and that must be a whole number of units: nothing is rounded, and no
float or Decimal is made. Results are cached, because prices and quantities repeat.

Invariants:
- `scale.units(scale.text(n)) == n` for every n >= 0 with at most 18 digits before the point;
- accepted text is `[0-9]{1,18}(\\.[0-9]{1,18})?`, which bounds its cost;
- units are at most UNITS_OUT, which is above every bound of the core and fits 64 bits.
"""

import re
from typing import Final

from fairbook.api.errors import BadRequest
from fairbook.core.markets import Asset, Market
from fairbook.core.records import BID
from fairbook.core.units import MAX_ATOMS

DIGITS_MAX: Final = 18
CACHED_MAX: Final = 2048  # texts, and as many numbers, of one scale
_is_scientific: Final = re.compile(r"[0-9.]{1,40}[eE][-+]?[0-9]{1,5}").fullmatch
UNITS_OUT: Final = MAX_ATOMS + 1  # in place of any larger number; the core refuses it


def whole_number(text: object, *, digits_max: int) -> int | None:
    """The value of 1 to `digits_max` plain ASCII digits; None for anything else."""
    if isinstance(text, str) and len(text) <= digits_max and text.isdigit() and text.isascii():
        return int(text)
    return None


_MISSING: Final = "it is missing"
_NO_DECIMAL: Final = "it must be a decimal such as 0.05"


class Scale:
    """The unit of a price, quantity or amount: step / 10^decimals."""

    __slots__ = ("_texts", "_units", "decimals", "name", "step")

    def __init__(self, name: str, *, step: int, decimals: int) -> None:
        """name: for error messages, such as "Price decimal too long"."""
        while decimals > 0 and step % 10 == 0:
            step //= 10
            decimals -= 1
        self.name = name
        self.step = step
        self.decimals = decimals
        self._texts: dict[int, str] = {}
        self._units: dict[str, int] = {}

    def units(self, text: object) -> int:
        """Turn a decimal such as "100.25" or "00001.50" into units: at most UNITS_OUT.

        text: of JSON. Raises BadRequest if it is malformed or not a whole number of units.
        """
        if not isinstance(text, str):
            raise self._invalid(_MISSING if text is None else _NO_DECIMAL)
        units = self._units.get(text)
        if units is None:
            units = self._read(text)
            if len(self._units) >= CACHED_MAX:
                self._units.clear()
            self._units[str(text)] = units
        return units

    def _read(self, text: str) -> int:
        whole, point, fraction = text.partition(".")
        if not (whole.isdigit() and text.isascii()) or len(whole) > DIGITS_MAX:
            raise self._invalid(_why_invalid(text))
        missing = self.decimals
        if point:
            if not fraction.isdigit() or len(fraction) > DIGITS_MAX:
                raise self._invalid(_why_invalid(text))
            missing -= len(fraction)
            if missing < 0:
                fraction = fraction.rstrip("0")
                missing = self.decimals - len(fraction)
                if missing < 0:
                    raise self._too_long()
        units = int(whole + fraction)
        if missing:
            units *= 10**missing
        if self.step != 1:
            units, rest = divmod(units, self.step)
            if rest:
                raise self._too_long()
        return units if units < UNITS_OUT else UNITS_OUT

    def _invalid(self, why: str) -> BadRequest:
        return BadRequest(f"Invalid {self.name.lower()}: {why}")

    def _too_long(self) -> BadRequest:
        return BadRequest(f"{self.name} decimal too long: it must be a multiple of {self.text(1)}")

    def text(self, units: int) -> str:
        """Plain notation without trailing zeros: "0.00001", "141.5", "10"."""
        text = self._texts.get(units)
        if text is None:
            text = self._write(units)
            if len(self._texts) >= CACHED_MAX:
                self._texts.clear()
            self._texts[units] = text
        return text

    def _write(self, units: int) -> str:
        if not units:
            return "0"
        digits = str(units * self.step)
        decimals = self.decimals
        if not decimals:
            return digits
        if len(digits) <= decimals:
            digits = digits.zfill(decimals + 1)
        fraction = digits[-decimals:].rstrip("0")
        return f"{digits[:-decimals]}.{fraction}" if fraction else digits[:-decimals]


def _why_invalid(text: str) -> str:
    """Why a text is outside the grammar: said of the mistakes that programs make."""
    if not text:
        return _MISSING
    if text.startswith("-"):
        return "it must not be negative"
    if _is_scientific(text):
        return "write it without an exponent, such as 0.00001 for 1e-05"
    if max(map(len, text.split("."))) > DIGITS_MAX:
        return f"at most {DIGITS_MAX} digits before and after the point"
    return _NO_DECIMAL


class MarketScales:
    """A market's symbols, and the scales of its prices, quantities and amounts."""

    __slots__ = (
        "base", "base_symbol", "id", "market", "price", "quantity", "quote", "quote_symbol",
        "symbol",
    )  # fmt: skip

    def __init__(self, market: Market, *, base: Asset, quote: Asset) -> None:
        self.market = market
        self.id: int = market.id
        self.symbol: str = market.name
        self.base_symbol: str = base.name
        self.quote_symbol: str = quote.name
        self.price = Scale("Price", step=market.price_step, decimals=market.price_decimals)
        self.quantity = Scale("Quantity", step=market.lot_atoms, decimals=base.decimals)
        self.base = asset_scale(base)
        self.quote = asset_scale(quote)

    def received(self, side: int) -> tuple[Scale, str]:
        """Scale and symbol of the asset that an order of this side receives and pays fees in."""
        if side == BID:
            return self.base, self.base_symbol
        return self.quote, self.quote_symbol


def asset_scale(asset: Asset) -> Scale:
    return amount_scale(asset.decimals)


def amount_scale(decimals: int) -> Scale:
    """Of atoms. decimals: of the asset."""
    return Scale("Quantity", step=1, decimals=decimals)
