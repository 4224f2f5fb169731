"""Trading accounts: their open orders and client ids. Their money is in ledger.py.

An account is a place in a list; 0 (EXTERNAL) and 1 (FEE) belong to the exchange. Its open orders
are a linked list by rising id, the order in which they came. Each open order is in the list of one
account.
"""

from __future__ import annotations

from typing import final

from librt.strings import read_i64_le
from mypy_extensions import i64, mypyc_attr

from fairbook.core.book import Order
from fairbook.core.client_ids import ClientIdTable
from fairbook.core.credential_table import Credential
from fairbook.core.ledger import Cell
from fairbook.core.markets import Market
from fairbook.core.records import BID, COMMAND_BYTES, HAS_CLIENT_ID, LOW


@final
@mypyc_attr(acyclic=True)
class Account:
    """One account. `user_id` comes from OPEN_ACCOUNT; 0 for EXTERNAL and FEE."""

    def __init__(self, user_id: i64) -> None:
        self.user_id = user_id
        self.cells: list[Cell | None] = []  # its row of the ledger
        # The cells that paid last, by the side of the order: found without the row.
        self.bid_asset: i64 = 0
        self.bid_cell: Cell | None = None
        self.ask_asset: i64 = 0
        self.ask_cell: Cell | None = None
        self.frozen = False
        self.fee_group: i64 = 0
        self.credentials: list[Credential] | None = None  # by slot, the first is 1
        self.open: i64 = 0  # how many orders are
        self.first: Order | None = None
        self.last: Order | None = None
        self.client_ids: ClientIdTable | None = None

    def add(self, order: Order) -> None:
        """Enter a new order of this account."""
        last = self.last
        order.account_prev = last
        if last is None:
            self.first = order
        else:
            last.account_next = order
        self.last = order
        self.open += 1

    def remove(self, order: Order) -> None:
        before, after = order.account_prev, order.account_next
        if before is None:
            self.first = after
        else:
            before.account_next = after
        if after is None:
            self.last = before
        else:
            after.account_prev = before
        order.account_prev = order.account_next = None
        self.open -= 1

    def client_id_table(self, salt: i64) -> ClientIdTable:
        """Made on first use: most accounts never use a client id. `salt`: that of the log."""
        table = self.client_ids
        if table is None:
            table = self.client_ids = ClientIdTable(salt)
        return table

    def paying_cell(self, market: Market, side: i64) -> Cell | None:
        """What pays an order of this side; None: never anything."""
        if side == BID:
            return self.cell_for_bids(market.quote)
        return self.cell_for_asks(market.base)

    def cell_for_bids(self, asset: i64) -> Cell | None:
        """What it owns of the quote asset of a market; None: never anything."""
        if self.bid_asset != asset:
            cells = self.cells
            self.bid_cell = cells[asset] if asset < len(cells) else None
            self.bid_asset = 0 if self.bid_cell is None else asset
        return self.bid_cell

    def cell_for_asks(self, asset: i64) -> Cell | None:
        """The same of the base asset."""
        if self.ask_asset != asset:
            cells = self.cells
            self.ask_cell = cells[asset] if asset < len(cells) else None
            self.ask_asset = 0 if self.ask_cell is None else asset
        return self.ask_cell

    def credential(self, slot: i64) -> Credential | None:
        """What is in a slot."""
        credentials = self.credentials
        if credentials is None or slot < 1 or slot > len(credentials):
            return None
        return credentials[slot - 1]


def prefetch_client_ids(frame: bytes, accounts: list[Account]) -> i64:
    """Load the memory in which the client ids of a frame will be looked up; returns a mix of it.

    The processor waits for these cache lines one after the other when each command loads its own.
    Here no load depends on another, so many are under way at a time: with full tables of client
    ids a frame of 256 commands takes a fifth less. It changes nothing.
    """
    mixed: i64 = 0
    at: i64 = 0
    last: i64 = len(frame) - COMMAND_BYTES
    count: i64 = len(accounts)
    while at <= last:
        if read_i64_le(frame, at) >> 24 & HAS_CLIENT_ID != 0:
            owner = read_i64_le(frame, at + 8)
            account = owner & LOW
            if account < count:
                table = accounts[account].client_ids
                if table is not None:
                    mixed ^= table.prefetch(owner >> 32 & LOW)
        at += COMMAND_BYTES
    return mixed
