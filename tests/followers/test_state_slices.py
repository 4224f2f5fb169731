"""Slices cover the state: every number changes the slice that holds it, and no other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from fairbook.core import admin_records, state, state_slices
from fairbook.core.book import Order
from fairbook.core.client_ids import ENTRY_WORDS, NO_ENTRY, ClientIdTable
from fairbook.core.exchange import Exchange
from tests.core import wire
from tests.core.stream import START_NS, SplitMix64, Stream, opening

COUNT = 7


def played(seed: int, frames_count: int) -> Exchange:
    """An exchange with open orders, client ids of open and closed ones, and free slots."""
    exchange = Exchange()
    stream = Stream(SplitMix64(seed).pick)
    stream.saw(wire.split_events(exchange.apply(opening(), START_NS)))
    for _ in range(frames_count):
        frame, time_ns = stream.frame(), stream.step()
        stream.saw(wire.split_events(exchange.apply(frame, time_ns)))
    return exchange


def digests(exchange: Exchange, count: int = COUNT) -> list[bytes]:
    return [state_slices.slice_digest(exchange, index, count) for index in range(count)]


def holder(place: int, size: int, count: int = COUNT) -> int:
    """The slice that holds an entry of a table of that size."""
    return next(i for i in range(count) if size * i // count <= place < size * (i + 1) // count)


class Word:
    """A word of a table of client ids as an attribute."""

    def __init__(self, words: Any, place: int) -> None:
        self._words = words
        self._place = place

    @property
    def value(self) -> int:
        return int(self._words[self._place])

    @value.setter
    def value(self, value: int) -> None:
        self._words[self._place] = value


class Number(NamedTuple):
    """One number of the state, and the slices that must change with it."""

    name: str
    owner: Any
    attribute: str
    slices: set[int]
    is_dumped: bool = True  # False: follows from others, and is kept for speed


ORDER = [
    "owner",
    "session",
    "tif",
    "side",
    "flags",
    "price",
    "remaining",
    "filled",
    "quote",
    "fee_atoms",
    "fee_millionths",
    "created_ns",
    "priority",
]
MARKET = [
    "base",
    "quote",
    "lot_atoms",
    "tick_atoms",
    "created_ns",
    "state",
    "maker_fee_ppm",
    "taker_fee_ppm",
    "price_min",
    "price_max",
    "quantity_min",
    "quantity_max",
    "band_ppm",
    "levels_max",
    "update_id",
    "last_trade_id",
]


def numbers(exchange: Exchange) -> Iterator[Number]:
    """Every number of the state."""
    registry, slots = exchange.tables, exchange.matcher.slots
    for attribute in ("sequence", "time_ns"):
        yield Number("exchange", exchange, attribute, {0})
    for attribute in ("rules", "cancel_only", "orders_max", "accounts_max"):
        yield Number("exchange", registry, attribute, {0})
    for place, asset in enumerate(registry.assets):
        for attribute in ("decimals", "reserve_cap"):
            where = {holder(place, len(registry.assets))}
            yield Number(f"asset {place}", asset, attribute, where, is_dumped=place > 0)
        yield Number(f"asset {place}", asset, "id", where, is_dumped=False)
    for place, market in enumerate(registry.markets):
        for attribute in MARKET:
            where = {holder(place, len(registry.markets))}
            yield Number(f"market {place}", market, attribute, where, is_dumped=place > 0)
    columns = registry.ledger.columns
    for place, cell in enumerate(registry.ledger.cells):
        where = {holder(place // columns, registry.ledger.rows)}
        yield Number(f"cell {place}", cell, "available", where)
        yield Number(f"cell {place}", cell, "locked", where)
    of_slot = {
        order.id: holder(slot, len(slots.orders))
        for slot, order in enumerate(slots.orders)
        if order is not None
    }
    for place, account in enumerate(registry.accounts):
        where = {holder(place, len(registry.accounts))}
        yield Number(f"account {place}", account, "user_id", where)
        yield Number(f"account {place}", account, "frozen", where)
        yield Number(f"account {place}", account, "open", where, is_dumped=False)
        client_ids = account.client_ids
        if client_ids is not None:
            yield Number(f"client ids of {place}", client_ids, "count", where, is_dumped=False)
            for which in range(client_ids.closed):
                at = (client_ids.first + 2 * which) % client_ids.ring_words
                closed_ns = Word(client_ids.table, client_ids.index_words + at + 1)
                yield Number(f"closed client id of {place}", closed_ns, "value", where)
                yield from words_of(client_ids, client_ids.closed_entry(which), where)
    yield from ids_of_markets(exchange, of_slot)
    for order in slots.orders:
        if order is None:
            continue
        where = {of_slot[order.id]}
        for attribute in ORDER:
            yield Number(f"order {order.id}", order, attribute, where)
        yield Number(f"order {order.id}", order, "account", where, is_dumped=False)
        if order.client_id_entry != NO_ENTRY:
            client_ids = registry.accounts[order.account].client_ids
            assert client_ids is not None
            yield from words_of(client_ids, order.client_id_entry, where)
        level = order.level
        assert level is not None
        if level.head is order:
            at_level: set[int] = set()
            each: Order | None = level.head
            while each is not None:
                at_level.add(of_slot[each.id])
                each = each.next
            yield Number(f"level {level.price}", level, "lots", at_level, is_dumped=False)


def ids_of_markets(exchange: Exchange, of_slot: dict[int, int]) -> Iterator[Number]:
    """A market's id is in its own slice, and in those of its open orders."""
    markets, orders = exchange.tables.markets, exchange.matcher.slots.orders
    for place, market in enumerate(markets):
        where = {holder(place, len(markets))}
        for order in orders:
            if order is not None and order.book.market is market:
                where.add(of_slot[order.id])
        yield Number(f"market {place}", market, "id", where, is_dumped=False)


def words_of(client_ids: ClientIdTable, entry: int, where: set[int]) -> Iterator[Number]:
    """The numbers of one entry."""
    for which in range(ENTRY_WORDS):
        word = Word(client_ids.table, client_ids.entries_at + entry * ENTRY_WORDS + which)
        yield Number(f"word {which} of an entry", word, "value", where)


def test_each_number_changes_the_slice_that_holds_it() -> None:
    """Only that slice, and its digest returns with the number."""
    exchange = played(seed=3, frames_count=500)
    before, dumped = digests(exchange), state.dump(exchange)
    seen = 0
    for number in numbers(exchange):
        value = getattr(number.owner, number.attribute)
        setattr(number.owner, number.attribute, not value if isinstance(value, bool) else value + 1)
        after = digests(exchange)
        changed = {index for index in range(COUNT) if after[index] != before[index]}
        assert changed == number.slices, number
        if number.is_dumped:
            assert state.dump(exchange) != dumped, number
        setattr(number.owner, number.attribute, value)
        seen += 1
    assert digests(exchange) == before
    assert seen > 1000


def test_queue_positions_are_covered() -> None:
    """The next order at a price, the next receipt to be dropped, the next free slot."""
    exchange = played(seed=3, frames_count=500)
    before = digests(exchange)
    free = exchange.matcher.slots.free
    for place in range(len(free)):
        free[place] += 1
        after = digests(exchange)
        free[place] -= 1
        where = holder(place, len(free))
        assert [i for i in range(COUNT) if after[i] != before[i]] == [where]
    sides = [side for book in exchange.tables.books for side in (book.bids, book.asks)]
    levels = [level for side in sides for level in side.levels.values()]
    crowded = [level for level in levels if level.head is not level.tail]
    assert crowded
    for level in crowded:
        first = level.head
        assert first is not None and first.next is not None
        second, third = first.next, first.next.next
        first.next, second.next = third, first  # Overtaken.
        level.head = second
        assert digests(exchange) != before
        first.next, second.next, level.head = second, third, first
    assert digests(exchange) == before


def test_every_attribute_of_the_state_is_known_here() -> None:
    """A new one is put into the slices, or listed here as derived."""
    exchange = played(seed=3, frames_count=300)
    order = next(each for each in exchange.matcher.slots.orders if each is not None)
    account = next(each for each in exchange.tables.accounts if each.client_ids is not None)
    links = [
        "account",
        "book",
        "id",
        "level",
        "next",
        "account_next",
        "account_prev",
        "client_id_entry",
        "prev",
    ]
    assert order.level is not None
    for thing, known in (
        (order, [*ORDER, *links]),
        (order.level, ["head", "lots", "price", "tail"]),
        (account, ["first", "frozen", "last", "client_ids", "open", "user_id"]),
        (
            account.client_ids,
            [
                "closed",
                "count",
                "entries_at",
                "first",
                "free",
                "index_words",
                "ring_words",
                "table",
                "used",
            ],
        ),
        (exchange.markets[1], [*MARKET, "id", "name", "price_decimals", "price_step"]),
        (exchange.assets[1], ["decimals", "id", "name", "reserve_cap"]),
        (exchange.tables.ledger.cells[0], ["available", "locked"]),
        (exchange.tables.ledger, ["cells", "columns", "rows"]),
    ):
        names = [name for name in dir(thing) if not name.startswith("_")]
        assert [n for n in names if not callable(getattr(thing, n))] == sorted(known)


@pytest.mark.parametrize("count", [1, 3, 64])
def test_a_restored_state_has_the_same_slices(count: int) -> None:
    """Whether replayed or loaded, at any frame."""
    for frames_count in (0, 40, 160, 480):
        exchange = played(seed=9, frames_count=frames_count)
        restored = state.load(state.dump(exchange))
        for index in range(count):
            mine = state_slices.slice_bytes(exchange, index, count)
            assert mine == state_slices.slice_bytes(restored, index, count), (frames_count, index)
            assert state_slices.differences(mine, mine, 10) == []


def test_the_difference_is_named() -> None:
    """Balances first, whatever else differs."""
    exchange = played(seed=3, frames_count=400)
    before = state_slices.slice_bytes(exchange, 0, 1)
    order = next(each for each in exchange.matcher.slots.orders if each is not None)
    order.remaining += 5
    exchange.tables.ledger.cell(4, 2).locked += 1
    exchange.markets[2].taker_fee_ppm += 7
    found = state_slices.differences(before, state_slices.slice_bytes(exchange, 0, 1), 10)
    locked = exchange.tables.ledger.cell(4, 2).locked
    assert found[0] == state_slices.Difference("balance", 4, "locked", 2, 4, locked - 1, locked)
    named = {(each.kind, each.key, each.field) for each in found}
    assert ("market", 2, "taker_fee_ppm") in named
    assert ("order", order.id, "remaining") in named
    assert len(found) == 3
    assert [each.account for each in found if each.kind == "order"] == [order.account]


def test_a_missing_record_is_named() -> None:
    exchange = played(seed=3, frames_count=400)
    exchange.tables.accounts_max = 1000
    before = state_slices.slice_bytes(exchange, 0, 1)
    exchange.apply(admin_records.open_account(77), exchange.time_ns)
    found = state_slices.differences(before, state_slices.slice_bytes(exchange, 0, 1), 100)
    account = len(exchange.tables.accounts) - 1
    assert ("account", "user_id", None, 77) in {
        (each.kind, each.field, each.mine, each.theirs) for each in found if each.key == account
    }


@pytest.mark.parametrize("cut", [1, 8, 16, 24, 200])
def test_a_malformed_slice_is_refused(cut: int) -> None:
    octets = state_slices.slice_bytes(played(seed=3, frames_count=50), 0, 1)
    with pytest.raises(ValueError, match=r"section|record|words"):
        state_slices.parse(octets[:-cut])
