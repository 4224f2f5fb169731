"""Writing events: the core's own half of records.py.

How it works: each function appends one event to the writer that `Exchange.apply` gives round. They
take plain words, because a call
with ten numbers costs nothing when compiled and an object for them would.

Always true: the number of words written is the one in the head.

Not here: reading them again (records.py); the layout in words (docs/reference/protocol.md).
"""

from __future__ import annotations

from librt.strings import BytesWriter, write_i64_le
from mypy_extensions import i64

from fairbook.core.records import (
    ACCEPTED,
    ACCOUNT,
    ASSET,
    DEBIT,
    FILL,
    LEVEL,
    MARKET,
    MOVED,
    OUTCOME,
    PARAMETER,
)


def pair(low: i64, high: i64) -> i64:
    """One word of two unsigned 32-bit numbers. The same in 64-bit and in unbounded arithmetic."""
    if high > 0x7FFFFFFF:
        high -= 0x100000000
    return low | high << 32


def put_outcome(
    out: BytesWriter,
    command: i64,
    status: i64,
    reason: i64,
    market: i64,
    flags: i64,
    who: i64,
    sequence: i64,
    order_id: i64,
    filled: i64,
    quote: i64,
    created_ns: i64,
) -> None:
    """End a command's events. `who` is pair(account, client id)."""
    write_i64_le(
        out,
        OUTCOME | command << 8 | reason << 16 | 7 << 24 | market << 32 | status << 48 | flags << 56,
    )
    write_i64_le(out, who)
    write_i64_le(out, sequence)
    write_i64_le(out, order_id)
    write_i64_le(out, filled)
    write_i64_le(out, quote)
    write_i64_le(out, created_ns)


def put_accepted(
    out: BytesWriter,
    side: i64,
    tif: i64,
    market: i64,
    flags: i64,
    who: i64,
    session: i64,
    order_id: i64,
    price: i64,
    quantity: i64,
) -> None:
    """An order was accepted; what it did follows."""
    write_i64_le(out, ACCEPTED | side << 8 | tif << 16 | 6 << 24 | market << 32 | flags << 56)
    write_i64_le(out, who)
    write_i64_le(out, session)
    write_i64_le(out, order_id)
    write_i64_le(out, price)
    write_i64_le(out, quantity)


def put_fill(
    out: BytesWriter,
    side: i64,
    market: i64,
    accounts: i64,
    trade_id: i64,
    taker_order: i64,
    maker_order: i64,
    price: i64,
    lots: i64,
    taker_fee: i64,
    maker_fee: i64,
) -> None:
    """A taker met a maker. `accounts` is pair(taker, maker), `side` the taker's."""
    write_i64_le(out, FILL | side << 8 | 9 << 24 | market << 32)
    write_i64_le(out, accounts)
    write_i64_le(out, trade_id)
    write_i64_le(out, taker_order)
    write_i64_le(out, maker_order)
    write_i64_le(out, price)
    write_i64_le(out, lots)
    write_i64_le(out, taker_fee)
    write_i64_le(out, maker_fee)


def put_level(
    out: BytesWriter, side: i64, market: i64, update_id: i64, price: i64, lots: i64
) -> None:
    """A price level has now `lots`; 0: it is gone."""
    write_i64_le(out, LEVEL | side << 8 | 4 << 24 | market << 32)
    write_i64_le(out, update_id)
    write_i64_le(out, price)
    write_i64_le(out, lots)


def put_order(
    out: BytesWriter,
    kind: i64,
    side: i64,
    reason: i64,
    status: i64,
    market: i64,
    flags: i64,
    who: i64,
    session_tif: i64,
    order_id: i64,
    price: i64,
    quantity: i64,
    filled: i64,
    quote: i64,
    created_ns: i64,
    fee: i64,
) -> None:
    """An order record: CLOSED, AMENDED or ORDER. `session_tif` is pair(session, tif)."""
    write_i64_le(
        out,
        kind | side << 8 | reason << 16 | 10 << 24 | market << 32 | status << 48 | flags << 56,
    )
    write_i64_le(out, who)
    write_i64_le(out, session_tif)
    write_i64_le(out, order_id)
    write_i64_le(out, price)
    write_i64_le(out, quantity)
    write_i64_le(out, filled)
    write_i64_le(out, quote)
    write_i64_le(out, created_ns)
    write_i64_le(out, fee)


def put_moved(
    out: BytesWriter, command: i64, asset: i64, account: i64, reference: i64, atoms: i64
) -> None:
    """Money came from or went to EXTERNAL."""
    side: i64 = 1 if command == DEBIT else 0
    write_i64_le(out, MOVED | side << 8 | 4 << 24 | asset << 32)
    write_i64_le(out, account)
    write_i64_le(out, reference)
    write_i64_le(out, atoms)


def put_account(out: BytesWriter, account: i64, user_id: i64) -> None:
    """An account was opened."""
    write_i64_le(out, ACCOUNT | 3 << 24)
    write_i64_le(out, account)
    write_i64_le(out, user_id)


def put_asset(out: BytesWriter, asset: i64, decimals: i64, name_0: i64, name_1: i64) -> None:
    """An asset was listed."""
    write_i64_le(out, ASSET | 4 << 24 | asset << 32)
    write_i64_le(out, decimals)
    write_i64_le(out, name_0)
    write_i64_le(out, name_1)


def put_market(
    out: BytesWriter,
    market: i64,
    assets: i64,
    lot_atoms: i64,
    tick_atoms: i64,
    name_0: i64,
    name_1: i64,
) -> None:
    """A market was listed. `assets` is pair(base, quote)."""
    write_i64_le(out, MARKET | 6 << 24 | market << 32)
    write_i64_le(out, assets)
    write_i64_le(out, lot_atoms)
    write_i64_le(out, tick_atoms)
    write_i64_le(out, name_0)
    write_i64_le(out, name_1)


def put_parameter(
    out: BytesWriter, command: i64, market: i64, account: i64, parameter: i64, value: i64
) -> None:
    """A parameter of an asset, market, account or the exchange has a new value."""
    write_i64_le(out, PARAMETER | command << 8 | 4 << 24 | market << 32)
    write_i64_le(out, account)
    write_i64_le(out, parameter)
    write_i64_le(out, value)
