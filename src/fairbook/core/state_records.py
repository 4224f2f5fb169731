"""The records of the state: the names of their fields, and how each is written and read.

Every field is a 64-bit word, except names and references (two words), hashes (four) and texts
(five). state.py puts them together to an image of the whole state, state_slices.py to shares of it.
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from mypy_extensions import i64

from fairbook.core.book import Instance, Order
from fairbook.core.client_ids import ENTRY_WORDS, OUTCOME, ClientIdTable
from fairbook.core.credential_table import Credential
from fairbook.core.daily_withdrawals import DailyWithdrawals
from fairbook.core.event_writer import put_name
from fairbook.core.ledger import Cell
from fairbook.core.markets import Asset, GroupFees, Market
from fairbook.core.records import BID, LOW, Command
from fairbook.core.references import Reference
from fairbook.core.tables import Pause, Tables
from fairbook.core.trading_account import Account

TABLE_FIELDS: Final = (
    "rules flags log_id salt orders_max accounts_max credentials_max owner_credentials_max"
    " references_max withdrawal_delay_s"
)
_TABLE_NUMBERS: Final = TABLE_FIELDS.split()
PAUSE_FIELDS: Final = "reason detail_1 detail_2 detail_3 detail_4"
ASSET_FIELDS: Final = "name_1 name_2 decimals reserve_cap credit_max daily_withdrawal_max"
MARKET_FIELDS: Final = (
    "name_1 name_2 base quote lot_atoms tick_atoms created_ns state maker_fee_ppm taker_fee_ppm"
    " price_min price_max quantity_min quantity_max band_ppm levels_max walk_max update_id"
    " last_trade_id"
)
_MARKET_NUMBERS: Final = MARKET_FIELDS.split()[2:]
GROUP_FEES_FIELDS: Final = "market group maker_fee_ppm taker_fee_ppm"
ACCOUNT_FIELDS: Final = "user_id frozen fee_group"
ORDER_FIELDS: Final = (
    "id market owner session_tif instance side flags price remaining filled quote fee_atoms"
    " fee_millionths created_ns priority"
)
CLIENT_ID_FIELDS: Final = "payload price quantity order_id outcome filled quote created_ns"
_TEXT_FIELDS: Final = "text_1 text_2 text_3 text_4 text_5"
CLOSED_CLIENT_ID_FIELDS: Final[str] = (
    f"account client_id {_TEXT_FIELDS} closed_ns {CLIENT_ID_FIELDS}"
)
_HASH_FIELDS: Final = "hash_1 hash_2 hash_3 hash_4"
CREDENTIAL_FIELDS: Final[str] = (
    "owner owner_kind slot credential_type permissions expires_ns added_ns revoked_ns"
    f" {_HASH_FIELDS}"
)
REFERENCE_FIELDS: Final[str] = (
    "reference_1 reference_2 state account asset atoms fee_atoms operator sequence time_ns"
    f" has_detail {_HASH_FIELDS}"
)
DAILY_FIELDS: Final = "account asset atoms_max day atoms"
INSTANCE_FIELDS: Final[str] = f"number last_number last_ns is_ended has_key {_HASH_FIELDS}"
TEXT_BYTES: Final = 40


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

    def next_bytes(self, count: i64) -> bytes:
        taken = self.data[self.at : self.at + count]
        self.at += count
        return taken

    def next_name(self) -> str:
        return self.next_bytes(16).rstrip(b"\0").decode("ascii")

    def next_hash(self) -> bytes:
        """32 bytes; empty if the word before them is 0."""
        is_there = self.next() == 1
        taken = self.next_bytes(32)
        return taken if is_there else b""


def put_hash(out: BytesWriter, digest: bytes) -> None:
    """Whether there is one, and its 32 bytes."""
    write_i64_le(out, 1 if len(digest) > 0 else 0)
    out.write(digest.ljust(32, b"\0"))


def put_padded_text(out: BytesWriter, text: bytes) -> None:
    out.write(text.ljust(TEXT_BYTES, b"\0"))


def put_tables(out: BytesWriter, tables: Tables) -> None:
    for field in _TABLE_NUMBERS:
        write_i64_le(out, getattr(tables, field))


def read_tables(words: Words, tables: Tables) -> None:
    for field in _TABLE_NUMBERS:
        setattr(tables, field, words.next())


def put_pause(out: BytesWriter, pause: Pause) -> None:
    write_i64_le(out, pause.reason)
    out.write(pause.detail.ljust(32, b"\0"))


def put_asset(out: BytesWriter, asset: Asset) -> None:
    put_name(out, asset.name)
    write_i64_le(out, asset.decimals)
    write_i64_le(out, asset.reserve_cap)
    write_i64_le(out, asset.credit_max)
    write_i64_le(out, asset.daily_withdrawal_max)


def read_asset(words: Words, number: i64) -> Asset:
    asset = Asset(number, words.next_name(), words.next())
    asset.reserve_cap, asset.credit_max = words.next(), words.next()
    asset.daily_withdrawal_max = words.next()
    return asset


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


def put_group_fees(out: BytesWriter, market: i64, fees: GroupFees) -> None:
    write_i64_le(out, market)
    write_i64_le(out, fees.group)
    write_i64_le(out, fees.maker_fee_ppm)
    write_i64_le(out, fees.taker_fee_ppm)


def put_account(out: BytesWriter, account: Account) -> None:
    write_i64_le(out, account.user_id)
    write_i64_le(out, 1 if account.frozen else 0)
    write_i64_le(out, account.fee_group)


def put_cell(out: BytesWriter, asset: i64, cell: Cell) -> None:
    write_i64_le(out, asset)
    write_i64_le(out, cell.available)
    write_i64_le(out, cell.locked)


def put_order(out: BytesWriter, order: Order) -> None:
    instance = order.instance()
    write_i64_le(out, order.id)
    write_i64_le(out, order.book.market.id)
    write_i64_le(out, order.owner)
    write_i64_le(out, order.session_tif)
    write_i64_le(out, 0 if instance is None else instance.number)
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
    """An order whose text the caller reads; it is in no list yet, but knows its instance."""
    order_id = words.next()
    book = tables.books[words.next()]
    command = Command()
    command.owner = words.next()
    command.account = command.owner & LOW
    session_tif = words.next()
    command.session_word = session_tif & LOW
    instance = words.next()
    command.tif = session_tif >> 32
    command.side, command.flags = words.next(), words.next()
    command.price, command.quantity = words.next(), words.next()
    market = book.market
    asset = market.quote if command.side == BID else market.base
    order = Order(book, command, order_id, 0, tables.ledger.cell(command.account, asset))
    order.filled, order.quote = words.next(), words.next()
    order.fee_atoms, order.fee_millionths = words.next(), words.next()
    order.created_ns, order.priority = words.next(), words.next()
    if order.session() != 0:
        order.rare_fields().instance = find_instance(tables, instance)
    return order


def find_instance(tables: Tables, number: i64) -> Instance:
    """By number; that of no gateway if there is none."""
    for instance in tables.gateways.rows:
        if instance.number == number:
            return instance
    return tables.gateways.none


def read_client_id(words: Words, table: ClientIdTable, client_id: i64, text: bytes) -> i64:
    """Add the entry that ClientIdTable.put wrote; returns it."""
    payload, price, quantity, order_id = words.next(), words.next(), words.next(), words.next()
    entry = table.add(client_id, text, payload, price, quantity, order_id)
    for which in range(OUTCOME, ENTRY_WORDS):
        table.set_word(entry, which, words.next())
    return entry


def put_closed_client_id(out: BytesWriter, account: i64, table: ClientIdTable, which: i64) -> None:
    """That of a closed order of an account; `which` counts in closing order."""
    write_i64_le(out, account)
    write_i64_le(out, table.closed_client_id(which))
    put_padded_text(out, table.closed_text(which))
    write_i64_le(out, table.closed_ns(which))
    table.put(table.closed_entry(which), out)


def put_credential(out: BytesWriter, credential: Credential) -> None:
    write_i64_le(out, credential.owner)
    write_i64_le(out, credential.owner_kind)
    write_i64_le(out, credential.slot)
    write_i64_le(out, credential.credential_type)
    write_i64_le(out, credential.permissions)
    write_i64_le(out, credential.expires_ns)
    write_i64_le(out, credential.added_ns)
    write_i64_le(out, credential.revoked_ns)
    out.write(credential.digest)


def read_credential(words: Words) -> Credential:
    owner, owner_kind, slot, credential_type = (
        words.next(), words.next(), words.next(), words.next()
    )  # fmt: skip
    permissions, expires_ns, added_ns, revoked_ns = (
        words.next(), words.next(), words.next(), words.next()
    )  # fmt: skip
    credential = Credential(
        words.next_bytes(32),
        owner_kind=owner_kind,
        owner=owner,
        slot=slot,
        credential_type=credential_type,
        permissions=permissions,
        expires_ns=expires_ns,
        added_ns=added_ns,
    )
    credential.revoked_ns = revoked_ns
    return credential


def put_reference(out: BytesWriter, row: Reference) -> None:
    out.write(row.reference)
    write_i64_le(out, row.state)
    write_i64_le(out, row.account)
    write_i64_le(out, row.asset)
    write_i64_le(out, row.atoms)
    write_i64_le(out, row.fee_atoms)
    write_i64_le(out, row.operator)
    write_i64_le(out, row.sequence)
    write_i64_le(out, row.time_ns)
    put_hash(out, row.detail)


def read_reference(words: Words) -> Reference:
    reference = words.next_bytes(16)
    state, account, asset, atoms = words.next(), words.next(), words.next(), words.next()
    fee_atoms, operator, sequence, time_ns = (
        words.next(), words.next(), words.next(), words.next()
    )  # fmt: skip
    row = Reference(
        reference,
        state=state,
        account=account,
        asset=asset,
        atoms=atoms,
        operator=operator,
        sequence=sequence,
        time_ns=time_ns,
        detail=words.next_hash(),
    )
    row.fee_atoms = fee_atoms
    return row


def put_daily(out: BytesWriter, row: DailyWithdrawals) -> None:
    write_i64_le(out, row.account)
    write_i64_le(out, row.asset)
    write_i64_le(out, row.atoms_max)
    write_i64_le(out, row.day)
    write_i64_le(out, row.atoms)


def put_instance(out: BytesWriter, instance: Instance) -> None:
    write_i64_le(out, instance.number)
    write_i64_le(out, instance.last_number)
    write_i64_le(out, instance.last_ns)
    write_i64_le(out, 1 if instance.is_ended else 0)
    put_hash(out, instance.key)


def read_instance(words: Words) -> Instance:
    number, last_number, last_ns = words.next(), words.next(), words.next()
    is_ended = words.next() == 1
    instance = Instance(number, words.next_hash(), last_ns)
    instance.last_number, instance.is_ended = last_number, is_ended
    return instance
