"""The taker's orders: within limits, on the side that brings price and inventory back."""

import random

import pytest

from fairbook.demo.maker.market_maker import Taker
from fairbook.demo.maker.plan import PARTS
from fairbook.demo.maker.quotes import ASK, BID, LimitOrder
from tests.demo.maker.test_quotes import SOL

BEST_BID, BEST_ASK = (13_999, 500), (14_001, 500)
MIDDLE = 14_000 * PARTS


def takes(
    count: int, *, reference_parts: int = MIDDLE, inventory_lots: int = 0
) -> list[LimitOrder]:
    taker = Taker(SOL, random.Random(5))
    found = [
        taker.next_order(
            bid=BEST_BID,
            ask=BEST_ASK,
            reference_parts=reference_parts,
            inventory_lots=inventory_lots,
        )
        for _ in range(count)
    ]
    return [take for take in found if take is not None]


def bought(some: list[LimitOrder]) -> int:
    return sum(take.side == BID for take in some)


def test_it_takes_from_both_sides_at_prices_that_trade() -> None:
    some = takes(1_000)
    assert len(some) == 1_000
    assert 400 < bought(some) < 600
    for take in some:
        if take.side == BID:
            assert BEST_ASK[0] <= take.price <= BEST_ASK[0] + SOL.step_ticks
        else:
            assert BEST_BID[0] - SOL.step_ticks <= take.price <= BEST_BID[0]
    assert len({take.lots for take in some}) > 100


def test_a_price_above_the_reference_is_sold() -> None:
    """So that a price moved by others comes back."""
    step = SOL.step_ticks * PARTS
    assert bought(takes(1_000, reference_parts=MIDDLE - 5 * step)) < 100
    assert bought(takes(1_000, reference_parts=MIDDLE + 5 * step)) > 900


def test_stock_is_brought_back() -> None:
    assert bought(takes(1_000, inventory_lots=SOL.inventory_lots * 3 // 4)) < 150
    assert bought(takes(1_000, inventory_lots=-SOL.inventory_lots * 3 // 4)) > 850


@pytest.mark.parametrize("left", [0, 1, 10])
def test_an_order_never_passes_the_limit(left: int) -> None:
    for side, sign in ((BID, 1), (ASK, -1)):
        some = takes(300, inventory_lots=sign * (SOL.inventory_lots - left))
        assert all(take.lots <= left for take in some if take.side == side)
        assert any(take.side != side for take in some)


def test_without_a_side_there_is_nothing_to_take() -> None:
    taker = Taker(SOL, random.Random(1))
    for bid, ask in ((None, BEST_ASK), (BEST_BID, None), (None, None)):
        assert taker.next_order(bid=bid, ask=ask, reference_parts=MIDDLE, inventory_lots=0) is None


def test_the_average_wait_is_that_of_the_plan() -> None:
    taker = Taker(SOL, random.Random(2))
    waits = [taker.wait_ms() for _ in range(1_000)]
    assert SOL.plan.take_ms // 5 <= min(waits) <= max(waits) <= SOL.plan.take_ms * 9 // 5
    assert abs(sum(waits) // 1_000 - SOL.plan.take_ms) < SOL.plan.take_ms // 10
