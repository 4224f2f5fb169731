"""The demo: the venue that `fairbook up` runs without a configuration file, and makers' plans."""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from fairbook.demo.maker.plan import MarketPlan, PlanError, read_plan
from fairbook.venue.toml_file import Problem
from fairbook.venue.venue import Venue, venue_of

FILE_NAME = "venue.toml"


def demo_text() -> str:
    """The file that `fairbook init` writes."""
    return files("fairbook.demo").joinpath(FILE_NAME).read_text(encoding="utf-8")


@cache
def demo_venue() -> Venue:
    return venue_of(demo_text(), FILE_NAME)


def market_plans(venue: Venue) -> Iterator[MarketPlan]:
    """What the market maker does, market by market. Raises Problem."""
    for market in venue.markets:
        if market.maker is not None:
            try:
                yield read_plan({"symbol": market.name, **market.maker})
            except PlanError as error:
                raise Problem((*market.path, "maker"), str(error)) from None
