"""Private streams of a feed beside a real exchange: what each side of a trade receives."""

from __future__ import annotations

from typing import Any

from fairbook.core import records
from fairbook.core.records import read_outcome
from fairbook.streams.channel_source import KEEP, Channel
from tests.streams.feed_harness import (
    ANN,
    BOB,
    EVE,
    MARKET,
    OTHER_MARKET,
    START_NS,
    FeedHarness,
    buy,
    sell,
)
from tests.world.markets import SOL
from tests.world.money import debit

NOW_NS = START_NS + 5_000_000_000
ORDERS = "account.orderUpdate"


def told(messages: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    """(event, status, last quantity, filled) of each."""
    return [(one["e"], one["X"], one.get("l", ""), one["z"]) for one in messages]


async def test_an_order_that_rests_and_is_filled_in_parts() -> None:
    """Maker and taker receive each fill, with their own fees, ids and sums."""
    harness = FeedHarness(now_ns=NOW_NS)
    ann = await harness.join(ORDERS, ANN)
    bob = await harness.join(ORDERS, BOB)
    rest = read_outcome(await harness.run(sell(ANN, 10000, 500, client_id=7)))
    assert ann == [
        {
            "e": "orderAccepted", "E": NOW_NS // 1000, "s": "SOL_USDC", "c": 7, "S": "Ask",
            "o": "LIMIT", "f": "GTC", "q": "5", "Q": "500", "p": "100", "X": "New",
            "i": str(rest.order_id), "z": "0", "Z": "0", "V": "RejectTaker",
            "T": START_NS // 1000, "O": "USER", "r": False, "y": False,
        }
    ]  # fmt: skip
    take = read_outcome(await harness.run(buy(BOB, 10100, 200), seconds=1))
    assert ann[1] == {
        "e": "orderFill", "E": NOW_NS // 1000, "s": "SOL_USDC", "c": 7, "S": "Ask",
        "o": "LIMIT", "f": "GTC", "q": "5", "Q": "500", "p": "100", "X": "PartiallyFilled",
        "i": str(rest.order_id), "t": 1, "l": "2", "L": "100", "m": True, "n": "0.16",
        "N": "USDC", "z": "2", "Z": "200", "V": "RejectTaker",
        "T": START_NS // 1000 + 1_000_000, "O": "USER", "r": False, "y": False,
    }  # fmt: skip
    assert told(bob) == [
        ("orderAccepted", "New", "", "0"),
        ("orderFill", "Filled", "2", "2"),
    ]
    assert (bob[1]["i"], bob[1]["m"], bob[1]["n"], bob[1]["N"]) == (
        str(take.order_id), False, "0.002", "SOL",
    )  # fmt: skip
    await harness.run(buy(EVE, 10000, 400))
    assert told(ann[2:]) == [("orderFill", "Filled", "3", "5")]
    assert len(bob) == 2, "not hers"
    assert {m.rule for m in harness.messages[Channel(ORDERS, ANN)]} == {KEEP}


async def test_a_taker_with_several_fills_is_accepted_first() -> None:
    """One event per fill; what is left rests, expires or is cancelled."""
    harness = FeedHarness()
    bob = await harness.join(ORDERS, BOB)
    await harness.run(*[sell(ANN, price, 100) for price in (10000, 10000, 10001)])
    await harness.run(buy(BOB, 10001, 400))
    assert told(bob) == [
        ("orderAccepted", "New", "", "0"),
        ("orderFill", "PartiallyFilled", "1", "1"),
        ("orderFill", "PartiallyFilled", "1", "2"),
        ("orderFill", "PartiallyFilled", "1", "3"),
    ]
    assert [one["Z"] for one in bob] == ["0", "100", "200", "300.01"]
    await harness.run(records.cancel_all(account=BOB))
    assert told(bob[4:]) == [("orderCancelled", "Cancelled", "", "3")]
    bob.clear()
    await harness.run(sell(ANN, 10000, 100), buy(BOB, 10000, 150, tif=records.IOC))
    assert told(bob) == [
        ("orderAccepted", "New", "", "0"),
        ("orderFill", "PartiallyFilled", "1", "1"),
        ("orderExpired", "Expired", "", "1"),
    ]
    assert bob[2]["R"] == "ImmediateOrCancel"
    bob.clear()
    await harness.run(buy(BOB, 10000, 150, tif=records.FOK))
    assert told(bob)[1:] == [("orderExpired", "Expired", "", "0")]
    assert bob[1]["R"] == "FillOrKill"


async def test_a_market_order_by_quote_ends_with_its_last_fill() -> None:
    """Though it has no quantity that could be reached; also after its own maker was taken away."""
    harness = FeedHarness()
    bob = await harness.join(ORDERS, BOB)
    await harness.run(sell(ANN, 10000, 100), sell(EVE, 10000, 100))
    flags = records.MARKET_ORDER | records.BY_QUOTE
    by_quote: dict[str, Any] = {"flags": flags, "tif": records.IOC}
    await harness.run(
        records.place(
            account=BOB, market=MARKET, side=records.BID, quantity=150_000_001, **by_quote
        )
    )
    assert told(bob) == [
        ("orderAccepted", "New", "", "0"),
        ("orderFill", "PartiallyFilled", "1", "1"),
        ("orderFill", "Filled", "0.5", "1.5"),
    ]
    assert [(one["q"], one["Q"]) for one in bob] == [
        ("0", "150.000001"), ("1", "150.000001"), ("1.5", "150.000001"),
    ]  # fmt: skip
    await harness.run(sell(BOB, 10000, 100))
    bob.clear()
    by_quote["flags"] |= records.REJECT_MAKER << records.STP_SHIFT
    await harness.run(
        records.place(account=BOB, market=MARKET, side=records.BID, quantity=50_500_000, **by_quote)
    )
    assert told(bob) == [
        ("orderAccepted", "New", "", "0"),
        ("orderFill", "PartiallyFilled", "0.5", "0.5"),
        ("orderExpired", "Expired", "", "0"),
        ("orderExpired", "Expired", "", "0.5"),
    ]
    assert [one.get("R") for one in bob[2:]] == ["SelfTradePrevention", "InsufficientLiquidity"]
    await harness.run(sell(BOB, 10000, 100), sell(EVE, 10001, 100))
    bob.clear()
    await harness.run(
        records.place(account=BOB, market=MARKET, side=records.BID, quantity=50_500_000, **by_quote)
    )
    assert told(bob) == [
        ("orderAccepted", "New", "", "0"),
        ("orderExpired", "Expired", "", "0"),
        ("orderFill", "Filled", "0.5", "0.5"),
    ]


async def test_an_amended_order_is_published_with_its_new_terms() -> None:
    """A lower quantity, and a price at which it trades."""
    harness = FeedHarness()
    ann = await harness.join(ORDERS, ANN)
    placed = read_outcome(await harness.run(buy(ANN, 9900, 500)))
    await harness.run(sell(BOB, 9900, 100), sell(BOB, 10000, 150))
    named: dict[str, Any] = {"account": ANN, "market": MARKET, "order_id": placed.order_id}
    await harness.run(records.amend(**named, quantity=400))
    assert told(ann[2:]) == [("orderModified", "PartiallyFilled", "", "1")]
    assert (ann[2]["q"], ann[2]["p"]) == ("4", "99")
    await harness.run(records.amend(**named, price=10000))
    assert told(ann[3:]) == [
        ("orderModified", "PartiallyFilled", "", "1"),
        ("orderFill", "PartiallyFilled", "1.5", "2.5"),
    ]
    assert (ann[4]["p"], ann[4]["m"], ann[4]["Z"]) == ("100", False, "249")
    await harness.run(sell(BOB, 10000, 150))
    assert told(ann[5:]) == [("orderFill", "Filled", "1.5", "4")]
    assert ann[5]["m"] is True


async def test_a_text_is_in_every_update_of_its_order() -> None:
    """Though only ACCEPTED comes with it: also of orders from before, and with no other text."""
    harness = FeedHarness()
    await harness.run(text_sell("early", 10100), sell(ANN, 10200, 100))
    ann = await harness.join(ORDERS, ANN)
    await harness.run(text_sell("late", 10000), sell(ANN, 10300, 100), text_sell("7a", 10050))
    await harness.run(records.amend(account=ANN, text="late", quantity=50))
    await harness.run(records.amend(account=ANN, text="early", price=10150))
    await harness.run(buy(BOB, 10000, 50), records.cancel(account=ANN, text="early"))
    harness.leave(ORDERS, ANN)
    ann += await harness.join(ORDERS, ANN)
    await harness.run(records.cancel_all(account=ANN))
    assert [(one["e"], one.get("c")) for one in ann] == [
        ("orderAccepted", "late"), ("orderAccepted", None), ("orderAccepted", "7a"),
        ("orderModified", "late"), ("orderModified", "early"), ("orderFill", "late"),
        ("orderCancelled", "early"),
    ]  # fmt: skip
    assert [(one["e"], one.get("c")) for one in harness.received[Channel(ORDERS, ANN)]] == [
        ("orderCancelled", None), ("orderCancelled", None), ("orderCancelled", "7a"),
    ]  # fmt: skip


def text_sell(text: str, price: int) -> bytes:
    return records.place(
        account=ANN, market=MARKET, side=records.ASK, price=price, quantity=100, text=text
    )


async def test_orders_of_before_are_known() -> None:
    """A late subscriber receives updates of orders that were placed, and partly filled, before."""
    harness = FeedHarness()
    await harness.run(sell(ANN, 10000, 500, client_id=9), buy(BOB, 10000, 100))
    harness.apply(buy(BOB, 10000, 100))  # Taken, and not folded yet.
    ann = await harness.join(ORDERS, ANN)
    assert ann == []
    await harness.run(buy(BOB, 10000, 100))
    assert told(ann) == [("orderFill", "PartiallyFilled", "1", "3")]
    assert ann[0]["c"] == 9
    harness.leave(ORDERS, ANN)
    await harness.run(buy(BOB, 10000, 100))
    ann = await harness.join(ORDERS, ANN)
    await harness.run(buy(BOB, 10000, 100))
    assert told(ann) == [("orderFill", "Filled", "1", "5")]


async def test_each_name_gets_its_own_copy() -> None:
    """The one of a market has that market's orders only, the other one all."""
    harness = FeedHarness()
    every = await harness.join(ORDERS, ANN)
    await harness.run(buy(ANN, 9900, 500))
    sol = await harness.join(f"{ORDERS}.SOL_USDC", ANN)
    btc = await harness.join(f"{ORDERS}.BTC_USDC", ANN)
    await harness.run(buy(ANN, 9900, 500), buy(ANN, 100, 1, market=OTHER_MARKET))
    assert [one["s"] for one in every] == ["SOL_USDC", "SOL_USDC", "BTC_USDC"]
    assert sol == [every[1]] and btc == [every[2]]
    harness.leave(ORDERS, ANN)
    await harness.run(records.cancel_all(account=ANN))
    assert [len(every), len(sol), len(btc)] == [3, 3, 2]


async def test_balances_are_published_once_per_frame_and_asset() -> None:
    """First all that there is, then what has changed: by orders, trades and money in and out."""
    harness = FeedHarness(now_ns=NOW_NS)
    bob = await harness.join("account.balanceUpdate", BOB)
    at = {"E": NOW_NS // 1000, "T": START_NS // 1000, "S": "0"}
    assert bob == [
        {"e": "balanceUpdate", **at, "a": "SOL", "A": "1000000", "L": "0"},
        {"e": "balanceUpdate", **at, "a": "USDC", "A": "10000000", "L": "0"},
        {"e": "balanceUpdate", **at, "a": "BTC", "A": "1000", "L": "0"},
    ]
    bob.clear()
    await harness.run(sell(BOB, 10000, 100), sell(BOB, 10000, 100))
    assert [(one["a"], one["A"], one["L"]) for one in bob] == [("SOL", "999998", "2")]
    bob.clear()
    await harness.run(buy(ANN, 10000, 150))
    assert [(one["a"], one["A"], one["L"]) for one in bob] == [
        ("SOL", "999998", "0.5"), ("USDC", "10000149.88", "0"),
    ]  # fmt: skip
    bob.clear()
    await harness.run(records.cancel_all(account=BOB), buy(ANN, 1, 1))
    assert [(one["a"], one["A"], one["L"]) for one in bob] == [("SOL", "999998.5", "0")]
    bob.clear()
    await harness.run(
        debit(account=BOB, asset=SOL, atoms=998_998_500_000_000 + 999_500_000_000_000),
        debit(account=BOB, asset=SOL, atoms=999_998_500_000_000),
        buy(EVE, 1, 1),
    )
    assert [(one["a"], one["A"], one["L"]) for one in bob] == [("SOL", "0", "0")]
    harness.leave("account.balanceUpdate", BOB)
    bob = await harness.join("account.balanceUpdate", BOB)
    assert [one["a"] for one in bob] == ["USDC", "BTC"]


async def test_an_account_receives_nothing_of_others() -> None:
    """An unknown account gets nothing; an account that unsubscribes is forgotten."""
    harness = FeedHarness()
    assert await harness.join("account.balanceUpdate", 99) == []
    unknown = await harness.join(ORDERS, 99)
    await harness.run(buy(ANN, 9900, 500), sell(BOB, 9900, 500))
    assert unknown == []
