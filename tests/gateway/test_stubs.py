"""Fixed answers: empty lists, and 501 for what is not offered."""

import pytest

from tests.world.http_client import HttpClient, signed
from tests.world.memory_accounts import ALICE_TOKEN
from tests.world.running_exchange import RunningExchange, with_exchange

PUBLIC_EMPTY = [
    "/api/v1/securities", "/api/v1/collateral", "/api/v1/borrowLend/markets",
    "/api/v1/borrowLend/markets/history", "/api/v1/markPrices",
    "/api/v1/openInterest", "/api/v1/fundingRates", "/api/v1/wallets", "/api/v1/prediction",
    "/api/v1/prediction/tags", "/api/v1/market-sessions", "/api/v1/market-holidays",
    "/api/v1/stockSessions", "/api/v1/stockHolidays", "/api/v1/stockIndicativeQuote",
    "/api/v1/vaults", "/api/v1/vaults/history",
]  # fmt: skip
PRIVATE_EMPTY = {
    "/api/v1/position": "positionQuery",
    "/api/v1/borrowLend/positions": "borrowLendPositionQuery",
    "/api/v1/rfqs": "rfqQuery",
    "/api/v1/strategies": "strategyQueryAll",
    "/api/v1/vault/redeems/pending": "vaultPendingRedeemsQuery",
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
    "/wapi/v1/history/vault/mint": "vaultMintHistoryQueryAll",
    "/wapi/v1/history/vault/redeem": "vaultRedeemHistoryQueryAll",
}
PRIVATE_LATER = {
    "/wapi/v1/history/orders": "orderHistoryQueryAll",
    "/wapi/v1/history/fills": "fillHistoryQueryAll",
    "/wapi/v1/capital/deposits": "depositQueryAll",
    "/wapi/v1/capital/deposit/address": "depositAddressQuery",
    "/wapi/v1/capital/withdrawals": "withdrawalQueryAll",
}
NOT_OFFERED = [
    "GET /api/v1/strategy", "POST /api/v1/strategy", "DELETE /api/v1/strategy",
    "DELETE /api/v1/strategies", "POST /api/v1/borrowLend",
    "GET /api/v1/borrowLend/position/liquidationPrice", "POST /api/v1/rfq",
    "POST /api/v1/rfq/accept", "POST /api/v1/rfq/cancel", "POST /api/v1/rfq/refresh",
    "POST /api/v1/rfq/quote", "POST /api/v1/vault/mint", "POST /api/v1/vault/redeem",
    "DELETE /api/v1/vault/redeem", "GET /api/v1/vault/nav", "POST /api/v1/account/convertDust",
    "GET /wapi/v1/capital/withdrawals/delay",
    "POST /wapi/v1/capital/withdrawals/delay", "PATCH /wapi/v1/capital/withdrawals/delay",
    "POST /wapi/v1/user/2fa",
]  # fmt: skip
PUBLIC_LATER = ["ticker", "tickers", "klines", "trades", "trades/history", "checkpoints"]


@pytest.mark.parametrize("path", PUBLIC_EMPTY)
@with_exchange()
async def test_public_stubs(venue: RunningExchange, client: HttpClient, path: str) -> None:
    assert (await client.ask("GET", path)).json() == []


@with_exchange()
async def test_the_rates_of_loans(venue: RunningExchange, client: HttpClient) -> None:
    """An object with two lists: the official Rust client reads both."""
    reply = await client.ask("GET", "/api/v1/borrowLend/apy")
    assert reply.json() == {"borrowLend": [], "staking": []}


@pytest.mark.parametrize("line", NOT_OFFERED)
@with_exchange()
async def test_what_is_not_offered(venue: RunningExchange, client: HttpClient, line: str) -> None:
    """501, whatever it is signed with: ccxt knows no instruction for some of them."""
    method, path = line.split()
    body = None if method == "GET" else {"symbol": "SOL_USDC"}
    signature = signed("", "symbol=SOL_USDC" if body else "")
    for reply in (
        await client.ask(method, path, body, token=ALICE_TOKEN),
        await client.ask(method, path, body, headers=signature),
    ):
        assert reply.error()[:2] == (501, "NOT_IMPLEMENTED")


@with_exchange()
async def test_private_stubs_and_endpoints_that_are_not_offered(
    venue: RunningExchange, client: HttpClient
) -> None:
    """Private ones are authenticated first."""
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
    body = {"symbol": "SOL", "quantity": "1", "address": "x", "blockchain": "Solana"}
    reply = await client.ask("POST", "/wapi/v1/capital/withdrawals", body, token=ALICE_TOKEN)
    assert reply.error()[:2] == (501, "NOT_IMPLEMENTED")
    reply = await client.ask("POST", "/api/v1/faucet", {"a": 1}, token=ALICE_TOKEN)
    assert reply.error()[:2] == (501, "NOT_IMPLEMENTED")
    assert (await client.ask("POST", "/auth/v1/login", {})).error()[0] == 501
    for path in ("/auth/v1/keys/", "/auth/v1/sessions/"):
        reply = await client.ask("DELETE", path + "7")
        assert reply.error()[:2] == (501, "NOT_IMPLEMENTED")
        reply = await client.ask("POST", path + "7")
        assert reply.status == 405 and reply.headers["allow"] == "delete"
        for unknown in (path, path + "7/8"):
            assert (await client.ask("DELETE", unknown)).status == 404
