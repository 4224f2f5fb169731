"""The exchange: one deterministic function from frames to events, and queries of its state.

`apply` executes the commands of a frame one after the other. Each is checked completely (order of
precedence: docs/reference/protocol.md), and only then executed; its events end with one OUTCOME. No
clock, random number or setting is read: time, ids and parameters come with the commands.

Invariants:
- a rejected command changes nothing but the sequence;
- the same frames at the same times give the same events and the same state, byte for byte,
  compiled or interpreted.
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import BytesWriter
from mypy_extensions import i64

from fairbook.core import records
from fairbook.core.admin_commands import apply_admin
from fairbook.core.book import BookSide, Order
from fairbook.core.event_writer import put_outcome
from fairbook.core.markets import Asset, Market
from fairbook.core.matching import Matcher, put_open_order
from fairbook.core.order_commands import OrderCommands, put_reject
from fairbook.core.records import Command, OrderRecord, order_records
from fairbook.core.tables import Tables

ORDER_ID_MAX: Final = (1 << 63) - 1


@final
class Exchange:
    """The whole state, and the only way to change it."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.matcher = Matcher(self.tables)
        self.orders = OrderCommands(self.tables, self.matcher)
        self.command = Command()
        self.sequence: i64 = 0
        self.time_ns: i64 = 0

    def apply(self, frame: bytes, time_ns: i64) -> bytes:
        """Execute the commands of one frame, all at `time_ns`. Returns their events."""
        assert time_ns >= self.time_ns, "log time never decreases"
        self.time_ns = time_ns
        self.matcher.time_ns = time_ns
        self.tables.begin_frame(frame, self.sequence, time_ns)
        out = BytesWriter()
        at: i64 = 0
        end: i64 = len(frame)
        while at + records.COMMAND_BYTES <= end:
            self.sequence += 1
            self._apply_one(frame, at, out)
            at += records.COMMAND_BYTES
        if at < end:
            self.sequence += 1
            incomplete = Command()
            incomplete.sequence = self.sequence
            put_reject(out, incomplete, records.MALFORMED)
        return out.getvalue()

    def _apply_one(self, frame: bytes, at: i64, out: BytesWriter) -> None:
        command = self.command
        command.read(frame, at, self.sequence)
        kind = command.kind
        if command.reserved != 0:
            put_reject(out, command, records.MALFORMED)
        elif kind == records.PLACE:
            self.orders.place(command, out)
        elif kind == records.CANCEL:
            self.orders.cancel(command, out)
        elif kind == records.AMEND:
            self.orders.amend(command, out)
        elif kind == records.CANCEL_ALL or kind == records.END_SESSION:
            self.orders.cancel_many(command, out)
        else:
            self._apply_admin(frame, at, out)

    def _apply_admin(self, frame: bytes, at: i64, out: BytesWriter) -> None:
        """Commands that only the operator sends, and TICK, which changes nothing but the time."""
        command = self.command
        reject: i64 = 0
        if command.kind != records.TICK:
            reject = apply_admin(self.tables, command, frame, at, self.time_ns, out)
        if reject != 0:
            put_reject(out, command, reject)
            return
        if command.kind == records.OPEN_ACCOUNT:
            command.owner = self.tables.account_of_user[command.order_id]
        put_outcome(out, command, records.DONE, 0)

    # Queries. They change nothing.

    @property
    def markets(self) -> list[Market]:
        """By id; entry 0 is a placeholder."""
        return self.tables.markets

    @property
    def assets(self) -> list[Asset]:
        """By id; entry 0 is a placeholder."""
        return self.tables.assets

    @property
    def paused(self) -> bool:
        """Whether the exchange is CancelOnly."""
        return self.tables.cancel_only

    def balances(self, account: int) -> list[tuple[int, int, int]]:
        """(asset, available, locked) of every asset in atoms; empty for an unknown account."""
        found: list[tuple[int, int, int]] = []
        if 0 <= account < len(self.tables.accounts):
            for asset in range(1, len(self.tables.assets)):
                cell = self.tables.ledger.cell(account, asset)
                found.append((asset, cell.available, cell.locked))
        return found

    def open_orders(self, account: int, market: int = 0) -> list[OrderRecord]:
        """The account's open orders by rising id; market 0: in all markets."""
        out = BytesWriter()
        if self.tables.is_user(account):
            order = self.tables.accounts[account].first
            while order is not None:
                if market == 0 or order.book.market.id == market:
                    put_open_order(out, order, records.ORDER)
                order = order.account_next
        return order_records(out.getvalue())

    def order(self, account: int, market: int, order_id: int) -> OrderRecord | None:
        """An open order of the account, in that market unless 0."""
        if not 0 <= order_id <= ORDER_ID_MAX:
            return None
        return _record_of(self.orders.find(account, market, order_id))

    def order_of_client(self, account: int, market: int, client_id: int) -> OrderRecord | None:
        """The same, by client id."""
        if not self.tables.is_user(account):
            return None
        return _record_of(self.orders.find_by_client_id(account, market, client_id))

    def depth(
        self, market: int, levels_max: int
    ) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """(bids, asks) as (price, lots), best first; `levels_max` of at least 1."""
        book = self.tables.books[market]
        return _levels(book.bids, levels_max), _levels(book.asks, levels_max)

    def sessions(self) -> list[tuple[int, int]]:
        """(account, session) of every session that has open orders, in order."""
        found: dict[tuple[int, int], int] = {}
        for order in self.matcher.slots.orders:
            if order is not None and order.session != 0:
                found[(order.account, order.session)] = 1
        return sorted(found)


def _record_of(order: Order | None) -> OrderRecord | None:
    if order is None:
        return None
    out = BytesWriter()
    put_open_order(out, order, records.ORDER)
    return order_records(out.getvalue())[0]


def _levels(side: BookSide, levels_max: int) -> list[tuple[int, int]]:
    levels = [side.levels[key] for key in reversed(side.keys[-levels_max:])]
    return [(level.price, level.lots) for level in levels]
