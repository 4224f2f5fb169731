"""The wanted book: never crossed, within the inventory, and nearly the same as before."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairbook.client.grid import Grid
from fairbook.client.messages import Filters, MarketInfo, PriceFilter, QuantityFilter
from fairbook.demo.demo_venue import demo_venue, market_plans
from fairbook.demo.maker.plan import (
    PARTS,
    Band,
    MarketPlan,
    PlanError,
    QuotingParameters,
    read_plan,
)
from fairbook.demo.maker.quotes import ASK, BID, LimitOrder, RandomWalk, quotes, size_at


def grid_of(symbol: str, *, tick: str, step: str) -> Grid:
    base, quote = symbol.split("_")
    filters = Filters(PriceFilter(tick), QuantityFilter(step))
    return Grid(MarketInfo(symbol, base, quote, "Open", filters))


GRIDS = {
    "SOL_USDC": grid_of("SOL_USDC", tick="0.01", step="0.01"),
    "BTC_USDC": grid_of("BTC_USDC", tick="0.1", step="0.00001"),
    "ETH_USDC": grid_of("ETH_USDC", tick="0.01", step="0.0001"),
}
STYLES = [QuotingParameters(plan, GRIDS[plan.symbol]) for plan in market_plans(demo_venue())]
SOL = STYLES[0]
LEVELS = sum(band.levels for band in SOL.plan.bands)


def prices(book: list[LimitOrder], side: str) -> list[int]:
    return [quote.price for quote in book if quote.side == side]


def test_a_plan_becomes_ticks_and_lots() -> None:
    """Amounts of the quote asset become lots at the anchor's price, parts of it ticks."""
    assert (SOL.anchor_ticks, SOL.step_ticks, SOL.size_lots) == (14_000, 1, 1_428)
    bitcoin = STYLES[1]
    assert (bitcoin.anchor_ticks, bitcoin.step_ticks, bitcoin.size_lots) == (1_000_000, 100, 2_000)


@pytest.mark.parametrize("style", STYLES, ids=list(GRIDS))
@given(
    away_ppm=st.integers(-500_000, 500_000),
    inventory=st.integers(-2_000_000, 2_000_000),
    foreign=st.tuples(st.integers(-300, 300), st.integers(1, 300), st.booleans(), st.booleans()),
)
def test_quotes_never_cross(
    style: QuotingParameters, away_ppm: int, inventory: int, foreign: tuple[int, int, bool, bool]
) -> None:
    """Neither each other nor what others have in the book; and sides fall away from the middle."""
    reference = style.anchor_ticks * (1_000_000 + away_ppm) // 1_000
    low, width, has_bid, has_ask = foreign
    foreign_bid = reference // PARTS + low if has_bid else None
    foreign_ask = reference // PARTS + low + width if has_ask else None
    book = quotes(
        style,
        reference,
        inventory_lots=inventory,
        foreign_bid=foreign_bid,
        foreign_ask=foreign_ask,
    )
    bids, asks = prices(book, BID), prices(book, ASK)
    assert bids == sorted(set(bids), reverse=True)
    assert asks == sorted(set(asks))
    if bids and asks:
        assert bids[0] < asks[0]
    if bids and foreign_ask is not None:
        assert bids[0] < foreign_ask
    if asks and foreign_bid is not None:
        assert asks[0] > foreign_bid
    assert min([*bids, 1]) >= 1
    assert all(price % style.step_ticks == 0 for price in (*bids, *asks))

    bought = sum(quote.lots for quote in book if quote.side == BID)
    sold = sum(quote.lots for quote in book if quote.side == ASK)
    assert all(quote.lots > 0 for quote in book)
    if abs(inventory) <= style.inventory_lots:
        assert inventory + bought <= style.inventory_lots
        assert inventory - sold >= -style.inventory_lots


def test_without_anything_owned_both_sides_are_full() -> None:
    book = quotes(SOL, SOL.anchor_ticks * PARTS, inventory_lots=0)
    assert len(prices(book, BID)) == len(prices(book, ASK)) == LEVELS


def test_inventory_lowers_the_quotes() -> None:
    """The middle of the quotes moves away from what would make it worse, and back."""
    middle = SOL.anchor_ticks * PARTS
    none = quotes(SOL, middle, inventory_lots=0)
    rich = quotes(SOL, middle, inventory_lots=SOL.inventory_lots // 2)
    poor = quotes(SOL, middle, inventory_lots=-SOL.inventory_lots // 2)
    assert prices(rich, ASK)[0] < prices(none, ASK)[0] < prices(poor, ASK)[0]
    assert prices(rich, BID)[0] < prices(none, BID)[0] < prices(poor, BID)[0]


def test_at_the_limit_only_one_side_is_quoted() -> None:
    middle = SOL.anchor_ticks * PARTS
    assert prices(quotes(SOL, middle, inventory_lots=SOL.inventory_lots), BID) == []
    assert prices(quotes(SOL, middle, inventory_lots=-SOL.inventory_lots), ASK) == []


@pytest.mark.parametrize("style", STYLES, ids=list(GRIDS))
def test_a_move_by_one_step_changes_one_level_of_each_side(style: QuotingParameters) -> None:
    """That is what makes an idle demo write little: on most moves two amends are enough."""
    step = style.step_ticks * PARTS
    middle = style.anchor_ticks * PARTS + step // 2
    changed = []
    for at in range(middle, middle + 100 * step, step):
        before = set(quotes(style, at, inventory_lots=0))
        after = set(quotes(style, at + step, inventory_lots=0))
        changed.append(len(after - before))
    assert sorted(changed)[50] == 2
    assert max(changed) <= 6


def test_the_size_of_a_level_is_that_of_its_price() -> None:
    """So a level that stays is left alone wherever the middle is."""
    assert size_at(SOL, 13_975) == size_at(SOL, 13_975)
    sizes = {size_at(SOL, price) for price in range(13_976, 13_980)}
    assert len(sizes) == 4
    assert all(600 * SOL.size_lots <= 1000 * size <= 1400 * SOL.size_lots for size in sizes)


def test_the_reference_wanders_and_comes_back() -> None:
    """Far off at first, it is near its anchor in the long run, and moves all the time."""
    walk = RandomWalk(SOL, random.Random(7))
    walk.move_to(SOL.anchor_ticks * 2)
    seen = []
    for _ in range(100_000):
        walk.step()
        seen.append(walk.reference_parts // PARTS)
    late = seen[50_000:]
    assert SOL.anchor_ticks * 95 // 100 < min(late) < max(late) < SOL.anchor_ticks * 105 // 100
    assert len(set(late)) > 100


def test_the_same_seed_walks_the_same_way() -> None:
    walks = [RandomWalk(SOL, random.Random(3)) for _ in range(2)]
    paths = []
    for walk in walks:
        path = []
        for _ in range(100):
            walk.step()
            path.append(walk.reference_parts)
        paths.append(path)
    assert paths[0] == paths[1]


def test_plans_are_read_from_json() -> None:
    plan = read_plan({"symbol": "A_B", "anchor": "2.5", "step_ppm": 50, "bands": [[4, 1, 1]]})
    assert plan == MarketPlan("A_B", "2.5", step_ppm=50, bands=(Band(4, 1, 1),))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"symbol": "A_B"},
        {"symbol": "A_B", "anchor": "1", "colour": 1},
        {"symbol": "A_B", "anchor": "1", "step_ppm": 0},
        {"symbol": "A_B", "anchor": "1", "step_ppm": "x"},
        {"symbol": "A_B", "anchor": "1", "move_ms": 1},
        {"symbol": "A_B", "anchor": "1", "bands": [[3, 5, 1], [3, 7, 1]]},
        {"symbol": "A_B", "anchor": "1", "bands": [[0, 1, 1]]},
        {"symbol": "A_B", "anchor": "1", "bands": [[101, 1, 1]]},
        {"symbol": "A_B", "anchor": "1", "bands": 3},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(PlanError):
        read_plan(given)
