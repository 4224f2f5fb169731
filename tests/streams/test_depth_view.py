"""A view plus the deltas after it is the book, however they were merged."""

from __future__ import annotations

from random import Random

import pytest

from fairbook.core import records
from fairbook.core.exchange import Exchange
from fairbook.streams.depth_view import Delta, DepthView

SIDES = (records.BID, records.ASK)


@pytest.mark.parametrize("seed", range(20))
def test_deltas_merged_are_all_changes_applied(seed: int) -> None:
    """Against a plain dictionary; every cut of the changes into deltas, merged in any grouping."""
    chance = Random(seed)
    book: dict[tuple[int, int], int] = {}
    view = DepthView(12, [], [])
    deltas: list[Delta] = []
    for update_id in range(13, 500):
        side = chance.choice(SIDES)
        price = chance.randint(1, 40) + (40 if side == records.ASK else 0)
        lots = chance.choice((0, 0, chance.randint(1, 99)))
        book[side, price] = lots
        view.set(side, price, lots, update_id)
        if not deltas or chance.random() < 0.2:
            deltas.append(Delta(update_id, update_id - 1, 0))
        deltas[-1].set(side, price, lots, update_id, update_id * 10)
        bids = [(p, n) for (s, p), n in book.items() if s == records.BID and n]
        asks = [(p, n) for (s, p), n in book.items() if s == records.ASK and n]
        bids.sort(reverse=True)
        asks.sort()
        assert view.levels(records.BID) == bids
        assert view.levels(records.ASK) == asks
        assert view.best(records.BID) == (bids[0] if bids else None)
        assert view.best(records.ASK) == (asks[0] if asks else None)
    changes = [(delta, dict(delta.bids), dict(delta.asks)) for delta in deltas]
    while len(deltas) > 1:
        at = chance.randrange(len(deltas) - 1)
        deltas[at : at + 2] = [deltas[at].merged(deltas[at + 1])]
    whole = deltas[0]
    assert (whole.first_id, whole.last_id, whole.time_ns) == (13, 499, 4_990)
    assert {(records.BID, p): n for p, n in whole.bids.items()} | {
        (records.ASK, p): n for p, n in whole.asks.items()
    } == book
    for delta, bids_then, asks_then in changes:
        assert (delta.bids, delta.asks) == (bids_then, asks_then), "merging changed an older one"


def test_a_gap_is_refused() -> None:
    view = DepthView(12, [(9, 1)], [])
    delta = Delta(13, 12, 0)
    for update_id in (12, 14):
        with pytest.raises(AssertionError):
            view.set(records.BID, 9, 0, update_id)
        with pytest.raises(AssertionError):
            delta.set(records.BID, 9, 0, update_id, 0)
    with pytest.raises(AssertionError):
        delta.merged(Delta(14, 14, 0))
    assert view.levels(records.BID) == [(9, 1)]


def test_a_level_that_is_gone_may_go_again() -> None:
    view = DepthView(12, [], [(9, 1)])
    view.set(records.ASK, 9, 0, 13)
    view.set(records.ASK, 9, 0, 14)
    assert view.best(records.ASK) is None
    assert view.update_id == 14


def test_an_empty_delta_adds_nothing() -> None:
    delta = Delta(13, 12, 0)
    delta.set(records.BID, 9, 4, 13, 70)
    both = Delta(1, 12, 0).merged(delta)
    assert (both.first_id, both.last_id, both.time_ns, both.bids) == (1, 13, 70, {9: 4})


def test_a_view_of_the_exchanges_events_is_its_book() -> None:
    """Orders that rest, meet and are cancelled, in one market."""
    chance = Random(5)
    exchange = Exchange()
    view = DepthView(12, [], [])
    setting = [
        records.rules(),
        records.list_asset(asset=1, decimals=0, name="A"),
        records.list_asset(asset=2, decimals=0, name="B"),
        records.list_market(market=1, base=1, quote=2, lot_atoms=1, tick_atoms=1, name="A_B"),
        records.set_market(market=1, parameter=records.STATE, value=records.OPEN),
        records.open_account(1),
        *[records.credit(account=2, asset=asset, atoms=10**9) for asset in (1, 2)],
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
                view.set(change.side, change.price, change.lots, change.update_id)
            at = records.next_at(events, at)
        bids, asks = exchange.depth(1, 1_000)
        assert view.levels(records.BID) == bids
        assert view.levels(records.ASK) == asks
