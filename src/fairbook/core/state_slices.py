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
    tables, slots = exchange.tables, exchange.matcher.slots
    for kind, size, put in (
        (ASSET, len(tables.assets), _put_assets),
        (MARKET, len(tables.markets), _put_markets),
        (ACCOUNT, len(tables.accounts), _put_accounts),
        (BALANCES, tables.ledger.rows, _put_balances),
        (CLOSED_CLIENT_ID, len(tables.accounts), _put_closed),
        (ORDER, len(slots.orders), _put_orders),
        (OPEN_CLIENT_ID, len(slots.orders), _put_open_client_ids),
        (FREE_SLOT, len(slots.free), _put_free),
    ):
        write_i64_le(out, kind)
        write_i64_le(out, 1 + 2 * tables.ledger.columns if kind == BALANCES else len(FIELDS[kind]))
        put(out, exchange, range(size * index // count, size * (index + 1) // count))
        write_i64_le(out, END)
    return out.getvalue()


def _put_exchange(out: BytesWriter, exchange: Exchange) -> None:
    slots = exchange.matcher.slots
    write_i64_le(out, EXCHANGE)
    write_i64_le(out, len(FIELDS[EXCHANGE]))
    write_i64_le(out, 0)
    state.put_exchange(out, exchange)
    write_i64_le(out, len(exchange.tables.account_of_user))
    write_i64_le(out, len(slots.orders))
    write_i64_le(out, len(slots.free))
    write_i64_le(out, END)


def _put_assets(out: BytesWriter, exchange: Exchange, share: range) -> None:
    for number in share:
        asset = exchange.tables.assets[number]
        write_i64_le(out, asset.id)
        state.put_asset(out, asset)


def _put_markets(out: BytesWriter, exchange: Exchange, share: range) -> None:
    for number in share:
        market, book = exchange.tables.markets[number], exchange.tables.books[number]
        write_i64_le(out, market.id)
        state.put_market(out, market)
        for side in (book.bids, book.asks):
            write_i64_le(out, len(side.keys))
            write_i64_le(out, side.keys[-1] if side.keys else 0)


def _put_accounts(out: BytesWriter, exchange: Exchange, share: range) -> None:
    for number in share:
        account = exchange.tables.accounts[number]
        first, last, client_ids = account.first, account.last, account.client_ids
        write_i64_le(out, number)
        state.put_account(out, account)
        write_i64_le(out, account.open)
        write_i64_le(out, 0 if first is None else first.id)
        write_i64_le(out, 0 if last is None else last.id)
        write_i64_le(out, 0 if client_ids is None else client_ids.count)
        write_i64_le(out, 0 if client_ids is None else client_ids.closed)


def _put_balances(out: BytesWriter, exchange: Exchange, share: range) -> None:
    ledger = exchange.tables.ledger
    for row in share:
        write_i64_le(out, row)
        for asset in range(ledger.columns):
            state.put_cell(out, ledger.cell(row, asset))


def _put_closed(out: BytesWriter, exchange: Exchange, share: range) -> None:
    for number in share:
        state.put_closed_client_ids(out, number, exchange.tables.accounts[number])


def _put_orders(out: BytesWriter, exchange: Exchange, share: range) -> None:
    orders = exchange.matcher.slots.orders
    for slot in share:
        order = orders[slot]
        if order is not None:
            level, after = order.level, order.next
            state.put_order(out, order)
            write_i64_le(out, order.account)
            write_i64_le(out, 0 if level is None else level.lots)
            write_i64_le(out, 0 if after is None else after.id)


def _put_open_client_ids(out: BytesWriter, exchange: Exchange, share: range) -> None:
    accounts, orders = exchange.tables.accounts, exchange.matcher.slots.orders
    for slot in share:
        order = orders[slot]
        if order is None or order.client_id_entry == NO_ENTRY or order.account >= len(accounts):
            continue
        client_ids = accounts[order.account].client_ids
        # A wrong account in an order may have no such entry; the order itself then differs.
        if client_ids is not None and order.client_id_entry < client_ids.used:
            write_i64_le(out, order.id)
            client_ids.put(order.client_id_entry, out)


def _put_free(out: BytesWriter, exchange: Exchange, share: range) -> None:
    for place in share:
        write_i64_le(out, place)
        write_i64_le(out, exchange.matcher.slots.free[place])


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
    for key in sorted(ours.keys() | others.keys(), key=lambda key: (key[0] != BALANCES, key)):
        if len(found) >= at_most:
            break
        if ours.get(key) != others.get(key):
            found.extend(_differing(key[0], ours.get(key), others.get(key)))
    return found[:at_most]


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
            asset = 0
            if kind == BALANCES:
                asset, which = divmod(number - 1, 2)
                name = ("available", "locked")[which]
            else:
                name = FIELDS[kind][number]
            found.append(Difference(NAMES[kind], key, name, asset, account, left, right))
    return found
