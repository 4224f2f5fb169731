"""The public endpoints of the exchange and its markets."""

import re

from fairbook.core import admin_records
from tests.world.direct_exchange import START_NS
from tests.world.http_client import HttpClient, ask, bid
from tests.world.markets import BTC, SOL_USDC
from tests.world.memory_accounts import ALICE_TOKEN
from tests.world.running_exchange import RunningExchange, with_exchange


@with_exchange()
async def test_ping_time_and_status(venue: RunningExchange, client: HttpClient) -> None:
    """Ping and time are plain text."""
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
        admin_records.set_market(market=SOL_USDC, parameter=admin_records.PRICE_MAX, value=100_000),
        admin_records.set_market(market=SOL_USDC, parameter=admin_records.QUANTITY_MIN, value=5),
        admin_records.set_market(
            market=SOL_USDC, parameter=admin_records.QUANTITY_MAX, value=10**6
        ),
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
async def test_a_market_listed_later_is_shown(venue: RunningExchange, client: HttpClient) -> None:
    assert (await client.ask("GET", "/api/v1/market?symbol=BTC_SOL")).status == 400
    venue.exchange.do(
        admin_records.list_market(
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
async def test_depth_is_ascending_and_cut_at_the_outer_levels(
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
async def test_the_venue(venue: RunningExchange, client: HttpClient) -> None:
    """Public: what a page needs before it begins."""
    found = (await client.ask("GET", "/api/v1/venue", token=None)).json()
    fees = found.pop("markets")
    assert found.pop("version").split(".")[0].isdigit()
    assert found == {
        "name": "Fairbook", "ws": "/ws", "demo": False, "test": False, "signUp": "closed"
    }  # fmt: skip
    markets = {market.name: market for market in venue.exchange.markets()}
    assert fees.keys() == markets.keys()
    for name, market in markets.items():
        assert float(fees[name]["makerFee"]) * 100 == market.maker_fee_ppm
        assert float(fees[name]["takerFee"]) * 100 == market.taker_fee_ppm
