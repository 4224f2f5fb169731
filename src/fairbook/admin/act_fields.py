"""Reading the fields of an act: texts from outside become numbers of the core."""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from fairbook.api.errors import ApiError, BadRequest, rejected
from fairbook.api.listings import Listings
from fairbook.api.numbers import MarketScales, Scale, whole_number
from fairbook.api.requests import invalid_choice
from fairbook.core import records
from fairbook.core.ledger import FIRST_USER
from fairbook.core.markets import Asset
from fairbook.core.units import MAX_ATOMS, MAX_LISTED_ATOMS

TEXT_CHARACTERS_MAX: Final = 200
NUMBER_MAX: Final = 1 << 40
ACCOUNT_MAX: Final = (1 << 32) - 1

_NAME: Final = re.compile(r"[A-Z0-9_]{1,16}")
_DECIMAL: Final = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?")


class ActFields:
    """The fields of one act, by name. Methods raise ApiError for what is missing or malformed."""

    def __init__(self, values: Mapping[str, Any], listings: Listings) -> None:
        self._values = values
        self.listings = listings

    def has(self, name: str) -> bool:
        return self._values.get(name) not in (None, "")

    def text(self, name: str) -> str:
        """Printable, 1 to TEXT_CHARACTERS_MAX characters."""
        value = self._values.get(name)
        if not isinstance(value, str) or not 1 <= len(value) <= TEXT_CHARACTERS_MAX:
            raise BadRequest(f"{name} must be a text of 1 to {TEXT_CHARACTERS_MAX} characters")
        if not value.isprintable():
            raise BadRequest(f"{name} has characters that cannot be printed")
        return str(value)

    def number(
        self, name: str, *, least: int = 0, most: int = NUMBER_MAX, default: int | None = None
    ) -> int:
        if default is not None and not self.has(name):
            return default
        number = whole_number(self._values.get(name), digits_max=19)
        if number is None or not least <= number <= most:
            raise BadRequest(f"{name} must be a whole number, {least} to {most}")
        return number

    def choice(self, name: str, known: Mapping[str, int]) -> int:
        value = self.text(name)
        if value not in known:
            raise invalid_choice(name, known)
        return known[value]

    def bits(self, name: str, known: Mapping[str, int]) -> int:
        """Words that are separated by commas; "none" for no bit."""
        words = [word.strip() for word in self.text(name).split(",")]
        bits = 0
        for word in words if words != ["none"] else ():
            if word not in known:
                raise invalid_choice(name, known)
            bits |= known[word]
        return bits

    def market(self) -> MarketScales:
        return self.listings.scales(self.text("symbol"))

    def asset(self) -> tuple[Asset, Scale]:
        asset = self.listings.asset(self.text("symbol"))
        return asset, self.listings.asset_scale(asset.id)[1]

    def pair(self, name: str) -> tuple[Asset, Asset]:
        """The assets of a market that is not listed yet."""
        base, _, quote = self.text(name).partition("_")
        return self.listings.asset(base), self.listings.asset(quote)

    def name(self, name: str) -> str:
        """Of something new."""
        value = self.text(name)
        if not _NAME.fullmatch(value):
            raise BadRequest(f"{name} must be 1 to 16 of A-Z, 0-9 and _")
        return value

    def steps(self, base: Asset, quote: Asset) -> tuple[int, int]:
        """`lot` in atoms of the base; `tick` of one lot in atoms of the quote."""
        lot = self._fraction("lot")
        lot_atoms = lot * 10**base.decimals
        tick_atoms = self._fraction("tick") * lot * 10**quote.decimals
        for name, atoms, asset in (("lot", lot_atoms, base), ("tick", tick_atoms, quote)):
            if atoms.denominator != 1 or atoms > MAX_LISTED_ATOMS:
                raise BadRequest(f"{name} is not a whole number of atoms of {asset.name}")
        return int(lot_atoms), int(tick_atoms)

    def _fraction(self, name: str) -> Fraction:
        text = self.text(name)
        if not _DECIMAL.fullmatch(text) or not Fraction(text):
            raise BadRequest(f"{name} must be a decimal above zero, such as 0.01")
        return Fraction(text)

    def units(self, name: str, scale: Scale) -> int:
        units = scale.units(self._values.get(name))
        if units > MAX_ATOMS:
            raise BadRequest(f"{name} is too large")
        return units

    def account(self) -> int:
        account = self.number("accountId", most=ACCOUNT_MAX)
        if account < FIRST_USER:
            raise rejected(records.UNKNOWN_ACCOUNT)
        return account

    def digest(self, name: str) -> bytes:
        return self._hexadecimal(name, 32)

    def reference(self, name: str) -> bytes:
        return self._hexadecimal(name, 16)

    def _hexadecimal(self, name: str, length: int) -> bytes:
        try:
            found = bytes.fromhex(self.text(name))
        except (ValueError, ApiError):
            found = b""
        if len(found) != length:
            raise BadRequest(f"{name} must be {2 * length} hexadecimal digits")
        return found
