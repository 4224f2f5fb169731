"""Values at and next to every bound: compiled numbers wrap at 2^63, those of the oracle do not.

Each command goes to both (lockstep.py), so a product that wraps is a difference. The assertions
here only check that the bound was reached from the intended side.
"""

from __future__ import annotations

import pytest

from fairbook.core import admin_records as admin
from fairbook.core import records
from tests.core import wire
from tests.core.lockstep import Lockstep
from tests.core.wire import Reject
from tests.world import money

ANN, BOB = 2, 3
UNITS, ATOMS, LAST = 2**40, 2**62, 2**63 - 1
KEPT = 600 * 10**9
FINE, COARSE = 1, 2  # markets: one atom a lot and a tick; 2^22 of either
BASE, QUOTE = 1, 2


class Bounds:
    """Two markets, two accounts, and short names for commands."""

    def __init__(self) -> None:
        self.both = Lockstep()
        self.send(admin.rules())
        for asset in (BASE, QUOTE):
            self.send(admin.list_asset(asset=asset, decimals=0, name=f"A{asset}"))
        for market, unit in ((FINE, 1), (COARSE, 2**22)):
            self.send(
                admin.list_market(
                    market=market,
                    base=BASE,
                    quote=QUOTE,
                    lot_atoms=unit,
                    tick_atoms=unit,
                    name=f"M{market}",
                )
            )
            self.send(admin.set_market(market=market, parameter=admin.STATE, value=0))
        for account in (ANN, BOB):
            self.send(admin.open_account(account))

    def send(self, command: bytes) -> wire.Outcome:
        """Apply to both; compare and check everything after it."""
        outcome = self.both.apply(command, 1)[-1]
        self.both.compare()
        self.both.check()
        assert isinstance(outcome, wire.Outcome)
        return outcome

    def credit(self, account: int, asset: int, atoms: int) -> int:
        """The reject code, or 0."""
        return self.send(money.credit(account=account, asset=asset, atoms=atoms)).reason

    def place(
        self,
        account: int,
        side: int,
        price: int,
        lots: int,
        market: int = FINE,
        flags: int = 0,
        tif: int = 0,
    ) -> wire.Outcome:
        """The outcome."""
        return self.send(
            records.place(
                account=account,
                market=market,
                side=side,
                price=price,
                quantity=lots,
                flags=flags,
                tif=tif,
            )
        )


@pytest.mark.parametrize(
    ("price", "lots", "market", "reject"),
    [
        (UNITS, 1, FINE, 0),
        (UNITS + 1, 1, FINE, Reject.BAD_PRICE),
        (0, 1, FINE, Reject.BAD_PRICE),
        (-1, 1, FINE, Reject.BAD_PRICE),
        (LAST, LAST, FINE, Reject.BAD_PRICE),
        (-LAST - 1, -LAST - 1, FINE, Reject.BAD_PRICE),
        (1, UNITS, FINE, 0),
        (1, UNITS + 1, FINE, Reject.BAD_QUANTITY),
        (1, 0, FINE, Reject.BAD_QUANTITY),
        (1, -1, FINE, Reject.BAD_QUANTITY),
        (1, LAST, FINE, Reject.BAD_QUANTITY),
        (1, -LAST - 1, FINE, Reject.BAD_QUANTITY),
        (2**31, 2**31, FINE, 0),
        (2**31, 2**31 + 1, FINE, Reject.BAD_QUANTITY),
        (2**31 + 1, 2**31, FINE, Reject.BAD_QUANTITY),
        (2**32, 2**31, FINE, Reject.BAD_QUANTITY),
        (2**32, 2**32, FINE, Reject.BAD_QUANTITY),  # 2^64 wraps to 0
        (UNITS, UNITS, FINE, Reject.BAD_QUANTITY),  # 2^80 too
        (UNITS, 1, COARSE, 0),
        (UNITS, 2, COARSE, Reject.BAD_QUANTITY),
        (1, UNITS, COARSE, 0),
        (2, UNITS, COARSE, Reject.BAD_QUANTITY),
        (UNITS, UNITS, COARSE, Reject.BAD_QUANTITY),  # 2^102
        (2**20, 2**20, COARSE, 0),
        (2**20, 2**20 + 1, COARSE, Reject.BAD_QUANTITY),
    ],
)
@pytest.mark.parametrize("side", [wire.BID, wire.ASK])
def test_prices_quantities_and_notionals(
    side: int, price: int, lots: int, market: int, reject: int
) -> None:
    """The whole supply, 2^62 atoms of each asset, is exactly enough for the largest order."""
    bounds = Bounds()
    assert bounds.credit(ANN, BASE, ATOMS) == bounds.credit(ANN, QUOTE, ATOMS) == 0
    assert bounds.place(ANN, side, price, lots, market).reason == reject


def test_base_atoms_of_an_order() -> None:
    """quantity * lot_atoms is bounded for buyers too."""
    bounds = Bounds()
    bounds.send(
        admin.list_market(
            market=3, base=BASE, quote=QUOTE, lot_atoms=2**40, tick_atoms=2**22, name="WIDE"
        )
    )
    bounds.send(admin.set_market(market=3, parameter=admin.STATE, value=0))
    bounds.credit(ANN, QUOTE, ATOMS)
    assert bounds.place(ANN, wire.BID, 1, 2**22, market=3).reason == 0
    assert bounds.place(ANN, wire.BID, 1, 2**22 + 1, market=3).reason == Reject.BAD_QUANTITY
    assert bounds.place(ANN, wire.BID, 1, 2**24, market=3).reason == Reject.BAD_QUANTITY
    market_order = bounds.place(ANN, wire.BID, 0, 2**24, market=3, flags=wire.MARKET, tif=wire.IOC)
    assert market_order.reason == Reject.BAD_QUANTITY


@pytest.mark.parametrize(
    ("atoms", "reject"),
    [
        (0, Reject.BAD_QUANTITY),
        (-1, Reject.BAD_QUANTITY),
        (-LAST - 1, Reject.BAD_QUANTITY),
        (ATOMS + 1, Reject.BAD_QUANTITY),
        (LAST, Reject.BAD_QUANTITY),
        (ATOMS, 0),
    ],
)
def test_amounts_of_credits_and_debits(atoms: int, reject: int) -> None:
    """1..2^62."""
    bounds = Bounds()
    assert bounds.credit(ANN, BASE, atoms) == reject
    bounds.credit(ANN, BASE, ATOMS)
    assert bounds.send(money.debit(account=ANN, asset=BASE, atoms=atoms)).reason == reject


def test_the_supply_of_an_asset_never_exceeds_two_to_the_62() -> None:
    """However it is distributed, and again after a part was paid out."""
    bounds = Bounds()
    assert bounds.credit(ANN, BASE, ATOMS - 1) == 0
    assert bounds.credit(BOB, BASE, ATOMS) == Reject.OVER_CAP
    assert bounds.credit(BOB, BASE, 2) == Reject.OVER_CAP
    assert bounds.credit(BOB, BASE, 1) == 0
    assert bounds.credit(1, BASE, 1) == Reject.OVER_CAP
    bounds.send(money.debit(account=ANN, asset=BASE, atoms=ATOMS - 1))
    assert bounds.credit(1, BASE, ATOMS - 1) == 0


def test_a_market_buy_whose_walk_costs_more_than_64_bits_hold() -> None:
    """Three asks of 2^62 each, then five, where the sum wraps to a small number."""
    bounds = Bounds()
    bounds.credit(ANN, BASE, ATOMS)
    bounds.credit(BOB, QUOTE, ATOMS)
    buy = {"flags": wire.MARKET, "tif": wire.IOC}
    for count in range(1, 7):
        assert bounds.place(ANN, wire.ASK, UNITS - count, 2**22).reason == 0
        if count > 1:
            outcome = bounds.place(BOB, wire.BID, 0, count * 2**22, **buy)
            assert outcome.reason == Reject.INSUFFICIENT_FUNDS
    outcome = bounds.place(BOB, wire.BID, 0, 2**22, **buy)
    assert (outcome.status, outcome.filled) == (wire.FILLED, 2**22)


def test_a_market_sell_by_quote_whose_walk_needs_more_base_than_64_bits_hold() -> None:
    """Bids at one tick for 2^62 base atoms each: four of them wrap to 0."""
    bounds = Bounds()
    bounds.send(
        admin.list_market(
            market=3, base=BASE, quote=QUOTE, lot_atoms=2**22, tick_atoms=2**10, name="CHEAP"
        )
    )
    bounds.send(admin.set_market(market=3, parameter=admin.STATE, value=0))
    bounds.credit(ANN, QUOTE, ATOMS)
    bounds.credit(BOB, BASE, 2**40)
    flags = wire.MARKET | wire.BY_QUOTE
    for _ in range(6):
        assert bounds.place(ANN, wire.BID, 1, UNITS, market=3).reason == 0
        outcome = bounds.place(BOB, wire.ASK, 0, ATOMS, market=3, flags=flags, tif=wire.IOC)
        assert outcome.reason == Reject.INSUFFICIENT_FUNDS
    outcome = bounds.place(BOB, wire.ASK, 0, 2**28, market=3, flags=flags, tif=wire.IOC)
    assert (outcome.status, outcome.filled) == (wire.FILLED, 2**18)


@pytest.mark.parametrize("budget", [0, -1, ATOMS + 1, LAST, -LAST - 1, ATOMS, 1])
@pytest.mark.parametrize("side", [wire.BID, wire.ASK])
def test_budgets(side: int, budget: int) -> None:
    """1..2^62 quote atoms."""
    bounds = Bounds()
    for account in (ANN, BOB):
        bounds.credit(account, BASE, 2**61)
        bounds.credit(account, QUOTE, 2**61)
    bounds.place(ANN, 1 - side, UNITS, 2**21)
    bounds.place(ANN, 1 - side, UNITS // 2 if side else UNITS, 2**20)
    flags = wire.MARKET | wire.BY_QUOTE
    outcome = bounds.place(BOB, side, 0, budget, flags=flags, tif=wire.IOC)
    assert (outcome.status == wire.REJECTED) == (
        budget not in (1, ATOMS) or side == wire.BID < budget > 2**61
    )


@pytest.mark.parametrize("rate_ppm", [0, 1, 999_999])
def test_fees_of_the_largest_trade(rate_ppm: int) -> None:
    """rate * 2^62 does not fit into 64 bits; the fee does."""
    bounds = Bounds()
    bounds.credit(ANN, BASE, ATOMS)
    bounds.credit(BOB, QUOTE, ATOMS)
    for parameter in (admin.MAKER_FEE_PPM, admin.TAKER_FEE_PPM):
        bounds.send(admin.set_market(market=COARSE, parameter=parameter, value=rate_ppm))
    for lots in (2**20 - 7, 7):
        bounds.place(ANN, wire.ASK, 2**20, lots, market=COARSE)
    outcome = bounds.place(BOB, wire.BID, 2**20, 2**20, market=COARSE)
    assert (outcome.status, outcome.quote) == (wire.FILLED, ATOMS)
    fee_quote = bounds.both.core.balances(1)[1][1]
    assert fee_quote >= rate_ppm * ATOMS // 10**6
    base_atoms = 2**20 * 2**22
    assert bounds.both.core.balances(1)[0][1] == -(-rate_ppm * base_atoms // 10**6)


@pytest.mark.parametrize(
    ("price", "lots", "reject"),
    [
        (UNITS, 0, 0),
        (UNITS + 1, 0, Reject.BAD_PRICE),
        (LAST, LAST, Reject.BAD_PRICE),
        (0, UNITS, 0),
        (0, UNITS + 1, Reject.BAD_QUANTITY),
        (0, LAST, Reject.BAD_QUANTITY),
        (2**31, 2**31, 0),
        (2**32, 2**31, Reject.BAD_QUANTITY),
        (2**32, 2**32, Reject.BAD_QUANTITY),
        (UNITS, UNITS, Reject.BAD_QUANTITY),
    ],
)
@pytest.mark.parametrize("side", [wire.BID, wire.ASK])
def test_amended_terms(side: int, price: int, lots: int, reject: int) -> None:
    """The same bounds, applied to the amended order."""
    bounds = Bounds()
    bounds.credit(ANN, BASE, ATOMS)
    bounds.credit(ANN, QUOTE, ATOMS)
    order_id = bounds.place(ANN, side, 1, 1).order_id
    amend = records.amend(account=ANN, market=FINE, order_id=order_id, price=price, quantity=lots)
    assert bounds.send(amend).reason == reject


def test_a_band_at_the_highest_price() -> None:
    """best + best, and best - best."""
    bounds = Bounds()
    bounds.credit(ANN, BASE, ATOMS)
    bounds.credit(ANN, QUOTE, ATOMS // 2)
    bounds.credit(BOB, QUOTE, ATOMS // 2)
    bounds.send(admin.set_market(market=FINE, parameter=admin.BAND_PPM, value=1_000_000))
    bounds.place(ANN, wire.ASK, UNITS, 2)
    bounds.place(ANN, wire.ASK, UNITS - 1, 1)
    bounds.place(ANN, wire.BID, 1, 1)
    outcome = bounds.place(BOB, wire.BID, 0, 3, flags=wire.MARKET, tif=wire.IOC)
    assert (outcome.status, outcome.filled) == (wire.FILLED, 3)
    outcome = bounds.place(BOB, wire.ASK, 0, 1, flags=wire.MARKET, tif=wire.IOC)
    assert outcome.status == wire.REJECTED or outcome.filled == 1


def test_the_widest_identifiers_come_back_as_they_were() -> None:
    """u32 in pairs, i64 alone."""
    bounds = Bounds()
    bounds.credit(ANN, BASE, 10)
    wide = 2**32 - 1
    order = records.place(
        account=ANN,
        market=FINE,
        side=wire.ASK,
        price=5,
        quantity=5,
        flags=wire.HAS_CLIENT_ID,
        client_id=wide,
        session=wide,
    )
    assert bounds.send(order).client_id == wide
    assert bounds.send(order).repeated == 1
    assert bounds.both.core.sessions() == [(ANN, 0, wide)]
    for order_id in (-1, -LAST - 1, LAST, 2**24 - 1):
        cancel = records.cancel(account=ANN, market=FINE, order_id=order_id)
        assert bounds.send(cancel).reason == Reject.UNKNOWN_ORDER
    cancel = records.cancel(account=ANN, flags=wire.HAS_CLIENT_ID, client_id=wide)
    assert bounds.send(cancel).status == wire.CANCELLED
    for reference in (b"\xff" * 16, bytes(15) + b"\1", b"\1" + bytes(15)):
        command = admin.credit(account=ANN, asset=BASE, atoms=1, reference=reference)
        assert bounds.send(command).status == wire.DONE
    assert bounds.send(admin.open_account(LAST)).account == 4


def test_time_may_be_as_late_as_64_bits_allow() -> None:
    """Closing times plus ten minutes must not wrap."""
    both = Lockstep()
    last = LAST - KEPT
    both.apply(admin.rules() + admin.open_account(2), last)
    both.apply(admin.list_asset(asset=1, decimals=0, name="A"), last)
    both.apply(admin.list_asset(asset=2, decimals=0, name="B"), last)
    both.apply(
        admin.list_market(market=1, base=1, quote=2, lot_atoms=1, tick_atoms=1, name="A_B")
        + admin.set_market(market=1, parameter=1, value=0)
        + money.credit(account=2, asset=1, atoms=5),
        last,
    )
    ioc = records.place(
        account=2,
        market=1,
        side=wire.ASK,
        price=1,
        quantity=1,
        tif=wire.IOC,
        flags=wire.HAS_CLIENT_ID,
        client_id=1,
    )
    for time_ns, repeated in ((last, 0), (last, 1), (last + KEPT - 1, 1), (last + KEPT, 0)):
        outcome = both.apply(ioc, time_ns)[-1]
        assert isinstance(outcome, wire.Outcome)
        assert outcome.repeated == repeated
        both.check()
