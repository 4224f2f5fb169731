"""The state as bytes: the fields of each kind of record, the whole state as one image, its digest.

Design: each kind of record has a function that writes its fields, and a list of their names: for
the whole state in `dump`, for a share of it in state_slices.py. Every field is a 64-bit word,
except names, which are two. Orders are dumped by rising priority, so that appending them one by one
rebuilds every queue.

Invariants: load(dump(x)) dumps to the same bytes, and goes on to give the same events as x. The
order of the words depends on nothing but the state.

The digest of a state, which golden tests hold, is a digest of `dump`. Snapshot files have a format
number of their own: a change here raises it (engine/snapshots.py).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, final

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from mypy_extensions import i64

from fairbook.core.book import Order
from fairbook.core.client_ids import ENTRY_WORDS, NO_ENTRY, OUTCOME, ClientIdTable
from fairbook.core.event_writer import put_name
from fairbook.core.exchange import Exchange
from fairbook.core.ledger import FIRST_USER, Cell
from fairbook.core.markets import Asset, Market
from fairbook.core.records import LOW, Command
from fairbook.core.tables import Tables
from fairbook.core.trading_account import Account

FORMAT: Final = 1
DIGEST_BYTES: Final = 32

EXCHANGE_FIELDS: Final = (
    "rules sequence time_ns cancel_only orders_max accounts_max assets markets accounts"
)
ASSET_FIELDS: Final = "name_1 name_2 decimals reserve_cap"
MARKET_FIELDS: Final = (
    "name_1 name_2 base quote lot_atoms tick_atoms created_ns state maker_fee_ppm taker_fee_ppm"
    " price_min price_max quantity_min quantity_max band_ppm levels_max update_id last_trade_id"
)
_MARKET_NUMBERS: Final = MARKET_FIELDS.split()[2:]
ACCOUNT_FIELDS: Final = "user_id frozen"
ORDER_FIELDS: Final = (
    "id market owner session_tif side flags price remaining filled quote fee_atoms"
    " fee_millionths created_ns priority"
)
CLIENT_ID_FIELDS: Final = "payload price quantity order_id outcome filled quote created_ns"
CLOSED_CLIENT_ID_FIELDS: Final[str] = f"account client_id closed_ns {CLIENT_ID_FIELDS}"


@final
class Words:
    """A cursor over the words of a dump."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at: i64 = 0

    def next(self) -> i64:
        word = read_i64_le(self.data, self.at)
        self.at += 8
        return word

    def next_name(self) -> str:
        name = self.data[self.at : self.at + 16].rstrip(b"\0").decode("ascii")
        self.at += 16
        return name


def put_exchange(out: BytesWriter, exchange: Exchange) -> None:
    tables = exchange.tables
    for word in (
        tables.rules,
        exchange.sequence,
        exchange.time_ns,
        1 if tables.cancel_only else 0,
        tables.orders_max,
        tables.accounts_max,
        len(tables.assets),
        len(tables.markets),
        len(tables.accounts),
    ):
        write_i64_le(out, word)


def put_asset(out: BytesWriter, asset: Asset) -> None:
    put_name(out, asset.name)
    write_i64_le(out, asset.decimals)
    write_i64_le(out, asset.reserve_cap)


def put_market(out: BytesWriter, market: Market) -> None:
    put_name(out, market.name)
    for field in _MARKET_NUMBERS:
        write_i64_le(out, getattr(market, field))


def read_market(words: Words, market_id: i64, assets: list[Asset]) -> Market:
    market = Market(
        market_id,
        words.next_name(),
        base=assets[words.next()],
        quote=assets[words.next()],
        lot_atoms=words.next(),
        tick_atoms=words.next(),
        created_ns=words.next(),
    )
    for field in _MARKET_NUMBERS[5:]:
        setattr(market, field, words.next())
    return market


def put_account(out: BytesWriter, account: Account) -> None:
    write_i64_le(out, account.user_id)
    write_i64_le(out, 1 if account.frozen else 0)


def put_cell(out: BytesWriter, cell: Cell) -> None:
    write_i64_le(out, cell.available)
    write_i64_le(out, cell.locked)


def put_order(out: BytesWriter, order: Order) -> None:
    write_i64_le(out, order.id)
    write_i64_le(out, order.book.market.id)
    write_i64_le(out, order.owner)
    write_i64_le(out, order.session | order.tif << 32)
    write_i64_le(out, order.side)
    write_i64_le(out, order.flags)
    write_i64_le(out, order.price)
    write_i64_le(out, order.remaining)
    write_i64_le(out, order.filled)
    write_i64_le(out, order.quote)
    write_i64_le(out, order.fee_atoms)
    write_i64_le(out, order.fee_millionths)
    write_i64_le(out, order.created_ns)
    write_i64_le(out, order.priority)


def read_order(words: Words, tables: Tables) -> Order:
    order_id = words.next()
    book = tables.books[words.next()]
    command = Command()
    command.owner = words.next()
    command.account = command.owner & LOW
    session_tif = words.next()
    command.session_word, command.tif = session_tif & LOW, session_tif >> 32
    command.side, command.flags = words.next(), words.next()
    command.price, command.quantity = words.next(), words.next()
    order = Order(book, command, order_id, 0)
    order.filled, order.quote = words.next(), words.next()
    order.fee_atoms, order.fee_millionths = words.next(), words.next()
    order.created_ns, order.priority = words.next(), words.next()
    return order


def read_client_id(words: Words, table: ClientIdTable, client_id: i64) -> i64:
    """Add the entry that ClientIdTable.put wrote; returns it."""
    payload, price, quantity, order_id = words.next(), words.next(), words.next(), words.next()
    entry = table.add(client_id, payload, price, quantity, order_id)
    for which in range(OUTCOME, ENTRY_WORDS):
        table.set_word(entry, which, words.next())
    return entry


def put_closed_client_ids(out: BytesWriter, number: i64, account: Account) -> None:
    """The client ids of an account's closed orders, in closing order."""
    table = account.client_ids
    if table is not None:
        for which in range(table.closed):
            write_i64_le(out, number)
            write_i64_le(out, table.closed_client_id(which))
            write_i64_le(out, table.closed_ns(which))
            table.put(table.closed_entry(which), out)


def digest(exchange: Exchange) -> bytes:
    """blake2b over `dump`, DIGEST_BYTES long."""
    return blake2b(dump(exchange), digest_size=DIGEST_BYTES).digest()


def dump(exchange: Exchange) -> bytes:
    """The whole state."""
    out = BytesWriter()
    tables, slots = exchange.tables, exchange.matcher.slots
    write_i64_le(out, FORMAT)
    put_exchange(out, exchange)
    for asset in tables.assets[1:]:
        put_asset(out, asset)
    for market in tables.markets[1:]:
        put_market(out, market)
    for account in tables.accounts:
        put_account(out, account)
    for cell in tables.ledger.cells:
        put_cell(out, cell)
    write_i64_le(out, len(slots.orders))
    write_i64_le(out, len(slots.free))
    for slot in slots.free:
        write_i64_le(out, slot)
    for order in by_priority(exchange):
        put_order(out, order)
        write_i64_le(out, 0 if order.client_id_entry == NO_ENTRY else 1)
        if order.client_id_entry != NO_ENTRY:
            tables.accounts[order.account].client_id_table().put(order.client_id_entry, out)
    for number, account in enumerate(tables.accounts):
        put_closed_client_ids(out, number, account)
    return out.getvalue()


def by_priority(exchange: Exchange) -> list[Order]:
    """Every open order, the highest priority (the lowest number) first. No two are equal."""
    orders = [order for order in exchange.matcher.slots.orders if order is not None]
    return sorted(orders, key=lambda order: order.priority)


def load(data: bytes) -> Exchange:
    """The state that `dump` wrote. Raises ValueError for another format.

    The caller has verified a checksum of `data`.
    """
    words = Words(data)
    if words.next() != FORMAT:
        raise ValueError(f"not a state of format {FORMAT}")
    exchange = Exchange()
    tables = exchange.tables
    tables.rules = words.next()
    exchange.sequence = words.next()
    exchange.time_ns = words.next()
    exchange.matcher.time_ns = exchange.time_ns
    tables.cancel_only = words.next() == 1
    tables.orders_max = words.next()
    tables.accounts_max = words.next()
    assets, markets, accounts = words.next(), words.next(), words.next()
    for number in range(1, assets):
        asset = Asset(number, words.next_name(), words.next())
        asset.reserve_cap = words.next()
        tables.add_asset(asset)
    for number in range(1, markets):
        tables.add_market(read_market(words, number, tables.assets))
    for number in range(accounts):
        user_id = words.next()
        if number >= FIRST_USER:
            tables.add_account(Account(user_id))
        tables.accounts[number].frozen = words.next() == 1
    for cell in tables.ledger.cells:
        cell.available, cell.locked = words.next(), words.next()
    _load_orders(words, exchange)
    while words.at < len(data):
        table = tables.accounts[words.next()].client_id_table()
        client_id, closed_ns = words.next(), words.next()
        table.close(read_client_id(words, table, client_id), client_id, closed_ns)
    return exchange


def _load_orders(words: Words, exchange: Exchange) -> None:
    tables, slots = exchange.tables, exchange.matcher.slots
    count, free = words.next(), words.next()
    slots.orders = [None] * count
    for _ in range(free):
        slots.free.append(words.next())
    orders: list[Order] = []
    for _ in range(count - free):
        order = read_order(words, tables)
        if words.next() == 1:
            table = tables.accounts[order.account].client_id_table()
            order.client_id_entry = read_client_id(words, table, order.client_id())
        slots.put(order)
        order.book.side(order.side).add(order)
        orders.append(order)
    for order in sorted(orders, key=lambda each: each.id):
        tables.accounts[order.account].add(order)
