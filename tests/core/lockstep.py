"""Core and oracle side by side: both get the same frames, and all results are compared.

`apply` compares the events of each command, `compare` the answers to all queries. A difference is
an AssertionError with the last commands and both answers.
"""

from __future__ import annotations

from collections import deque

from fairbook.core import invariants
from fairbook.core.exchange import Exchange
from fairbook.core.records import OrderRecord
from tests.core import wire
from tests.core.oracle import Oracle
from tests.core.oracle_state import STATE, Order
from tests.core.wire import Command, Event

SHOWN = 12  # commands before a difference
SLOT_MASK = 2**24 - 1


class Lockstep:
    """A core and an oracle that must not differ."""

    def __init__(self) -> None:
        self.core = Exchange()
        self.oracle = Oracle()
        self.recent: deque[tuple[int, Command | None]] = deque(maxlen=SHOWN)

    def apply(self, frame: bytes, time_ns: int) -> list[Event]:
        """Both execute the frame; returns the events."""
        commands = wire.split_frame(frame)
        given = wire.split_events(self.core.apply(frame, time_ns))
        self.oracle.forget_old_receipts(time_ns)
        at = 0
        for command in commands:
            end = at
            while end < len(given) and not isinstance(given[end], wire.Outcome):
                end += 1
            self._one(command, time_ns, given[at : end + 1])
            at = end + 1
        assert at == len(given), f"events after the last outcome: {given[at:]}"
        return given

    def _one(self, command: Command | None, time_ns: int, given: list[Event]) -> None:
        accepted = next((event for event in given if isinstance(event, wire.Accepted)), None)
        slot = accepted.order_id & SLOT_MASK if accepted else 0
        taken = [order_id & SLOT_MASK for order_id in self.oracle.orders]
        expected = self.oracle.apply(command, time_ns, slot)
        self.recent.append((self.oracle.sequence, command))
        assert given == expected, self.report(expected, given)
        assert accepted is None or slot not in taken, f"slot {slot} is in use"

    def report(self, expected: list[Event], given: list[Event]) -> str:
        """The last commands, and where the answers to the last one differ."""
        lines = ["the core and the oracle differ; the last commands:"]
        lines += [f"{sequence}: {wire.describe(command)}" for sequence, command in self.recent]
        for at in range(max(len(expected), len(given))):
            want = expected[at] if at < len(expected) else None
            got = given[at] if at < len(given) else None
            lines += [f"  same     {got}"] if want == got else []
            lines += [f"  expected {want}", f"  given    {got}"] if want != got else []
        return "\n".join(lines)

    def compare(self) -> None:
        """Balances, open orders, depth, listings and parameters of both."""
        core, oracle = self.core, self.oracle
        assert core.sequence == oracle.sequence
        assert core.time_ns == oracle.time_ns
        assert core.paused == bool(oracle.parameters[STATE])
        for account in range(len(oracle.accounts)):
            balances = [
                (a, free, locked) for a, free, locked in core.balances(account) if free or locked
            ]
            expected = [
                (asset.id, oracle.available(account, asset.id), oracle.locked(account, asset.id))
                for asset in oracle.assets
            ]
            assert balances == [row for row in expected if row[1] or row[2]], f"account {account}"
            orders = sorted(map(record_of, core.open_orders(account)), key=lambda r: r.order_id)
            assert orders == [record_in(order) for order in oracle.open_orders(account)]
            self._compare_answers(account)
        for market in oracle.markets:
            bids, asks = core.depth(market.id, 2**20)
            assert list(bids) == oracle.levels(market, wire.BID)
            assert list(asks) == oracle.levels(market, wire.ASK)
            listed = core.markets[market.id]
            assert (listed.update_id, listed.last_trade_id) == (
                market.update_id,
                market.last_trade_id,
            )
            assert [
                listed.state, listed.maker_fee_ppm, listed.taker_fee_ppm, listed.price_min,
                listed.price_max, listed.quantity_min, listed.quantity_max, listed.band_ppm,
                listed.levels_max,
            ] == list(market.parameters.values())  # fmt: skip
        sessions = {(o.account, o.session) for o in oracle.orders.values() if o.session}
        assert sorted(core.sessions()) == sorted(sessions)

    def _compare_answers(self, account: int) -> None:
        """Each open order is found by its id and by its client id, in its own market only."""
        core = self.core
        for order in self.oracle.open_orders(account):
            market = order.market.id
            found = core.order(account, market, order.id)
            assert found is not None and record_of(found) == record_in(order)
            assert core.order(account, market + 1, order.id) is None
            assert core.order(account + 1, market, order.id) is None
            if order.flags & wire.HAS_CLIENT_ID:
                found = core.order_of_client(account, market, order.client_id)
                assert found is not None and record_of(found) == record_in(order)

    def check(self) -> None:
        """The core's own invariants."""
        invariants.check(self.core)


def record_in(order: Order) -> wire.Record:
    """An open order of the oracle, as a query returns it."""
    return order.record(wire.PARTIALLY_FILLED if order.filled else wire.NEW)


def record_of(order: OrderRecord) -> wire.Record:
    """An order that the core returned."""
    return wire.Record._make(getattr(order, field) for field in wire.Record._fields)
