"""The state in slices: each small enough to hash without a pause, all of them the whole state.

Design: slice `index` of `count` holds the same share of every table: assets, markets, accounts with
their balances and closed client ids, open orders with theirs, free slots; slice 0 also what is
in no table. A slice is a row of sections. A section is its kind, the number of words in each of its
records, the records, and END. The first word of a record is its key; the fields that state.py
describes follow, and then fields that are derived from the state and kept for speed.

Invariants:
- the slices of one `count` together hold each number of `state.dump` once, and the derived ones (a
  level's lots, the next order, how many are open);
- equal states have equal slices, whether replayed or loaded from a snapshot.

The layout is no contract: processes compare slices only with others of the same version.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final, NamedTuple

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from mypy_extensions import i64

from fairbook.core import state
from fairbook.core.book import BookSide
from fairbook.core.client_ids import NO_ENTRY
from fairbook.core.exchange import Exchange
from fairbook.core.records import LOW

END: Final = -1  # Keys are never negative.
EXCHANGE: Final = 1
ASSET: Final = 2
MARKET: Final = 3
ACCOUNT: Final = 4
BALANCES: Final = 5
ORDER: Final = 6
OPEN_CLIENT_ID: Final = 7
CLOSED_CLIENT_ID: Final = 8
FREE_SLOT: Final = 9

NAMES: Final = {
    EXCHANGE: "exchange",
    ASSET: "asset",
    MARKET: "market",
    ACCOUNT: "account",
    BALANCES: "balance",
    ORDER: "order",
    OPEN_CLIENT_ID: "client id of order",
    CLOSED_CLIENT_ID: "client id of account",
    FREE_SLOT: "free slot",
}
# The words of a record; of BALANCES there are two for each asset.
FIELDS: Final = {
    EXCHANGE: f"key {state.EXCHANGE_FIELDS} users slots free_slots".split(),
    ASSET: f"id {state.ASSET_FIELDS}".split(),
    MARKET: f"id {state.MARKET_FIELDS} bid_levels best_bid ask_levels best_ask".split(),
    ACCOUNT: (
        f"account {state.ACCOUNT_FIELDS} open_orders first_order last_order client_ids"
        " closed_client_ids"
    ).split(),
    ORDER: f"{state.ORDER_FIELDS} account lots_at_price next_at_price".split(),
    OPEN_CLIENT_ID: f"order {state.CLIENT_ID_FIELDS}".split(),
    CLOSED_CLIENT_ID: state.CLOSED_CLIENT_ID_FIELDS.split(),
    FREE_SLOT: ["place", "slot"],
}

RecordKey = tuple[int, int, int]
"""Kind, first word of the record, and client id of a closed one."""


def slice_digest(exchange: Exchange, index: int, count: int) -> bytes:
    """The SHA-256 of a slice, which processors have instructions for."""
    return sha256(slice_bytes(exchange, index, count)).digest()


def slice_bytes(exchange: Exchange, index: int, count: int) -> bytes:
    """Slice `index` of `count`, 0 <= index < count."""
    assert 0 <= index < count
    out = BytesWriter()
    if index == 0:
        _put_exchange(out, exchange)
    _put_assets(out, exchange, index, count)
    _put_markets(out, exchange, index, count)
    _put_accounts(out, exchange, index, count)
    _put_balances(out, exchange, index, count)
    _put_closed(out, exchange, index, count)
    _put_orders(out, exchange, index, count)
    _put_open_client_ids(out, exchange, index, count)
    _put_free(out, exchange, index, count)
    return out.getvalue()


def _begin(out: BytesWriter, kind: int) -> None:
    write_i64_le(out, kind)
    write_i64_le(out, len(FIELDS[kind]))


def _put_exchange(out: BytesWriter, exchange: Exchange) -> None:
    slots = exchange.matcher.slots
    _begin(out, EXCHANGE)
    write_i64_le(out, 0)
    state.put_exchange(out, exchange)
    write_i64_le(out, len(exchange.tables.account_of_user))
    write_i64_le(out, len(slots.orders))
    write_i64_le(out, len(slots.free))
    write_i64_le(out, END)


def _put_assets(out: BytesWriter, exchange: Exchange, index: i64, count: i64) -> None:
    assets = exchange.tables.assets
    size: i64 = len(assets)
    _begin(out, ASSET)
    for number in range(size * index // count, size * (index + 1) // count):
        write_i64_le(out, assets[number].id)
        state.put_asset(out, assets[number])
    write_i64_le(out, END)


def _put_markets(out: BytesWriter, exchange: Exchange, index: i64, count: i64) -> None:
    tables = exchange.tables
    size: i64 = len(tables.markets)
    _begin(out, MARKET)
    for number in range(size * index // count, size * (index + 1) // count):
        write_i64_le(out, tables.markets[number].id)
        state.put_market(out, tables.markets[number])
        book = tables.books[number]
        _put_side(out, book.bids)
        _put_side(out, book.asks)
    write_i64_le(out, END)


def _put_side(out: BytesWriter, side: BookSide) -> None:
    levels: i64 = len(side.keys)
    best: i64 = 0
    if levels > 0:
        best = side.keys[-1]
    write_i64_le(out, levels)
    write_i64_le(out, best)


def _put_accounts(out: BytesWriter, exchange: Exchange, index: i64, count: i64) -> None:
    accounts = exchange.tables.accounts
    size: i64 = len(accounts)
    _begin(out, ACCOUNT)
    for number in range(size * index // count, size * (index + 1) // count):
        account = accounts[number]
        first, last, client_ids = account.first, account.last, account.client_ids
        write_i64_le(out, number)
        state.put_account(out, account)
        write_i64_le(out, account.open)
        write_i64_le(out, 0 if first is None else first.id)
        write_i64_le(out, 0 if last is None else last.id)
        write_i64_le(out, 0 if client_ids is None else client_ids.count)
        write_i64_le(out, 0 if client_ids is None else client_ids.closed)
    write_i64_le(out, END)


def _put_balances(out: BytesWriter, exchange: Exchange, index: i64, count: i64) -> None:
    ledger = exchange.tables.ledger
    cells, columns = ledger.cells, ledger.columns
    write_i64_le(out, BALANCES)
    write_i64_le(out, 1 + 2 * columns)
    at: i64 = ledger.rows * index // count * columns
    for row in range(ledger.rows * index // count, ledger.rows * (index + 1) // count):
        write_i64_le(out, row)
        for _ in range(columns):
            state.put_cell(out, cells[at])
            at += 1
    write_i64_le(out, END)


def _put_closed(out: BytesWriter, exchange: Exchange, index: i64, count: i64) -> None:
    accounts = exchange.tables.accounts
    size: i64 = len(accounts)
    _begin(out, CLOSED_CLIENT_ID)
    for number in range(size * index // count, size * (index + 1) // count):
        state.put_closed_client_ids(out, number, accounts[number])
    write_i64_le(out, END)


def _put_orders(out: BytesWriter, exchange: Exchange, index: i64, count: i64) -> None:
    orders = exchange.matcher.slots.orders
    size: i64 = len(orders)
    _begin(out, ORDER)
    for slot in range(size * index // count, size * (index + 1) // count):
        order = orders[slot]
        if order is not None:
            level, after = order.level, order.next
            state.put_order(out, order)
            write_i64_le(out, order.account)
            write_i64_le(out, 0 if level is None else level.lots)
            write_i64_le(out, 0 if after is None else after.id)
    write_i64_le(out, END)


def _put_open_client_ids(out: BytesWriter, exchange: Exchange, index: i64, count: i64) -> None:
    accounts = exchange.tables.accounts
    orders = exchange.matcher.slots.orders
    size: i64 = len(orders)
    _begin(out, OPEN_CLIENT_ID)
    for slot in range(size * index // count, size * (index + 1) // count):
        order = orders[slot]
        if order is None or order.client_id_entry == NO_ENTRY or order.account >= len(accounts):
            continue
        client_ids = accounts[order.account].client_ids
        # A wrong account in an order may have no such entry; the order itself then differs.
        if client_ids is not None and order.client_id_entry < client_ids.used:
            write_i64_le(out, order.id)
            client_ids.put(order.client_id_entry, out)
    write_i64_le(out, END)


def _put_free(out: BytesWriter, exchange: Exchange, index: i64, count: i64) -> None:
    free = exchange.matcher.slots.free
    size: i64 = len(free)
    _begin(out, FREE_SLOT)
    for place in range(size * index // count, size * (index + 1) // count):
        write_i64_le(out, place)
        write_i64_le(out, free[place])
    write_i64_le(out, END)


class Difference(NamedTuple):
    """A number in which two slices differ. None: the record is in one of them only."""

    kind: str
    """One of NAMES."""
    key: int
    """Id of the asset, market or order; number of the account; place in the list of free slots."""
    field: str
    """Its name; of a balance "available" or "locked"."""
    asset: int
    """Of a balance; else 0."""
    account: int
    """The owner's; 0 if there is none, or EXTERNAL."""
    mine: int | None
    theirs: int | None


def differences(mine: bytes, theirs: bytes, at_most: int) -> list[Difference]:
    """The first `at_most` differences of two slices of the same index and count.

    Balances come first: a wrong one explains much else. Raises ValueError if one is no slice.
    """
    ours, others = parse(mine), parse(theirs)
    found: list[Difference] = []
    for key in sorted(ours.keys() | others.keys(), key=_rank):
        if len(found) >= at_most:
            break
        if ours.get(key) != others.get(key):
            found.extend(_differing(key[0], ours.get(key), others.get(key)))
    return found[:at_most]


def _rank(key: RecordKey) -> tuple[int, int, int]:
    kind, number, client_id = key
    return (0 if kind == BALANCES else kind, number, client_id)


def parse(data: bytes) -> dict[RecordKey, list[int]]:
    """The records of a slice by (kind, key, client id of a closed one). Raises ValueError."""
    found: dict[RecordKey, list[int]] = {}
    size: i64 = len(data)
    at: i64 = 0
    if size % 8 != 0:
        raise ValueError("a slice is made of words")
    while at + 16 <= size:
        kind, words = read_i64_le(data, at), read_i64_le(data, at + 8)
        at += 16
        if not EXCHANGE <= kind <= FREE_SLOT or words < 1:
            raise ValueError(f"no section begins at {at - 16}")
        while at < size and read_i64_le(data, at) != END:
            if words > (size - at) // 8:
                raise ValueError(f"the record at {at} is cut off")
            record: list[int] = []
            for _ in range(words):
                record.append(read_i64_le(data, at))
                at += 8
            number: int = record[1] if kind == CLOSED_CLIENT_ID else 0
            found[(kind, record[0], number)] = record
        if at >= size:
            raise ValueError("the last section has no end")
        at += 8
    if at != size:
        raise ValueError(f"no section begins at {at}")
    return found


def _differing(kind: int, mine: list[int] | None, theirs: list[int] | None) -> list[Difference]:
    record = mine if mine is not None else theirs
    assert record is not None
    key = record[0]
    account = key if kind in (ACCOUNT, BALANCES, CLOSED_CLIENT_ID) else 0
    if kind == ORDER:
        account = record[2] & LOW
    found: list[Difference] = []
    for number in range(1, len(record)):
        left = None if mine is None else mine[number]
        right = None if theirs is None or number >= len(theirs) else theirs[number]
        if left != right:
            name, asset = _named(kind, number)
            found.append(Difference(NAMES[kind], key, name, asset, account, left, right))
    return found


def _named(kind: int, number: int) -> tuple[str, int]:
    """The field of a word, and its asset if it is part of a balance."""
    if kind == BALANCES:
        return ("available" if number % 2 == 1 else "locked"), (number - 1) // 2
    return FIELDS[kind][number], 0
