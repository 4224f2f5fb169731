"""Money that is held, credits that wait, references, and limits of a day."""

from __future__ import annotations

import pytest

from fairbook.core import admin_records as admin
from tests.core import wire
from tests.core.play import Play, play
from tests.core.wire import Reject
from tests.world.money import new_reference


def outcome_of(story: Play, unit: bytes) -> wire.Outcome:
    outcome = story.send(unit)[-1]
    assert isinstance(outcome, wire.Outcome)
    return outcome


def test_held_money_is_locked_until_it_is_released_or_leaves() -> None:
    """Beside what open orders lock; a part of what leaves may stay with FEE."""
    play("""
        deposit   ann  5 BTC
        sell      ann  1 BTC @ 100 as a
        hold      ann  2 BTC as first
        locked    ann  3 BTC
        balance   ann  2 BTC
        hold      ann  2.00000001 BTC        -> rejected INSUFFICIENT_FUNDS
        sell      ann  2.001 BTC @ 100       -> rejected INSUFFICIENT_FUNDS
        hold      ann  2 BTC as second
        withdraw  ann  0.00000001 BTC        -> rejected INSUFFICIENT_FUNDS
        release   second
        capture   first fee 0.5 BTC
        balance   ann  2 BTC
        locked    ann  1 BTC
        balance   fee  0.5 BTC
        balance   external -3.5 BTC
    """)


def test_a_hold_is_decided_once() -> None:
    """Repeating a decision repeats its answer; the other decision is refused."""
    play("""
        deposit   ann  5 BTC
        hold      ann  1 BTC as a
        hold      ann  1 BTC as b
        release   a
        release   a                          -> repeated
        capture   a                          -> rejected ALREADY_DECIDED
        capture   b fee 1 BTC
        capture   b fee 0 BTC                -> repeated
        capture   b fee 9 BTC                -> repeated
        release   b                          -> rejected ALREADY_DECIDED
        release   c                          -> rejected UNKNOWN_REFERENCE
        deposit   ann  1 BTC as d
        capture   d                          -> rejected UNKNOWN_REFERENCE
        balance   fee  1 BTC
        balance   ann  5 BTC
    """)


@pytest.mark.parametrize(
    ("fee_atoms", "reject"),
    [(0, 0), (1, 0), (100, 0), (101, Reject.BAD_QUANTITY), (-1, Reject.BAD_QUANTITY)],
)
def test_a_capture_keeps_no_more_than_was_held(fee_atoms: int, reject: int) -> None:
    story = Play()
    ann = story.account("ann")
    story.perform("deposit ann 1 BTC")
    reference = new_reference()
    held = admin.hold(account=ann, asset=1, atoms=100, reference=reference, detail=bytes(32))
    first = outcome_of(story, held)
    captured = outcome_of(story, admin.capture(reference, fee_atoms=fee_atoms))
    assert captured.reason == reject
    if not reject:
        assert captured.order_id == first.sequence  # of the command that used the reference first
    story.finish()


def test_a_reference_counts_once() -> None:
    """The same again: the first result, whatever has changed. Another payload: a duplicate."""
    story = play("""
        deposit   ann  5 BTC as r1
        deposit   ann  5 BTC as r1           -> repeated
        deposit   ann  6 BTC as r1           -> rejected DUPLICATE_REFERENCE
        deposit   bob  5 BTC as r1           -> rejected DUPLICATE_REFERENCE
        withdraw  ann  5 BTC as r1           -> rejected DUPLICATE_REFERENCE
        hold      ann  5 BTC as r1           -> rejected DUPLICATE_REFERENCE
        hold      ann  1 BTC as r2 for x
        hold      ann  1 BTC as r2 for x     -> repeated
        hold      ann  1 BTC as r2 for y     -> rejected DUPLICATE_REFERENCE
        withdraw  ann  4 BTC as r3
        withdraw  ann  4 BTC as r3           -> repeated
        freeze    ann
        pause     audit
        wait      100000000
        hold      ann  1 BTC as r2 for x     -> repeated
        deposit   ann  5 BTC as r1           -> repeated
        balance   ann  0 BTC
        locked    ann  1 BTC
    """)
    zeros = admin.credit(account=story.account("ann"), asset=1, atoms=1, reference=bytes(16))
    assert outcome_of(story, zeros).reason == Reject.MALFORMED


def test_references_of_rejected_commands_are_free_and_all_sixteen_bytes_count() -> None:
    story = Play()
    ann = story.account("ann")
    references = [bytes(at) + b"\1" + bytes(15 - at) for at in range(16)]
    for reference in references:
        debit = admin.debit(account=ann, asset=1, atoms=1, reference=reference)
        assert outcome_of(story, debit).reason == Reject.INSUFFICIENT_FUNDS
    for reference in references:
        credit = admin.credit(account=ann, asset=1, atoms=1, reference=reference)
        assert outcome_of(story, credit).repeated == 0
        assert outcome_of(story, credit).repeated == 1
    assert story.core.balances(ann)[0][1] == 16
    story.finish()


def test_a_full_table_of_references_stops_money_and_not_trading() -> None:
    """TABLE_FULL; what is known is still answered and decided."""
    play("""
        deposit   ann  5 BTC as r1
        hold      ann  1 BTC as r2
        set       exchange references-max 2
        deposit   ann  1 BTC                 -> rejected TABLE_FULL
        withdraw  ann  1 BTC                 -> rejected TABLE_FULL
        hold      ann  1 BTC                 -> rejected TABLE_FULL
        deposit   ann  5 BTC as r1           -> repeated
        release   r2
        sell      ann  5 BTC @ 100           -> rests
        set       exchange references-max 3
        deposit   ann  1 BTC
    """)


def test_a_large_credit_waits_for_another_operator() -> None:
    """Four eyes: who ordered it may refuse it, but not confirm it."""
    play("""
        operator  dora money
        operator  eve  money
        operator  carl accounts
        limit     BTC credit-max 5 BTC
        deposit   ann  5 BTC by dora
        deposit   ann  5.00000001 BTC as d by dora -> pending
        deposit   ann  5.00000001 BTC as d by dora -> repeated, pending
        balance   ann  5 BTC
        confirm   d                          -> rejected NOT_PERMITTED
        confirm   d by dora                  -> rejected NOT_PERMITTED
        confirm   d by carl                  -> rejected NOT_PERMITTED
        confirm   d by eve
        confirm   d by eve                   -> repeated
        confirm   d by dora                  -> rejected NOT_PERMITTED
        refuse    d by eve                   -> rejected ALREADY_DECIDED
        balance   ann  10.00000001 BTC
        deposit   ann  5.00000001 BTC as d by dora -> repeated, pending
        deposit   ann  6 BTC as f by dora    -> pending
        refuse    f by dora
        refuse    f by dora                  -> repeated
        confirm   f by eve                   -> rejected ALREADY_DECIDED
        deposit   ann  6 BTC as g            -> pending
        confirm   g by dora
        deposit   ann  1 BTC as h
        confirm   h by dora                  -> rejected UNKNOWN_REFERENCE
        balance   ann  17.00000001 BTC
    """)


def test_the_cap_counts_when_a_credit_is_confirmed() -> None:
    """A pending one takes no room; two that fit alone may not fit together."""
    play("""
        operator  dora money
        limit     BTC credit-max 1 BTC
        limit     BTC cap 10 BTC
        deposit   ann  6 BTC as a            -> pending
        deposit   ann  6 BTC as b            -> pending
        deposit   ann  1 BTC
        confirm   a by dora
        confirm   b by dora                  -> rejected OVER_CAP
        withdraw  ann  3 BTC
        confirm   b by dora
        balance   ann  10 BTC
    """)


def test_what_an_account_may_hold_in_a_day() -> None:
    """By days of log time; released on the same day it counts no more, later it does not matter."""
    play("""
        deposit   ann  100 BTC
        limit     BTC daily-max 3 BTC
        hold      ann  2 BTC as a
        hold      ann  1.00000001 BTC        -> rejected OVER_DAILY_LIMIT
        hold      ann  1 BTC as b
        hold      ann  0.00000001 BTC        -> rejected OVER_DAILY_LIMIT
        capture   b
        hold      ann  0.00000001 BTC        -> rejected OVER_DAILY_LIMIT
        release   a
        hold      ann  2 BTC as c
        wait      86398.999999999
        hold      ann  0.00000001 BTC        -> rejected OVER_DAILY_LIMIT
        wait      0.000000001
        hold      ann  1 BTC as d
        release   c
        hold      ann  2 BTC as e
        hold      ann  0.00000001 BTC        -> rejected OVER_DAILY_LIMIT
        limit     ann  daily-max 5 BTC
        hold      ann  2 BTC
        hold      ann  0.00000001 BTC        -> rejected OVER_DAILY_LIMIT
        limit     ann  daily-max 0 BTC
        wait      86400
        hold      ann  0.00000001 BTC        -> rejected OVER_DAILY_LIMIT
        limit     ann  daily-max -1 BTC
        hold      ann  3 BTC
    """)


def test_limits_belong_to_one_asset_and_one_account() -> None:
    play("""
        deposit   ann  10 BTC
        deposit   ann  10 ETH
        deposit   bob  10 BTC
        limit     BTC daily-max 1 BTC
        limit     ann daily-max 2 BTC
        hold      ann  2 BTC
        hold      ann  10 ETH
        hold      bob  1.1 BTC               -> rejected OVER_DAILY_LIMIT
        hold      bob  1 BTC
    """)


def test_a_pause_of_the_audit_stops_money_that_leaves() -> None:
    """An operator's pause stops trading only; nothing stops what comes in or is given back."""
    play("""
        deposit   ann  10 BTC
        hold      ann  1 BTC as a
        hold      ann  1 BTC as b
        pause     operator
        hold      ann  1 BTC as c
        withdraw  ann  1 BTC
        sell      ann  1 BTC @ 100           -> rejected TRADING_PAUSED
        pause     audit
        resume    operator
        hold      ann  1 BTC                 -> rejected TRADING_PAUSED
        withdraw  ann  1 BTC                 -> rejected TRADING_PAUSED
        capture   a                          -> rejected TRADING_PAUSED
        sell      ann  1 BTC @ 100           -> rejected TRADING_PAUSED
        release   b
        deposit   ann  1 BTC
        resume    audit
        capture   a
        sell      ann  1 BTC @ 100           -> rests
    """)


def test_frozen_accounts_hold_no_more_but_what_they_hold_may_leave() -> None:
    play("""
        deposit   ann  10 BTC
        hold      ann  1 BTC as a
        freeze    ann
        hold      ann  1 BTC                 -> rejected ACCOUNT_FROZEN
        capture   a
    """)


def test_fees_of_a_group() -> None:
    """By role, where the market has a rate for the group; -1 takes it back."""
    play("""
        set       BTC_USDT maker-fee 1000
        set       BTC_USDT taker-fee 2000
        set       BTC_USDT maker-fee 0 group 7
        group     ann  7
        group     bob  7
        deposit   ann  10 BTC
        deposit   bob  1000 USDT
        sell      ann  1 BTC @ 100
        buy       bob  1 BTC @ 100           -> fills 1 @ 100
        balance   ann  9 BTC, 100 USDT
        balance   bob  0.998 BTC
        set       BTC_USDT taker-fee 500000 group 7
        sell      ann  1 BTC @ 100
        buy       bob  1 BTC @ 100           -> fills 1 @ 100
        balance   bob  1.498 BTC
        set       BTC_USDT maker-fee -1 group 7
        group     bob  0
        sell      ann  1 BTC @ 100
        buy       bob  1 BTC @ 100           -> fills 1 @ 100
        balance   ann  7 BTC, 299.9 USDT
        balance   bob  2.496 BTC
    """)
