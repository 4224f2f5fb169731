"""A desk against the real core: ten thousand steps, and people who get in its way."""

import random

import pytest

from fairbook.client.errors import RequestRefused
from fairbook.core import records
from fairbook.demo.maker.desk import REST_MS
from fairbook.demo.maker.quotes import ASK, BID
from fairbook.demo.maker.reconcile import CancelAll
from tests.demo.maker.floor import SIDES, Floor

STEPS = 10_000
STEPS_AT_LEAST = 1_500  # in every run


@pytest.mark.parametrize(
    ("seed", "steps"),
    [
        (1, STEPS_AT_LEAST),
        *(pytest.param(seed, STEPS, marks=pytest.mark.slow) for seed in range(1, 10)),
    ],
)
def test_many_steps(seed: int, steps: int) -> None:
    """Two-sided and uncrossed all the way, what is owned stays bounded, prices move, few commands.

    A step is one move of the maker and one order of the taker, so about two seconds of the demo.
    """
    floor = Floor(seed=seed)
    limit = floor.style.inventory_lots
    best: set[tuple[int, int]] = set()
    planned = []
    most = 0
    for step in range(steps):
        planned.append(floor.plan())
        bids, asks = floor.core.depth(1, 1)
        assert bids and asks, f"one-sided in step {step}"
        assert bids[0][0] < asks[0][0]
        best.add((bids[0][0], asks[0][0]))
        if step % 100 == 0:
            ours = floor.desk.orders.open()
            assert floor.own_book() == {(SIDES[o.side], o.price): o.lots for o in ours}
        floor.take()
        owned = floor.owned_lots()
        assert -limit <= owned <= limit
        most = max(most, abs(owned))
        assert abs(floor.desk.taker_lots) <= limit
    assert floor.refusals == []
    assert floor.trades >= steps * 9 // 10
    assert len(best) > steps // 100
    assert most > limit // 100, "it never owned anything"
    assert sum(planned[1:]) / steps < 5
    assert len(floor.desk.orders.open()) <= 2 * sum(band.levels for band in floor.style.bands)


def test_a_wall_moves_the_quotes_and_is_taken_down() -> None:
    """Somebody's large bid above the price: asks go above it, nothing is refused, takers sell."""
    floor = Floor(seed=3)
    floor.plan()
    wall = floor.core.depth(1, 1)[1][0][0] + 20
    floor.stranger(BID, wall + 5, 100_000, rests=False)
    floor.stranger(BID, wall, 5_000, rests=True)
    for _ in range(3):
        floor.plan()
    bids, asks = floor.core.depth(1, 1)
    assert bids[0] == (wall, 5_000)
    assert asks[0][0] > wall
    for _ in range(1_000):
        floor.plan()
        floor.take()
    assert floor.refusals == []
    assert floor.core.open_orders(4, 1) == [], "the wall still stands"


def test_a_sweep_is_refilled() -> None:
    """Everything on one side is bought at once: the next plan has two sides again."""
    floor = Floor(seed=4)
    floor.plan()
    asks = floor.core.depth(1, 100)[1]
    floor.stranger(BID, asks[-1][0], sum(lots for _, lots in asks), rests=False)
    assert floor.core.depth(1, 1)[1] == []
    floor.plan()
    bids, asks = floor.core.depth(1, 100)
    assert bids and asks
    assert floor.refusals == []


def test_a_market_that_refuses_is_left_alone() -> None:
    """A closed market: no storm of refused orders; and what was in the book goes."""
    floor = Floor(seed=5)
    floor.plan()
    desk = floor.desk
    closed = RequestRefused(400, "INVALID_ORDER", "Market does not take this order now")
    assert not desk.refused(CancelAll(), closed, floor.now_ms)
    assert desk.plan_ms >= floor.now_ms + REST_MS
    assert desk.withdraw(floor.now_ms) == [CancelAll()]
    floor.send(CancelAll())
    assert floor.own_book() == {}
    assert desk.withdraw(floor.now_ms) == []


def test_orders_that_vanished_are_replaced() -> None:
    """Cancelled behind its back: the amend is refused, and the next plan places a new order."""
    floor = Floor(seed=6)
    floor.plan()
    gone = floor.desk.orders.open()[0]
    order = floor.core.order(2, 1, int(gone.order_id))
    assert order is not None
    floor.do(records.cancel(account=2, market=1, order_id=order.order_id))
    for _ in range(200):
        floor.plan()
    assert set(floor.refusals) <= {"Order Not Found (RESOURCE_NOT_FOUND)"}
    ours = floor.desk.orders.open()
    assert floor.own_book() == {(SIDES[o.side], o.price): o.lots for o in ours}


@pytest.mark.parametrize("seed", range(3))
def test_news_that_comes_late(seed: int) -> None:
    """Fills happen amid plans, and the desk hears of them any time later: what it knows is wrong
    for a while, but nothing breaks, and once it has heard all its next plan is right.
    """
    floor = Floor(seed=seed)
    floor.news_is_late = True
    chance = random.Random(seed)

    def meanwhile() -> None:
        if chance.randrange(4) == 0:
            bids, asks = floor.core.depth(1, 5)
            side, levels = chance.choice(((BID, asks), (ASK, bids)))
            if levels:
                price, lots = chance.choice(levels)
                floor.stranger(side, price, chance.randrange(1, 2 * lots + 1), rests=False)
        floor.deliver(chance.randrange(3))

    floor.meanwhile = meanwhile
    for _ in range(1_000):
        floor.plan()
        floor.take()
        meanwhile()
    assert floor.refusals, "nothing ever came between"
    assert set(floor.refusals) <= {
        "Order Not Found (RESOURCE_NOT_FOUND)",
        "Order would immediately match and take",
        "Quantity is out of range",
    }
    assert floor.desk.plan_ms <= floor.now_ms + floor.style.move_ms, "an accident is no trouble"
    floor.meanwhile = lambda: None
    floor.deliver(len(floor.news))
    floor.plan()
    ours = floor.desk.orders.open()
    assert floor.own_book() == {(SIDES[o.side], o.price): o.lots for o in ours}
    assert all(floor.core.depth(1, 1))
