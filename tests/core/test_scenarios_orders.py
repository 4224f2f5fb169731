"""Orders after placing: amended, cancelled, found by their client id."""

from __future__ import annotations

from fairbook.core import invariants, records
from tests.core import wire
from tests.core.play import Play, play

PLACES = """
    deposit   ann  5 BTC
    deposit   bob  5 BTC
    deposit   buyer 5000 USDT
    sell      ann  1 BTC @ 100 as first
    sell      bob  1 BTC @ 100 as second
"""


def makers(story: Play, quantity: str) -> list[str]:
    """The makers that a buy of this quantity would meet."""
    account = story.account("buyer")
    lots = int(float(quantity) * 1000)
    events = story.send(
        records.place(account=account, market=1, side=records.BID, quantity=lots, price=10_000)
    )
    names = {number: name for name, number in story.users.items()}
    return [names[event.maker] for event in events if isinstance(event, wire.Fill)]


def test_a_lower_quantity_at_the_same_price_keeps_the_place() -> None:
    """And releases the difference of the locked funds."""
    story = play(f"""{PLACES}
        amend     ann  first 0.4 BTC @ 100 -> amended, rests
        locked    ann  0.4 BTC
        asks      BTC_USDT 1.4 @ 100
    """)
    assert makers(story, "1") == ["ann", "bob"]
    story.finish()


def test_a_higher_or_an_equal_quantity_goes_to_the_end() -> None:
    """Only a lower quantity keeps the place in the queue."""
    for quantity in ("1.5", "1"):
        story = play(f"""{PLACES}
            amend     ann  first {quantity} BTC @ 100 -> amended, rests
            locked    ann  {quantity} BTC
        """)
        assert makers(story, "1.2") == ["bob", "ann"]
        story.finish()


def test_another_price_goes_to_the_end_even_if_it_comes_back() -> None:
    """The old place is lost."""
    story = play(f"""{PLACES}
        amend     ann  first 1 BTC @ 101 -> amended, rests
        asks      BTC_USDT 1 @ 100, 1 @ 101
        amend     ann  first 0.5 BTC @ 100 -> amended, rests
        asks      BTC_USDT 1.5 @ 100
    """)
    assert makers(story, "1.2") == ["bob", "ann"]
    story.finish()


def test_an_amended_order_that_crosses_is_matched_like_a_new_one() -> None:
    """At the makers' prices; id, fees and filled lots are kept."""
    play("""
        deposit   ann  500 USDT
        deposit   bob  3 BTC
        buy       ann  2 BTC @ 90 as a
        sell      bob  0.5 BTC @ 90        -> fills 0.5 @ 90
        sell      bob  1 BTC @ 95
        amend     ann  a 2 BTC @ 96        -> amended, fills 1 @ 95, rests
        bids      BTC_USDT 0.5 @ 96
        locked    ann  48 USDT
        amend     ann  a 1.5 BTC @ 96      -> rejected BAD_QUANTITY
        amend     ann  a 1.501 BTC @ 0     -> amended, rests
        sell      bob  0.001 BTC @ 1       -> fills 0.001 @ 96
        bids      BTC_USDT
        balance   ann  1.501 BTC, 359.904 USDT
    """)


def test_amending_needs_only_what_the_new_lock_exceeds_the_old_one_by() -> None:
    """Exactly."""
    play("""
        deposit   ann  100.999999 USDT
        buy       ann  1 BTC @ 100 as a
        amend     ann  a 1 BTC @ 101       -> rejected INSUFFICIENT_FUNDS
        amend     ann  a 1.01 BTC @ 100    -> rejected INSUFFICIENT_FUNDS
        bids      BTC_USDT 1 @ 100
        deposit   ann  0.000001 USDT
        amend     ann  a 1 BTC @ 101       -> amended, rests
        balance   ann  0 USDT
        amend     ann  a 2 BTC @ 50.5      -> amended, rests
        balance   ann  0 USDT
    """)


def test_amending_a_post_only_order_may_not_make_it_a_taker() -> None:
    """WOULD_CROSS, and the order is unchanged."""
    play("""
        deposit   ann  500 USDT
        deposit   bob  1 BTC
        sell      bob  1 BTC @ 100
        buy       ann  1 BTC @ 99 post-only as a
        amend     ann  a 1 BTC @ 100       -> rejected WOULD_CROSS
        amend     ann  a 1 BTC @ 99.9      -> amended, rests
        bids      BTC_USDT 1 @ 99.9
    """)


def test_an_amended_order_that_meets_its_own_account_obeys_its_own_mode() -> None:
    """RejectTaker: it is the taker, and its rest expires."""
    play("""
        deposit   ann  500 USDT
        deposit   ann  1 BTC
        sell      ann  1 BTC @ 100 as own
        buy       ann  1 BTC @ 99 as a
        amend     ann  a 1 BTC @ 100       -> amended, expires self-trade
        asks      BTC_USDT 1 @ 100
        buy       ann  1 BTC @ 99 reject-maker as b
        amend     ann  b 1 BTC @ 100       -> amended, removes own, rests
        bids      BTC_USDT 1 @ 100
        locked    ann  0 BTC, 100 USDT
    """)


def test_orders_of_other_accounts_are_unknown() -> None:
    """One answer for orders of other accounts, closed orders and unknown ids."""
    play("""
        deposit   ann  1 BTC
        sell      ann  1 BTC @ 100 as a
        cancel    bob  a                   -> rejected UNKNOWN_ORDER
        amend     bob  a 0.5 BTC @ 100     -> rejected UNKNOWN_ORDER
        cancel    ann  a                   -> cancelled
        cancel    ann  a                   -> rejected UNKNOWN_ORDER
        amend     ann  a 0.5 BTC @ 100     -> rejected UNKNOWN_ORDER
    """)


def test_cancel_all_is_one_command_lowest_id_first() -> None:
    """In one market or in all; other orders are not touched."""
    story = play("""
        deposit   ann  3 BTC
        deposit   ann  1 ETH
        deposit   ann  100 USDT
        deposit   bob  1 BTC
        sell      ann  1 BTC @ 102
        sell      bob  1 BTC @ 103
        sell      ann  1 ETH @ 101
        sell      ann  1 BTC @ 101
        cancel-all ann BTC_USDT            -> cancelled 2
        locked    ann  0 BTC, 1 ETH
        sell      ann  1 BTC @ 102
        cancel-all ann                     -> cancelled 2
        cancel-all ann                     -> cancelled 0
        asks      BTC_USDT 1 @ 103
        balance   ann  3 BTC, 1 ETH
    """)
    bob = story.account("bob")
    outcome = story.send(records.cancel_all(account=bob, market=3))[-1]
    assert isinstance(outcome, wire.Outcome)
    assert outcome.reason == wire.Reject.UNKNOWN_MARKET


def test_ten_thousand_orders_are_cancelled_in_one_bounded_command() -> None:
    """O9: one command, one outcome, 10,000 CLOSED with rising ids, and the funds are released."""
    story = Play()
    story.perform("deposit ann 10 BTC")
    ann = story.account("ann")
    prices = [1000 + (i * 7919) % 500 for i in range(10_000)]
    core = story.core  # without the oracle, which sorts 10,000 orders for each of them
    core.apply(
        b"".join(
            records.place(account=ann, market=1, side=records.ASK, quantity=1, price=price)
            for price in prices
        ),
        story.time_ns,
    )
    assert len(core.open_orders(ann)) == 10_000
    invariants.check(core)
    events = core.apply(records.cancel_all(account=ann), story.time_ns)
    given = wire.split_events(events)
    ids = [event.order.order_id for event in given if isinstance(event, wire.Closed)]
    assert len(ids) == 10_000 and ids == sorted(ids)
    assert isinstance(given[-1], wire.Outcome) and given[-1].filled == 10_000
    assert core.balances(ann)[0][1:] == (10**9, 0)
    invariants.check(core)


def test_the_end_of_a_session_cancels_its_open_orders() -> None:
    """Only those of its account with this session number."""
    story = play("""
        deposit   ann  4 BTC
        deposit   bob  1 BTC
        sell      ann  1 BTC @ 100 session 7 as a
        sell      ann  1 BTC @ 101 session 8
        sell      ann  1 BTC @ 102
        sell      bob  1 BTC @ 103 session 7
        amend     ann  a 0.5 BTC @ 104
        end-session ann 7                  -> cancelled 1
        asks      BTC_USDT 1 @ 101, 1 @ 102, 1 @ 103
        end-session ann 7                  -> cancelled 0
        end-session ann 0                  -> rejected MALFORMED
    """)
    assert sorted(story.core.sessions()) == [
        (story.account("ann"), 0, 8),
        (story.account("bob"), 0, 7),
    ]


def test_a_repeated_client_id_gives_the_first_result_whatever_has_changed() -> None:
    """Same payload: the stored outcome. Other payload: DUPLICATE_CLIENT_ID. Never two orders."""
    story = play("""
        deposit   ann  5 BTC
        deposit   bob  100 USDT
        sell      ann  1 BTC @ 100 id 5    -> rests
        sell      ann  1 BTC @ 100 id 5    -> repeated, rests
        sell      ann  1 BTC @ 101 id 5    -> rejected DUPLICATE_CLIENT_ID
        sell      ann  1.1 BTC @ 100 id 5  -> rejected DUPLICATE_CLIENT_ID
        sell      ann  1 BTC @ 100 ioc id 5 -> rejected DUPLICATE_CLIENT_ID
        sell      ann  1 BTC @ 100 id 5 session 3 -> repeated, rests
        buy       bob  1 BTC @ 100         -> fills 1 @ 100
        freeze    ann
        set       BTC_USDT state closed
        sell      ann  1 BTC @ 100 id 5    -> repeated, rests
        sell      ann  1 BTC @ 101 id 5    -> rejected DUPLICATE_CLIENT_ID
        locked    ann  0 BTC
    """)
    assert story.core.open_orders(story.account("ann")) == []


def test_client_ids_belong_to_their_account_and_rejects_are_not_remembered() -> None:
    """Two users may use the same number; the id of a rejected order is free."""
    play("""
        deposit   ann  1 BTC
        sell      ann  1 BTC @ 100 id 5
        sell      bob  1 BTC @ 100 id 5    -> rejected INSUFFICIENT_FUNDS
        deposit   bob  1 BTC
        sell      bob  1 BTC @ 100 id 5    -> rests
        cancel    bob  id 5                -> cancelled
        cancel    bob  id 5                -> rejected UNKNOWN_ORDER
        cancel    bob  id 6                -> rejected UNKNOWN_ORDER
        asks      BTC_USDT 1 @ 100
        cancel    ann  id 5                -> cancelled
    """)


def test_a_closed_client_id_is_forgotten_ten_minutes_after_it_closed() -> None:
    """Not a nanosecond earlier; never while the order is open."""
    play("""
        deposit   ann  5 BTC
        sell      ann  1 BTC @ 100 id 5    -> rests
        wait      5000
        sell      ann  1 BTC @ 100 id 5    -> repeated, rests
        cancel    ann  id 5
        wait      599.999999999
        sell      ann  1 BTC @ 100 id 5    -> repeated, rests
        wait      0.000000001
        sell      ann  1 BTC @ 100 id 5    -> rests
        locked    ann  1 BTC
    """)


def test_the_last_256_closed_client_ids_of_an_account_are_remembered() -> None:
    """The 256th later one to close drops it; other accounts and open orders do not count."""
    story = Play()
    story.perform("""
        deposit   ann  5 BTC
        deposit   bob  5 BTC
        sell      ann  1 BTC @ 100 id 1000
        sell      ann  1 BTC @ 100 id 1
        cancel    ann  id 1
    """)

    def close(name: str, client_ids: range) -> None:
        for client_id in client_ids:
            story.send(
                records.place(
                    account=story.account(name),
                    market=1,
                    side=records.ASK,
                    quantity=1,
                    price=5000,
                    tif=records.IOC,
                    flags=records.HAS_CLIENT_ID,
                    client_id=client_id,
                )
            )

    close("bob", range(1, 300))
    close("ann", range(2, 257))
    story.perform("sell ann 1 BTC @ 100 id 1 -> repeated, rests")
    close("ann", range(257, 258))
    story.perform("""
        sell      ann  1 BTC @ 100 id 1    -> rests
        sell      ann  0.001 BTC @ 500 ioc id 2 -> repeated, expires immediate-or-cancel
        sell      ann  1 BTC @ 100 id 1000 -> repeated, rests
    """)
    story.finish()


def test_open_orders_of_an_account_are_bounded() -> None:
    """ORDERS_MAX limits resting orders; IOC, market orders and amends are not affected."""
    play("""
        set       exchange orders-max 2
        deposit   ann  9 BTC
        deposit   bob  500 USDT
        sell      ann  1 BTC @ 100 as a
        sell      ann  1 BTC @ 101
        sell      ann  1 BTC @ 102         -> rejected TOO_MANY_ORDERS
        buy       bob  1 BTC @ 90
        sell      ann  1 BTC @ 90          -> rejected TOO_MANY_ORDERS
        sell      ann  0.5 BTC @ 90 ioc    -> fills 0.5 @ 90
        sell      ann  0.5 BTC at market   -> fills 0.5 @ 90
        amend     ann  a 2 BTC @ 103       -> amended, rests
        cancel    ann  a
        sell      ann  1 BTC @ 102         -> rests
    """)


def test_the_levels_of_a_side_are_bounded() -> None:
    """A new price is rejected; existing levels accept orders, the other side has its own limit."""
    play("""
        set       BTC_USDT levels-max 2
        deposit   ann  9 BTC
        deposit   bob  500 USDT
        sell      ann  1 BTC @ 100 as a
        sell      ann  1 BTC @ 101
        sell      ann  1 BTC @ 102         -> rejected BOOK_FULL
        sell      ann  1 BTC @ 99          -> rejected BOOK_FULL
        sell      ann  1 BTC @ 100         -> rests
        amend     ann  a 1 BTC @ 102       -> rejected BOOK_FULL
        amend     ann  a 1 BTC @ 101       -> amended, rests
        buy       bob  0.1 BTC @ 90        -> rests
        buy       bob  1 BTC @ 100 ioc     -> fills 1 @ 100
        sell      ann  1 BTC @ 102         -> rests
    """)


def test_ids_are_dense_or_rising_and_derived_from_the_state() -> None:
    """Order id = sequence << 20 | slot; trade ids count per market; update ids start after 12."""
    story = play("""
        deposit   ann  3 BTC
        deposit   ann  1 ETH
        deposit   bob  1000 USDT
        sell      ann  1 BTC @ 100 as a
        sell      ann  1 BTC @ 100
        sell      ann  1 ETH @ 100
    """)
    assert story.labels["a"][0] >> 20 == story.core.sequence - 2
    events: list[wire.Event] = []
    buyer = story.account("bob")
    for market in (1, 1, 2):
        buy = records.place(
            account=buyer, market=market, side=records.BID, quantity=1000, price=1000
        )
        events += story.send(buy)
    fills = [event for event in events if isinstance(event, wire.Fill)]
    assert [(fill.market, fill.trade_id) for fill in fills] == [(1, 1), (1, 2), (2, 1)]
    levels = [event for event in events if isinstance(event, wire.Level)]
    assert [(level.market, level.update_id) for level in levels] == [(1, 15), (1, 16), (2, 14)]
    story.finish()
