"""The state as bytes: the whole state as one image, and its digest.

Design: the records of state_records.py, one table after the other, each behind its count. Orders
are dumped by rising priority, so that appending them one by one rebuilds every queue. Balances of
zero are left out: a cell of zeros means the same as none.

Invariants: load(dump(x)) dumps to the same bytes, and goes on to give the same events as x. The
order of the words depends on nothing but the state.

The digest of a state, which golden tests hold, is a digest of `dump`. Snapshot files have a format
number of their own: a change here raises it (engine/snapshots.py).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from librt.strings import BytesWriter, write_i64_le

from fairbook.core.admin_records import OF_ACCOUNT, OF_GATEWAYS, SIGNED_LOG
from fairbook.core.book import Order
from fairbook.core.client_ids import NO_ENTRY
from fairbook.core.credential_commands import slots_of
from fairbook.core.credential_table import REVOKED, Credential
from fairbook.core.exchange import Exchange
from fairbook.core.ledger import FIRST_USER
from fairbook.core.state_records import (
    TEXT_BYTES,
    Words,
    find_instance,
    put_account,
    put_asset,
    put_cell,
    put_closed_client_id,
    put_credential,
    put_daily,
    put_group_fees,
    put_instance,
    put_market,
    put_order,
    put_padded_text,
    put_pause,
    put_reference,
    put_tables,
    read_asset,
    read_client_id,
    read_credential,
    read_instance,
    read_market,
    read_order,
    read_reference,
    read_tables,
)
from fairbook.core.tables import Operator, Tables
from fairbook.core.trading_account import Account

FORMAT: Final = 2
DIGEST_BYTES: Final = 32


def digest(exchange: Exchange) -> bytes:
    """blake2b over `dump`, DIGEST_BYTES long."""
    return blake2b(dump(exchange), digest_size=DIGEST_BYTES).digest()


def dump(exchange: Exchange) -> bytes:
    """The whole state."""
    out = BytesWriter()
    tables = exchange.tables
    write_i64_le(out, FORMAT)
    write_i64_le(out, exchange.sequence)
    write_i64_le(out, exchange.time_ns)
    put_tables(out, tables)
    put_pause(out, tables.audit_pause)
    put_pause(out, tables.operator_pause)
    _put_listings(out, tables)
    write_i64_le(out, len(tables.accounts))
    for account in tables.accounts:
        put_account(out, account)
    for row in range(len(tables.accounts)):
        _put_row(out, tables, row)
    _put_credentials(out, tables)
    _put_money(out, tables)
    _put_gateways(out, tables)
    _put_orders(out, exchange)
    for number, account in enumerate(tables.accounts):
        table = account.client_ids
        if table is not None:
            for which in range(table.closed):
                put_closed_client_id(out, number, table, which)
    return out.getvalue()


def _put_listings(out: BytesWriter, tables: Tables) -> None:
    write_i64_le(out, len(tables.assets))
    for asset in tables.assets[1:]:
        put_asset(out, asset)
    write_i64_le(out, len(tables.markets))
    for market in tables.markets[1:]:
        put_market(out, market)
        write_i64_le(out, len(market.group_fees))
        for fees in market.group_fees:
            put_group_fees(out, market.id, fees)


def _put_row(out: BytesWriter, tables: Tables, account: int) -> None:
    """The balances of an account that are not zero; then a 0 in place of an asset."""
    for asset, cell in enumerate(tables.ledger.rows[account]):
        if cell is not None and (cell.available != 0 or cell.locked != 0):
            put_cell(out, asset, cell)
    write_i64_le(out, 0)


def all_credentials(tables: Tables) -> list[Credential]:
    """What is in the slots of all owners: accounts, operators, gateways."""
    found: list[Credential] = []
    for account in tables.accounts:
        if account.credentials is not None:
            found.extend(account.credentials)
    for operator in tables.operators:
        found.extend(operator.credentials)
    found.extend(tables.credentials.of_gateways)
    return found


def _put_credentials(out: BytesWriter, tables: Tables) -> None:
    write_i64_le(out, len(tables.operators))
    for operator in tables.operators[1:]:
        write_i64_le(out, operator.roles)
    credentials = all_credentials(tables)
    write_i64_le(out, len(credentials))
    for credential in credentials:
        put_credential(out, credential)
    write_i64_le(out, len(tables.credentials.revoked))
    for revoked in tables.credentials.revoked:
        out.write(revoked)


def _put_money(out: BytesWriter, tables: Tables) -> None:
    write_i64_le(out, len(tables.references.rows))
    for row in tables.references.rows:
        put_reference(out, row)
    write_i64_le(out, len(tables.daily_withdrawals.rows))
    for daily in tables.daily_withdrawals.rows:
        put_daily(out, daily)


def _put_gateways(out: BytesWriter, tables: Tables) -> None:
    signatures, gateways = tables.signatures, tables.gateways
    write_i64_le(out, signatures.count)
    for place in range(signatures.first, len(signatures.hashes)):
        out.write(signatures.hashes[place])
        write_i64_le(out, signatures.times[place])
    write_i64_le(out, len(gateways.rows))
    for instance in gateways.rows:
        put_instance(out, instance)
    write_i64_le(out, len(gateways.ending))
    for ended in gateways.ending:
        write_i64_le(out, ended.number)
    write_i64_le(out, len(gateways.begins))
    for key, number in gateways.begins.items():
        out.write(key)
        write_i64_le(out, number)
    write_i64_le(out, local_instance(tables))


def local_instance(tables: Tables) -> int:
    """The instance to which the next frame belongs, in a log that is not signed; else 0."""
    return 0 if tables.flags & SIGNED_LOG != 0 else tables.gateways.current.number


def _put_orders(out: BytesWriter, exchange: Exchange) -> None:
    tables = exchange.tables
    orders = 0
    for book in tables.books[1:]:
        slots = book.slots
        write_i64_le(out, len(slots.orders))
        write_i64_le(out, len(slots.free))
        for slot in slots.free:
            write_i64_le(out, slot)
        orders += len(slots.orders) - len(slots.free)
    write_i64_le(out, orders)
    for order in by_priority(exchange):
        put_order(out, order)
        text = order.text()
        write_i64_le(out, len(text))
        if len(text) > 0:
            put_padded_text(out, text)
        table = tables.accounts[order.account].client_ids
        has_entry = order.client_id_entry != NO_ENTRY and table is not None
        write_i64_le(out, 1 if has_entry else 0)
        if has_entry and table is not None:
            table.put(order.client_id_entry, out)


def by_priority(exchange: Exchange) -> list[Order]:
    """Every open order, the highest priority (the lowest number) first. No two are equal."""
    orders: list[Order] = []
    for book in exchange.tables.books:
        orders.extend([order for order in book.slots.orders if order is not None])
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
    exchange.sequence = words.next()
    exchange.time_ns = words.next()
    exchange.matcher.time_ns = exchange.time_ns
    read_tables(words, tables)
    for pause in (tables.audit_pause, tables.operator_pause):
        pause.reason, detail = words.next(), words.next_bytes(32)
        pause.detail = detail if detail != bytes(32) else b""
    tables.set_paused()
    _load_listings(words, tables)
    _load_accounts(words, tables)
    _load_credentials(words, tables)
    _load_money(words, tables)
    _load_gateways(words, tables)
    _load_orders(words, exchange)
    while words.at < len(data):
        table = tables.accounts[words.next()].client_id_table(tables.salt)
        client_id = words.next()
        text = words.next_bytes(TEXT_BYTES).rstrip(b"\0")
        closed_ns = words.next()
        entry = read_client_id(words, table, client_id, text)
        table.close(entry, client_id, len(text) > 0, closed_ns)
    return exchange


def _load_listings(words: Words, tables: Tables) -> None:
    for number in range(1, words.next()):
        tables.assets.append(read_asset(words, number))
    for number in range(1, words.next()):
        market = read_market(words, number, tables.assets)
        for _ in range(words.next()):
            words.next()
            fees = market.fees_of_group(words.next())
            fees.maker_fee_ppm, fees.taker_fee_ppm = words.next(), words.next()
        tables.add_market(market)


def _load_accounts(words: Words, tables: Tables) -> None:
    count = words.next()
    for number in range(count):
        user_id = words.next()
        if number >= FIRST_USER:
            tables.add_account(Account(user_id))
        account = tables.accounts[number]
        account.frozen, account.fee_group = words.next() == 1, words.next()
    for number in range(count):
        asset = words.next()
        while asset != 0:
            cell = tables.ledger.cell(number, asset)
            cell.available, cell.locked = words.next(), words.next()
            asset = words.next()


def _load_credentials(words: Words, tables: Tables) -> None:
    for _ in range(1, words.next()):
        operator = Operator()
        operator.roles = words.next()
        tables.operators.append(operator)
    for _ in range(words.next()):
        credential = read_credential(words)
        assert OF_ACCOUNT <= credential.owner_kind <= OF_GATEWAYS
        slots = slots_of(tables, credential.owner_kind, credential.owner)
        tables.credentials.put(slots, credential)
    for _ in range(words.next()):
        revoked = words.next_bytes(32)
        tables.credentials.places.put(revoked, REVOKED)
        tables.credentials.revoked.append(revoked)


def _load_money(words: Words, tables: Tables) -> None:
    for _ in range(words.next()):
        tables.references.add(read_reference(words))
    for _ in range(words.next()):
        row = tables.daily_withdrawals.row(words.next(), words.next())
        row.atoms_max, row.day, row.atoms = words.next(), words.next(), words.next()


def _load_gateways(words: Words, tables: Tables) -> None:
    gateways = tables.gateways
    for _ in range(words.next()):
        used = words.next_bytes(16)
        tables.signatures.add(used, words.next())
    for _ in range(words.next()):
        gateways.rows.append(read_instance(words))
    for _ in range(words.next()):
        gateways.ending.append(find_instance(tables, words.next()))
    for _ in range(words.next()):
        key = words.next_bytes(32)
        gateways.begins[key] = words.next()
    gateways.current = find_instance(tables, words.next())


def _load_orders(words: Words, exchange: Exchange) -> None:
    tables = exchange.tables
    for book in tables.books[1:]:
        count, free = words.next(), words.next()
        book.slots.orders = [None] * count
        for _ in range(free):
            book.slots.free.append(words.next())
    orders: list[Order] = []
    for _ in range(words.next()):
        order = read_order(words, tables)
        length = words.next()
        if length > 0:
            order.rare_fields().text = words.next_bytes(TEXT_BYTES)[:length]
        if words.next() == 1:
            table = tables.accounts[order.account].client_id_table(tables.salt)
            order.client_id_entry = read_client_id(words, table, order.client_id(), order.text())
        order.book.slots.put(order)
        order.book.side(order.side).add(order)
        orders.append(order)
    for order in sorted(orders, key=lambda each: each.id):
        tables.accounts[order.account].add(order)
        instance = order.instance()
        if instance is not None:
            instance.add(order)
