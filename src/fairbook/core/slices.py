"""The state in slices: so little at a time that hashing it pauses nobody, all of it in a round.

How it works: slice `index` of `count` holds the same share of every table: assets, markets,
accounts with their balances and closed receipts, open orders with theirs, free slots; slice 0 also
what stands in no table. A slice is a row of sections. A section is its kind, the number of words in
each of its records, the records, and END; the first word of a record is its key.

Always true:
- the slices of one `count` together hold each number of `state.dump` once, and what is kept beside
  it for speed (a level's lots, who is next, how many are open);
- equal states have equal slices, however they came about: replayed, or loaded from a snapshot.

Not here: who compares them, and when (engine/audit.py). The layout is no contract: those who
compare slices run the same version of this file.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final, NamedTuple

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from mypy_extensions import i64

from fairbook.core.book import BookSide
from fairbook.core.exchange import Exchange
from fairbook.core.receipts import NONE
from fairbook.core.records import LOW
from fairbook.core.state import put_market

END: Final = -1  # Keys are never negative.
EXCHANGE: Final = 1
ASSET: Final = 2
MARKET: Final = 3
ACCOUNT: Final = 4
BALANCES: Final = 5
ORDER: Final = 6
OPEN_RECEIPT: Final = 7
CLOSED_RECEIPT: Final = 8
FREE_SLOT: Final = 9

NAMES: Final = {
    EXCHANGE: "exchange",
    ASSET: "asset",
    MARKET: "market",
    ACCOUNT: "account",
    BALANCES: "balance",
    ORDER: "order",
    OPEN_RECEIPT: "receipt of order",
    CLOSED_RECEIPT: "receipt of account",
    FREE_SLOT: "free slot",
}
_RECEIPT: Final = "payload price quantity order_id answer filled quote created_ns"
_FIELDS: Final = {
    EXCHANGE: "key rules sequence time_ns cancel_only orders_max accounts_max assets markets"
    " accounts users slots free_slots",
    ASSET: "id name_1 name_2 decimals reserve_cap",
    MARKET: "id name_1 name_2 base quote lot_atoms tick_atoms created_ns state maker_fee_ppm"
    " taker_fee_ppm price_min price_max quantity_min quantity_max band_ppm levels_max update_id"
    " last_trade_id bid_levels best_bid ask_levels best_ask",
    ACCOUNT: "account user_id frozen open_orders first_order last_order receipts closed_receipts",
    ORDER: "id market_side_flags who session_tif price rest filled quote fee_atoms fee_millionths"
    " created_ns priority lots_at_price next_at_price",
    OPEN_RECEIPT: f"order {_RECEIPT}",
    CLOSED_RECEIPT: f"account client_id closed_ns {_RECEIPT}",
    FREE_SLOT: "place slot",
}


def slice_digest(exchange: Exchange, index: int, count: int) -> bytes:
    """32 bytes that stand for a slice. SHA-256, which processors have instructions for."""
    return sha256(slice_bytes(exchange, index, count)).digest()


def slice_bytes(exchange: Exchange, index: int, count: int) -> bytes:
    """Slice `index` of `count`, 0 <= index < count."""
    assert 0 <= index < count
    out = BytesWriter()
    if index == 0:
        _put_exchange(out, exchange)
    _put_listings(out, exchange, index, count)
    _put_accounts(out, exchange, index, count)
    _put_balances(out, exchange, index, count)
    _put_closed(out, exchange, index, count)
    _put_orders(out, exchange, index, count)
    _put_open_receipts(out, exchange, index, count)
    _put_free(out, exchange, index, count)
    return out.getvalue()


def _begin(out: BytesWriter, kind: i64, words: i64) -> None:
    write_i64_le(out, kind)
    write_i64_le(out, words)


def _put_exchange(out: BytesWriter, exchange: Exchange) -> None:
    registry = exchange.registry
    slots = exchange.matcher.slots
    _begin(out, EXCHANGE, 13)
    for word in (
        0,
        registry.rules,
        exchange.sequence,
        exchange.time_ns,
        1 if registry.cancel_only else 0,
        registry.orders_max,
        registry.accounts_max,
        len(registry.assets),
        len(registry.markets),
        len(registry.accounts),
        len(registry.account_of_user),
        len(slots.orders),
        len(slots.free),
    ):
        write_i64_le(out, word)
    write_i64_le(out, END)


def _put_listings(out: BytesWriter, exchange: Exchange, index: i64, count: i64) -> None:
    registry = exchange.registry
    size: i64 = len(registry.assets)
    _begin(out, ASSET, 5)
    for number in range(size * index // count, size * (index + 1) // count):
        asset = registry.assets[number]
        write_i64_le(out, asset.id)
        out.write(asset.name.encode("ascii").ljust(16, b"\0"))
        write_i64_le(out, asset.decimals)
        write_i64_le(out, asset.reserve_cap)
    write_i64_le(out, END)
    size = len(registry.markets)
    _begin(out, MARKET, 23)
    for number in range(size * index // count, size * (index + 1) // count):
        market = registry.markets[number]
        write_i64_le(out, market.id)
        put_market(out, market)
        book = registry.books[number]
        _put_half(out, book.bids)
        _put_half(out, book.asks)
    write_i64_le(out, END)


def _put_half(out: BytesWriter, half: BookSide) -> None:
    levels: i64 = len(half.keys)
    best: i64 = 0
    if levels > 0:
        best = half.keys[-1]
    write_i64_le(out, levels)
    write_i64_le(out, best)


def _put_accounts(out: BytesWriter, exchange: Exchange, index: i64, count: i64) -> None:
    accounts = exchange.registry.accounts
    size: i64 = len(accounts)
    _begin(out, ACCOUNT, 8)
    for number in range(size * index // count, size * (index + 1) // count):
        account = accounts[number]
        first, last, receipts = account.first, account.last, account.receipts
        write_i64_le(out, number)
        write_i64_le(out, account.user_id)
        write_i64_le(out, 1 if account.frozen else 0)
        write_i64_le(out, account.open)
        write_i64_le(out, 0 if first is None else first.id)
        write_i64_le(out, 0 if last is None else last.id)
        if receipts is None:
            write_i64_le(out, 0)
            write_i64_le(out, 0)
        else:
            write_i64_le(out, receipts.count)
            write_i64_le(out, receipts.closed)
    write_i64_le(out, END)


def _put_balances(out: BytesWriter, exchange: Exchange, index: i64, count: i64) -> None:
    ledger = exchange.registry.ledger
    cells = ledger.cells
    columns = ledger.columns
    _begin(out, BALANCES, 1 + 2 * columns)
    at: i64 = ledger.rows * index // count * columns
    for row in range(ledger.rows * index // count, ledger.rows * (index + 1) // count):
        write_i64_le(out, row)
        for _ in range(columns):
            cell = cells[at]
            write_i64_le(out, cell.available)
            write_i64_le(out, cell.locked)
            at += 1
    write_i64_le(out, END)


def _put_closed(out: BytesWriter, exchange: Exchange, index: i64, count: i64) -> None:
    """Receipts of closed orders, by account, in closing order."""
    accounts = exchange.registry.accounts
    size: i64 = len(accounts)
    _begin(out, CLOSED_RECEIPT, 11)
    for number in range(size * index // count, size * (index + 1) // count):
        receipts = accounts[number].receipts
        if receipts is not None:
            for which in range(receipts.closed):
                write_i64_le(out, number)
                write_i64_le(out, receipts.closed_client_id(which))
                write_i64_le(out, receipts.closed_ns(which))
                receipts.put(receipts.closed_entry(which), out)
    write_i64_le(out, END)


def _put_orders(out: BytesWriter, exchange: Exchange, index: i64, count: i64) -> None:
    orders = exchange.matcher.slots.orders
    size: i64 = len(orders)
    _begin(out, ORDER, 14)
    for slot in range(size * index // count, size * (index + 1) // count):
        order = orders[slot]
        if order is not None:
            level, after = order.level, order.next
            write_i64_le(out, order.id)
            write_i64_le(out, order.book.market.id | order.side << 16 | order.flags << 24)
            write_i64_le(out, order.who)
            write_i64_le(out, order.session_tif)
            write_i64_le(out, order.price)
            write_i64_le(out, order.rest)
            write_i64_le(out, order.filled)
            write_i64_le(out, order.quote)
            write_i64_le(out, order.fee_atoms)
            write_i64_le(out, order.fee_millionths)
            write_i64_le(out, order.created_ns)
            write_i64_le(out, order.priority)
            write_i64_le(out, 0 if level is None else level.lots)
            write_i64_le(out, 0 if after is None else after.id)
    write_i64_le(out, END)


def _put_open_receipts(out: BytesWriter, exchange: Exchange, index: i64, count: i64) -> None:
    accounts = exchange.registry.accounts
    orders = exchange.matcher.slots.orders
    size: i64 = len(orders)
    _begin(out, OPEN_RECEIPT, 9)
    for slot in range(size * index // count, size * (index + 1) // count):
        order = orders[slot]
        if order is not None and order.receipt != NONE and order.who & LOW < len(accounts):
            receipts = accounts[order.who & LOW].receipts
            # An order that somebody gave to another account is named by the difference in `who`.
            if receipts is not None and order.receipt < receipts.used:
                write_i64_le(out, order.id)
                receipts.put(order.receipt, out)
    write_i64_le(out, END)


def _put_free(out: BytesWriter, exchange: Exchange, index: i64, count: i64) -> None:
    free = exchange.matcher.slots.free
    size: i64 = len(free)
    _begin(out, FREE_SLOT, 2)
    for place in range(size * index // count, size * (index + 1) // count):
        write_i64_le(out, place)
        write_i64_le(out, free[place])
    write_i64_le(out, END)


class Difference(NamedTuple):
    """One number that two slices do not agree on. None: that record is in one of them only."""

    kind: str
    """exchange, asset, market, account, balance, order, receipt of ..., free slot"""
    key: int
    """Id of the asset, market or order; number of the account; place in the list of free slots."""
    field: str
    """Its name; of a balance "available" or "locked"."""
    asset: int
    """Of a balance; else 0."""
    account: int
    """Whose it is; 0 if it is nobody's, or EXTERNAL's."""
    mine: int | None
    theirs: int | None


def differences(mine: bytes, theirs: bytes, at_most: int) -> list[Difference]:
    """What two slices of the same index and count do not agree on, the first `at_most` of it.

    Balances come first: a wrong one explains much else. Raises ValueError if one is no slice.
    """
    ours, others = parsed(mine), parsed(theirs)
    found: list[Difference] = []
    places = sorted(ours.keys() | others.keys(), key=_rank)
    for place in places:
        if len(found) >= at_most:
            break
        ours_now, others_now = ours.get(place), others.get(place)
        if ours_now != others_now:
            found.extend(_differing(place[0], ours_now, others_now))
    return found[:at_most]


Place = tuple[int, int, int]


def _rank(place: Place) -> tuple[int, int, int, int]:
    kind, key, number = place
    return (0 if kind == BALANCES else kind, key, number, 0)


def parsed(octets: bytes) -> dict[Place, list[int]]:
    """The records of a slice by (kind, key, client id of a closed receipt). Raises ValueError."""
    found: dict[Place, list[int]] = {}
    size: i64 = len(octets)
    at: i64 = 0
    if size % 8 != 0:
        raise ValueError("a slice is made of words")
    while at + 16 <= size:
        kind, words = read_i64_le(octets, at), read_i64_le(octets, at + 8)
        at += 16
        if not EXCHANGE <= kind <= FREE_SLOT or words < 1:
            raise ValueError(f"no section begins at {at - 16}")
        while at < size and read_i64_le(octets, at) != END:
            if words > (size - at) // 8:
                raise ValueError(f"the record at {at} is cut off")
            record: list[int] = []
            for _ in range(words):
                record.append(read_i64_le(octets, at))
                at += 8
            number: int = record[1] if kind == CLOSED_RECEIPT else 0
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
    account = key if kind in (ACCOUNT, BALANCES, CLOSED_RECEIPT) else 0
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
    """A word's field, and its asset if it is part of a balance."""
    if kind == BALANCES:
        return ("available" if number % 2 == 1 else "locked"), (number - 1) // 2
    return _FIELDS[kind].split()[number], 0
