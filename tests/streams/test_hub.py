"""The hub: channels open and close, and all receivers get the same messages."""

import asyncio
import json

from fairbook.streams.channel_source import Channel
from tests.streams.hub_harness import (
    DEPTH,
    NEWEST,
    PRICE,
    TRADES,
    HubHarness,
    replayed,
    with_hub,
)


@with_hub()
async def test_the_first_receiver_opens_and_the_last_closes_a_channel(
    harness: HubHarness,
) -> None:
    a, b = harness.connect(), harness.connect()
    a.subscribe("trades", "quiet")
    a.subscribe("trades")
    b.subscribe("trades")
    await harness.turn()
    assert harness.source.calls == [("open", TRADES)]
    harness.source.trade()
    await harness.turn()
    assert a.texts() == b.texts() == [{"stream": "trades", "data": [1, ""]}]
    assert a.written[0] is b.written[0], "one encoding for all"
    a.say(method="UNSUBSCRIBE", params=["trades"])
    harness.source.trade()
    await harness.turn()
    assert len(a.texts()) == 1 and len(b.texts()) == 2
    b.client.connection_lost()
    assert harness.source.calls == [("open", TRADES), ("close", TRADES)]
    a.subscribe("trades")
    await harness.turn()
    assert harness.source.calls[2:] == [("open", TRADES)]
    assert len(a.texts()) == 1, "trades have no initial messages"


@with_hub()
async def test_a_new_receiver_gets_initial_messages_and_no_gap(
    harness: HubHarness,
) -> None:
    """Even between two updates of one turn, while the source has more to fold."""
    old = harness.connect()
    old.subscribe("depth")
    await harness.turn()
    new = harness.connect()
    harness.source.set(1, 10)
    harness.source.set(2, 20)
    harness.source.pending = [(3, 30), (4, 40)]
    new.subscribe("depth")
    harness.source.set(5, 50)
    await harness.turn()
    assert replayed(old.received("depth")) == (5, harness.source.levels)
    ids = [first for first, _, _ in new.received("depth")]
    assert ids == list(range(5 - NEWEST, 6)), "initial messages, then what follows"
    assert len(old.written) == 3, "initial messages, updates before and after"


@with_hub()
async def test_subscribing_again_repeats_the_latest_state(harness: HubHarness) -> None:
    """ccxt.pro does so, and waits. KEEP and MERGE messages are not repeated."""
    wire = harness.connect()
    wire.subscribe("price", "depth", "trades")
    await harness.turn()
    harness.source.quote(7)
    await harness.turn()
    before = len(wire.received("depth"))
    harness.source.quote(8)
    wire.subscribe("price", "depth", "trades")
    await harness.turn()
    assert wire.received("price") == [7, 8, 8]
    assert len(wire.received("depth")) == before
    assert harness.source.calls.count(("open", PRICE)) == 1


@with_hub()
async def test_one_turn_is_one_write(harness: HubHarness) -> None:
    wire = harness.connect()
    wire.subscribe("trades")
    await harness.turn()
    for _ in range(50):
        harness.source.trade()
    assert wire.written == []
    await harness.turn()
    assert len(wire.written) == 1 and len(wire.received("trades")) == 50


@with_hub()
async def test_after_sending_the_hub_pauses_as_long_as_it_took(harness: HubHarness) -> None:
    """Orders need the same loop. What is published meanwhile is gathered, up to a size."""
    wire = harness.connect()
    wire.subscribe("trades")
    await harness.turn()
    wire.on_write = lambda: harness.pass_time(3600 * 10**9)
    harness.source.trade()
    await harness.turn()
    assert len(wire.written) == 1
    for _ in range(3):
        harness.source.trade()
        await harness.turn()
    assert len(wire.written) == 1
    harness.source.trade("x" * 100_000)
    assert len(wire.written) == 2 and len(wire.received("trades")) == 5
    harness.source.trade()
    await harness.hub.stop(0.0)
    assert len(wire.received("trades")) == 6


@with_hub()
async def test_a_short_pause_ends(harness: HubHarness) -> None:
    wire = harness.connect()
    wire.subscribe("trades")
    await harness.turn()
    wire.on_write = lambda: harness.pass_time(1_000_000)
    for number in range(1, 20):
        harness.source.trade()
        while len(wire.received("trades")) < number:  # noqa: ASYNC110 - from outside
            await asyncio.sleep(0.001)


@with_hub()
async def test_a_very_long_turn_is_sent_in_parts(harness: HubHarness) -> None:
    wire = harness.connect()
    wire.subscribe("trades")
    await harness.turn()
    for _ in range(50):
        harness.source.trade("x" * 10_000)
    assert len(wire.written) > 5
    await harness.turn()
    assert [number for number, _ in wire.received("trades")] == list(range(1, 51))
    assert max(map(len, wire.written)) < 100_000


@with_hub()
async def test_nothing_is_delivered_before_the_opening_has_ended(harness: HubHarness) -> None:
    slow = Channel("slow")
    a, b, c = harness.connect(), harness.connect(), harness.connect()
    a.subscribe("slow")
    await harness.turn()
    b.subscribe("slow")
    c.subscribe("slow")
    a.client.connection_lost()
    c.say(method="UNSUBSCRIBE", params=["slow"])
    harness.source.set(1, 1)
    await harness.turn()
    assert harness.source.calls == [("open", slow)] and b.written == []
    harness.source.gate.set()
    await harness.turn()
    harness.source.set(2, 2)
    await harness.turn()
    assert [first for first, _, _ in b.received("slow")] == [-1, 0, 1, 2]
    assert a.written == c.written == []


@with_hub()
async def test_an_unwanted_channel_is_closed_after_its_opening(harness: HubHarness) -> None:
    slow = Channel("slow")
    a = harness.connect()
    a.subscribe("slow")
    await harness.turn()
    a.client.connection_lost()
    await harness.turn()
    assert harness.source.calls == [("open", slow)], "it is not closed while it is being opened"
    b = harness.connect()
    b.subscribe("slow")
    b.say(method="UNSUBSCRIBE", params=["slow"])
    harness.source.gate.set()
    await harness.turn()
    assert harness.source.calls == [("open", slow), ("close", slow)]


async def test_a_failing_source_ends_failed() -> None:
    harness = HubHarness()
    harness.source.broken = ZeroDivisionError("a bug")
    harness.connect().subscribe("depth")
    assert await harness.hub.failed is harness.source.broken


async def test_a_failing_request_ends_failed() -> None:
    harness = HubHarness()
    harness.connect().say(method="break")
    assert isinstance(await harness.hub.failed, ZeroDivisionError)


@with_hub()
async def test_what_was_read_of_a_client_that_is_held_is_kept(harness: HubHarness) -> None:
    """The handler of requests keeps it, subscriptions too, and hands it back later."""
    a = harness.connect()
    a.say(id=1, method="hold")
    assert not a.is_read()
    a.say(id=2, method="echo")
    a.subscribe("price")
    await harness.turn()
    harness.source.quote(5)
    await harness.turn()
    assert a.written == []
    for payload in harness.requests.kept:
        a.client.handle(payload)
    a.client.go_on()
    assert a.is_read()
    a.say(id=3, method="echo")
    await harness.turn()
    assert [text.get("id") for text in a.texts() if "id" in text] == [2, 3]
    assert a.received("price") == [5]
    a.say(id=4, method="hold")
    a.client.connection_lost()
    a.say(id=5, method="echo")
    a.client.handle(harness.requests.kept[0])
    a.client.go_on()
    assert len(harness.requests.kept) == 2
    assert not a.is_read()


@with_hub()
async def test_requests_are_answered_and_their_end_is_reported_once(harness: HubHarness) -> None:
    a, b, c, silent = (harness.connect() for _ in range(4))
    silent.subscribe("depth")
    a.say(id=1, method="echo")
    a.say(id=2, method="LOGIN", params={"token": "alice"})
    a.say(id="3", method="echo", params=[])
    b.say(id=4, method="later")
    c.say(id=5, method="unknown.method")
    assert a.written == []
    await harness.turn()
    assert len(a.written) == 1, "the answers of one turn are one write"
    assert a.texts() == [
        {"id": 1, "account": 0},
        {"id": 2, "result": None},
        {"id": "3", "account": 7},
    ]
    assert c.texts()[0]["error"]["code"] == 4001
    b.client.connection_lost()
    b.client.connection_lost()
    harness.requests.waiting[0].reply(b'{"id":4}')
    assert b.written == []
    a.client.close(1000, "")
    a.client.connection_lost()
    silent.client.connection_lost()
    assert harness.requests.gone == [b.client, a.client]


@with_hub()
async def test_a_private_stream_is_for_its_account(harness: HubHarness) -> None:
    a, b = harness.connect(), harness.connect()
    a.say(method="LOGIN", params={"token": "alice"})
    a.subscribe("account.orders")
    b.say(
        method="SUBSCRIBE",
        params=["account.orders"],
        signature=["bob", "subscribe", 1, 5000],
    )
    await harness.turn()
    harness.source.order(7, 70)
    harness.source.order(8, 80)
    await harness.turn()
    assert (a.received("account.orders"), b.received("account.orders")) == ([70], [80])


@with_hub()
async def test_a_connection_is_closed_when_its_key_ends(harness: HubHarness) -> None:
    a, b, c = harness.connect(), harness.connect(), harness.connect()
    for wire in (a, b, c):
        wire.subscribe("depth")
    a.say(method="LOGIN", params={"token": "alice"})
    b.say(
        method="SUBSCRIBE",
        params=["account.orders"],
        signature=["bob", "subscribe", 1, 5000],
    )
    await harness.turn()
    harness.hub.sweep()
    assert [wire.closed for wire in (a, b, c)] == [None] * 3
    del harness.keys.live["bob"]
    harness.hub.sweep()
    assert [wire.closed for wire in (a, b, c)] == [None, (1008, "key or token has ended"), None]
    assert Channel("account.orders", 8) not in harness.source.open_channels


@with_hub()
async def test_too_many_frames_close_the_connection(harness: HubHarness) -> None:
    wire = harness.connect()
    for _ in range(100):
        wire.say(method="UNSUBSCRIBE", params=[])
    assert wire.closed == (1008, "too many frames")
    wire.subscribe("depth")
    await harness.turn()
    assert harness.source.calls == []


async def test_a_stop_tells_each_client_when_to_reconnect() -> None:
    harness = HubHarness()
    wires = [harness.connect() for _ in range(300)]
    for wire in wires:
        wire.subscribe("depth", "slow")
    await harness.turn()
    await harness.hub.stop(0.05)
    waits = set()
    for wire in wires:
        assert wire.closed is not None
        code, reason = wire.closed
        words = reason.split()
        assert code == 1001 and words[:4] == ["going", "away,", "reconnect", "in"]
        waits.add(int(words[4]))
    assert min(waits) >= 2 and len(waits) > 3
    assert harness.source.open_channels == set() and harness.hub.status()["connections"] == 0
    await asyncio.sleep(0)
    assert not harness.hub.failed.done()


@with_hub()
async def test_status_counts(harness: HubHarness) -> None:
    a, b = harness.connect(), harness.connect()
    a.subscribe("depth", "trades", "quiet")
    b.subscribe("depth")
    await harness.turn()
    assert harness.hub.status() == {
        "connections": 2,
        "channels": 2,
        "subscriptions": 3,
        "bufferedBytes": a.unread + b.unread,
        "slow": 0,
        "slowClosed": 0,
    }
    assert json.dumps(harness.hub.status())
    assert DEPTH in harness.source.open_channels
