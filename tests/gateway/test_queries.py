"""Everything that only reads: shapes of the public contract, read barrier, stubs."""

import asyncio
import re

import pytest

from fairbook.core import records
from tests.world.direct_exchange import START_NS
from tests.world.http_client import HttpClient, ask, bid, query, request_bytes, signed
from tests.world.markets import BTC, SOL_USDC
from tests.world.memory_accounts import ALICE, ALICE_TOKEN, BOB_TOKEN
from tests.world.running_exchange import RunningExchange, play, with_exchange

PUBLIC_EMPTY = [
    "/api/v1/securities", "/api/v1/collateral", "/api/v1/borrowLend/markets",
    "/api/v1/borrowLend/markets/history", "/api/v1/borrowLend/apy", "/api/v1/markPrices",
    "/api/v1/openInterest", "/api/v1/fundingRates", "/api/v1/wallets", "/api/v1/prediction",
]  # fmt: skip
PRIVATE_EMPTY = {
    "/api/v1/position": "positionQuery",
    "/api/v1/borrowLend/positions": "borrowLendPositionQuery",
    "/api/v1/rfqs": "rfqQuery",
    "/wapi/v1/history/funding": "fundingHistoryQueryAll",
    "/wapi/v1/history/interest": "interestHistoryQueryAll",
    "/wapi/v1/history/borrowLend": "borrowHistoryQueryAll",
    "/wapi/v1/history/borrowLend/positions": "borrowPositionHistoryQueryAll",
    "/wapi/v1/history/dust": "dustHistoryQueryAll",
    "/wapi/v1/history/settlement": "settlementHistoryQueryAll",
    "/wapi/v1/history/pnl": "pnlHistoryQueryAll",
    "/wapi/v1/history/strategies": "strategyHistoryQueryAll",
    "/wapi/v1/history/rfq": "rfqHistoryQueryAll",
    "/wapi/v1/history/rfq/fill": "rfqFillHistoryQueryAll",
    "/wapi/v1/history/quote": "quoteHistoryQueryAll",
    "/wapi/v1/history/quote/fill": "quoteFillHistoryQueryAll",
    "/wapi/v1/history/position": "positionHistoryQueryAll",
}
PRIVATE_LATER = {
    "/wapi/v1/history/orders": "orderHistoryQueryAll",
    "/wapi/v1/history/fills": "fillHistoryQueryAll",
    "/wapi/v1/capital/deposits": "depositQueryAll",
    "/wapi/v1/capital/deposit/address": "depositAddressQuery",
    "/wapi/v1/capital/withdrawals": "withdrawalQueryAll",
}
PUBLIC_LATER = ["ticker", "tickers", "klines", "trades", "trades/history", "checkpoints"]


@with_exchange()
async def test_texts_that_are_not_json(venue: RunningExchange, client: HttpClient) -> None:
    """ping and time are text; a success has no top-level `code` anywhere else either."""
    pong = await client.ask("GET", "/api/v1/ping")
    assert (pong.body, pong.headers["content-type"]) == (b"pong", "text/plain; charset=utf-8")
    time = await client.ask("GET", "/api/v1/time")
    assert re.fullmatch(rb"[0-9]{13}", time.body)
    assert time.headers["content-type"] == "text/plain; charset=utf-8"
    status = await client.ask("GET", "/api/v1/status")
    assert status.json() == {"status": "Ok", "message": None}


@with_exchange()
async def test_markets(venue: RunningExchange, client: HttpClient) -> None:
    venue.exchange.do(
        records.set_market(market=SOL_USDC, parameter=records.PRICE_MAX, value=100_000),
        records.set_market(market=SOL_USDC, parameter=records.QUANTITY_MIN, value=5),
        records.set_market(market=SOL_USDC, parameter=records.QUANTITY_MAX, value=10**6),
    )
    markets = (await client.ask("GET", "/api/v1/markets")).json()
    assert [market["symbol"] for market in markets] == ["SOL_USDC", "BTC_USDC"]
    created = markets[0].pop("createdAt")
    assert re.fullmatch(r"2027-01-15T08:00:00\.[0-9]{6}", created)
    assert markets[0] == {
        "symbol": "SOL_USDC", "baseSymbol": "SOL", "quoteSymbol": "USDC", "marketType": "SPOT",
        "orderBookState": "Open", "visible": True,
        "filters": {
            "price": {
                "minPrice": "0.01", "maxPrice": "1000", "tickSize": "0.01",
                "maxMultiplier": None, "minMultiplier": None, "maxImpactMultiplier": None,
                "minImpactMultiplier": None,
            },
            "quantity": {"minQuantity": "0.05", "maxQuantity": "10000", "stepSize": "0.01"},
        },
        "imfFunction": None, "mmfFunction": None, "fundingInterval": None,
        "fundingRateUpperBound": None, "fundingRateLowerBound": None,
        "openInterestLimit": None, "positionLimitWeight": None,
    }  # fmt: skip
    assert markets[1]["filters"]["price"]["maxPrice"] is None
    assert markets[1]["filters"]["price"]["tickSize"] == "0.1"
    assert markets[1]["filters"]["quantity"]["stepSize"] == "0.00001"
    for path in ("/api/v1/market?symbol=BTC_USDC", "/api/v1/markets/BTC_USDC"):
        assert (await client.ask("GET", path)).json() == markets[1]
    for path in ("?marketType=SPOT", "?marketType=PERP&marketType=SPOT"):
        assert len((await client.ask("GET", f"/api/v1/markets{path}")).json()) == 2
    assert (await client.ask("GET", "/api/v1/markets?marketType=PERP")).json() == []
    for path in ("market?symbol=NO", "markets/NO", "markets/sol_usdc", "markets/%53OL_USDC"):
        reply = await client.ask("GET", f"/api/v1/{path}")
        assert reply.error() == (400, "INVALID_MARKET", "Unknown market")


@with_exchange()
async def test_a_market_listed_later_is_there(venue: RunningExchange, client: HttpClient) -> None:
    assert (await client.ask("GET", "/api/v1/market?symbol=BTC_SOL")).status == 400
    venue.exchange.do(
        records.list_market(
            market=3, base=BTC, quote=1, lot_atoms=10**4, tick_atoms=10**3, name="BTC_SOL"
        )
    )
    reply = await client.ask("GET", "/api/v1/market?symbol=BTC_SOL")
    assert reply.json()["orderBookState"] == "Closed"


@with_exchange()
async def test_assets(venue: RunningExchange, client: HttpClient) -> None:
    assets = (await client.ask("GET", "/api/v1/assets")).json()
    assert [asset["symbol"] for asset in assets] == ["SOL", "USDC", "BTC"]
    assert assets[0] == {
        "symbol": "SOL", "displayName": "Solana", "coingeckoId": "solana",
        "tokens": [
            {
                "displayName": "Solana", "blockchain": "Solana", "contractAddress": None,
                "depositEnabled": True, "minimumDeposit": "0", "withdrawEnabled": True,
                "minimumWithdrawal": "0", "maximumWithdrawal": None, "withdrawalFee": "0",
                "nativeDecimals": 9,
            }
        ],
    }  # fmt: skip


@with_exchange()
async def test_depth_is_ascending_and_cut_at_the_far_end(
    venue: RunningExchange, client: HttpClient
) -> None:
    for i in range(12):
        await client.ask("POST", "/api/v1/order", bid(f"{90 - i}", "0.1"), token=ALICE_TOKEN)
        await client.ask("POST", "/api/v1/order", ask(f"{110 + i}", "0.2"), token=ALICE_TOKEN)
    depth = (await client.ask("GET", "/api/v1/depth?symbol=SOL_USDC")).json()
    assert depth == {
        "asks": [[str(110 + i), "0.2"] for i in range(12)],
        "bids": [[str(79 + i), "0.1"] for i in range(12)],
        "lastUpdateId": str(12 + 24),
        "timestamp": venue.exchange.time_ns // 1000,
    }
    assert abs(depth["timestamp"] - START_NS // 1000) < 10**6
    for limit, levels in ((1, 5), (5, 5), (6, 10), (10, 10), (11, 12), (99999, 12)):
        path = f"/api/v1/depth?symbol=SOL_USDC&limit={limit}"
        cut = (await client.ask("GET", path)).json()
        assert (cut["bids"], cut["asks"]) == (depth["bids"][-levels:], depth["asks"][:levels])
    for bad in ("0", "-1", "x", "1.5", "%D9%A3", "9" * 50):
        reply = await client.ask("GET", f"/api/v1/depth?symbol=SOL_USDC&limit={bad}")
        assert reply.error() == (400, "INVALID_RANGE", "Invalid limit")
    assert (await client.ask("GET", "/api/v1/depth")).error()[1] == "INVALID_CLIENT_REQUEST"
    assert (await client.ask("GET", "/api/v1/depth?symbol=X")).error()[1] == "INVALID_MARKET"


@with_exchange()
async def test_capital_and_account(venue: RunningExchange, client: HttpClient) -> None:
    await client.ask("POST", "/api/v1/order", bid("100", "1.5"), token=ALICE_TOKEN)
    venue.exchange.do(records.debit(account=ALICE, asset=BTC, atoms=1000 * 10**8))
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
    # A number that is never shown as another one.
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


@pytest.mark.parametrize("path", PUBLIC_EMPTY)
@with_exchange()
async def test_public_stubs(venue: RunningExchange, client: HttpClient, path: str) -> None:
    assert (await client.ask("GET", path)).json() == []


@with_exchange()
async def test_private_stubs_and_what_is_not_offered_yet(
    venue: RunningExchange, client: HttpClient
) -> None:
    """Signed where the contract says so; refused without a signature."""
    for path, instruction in (PRIVATE_EMPTY | PRIVATE_LATER).items():
        assert (await client.ask("GET", path)).error()[:2] == (401, "UNAUTHORIZED")
        reply = await client.ask(
            "GET", f"{path}?symbol=SOL_USDC", headers=signed(instruction, "symbol=SOL_USDC")
        )
        if path in PRIVATE_EMPTY:
            assert (reply.status, reply.json()) == (200, [])
        else:
            assert reply.error()[:2] == (501, "NOT_IMPLEMENTED")
    for name in PUBLIC_LATER:
        reply = await client.ask("GET", f"/api/v1/{name}?symbol=SOL_USDC")
        assert reply.error()[:2] == (501, "NOT_IMPLEMENTED")
    for path in ("borrowLend", "rfq", "strategy", "faucet"):
        reply = await client.ask("POST", f"/api/v1/{path}", {"a": 1}, token=ALICE_TOKEN)
        assert reply.error()[:2] == (501, "NOT_IMPLEMENTED")
    body = {"symbol": "SOL", "quantity": "1", "address": "x", "blockchain": "Solana"}
    reply = await client.ask("POST", "/wapi/v1/capital/withdrawals", body, token=ALICE_TOKEN)
    assert reply.error()[:2] == (501, "NOT_IMPLEMENTED")
    assert (await client.ask("POST", "/auth/v1/login", {})).error()[0] == 501
    for path in ("/auth/v1/keys/", "/auth/v1/sessions/"):
        reply = await client.ask("DELETE", path + "7")
        assert reply.error()[:2] == (501, "NOT_IMPLEMENTED")
        reply = await client.ask("POST", path + "7")
        assert reply.status == 405 and reply.headers["allow"] == "delete"
        for unknown in (path, path + "7/8"):
            assert (await client.ask("DELETE", unknown)).status == 404


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
async def test_a_read_sees_the_writes_before_it(venue: RunningExchange, client: HttpClient) -> None:
    """It waits for what was submitted before it, also on another connection."""
    venue.exchange.held = []
    other = await venue.connect()
    await other.send(request_bytes("POST", "/api/v1/order", bid(clientId=1)))
    await venue.exchange.submitted.wait()
    reading = asyncio.create_task(client.ask("GET", "/api/v1/orders", token=ALICE_TOKEN))
    await client.writer.drain()
    third = await venue.connect()
    for _ in range(3):
        await third.ask("GET", "/api/v1/ping")  # The server had time, and did not use it.
    assert not reading.done()
    venue.exchange.release()
    assert [order["clientId"] for order in (await reading).json()] == [1]
    other.writer.close()
    third.writer.close()
