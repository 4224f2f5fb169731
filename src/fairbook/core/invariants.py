"""A check of everything that must hold in one state, for tests, `verify` and backups."""

from __future__ import annotations

from mypy_extensions import i64

from fairbook.core.admin_records import HELD
from fairbook.core.book import SLOT_MASK, BookSide, Order
from fairbook.core.client_ids import CLOSED_MAX, NO_ENTRY, ORDER_ID
from fairbook.core.exchange import Exchange
from fairbook.core.ledger import EXTERNAL
from fairbook.core.records import BID, LOW
from fairbook.core.state import all_credentials, by_priority
from fairbook.core.trading_account import Account
from fairbook.core.units import MAX_ATOMS, MAX_UNITS, MILLION


def check(exchange: Exchange) -> None:
    """Assert the invariants that can be seen in one state; the message names the one that fails.

    The numbers are those of the list in docs/reference/ledger-rules.md.
    """
    _check_money(exchange)
    _check_paying_cells(exchange)
    for market in range(1, len(exchange.markets)):
        book = exchange.tables.books[market]
        _check_side(book.bids)
        _check_side(book.asks)
        bids, asks = book.bids.keys.last, book.asks.keys.last
        assert not bids or not asks or bids[-1] < -asks[-1], f"12: market {market} is crossed"
    _check_indexes(exchange)
    _check_gateways(exchange)
    _check_credentials(exchange)
    _check_client_ids(exchange)


def _check_money(exchange: Exchange) -> None:
    tables = exchange.tables
    locks = _open_holds(exchange)
    for order in by_priority(exchange):
        market = order.book.market
        if order.side == BID:
            place: tuple[int, int] = (order.account, market.quote)
            reserve: int = order.price * order.remaining * market.tick_atoms
        else:
            place = (order.account, market.base)
            reserve = order.remaining * market.lot_atoms
        locks[place] = locks.get(place, 0) + reserve
        assert order.quote >= 0, f"11: executed quote of order {order.id} is {order.quote}"
        assert order.fee_atoms >= 0, f"11: fee of order {order.id} is {order.fee_atoms}"
        assert 0 <= order.fee_millionths < MILLION, f"6: fee of order {order.id}"
        assert order.pays is tables.ledger.find(*place), f"20: order {order.id} pays from elsewhere"
    totals: dict[int, int] = {}
    for account, cells in enumerate(tables.ledger.rows):
        for asset, cell in enumerate(cells):
            if cell is None:
                continue
            available: int = cell.available
            locked: int = cell.locked
            totals[asset] = totals.get(asset, 0) + available + locked
            where = f"account {account}, asset {asset}"
            assert locked == locks.pop((account, asset), 0), f"3: unexplained lock, {where}"
            assert account == EXTERNAL or available >= 0, f"2: negative balance, {where}"
            assert available + locked <= MAX_ATOMS, f"11: balance too large, {where}"
    assert not locks, f"3: locks that the ledger does not know: {locks}"
    for asset, total in totals.items():
        assert total == 0, f"1: asset {asset} sums to {total}"


def _check_paying_cells(exchange: Exchange) -> None:
    """An account finds what pays its orders without the ledger: it must be the same cell."""
    ledger = exchange.tables.ledger
    for number, account in enumerate(exchange.tables.accounts):
        for asset, paying in (
            (account.bid_asset, account.bid_cell),
            (account.ask_asset, account.ask_cell),
        ):
            known = None if asset == 0 else ledger.find(number, asset)
            assert paying is known, f"20: account {number} pays from another cell"


def _open_holds(exchange: Exchange) -> dict[tuple[int, int], int]:
    """What open holds lock, by account and asset."""
    held: dict[tuple[int, int], int] = {}
    last: i64 = 0
    for row in exchange.tables.references.rows:
        assert row.sequence > last, "30: references out of order"
        last = row.sequence
        if row.state == HELD:
            place: tuple[int, int] = (row.account, row.asset)
            atoms: int = row.atoms
            held[place] = held.get(place, 0) + atoms
    return held


def _check_side(side: BookSide) -> None:
    keys = side.keys.best(len(side.levels) + 1)
    assert keys == sorted(side.levels, reverse=True), "20: keys and levels differ"
    blocks = side.keys.blocks
    assert len(blocks) == len(side.keys.firsts) + 1, "20: blocks"
    for at, first in enumerate(side.keys.firsts):
        assert blocks[at][-1] < first <= blocks[at + 1][0], f"20: block {at + 1}"
    assert blocks[-1] is side.keys.last, "20: the last block"
    for key in keys:
        level = side.levels[key]
        assert level.price * side.sign == key, f"20: level {key} has another price"
        total: i64 = 0
        priority: i64 = 0
        before: Order | None = None
        order = level.head
        assert order is not None, f"13: level {key} is empty"
        while order is not None:
            assert order.remaining > 0, f"13: order {order.id} rests with nothing remaining"
            assert order.price == level.price and order.level is level, f"20: order {order.id}"
            assert order.prev is before, f"20: order {order.id} is linked wrongly"
            assert order.priority > priority, f"14: order {order.id} stands before an older one"
            assert 1 <= order.price <= MAX_UNITS, f"11: order {order.id}"
            priority = order.priority
            total += order.remaining
            before = order
            order = order.next
        assert level.tail is before, f"20: level {key} has a wrong tail"
        assert level.lots == total, f"13: level {key} says {level.lots}, its orders {total}"


def _check_indexes(exchange: Exchange) -> None:
    tables = exchange.tables
    open_orders = 0
    in_books = 0
    for book in tables.books:
        slots = book.slots
        in_slots = 0
        for slot, order in enumerate(slots.orders):
            if order is not None:
                in_slots += 1
                assert order.book is book, f"20: order {order.id} is of another market"
                assert order.id & SLOT_MASK == slot, f"20: order {order.id} is in slot {slot}"
                level = order.level
                assert level is not None, f"20: order {order.id} is in no level"
                own_side = book.side(order.side)
                known = own_side.levels.get(own_side.sign * order.price)
                assert known is level, f"20: order {order.id} is in no level of its book"
        assert in_slots + len(slots.free) == len(slots.orders), "20: slots lost"
        assert len(set(slots.free)) == len(slots.free), "20: a slot is free twice"
        open_orders += in_slots
        for side in (book.bids, book.asks):
            for level in side.levels.values():
                resting = level.head
                while resting is not None:
                    in_books += 1
                    assert slots.find(resting.id) is resting, f"20: order {resting.id} has no slot"
                    resting = resting.next
    owned = 0
    for number, account in enumerate(tables.accounts):
        owned += _check_account_orders(number, account)
    assert owned == open_orders == in_books, "20: indexes differ"


def _check_account_orders(number: int, account: Account) -> int:
    """How many open orders the account lists."""
    last_id: i64 = 0
    count = 0
    own = account.first
    while own is not None:
        count += 1
        assert own.account == own.owner & LOW == number, f"20: order {own.id} is with {number}"
        assert own.id > last_id, f"20: account {number} lists orders out of order"
        last_id = own.id
        own = own.account_next
    assert count == account.open, f"20: account {number} counts {account.open} of {count}"
    return count


def _check_gateways(exchange: Exchange) -> None:
    gateways = exchange.tables.gateways
    with_session = 0
    for order in by_priority(exchange):
        if order.session() != 0:
            with_session += 1
            instance = order.instance()
            assert instance is gateways.none or instance in gateways.rows, (
                f"20: order {order.id} is of a gateway that is forgotten"
            )
        else:
            assert order.instance() is None, f"20: order {order.id} has no session"
    listed = 0
    for each in [gateways.none, *gateways.rows]:
        count = 0
        last_id: i64 = 0
        own = each.first
        while own is not None:
            count += 1
            assert own.instance is each and own.order.id > last_id, f"20: gateway {each.number}"
            last_id = own.order.id
            own = own.next
        assert count == each.count, f"20: gateway {each.number} counts {each.count} of {count}"
        assert each.is_ended == (each in gateways.ending), f"20: gateway {each.number} ended"
        listed += count
    assert listed == with_session, "20: gateways list other orders"


def _check_credentials(exchange: Exchange) -> None:
    tables = exchange.tables
    credentials = all_credentials(tables)
    for credential in credentials:
        slot = tables.credentials.slot_of(
            credential.digest, credential.owner_kind, credential.owner
        )
        assert slot == credential.slot, "20: a credential is not found in its slot"
    known = len(credentials) + len(tables.credentials.revoked)
    assert tables.credentials.count == known, "20: hashes of credentials lost"


def _check_client_ids(exchange: Exchange) -> None:
    orders = by_priority(exchange)
    open_ids = {order.id: order for order in orders}
    kept = 0
    closed = 0
    for number, account in enumerate(exchange.tables.accounts):
        client_ids = account.client_ids
        if client_ids is None:
            continue
        last_ns: i64 = 0
        for which in range(client_ids.closed):
            closed_ns = client_ids.closed_ns(which)
            assert closed_ns >= last_ns, f"26: closed client ids of account {number} out of order"
            last_ns = closed_ns
            entry = client_ids.closed_entry(which)
            order_id: int = client_ids.word(entry, ORDER_ID)
            assert order_id not in open_ids, f"26: a client id of account {number} closed too early"
            text = client_ids.closed_text(which)
            if len(text) > 0:
                found = client_ids.find_text(text)
            else:
                found = client_ids.find(client_ids.closed_client_id(which))
            assert found == entry, f"26: a client id of account {number} cannot be found"
        assert client_ids.closed <= CLOSED_MAX, f"26: account {number} keeps too many client ids"
        closed += client_ids.closed
        kept += client_ids.count
    open_kept = 0
    for order in orders:
        if order.client_id_entry != NO_ENTRY:
            open_kept += 1
            table = exchange.tables.accounts[order.account].client_ids
            assert table is not None, f"26: order {order.id} has no client id entry"
            text = order.text()
            if len(text) > 0:
                found = table.find_text(text)
            else:
                found = table.find(order.client_id())
            assert found == order.client_id_entry, f"26: order {order.id} has no client id entry"
            assert table.word(found, ORDER_ID) == order.id, (
                f"26: order {order.id} has the entry of another order"
            )
    assert closed + open_kept == kept, "26: client ids lost"
