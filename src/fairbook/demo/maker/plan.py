"""The configuration of one market's maker, and the same in ticks and lots.

A `MarketPlan` is in parts of the anchor price and amounts of the quote asset, so that one set of
numbers suits every market. `QuotingParameters` converts it. A plan that was accepted never gives
a book that crosses itself.
"""

from typing import Any, Final, NamedTuple

import msgspec

from fairbook.client.grid import Grid

MILLION: Final = 1_000_000
PARTS: Final = 1_000  # of a tick: the reference price moves by less than a tick


class PlanError(ValueError):
    """A plan is invalid; the message says why."""


class Band(NamedTuple):
    """Levels of one spacing: on multiples of `every` steps, with `weight` times the size."""

    levels: int
    every: int
    weight: int


DEFAULT_BANDS: Final = (Band(5, 1, 1), Band(4, 5, 2), Band(3, 25, 5))


class MarketPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The configuration of one market."""

    symbol: str
    anchor: str
    """The price to which the reference returns in the long run, and its start without trades."""
    step_ppm: int = 100
    """Of the anchor: prices of quotes are multiples of this step."""
    half_spread_ppm: int = 60
    """Of the anchor: the least distance from the middle of the quotes to the best of a side."""
    bands: tuple[Band, ...] = DEFAULT_BANDS
    """Of each side, from the middle outwards. `every` rises, each a multiple of the one before."""
    size_quote: int = 2_000
    """Whole units of the quote asset: the approximate value of a level of weight 1."""
    inventory_quote: int = 250_000
    """Whole units of the quote asset: the value of the base asset that it may own more or less than
    at its start."""
    skew_ppm: int = 1_500
    """Of the anchor: how far the quotes are moved at an inventory of that value, to reduce it."""
    wander_ppm: int = 130
    """Standard deviation of one move of the reference."""
    return_ppm: int = 100
    """The part of the distance to the anchor that each move goes back."""
    move_ms: int = 2_000
    """Between two moves of the reference."""
    take_ms: int = 2_500
    """Between two orders of the taker, on average; 0: no orders."""
    take_quote: int = 600
    """Whole units of the quote asset: the approximate value of one of them."""

    def __post_init__(self) -> None:
        """Raises PlanError."""
        for name, (least, most) in _RANGES.items():
            if not least <= getattr(self, name) <= most:
                raise PlanError(f"{self.symbol}: {name} must be {least} to {most}")
        if not 1 <= len(self.bands) <= 8 or sum(band.levels for band in self.bands) > LEVELS_MAX:
            raise PlanError(f"{self.symbol}: 1 to 8 bands, at most {LEVELS_MAX} levels")
        before = 1
        for band in self.bands:
            if min(band) < 1 or band.every % before or band.weight > 1_000:
                raise PlanError(f"{self.symbol}: each band is a multiple of the one before")
            before = band.every


LEVELS_MAX: Final = 100
_RANGES: Final = {
    "step_ppm": (1, 100_000),
    "half_spread_ppm": (1, 100_000),
    "size_quote": (1, 10**12),
    "inventory_quote": (1, 10**15),
    "skew_ppm": (0, 100_000),
    "wander_ppm": (0, 10_000),
    "return_ppm": (0, 100_000),
    "move_ms": (100, 3_600_000),
    "take_ms": (0, 3_600_000),
    "take_quote": (1, 10**12),
}


def read_plan(given: dict[str, Any]) -> MarketPlan:
    """A plan from JSON: symbol, anchor, and any of the other fields. Raises PlanError."""
    if "anchor" in given:
        given = given | {"anchor": str(given["anchor"])}
    try:
        return msgspec.convert(given, MarketPlan, strict=False)
    except msgspec.ValidationError as error:
        raise PlanError(f"invalid plan {given}: {error}") from None


class QuotingParameters:
    """A plan in ticks and lots of its market; `parts` are 1/PARTS of a tick."""

    def __init__(self, plan: MarketPlan, grid: Grid) -> None:
        """Raises BadRequest if the anchor is not a valid price of the market."""
        anchor = grid.price.units(plan.anchor)

        def lots(quote: int) -> int:
            scale: int = 10 ** (grid.price.decimals + grid.quantity.decimals)
            return max(1, quote * scale // (anchor * grid.price.step * grid.quantity.step))

        def parts(ppm: int) -> int:
            return anchor * PARTS * ppm // MILLION

        self.plan = plan
        self.anchor_ticks = anchor
        self.step_ticks = max(1, anchor * plan.step_ppm // MILLION)
        self.half_spread_parts = max(1, parts(plan.half_spread_ppm))
        self.size_lots = lots(plan.size_quote)
        self.inventory_lots = lots(plan.inventory_quote)
        self.skew_parts = parts(plan.skew_ppm)
        self.take_lots = lots(plan.take_quote)
