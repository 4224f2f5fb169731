"""The stored outcome of a client id, asked without a command: what one would be answered."""

from fairbook.core import records, state
from tests.world.direct_exchange import small_exchange
from tests.world.markets import SOL_USDC
from tests.world.memory_accounts import ALICE


def test_it_is_what_the_command_would_be_answered_and_changes_nothing() -> None:
    exchange = small_exchange()
    units = [
        records.place(
            account=ALICE, market=SOL_USDC, side=records.BID, quantity=10, price=price, **named
        )
        for price in (5000, 5001)
        for named in (
            {"client_id": 7, "flags": records.HAS_CLIENT_ID},
            {"text": "seven"},
            {"client_id": 0, "flags": records.HAS_CLIENT_ID},
            {},
        )
    ]  # fmt: skip
    for unit in units:
        assert exchange.core.stored_outcome(unit) == b""
    exchange.do(*units[:4])
    for unit in units:
        before = state.dump(exchange.core)
        stored = exchange.core.stored_outcome(unit)
        assert state.dump(exchange.core) == before
        if unit in (units[3], units[7]):  # without a client id
            assert stored == b""
            continue
        asked = records.read_outcome(stored)
        given = records.read_outcome(exchange.apply(unit).events)
        assert (asked.status, asked.reason, asked.order_id) == (
            given.status, given.reason, given.order_id
        )  # fmt: skip
        assert asked.status == (records.NEW if unit in units[:4] else records.REJECTED)
