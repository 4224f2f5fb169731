"""Requests that wait for the recorder, that need not, and that are too many."""

import pytest

from fairbook.api.errors import ApiError
from fairbook.gateway.read_barrier import QueryShares
from fairbook.gateway.request import Request
from tests.gateway.test_history import ORDERS, get, with_history
from tests.world.http_client import HttpClient, bid
from tests.world.memory_accounts import ALICE_TOKEN, BOB_TOKEN
from tests.world.memory_history import MemoryHistory
from tests.world.running_exchange import RunningExchange


@with_history()
async def test_an_open_order_is_found_without_the_recorder(
    venue: RunningExchange, client: HttpClient, history: MemoryHistory
) -> None:
    """An order queried by its id needs no history until it is closed."""
    terms = bid("100") | {"clientId": 7}
    placed = (await client.ask("POST", "/api/v1/order", terms, token=ALICE_TOKEN)).json()
    one = f"{ORDERS}?orderId={placed['id']}"
    (recorded,) = await get(client, ORDERS, ALICE_TOKEN)
    history.broken = True
    history.lag = 0
    history.patience_s = 0.05
    assert await get(client, one, ALICE_TOKEN) == [recorded]
    assert await get(client, f"{one}&clientId=7&symbol=SOL_USDC", ALICE_TOKEN) == [recorded]
    for other in ("&clientId=8", "&offset=1"):
        reply = await client.ask("GET", one + other, token=ALICE_TOKEN)
        assert reply.error() == (504, "TIMEOUT", "History is behind")
    assert (await client.ask("GET", one, token=BOB_TOKEN)).status == 504


def call(account: int, address: str = "192.0.2.1") -> Request:
    asked = Request(b"", b"", {}, address)
    asked.account = account
    return asked


def test_one_caller_cannot_fill_the_queue_of_the_history() -> None:
    """Limited per account from any address, and per address without an account."""
    shares = QueryShares(each_max=2)
    with shares.slot(call(7)), shares.slot(call(7, "192.0.2.2")):
        for _ in range(2):
            with pytest.raises(ApiError) as caught, shares.slot(call(7)):
                pass
            assert (caught.value.status, caught.value.retry_after_s) == (429, 1)
        with shares.slot(call(8)), shares.slot(call(0)), shares.slot(call(0)):
            with pytest.raises(ApiError), shares.slot(call(0)):
                pass
            with shares.slot(call(0, "192.0.2.2")):
                pass
    with pytest.raises(ZeroDivisionError), shares.slot(call(7)):
        raise ZeroDivisionError
    with shares.slot(call(7)), shares.slot(call(7)):
        pass
