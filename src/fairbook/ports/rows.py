"""What history keeps, row by row: plain values in the core's units.

Always true: times are log time in ns; prices in ticks, quantities in lots, amounts in atoms.

Not here: how rows are stored (history), what they look like to clients (gateway/history.py).
"""

from __future__ import annotations

from typing import NamedTuple


class TradeRow(NamedTuple):
    """One trade of one market."""

    trade_id: int
    market: int
    price: int
    lots: int
    quote: int
    """Atoms of the quote asset."""
    time_ns: int
    taker_side: int
    """records.BID or ASK: the buyer was the maker if it is ASK."""
    taker_account: int
    maker_account: int
    taker_order_id: int
    maker_order_id: int
    taker_fee: int
    """Atoms of the asset that the taker received."""
    maker_fee: int
    is_generated: bool
    """Made by the generator of the demo's first day, not by anybody who trades."""


class OrderRow(NamedTuple):
    """One order as it is now, open or closed. Fields as in records.OrderRecord."""

    order_id: int
    account: int
    client_id: int
    """Means something only with HAS_CLIENT_ID in `flags`."""
    market: int
    side: int
    tif: int
    flags: int
    price: int
    quantity: int
    filled: int
    quote: int
    fee: int
    status: int
    reason: int
    """Close reason; 0 while it is open."""
    created_ns: int
    closed_ns: int
    """0 while it is open."""
    is_generated: bool


class FillRow(NamedTuple):
    """One side of one trade, for the account whose order it was."""

    trade_id: int
    market: int
    order_id: int
    client_id: int | None
    side: int
    price: int
    lots: int
    fee: int
    """Atoms of the asset that was received."""
    is_maker: bool
    time_ns: int


class TransferRow(NamedTuple):
    """Money that came in (side 0) or went out (side 1): one MOVED event."""

    transfer_id: int
    """Counts from 1 over all of them."""
    account: int
    asset: int
    side: int
    atoms: int
    reference: int
    time_ns: int
