"""Tables that are full, and the end of the ids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fairbook.core import admin_records as admin
from fairbook.core import invariants, parts, records
from fairbook.core.exchange import Exchange
from tests.core import wire
from tests.core.lockstep import Lockstep
from tests.core.stream import START_NS, opening
from tests.core.stream_signed import signed
from tests.core.test_scenarios_gateways import ONE, Signed
from tests.core.wire import Reject
from tests.world import money

LAST_PLACED = 2**43 - 2**40  # no order gets an id from this sequence on


def outcomes(both: Lockstep, frame: bytes) -> list[wire.Outcome]:
    events = both.apply(frame, both.core.time_ns)
    return [event for event in events if isinstance(event, wire.Outcome)]


def opened() -> Lockstep:
    both = Lockstep()
    both.apply(opening(), START_NS)
    return both


def test_a_thousand_operators() -> None:
    """The next one is TABLE_FULL, one further BAD_VALUE; those there are may still be changed."""
    both = Lockstep()
    both.apply(admin.rules(), 1)
    frame = b"".join(admin.set_operator(operator=number, roles=1) for number in range(1, 1_003))
    assert [each.reason for each in outcomes(both, frame)] == [
        *[0] * 1_000, Reject.TABLE_FULL, Reject.BAD_VALUE,
    ]  # fmt: skip
    assert outcomes(both, admin.set_operator(operator=1_000, roles=0))[0].reason == 0
    both.compare()


def test_256_instances_with_orders_that_are_not_cancelled() -> None:
    """In one frame, so that none is cancelled in between; the next frame makes room."""
    both = opened()
    order = records.place(account=2, market=2, side=0, quantity=1, price=1, session=1)
    both.apply(admin.set_exchange(parameter=admin.ORDERS_MAX, value=1_000), START_NS)
    given = outcomes(both, (admin.begin_gateway() + order) * 257)
    assert [each.reason for each in given[::2]] == [*[0] * 256, Reject.TABLE_FULL]
    both.compare()
    assert outcomes(both, admin.begin_gateway())[0].reason == 0
    both.compare()
    both.check()


def test_256_instances_of_a_signed_log() -> None:
    """A begin frame that is answered with TABLE_FULL has used its number."""
    log = Signed()
    begin = admin.begin_gateway(bytes(ONE.verify_key))
    for number in range(2, 257):
        event = log.both.apply(signed(ONE, 0, number, begin), log.time_ns)[-1]
        assert isinstance(event, wire.Outcome)
        assert event.reason == (0 if number < 256 else Reject.TABLE_FULL)
    assert log.passed(signed(ONE, 0, 256, begin)) == wire.OUT_OF_NUMBER
    one = log.instances[0]
    log.send(signed(ONE, one, 1, admin.end_gateway(one, last_number=1)))
    assert log.passed(signed(ONE, 0, 257, begin)) == 0


def test_orders_end_long_before_their_ids_do() -> None:
    """From one sequence on PLACE is refused; amending, cancelling and money go on."""
    both = opened()
    for exchange in (both.core, both.oracle):
        exchange.sequence = LAST_PLACED - 3
    buy = records.place(account=2, market=1, side=0, quantity=5, price=97)
    first, second, third = outcomes(both, buy * 3)
    assert (first.reason, second.reason, third.reason) == (0, 0, Reject.TABLE_FULL)
    assert second.order_id == LAST_PLACED - 1 << 20 | 1
    for exchange in (both.core, both.oracle):
        exchange.sequence = 2**43 - 10
    named: dict[str, Any] = {"account": 2, "market": 1, "order_id": second.order_id}
    frame = b"".join(
        [
            records.amend(**named, quantity=6),
            records.amend(**named, price=96),
            buy,
            money.credit(account=2, asset=1, atoms=1),
            records.cancel(**named),
            records.cancel_all(account=2),
        ]
    )
    expected = [0, 0, Reject.TABLE_FULL, 0, wire.REQUESTED, 0]
    assert [each.reason for each in outcomes(both, frame)] == expected
    both.compare()
    both.check()


def frames_of(units: Iterator[bytes], count: int) -> Iterator[bytes]:
    """Frames of so many units."""
    batch = []
    for unit in units:
        batch.append(unit)
        if len(batch) == count:
            yield b"".join(batch)
            batch = []
    yield b"".join(batch)


@pytest.mark.slow
def test_a_million_used_signatures() -> None:
    """SIGNATURES_FULL, until the first are forgotten after 130 s; orders without one go on."""
    core = Exchange()
    core.apply(opening(), START_NS)
    cancel = records.cancel_all(account=2)
    units = (parts.with_signature(cancel, number.to_bytes(16, "little")) for number in range(2**20))
    for frame in frames_of(units, 2_048):
        heads = wire.split_heads(core.apply(frame, START_NS))
        assert {status for _, _, _, status, _ in heads} <= {wire.DONE}
    more = parts.with_signature(cancel, b"x" * 16)
    used = parts.with_signature(cancel, bytes(16))

    def reasons(time_ns: int) -> list[int]:
        return [head[2] for head in wire.split_heads(core.apply(more + used + cancel, time_ns))]

    later = START_NS + 130 * 10**9
    assert reasons(later - 1) == [Reject.SIGNATURES_FULL, Reject.REPEATED_SIGNATURE, 0]
    assert reasons(later) == [0, 0, 0]
    invariants.check(core)


@pytest.mark.slow
def test_a_million_open_orders_in_a_market() -> None:
    """BOOK_FULL for every further order of it, also one that would not rest; not for others."""
    core = Exchange()
    core.apply(opening(), START_NS)
    accounts = range(100, 100 + 64)
    setup = [
        admin.set_exchange(parameter=admin.ORDERS_MAX, value=16_384),
        admin.set_exchange(parameter=admin.ACCOUNTS_MAX, value=100),
        *(admin.open_account(number) for number in accounts),
        *(money.credit(account=7 + at, asset=2, atoms=2**20) for at in range(64)),
    ]
    core.apply(b"".join(setup), START_NS)
    orders = (
        records.place(account=7 + at % 64, market=1, side=0, quantity=1, price=1 + at % 7)
        for at in range(2**20)
    )
    for frame in frames_of(orders, 4_096):
        core.apply(frame, START_NS)
    full = {name: used for name, used, _ in core.room()}
    assert full["open orders of one market"] == 2**20
    ioc = records.place(account=2, market=1, side=1, quantity=1, price=50, tif=records.IOC)
    rest = records.place(account=2, market=1, side=0, quantity=1, price=1)
    other = records.place(account=2, market=2, side=0, quantity=1, price=1)
    heads = wire.split_heads(core.apply(ioc + rest + other, START_NS))
    outcome_heads = [head for head in heads if head[0] == 1]
    assert [head[2] for head in outcome_heads] == [Reject.BOOK_FULL, Reject.BOOK_FULL, 0]
    core.apply(records.cancel_all(account=7), START_NS)
    heads = wire.split_heads(core.apply(ioc, START_NS))
    assert heads[-1][3] == wire.EXPIRED
    invariants.check(core)
