"""Bounded walks: how many orders a command may look at, and the commands of a frame together."""

from __future__ import annotations

import pytest

from fairbook.core import admin_records as admin
from fairbook.core import records
from tests.core import wire
from tests.core.play import Play, play

WALL = """
    deposit   ann  100 BTC
    deposit   bob  100000 USDT
    sell      ann  0.001 BTC @ 100
    sell      ann  0.001 BTC @ 100
    sell      ann  0.001 BTC @ 101
    sell      ann  5 BTC @ 101
    set       BTC_USDT walk-max 3
"""
OWN = "removes own, fills 0.001 @ 100, "
THREE = "fills 0.001 @ 100, fills 0.001 @ 100, fills 0.001 @ 101, "


def dust(story: Play, count: int) -> bytes:
    """Orders of 20 accounts for one lot each, at 40 prices; returns an order that takes a lot."""
    makers = [f"m{number}" for number in range(20)]
    for name in makers:
        story.perform(f"deposit {name} 1 BTC")
    sells = [
        records.place(
            account=story.account(makers[at % 20]),
            market=1,
            side=records.ASK,
            quantity=1,
            price=1000 + at % 40,
        )
        for at in range(count)
    ]
    story.send_many(sells)
    bob = story.account("bob")
    return records.place(account=bob, market=1, side=records.BID, quantity=1, price=1040)


def test_a_wall_of_dust_stops_a_fok_order_and_the_least_quantity_is_the_remedy() -> None:
    """There is enough, but not among the first three orders."""
    play(f"""{WALL}
        buy       bob  0.002 BTC @ 101 fok   -> fills 0.001 @ 100, fills 0.001 @ 100
        sell      ann  0.001 BTC @ 100
        sell      ann  0.001 BTC @ 100
        buy       bob  0.004 BTC @ 101 fok   -> expires walk-limit
        asks      BTC_USDT 0.002 @ 100, 5.001 @ 101
        cancel-all ann
        set       BTC_USDT quantity-min 1000
        sell      ann  0.001 BTC @ 100       -> rejected BAD_QUANTITY
        sell      ann  5 BTC @ 101
        buy       bob  4 BTC @ 101 fok       -> fills 4 @ 101
    """)


@pytest.mark.parametrize(
    "order",
    [
        "0.004 BTC @ 101",
        "0.004 BTC @ 101 ioc",
        "0.004 BTC at market",
    ],
)
def test_the_rest_of_another_order_expires_at_the_bound(order: str) -> None:
    """A limit order too: it must not rest at a price that crosses the book."""
    play(f"""{WALL}
        buy       bob  {order}               -> {THREE}expires walk-limit
        bids      BTC_USDT
        asks      BTC_USDT 5 @ 101
        locked    bob  0 USDT
    """)


def test_an_order_that_is_done_at_the_bound_is_filled_and_one_that_may_rest_rests() -> None:
    """The bound counts only where a further order would be looked at."""
    play(f"""{WALL}
        set       BTC_USDT walk-max 2
        buy       bob  0.002 BTC @ 101       -> fills 0.001 @ 100, fills 0.001 @ 100
        cancel-all ann
        sell      ann  0.001 BTC @ 100
        sell      ann  0.001 BTC @ 100
        sell      ann  1 BTC @ 102
        buy       bob  1 BTC @ 101           -> fills 0.001 @ 100, fills 0.001 @ 100, rests
    """)


def test_an_amended_order_obeys_the_bound() -> None:
    """Its rest expires, with what it filled."""
    play(f"""{WALL}
        buy       bob  1 BTC @ 99 as b
        amend     bob  b 1 BTC @ 101         -> amended, {THREE}expires walk-limit
        bids      BTC_USDT
        locked    bob  0 USDT
    """)


def test_own_orders_count_and_the_bound_comes_before_self_trade_prevention() -> None:
    """One that is passed over or removed was looked at."""
    play(f"""
        deposit   ann  100 BTC
        deposit   bob  100000 USDT
        deposit   bob  1 BTC
        sell      bob  0.001 BTC @ 100 as own
        sell      ann  0.001 BTC @ 100
        sell      ann  1 BTC @ 100
        set       BTC_USDT walk-max 2
        buy       bob  0.002 BTC @ 100 reject-maker -> {OWN}expires walk-limit
        sell      ann  0.001 BTC @ 99
        sell      ann  0.001 BTC @ 99
        sell      bob  0.001 BTC @ 99
        buy       bob  1 BTC @ 99      -> fills 0.001 @ 99, fills 0.001 @ 99, expires walk-limit
        buy       bob  1 BTC @ 99            -> expires self-trade
    """)


def test_a_budget_that_ends_inside_an_order_is_filled_at_the_bound() -> None:
    """What is left pays no other lot of the order it just traded with: it was looked at already."""
    play("""
        deposit   ann  100 BTC
        deposit   bob  1000 USDT
        sell      ann  1 BTC @ 100
        sell      ann  1 BTC @ 100
        set       BTC_USDT walk-max 1
        buy       bob  for 50.05 USDT        -> fills 0.5 @ 100
        buy       bob  for 50.05 USDT        -> fills 0.5 @ 100, expires walk-limit
        buy       bob  for 0.05 USDT         -> expires insufficient-liquidity
    """)


def test_the_commands_of_a_frame_look_at_four_thousand_orders_of_a_market() -> None:
    """The 4,001st finds nothing it may look at; the next frame may again, and another market."""
    story = Play()
    story.perform("""
        deposit   ann  9 BTC
        deposit   bob  1000 USDT
        deposit   ann  9 ETH
        sell      ann  1 ETH @ 100
    """)
    take = dust(story, 4_003)
    other = records.place(
        account=story.account("bob"), market=2, side=records.BID, quantity=1, price=1000
    )
    outcomes = [e for e in story.send(take * 4_001 + other) if isinstance(e, wire.Outcome)]
    assert [each.status for each in outcomes[:4_000]] == [wire.FILLED] * 4_000
    assert (outcomes[4_000].status, outcomes[4_000].reason) == (wire.EXPIRED, wire.WALK_LIMIT)
    assert outcomes[4_001].status == wire.FILLED
    last = story.send(take)[-1]
    assert isinstance(last, wire.Outcome) and last.status == wire.FILLED
    story.finish()


def test_what_a_rejected_order_looked_at_counts_up_to_where_its_money_ends() -> None:
    """So that orders of an account without money do not use up the frame of the others."""
    story = Play()
    story.perform("deposit ann 9 BTC\n deposit bob 1000 USDT\n deposit poor 0.25 USDT")
    take = dust(story, 1_500)
    story.send(admin.set_market(market=1, parameter=admin.WALK_MAX, value=4_000))
    poor = records.place(
        account=story.account("poor"),
        market=1,
        side=records.BID,
        quantity=1_500,
        tif=records.IOC,
        flags=records.MARKET_ORDER,
    )
    # A lot costs 0.1: the walk ends with the third order, and one more may be looked at.
    outcomes = [e for e in story.send(poor * 1_333 + take * 2) if isinstance(e, wire.Outcome)]
    assert {each.reason for each in outcomes[:-2]} == {wire.Reject.INSUFFICIENT_FUNDS}
    assert [each.filled for each in outcomes[-2:]] == [1, 0]
    assert outcomes[-1].reason == wire.WALK_LIMIT
    story.finish()


def test_a_walk_for_funds_and_the_matching_after_it_count_once() -> None:
    """A market buy is walked to know its cost, a FOK to know whether it fills."""
    story = Play()
    story.perform("deposit ann 9 BTC\n deposit bob 1000 USDT")
    take = dust(story, 4_001)
    bob = story.account("bob")
    story.send(admin.set_market(market=1, parameter=admin.WALK_MAX, value=4_000))
    buy = records.place(
        account=bob,
        market=1,
        side=records.BID,
        quantity=1_500,
        tif=records.IOC,
        flags=records.MARKET_ORDER,
    )
    whole = records.place(
        account=bob, market=1, side=records.BID, quantity=1_500, price=1040, tif=records.FOK
    )
    frame = buy + whole + take * 1_001
    outcomes = [e for e in story.send(frame) if isinstance(e, wire.Outcome)]
    assert [each.filled for each in outcomes[:2]] == [1_500, 1_500]
    assert [each.status for each in outcomes[2:1_002]] == [wire.FILLED] * 1_000
    assert outcomes[-1].reason == wire.WALK_LIMIT
    story.finish()
