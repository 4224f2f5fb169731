"""Public streams of a feed beside a real exchange: what is sent, and when."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from fairbook.candles.bars import INTERVALS
from fairbook.core import admin_records, records
from fairbook.streams.channel_source import KEEP, LATEST, MERGE, Channel
from fairbook.streams.replay_tail import ReplayTail
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

NOW_NS = START_NS + 5_000_000_000


def without_clocks(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages without E and T."""
    return [{key: value for key, value in one.items() if key not in "ET"} for one in messages]


async def test_depth_of_a_frame_is_one_message_with_the_levels_as_they_are_now() -> None:
    """Absolute quantities, 0 for a level that is gone, ids that follow each other, microseconds."""
    harness = FeedHarness(now_ns=NOW_NS)
    depth = await harness.join("depth.SOL_USDC")
    greeting = len(depth)
    await harness.run(buy(ANN, 9950, 150), buy(BOB, 9950, 50), sell(ANN, 10000, 3), seconds=1)
    assert depth[greeting:] == [
        {
            "e": "depth", "E": NOW_NS // 1000, "s": "SOL_USDC", "a": [["100","0.03"]],
            "b": [["99.5", "2"]], "U": 13, "u": 15, "T": START_NS // 1000 + 1_000_000,
        }
    ]  # fmt: skip
    assert harness.messages[Channel("depth.SOL_USDC")][-1].rule == MERGE
    await harness.run(sell(EVE, 9950, 200))
    assert depth[greeting + 1]["b"] == [["99.5", "0"]]
    await harness.run(buy(EVE, 100, 1, market=OTHER_MARKET))
    assert len(depth) == greeting + 2, "another market is another channel"


async def test_a_quiet_market_begins_with_twelve_empty_deltas() -> None:
    """Public clients wait for eleven before they request the book."""
    harness = FeedHarness()
    for name in ("depth.SOL_USDC", "depth.200ms.SOL_USDC"):
        depth = await harness.join(name)
        assert [(one["U"], one["u"]) for one in depth] == [(n, n) for n in range(1, 13)]
        assert all(one["a"] == one["b"] == [] for one in depth)
    assert harness.view.depth(MARKET, 1).update_id == 12


async def test_a_feed_that_begins_later_publishes_no_earlier_id() -> None:
    """After a restart the first messages follow the book's update id: a client with an earlier one
    sees a gap, even if it missed fewer changes than there are first messages.
    """
    first = FeedHarness()
    for price in range(9000, 9040):
        first.apply(buy(ANN, price, 1))
    harness = FeedHarness(first.exchange)
    depth = await harness.join("depth.SOL_USDC")
    assert [(one["U"], one["u"]) for one in depth] == [(53, 52)] * 12
    await harness.run(buy(ANN, 9950, 1))
    assert depth[-1]["U"] == depth[-1]["u"] == 53


@pytest.mark.parametrize("replayed", [0, 1, 5, 15, 16, 40])
async def test_a_feed_begins_with_what_was_replayed(replayed: int) -> None:
    """A client that reconnects after a restart gets the missed changes, or sees a gap."""
    first = FeedHarness()
    replay_tail = ReplayTail()
    prices = range(9000, 9040)
    for number, price in enumerate(prices):
        events = first.apply(buy(ANN, price, 1))
        if number >= len(prices) - replayed:
            replay_tail.on_frame(0, first.time_ns, b"", events)
    harness = FeedHarness(first.exchange, replay_tail=replay_tail)
    for name in ("depth.SOL_USDC", "depth.1000ms.SOL_USDC"):
        depth = await harness.join(name)
        assert len(depth) >= 12
        assert all(two["U"] == one["u"] + 1 for one, two in pairwise(depth))
        assert depth[-1]["u"] == 52
        named = [one for one in depth if one["U"] <= one["u"]]
        assert len(named) == min(replayed, 16)
        for one in named:
            assert one["U"] == one["u"]
            assert one["b"] == [[str((9000 + one["u"] - 13) / 100).removesuffix(".0"), "0.01"]]
            assert one["a"] == []


def test_what_is_kept_of_a_replay_is_bounded() -> None:
    """The newest frames are kept; ticks are not."""
    replay_tail = ReplayTail(bytes_max=1000)
    for number in range(50):
        replay_tail.on_frame(number, number, b"", bytes(300))
        replay_tail.on_frame(number, number, b"", bytes(56))
    assert [time_ns for time_ns, _ in replay_tail.frames] == [47, 48, 49]


async def test_a_market_that_is_listed_later_has_streams() -> None:
    harness = FeedHarness()
    assert harness.feed.find("depth.SOL_BTC") is None
    await harness.run(
        admin_records.list_market(
            market=3, base=1, quote=3, lot_atoms=10**7, tick_atoms=10, name="SOL_BTC"
        ),
        admin_records.set_market(market=3, parameter=admin_records.STATE, value=admin_records.OPEN),
        buy(ANN, 7, 1, market=3),
    )
    depth = await harness.join("depth.SOL_BTC")
    assert [one["u"] for one in depth] == list(range(1, 14))
    assert depth[-1]["b"] == [["0.00007", "0.01"]]


async def test_trades_name_buyer_and_seller_for_either_taker() -> None:
    """m: the buyer was the maker; the ids are those of the orders."""
    harness = FeedHarness(now_ns=NOW_NS)
    trades = await harness.join("trade.SOL_USDC")
    assert trades == []
    rest = records.read_outcome(await harness.run(sell(ANN, 10000, 500)))
    take = records.read_outcome(await harness.run(buy(BOB, 10100, 200), seconds=1))
    assert trades == [
        {
            "e": "trade", "E": NOW_NS // 1000, "s": "SOL_USDC", "p": "100", "q": "2",
            "b": str(take.order_id), "a": str(rest.order_id), "t": 1,
            "T": START_NS // 1000 + 1_000_000, "m": False,
        }
    ]  # fmt: skip
    rest = records.read_outcome(await harness.run(buy(BOB, 9900, 100)))
    take = records.read_outcome(await harness.run(sell(EVE, 9900, 100)))
    assert (trades[1]["b"], trades[1]["a"]) == (str(rest.order_id), str(take.order_id))
    assert (trades[1]["p"], trades[1]["t"], trades[1]["m"]) == ("99", 2, True)
    assert {m.rule for m in harness.messages[Channel("trade.SOL_USDC")]} == {KEEP}
    await harness.run(buy(ANN, 10000, 10), sell(BOB, 1, 1, market=OTHER_MARKET))
    assert [one["t"] for one in trades] == [1, 2], "an order of its own account is not met"


async def test_best_prices_are_sent_when_they_change_and_only_then() -> None:
    """An empty side is "0"; what happens behind the best level is no change."""
    harness = FeedHarness(now_ns=NOW_NS)
    quotes = await harness.join("bookTicker.SOL_USDC")
    nothing = {"a": "0", "A": "0", "b": "0", "B": "0", "u": 12}
    assert without_clocks(quotes) == [{"e": "bookTicker", "s": "SOL_USDC", **nothing}]
    await harness.run(buy(ANN, 9950, 150), seconds=2)
    assert quotes[1] == {
        "e": "bookTicker", "E": NOW_NS // 1000, "s": "SOL_USDC", "a": "0", "A": "0",
        "b": "99.5", "B": "1.5", "u": 13, "T": START_NS // 1000 + 2_000_000,
    }  # fmt: skip
    await harness.run(buy(ANN, 9940, 1), sell(ANN, 10001, 2))
    assert (quotes[2]["a"], quotes[2]["A"], quotes[2]["b"]) == ("100.01", "0.02", "99.5")
    await harness.run(buy(ANN, 9930, 1), sell(ANN, 10002, 1))
    assert len(quotes) == 3
    await harness.run(sell(BOB, 9950, 50))
    assert (quotes[3]["b"], quotes[3]["B"]) == ("99.5", "1")
    assert {m.rule for m in harness.messages[Channel("bookTicker.SOL_USDC")]} == {LATEST}
    harness.leave("bookTicker.SOL_USDC")
    await harness.run(sell(BOB, 9950, 50))
    assert (await harness.join("bookTicker.SOL_USDC"))[0]["B"] == "0.5"


async def test_the_ticker_is_sent_after_subscribe_and_at_most_once_a_second() -> None:
    """Zeros before the first trade; what was held back goes out with the next second."""
    harness = FeedHarness(now_ns=NOW_NS)
    ticker = await harness.join("ticker.SOL_USDC")
    zeros = {"o": "0", "c": "0", "h": "0", "l": "0", "v": "0", "V": "0", "n": 0}
    assert ticker == [{"e": "ticker", "E": NOW_NS // 1000, "s": "SOL_USDC", **zeros}]
    await harness.run(sell(ANN, 10000, 500), sell(ANN, 10200, 500))
    assert len(ticker) == 1
    await harness.run(buy(BOB, 10000, 500), seconds=1)
    await harness.run(buy(BOB, 10200, 100))
    await harness.run(sell(BOB, 9000, 1), buy(ANN, 9000, 1), seconds=0.5)
    assert len(ticker) == 2 and ticker[1]["n"] == 1
    await harness.tick()
    assert without_clocks(ticker[2:]) == [
        {
            "e": "ticker", "s": "SOL_USDC", "o": "100", "c": "90", "h": "102", "l": "90",
            "v": "6.01", "V": "602.9", "n": 3,
        }
    ]  # fmt: skip
    await harness.tick(3)
    assert len(ticker) == 3, "nothing has changed"
    await harness.run(seconds=86_300)  # An idle stretch of log time, then second by second.
    await harness.tick(100)
    assert without_clocks(ticker[-1:]) == [
        {
            "e": "ticker", "s": "SOL_USDC", "o": "90", "c": "90", "h": "90", "l": "90",
            "v": "0", "V": "0", "n": 0,
        }
    ]  # fmt: skip
    assert len(ticker) <= 6, "once for each second that left the window"


async def test_a_bar_is_sent_on_change_and_once_when_it_is_final() -> None:
    """Also in a quiet market, and then flat at the close before."""
    harness = FeedHarness(now_ns=NOW_NS)  # 22:13:20
    bars = await harness.join("kline.1m.SOL_USDC")
    assert bars == [], "nothing before the first trade"
    await harness.tick(60)
    assert bars == []
    await harness.run(sell(ANN, 10000, 500))
    await harness.run(buy(BOB, 10000, 100))
    assert bars == [
        {
            "e": "kline", "E": NOW_NS // 1000, "s": "SOL_USDC", "t": "2023-11-14T22:14:00",
            "T": "2023-11-14T22:15:00", "o": "100", "c": "100", "h": "100", "l": "100",
            "v": "1", "n": 1, "X": False,
        }
    ]  # fmt: skip
    await harness.run(buy(BOB, 10000, 100), seconds=0.5)
    assert len(bars) == 1
    await harness.tick()
    assert [(one["v"], one["X"]) for one in bars] == [("1", False), ("2", False)]
    await harness.tick(60)
    final = {**bars[1], "X": True}
    assert bars[2:] == [final]
    await harness.tick(60)
    flat = {**final, "t": "2023-11-14T22:15:00", "T": "2023-11-14T22:16:00", "v": "0", "n": 0}
    assert bars[3:] == [flat]
    late = await harness.join("kline.1month.SOL_USDC")
    assert [(one["t"], one["T"], one["v"], one["X"]) for one in late] == [
        ("2023-11-01T00:00:00", "2023-12-01T00:00:00", "2", False)
    ]


async def test_the_trade_that_begins_a_bar_comes_after_the_final_one_before() -> None:
    """One frame ends the old bar and begins the new one."""
    harness = FeedHarness()
    bars = await harness.join("kline.1s.SOL_USDC")
    for step in range(5):
        await harness.run(sell(ANN, 10000 + step, 1), buy(BOB, 10000 + step, 1), seconds=1)
    assert [(one["o"], one["X"]) for one in bars] == [
        ("100", False),
        ("100", True), ("100.01", False),
        ("100.01", True), ("100.02", False),
        ("100.02", True), ("100.03", False),
        ("100.03", True), ("100.04", False),
    ]  # fmt: skip
    rules = [message.rule for message in harness.messages[Channel("kline.1s.SOL_USDC")]]
    assert rules == [KEEP if one["X"] else LATEST for one in bars]


async def test_every_interval_ends_exactly_once_per_bar() -> None:
    """Six days of a market that trades now and then: final bars have no gap and no twin."""
    harness = FeedHarness()
    received = {name: await harness.join(f"kline.{name}.SOL_USDC") for name in INTERVALS[1:]}
    await harness.run(sell(ANN, 10000, 10**6))
    for step in range(6 * 24 * 12):
        commands = [buy(BOB, 10000, 1)] if step % 7 == 0 else [admin_records.tick()]
        await harness.run(*commands, seconds=300)
    for name, bars in received.items():
        final = [one for one in bars if one["X"]]
        for before, after in pairwise(final):
            assert before["T"] == after["t"], name
    assert len([one for one in received["1d"] if one["X"]]) == 6
    assert len([one for one in received["1m"] if one["X"]]) == 6 * 24 * 60 - 5


async def test_merged_depth_is_sent_once_per_interval() -> None:
    """No timer runs while nothing changes, or after the channel was closed."""
    harness = FeedHarness()
    depth = await harness.join("depth.200ms.SOL_USDC")
    await harness.run(buy(ANN, 9950, 150))
    await harness.run(buy(ANN, 9950, 150), sell(ANN, 10000, 1))
    await harness.run(sell(BOB, 9950, 300))
    assert len(depth) == 12
    await asyncio.sleep(0.25)
    assert without_clocks(depth[12:]) == [
        {
            "e": "depth", "s": "SOL_USDC", "a": [["100", "0.01"]], "b": [["99.5", "0"]],
            "U": 13, "u": 16,
        }
    ]  # fmt: skip
    assert depth[12]["T"] == START_NS // 1000
    await harness.run(buy(ANN, 9950, 1))
    harness.leave("depth.200ms.SOL_USDC")
    await asyncio.sleep(0.25)
    again = await harness.join("depth.200ms.SOL_USDC")
    assert [(one["U"], one["u"]) for one in again[-4:]] == [
        (13, 13),
        (14, 15),
        (16, 16),
        (17, 17),
    ]


@pytest.mark.parametrize(
    "name",
    ["depth.SOL_USD", "trade.sol_usdc", "kline.2m.SOL_USDC", "account.orderUpdate.SOL_USD", "x"],
)
async def test_what_is_not_there_is_not_found(name: str) -> None:
    """Unknown markets and intervals."""
    assert FeedHarness().feed.find(name) is None


async def test_silent_streams_are_found() -> None:
    """They are accepted for the sake of clients, private ones only with a signature."""
    find = FeedHarness().feed.find
    private = find("account.rfqUpdate")
    assert private is not None and private.is_silent and private.is_private
    public = find("markPrice.SOL_USDC_PERP")
    assert public is not None and public.is_silent and not public.is_private


async def test_a_frame_that_is_missing_stops_the_feed() -> None:
    """Nothing more is published, and `failed` is set."""
    harness = FeedHarness()
    depth = await harness.join("depth.SOL_USDC")
    harness.exchange.apply(buy(ANN, 9950, 1), harness.time_ns)  # not shown
    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: errors.append(what))
    await harness.run(buy(ANN, 9950, 1))
    assert isinstance(harness.feed.failed.result(), AssertionError)
    assert len(errors) == 1
    await harness.run(buy(ANN, 9950, 1))
    assert len(depth) == 12


async def test_a_merged_message_that_cannot_be_sent_stops_the_feed() -> None:
    """A timer has no caller to which it could raise."""
    harness = FeedHarness()
    await harness.join("depth.200ms.SOL_USDC")
    harness.received.clear()  # Where to put a message is not known any more.
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    await harness.run(buy(ANN, 9950, 1))
    assert isinstance(await harness.feed.failed, AssertionError)


async def test_nothing_is_sent_after_the_end() -> None:
    """Timers and what was taken are dropped."""
    harness = FeedHarness()
    names = ("depth.SOL_USDC", "depth.200ms.SOL_USDC", "trade.SOL_USDC")
    for name in names:
        await harness.join(name)
    await harness.run(sell(ANN, 9950, 1))
    harness.apply(buy(BOB, 9950, 1))
    harness.feed.stop()
    counts = [len(harness.received[Channel(name)]) for name in names]
    harness.apply(buy(BOB, 9950, 1), seconds=1)
    await asyncio.sleep(0.25)
    assert [len(harness.received[Channel(name)]) for name in names] == counts == [13, 12, 0]
