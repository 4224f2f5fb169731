"""The endpoints of history: shapes, units, limits, and a recorder that is behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fairbook.core import admin_records, records
from fairbook.gateway.endpoints.paging import OFFSET_MAX
from tests.world.direct_exchange import MS, START_NS, DirectExchange, list_and_fund
from tests.world.http_client import HttpClient, ask, bid, query, signed
from tests.world.markets import BTC_USDC, SOL_USDC
from tests.world.memory_accounts import ALICE, ALICE_TOKEN, BOB_TOKEN
from tests.world.memory_history import MemoryHistory
from tests.world.money import credit
from tests.world.running_exchange import Extras, RunningExchange, play
from tests.world.stories import runner_of

ORDERS = "/wapi/v1/history/orders"
FILLS = "/wapi/v1/history/fills"
NS = 1_000_000_000
START_S = START_NS // NS
START_MS = START_NS // MS

Past = Callable[[RunningExchange, HttpClient, MemoryHistory], Awaitable[None]]


def remember(story: Past) -> None:
    """Run a story on an exchange with a history."""
    exchange = DirectExchange()
    list_and_fund(exchange)
    history = MemoryHistory(exchange)

    async def with_history(venue: RunningExchange, client: HttpClient) -> None:
        await story(venue, client, history)

    play(with_history, exchange=exchange, extras=Extras(history=history))


with_history = runner_of(remember, 3)


async def get(client: HttpClient, path: str, token: str | None = None) -> Any:
    """The JSON of a reply, which must be 200."""
    reply = await client.ask("GET", path, token=token)
    assert reply.status == 200, reply.body
    return reply.json()


async def trade(client: HttpClient, *prices: str, quantity: str = "1", **terms: str) -> None:
    """Bob buys from Alice at each price in turn."""
    for price in prices:
        sold = await client.ask(
            "POST", "/api/v1/order", ask(price, quantity, **terms), token=ALICE_TOKEN
        )
        bought = await client.ask(
            "POST", "/api/v1/order", bid(price, quantity, **terms), token=BOB_TOKEN
        )
        assert (sold.status, bought.json()["status"]) == (200, "Filled")


@with_history()
async def test_trades(venue: RunningExchange, client: HttpClient, history: MemoryHistory) -> None:
    """Newest first; the buyer is the maker if the seller was the taker."""
    await trade(client, "141.5", quantity="0.2")
    await client.ask("POST", "/api/v1/order", bid("140", "3"), token=ALICE_TOKEN)
    await client.ask("POST", "/api/v1/order", ask("140", "1.05"), token=BOB_TOKEN)
    newest, oldest = await get(client, "/api/v1/trades?symbol=SOL_USDC")
    last_ms = venue.exchange.time_ns // MS
    assert newest == {
        "id": 2, "price": "140", "quantity": "1.05", "quoteQuantity": "147",
        "timestamp": last_ms, "isBuyerMaker": True,
    }  # fmt: skip
    assert oldest == {
        "id": 1, "price": "141.5", "quantity": "0.2", "quoteQuantity": "28.3",
        "timestamp": last_ms - 2, "isBuyerMaker": False,
    }  # fmt: skip
    past = "/api/v1/trades/history?symbol=SOL_USDC"
    assert await get(client, past) == [newest, oldest]
    assert await get(client, f"{past}&limit=1") == [newest]
    assert await get(client, f"{past}&limit=1&offset=1") == [oldest]
    assert await get(client, f"{past}&limit=1000&offset={OFFSET_MAX}") == []
    assert await get(client, "/api/v1/trades?symbol=BTC_USDC") == []


@with_history()
async def test_the_default_limit_is_100_trades(
    venue: RunningExchange, client: HttpClient, history: MemoryHistory
) -> None:
    sell = records.place(account=ALICE, market=SOL_USDC, side=records.ASK, price=100, quantity=1)
    buy = records.place(account=ALICE + 1, market=SOL_USDC, side=records.BID, price=100, quantity=1)
    venue.exchange.do(*[sell, buy] * 130)
    for limit, count in (
        ("", 100),
        ("&limit=130", 130),
        ("&limit=1000", 130),
        ("&limit=", 100),
    ):
        found = await get(client, f"/api/v1/trades?symbol=SOL_USDC{limit}")
        assert [row["id"] for row in found] == list(range(130, 130 - count, -1))


@with_history()
async def test_klines(venue: RunningExchange, client: HttpClient, history: MemoryHistory) -> None:
    """Ascending, without gaps, from the first trade on, with the running candle."""
    await trade(client, "100", "103", "99.5", quantity="0.1")
    venue.exchange.time_ns += 150 * NS
    await trade(client, "101", quantity="2")
    path = f"/api/v1/klines?symbol=SOL_USDC&interval=1m&startTime={START_S - 600}"
    first, quiet, running = await get(client, path)
    assert first == {
        "start": "2027-01-15 08:00:00", "end": "2027-01-15 08:01:00", "open": "100",
        "high": "103", "low": "99.5", "close": "99.5", "volume": "0.3",
        "quoteVolume": "30.25", "trades": "3",
    }  # fmt: skip
    assert quiet == {
        "start": "2027-01-15 08:01:00", "end": "2027-01-15 08:02:00", "open": "99.5",
        "high": "99.5", "low": "99.5", "close": "99.5", "volume": "0", "quoteVolume": "0",
        "trades": "0",
    }  # fmt: skip
    assert (running["start"], running["close"]) == ("2027-01-15 08:02:00", "101")
    for bounds, bars in (
        (f"startTime={START_S}", [first, quiet, running]),
        (f"startTime={START_S + 1}", [quiet, running]),
        (f"startTime={START_S - 60}&endTime={START_S}", [first]),
        (f"startTime={START_S}&endTime={START_S + 119}", [first, quiet]),
        (f"startTime={START_S + 90}&endTime={START_S + 119}", []),
        (f"startTime={START_S}&endTime={START_S + 10**7}", [first, quiet, running]),
        (f"startTime={START_S - 600}&endTime={START_S - 1}", []),
        (f"startTime={START_S + 1}&endTime={START_S}", []),
        ("startTime=0&priceType=Last&limit=1", [first, quiet, running]),
    ):
        path = f"/api/v1/klines?symbol=SOL_USDC&interval=1m&{bounds}"
        assert await get(client, path) == bars, bounds
    assert await get(client, "/api/v1/klines?symbol=BTC_USDC&interval=1m&startTime=0") == []
    month = await get(client, "/api/v1/klines?symbol=SOL_USDC&interval=1month&startTime=0")
    assert [bar["start"] for bar in month] == ["2027-01-01 00:00:00"]
    assert month[0]["end"] == "2027-02-01 00:00:00"


@with_history()
async def test_the_earliest_thousand_klines(
    venue: RunningExchange, client: HttpClient, history: MemoryHistory
) -> None:
    """Paging forward from `since` misses none."""
    await trade(client, "100")
    venue.exchange.time_ns += 2500 * NS
    await trade(client, "101")
    starts: list[str] = []
    since = START_S
    while page := await get(
        client, f"/api/v1/klines?symbol=SOL_USDC&interval=1s&startTime={since}"
    ):
        starts += [bar["start"] for bar in page]
        since += len(page)
        assert len(page) == 1000 or page[-1]["close"] == "101"
    assert len(starts) == 2501 == len(set(starts))


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"interval": "7m"}, "INVALID_CLIENT_REQUEST"),
        ({"interval": "1M"}, "INVALID_CLIENT_REQUEST"),
        ({"interval": ""}, "INVALID_CLIENT_REQUEST"),
        ({"startTime": ""}, "INVALID_CLIENT_REQUEST"),
        ({"startTime": "-1"}, "INVALID_RANGE"),
        ({"startTime": START_MS}, "INVALID_RANGE"),
        ({"startTime": "1.5"}, "INVALID_RANGE"),
        ({"endTime": "9" * 40}, "INVALID_RANGE"),
        ({"endTime": "now"}, "INVALID_RANGE"),
        ({"symbol": "sol_usdc"}, "INVALID_MARKET"),
        ({"priceType": "Mark"}, "NOT_IMPLEMENTED"),
    ],
)
@with_history()
async def test_bad_klines(
    venue: RunningExchange,
    client: HttpClient,
    history: MemoryHistory,
    fields: dict[str, Any],
    code: str,
) -> None:
    asked = {"symbol": "SOL_USDC", "interval": "1m", "startTime": START_S} | fields
    reply = await client.ask("GET", f"/api/v1/klines?{query(**asked)}")
    assert reply.error()[:2] == (501 if code == "NOT_IMPLEMENTED" else 400, code)


def test_tickers() -> None:
    """The change as a fraction, zeros before the first trade, 24 hours of log time."""
    nothing = {
        "symbol": "BTC_USDC", "firstPrice": "0", "lastPrice": "0", "priceChange": "0",
        "priceChangePercent": "0", "high": "0", "low": "0", "volume": "0", "quoteVolume": "0",
        "trades": "0",
    }  # fmt: skip

    async def story(venue: RunningExchange, client: HttpClient, history: MemoryHistory) -> None:
        await trade(client, "140", "150", "139", "141.5", quantity="0.5")
        rose = {
            "symbol": "SOL_USDC", "firstPrice": "140", "lastPrice": "141.5", "priceChange": "1.5",
            "priceChangePercent": "0.010714", "high": "150", "low": "139", "volume": "2",
            "quoteVolume": "285.25", "trades": "4",
        }  # fmt: skip
        assert await get(client, "/api/v1/ticker?symbol=SOL_USDC") == rose
        assert await get(client, "/api/v1/ticker?symbol=SOL_USDC&interval=1d") == rose
        assert await get(client, "/api/v1/ticker?symbol=BTC_USDC") == nothing
        assert await get(client, "/api/v1/tickers") == [rose, nothing]
        assert await get(client, "/api/v1/tickers?marketType=PERP") == []
        await trade(client, "135.8", quantity="0.5")
        fell = await get(client, "/api/v1/ticker?symbol=SOL_USDC")
        assert (fell["priceChange"], fell["priceChangePercent"]) == ("-4.2", "-0.03")
        venue.exchange.time_ns += 86_400 * NS
        quiet = await get(client, "/api/v1/ticker?symbol=SOL_USDC")
        assert quiet == nothing | {
            "symbol": "SOL_USDC", "firstPrice": "135.8", "lastPrice": "135.8", "high": "135.8",
            "low": "135.8",
        }  # fmt: skip
        for path, status, code in (
            ("ticker", 400, "INVALID_CLIENT_REQUEST"),
            ("ticker?symbol=NO", 400, "INVALID_MARKET"),
            ("ticker?symbol=SOL_USDC&interval=1h", 400, "INVALID_CLIENT_REQUEST"),
            ("tickers?interval=1w", 501, "NOT_IMPLEMENTED"),
        ):
            assert (await client.ask("GET", f"/api/v1/{path}")).error()[:2] == (status, code)

    remember(story)


@pytest.mark.parametrize(
    ("first", "last", "change", "fraction"),
    [
        ("100", "100", "0", "0"),
        ("99999.99", "99999.98", "-0.01", "0"),
        ("30000", "30000.01", "0.01", "0"),
        ("10000", "10000.01", "0.01", "0.000001"),
        ("0.01", "99999.99", "99999.98", "9999998"),
        ("3", "1", "-2", "-0.666667"),
        ("20000", "20000.01", "0.01", "0.000001"),  # half of the last place
    ],
)
@with_history()
async def test_the_change_is_rounded_and_has_no_sign_at_zero(
    venue: RunningExchange,
    client: HttpClient,
    history: MemoryHistory,
    first: str,
    last: str,
    change: str,
    fraction: str,
) -> None:
    venue.exchange.do(credit(account=ALICE + 1, asset=2, atoms=10**15))
    await trade(client, first, last, quantity="0.01")
    ticker = await get(client, "/api/v1/ticker?symbol=SOL_USDC")
    assert (ticker["priceChange"], ticker["priceChangePercent"]) == (change, fraction)


@with_history()
async def test_orders_of_an_account(
    venue: RunningExchange, client: HttpClient, history: MemoryHistory
) -> None:
    """Open and closed, newest first, in the shape of the order object except for the time."""
    placed = await client.ask(
        "POST", "/api/v1/order", bid("140.12", "1.5", clientId=12345, postOnly=True),
        token=ALICE_TOKEN,
    )  # fmt: skip
    order = placed.json()
    created_ms = order["createdAt"]
    (found,) = await get(client, ORDERS, ALICE_TOKEN)
    assert found.pop("createdAt") == f"2027-01-15T08:00:00.{created_ms % 1000:03d}"
    assert found.pop("systemOrderType", "missing") is None
    assert found.pop("expiryReason", "missing") is None
    assert found.pop("quoteQuantity", "missing") is None
    assert found == {name: order[name] for name in order if name != "createdAt"}
    await client.ask(
        "DELETE", "/api/v1/order", {"symbol": "SOL_USDC", "clientId": 12345}, token=ALICE_TOKEN
    )
    market = bid(..., ..., orderType="Market", quoteQuantity="10")
    await client.ask("POST", "/api/v1/order", market, token=ALICE_TOKEN)
    await client.ask(
        "POST", "/api/v1/order", bid("1", symbol="BTC_USDC", timeInForce="IOC"),
        token=ALICE_TOKEN,
    )  # fmt: skip
    btc, by_quote, cancelled = await get(client, ORDERS, ALICE_TOKEN)
    assert (cancelled["status"], cancelled["expiryReason"]) == ("Cancelled", None)
    assert (btc["status"], btc["expiryReason"]) == ("Expired", "ImmediateOrCancel")
    assert (btc["symbol"], btc["quoteQuantity"], btc["clientId"]) == ("BTC_USDC", None, None)
    assert by_quote["expiryReason"] == "InsufficientLiquidity"
    assert (by_quote["quantity"], by_quote["quoteQuantity"]) == ("0", "10")
    assert "price" not in by_quote and "postOnly" not in by_quote
    for asked, rows in (
        ("symbol=SOL_USDC", [by_quote, cancelled]),
        (f"orderId={cancelled['id']}", [cancelled]),
        (f"orderId={cancelled['id']}&symbol=BTC_USDC", []),
        (f"orderId={cancelled['id']}&clientId=12345", [cancelled]),
        ("clientId=12345", [cancelled]),
        ("clientId=%2212345%22", None),
        ("clientId=0", []),
        *((f"orderId={number}", []) for number in (0, 99999999, 2**64)),
        ("orderId=x", None),
        ("sortDirection=Asc", [cancelled, by_quote, btc]),
        ("sortDirection=Desc&limit=1", [btc]),
        ("limit=1&offset=2", [cancelled]),
        ("sortDirection=up", None),
        ("marketType=PERP", []),
        ("marketType=SPOT&marketType=PERP&offset=0", [btc, by_quote, cancelled]),
    ):
        if rows is None:
            reply = await client.ask("GET", f"{ORDERS}?{asked}", token=ALICE_TOKEN)
            assert reply.error()[:2] == (400, "INVALID_CLIENT_REQUEST"), asked
        else:
            assert await get(client, f"{ORDERS}?{asked}", ALICE_TOKEN) == rows, asked
    assert await get(client, ORDERS, BOB_TOKEN) == []
    foreign = f"{ORDERS}?orderId={cancelled['id']}"
    assert await get(client, foreign, BOB_TOKEN) == []


@with_history()
async def test_fills_of_an_account(
    venue: RunningExchange, client: HttpClient, history: MemoryHistory
) -> None:
    """Fees are in the received asset; fees and client ids are texts."""
    venue.exchange.time_ns += 123_456  # Times are cut to milliseconds, not rounded.
    await client.ask("POST", "/api/v1/order", ask("141.5", "0.2"), token=ALICE_TOKEN)
    taken = await client.ask(
        "POST", "/api/v1/order", bid("150", "0.2", clientId=7), token=BOB_TOKEN
    )
    at = f"2027-01-15T08:00:00.{venue.exchange.time_ns // MS % 1000:03d}"
    at_ms = venue.exchange.time_ns // MS
    (bought,) = await get(client, FILLS, BOB_TOKEN)
    assert bought == {
        "tradeId": 1, "orderId": taken.json()["id"], "clientId": "7", "symbol": "SOL_USDC",
        "side": "Bid", "price": "141.5", "quantity": "0.2", "fee": "0.0002",
        "feeSymbol": "SOL", "isMaker": False, "systemOrderType": None, "timestamp": at,
    }  # fmt: skip
    (sold,) = await get(client, FILLS, ALICE_TOKEN)
    assert (sold["side"], sold["fee"], sold["feeSymbol"]) == ("Ask", "0.02264", "USDC")
    assert (sold["isMaker"], sold["clientId"]) == (True, None)
    for asked, rows in (
        (f"from={at_ms}&to={at_ms}", [bought]),
        (f"from={at_ms + 1}", []),
        (f"to={at_ms - 1}", []),
        (f"from=0&to={10**17}", [bought]),
        (f"orderId={bought['orderId']}&symbol=SOL_USDC&fillType=User", [bought]),
        (f"orderId={sold['orderId']}", []),
        ("symbol=BTC_USDC", []),
        ("fillType=Liquidation", []),
        ("marketType=PERP", []),
        ("offset=1", []),
        ("sortDirection=Asc", [bought]),
    ):
        assert await get(client, f"{FILLS}?{asked}", BOB_TOKEN) == rows, asked


@with_history()
async def test_a_fee_of_zero_is_shown(
    venue: RunningExchange, client: HttpClient, history: MemoryHistory
) -> None:
    """As text: clients decide from it how to read the time."""
    for parameter in (admin_records.MAKER_FEE_PPM, admin_records.TAKER_FEE_PPM):
        venue.exchange.do(
            admin_records.set_market(market=BTC_USDC, parameter=parameter, value=0),
        )
    await trade(client, "10", quantity="0.001", symbol="BTC_USDC")
    for token in (ALICE_TOKEN, BOB_TOKEN):
        assert [row["fee"] for row in await get(client, FILLS, token)] == ["0"]


@with_history()
async def test_a_trade_with_oneself_is_two_fills(
    venue: RunningExchange, client: HttpClient, history: MemoryHistory
) -> None:
    """One as maker and one as taker, if it is let happen; here self-trade prevention is in the way,
    so they are none.
    """
    await client.ask("POST", "/api/v1/order", ask("100"), token=ALICE_TOKEN)
    await client.ask("POST", "/api/v1/order", bid("100"), token=ALICE_TOKEN)
    assert await get(client, FILLS, ALICE_TOKEN) == []
    rows = await get(client, ORDERS, ALICE_TOKEN)
    assert [row["expiryReason"] for row in rows] == ["SelfTradePrevention", None]


@pytest.mark.parametrize(
    "bad",
    ["limit=0", "limit=1001", "limit=-1", "limit=x", "limit=1e2", "limit=1.0", "limit=%D9%A1",
     "limit=" + "9" * 5000, "offset=-1", "offset=x", f"offset={OFFSET_MAX + 1}"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["trades", "trades/history", "orders", "fills"])
@with_history()
async def test_a_bad_page(
    venue: RunningExchange, client: HttpClient, history: MemoryHistory, path: str, bad: str
) -> None:
    """INVALID_RANGE, before anything is read."""
    where = f"/api/v1/{path}" if path.startswith("trades") else f"/wapi/v1/history/{path}"
    reply = await client.ask("GET", f"{where}?symbol=SOL_USDC&{bad}", token=ALICE_TOKEN)
    assert reply.error()[:2] == (400, "INVALID_RANGE")
    assert history.waits == 0


@pytest.mark.parametrize("bad", ["from=x", "to=-1", "from=2&to=1", "from=1.5", "to=" + "9" * 19])
@with_history()
async def test_bad_times(
    venue: RunningExchange, client: HttpClient, history: MemoryHistory, bad: str
) -> None:
    reply = await client.ask("GET", f"{FILLS}?{bad}", token=ALICE_TOKEN)
    assert reply.error()[:2] == (400, "INVALID_RANGE")


@with_history()
async def test_private_history_includes_earlier_writes_or_is_504(
    venue: RunningExchange, client: HttpClient, history: MemoryHistory
) -> None:
    """The answer waits for the recorder; only a recorder that stays behind gives 504."""
    history.lag = venue.exchange.position
    history.patience_s = 0.05
    await client.ask("POST", "/api/v1/order", bid("100"), token=ALICE_TOKEN)
    behind = (504, "TIMEOUT", "History is behind")
    assert (await client.ask("GET", ORDERS, token=ALICE_TOKEN)).error() == behind
    assert (await client.ask("GET", FILLS, token=ALICE_TOKEN)).error() == behind
    assert (await client.ask("GET", "/api/v1/orders", token=ALICE_TOKEN)).status == 200
    assert (await client.ask("POST", "/api/v1/order", bid("99"), token=ALICE_TOKEN)).status == 200
    history.lag = None
    assert len(await get(client, ORDERS, ALICE_TOKEN)) == 2


@pytest.mark.parametrize("patience_s", [0.01, 0.6])  # less, and more, than a moment
@with_history()
async def test_public_history_is_answered_from_what_is_recorded(
    venue: RunningExchange, client: HttpClient, history: MemoryHistory, patience_s: float
) -> None:
    """Without waiting long for a recorder that is behind."""
    history.patience_s = patience_s
    await trade(client, "100")
    history.lag = venue.exchange.position
    await trade(client, "101")
    assert len(await get(client, "/api/v1/trades?symbol=SOL_USDC")) == 1
    assert (await get(client, "/api/v1/ticker?symbol=SOL_USDC"))["lastPrice"] == "100"
    assert history.waits == 2  # for a moment each
    history.lag = None
    assert len(await get(client, "/api/v1/trades?symbol=SOL_USDC")) == 2


@with_history()
async def test_an_unreadable_store_is_504(
    venue: RunningExchange, client: HttpClient, history: MemoryHistory
) -> None:
    """Trading continues."""
    history.broken = True
    for path in ("/api/v1/trades?symbol=SOL_USDC", "/api/v1/tickers", ORDERS, FILLS):
        reply = await client.ask("GET", path, token=ALICE_TOKEN)
        assert reply.error() == (504, "TIMEOUT", "History is behind")
    assert (await client.ask("POST", "/api/v1/order", bid(), token=ALICE_TOKEN)).status == 200


@with_history()
async def test_private_history_is_signed_and_only_of_the_account(
    venue: RunningExchange, client: HttpClient, history: MemoryHistory
) -> None:
    """Under its own instruction only."""
    await client.ask("POST", "/api/v1/order", bid(), token=ALICE_TOKEN)
    for path, instruction in ((ORDERS, "orderHistoryQueryAll"), (FILLS, "fillHistoryQueryAll")):
        text = "limit=5&symbol=SOL_USDC"
        reply = await client.ask("GET", f"{path}?{text}", headers=signed(instruction, text))
        assert reply.status == 200
        reply = await client.ask("GET", f"{path}?{text}", headers=signed("orderQuery", text))
        assert reply.error()[:2] == (401, "INVALID_SIGNATURE")
        assert (await client.ask("GET", path)).error()[:2] == (401, "UNAUTHORIZED")
