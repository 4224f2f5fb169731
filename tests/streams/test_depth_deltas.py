"""A book plus the deltas after it is the later book, however they were merged."""

from __future__ import annotations

from random import Random

import pytest

from fairbook.core import admin_records, records
from fairbook.core.exchange import Exchange
from fairbook.streams.depth_streams import DepthDelta
from tests.world.money import credit

SIDES = (records.BID, records.ASK)


@pytest.mark.parametrize("seed", range(20))
def test_merged_deltas_equal_all_changes_applied(seed: int) -> None:
    """Against a plain dictionary; every cut of the changes into deltas, merged in any grouping."""
    chance = Random(seed)
    book: dict[tuple[int, int], int] = {}
    deltas: list[DepthDelta] = []
    for update_id in range(13, 500):
        side = chance.choice(SIDES)
        price = chance.randint(1, 40) + (40 if side == records.ASK else 0)
        lots = chance.choice((0, 0, chance.randint(1, 99)))
        book[side, price] = lots
        if not deltas or chance.random() < 0.2:
            deltas.append(DepthDelta(update_id, update_id - 1, 0))
        deltas[-1].set(side, price, lots, update_id, update_id * 10)
    before = [(delta, dict(delta.bids), dict(delta.asks)) for delta in deltas]
    extended = DepthDelta(13, 12, 0)
    for delta in deltas:
        extended.extend(delta)
    while len(deltas) > 1:
        at = chance.randrange(len(deltas) - 1)
        deltas[at : at + 2] = [deltas[at].merged(deltas[at + 1])]
    for whole in (deltas[0], extended):
        assert (whole.first_id, whole.last_id, whole.time_ns) == (13, 499, 4_990)
        assert {(records.BID, p): n for p, n in whole.bids.items()} | {
            (records.ASK, p): n for p, n in whole.asks.items()
        } == book
    for delta, bids, asks in before:
        assert (delta.bids, delta.asks) == (bids, asks), "merging changed an older delta"


def test_a_gap_is_refused() -> None:
    delta = DepthDelta(13, 12, 0)
    for update_id in (12, 14):
        with pytest.raises(AssertionError):
            delta.set(records.BID, 9, 0, update_id, 0)
    for add in (delta.merged, delta.extend):
        with pytest.raises(AssertionError):
            add(DepthDelta(14, 14, 0))
    assert (delta.bids, delta.last_id) == ({}, 12)


def test_an_empty_delta_adds_nothing() -> None:
    delta = DepthDelta(13, 12, 0)
    delta.set(records.BID, 9, 4, 13, 70)
    both = DepthDelta(1, 12, 0).merged(delta)
    assert (both.first_id, both.last_id, both.time_ns, both.bids) == (1, 13, 70, {9: 4})


def test_the_deltas_of_an_exchanges_events_are_its_book() -> None:
    """Orders that rest, match and are cancelled, in one market."""
    chance = Random(5)
    exchange = Exchange()
    delta = DepthDelta(13, 12, 0)
    setting = [
        admin_records.rules(),
        admin_records.list_asset(asset=1, decimals=0, name="A"),
        admin_records.list_asset(asset=2, decimals=0, name="B"),
        admin_records.list_market(market=1, base=1, quote=2, lot_atoms=1, tick_atoms=1, name="A_B"),
        admin_records.set_market(market=1, parameter=admin_records.STATE, value=admin_records.OPEN),
        admin_records.open_account(1),
        *[credit(account=2, asset=asset, atoms=10**9) for asset in (1, 2)],
    ]
    exchange.apply(b"".join(setting), 0)
    for time_ns in range(1, 400):
        frame = [
            records.place(
                account=2, market=1, side=chance.choice(SIDES), price=chance.randint(90, 110),
                quantity=chance.randint(1, 50), flags=records.REJECT_MAKER << records.STP_SHIFT,
            )
            if chance.random() < 0.9
            else records.cancel_all(account=2, market=1)
            for _ in range(chance.randint(1, 4))
        ]  # fmt: skip
        events = exchange.apply(b"".join(frame), time_ns)
        at = 0
        while at < len(events):
            if records.kind_at(events, at) == records.LEVEL:
                change = records.LevelChange(events, at)
                delta.set(change.side, change.price, change.lots, change.update_id, time_ns)
            at = records.next_at(events, at)
        bids, asks = exchange.depth(1, 1_000)
        assert sorted(((p, n) for p, n in delta.bids.items() if n), reverse=True) == bids
        assert sorted((p, n) for p, n in delta.asks.items() if n) == asks
