"""Slices cover the state: every number changes the slice that holds it, and no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest

from fairbook.core import admin_records, state, state_slices
from fairbook.core.book import Order
from fairbook.core.client_ids import ENTRY_WORDS, ClientIdTable
from fairbook.core.exchange import Exchange
from tests.core import wire
from tests.core.stream import START_NS, SplitMix64, Stream, opening
from tests.core.stream_signed import SignedStream, signed_opening

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


def played_signed(frames_count: int) -> Exchange:
    """An exchange whose gateways have keys."""
    exchange = Exchange()
    stream = SignedStream(SplitMix64(7).pick)
    stream.saw(wire.split_events(exchange.apply(signed_opening(), START_NS)))
    for _ in range(frames_count):
        frame, time_ns = stream.frame(), stream.step()
        stream.saw(wire.split_events(exchange.apply(frame, time_ns)))
    return exchange


def digests(exchange: Exchange, count: int = COUNT) -> list[bytes]:
    return [state_slices.slice_digest(exchange, index, count) for index in range(count)]


NOT_STATE = {
    "Exchange": "matcher orders command parts admin_call assets markets is_test paused",
    "Tables": "is_first_frame prefetched",
    "Book": "market frame walking looked_at looked_at_now walk_max",
    "BookSide": "sign keys",
    "Order": "book pays level prev next account_prev account_next client_id_entry",
    "RareFields": "order instance prev next",
    "Level": "price head tail",
    "Account": "cells bid_asset bid_cell ask_asset ask_cell first last",
    "Instance": "first last begun_ns",
    "Market": "price_step price_decimals lots_max tick_lots_max",
    "Gateways": "current none is_begin_frame",
    "UsedSignatures": "first last_use count hashes times",
    "BytesIndex": "shards count",
    "ClientIdTable": (
        "mask factor shift texts text_of table index_words ring_words entries_at closed first free"
        " used"
    ),
    "CredentialTable": "places count",
    "References": "index",
    "DailyWithdrawalTable": "index",
}
"""By class: attributes that are no state, or lead to what is reached otherwise, or follow from it:
links between orders, indexes, caches, what holds for one frame. All others must be in the slices.
"""
IN_SEVERAL_SLICES = {
    ("Level", "lots"),
    ("Market", "id"),
    ("Asset", "id"),
    ("Instance", "number"),
    ("Order", "id"),
}
"""Numbers that are written wherever something refers to them; others are in one slice."""


class Place(NamedTuple):
    """One number, flag, hash or name of the state, which can be set."""

    name: tuple[str, str]
    read: Callable[[], Any]
    write: Callable[[Any], None]


def places(thing: Any, seen: set[int]) -> Iterator[Place]:
    """Everything that can be reached from an object of the core, each once."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    kind = type(thing).__name__
    passed_over = NOT_STATE.get(kind, "").split()
    for name in dir(thing):
        if name.startswith("_") or name in passed_over or callable(value := getattr(thing, name)):
            continue
        if isinstance(value, list | dict):
            yield from entries(kind, name, value, seen)
        else:
            yield from leaf(
                (kind, name), value, partial(getattr, thing, name), partial(setattr, thing, name),
                seen,
            )  # fmt: skip
    if kind == "Account" and thing.client_ids is not None:
        yield from words_of(thing.client_ids)
    if kind == "UsedSignatures":
        for at in range(thing.first, len(thing.hashes)):
            for name in ("hashes", "times"):
                yield entry_of(getattr(thing, name), at, (kind, name))


def entries(kind: str, name: str, held: Any, seen: set[int]) -> Iterator[Place]:
    for key, value in list(held.items() if isinstance(held, dict) else enumerate(held)):
        if isinstance(value, list):
            yield from entries(kind, name, value, seen)
        else:
            place = entry_of(held, key, (kind, name))
            yield from leaf(place.name, value, place.read, place.write, seen)


def entry_of(held: Any, key: Any, name: tuple[str, str]) -> Place:
    return Place(name, partial(held.__getitem__, key), partial(held.__setitem__, key))


def leaf(
    name: tuple[str, str], value: Any, read: Any, write: Any, seen: set[int]
) -> Iterator[Place]:
    if isinstance(value, bool | int | bytes | str):
        yield Place(name, read, write)
    elif value is not None:
        assert type(value).__module__.startswith("fairbook.core"), name
        yield from places(value, seen)


def words_of(client_ids: ClientIdTable) -> Iterator[Place]:
    """The words of the entries in use, and when those of closed orders were closed."""

    def word(at: int) -> Place:
        def write(value: int) -> None:
            client_ids.table[at] = value

        return Place(("ClientIdTable", "table"), lambda: client_ids.table[at], write)

    for which in range(client_ids.closed):
        ring = (client_ids.first + 2 * which) % client_ids.ring_words
        yield word(client_ids.index_words + ring + 1)
        entry = client_ids.closed_entry(which)
        yield from map(word, range(client_ids.entries_at + entry * ENTRY_WORDS,
                                   client_ids.entries_at + (entry + 1) * ENTRY_WORDS))  # fmt: skip


def other(value: Any) -> Any:
    """A different value of its type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, bytes):
        return value[:-1] + bytes([value[-1] ^ 1]) if value else b"\1" * 32
    return f"X{value[1:]}" if isinstance(value, str) else value + 1


def changed_places(exchange: Exchange) -> Counter[tuple[str, str]]:
    """Change everything once; return how much there is of each name."""
    before = digests(exchange)
    found: Counter[tuple[str, str]] = Counter()
    for place in list(places(exchange, set())):
        if is_placeholder(place):
            continue
        value = place.read()
        place.write(other(value))
        after = digests(exchange)
        place.write(value)
        changed = sum(1 for index in range(COUNT) if after[index] != before[index])
        assert changed == 1 or (changed > 1 and place.name in IN_SEVERAL_SLICES), place.name
        found[place.name] += 1
    assert digests(exchange) == before
    return found


def is_placeholder(place: Place) -> bool:
    """Index 0 of a table: its names are not written."""
    return bool(place.read() == "")


def test_everything_there_is_changes_one_slice() -> None:
    """Whatever the core keeps; and the digest returns with the number."""
    exchange = played(seed=3, frames_count=2_000)
    found = changed_places(exchange)
    assert len(found) > 90 and found.total() > 2_000
    for name in (
        ("Cell", "available"), ("Cell", "locked"), ("Reference", "atoms"), ("Order", "remaining"),
        ("Credential", "digest"), ("Pause", "reason"), ("Operator", "roles"), ("Level", "lots"),
        ("DailyWithdrawals", "atoms"), ("GroupFees", "maker_fee_ppm"), ("Instance", "last_ns"),
        ("UsedSignatures", "times"), ("UsedSignatures", "hashes"), ("CredentialTable", "revoked"),
        ("OrderSlots", "free"), ("ClientIdTable", "table"), ("RareFields", "text"),
    ):  # fmt: skip
        assert found[name] > 0, name


def test_everything_of_signed_frames_changes_one_slice() -> None:
    found = changed_places(played_signed(frames_count=600))
    for name in (("Instance", "key"), ("Instance", "last_number"), ("Gateways", "begins")):
        assert found[name] > 0, name


def test_queue_positions_are_covered() -> None:
    """The next order at a price."""
    exchange = played(seed=3, frames_count=500)
    before = digests(exchange)
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


def an_order(exchange: Exchange) -> Order:
    return next(
        order for book in exchange.tables.books for order in book.slots.orders if order is not None
    )


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
    order = an_order(exchange)
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
