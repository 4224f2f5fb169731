"""Sums that grow over many commands: the same money filled again and again, up to the bounds."""

from __future__ import annotations

import pytest

from fairbook.core import admin_records as admin
from fairbook.core import parts, records
from tests.core import wire
from tests.core.lockstep import Lockstep
from tests.core.wire import Reject
from tests.world import money

ANN, BOB = 2, 3
BASE, QUOTE, MARKET = 1, 2, 1
ATOMS, TICK = 2**62, 2**20


class Sums:
    """A market with large ticks; ann has all the base there may be, bob all the quote."""

    def __init__(self) -> None:
        self.both = Lockstep()
        self.send(
            admin.rules(),
            admin.list_asset(asset=BASE, decimals=0, name="A"),
            admin.list_asset(asset=QUOTE, decimals=0, name="B"),
            admin.list_market(
                market=MARKET, base=BASE, quote=QUOTE, lot_atoms=1, tick_atoms=TICK, name="A_B"
            ),
            admin.set_market(market=MARKET, parameter=admin.STATE, value=0),
            admin.open_account(ANN),
            admin.open_account(BOB),
            money.credit(account=ANN, asset=BASE, atoms=2**61),
            money.credit(account=BOB, asset=BASE, atoms=2**61),
            money.credit(account=BOB, asset=QUOTE, atoms=ATOMS),
        )

    def send(self, *units: bytes) -> wire.Outcome:
        """The last outcome; everything is compared and checked."""
        outcome = self.both.apply(b"".join(units), 1)[-1]
        self.both.compare()
        self.both.check()
        assert isinstance(outcome, wire.Outcome)
        return outcome

    def place(self, account: int, side: int, price: int, lots: int, tif: int = 0) -> wire.Outcome:
        return self.send(
            records.place(
                account=account, market=MARKET, side=side, price=price, quantity=lots, tif=tif
            )
        )

    def amend(self, account: int, order_id: int, price: int, lots: int) -> wire.Outcome:
        return self.send(
            records.amend(
                account=account, market=MARKET, order_id=order_id, price=price, quantity=lots
            )
        )

    def move_quote(self, giver: int, receiver: int) -> None:
        """All that is available."""
        atoms = self.both.core.balances(giver)[QUOTE - 1][1]
        outcome = self.send(
            money.debit(account=giver, asset=QUOTE, atoms=atoms),
            money.credit(account=receiver, asset=QUOTE, atoms=atoms),
        )
        assert outcome.status == wire.DONE


def test_an_order_cannot_be_amended_upwards_for_ever() -> None:
    """Filled with all the money there is, then half the price and twice the lots, filled with the
    same money: after 19 commands the executed quote had passed 2^63. Such an amendment is refused.
    """
    sums = Sums()
    order_id = sums.place(ANN, wire.ASK, 2**22, 2**20).order_id
    sums.place(BOB, wire.BID, 2**22, 2**20 - 1, tif=wire.IOC)
    sums.move_quote(ANN, BOB)
    for half in (1, 2, 3):
        outcome = sums.amend(ANN, order_id, 2**22 >> half, 2**20 << half)
        assert outcome.reason == Reject.BAD_QUANTITY
    record = sums.both.core.order(ANN, MARKET, order_id)
    assert record is not None
    assert (record.price, record.quantity, record.quote) == (2**22, 2**20, ATOMS - 2**42)


@pytest.mark.parametrize("more", [-1, 0, 1])
@pytest.mark.parametrize("price", [1, 2, 2**10, 2**22])
def test_quote_so_far_and_the_rest_may_reach_two_to_the_62(price: int, more: int) -> None:
    """Exactly; one tick more is refused, and the order is as before."""
    sums = Sums()
    order_id = sums.place(ANN, wire.ASK, 2**22, 2**20).order_id
    sums.place(BOB, wire.BID, 2**22, 2**20 - 1, tif=wire.IOC)
    filled = 2**20 - 1
    rest = (ATOMS - filled * 2**42) // (price * TICK) + more
    outcome = sums.amend(ANN, order_id, price, filled + rest)
    expected = Reject.BAD_QUANTITY if more > 0 or rest == 0 else 0
    assert outcome.reason == expected
    record = sums.both.core.order(ANN, MARKET, order_id)
    assert record is not None
    assert record.quantity == (2**20 if expected else filled + rest)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_same_holds_for_a_buyer(more: int) -> None:
    """Who spends the quote: its own executed sum grows in the same way."""
    sums = Sums()
    order_id = sums.place(BOB, wire.BID, 2**22, 2**20).order_id
    sums.place(ANN, wire.ASK, 2**22, 2**20 - 1, tif=wire.IOC)
    sums.move_quote(ANN, BOB)
    filled = 2**20 - 1
    rest = (ATOMS - filled * 2**42) // TICK + more
    outcome = sums.amend(BOB, order_id, 1, filled + rest)
    assert outcome.reason == (Reject.BAD_QUANTITY if more > 0 else 0)


def test_a_lower_quantity_is_no_new_matching_and_always_allowed() -> None:
    """The rule is about what could be filled anew."""
    sums = Sums()
    order_id = sums.place(ANN, wire.ASK, 2**22, 2**20).order_id
    sums.place(BOB, wire.BID, 2**22, 2**20 - 2, tif=wire.IOC)
    sums.move_quote(ANN, BOB)
    assert sums.amend(ANN, order_id, 2**22, 2**20 - 1).status == wire.PARTIALLY_FILLED


def test_the_largest_executed_quote_there_can_be() -> None:
    """2^63 - 11 ticks: 3/4 of the money as a maker, all of it again as a taker, and the rest at the
    lowest price. Core and oracle agree on every fee and sum of it.
    """
    sums = Sums()
    for parameter in (admin.MAKER_FEE_PPM, admin.TAKER_FEE_PPM):
        sums.send(admin.set_market(market=MARKET, parameter=parameter, value=999_999))
    order_id = sums.place(ANN, wire.ASK, 2**40, 4).order_id
    sums.place(BOB, wire.BID, 2**40, 3, tif=wire.IOC)
    sums.move_quote(1, BOB)  # FEE has nearly all of it
    sums.move_quote(ANN, BOB)
    assert sums.place(BOB, wire.BID, 2**39, 8).status == wire.NEW
    amended = sums.amend(ANN, order_id, 1, 2**40)
    assert (amended.status, amended.quote) == (wire.PARTIALLY_FILLED, 7 * 2**60)
    sums.move_quote(1, BOB)
    sums.move_quote(ANN, BOB)
    assert sums.place(BOB, wire.BID, 1, 2**40 - 12).quote == (2**40 - 12) * TICK
    record = sums.both.core.order(ANN, MARKET, order_id)
    assert record is not None
    assert record.quote == 2**63 - 12 * TICK
    assert record.quote - record.fee == record.quote // 1_000_000
    last = sums.place(BOB, wire.BID, 1, 1)
    assert last.status == wire.FILLED
    assert sums.both.core.order(ANN, MARKET, order_id) is None


def test_what_is_held_in_a_day_may_be_two_to_the_62_and_no_more() -> None:
    """Twice that is 2^63, which a sum of 64 bits does not hold."""
    sums = Sums()
    references = [bytes([number]) * 16 for number in (1, 2, 3)]

    def hold(reference: bytes, atoms: int) -> wire.Outcome:
        return sums.send(
            admin.hold(account=BOB, asset=QUOTE, atoms=atoms, reference=reference, detail=bytes(32))
        )

    assert hold(references[0], ATOMS).status == wire.DONE
    sums.send(admin.capture(references[0]))
    assert sums.send(money.credit(account=BOB, asset=QUOTE, atoms=ATOMS)).status == wire.DONE
    for atoms in (ATOMS, 1, ATOMS - 1):
        assert hold(references[1], atoms).reason == Reject.OVER_DAILY_LIMIT
    sums.send(admin.set_asset(asset=QUOTE, parameter=admin.DAILY_WITHDRAWAL_MAX, value=0))
    assert hold(references[1], 1).reason == Reject.OVER_DAILY_LIMIT
    assert hold(references[1], ATOMS + 1).reason == Reject.BAD_QUANTITY
    assert hold(references[1], -1).reason == Reject.BAD_QUANTITY


def test_pending_credits_of_all_the_money_do_not_add_up() -> None:
    """Each of 2^62; only what is confirmed counts, and the cap holds."""
    sums = Sums()
    sums.send(admin.set_operator(operator=1, roles=15))
    sums.send(admin.set_asset(asset=BASE, parameter=admin.CREDIT_MAX, value=0))
    sums.send(
        money.debit(account=ANN, asset=BASE, atoms=2**61),
        money.debit(account=BOB, asset=BASE, atoms=2**61),
    )
    references = [bytes([number]) * 16 for number in (1, 2, 3)]
    for reference in references:
        credit = admin.credit(account=ANN, asset=BASE, atoms=ATOMS, reference=reference)
        assert sums.send(credit).status == wire.PENDING
    confirmed = [
        sums.send(
            parts.with_operator(admin.confirm_credit(reference), operator=1, reason_hash=bytes(32))
        ).reason
        for reference in references
    ]
    assert confirmed == [0, Reject.OVER_CAP, Reject.OVER_CAP]
