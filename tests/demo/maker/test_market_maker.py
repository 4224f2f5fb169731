"""A MarketMaker against the real core: many steps, and orders of others in its way."""

import random

import pytest

from fairbook.client.errors import RequestRefused
from fairbook.core import records
from fairbook.demo.maker.market_maker import BACK_OFF_MS
from fairbook.demo.maker.quotes import ASK, BID
from fairbook.demo.maker.reconcile import CancelAll
from tests.demo.maker.simulation import SIDES, MakerSimulation

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
    """Always two-sided and uncrossed, with bounded inventory, moving prices and few commands.

    A step is one move of the maker and one order of the taker, so about two seconds of the demo.
    """
    simulation = MakerSimulation(seed=seed)
    limit = simulation.parameters.inventory_lots
    best: set[tuple[int, int]] = set()
    planned = []
    most = 0
    for step in range(steps):
        planned.append(simulation.plan())
        bids, asks = simulation.core.depth(1, 1)
        assert bids and asks, f"one-sided in step {step}"
        assert bids[0][0] < asks[0][0]
        best.add((bids[0][0], asks[0][0]))
        if step % 100 == 0:
            own = simulation.maker.orders.open()
            assert simulation.own_book() == {(SIDES[o.side], o.price): o.lots for o in own}
        simulation.take()
        owned = simulation.owned_lots()
        assert -limit <= owned <= limit
        most = max(most, abs(owned))
        assert abs(simulation.maker.taker_lots) <= limit
    assert simulation.refusals == []
    assert simulation.trades >= steps * 9 // 10
    assert len(best) > steps // 100
    assert most > limit // 100, "its inventory never changed"
    assert sum(planned[1:]) / steps < 5
    assert len(simulation.maker.orders.open()) <= 2 * sum(
        band.levels for band in simulation.parameters.plan.bands
    )


def test_a_wall_moves_the_quotes_and_is_taken() -> None:
    """A large foreign bid above the price: asks go above it, nothing is refused, takers sell."""
    simulation = MakerSimulation(seed=3)
    simulation.plan()
    wall = simulation.core.depth(1, 1)[1][0][0] + 20
    simulation.stranger(BID, wall + 5, 100_000, rests=False)
    simulation.stranger(BID, wall, 5_000, rests=True)
    for _ in range(3):
        simulation.plan()
    bids, asks = simulation.core.depth(1, 1)
    assert bids[0] == (wall, 5_000)
    assert asks[0][0] > wall
    for _ in range(1_000):
        simulation.plan()
        simulation.take()
    assert simulation.refusals == []
    assert simulation.core.open_orders(4, 1) == [], "the wall still stands"


def test_a_sweep_is_refilled() -> None:
    """One side is bought completely: the next plan has two sides again."""
    simulation = MakerSimulation(seed=4)
    simulation.plan()
    asks = simulation.core.depth(1, 100)[1]
    simulation.stranger(BID, asks[-1][0], sum(lots for _, lots in asks), rests=False)
    assert simulation.core.depth(1, 1)[1] == []
    simulation.plan()
    bids, asks = simulation.core.depth(1, 100)
    assert bids and asks
    assert simulation.refusals == []


def test_a_market_that_refuses_is_left_alone() -> None:
    """A closed market: orders are not repeated at once, and the open ones are cancelled."""
    simulation = MakerSimulation(seed=5)
    simulation.plan()
    maker = simulation.maker
    closed = RequestRefused(400, "INVALID_ORDER", "Market does not take this order now")
    assert not maker.on_refusal(CancelAll(), closed, simulation.now_ms)
    assert maker.next_plan_ms >= simulation.now_ms + BACK_OFF_MS
    assert maker.withdraw(simulation.now_ms) == [CancelAll()]
    simulation.send(CancelAll())
    assert simulation.own_book() == {}
    assert maker.withdraw(simulation.now_ms) == []


def test_cancelled_orders_are_replaced() -> None:
    """Cancelled by another session: the amend is refused, and the next plan places a new order."""
    simulation = MakerSimulation(seed=6)
    simulation.plan()
    gone = simulation.maker.orders.open()[0]
    order = simulation.core.order(2, 1, int(gone.order_id))
    assert order is not None
    simulation.do(records.cancel(account=2, market=1, order_id=order.order_id))
    for _ in range(200):
        simulation.plan()
    assert set(simulation.refusals) <= {"Order Not Found (RESOURCE_NOT_FOUND)"}
    own = simulation.maker.orders.open()
    assert simulation.own_book() == {(SIDES[o.side], o.price): o.lots for o in own}


@pytest.mark.parametrize("seed", range(3))
def test_late_updates(seed: int) -> None:
    """Fills happen during plans, and their updates come at any time later: the maker's state is
    wrong for a while, but nothing fails, and after all updates its next plan is right.
    """
    simulation = MakerSimulation(seed=seed)
    simulation.delays_updates = True
    chance = random.Random(seed)

    def meanwhile() -> None:
        if chance.randrange(4) == 0:
            bids, asks = simulation.core.depth(1, 5)
            side, levels = chance.choice(((BID, asks), (ASK, bids)))
            if levels:
                price, lots = chance.choice(levels)
                simulation.stranger(side, price, chance.randrange(1, 2 * lots + 1), rests=False)
        simulation.deliver(chance.randrange(3))

    simulation.meanwhile = meanwhile
    for _ in range(1_000):
        simulation.plan()
        simulation.take()
        meanwhile()
    assert simulation.refusals, "no fill came in between"
    assert set(simulation.refusals) <= {
        "Order Not Found (RESOURCE_NOT_FOUND)",
        "Order would immediately match and take",
        "Quantity is out of range",
    }
    assert (
        simulation.maker.next_plan_ms <= simulation.now_ms + simulation.parameters.plan.move_ms
    ), "an accident of timing is no reason to back off"
    simulation.meanwhile = lambda: None
    simulation.deliver(len(simulation.updates))
    simulation.plan()
    own = simulation.maker.orders.open()
    assert simulation.own_book() == {(SIDES[o.side], o.price): o.lots for o in own}
    assert all(simulation.core.depth(1, 1))
