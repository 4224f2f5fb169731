"""Messages of streams: documented shapes and fields."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from fairbook.api import streams
from fairbook.api.numbers import MarketScales, asset_scale
from fairbook.api.streams import StreamedOrder
from fairbook.candles.bars import Bar
from fairbook.candles.ticker import Totals
from fairbook.core import records
from fairbook.core.markets import Asset, Market
from fairbook.core.records import read_placed
from fairbook.ports.queries import BookDepth

SOL = Asset(1, "SOL", 9)
USDC = Asset(2, "USDC", 6)
# One lot is 0.001 SOL, one tick 0.01 USDC.
SCALES = MarketScales(
    Market(1, "SOL_USDC", base=SOL, quote=USDC, lot_atoms=10**6, tick_atoms=10, created_ns=0),
    base=SOL,
    quote=USDC,
)
NOW: dict[str, Any] = {"time_us": 1694687965940999, "sent_us": 1694687965941000}

# The public contract, section 5.
DEPTH = """{"e":"depth","E":1694687965941000,"s":"SOL_USDC","a":[["18.70","0.000"]],
    "b":[["18.67","0.832"]],"U":94978271,"u":94978271,"T":1694687965940999}"""
BOOK_TICKER = """{"e":"bookTicker","E":1694687965941000,"s":"SOL_USDC","a":"18.70","A":"1.000",
    "b":"18.67","B":"2.000","u":1015,"T":1694687965940999}"""
TRADE = """{"e":"trade","E":1694687965941000,"s":"SOL_USDC","p":"18.68","q":"0.122","b":"17",
    "a":"16","t":12345,"T":1694687965940999,"m":true}"""
TICKER = """{"e":"ticker","E":1694687965941000,"s":"SOL_USDC","o":"18.75","c":"19.24","h":"19.80",
    "l":"18.50","v":"32123","V":"928190","n":93828}"""
KLINE = """{"e":"kline","E":1694687965941000,"s":"SOL_USDC","t":"2024-09-11T12:00:00",
    "T":"2024-09-11T12:01:00","o":"18.75","c":"19.25","h":"19.80","l":"18.50","v":"32123",
    "n":93828,"X":false}"""
ORDER_FILL = """{"e":"orderFill","E":1694687965941000,"s":"SOL_USDC","c":123,"S":"Bid",
    "o":"LIMIT","f":"GTC","q":"1","Q":"141.5","p":"141.5","X":"PartiallyFilled","i":"4227701917",
    "t":2888471,"l":"0.10","L":"141.50","m":false,"n":"0.0142","N":"USDC","z":"0.10","Z":"14.150",
    "V":"RejectTaker","T":1694687965940999,"O":"USER","r":false,"y":false}"""
BALANCE = """{"e":"balanceUpdate","E":1694687965941000,"a":"USDC","A":"1000","L":"10","S":"0",
    "T":1694687965940999}"""


def plain(value: Any) -> Any:
    """Numbers as this exchange writes them: without trailing zeros."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, str) and "." in value and value.replace(".", "").isdigit():
        return value.rstrip("0").rstrip(".")
    return value


def documented(example: str, **ours: Any) -> list[tuple[str, Any]]:
    """Fields and values of an example, in their order. ours: values that differ here."""
    return [(key, ours.get(key, plain(value))) for key, value in json.loads(example).items()]


def fields(text: str) -> list[tuple[str, Any]]:
    return list(json.loads(text).items())


def order(
    command: bytes, *, order_id: int = 4227701917, filled: int = 0, quote: int = 0
) -> StreamedOrder:
    """The order of a command, partly filled."""
    made = StreamedOrder(read_placed(command))
    made.terms.order_id, made.filled, made.quote = order_id, filled, quote
    return made


def placed(**more: int) -> bytes:
    terms: dict[str, Any] = {
        "account": 2,
        "market": 1,
        "side": records.BID,
        "price": 14150,
        "quantity": 1000,
    }
    return records.place(**{**terms, **more})


def a_fill(**values: int) -> Any:
    """An object with fields of records.Fill."""
    return SimpleNamespace(**values)


def update(made: StreamedOrder, event: str, status: int, reason: int = 0) -> Any:
    return json.loads(
        streams.order_update(made, SCALES, event=event, status=status, reason=reason, **NOW)
    )


def test_the_client_id_is_a_number_or_a_text() -> None:
    numbered = order(placed(flags=records.HAS_CLIENT_ID, client_id=7))
    assert accepted_update(numbered)["c"] == 7
    assert "c" not in accepted_update(order(placed()))
    text = StreamedOrder(read_placed(placed()), "007")
    assert accepted_update(text)["c"] == "007"


def accepted_update(made: StreamedOrder) -> Any:
    return update(made, streams.ORDER_ACCEPTED, records.NEW)


def test_the_documented_examples() -> None:
    """Same fields in the same order, and the same values."""
    text = streams.depth(
        SCALES, bids={1867: 832}, asks={1870: 0}, first_id=94978271, last_id=94978271, **NOW
    )
    assert fields(text) == documented(DEPTH)
    book = BookDepth(1015, 1694687965940999_000, bids=[(1867, 2000)], asks=[(1870, 1000)])
    text = streams.book_ticker(SCALES, book, sent_us=NOW["sent_us"])
    assert fields(text) == documented(BOOK_TICKER)
    fill = a_fill(
        trade_id=12345, price=1868, lots=122, side=records.ASK, taker_order_id=16,
        maker_order_id=17,
    )  # fmt: skip
    assert fields(streams.trade(SCALES, fill, **NOW)) == documented(TRADE)
    totals = Totals(
        first=1875, last=1924, high=1980, low=1850, lots=32123_000, quote=928190_000_000,
        trades=93828,
    )  # fmt: skip
    text = streams.ticker(SCALES, totals, sent_us=NOW["sent_us"])
    assert fields(text) == documented(TICKER)
    bar = Bar(
        1726056000, open=1875, close=1925, high=1980, low=1850, lots=32123_000, quote=1,
        trades=93828, first_id=1, last_id=93828,
    )  # fmt: skip
    text = streams.kline(SCALES, bar, end_s=1726056060, is_final=False, sent_us=NOW["sent_us"])
    assert fields(text) == documented(KLINE)
    text = streams.balance(
        "USDC", asset_scale(USDC), available=1000_000_000, locked=10_000_000, **NOW
    )
    assert fields(text) == documented(BALANCE)


def test_the_documented_fill() -> None:
    """Except for the fee: a buyer pays it in the base asset."""
    command = placed(flags=records.HAS_CLIENT_ID, client_id=123)
    text = streams.order_update(
        order(command, filled=100, quote=14_150_000), SCALES, event="orderFill",
        status=records.PARTIALLY_FILLED, is_maker=False, **NOW,
        fill=a_fill(trade_id=2888471, price=14150, lots=100, taker_fee=14_200_000, maker_fee=1),
    )  # fmt: skip
    assert fields(text) == documented(ORDER_FILL, N="SOL")
    text = streams.order_update(
        order(placed(side=records.ASK), filled=1000, quote=141_500_000), SCALES,
        event="orderFill", status=records.FILLED, is_maker=True, **NOW,
        fill=a_fill(trade_id=1, price=14150, lots=900, maker_fee=14_200, taker_fee=1),
    )  # fmt: skip
    assert fields(text) == [
        item
        for item in documented(
            ORDER_FILL, S="Ask", X="Filled", t=1, l="0.9", m=True, z="1", Z="141.5"
        )
        if item[0] != "c"
    ]


def test_messages_of_orders_have_only_their_fields() -> None:
    """t l L m n N with fills only, R when an order expired, c if there is one, p with a price."""
    always = set("eEsSofqXizZVTOry")
    made = order(placed())
    accepted = accepted_update(made)
    assert set(accepted) == always | {"Q", "p"}
    assert (accepted["e"], accepted["X"], accepted["z"], accepted["Z"]) == (
        "orderAccepted", "New", "0", "0",
    )  # fmt: skip
    modified = update(made, streams.ORDER_MODIFIED, records.NEW)
    assert set(modified) == set(accepted) and modified["e"] == "orderModified"
    cancelled = update(
        made, streams.ORDER_CLOSED[records.CANCELLED], records.CANCELLED, records.BY_REQUEST
    )
    assert set(cancelled) == set(accepted)
    assert (cancelled["e"], cancelled["X"]) == ("orderCancelled", "Cancelled")
    with_id = order(placed(flags=records.HAS_CLIENT_ID, client_id=0))
    assert accepted_update(with_id)["c"] == 0


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (records.IMMEDIATE_OR_CANCEL, "ImmediateOrCancel"),
        (records.WALK_LIMIT, "WalkLimit"),
        (records.FILL_OR_KILL, "FillOrKill"),
        (records.SELF_TRADE, "SelfTradePrevention"),
        (records.INSUFFICIENT_LIQUIDITY, "InsufficientLiquidity"),
        (records.PRICE_OUT_OF_BOUNDS, "PriceOutOfBounds"),
    ],
)
def test_the_reason_of_expiry(reason: int, text: str) -> None:
    made = order(placed(tif=records.IOC))
    expired = update(made, streams.ORDER_CLOSED[records.EXPIRED], records.EXPIRED, reason)
    assert (expired["e"], expired["X"], expired["R"], expired["f"]) == (
        "orderExpired", "Expired", text, "IOC",
    )  # fmt: skip


def test_terms_of_orders() -> None:
    """Times in force, self-trade prevention, post-only; market orders have no price."""
    flags = records.POST_ONLY | records.REJECT_BOTH << records.STP_SHIFT
    accepted = accepted_update(order(placed(flags=flags)))
    assert (accepted["o"], accepted["f"], accepted["V"], accepted["y"]) == (
        "LIMIT", "GTC", "RejectBoth", True,
    )  # fmt: skip
    command = placed(flags=records.MARKET_ORDER, price=0, tif=records.IOC)
    accepted = accepted_update(order(command))
    assert "p" not in accepted and "Q" not in accepted
    assert (accepted["o"], accepted["f"], accepted["q"]) == ("MARKET", "IOC", "1")
    command = placed(
        flags=records.MARKET_ORDER | records.BY_QUOTE, price=0, tif=records.IOC, quantity=10**7
    )
    accepted = accepted_update(order(command, filled=5))
    assert (accepted["q"], accepted["Q"], accepted["z"]) == ("0.005", "10", "0.005")


def test_an_empty_side_and_a_new_market_are_zeros() -> None:
    book = BookDepth(12, 1, bids=[], asks=[(1870, 1000)])
    quote = json.loads(streams.book_ticker(SCALES, book, sent_us=1))
    assert (quote["b"], quote["B"], quote["a"], quote["A"]) == ("0", "0", "18.7", "1")
    text = streams.ticker(SCALES, Totals(0, 0, 0, 0, 0, 0, 0), sent_us=1)
    assert {json.loads(text)[key] for key in "ochlvV"} == {"0"}
    text = streams.depth(SCALES, bids={}, asks={}, first_id=1, last_id=1, **NOW)
    assert (json.loads(text)["a"], json.loads(text)["b"]) == ([], [])


def test_a_message_names_its_stream() -> None:
    made = json.loads(streams.message("trade.SOL_USDC", '{"t":1}'))
    assert made == {"stream": "trade.SOL_USDC", "data": {"t": 1}}
