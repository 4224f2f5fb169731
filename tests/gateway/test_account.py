"""The endpoints of an account: shapes, instructions, and reads after writes."""

import asyncio
from typing import Any

from fairbook.core import admin_records
from tests.world.http_client import HttpClient, ask, bid, query, request_bytes, signed
from tests.world.markets import BTC
from tests.world.memory_accounts import ALICE, ALICE_TOKEN, BOB_TOKEN
from tests.world.money import debit
from tests.world.running_exchange import RunningExchange, play, with_exchange


@with_exchange()
async def test_capital_and_account(venue: RunningExchange, client: HttpClient) -> None:
    await client.ask("POST", "/api/v1/order", bid("100", "1.5"), token=ALICE_TOKEN)
    venue.exchange.do(debit(account=ALICE, asset=BTC, atoms=1000 * 10**8))
    capital = await client.ask("GET", "/api/v1/capital", token=ALICE_TOKEN)
    assert capital.json() == {
        "SOL": {"available": "1000", "locked": "0", "staked": "0"},
        "USDC": {"available": "850", "locked": "150", "staked": "0"},
    }
    account = await client.ask("GET", "/api/v1/account", token=ALICE_TOKEN)
    assert account.json() == {
        "autoBorrowSettlements": False, "autoLend": False, "autoRealizePnl": False,
        "autoRepayBorrows": False, "borrowLimit": "0", "futuresMakerFee": "0",
        "futuresTakerFee": "0", "leverageLimit": "1", "limitOrders": 1, "liquidating": False,
        "positionLimit": "0", "spotMakerFee": "8", "spotTakerFee": "10", "triggerOrders": 0,
    }  # fmt: skip
    patched = await client.ask("PATCH", "/api/v1/account", {"autoLend": False}, token=ALICE_TOKEN)
    assert (patched.status, patched.json()) == (200, {})
    collateral = await client.ask("GET", "/api/v1/capital/collateral", token=ALICE_TOKEN)
    assert collateral.json()["collateral"] == []


@with_exchange()
async def test_limits_of_an_account(venue: RunningExchange, client: HttpClient) -> None:
    async def order_limit(**fields: str) -> object:
        path = f"/api/v1/account/limits/order?{query(**fields)}"
        return (await client.ask("GET", path, token=ALICE_TOKEN)).json()

    sol = {"symbol": "SOL_USDC"}
    assert await order_limit(side="Ask", **sol) == {
        **sol, "side": "Ask", "maxOrderQuantity": "1000", "price": None,
    }  # fmt: skip
    assert await order_limit(side="Bid", price="3.00", **sol) == {
        **sol, "side": "Bid", "maxOrderQuantity": "333.33", "price": "3",
    }  # fmt: skip
    assert await order_limit(side="Bid", **sol) == {
        **sol, "side": "Bid", "maxOrderQuantity": "0", "price": None,
    }  # fmt: skip
    # A price out of range is refused, not clipped.
    assert await order_limit(side="Bid", price="9" * 18, **sol) == {
        "code": "INVALID_PRICE", "message": "Price is out of range",
    }  # fmt: skip
    await client.ask("POST", "/api/v1/order", ask("100", "1"), token=BOB_TOKEN)
    assert await order_limit(side="Bid", **sol) == {
        **sol, "side": "Bid", "maxOrderQuantity": "10", "price": None,
    }  # fmt: skip
    reply = await client.ask(
        "GET", "/api/v1/account/limits/withdrawal?symbol=SOL", token=ALICE_TOKEN
    )
    assert reply.json() == {"symbol": "SOL", "maxWithdrawalQuantity": "1000"}
    reply = await client.ask("GET", "/api/v1/account/limits/borrow?symbol=SOL", token=ALICE_TOKEN)
    assert reply.json() == {"symbol": "SOL", "maxBorrowQuantity": "0"}
    for kind in ("withdrawal", "borrow"):
        path = f"/api/v1/account/limits/{kind}?symbol=NO"
        reply = await client.ask("GET", path, token=ALICE_TOKEN)
        assert reply.error() == (400, "INVALID_ASSET", "Unknown asset")


@with_exchange()
async def test_what_may_be_withdrawn_is_bounded_by_the_day(
    venue: RunningExchange, client: HttpClient
) -> None:
    async def quantity() -> Any:
        path = "/api/v1/account/limits/withdrawal?symbol=SOL"
        reply = await client.ask("GET", path, token=ALICE_TOKEN)
        return reply.json()["maxWithdrawalQuantity"]

    sol = venue.exchange.asset_named("SOL")
    assert sol is not None
    unit = 10**sol.decimals
    most = admin_records.DAILY_WITHDRAWAL_MAX
    venue.exchange.do(admin_records.set_asset(asset=sol.id, parameter=most, value=300 * unit))
    assert await quantity() == "300"
    venue.exchange.do(
        admin_records.hold(
            account=ALICE, asset=sol.id, atoms=120 * unit, reference=b"r" * 16, detail=bytes(32)
        )
    )
    assert await quantity() == "180"
    venue.exchange.do(
        admin_records.set_account(account=ALICE, asset=sol.id, parameter=most, value=100 * unit)
    )
    assert await quantity() == "0"  # Less than what was held today.
    venue.exchange.do(
        admin_records.set_account(account=ALICE, asset=sol.id, parameter=most, value=5000 * unit)
    )
    assert await quantity() == "880"  # The balance is less.


def test_instructions_of_reads() -> None:
    """Each private read verifies under its own instruction, and under no other."""
    paths = {
        "/api/v1/account": "accountQuery",
        "/api/v1/capital": "balanceQuery",
        "/api/v1/capital/collateral": "collateralQuery",
        "/api/v1/orders": "orderQueryAll",
        "/api/v1/order?orderId=1&symbol=SOL_USDC": "orderQuery",
        "/api/v1/account/limits/order?side=Bid&symbol=SOL_USDC": "maxOrderQuantity",
        "/api/v1/account/limits/withdrawal?symbol=SOL": "maxWithdrawalQuantity",
        "/api/v1/account/limits/borrow?symbol=SOL": "maxBorrowQuantity",
    }

    async def story(venue: RunningExchange, client: HttpClient) -> None:
        for path, instruction in paths.items():
            text = path.partition("?")[2]
            headers = {**signed(instruction, text), "Content-Type": "application/json"}
            reply = await client.ask("GET", path, headers=headers)
            assert reply.status == (404 if "orderId" in path else 200), reply.body
            reply = await client.ask("GET", path, headers=signed("orderExecute", text))
            assert reply.error()[1] == "INVALID_SIGNATURE"

    play(story)


@with_exchange()
async def test_a_read_includes_earlier_writes(venue: RunningExchange, client: HttpClient) -> None:
    """It waits for commands submitted before it, also on another connection."""
    venue.exchange.held = []
    other = await venue.connect()
    await other.send(request_bytes("POST", "/api/v1/order", bid(clientId=1)))
    await venue.exchange.submitted.wait()
    reading = asyncio.create_task(client.ask("GET", "/api/v1/orders", token=ALICE_TOKEN))
    await client.writer.drain()
    third = await venue.connect()
    for _ in range(3):
        await third.ask("GET", "/api/v1/ping")  # the server had time to answer
    assert not reading.done()
    venue.exchange.release()
    assert [order["clientId"] for order in (await reading).json()] == [1]
    other.writer.close()
    third.writer.close()
