"""How one market is made: what a person configures, and the same in ticks and lots.

How it works: a `Plan` speaks in parts of the price and in amounts of the quote asset, so that one
set of numbers suits every market; `Style.of` turns it into whole ticks and lots of one market.

Always true: a plan that was read is sane: no book made after it crosses itself.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple

from fairbook.client.grid import Grid

MILLION: Final = 1_000_000
PARTS: Final = 1_000  # of a tick: the reference price moves by less than a tick


class BadPlan(ValueError):
    """A plan cannot be used; the message says why."""


class Band(NamedTuple):
    """Levels of one spacing: so many, on multiples of `every` steps, `weight` times the size."""

    levels: int
    every: int
    weight: int


DEFAULT_BANDS: Final = (Band(5, 1, 1), Band(4, 5, 2), Band(3, 25, 5))


@dataclass(frozen=True, slots=True)
class Plan:
    """One market, as a person configures it."""

    symbol: str
    anchor: str
    """The price that the reference returns to in the long run, and begins at if nobody traded."""
    step_ppm: int = 100
    """Of the anchor: prices of quotes are multiples of this step."""
    half_spread_ppm: int = 60
    """Of the anchor: the least distance from the middle of the quotes to the best of a side."""
    bands: tuple[Band, ...] = DEFAULT_BANDS
    """Of each side, from the middle outwards. `every` rises, each a multiple of the one before."""
    size_quote: int = 2_000
    """Whole units of the quote asset: about the worth of a level of weight 1."""
    inventory_quote: int = 250_000
    """Whole units of the quote asset: how much more or less of the base asset it may come to own
    than at its start."""
    skew_ppm: int = 1_500
    """Of the anchor: how far the quotes are moved, to get rid of it, when it owns that much."""
    wander_ppm: int = 130
    """Standard deviation of one move of the reference."""
    return_ppm: int = 100
    """How much of the distance to the anchor each move goes back."""
    move_ms: int = 2_000
    """Between two moves."""
    take_ms: int = 2_500
    """Between two trades of the taker, on average; 0: it takes nothing."""
    take_quote: int = 600
    """Whole units of the quote asset: about the worth of one of them."""

    def __post_init__(self) -> None:
        """Raise BadPlan for what makes no sense."""
        for name, (least, most) in _RANGES.items():
            if not least <= getattr(self, name) <= most:
                raise BadPlan(f"{self.symbol}: {name} is {least} to {most}")
        if not 1 <= len(self.bands) <= 8 or sum(band.levels for band in self.bands) > LEVELS_MAX:
            raise BadPlan(f"{self.symbol}: 1 to 8 bands with at most {LEVELS_MAX} levels")
        before = 1
        for band in self.bands:
            if min(band) < 1 or band.every % before or band.weight > 1_000:
                raise BadPlan(f"{self.symbol}: bands widen in multiples of each other")
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

DEMO_PLANS: Final = (
    Plan("SOL_USDC", "140"),
    Plan("BTC_USDC", "100000"),
    Plan("ETH_USDC", "3500"),
)


def read_plan(given: dict[str, Any]) -> Plan:
    """A plan from JSON: symbol, anchor, and any of the other fields. Raises BadPlan."""
    known = {field.name for field in fields(Plan)}
    if not given.keys() <= known:
        raise BadPlan(f"a market has the fields {', '.join(sorted(known))}")
    values: dict[str, Any] = {name: value for name, value in given.items() if name != "bands"}
    try:
        for name in values.keys() & _RANGES.keys():
            values[name] = int(values[name])
        values["anchor"] = str(values["anchor"])
        if "bands" in given:
            values["bands"] = tuple(Band(*map(int, band)) for band in given["bands"])
        return Plan(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise BadPlan(f"not a market's plan: {given}: {error}") from None


@dataclass(frozen=True, slots=True)
class Style:
    """A plan in ticks and lots of its market."""

    anchor_ticks: int
    step_ticks: int
    half_spread_parts: int
    bands: tuple[Band, ...]
    size_lots: int
    inventory_lots: int
    skew_parts: int
    wander_ppm: int
    return_ppm: int
    move_ms: int
    take_ms: int
    take_lots: int

    @staticmethod
    def of(plan: Plan, grid: Grid) -> Style:
        """Raises BadRequest if the anchor is no price of the market."""
        anchor = grid.price.units(plan.anchor)

        def lots(quote: int) -> int:
            scale: int = 10 ** (grid.price.decimals + grid.quantity.decimals)
            return max(1, quote * scale // (anchor * grid.price.step * grid.quantity.step))

        def parts(ppm: int) -> int:
            return anchor * PARTS * ppm // MILLION

        return Style(
            anchor_ticks=anchor,
            step_ticks=max(1, anchor * plan.step_ppm // MILLION),
            half_spread_parts=max(1, parts(plan.half_spread_ppm)),
            bands=plan.bands,
            size_lots=lots(plan.size_quote),
            inventory_lots=lots(plan.inventory_quote),
            skew_parts=parts(plan.skew_ppm),
            wander_ppm=plan.wander_ppm,
            return_ppm=plan.return_ppm,
            move_ms=plan.move_ms,
            take_ms=plan.take_ms,
            take_lots=lots(plan.take_quote),
        )
