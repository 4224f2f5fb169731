"""Writing events: each function appends one event, in the layout that records.py reads.

`out` collects the events of the present frame. A function writes as many words as its head states.
What every order needs is passed by position: interpreted calls with keywords are slow.
"""

from librt.strings import BytesWriter, write_i64_le
from mypy_extensions import i64

from fairbook.core import records
from fairbook.core.book import Instance, Level, Order
from fairbook.core.credential_table import Credential
from fairbook.core.markets import Asset, Market
from fairbook.core.parts import Parts
from fairbook.core.records import Command
from fairbook.core.references import Reference
from fairbook.core.tables import Pause


def put_outcome(
    out: BytesWriter,
    command: Command,
    status: i64,
    reason: i64,
    order_id: i64 = 0,
    *,
    flags: i64 = 0,
    filled: i64 = 0,
    quote: i64 = 0,
    created_ns: i64 = 0,
) -> None:
    """The end of a command's events."""
    head = records.OUTCOME | command.kind << 8 | reason << 16 | 7 << 24
    write_i64_le(out, head | command.market << 32 | status << 48 | flags << 56)
    write_i64_le(out, command.owner)
    write_i64_le(out, command.sequence)
    write_i64_le(out, order_id)
    write_i64_le(out, filled)
    write_i64_le(out, quote)
    write_i64_le(out, created_ns)


def put_order_outcome(
    out: BytesWriter, command: Command, order: Order, status: i64, reason: i64
) -> None:
    """The end of the events of a command that was executed on one order."""
    head = records.OUTCOME | command.kind << 8 | reason << 16 | 7 << 24
    write_i64_le(out, head | order.book.market.id << 32 | status << 48)
    write_i64_le(out, command.owner)
    write_i64_le(out, command.sequence)
    write_i64_le(out, order.id)
    write_i64_le(out, order.filled)
    write_i64_le(out, order.quote)
    write_i64_le(out, order.created_ns)


def put_accepted(out: BytesWriter, order: Order, quantity: i64) -> None:
    """An order was accepted; what it did follows. `quantity` as in the command."""
    head = records.ACCEPTED | order.side << 8 | order.session_tif >> 32 << 16 | 6 << 24
    write_i64_le(out, head | order.book.market.id << 32 | order.flags << 56)
    write_i64_le(out, order.owner)
    write_i64_le(out, order.session_tif & records.LOW)
    write_i64_le(out, order.id)
    write_i64_le(out, order.price)
    write_i64_le(out, quantity)


def put_fill(
    out: BytesWriter, taker: Order, maker: Order, lots: i64, taker_fee: i64, maker_fee: i64
) -> None:
    """A taker met a maker, at the maker's price. This is the next trade of the market."""
    market = taker.book.market
    market.last_trade_id += 1
    write_i64_le(out, records.FILL | taker.side << 8 | 9 << 24 | market.id << 32)
    write_i64_le(out, taker.account | maker.account << 32)
    write_i64_le(out, market.last_trade_id)
    write_i64_le(out, taker.id)
    write_i64_le(out, maker.id)
    write_i64_le(out, maker.price)
    write_i64_le(out, lots)
    write_i64_le(out, taker_fee)
    write_i64_le(out, maker_fee)


def put_level(out: BytesWriter, market: Market, side: i64, level: Level) -> None:
    """A level has other lots now; 0: it is gone. This is the next update of the market."""
    market.update_id += 1
    write_i64_le(out, records.LEVEL | side << 8 | 4 << 24 | market.id << 32)
    write_i64_le(out, market.update_id)
    write_i64_le(out, level.price)
    write_i64_le(out, level.lots)


def put_order(
    out: BytesWriter, order: Order, kind: i64, status: i64, reason: i64, quantity: i64
) -> None:
    """An order record: `kind` is CLOSED, AMENDED or ORDER."""
    head = kind | order.side << 8 | reason << 16 | 10 << 24
    write_i64_le(out, head | order.book.market.id << 32 | status << 48 | order.flags << 56)
    write_i64_le(out, order.owner)
    write_i64_le(out, order.session_tif)
    write_i64_le(out, order.id)
    write_i64_le(out, order.price)
    write_i64_le(out, quantity)
    write_i64_le(out, order.filled)
    write_i64_le(out, order.quote)
    write_i64_le(out, order.created_ns)
    write_i64_le(out, order.fee_paid())


def put_text(out: BytesWriter, text: bytes) -> None:
    """The client id of the order whose ACCEPTED or ORDER follows."""
    write_i64_le(out, records.TEXT | len(text) << 8 | 6 << 24)
    out.write(text.ljust(40, b"\0"))


def put_moved(out: BytesWriter, movement: i64, row: Reference) -> None:
    """What became of the money of a CREDIT, DEBIT or HOLD. The operator: who ordered that one."""
    write_i64_le(out, records.MOVED | movement << 8 | 6 << 24 | row.asset << 32)
    write_i64_le(out, row.account | row.operator << 32)
    out.write(row.reference)
    write_i64_le(out, row.atoms)
    write_i64_le(out, row.fee_atoms)


def put_account(out: BytesWriter, account: i64, user_id: i64) -> None:
    write_i64_le(out, records.ACCOUNT | 3 << 24)
    write_i64_le(out, account)
    write_i64_le(out, user_id)


def put_name(out: BytesWriter, name: str) -> None:
    """Two words: up to 16 ASCII characters, padded with NUL."""
    out.write(name.encode("ascii").ljust(16, b"\0"))


def put_asset(out: BytesWriter, asset: Asset) -> None:
    write_i64_le(out, records.ASSET | 4 << 24 | asset.id << 32)
    write_i64_le(out, asset.decimals)
    put_name(out, asset.name)


def put_market(out: BytesWriter, market: Market) -> None:
    write_i64_le(out, records.MARKET | 6 << 24 | market.id << 32)
    write_i64_le(out, market.base | market.quote << 32)
    write_i64_le(out, market.lot_atoms)
    write_i64_le(out, market.tick_atoms)
    put_name(out, market.name)


def put_parameter(
    out: BytesWriter, command: Command, subject: i64, account: i64, parameter: i64
) -> None:
    """A parameter of an asset, a market, an account, an operator or the exchange has a new value.
    subject: the asset or market, or 0. account: or operator, or fee group, or 0.
    """
    write_i64_le(out, records.PARAMETER | command.kind << 8 | 4 << 24 | subject << 32)
    write_i64_le(out, account)
    write_i64_le(out, parameter)
    write_i64_le(out, command.quantity)


def put_credential(out: BytesWriter, credential: Credential) -> None:
    """It was added; or revoked, if it is."""
    reason: i64 = 0 if credential.revoked_ns == 0 else 1
    head = records.CREDENTIAL | credential.owner_kind << 8 | reason << 16 | 8 << 24
    write_i64_le(out, head | credential.slot << 32)
    write_i64_le(out, credential.owner | credential.credential_type << 32)
    write_i64_le(out, credential.permissions)
    write_i64_le(out, credential.expires_ns)
    out.write(credential.digest)


def put_acted(out: BytesWriter, parts: Parts) -> None:
    """An operator ordered the command whose OUTCOME follows."""
    write_i64_le(out, records.ACTED | 7 << 24 | parts.operator_credential << 32)
    write_i64_le(out, parts.operator)
    write_i64_le(out, parts.operator_reference)
    out.write(parts.reason)


def put_paused(out: BytesWriter, cause: i64, pause: Pause, is_paused: bool) -> None:
    flags: i64 = 1 if is_paused else 0
    write_i64_le(out, records.PAUSED | cause << 8 | 6 << 24 | flags << 56)
    write_i64_le(out, pause.reason)
    out.write(pause.detail.ljust(32, b"\0"))


def put_gateway(out: BytesWriter, instance: Instance) -> None:
    """An instance was begun; or ended, if it is."""
    reason: i64 = 1 if instance.is_ended else 0
    write_i64_le(out, records.GATEWAY | reason << 16 | 6 << 24)
    write_i64_le(out, instance.number)
    out.write(instance.key.ljust(32, b"\0"))


def put_passed(out: BytesWriter, reason: i64, instance: i64, number: i64) -> None:
    """The frame changes nothing but the time."""
    write_i64_le(out, records.PASSED | reason << 16 | 3 << 24)
    write_i64_le(out, instance)
    write_i64_le(out, number)


def put_note(out: BytesWriter, command: Command, text: bytes) -> None:
    """`text`: 40 bytes, padded."""
    write_i64_le(out, records.NOTED | command.variant() << 8 | 6 << 24 | (command.flags & 1) << 56)
    out.write(text)


def put_ended(out: BytesWriter, instance: Instance, closed: i64) -> None:
    """Orders of an ended instance were closed; more of them may be left."""
    write_i64_le(out, records.ENDED | 4 << 24)
    write_i64_le(out, instance.number)
    write_i64_le(out, closed)
    write_i64_le(out, instance.count)
