"""An independent replay of the log, to compare with the answers that clients got.

Design: a read-only pass over the log's files feeds an own core from genesis and keeps the events
that the checks need. Nothing comes from the exchange under test. A later call continues where the
log has grown.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from fairbook.core import invariants, records, state
from fairbook.core.exchange import Exchange
from fairbook.log.file_log import FileLog
from tests.crash.load import UNITS, Journal, Placement
from tests.world.rest_client import Reply

STATUS = {
    records.NEW: "New",
    records.PARTIALLY_FILLED: "PartiallyFilled",
    records.FILLED: "Filled",
    records.CANCELLED: "Cancelled",
    records.EXPIRED: "Expired",
}


class Audit:
    """The log of one exchange, replayed up to `position`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.exchange = Exchange()
        self.position = 0
        self.chain = bytes(32)
        self.first_outcomes: dict[tuple[int, int], records.Outcome] = {}  # (account, client id)
        self.orders: dict[tuple[int, int], list[int]] = {}  # order ids accepted for a client id
        self.closed: dict[int, records.OrderRecord] = {}
        self.amended: dict[int, list[tuple[int, int]]] = {}  # order id: [(ticks, lots)]
        self.last_trades: dict[int, int] = {}

    def catch_up(self, until: int | None = None) -> Audit:
        """Replay new entries, at most up to position `until`."""
        log = FileLog(self.folder, read_only=True)
        try:
            for entry in log.read(self.position + 1):
                if until is not None and entry.position > until:
                    break
                assert entry.position == self.position + 1
                assert entry.time_ns >= self.exchange.time_ns
                self._note(self.exchange.apply(entry.frame, entry.time_ns))
                self.position, self.chain = entry.position, entry.chain
        finally:
            log.close()
        return self

    def check(self) -> None:
        """Check the invariants of the state, and that each asset sums to zero over all accounts."""
        invariants.check(self.exchange)
        sums: dict[int, int] = {}
        account = 0
        while balances := self.exchange.balances(account):
            for asset, available, locked in balances:
                sums[asset] = sums.get(asset, 0) + available + locked
            account += 1
        assert account > 2 and set(sums.values()) == {0}, sums

    def digest(self) -> bytes:
        """Of the state at `position`."""
        return state.digest(self.exchange)

    def _note(self, events: bytes) -> None:
        for part in records.split(events):
            outcome = records.read_outcome(part)
            at = 0
            while at < len(part):
                kind = records.kind_at(part, at)
                if kind == records.ACCEPTED:
                    placed = records.read_accepted(part, at)
                    if placed.flags & records.HAS_CLIENT_ID:
                        key = (placed.account, placed.client_id)
                        self.orders.setdefault(key, []).append(placed.order_id)
                        self.first_outcomes.setdefault(key, outcome)
                elif kind == records.FILL:
                    fill = records.Fill(part, at)
                    before = self.last_trades.get(fill.market, 0)
                    assert fill.trade_id == before + 1, (before, fill.trade_id)
                    self.last_trades[fill.market] = fill.trade_id
                elif kind in (records.CLOSED, records.AMENDED):
                    self._note_order(records.OrderRecord(part, at))
                at = records.next_at(part, at)

    def _note_order(self, order: records.OrderRecord) -> None:
        if order.kind == records.AMENDED:
            terms = (order.price, order.quantity)
            self.amended.setdefault(order.order_id, []).append(terms)
            return
        assert order.order_id not in self.closed, f"order {order.order_id} ended twice"
        self.closed[order.order_id] = order

    def confirm(self, journal: Journal, account: int) -> None:
        """Every answer that a trader got is in the log, once."""
        assert not journal.surprises, journal.surprises[:5]
        for placement in journal.placements:
            self._confirm_placement(placement, account)
        for order_id in journal.cancelled:
            closed = self.closed.get(order_id)
            assert closed is not None, f"the cancel of order {order_id} was lost"
            ended = (closed.account, closed.status, closed.reason)
            assert ended == (account, records.CANCELLED, records.BY_REQUEST), ended
        for order_id, ticks, lots in journal.amended:
            terms = self.amended.get(order_id, [])
            assert (ticks, lots) in terms, f"the change of order {order_id} was lost: {terms}"

    def _confirm_placement(self, placement: Placement, account: int) -> None:
        reply = placement.reply
        ids = self.orders.get((account, placement.client_id), [])
        if reply is None or reply.status == 504:
            assert len(ids) <= 1, f"{placement}: became orders {ids}"
        elif reply.status != 200:
            assert not ids, f"{placement}: refused, but became orders {ids}"
        else:
            assert ids == [int(reply.body["id"])], f"{placement}: the log has orders {ids}"
            self.confirm_answer(placement, reply, account)

    def confirm_answer(self, placement: Placement, reply: Reply, account: int) -> None:
        """The answer to an order agrees with its first outcome in the log."""
        outcome = self.first_outcomes[account, placement.client_id]
        told = reply.body
        assert told["status"] == STATUS[outcome.status], (told, outcome.status)
        assert Decimal(told["executedQuantity"]) * UNITS == outcome.filled, told
        assert int(told["id"]) == outcome.order_id and told["clientId"] == placement.client_id

    def open_orders(self, account: int) -> dict[int, tuple[int, int, int]]:
        """By order id: (ticks, lots, filled lots)."""
        return {
            order.order_id: (order.price, order.quantity, order.filled)
            for order in self.exchange.open_orders(account)
        }

    def balances(self, account: int) -> dict[str, tuple[Decimal, Decimal]]:
        """By asset name: (available, locked), without zeros."""
        found: dict[str, tuple[Decimal, Decimal]] = {}
        for number, available, locked in self.exchange.balances(account):
            asset = self.exchange.assets[number]
            if available or locked:
                unit = Decimal(10) ** asset.decimals
                found[asset.name] = (available / unit, locked / unit)
        return found


def told_orders(answer: Any) -> dict[int, tuple[int, int, int]]:
    """As Audit.open_orders, from the answer of GET /api/v1/orders."""
    return {
        int(order["id"]): (
            int(Decimal(order["price"]) * UNITS),
            int(Decimal(order["quantity"]) * UNITS),
            int(Decimal(order["executedQuantity"]) * UNITS),
        )
        for order in answer
    }


def told_balances(answer: Any) -> dict[str, tuple[Decimal, Decimal]]:
    """As Audit.balances, from the answer of GET /api/v1/capital."""
    balances = {
        name: (Decimal(balance["available"]), Decimal(balance["locked"]))
        for name, balance in answer.items()
    }
    return {name: balance for name, balance in balances.items() if any(balance)}
