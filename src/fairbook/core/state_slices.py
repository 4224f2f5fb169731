"""The state in slices: each small enough to hash without a pause, all of them the whole state.

Design: slice `index` of `count` holds the same share of every table: accounts with their balances,
credentials and closed client ids, open orders with theirs, references of money, and so on; slice 0
also what is in no table. A slice is a row of sections. A section is its kind, the number of words
in each of its records, the records, and END. The first words of a record are its key; the fields
that state_records.py describes follow, and then fields that are derived from the state and kept for
speed.

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

from fairbook.core import state_records
from fairbook.core.admin_records import OF_ACCOUNT
from fairbook.core.book import Order
from fairbook.core.client_ids import NO_ENTRY
from fairbook.core.credential_table import Credential
from fairbook.core.exchange import Exchange
from fairbook.core.records import LOW
from fairbook.core.state import local_instance
from fairbook.core.tables import Pause

END: Final = -1  # Keys are never negative.
EXCHANGE: Final = 1
ASSET: Final = 2
MARKET: Final = 3
ACCOUNT: Final = 4
BALANCE: Final = 5
ORDER: Final = 6
OPEN_CLIENT_ID: Final = 7
CLOSED_CLIENT_ID: Final = 8
FREE_SLOT: Final = 9
ORDER_TEXT: Final = 10
CREDENTIAL: Final = 11
REVOKED: Final = 12
REFERENCE: Final = 13
DAILY_WITHDRAWAL: Final = 14
PAUSE: Final = 15
OPERATOR: Final = 16
INSTANCE: Final = 17
ENDING: Final = 18
BEGIN: Final = 19
SIGNATURE: Final = 20
GROUP_FEES: Final = 21

NAMES: Final = {
    EXCHANGE: "exchange",
    ASSET: "asset",
    MARKET: "market",
    ACCOUNT: "account",
    BALANCE: "balance",
    ORDER: "order",
    OPEN_CLIENT_ID: "client id of order",
    CLOSED_CLIENT_ID: "client id of account",
    FREE_SLOT: "free slot of market",
    ORDER_TEXT: "text of order",
    CREDENTIAL: "credential of owner",
    REVOKED: "revoked credential",
    REFERENCE: "reference",
    DAILY_WITHDRAWAL: "daily withdrawal of account",
    PAUSE: "pause",
    OPERATOR: "operator",
    INSTANCE: "gateway",
    ENDING: "ended gateway",
    BEGIN: "gateway key",
    SIGNATURE: "used signature",
    GROUP_FEES: "fees of market",
}
_HASH: Final = "hash_1 hash_2 hash_3 hash_4"
# The words of a record. The first KEY_WORDS (else 1) of them tell it from others of its kind.
FIELDS: Final = {
    EXCHANGE: (
        f"key sequence time_ns {state_records.TABLE_FIELDS} paused assets markets accounts users"
        " credentials references daily_withdrawals operators signatures local_instance"
    ).split(),
    ASSET: f"id {state_records.ASSET_FIELDS}".split(),
    MARKET: (
        f"id {state_records.MARKET_FIELDS} bid_levels best_bid ask_levels best_ask slots free_slots"
    ).split(),
    ACCOUNT: (
        f"account {state_records.ACCOUNT_FIELDS} open_orders first_order last_order client_ids"
        " closed_client_ids credentials"
    ).split(),
    BALANCE: ["account", "asset", "available", "locked"],
    ORDER: f"{state_records.ORDER_FIELDS} account lots_at_price next_at_price".split(),
    OPEN_CLIENT_ID: f"order {state_records.CLIENT_ID_FIELDS}".split(),
    CLOSED_CLIENT_ID: f"of_account place {state_records.CLOSED_CLIENT_ID_FIELDS}".split(),
    FREE_SLOT: ["market", "place", "slot"],
    ORDER_TEXT: ["order", "text_1", "text_2", "text_3", "text_4", "text_5"],
    CREDENTIAL: state_records.CREDENTIAL_FIELDS.split(),
    REVOKED: f"place {_HASH}".split(),
    REFERENCE: f"row {state_records.REFERENCE_FIELDS}".split(),
    DAILY_WITHDRAWAL: state_records.DAILY_FIELDS.split(),
    PAUSE: f"cause {state_records.PAUSE_FIELDS}".split(),
    OPERATOR: ["operator", "roles"],
    INSTANCE: f"{state_records.INSTANCE_FIELDS} orders first_order".split(),
    ENDING: ["place", "instance"],
    BEGIN: f"place {_HASH} number".split(),
    SIGNATURE: ["place", "hash_1", "hash_2", "used_ns"],
    GROUP_FEES: state_records.GROUP_FEES_FIELDS.split(),
}
KEY_WORDS: Final = {
    BALANCE: 2,
    CLOSED_CLIENT_ID: 2,
    FREE_SLOT: 2,
    CREDENTIAL: 3,
    DAILY_WITHDRAWAL: 2,
    GROUP_FEES: 2,
}
_OWNED_BY_ACCOUNT: Final = (ACCOUNT, BALANCE, CLOSED_CLIENT_ID, DAILY_WITHDRAWAL)

RecordKey = tuple[int, ...]
"""Kind, and the first words of the record."""


def slice_digest(exchange: Exchange, index: int, count: int) -> bytes:
    """The SHA-256 of a slice, which processors have instructions for."""
    return sha256(slice_bytes(exchange, index, count)).digest()


def slice_bytes(exchange: Exchange, index: int, count: int) -> bytes:
    """Slice `index` of `count`, 0 <= index < count."""
    assert 0 <= index < count
    out = BytesWriter()
    tables = exchange.tables
    if index == 0:
        _put_exchange(out, exchange)
    for kind, size, put in (
        (ASSET, len(tables.assets), _put_assets),
        (MARKET, len(tables.markets), _put_markets),
        (GROUP_FEES, len(tables.markets), _put_group_fees),
        (ACCOUNT, len(tables.accounts), _put_accounts),
        (BALANCE, len(tables.ledger.rows), _put_balances),
        (CREDENTIAL, len(tables.accounts), _put_credentials),
        (CLOSED_CLIENT_ID, len(tables.accounts), _put_closed),
        (REFERENCE, len(tables.references.rows), _put_references),
        (DAILY_WITHDRAWAL, len(tables.daily_withdrawals.rows), _put_daily),
        (REVOKED, len(tables.credentials.revoked), _put_revoked),
        (SIGNATURE, tables.signatures.count, _put_signatures),
    ):
        _begin_section(out, kind)
        put(out, exchange, range(size * index // count, size * (index + 1) // count))
        write_i64_le(out, END)
    for kind, put_each in (
        (ORDER, _put_order),
        (ORDER_TEXT, _put_order_text),
        (OPEN_CLIENT_ID, _put_open_client_id),
    ):
        _begin_section(out, kind)
        for order in _share_of_orders(exchange, index, count):
            put_each(out, exchange, order)
        write_i64_le(out, END)
    _begin_section(out, FREE_SLOT)
    for number, book in enumerate(tables.books):
        size = len(book.slots.free)
        for place in range(size * index // count, size * (index + 1) // count):
            write_i64_le(out, number)
            write_i64_le(out, place)
            write_i64_le(out, book.slots.free[place])
    write_i64_le(out, END)
    return out.getvalue()


def _begin_section(out: BytesWriter, kind: int) -> None:
    write_i64_le(out, kind)
    write_i64_le(out, len(FIELDS[kind]))


def _share_of_orders(exchange: Exchange, index: int, count: int) -> list[Order]:
    """The open orders in a share of each market's slots."""
    found: list[Order] = []
    for book in exchange.tables.books:
        slots = book.slots.orders
        size = len(slots)
        for slot in range(size * index // count, size * (index + 1) // count):
            order = slots[slot]
            if order is not None:
                found.append(order)
    return found


def _put_exchange(out: BytesWriter, exchange: Exchange) -> None:
    """What is in no table, and the small tables."""
    tables = exchange.tables
    _begin_section(out, EXCHANGE)
    for word in (0, exchange.sequence, exchange.time_ns):
        write_i64_le(out, word)
    state_records.put_tables(out, tables)
    for word in (
        1 if tables.paused else 0,
        len(tables.assets),
        len(tables.markets),
        len(tables.accounts),
        tables.account_of_user.count,
        tables.credentials.count,
        tables.references.index.count,
        tables.daily_withdrawals.index.count,
        len(tables.operators),
        tables.signatures.count,
        local_instance(tables),
    ):
        write_i64_le(out, word)
    write_i64_le(out, END)
    _put_pauses(out, (tables.audit_pause, tables.operator_pause))
    _begin_section(out, OPERATOR)
    for number, operator in enumerate(tables.operators):
        write_i64_le(out, number)
        write_i64_le(out, operator.roles)
    write_i64_le(out, END)
    _put_small_credentials(out, exchange)
    _put_gateways(out, exchange)


def _put_pauses(out: BytesWriter, pauses: tuple[Pause, Pause]) -> None:
    _begin_section(out, PAUSE)
    for cause, pause in enumerate(pauses):
        write_i64_le(out, cause)
        state_records.put_pause(out, pause)
    write_i64_le(out, END)


def _put_small_credentials(out: BytesWriter, exchange: Exchange) -> None:
    """Those of operators and gateways."""
    _begin_section(out, CREDENTIAL)
    slots: list[Credential] = list(exchange.tables.credentials.of_gateways)
    for operator in exchange.tables.operators:
        slots.extend(operator.credentials)
    for credential in slots:
        state_records.put_credential(out, credential)
    write_i64_le(out, END)


def _put_gateways(out: BytesWriter, exchange: Exchange) -> None:
    gateways = exchange.tables.gateways
    _begin_section(out, INSTANCE)
    for instance in [gateways.none, *gateways.rows]:
        state_records.put_instance(out, instance)
        write_i64_le(out, instance.count)
        write_i64_le(out, 0 if instance.first is None else instance.first.order.id)
    write_i64_le(out, END)
    _begin_section(out, ENDING)
    for place, ended in enumerate(gateways.ending):
        write_i64_le(out, place)
        write_i64_le(out, ended.number)
    write_i64_le(out, END)
    _begin_section(out, BEGIN)
    for place, (key, number) in enumerate(gateways.begins.items()):
        write_i64_le(out, place)
        out.write(key)
        write_i64_le(out, number)
    write_i64_le(out, END)


def _put_assets(out: BytesWriter, exchange: Exchange, share: range) -> None:
    for number in share:
        asset = exchange.tables.assets[number]
        write_i64_le(out, asset.id)
        state_records.put_asset(out, asset)


def _put_markets(out: BytesWriter, exchange: Exchange, share: range) -> None:
    for number in share:
        market, book = exchange.tables.markets[number], exchange.tables.books[number]
        write_i64_le(out, market.id)
        state_records.put_market(out, market)
        for side in (book.bids, book.asks):
            write_i64_le(out, len(side.levels))
            write_i64_le(out, side.keys.last[-1] if side.keys.last else 0)
        write_i64_le(out, len(book.slots.orders))
        write_i64_le(out, len(book.slots.free))


def _put_group_fees(out: BytesWriter, exchange: Exchange, share: range) -> None:
    for number in share:
        for fees in exchange.tables.markets[number].group_fees:
            state_records.put_group_fees(out, number, fees)


def _put_accounts(out: BytesWriter, exchange: Exchange, share: range) -> None:
    for number in share:
        account = exchange.tables.accounts[number]
        first, last, client_ids = account.first, account.last, account.client_ids
        credentials = account.credentials
        write_i64_le(out, number)
        state_records.put_account(out, account)
        write_i64_le(out, account.open)
        write_i64_le(out, 0 if first is None else first.id)
        write_i64_le(out, 0 if last is None else last.id)
        write_i64_le(out, 0 if client_ids is None else client_ids.count)
        write_i64_le(out, 0 if client_ids is None else client_ids.closed)
        write_i64_le(out, 0 if credentials is None else len(credentials))


def _put_balances(out: BytesWriter, exchange: Exchange, share: range) -> None:
    """Those that are not zero."""
    for number in share:
        for asset, cell in enumerate(exchange.tables.ledger.rows[number]):
            if cell is not None and (cell.available != 0 or cell.locked != 0):
                write_i64_le(out, number)
                state_records.put_cell(out, asset, cell)


def _put_credentials(out: BytesWriter, exchange: Exchange, share: range) -> None:
    for number in share:
        credentials = exchange.tables.accounts[number].credentials
        if credentials is not None:
            for credential in credentials:
                state_records.put_credential(out, credential)


def _put_closed(out: BytesWriter, exchange: Exchange, share: range) -> None:
    for number in share:
        table = exchange.tables.accounts[number].client_ids
        if table is not None:
            for place in range(table.closed):
                write_i64_le(out, number)
                write_i64_le(out, place)
                state_records.put_closed_client_id(out, number, table, place)


def _put_references(out: BytesWriter, exchange: Exchange, share: range) -> None:
    for place in share:
        write_i64_le(out, place)
        state_records.put_reference(out, exchange.tables.references.rows[place])


def _put_daily(out: BytesWriter, exchange: Exchange, share: range) -> None:
    for place in share:
        state_records.put_daily(out, exchange.tables.daily_withdrawals.rows[place])


def _put_revoked(out: BytesWriter, exchange: Exchange, share: range) -> None:
    for place in share:
        write_i64_le(out, place)
        out.write(exchange.tables.credentials.revoked[place])


def _put_signatures(out: BytesWriter, exchange: Exchange, share: range) -> None:
    signatures = exchange.tables.signatures
    for place in share:
        write_i64_le(out, place)
        out.write(signatures.hashes[signatures.first + place])
        write_i64_le(out, signatures.times[signatures.first + place])


def _put_order(out: BytesWriter, _exchange: Exchange, order: Order) -> None:
    level, after = order.level, order.next
    state_records.put_order(out, order)
    write_i64_le(out, order.account)
    write_i64_le(out, 0 if level is None else level.lots)
    write_i64_le(out, 0 if after is None else after.id)


def _put_order_text(out: BytesWriter, _exchange: Exchange, order: Order) -> None:
    text = order.text()
    if len(text) > 0:
        write_i64_le(out, order.id)
        state_records.put_padded_text(out, text)


def _put_open_client_id(out: BytesWriter, exchange: Exchange, order: Order) -> None:
    accounts = exchange.tables.accounts
    if order.client_id_entry == NO_ENTRY or order.account >= len(accounts):
        return
    client_ids = accounts[order.account].client_ids
    # A wrong account in an order may have no such entry; the order itself then differs.
    if client_ids is not None and order.client_id_entry < client_ids.used:
        write_i64_le(out, order.id)
        client_ids.put(order.client_id_entry, out)


class Difference(NamedTuple):
    """A number in which two slices differ. None: the record is in one of them only."""

    kind: str
    """One of NAMES."""
    key: int
    """Id of the asset, market, order or operator; number of the account; or place in a table."""
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
    for key in sorted(ours.keys() | others.keys(), key=lambda key: (key[0] != BALANCE, key)):
        if len(found) >= at_most:
            break
        if ours.get(key) != others.get(key):
            found.extend(_differing(key[0], ours.get(key), others.get(key)))
    return found[:at_most]


def parse(data: bytes) -> dict[RecordKey, list[int]]:
    """The records of a slice by their kind and first words. Raises ValueError."""
    found: dict[RecordKey, list[int]] = {}
    size: i64 = len(data)
    at: i64 = 0
    if size % 8 != 0:
        raise ValueError("a slice is made of words")
    while at + 16 <= size:
        kind, words = read_i64_le(data, at), read_i64_le(data, at + 8)
        at += 16
        if kind not in FIELDS or words < 1:
            raise ValueError(f"no section begins at {at - 16}")
        while at < size and read_i64_le(data, at) != END:
            if words > (size - at) // 8:
                raise ValueError(f"the record at {at} is cut off")
            record: list[int] = []
            for _ in range(words):
                record.append(read_i64_le(data, at))
                at += 8
            found[(kind, *record[: KEY_WORDS.get(kind, 1)])] = record
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
    account = key if kind in _OWNED_BY_ACCOUNT else 0
    asset = record[1] if kind in (BALANCE, DAILY_WITHDRAWAL) else 0
    if kind == ORDER:
        account = record[2] & LOW
    elif kind == CREDENTIAL and record[1] == OF_ACCOUNT:
        account = key
    found: list[Difference] = []
    for number in range(KEY_WORDS.get(kind, 1), len(record)):
        left = None if mine is None else mine[number]
        right = None if theirs is None or number >= len(theirs) else theirs[number]
        if left != right:
            name = FIELDS[kind][number]
            found.append(Difference(NAMES[kind], key, name, asset, account, left, right))
    return found
