"""Matching: who trades with whom, at what price, in which order."""

from __future__ import annotations

import pytest

from fairbook.core import records
from tests.core import wire
from tests.core.play import Play, play


def test_a_taker_pays_the_makers_price() -> None:
    """A crossing order trades at the resting price; the funds that it locked above that are
    released.
    """
    play("""
        deposit   seller  1 BTC
        deposit   buyer   150 USDT
        sell      seller  1 BTC @ 100     -> rests
        buy       buyer   1 BTC @ 120     -> fills 1 @ 100
        balance   buyer   1 BTC, 50 USDT
        locked    buyer   0 USDT
        balance   seller  0 BTC, 100 USDT
    """)


def test_price_improvement_comes_back_in_the_same_command_while_the_rest_stays_locked() -> None:
    """The locked amount falls by what the limit reserved, not by what was paid."""
    play("""
        deposit   seller  1 BTC
        deposit   buyer   240 USDT
        sell      seller  1 BTC @ 100
        buy       buyer   2 BTC @ 120     -> fills 1 @ 100, rests
        balance   buyer   1 BTC, 20 USDT
        locked    buyer   120 USDT
        bids      BTC_USDT 1 @ 120
        asks      BTC_USDT
    """)


def test_the_best_price_trades_first_and_at_one_price_the_oldest() -> None:
    """Price, then time."""
    play("""
        deposit   ann     1 BTC
        deposit   bob     2 BTC
        deposit   cid     1 BTC
        deposit   buyer   1000 USDT
        sell      ann     1 BTC @ 103 as a
        sell      bob     1 BTC @ 101 as b
        sell      cid     1 BTC @ 102 as c
        sell      bob     1 BTC @ 101 as later
        buy       buyer   1.5 BTC @ 110   -> fills 1 @ 101, fills 0.5 @ 101
        cancel    bob     b               -> rejected UNKNOWN_ORDER
        asks      BTC_USDT 0.5 @ 101, 1 @ 102, 1 @ 103
        buy       buyer   2.5 BTC @ 110   -> fills 0.5 @ 101, fills 1 @ 102, fills 1 @ 103
        balance   buyer   4 BTC, 593 USDT
    """)


def test_bids_are_hit_from_the_highest_down() -> None:
    """The same for sell orders."""
    play("""
        deposit   ann     300 USDT
        deposit   bob     300 USDT
        deposit   seller  3 BTC
        buy       ann     1 BTC @ 98
        buy       bob     1 BTC @ 100
        buy       ann     1 BTC @ 100
        sell      seller  2.5 BTC @ 95    -> fills 1 @ 100, fills 1 @ 100, fills 0.5 @ 98
        balance   seller  0.5 BTC, 249 USDT
        balance   bob     1 BTC, 200 USDT
        locked    ann     49 USDT
    """)


def test_a_limit_order_never_trades_beyond_its_limit() -> None:
    """Orders beyond its limit stay on the book, and its rest joins the other side."""
    play("""
        deposit   seller  2 BTC
        deposit   buyer   500 USDT
        sell      seller  1 BTC @ 100
        sell      seller  1 BTC @ 100.1
        buy       buyer   3 BTC @ 100     -> fills 1 @ 100, rests
        bids      BTC_USDT 2 @ 100
        asks      BTC_USDT 1 @ 100.1
    """)


def test_ioc_takes_what_there_is_and_expires_the_rest() -> None:
    """It never rests, and needs the funds of its whole quantity."""
    play("""
        deposit   seller  1 BTC
        deposit   buyer   200 USDT
        buy       buyer   1 BTC @ 100 ioc -> expires immediate-or-cancel
        sell      seller  1 BTC @ 100
        buy       buyer   2.1 BTC @ 100 ioc -> rejected INSUFFICIENT_FUNDS
        buy       buyer   2 BTC @ 100 ioc -> fills 1 @ 100, expires immediate-or-cancel
        balance   buyer   1 BTC, 100 USDT
        bids      BTC_USDT
    """)


def test_fok_is_all_or_nothing() -> None:
    """One lot too few: no fill. Exactly enough: filled."""
    play("""
        deposit   seller  2 BTC
        deposit   buyer   500 USDT
        sell      seller  1 BTC @ 100
        sell      seller  1 BTC @ 101
        buy       buyer   2.001 BTC @ 101 fok -> expires fill-or-kill
        buy       buyer   2 BTC @ 100.9 fok   -> expires fill-or-kill
        asks      BTC_USDT 1 @ 100, 1 @ 101
        buy       buyer   2 BTC @ 101 fok     -> fills 1 @ 100, fills 1 @ 101
        balance   buyer   2 BTC, 299 USDT
    """)


def test_post_only_never_takes() -> None:
    """At the best ask or above: rejected. One tick below: rests."""
    play("""
        deposit   seller  1 BTC
        deposit   buyer   500 USDT
        sell      seller  1 BTC @ 100
        buy       buyer   1 BTC @ 100 post-only   -> rejected WOULD_CROSS
        buy       buyer   1 BTC @ 100.1 post-only -> rejected WOULD_CROSS
        buy       buyer   1 BTC @ 99.9 post-only  -> rests
        sell      seller  1 BTC @ 99 post-only    -> rejected INSUFFICIENT_FUNDS
        deposit   seller  1 BTC
        sell      seller  1 BTC @ 99.9 post-only  -> rejected WOULD_CROSS
        sell      seller  1 BTC @ 100 post-only   -> rests
        sell      seller  0 BTC @ 99 post-only    -> rejected BAD_QUANTITY
    """)


def test_a_post_only_order_may_not_cross_an_own_order() -> None:
    """WOULD_CROSS looks at the best price only, whatever the mode of self-trade prevention."""
    play("""
        deposit   ann  1 BTC
        deposit   ann  500 USDT
        sell      ann  1 BTC @ 100
        buy       ann  1 BTC @ 100 post-only reject-maker -> rejected WOULD_CROSS
    """)


@pytest.mark.parametrize(
    ("mode", "did", "bids", "asks"),
    [
        ("", "fills 1 @ 100, expires self-trade", "", "1 @ 101, 1 @ 102"),
        ("reject-maker", "fills 1 @ 100, removes own, fills 1 @ 102, rests", "1 @ 105", ""),
        ("reject-both", "fills 1 @ 100, removes own, expires self-trade", "", "1 @ 102"),
    ],
)
def test_self_trade_prevention_of_a_limit_order(mode: str, did: str, bids: str, asks: str) -> None:
    """The taker's mode decides; an account never trades with itself; locked funds are released."""
    story = play(f"""
        deposit   bob  2 BTC
        deposit   ann  1 BTC
        deposit   ann  1000 USDT
        sell      bob  1 BTC @ 100
        sell      ann  1 BTC @ 101 as own
        sell      bob  1 BTC @ 102
        buy       ann  3 BTC @ 105 {mode} -> {did}
        bids      BTC_USDT {bids}
        asks      BTC_USDT {asks}
    """)
    story.perform("cancel-all ann\n locked ann 0 BTC, 0 USDT")


@pytest.mark.parametrize(
    ("mode", "did"),
    [
        ("", "expires fill-or-kill"),
        ("reject-maker", "fills 1 @ 100, removes own, fills 1 @ 102"),
        ("reject-both", "expires fill-or-kill"),
    ],
)
def test_fok_does_not_count_ones_own_orders(mode: str, did: str) -> None:
    """With RejectMaker the walk skips them; otherwise it stops there, and nothing is filled."""
    play(f"""
        deposit   bob  2 BTC
        deposit   ann  1 BTC
        deposit   ann  1000 USDT
        sell      bob  1 BTC @ 100
        sell      ann  1 BTC @ 101 as own
        sell      bob  1 BTC @ 102
        buy       ann  3 BTC @ 105 fok {mode} -> expires fill-or-kill
        asks      BTC_USDT 1 @ 100, 1 @ 101, 1 @ 102
        buy       ann  2 BTC @ 105 fok {mode} -> {did}
    """)


@pytest.mark.parametrize(
    ("mode", "did"),
    [
        ("", "fills 1 @ 100, expires self-trade"),
        (
            "reject-maker",
            "fills 1 @ 100, removes own, fills 1 @ 102, expires insufficient-liquidity",
        ),
        ("reject-both", "fills 1 @ 100, removes own, expires self-trade"),
    ],
)
def test_self_trade_prevention_of_a_market_order(mode: str, did: str) -> None:
    """Own orders do not count for the cost of the order."""
    play(f"""
        deposit   bob  2 BTC
        deposit   ann  1 BTC
        deposit   ann  202 USDT
        sell      bob  1 BTC @ 100
        sell      ann  1 BTC @ 101 as own
        sell      bob  1 BTC @ 102
        buy       ann  3 BTC at market {mode} -> {did}
    """)


def test_an_own_order_behind_others_at_its_level_is_met_in_order() -> None:
    """The level is reported once, after all events at it."""
    story = Play()
    story.perform("""
        deposit   bob  2 BTC
        deposit   ann  1 BTC
        deposit   ann  1000 USDT
        sell      bob  1 BTC @ 100
        sell      ann  1 BTC @ 100 as own
        sell      bob  1 BTC @ 100
    """)
    events = story.send(
        records.place(
            account=story.account("ann"),
            market=1,
            side=records.BID,
            quantity=2000,
            price=1000,
            flags=wire.REJECT_MAKER << 4,
        )
    )
    first, closed_again = (wire.Accepted, wire.Fill, wire.Closed), (wire.Closed, wire.Outcome)
    kinds = (*first, wire.Closed, wire.Fill, wire.Closed, wire.Level, *closed_again)
    assert tuple(map(type, events)) == kinds
    story.finish()


def test_a_market_order_by_quantity_costs_what_the_walk_costs() -> None:
    """One atom less: rejected, and nothing is executed."""
    play("""
        deposit   seller  2 BTC
        deposit   buyer   200.999999 USDT
        sell      seller  1 BTC @ 100
        sell      seller  1 BTC @ 101
        buy       buyer   2 BTC at market -> rejected INSUFFICIENT_FUNDS
        asks      BTC_USDT 1 @ 100, 1 @ 101
        deposit   buyer   0.000001 USDT
        buy       buyer   2 BTC at market -> fills 1 @ 100, fills 1 @ 101
        balance   buyer   2 BTC, 0 USDT
        buy       buyer   2 BTC at market -> expires insufficient-liquidity
    """)


def test_a_market_sell_by_quantity_needs_all_of_its_quantity() -> None:
    """Also the part that the book cannot fill."""
    play("""
        deposit   buyer   100 USDT
        deposit   seller  1.999 BTC
        buy       buyer   1 BTC @ 100
        sell      seller  2 BTC at market     -> rejected INSUFFICIENT_FUNDS
        sell      seller  1.999 BTC at market -> fills 1 @ 100, expires insufficient-liquidity
        balance   seller  0.999 BTC, 100 USDT
    """)


def test_a_market_buy_by_quote_spends_at_most_its_budget() -> None:
    """It ends when the rest of the budget buys no lot; this rest stays with the buyer."""
    play("""
        deposit   seller  2 BTC
        deposit   buyer   150 USDT
        sell      seller  1 BTC @ 100
        sell      seller  1 BTC @ 101
        buy       buyer   for 150.000001 USDT -> rejected INSUFFICIENT_FUNDS
        buy       buyer   for 150 USDT        -> fills 1 @ 100, fills 0.495 @ 101
        balance   buyer   1.495 BTC, 0.005 USDT
        buy       buyer   for 0.005 USDT      -> expires insufficient-liquidity
    """)


def test_a_market_sell_by_quote_receives_at_most_its_amount() -> None:
    """It needs the base of the walk, which is known before any change."""
    play("""
        deposit   buyer   199 USDT
        deposit   seller  1.504 BTC
        buy       buyer   1 BTC @ 100
        buy       buyer   1 BTC @ 99
        sell      seller  for 150 USDT        -> rejected INSUFFICIENT_FUNDS
        deposit   seller  0.001 BTC
        sell      seller  for 150 USDT        -> fills 1 @ 100, fills 0.505 @ 99
        balance   seller  0 BTC, 149.995 USDT
    """)


def test_an_order_by_quote_ends_where_no_lot_fits_though_a_cheaper_level_would() -> None:
    """A sell: 0.095 is left, a lot is 0.1 here and 0.09 at the next price; no base is needed."""
    play("""
        deposit   buyer   1000 USDT
        deposit   seller  1 BTC
        buy       buyer   5 BTC @ 100
        buy       buyer   5 BTC @ 90
        sell      seller  for 100.095 USDT    -> fills 1 @ 100
        balance   seller  0 BTC, 100 USDT
    """)


def test_a_market_order_by_quote_that_empties_the_book_expires() -> None:
    """It keeps its fills."""
    play("""
        deposit   seller  1 BTC
        deposit   buyer   150 USDT
        sell      seller  1 BTC @ 100
        buy       buyer   for 150 USDT -> fills 1 @ 100, expires insufficient-liquidity
        balance   buyer   1 BTC, 50 USDT
    """)


def test_the_band_stops_a_market_order_counted_from_the_first_price() -> None:
    """10,000 ppm of 100 is 1: 101 is still allowed, 101.1 is not."""
    play("""
        set       BTC_USDT band 10000
        deposit   seller  3 BTC
        deposit   buyer   1000 USDT
        sell      seller  1 BTC @ 100
        sell      seller  1 BTC @ 101
        sell      seller  1 BTC @ 101.1
        buy       buyer   3 BTC at market -> fills 1 @ 100, fills 1 @ 101, expires out-of-bounds
        buy       buyer   0.1 BTC at market -> fills 0.1 @ 101.1
        buy       buyer   1 BTC @ 90
        buy       buyer   1 BTC @ 89
        deposit   seller  5 BTC
        sell      seller  2 BTC at market -> fills 1 @ 90, expires out-of-bounds
        sell      seller  for 100 USDT -> fills 1 @ 89, expires insufficient-liquidity
    """)


def test_a_band_of_a_million_allows_a_seller_every_price_and_a_buyer_twice_the_first() -> None:
    """The lower end of this band is 0."""
    play("""
        set       BTC_USDT band 1000000
        deposit   ann  400 USDT
        deposit   bob  5 BTC
        buy       ann  1 BTC @ 100
        buy       ann  1 BTC @ 0.1
        sell      bob  2 BTC at market -> fills 1 @ 100, fills 1 @ 0.1
        sell      bob  1 BTC @ 100
        sell      bob  1 BTC @ 200
        sell      bob  1 BTC @ 200.1
        buy       ann  for 299.9 USDT -> fills 1 @ 100, fills 0.999 @ 200
        buy       ann  0 BTC at market -> rejected BAD_QUANTITY
    """)
