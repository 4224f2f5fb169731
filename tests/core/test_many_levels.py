"""Books with thousands of price levels: their keys stand in blocks, which are cut and dropped."""

from __future__ import annotations

from random import Random

import pytest

from fairbook.core import admin_records as admin
from fairbook.core import invariants, records, state
from fairbook.core.sorted_keys import BLOCK_MAX, SortedKeys
from tests.core import wire
from tests.core.lockstep import Lockstep
from tests.world import money

MAKERS, TAKER = range(2, 22), 22
LEVELS = 2_500  # of each side: three blocks
MIDDLE = 100_000


@pytest.mark.parametrize("seed", range(3))
def test_keys_in_blocks_are_those_of_a_sorted_list(seed: int) -> None:
    """Through growth, cuts at random places, and down to nothing."""
    random = Random(seed)
    keys, plain = SortedKeys(), set[int]()
    for growing in (True, False, True, False):
        while len(plain) < 4 * BLOCK_MAX if growing else plain:
            is_added = random.random() < (0.8 if growing else 0.2)
            if is_added or not plain:
                key = random.randrange(2**20)
                if key not in plain:
                    keys.add(key)
                    plain.add(key)
            else:
                # The best, the worst, and others: whole blocks become empty at either end.
                chance = random.randrange(3 * (1 + seed))
                choose = {0: max, 1: min}.get(chance)
                key = choose(plain) if choose else random.choice(sorted(plain)[: 1 + chance * 99])
                keys.remove(key)
                plain.remove(key)
            if len(plain) % 211 == 0:
                compare_keys(keys, plain)
    compare_keys(keys, plain)


def compare_keys(keys: SortedKeys, plain: set[int]) -> None:
    ordered = sorted(plain)
    assert [key for block in keys.blocks for key in block] == ordered
    assert all(len(block) <= BLOCK_MAX for block in keys.blocks)
    assert all(keys.blocks) or len(keys.blocks) == 1
    assert keys.last is keys.blocks[-1]
    for count in (1, 3, BLOCK_MAX, BLOCK_MAX + 1, 10**6):
        assert keys.best(count) == ordered[::-1][:count]


class Deep:
    """A market with an order on each of thousands of prices on both sides."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.both = Lockstep()
        units = [
            admin.rules(),
            admin.list_asset(asset=1, decimals=0, name="A"),
            admin.list_asset(asset=2, decimals=0, name="B"),
            admin.list_market(market=1, base=1, quote=2, lot_atoms=1, tick_atoms=1, name="A_B"),
            admin.set_market(market=1, parameter=admin.STATE, value=0),
        ]
        for account in range(2, TAKER + 1):
            units.append(admin.open_account(account))
            units += [money.credit(account=account, asset=asset, atoms=2**40) for asset in (1, 2)]
        self.send(b"".join(units))
        places = [(side, at) for side in (0, 1) for at in range(LEVELS)]
        self.random.shuffle(places)
        for at in range(0, len(places), 500):
            self.send(b"".join(self.place(*place) for place in places[at : at + 500]))

    def place(self, side: int, at: int) -> bytes:
        """One lot of one of the makers, `at` ticks away from the middle."""
        price = MIDDLE + 1 + at if side else MIDDLE - at
        account = self.random.choice(MAKERS)
        return records.place(account=account, market=1, side=side, quantity=2, price=price)

    def take(self, side: int, lots: int, away: int, tif: int = records.IOC) -> bytes:
        """An order of the taker up to a price."""
        price = MIDDLE - away if side else MIDDLE + 1 + away
        return records.place(
            account=TAKER, market=1, side=side, quantity=lots, price=price, tif=tif
        )

    def send(self, frame: bytes) -> list[wire.Event]:
        return self.both.apply(frame, 1)

    def cancel(self) -> bytes:
        """Some order, anywhere in the book."""
        order = self.random.choice(list(self.both.oracle.orders.values()))
        return records.cancel(account=order.account, market=1, order_id=order.id)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_orders_come_and_go_on_thousands_of_levels(seed: int) -> None:
    """Core and oracle agree on walks over many levels, on what is cancelled and what is placed."""
    deep = Deep(seed)
    deep.both.compare()
    deep.both.check()
    random = deep.random
    for _ in range(120):
        side, lots = random.randrange(2), random.choice((1, 3, 50, 1_500, 1_999))
        away = random.choice((5, 500, 1_100, 2_490))
        tif = random.choice((records.IOC, records.FOK, records.GTC))
        units = [deep.cancel() for _ in range(random.randrange(12))]
        units += [deep.place(random.randrange(2), random.randrange(LEVELS)) for _ in range(9)]
        units.append(deep.take(side, lots, away, tif))
        deep.send(b"".join(units))
    deep.both.compare()
    deep.both.check()
    restored = state.load(state.dump(deep.both.core))
    invariants.check(restored)
    frame = deep.take(0, 1_500, 2_000) + deep.take(1, 1_500, 2_000)
    assert restored.apply(frame, 1) == deep.both.core.apply(frame, 1)


def test_all_levels_are_cancelled_and_the_book_is_used_again() -> None:
    """By accounts, which leaves holes in every block; then from one end to the other."""
    deep = Deep(9)
    for account in [*MAKERS][::2]:
        deep.send(records.cancel_all(account=account))
    deep.both.compare()
    deep.both.check()
    deep.send(b"".join(deep.take(side, 900, LEVELS, records.IOC) for side in (0, 1)) * 2)
    deep.both.compare()
    deep.both.check()
    for account in (*MAKERS, TAKER):
        deep.send(records.cancel_all(account=account))
    assert deep.both.core.depth(1, 10) == ([], [])
    deep.both.check()
    deep.send(deep.place(0, 3) + deep.place(1, 3) + deep.take(0, 1, 50))
    deep.both.compare()
    deep.both.check()
