"""Deposits, locked funds, fees, caps, and exact amounts."""

from __future__ import annotations

import pytest

from fairbook.core import admin_records as admin
from fairbook.core import records
from tests.core import wire
from tests.core.play import Play, play
from tests.world import money


def test_funds_exactly_and_one_atom_short() -> None:
    """A limit buy needs its notional, a sell its base, exactly."""
    play("""
        deposit   ann  99.999999 USDT
        buy       ann  1 BTC @ 100        -> rejected INSUFFICIENT_FUNDS
        deposit   ann  0.000001 USDT
        buy       ann  1 BTC @ 100        -> rests
        balance   ann  0 USDT
        locked    ann  100 USDT
        withdraw  ann  0.000001 USDT      -> rejected INSUFFICIENT_FUNDS
        deposit   bob  0.99999999 BTC
        sell      bob  1 BTC @ 101        -> rejected INSUFFICIENT_FUNDS
        deposit   bob  0.00000001 BTC
        sell      bob  1 BTC @ 101        -> rests
        locked    bob  1 BTC
    """)


def test_cancelling_gives_back_the_asset_that_was_locked() -> None:
    """Base for a sell, quote for a buy, and only for the part that was not filled."""
    play("""
        deposit   ann  200 USDT
        deposit   bob  1 BTC
        buy       ann  2 BTC @ 100 as a
        sell      bob  0.5 BTC @ 100      -> fills 0.5 @ 100
        sell      bob  0.5 BTC @ 110 as b
        cancel    ann  a                  -> cancelled
        cancel    bob  b                  -> cancelled
        balance   ann  0.5 BTC, 150 USDT
        balance   bob  0.5 BTC, 50 USDT
    """)


def test_external_is_the_other_side_of_every_deposit() -> None:
    """Every asset sums to zero."""
    play("""
        deposit   ann  5 BTC
        withdraw  ann  2 BTC
        balance   external -3 BTC
        balance   ann  3 BTC
    """)


def test_a_fee_is_taken_out_of_what_is_received() -> None:
    """Base from the buyer, quote from the seller, each at the rate of its role."""
    play("""
        set       BTC_USDT maker-fee 1000
        set       BTC_USDT taker-fee 2500
        deposit   ann  1 BTC
        deposit   bob  100 USDT
        sell      ann  1 BTC @ 100
        buy       bob  1 BTC @ 100        -> fills 1 @ 100
        balance   ann  0 BTC, 99.9 USDT
        balance   bob  0.9975 BTC, 0 USDT
        balance   fee  0.0025 BTC, 0.1 USDT
    """)


@pytest.mark.parametrize("rate_ppm", [1, 333_333, 999_999])
def test_ten_thousand_fills_of_one_lot_cost_the_fee_of_one_fill(rate_ppm: int) -> None:
    """The fee is rounded up per order, not per fill, so splitting changes nothing."""
    fees = []
    for pieces in (1, 10_000):
        story = Play()
        seller, buyer = story.account("seller"), story.account("buyer")
        story.perform(f"""
            set     BTC_USDT maker-fee {rate_ppm}
            set     BTC_USDT taker-fee {rate_ppm}
            deposit seller 10 BTC
            deposit buyer  1200 USDT
            sell    seller 10 BTC @ 119.9
        """)
        take = records.place(
            account=buyer, market=1, side=records.BID, quantity=10_000 // pieces, price=1199
        )
        events = story.send_many([take] * pieces)
        filled = [event for event in events if isinstance(event, wire.Closed)]
        maker = next(event.order for event in filled if event.order.account == seller)
        fees.append((maker.fee, story.core.balances(1)[2][1]))
        assert maker.fee == -(-rate_ppm * 10_000 * 1199 * 100 // 10**6)
        assert sum(event.maker_fee for event in events if isinstance(event, wire.Fill)) == maker.fee
    assert fees[0] == fees[1]


def test_a_fee_is_at_least_one_atom_and_at_most_what_is_received() -> None:
    """With lots of one atom the first fill pays the whole fee, the next thousands pay nothing."""
    story = Play()
    story.send(admin.list_market(market=3, base=1, quote=2, lot_atoms=1, tick_atoms=1, name="TINY"))
    for parameter, value in ((admin.STATE, 0), (admin.MAKER_FEE_PPM, 100)):
        story.send(admin.set_market(market=3, parameter=parameter, value=value))
    story.perform("""
        deposit ann 1 BTC
        deposit bob 1 ETH
    """)
    ann, bob = story.account("ann"), story.account("bob")
    story.send(records.place(account=ann, market=3, side=records.ASK, quantity=10_001, price=1))
    buy = records.place(account=bob, market=3, side=records.BID, quantity=1, price=1)
    fills = [event for event in story.send_many([buy] * 10_001) if isinstance(event, wire.Fill)]
    assert [at for at, fill in enumerate(fills) if fill.maker_fee] == [0, 10_000]
    assert {fill.maker_fee for fill in fills} == {0, 1}
    story.finish()


def test_a_change_of_rate_holds_from_the_next_fill() -> None:
    """The sum of rate times amount is rounded up."""
    play("""
        set       BTC_USDT maker-fee 1000
        deposit   ann  2 BTC
        deposit   bob  200 USDT
        sell      ann  2 BTC @ 100
        buy       bob  1 BTC @ 100
        set       BTC_USDT maker-fee 0
        buy       bob  0.5 BTC @ 100
        set       BTC_USDT maker-fee 500000
        buy       bob  0.5 BTC @ 100
        balance   fee  25.1 USDT
        balance   ann  174.9 USDT
    """)


def test_an_order_may_change_role_and_keeps_one_sum() -> None:
    """Fees as taker and as maker are rounded up once, together."""
    story = play("""
        set       BTC_USDT maker-fee 1
        set       BTC_USDT taker-fee 2
        deposit   ann  0.001 BTC
        deposit   bob  1 USDT
        deposit   cid  0.001 BTC
        sell      ann  0.001 BTC @ 0.1
        buy       bob  0.002 BTC @ 0.1 as b -> fills 0.001 @ 0.1, rests
        sell      cid  0.001 BTC @ 0.1      -> fills 0.001 @ 0.1
    """)
    fee_base_atoms = story.core.balances(1)[0][1]
    assert fee_base_atoms == 1  # 0.2 + 0.1 of an atom


def test_the_reserve_cap_bounds_the_supply() -> None:
    """One atom more is OVER_CAP; debits make room; a lower cap takes nothing away."""
    story = Play()
    ann = story.account("ann")
    story.send(admin.set_asset(asset=1, parameter=admin.RESERVE_CAP, value=1000))

    def credit(atoms: int) -> int:
        outcome = story.send(money.credit(account=ann, asset=1, atoms=atoms))[-1]
        assert isinstance(outcome, wire.Outcome)
        return outcome.reason

    assert credit(1001) == wire.Reject.OVER_CAP
    assert credit(600) == 0
    assert credit(401) == wire.Reject.OVER_CAP
    assert credit(400) == 0
    assert credit(1) == wire.Reject.OVER_CAP
    story.send(money.debit(account=ann, asset=1, atoms=10))
    assert credit(10) == 0
    story.send(admin.set_asset(asset=1, parameter=admin.RESERVE_CAP, value=0))
    assert story.core.balances(ann)[0][1:] == (1000, 0)
    assert credit(1) == wire.Reject.OVER_CAP
    story.finish()


def test_a_frozen_account_may_cancel_and_receive_but_not_order_or_withdraw() -> None:
    """Open orders stay, and may be filled."""
    play("""
        deposit   ann  3 BTC
        sell      ann  1 BTC @ 100 as a
        sell      ann  1 BTC @ 101 as b
        freeze    ann
        sell      ann  1 BTC @ 100        -> rejected ACCOUNT_FROZEN
        amend     ann  a 0.5 BTC @ 100    -> rejected ACCOUNT_FROZEN
        withdraw  ann  1 BTC              -> rejected ACCOUNT_FROZEN
        deposit   ann  1 BTC
        deposit   bob  100 USDT
        buy       bob  0.5 BTC @ 100      -> fills 0.5 @ 100
        cancel    ann  a                  -> cancelled
        cancel-all ann                    -> cancelled 1
        unfreeze  ann
        withdraw  ann  3.5 BTC
        balance   ann  0 BTC, 50 USDT
    """)


def test_the_fee_account_can_be_paid_out() -> None:
    """CREDIT and DEBIT work on account 1, but never on account 0."""
    story = Play()
    for account, asset, reject in ((1, 1, 0), (0, 1, 3), (2, 1, 3), (1, 4, 7), (1, 0, 7)):
        for command in (money.credit, money.debit):
            outcome = story.send(command(account=account, asset=asset, atoms=5))[-1]
            assert isinstance(outcome, wire.Outcome)
            assert outcome.reason == reject
    story.finish()


def test_a_market_order_on_an_empty_book_needs_nothing() -> None:
    """Also of an account that never had the asset: it is accepted, and expires."""
    play("""
        buy       ann  1 BTC at market    -> expires insufficient-liquidity
        deposit   bob  1 USDT
        buy       bob  0.001 BTC @ 1 as b
        buy       ann  1 BTC at market    -> expires insufficient-liquidity
        buy       ann  1 BTC @ 1          -> rejected INSUFFICIENT_FUNDS
        buy       ann  for 1 USDT         -> rejected INSUFFICIENT_FUNDS
        sell      ann  1 BTC at market    -> rejected INSUFFICIENT_FUNDS
        deposit   cid  9 BTC
        sell      cid  1 BTC @ 2
        deposit   dan  9 BTC
        buy       dan  1 BTC at market    -> rejected INSUFFICIENT_FUNDS
    """)
