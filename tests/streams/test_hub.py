"""The hub: channels open and close, newcomers are greeted, everybody gets the same."""

import asyncio
import json

from fairbook.streams.ports import Channel
from tests.streams.wires import DEPTH, NEWEST, PRICE, TRADES, House, play, replayed


def test_the_first_in_opens_and_the_last_out_closes() -> None:
    async def story(house: House) -> None:
        a, b = house.connect(), house.connect()
        a.subscribe("trades", "quiet")
        a.subscribe("trades")
        b.subscribe("trades")
        await house.turn()
        assert house.source.calls == [("open", TRADES)]
        house.source.trade()
        await house.turn()
        assert a.texts() == b.texts() == [{"stream": "trades", "data": [1, ""]}]
        assert a.written[0] is b.written[0], "one encoding for all"
        a.say(method="UNSUBSCRIBE", params=["trades"])
        house.source.trade()
        await house.turn()
        assert len(a.texts()) == 1 and len(b.texts()) == 2
        b.client.lost()
        assert house.source.calls == [("open", TRADES), ("close", TRADES)]
        a.subscribe("trades")
        await house.turn()
        assert house.source.calls[2:] == [("open", TRADES)]
        assert len(a.texts()) == 1, "trades have no greeting"

    play(story)


def test_a_newcomer_is_greeted_and_then_misses_nothing() -> None:
    """Also when it comes between two updates of one turn, and the source has more to fold."""

    async def story(house: House) -> None:
        old = house.connect()
        old.subscribe("depth")
        await house.turn()
        new = house.connect()
        house.source.set(1, 10)
        house.source.set(2, 20)
        house.source.pending = [(3, 30), (4, 40)]
        new.subscribe("depth")
        house.source.set(5, 50)
        await house.turn()
        assert replayed(old.received("depth")) == (5, house.source.levels)
        ids = [first for first, _, _ in new.received("depth")]
        assert ids == list(range(5 - NEWEST, 6)), "the greeting, then what follows"
        assert len(old.written) == 3, "greeting, what was before the newcomer, what came after"

    play(story)


def test_who_subscribes_again_hears_how_things_stand() -> None:
    """ccxt.pro does, and waits. Of what counts one by one nothing is said twice."""

    async def story(house: House) -> None:
        wire = house.connect()
        wire.subscribe("price", "depth", "trades")
        await house.turn()
        house.source.quote(7)
        await house.turn()
        before = len(wire.received("depth"))
        house.source.quote(8)
        wire.subscribe("price", "depth", "trades")
        await house.turn()
        assert wire.received("price") == [7, 8, 8]
        assert len(wire.received("depth")) == before
        assert house.source.calls.count(("open", PRICE)) == 1

    play(story)


def test_one_turn_is_one_write() -> None:
    async def story(house: House) -> None:
        wire = house.connect()
        wire.subscribe("trades")
        await house.turn()
        for _ in range(50):
            house.source.trade()
        assert wire.written == []
        await house.turn()
        assert len(wire.written) == 1 and len(wire.received("trades")) == 50

    play(story)


def test_after_sending_the_hub_rests_as_long_as_it_took() -> None:
    """Orders are for the same loop. What is published meanwhile is gathered, up to a size."""

    async def story(house: House) -> None:
        wire = house.connect()
        wire.subscribe("trades")
        await house.turn()
        wire.on_write = lambda: house.pass_time(3600 * 10**9)
        house.source.trade()
        await house.turn()
        assert len(wire.written) == 1
        for _ in range(3):
            house.source.trade()
            await house.turn()
        assert len(wire.written) == 1
        house.source.trade("x" * 100_000)
        assert len(wire.written) == 2 and len(wire.received("trades")) == 5
        house.source.trade()
        await house.hub.stop(0.0)
        assert len(wire.received("trades")) == 6

    play(story)


def test_a_short_rest_ends() -> None:
    async def story(house: House) -> None:
        wire = house.connect()
        wire.subscribe("trades")
        await house.turn()
        wire.on_write = lambda: house.pass_time(1_000_000)
        for number in range(1, 20):
            house.source.trade()
            while len(wire.received("trades")) < number:  # noqa: ASYNC110 - from outside
                await asyncio.sleep(0.001)

    play(story)


def test_a_very_long_turn_is_sent_in_parts() -> None:
    async def story(house: House) -> None:
        wire = house.connect()
        wire.subscribe("trades")
        await house.turn()
        for _ in range(50):
            house.source.trade("x" * 10_000)
        assert len(wire.written) > 5
        await house.turn()
        assert [number for number, _ in wire.received("trades")] == list(range(1, 51))
        assert max(map(len, wire.written)) < 100_000

    play(story)


def test_nothing_is_delivered_before_the_opening_has_ended() -> None:
    async def story(house: House) -> None:
        slow = Channel("slow")
        a, b, c = house.connect(), house.connect(), house.connect()
        a.subscribe("slow")
        await house.turn()
        b.subscribe("slow")
        c.subscribe("slow")
        a.client.lost()
        c.say(method="UNSUBSCRIBE", params=["slow"])
        house.source.set(1, 1)
        await house.turn()
        assert house.source.calls == [("open", slow)] and b.written == []
        house.source.gate.set()
        await house.turn()
        house.source.set(2, 2)
        await house.turn()
        assert [first for first, _, _ in b.received("slow")] == [-1, 0, 1, 2]
        assert a.written == c.written == []

    play(story)


def test_what_nobody_wants_any_more_is_closed_when_it_is_open() -> None:
    async def story(house: House) -> None:
        slow = Channel("slow")
        a = house.connect()
        a.subscribe("slow")
        await house.turn()
        a.client.lost()
        await house.turn()
        assert house.source.calls == [("open", slow)], "it is not closed while it is being opened"
        b = house.connect()
        b.subscribe("slow")
        b.say(method="UNSUBSCRIBE", params=["slow"])
        house.source.gate.set()
        await house.turn()
        assert house.source.calls == [("open", slow), ("close", slow)]

    play(story)


def test_a_source_that_fails_is_not_kept_quiet() -> None:
    async def scene() -> None:
        house = House()
        house.source.broken = ZeroDivisionError("a bug")
        house.connect().subscribe("depth")
        assert await house.hub.failed is house.source.broken

    asyncio.run(scene())


def test_a_request_that_fails_is_not_kept_quiet() -> None:
    async def scene() -> None:
        house = House()
        house.connect().say(method="break")
        assert isinstance(await house.hub.failed, ZeroDivisionError)

    asyncio.run(scene())


def test_requests_are_answered_and_their_caller_is_told_of_once() -> None:
    async def story(house: House) -> None:
        a, b, c, silent = (house.connect() for _ in range(4))
        silent.subscribe("depth")
        a.say(id=1, method="echo")
        a.say(id=2, method="LOGIN", params={"token": "alice"})
        a.say(id="3", method="echo", params=[])
        b.say(id=4, method="later")
        c.say(id=5, method="nothing of ours")
        assert a.written == []
        await house.turn()
        assert len(a.written) == 1, "the answers of one turn are one write"
        assert a.texts() == [
            {"id": 1, "account": 0},
            {"id": 2, "result": None},
            {"id": "3", "account": 7},
        ]
        assert c.texts()[0]["error"]["code"] == 4001
        b.client.lost()
        b.client.lost()
        house.requests.waiting[0].reply(b'{"id":4}')
        assert b.written == []
        a.client.end(1000, "")
        a.client.lost()
        silent.client.lost()
        assert house.requests.gone == [b.client, a.client]

    play(story)


def test_a_private_stream_is_for_its_account() -> None:
    async def story(house: House) -> None:
        a, b = house.connect(), house.connect()
        a.say(method="LOGIN", params={"token": "alice"})
        a.subscribe("account.orders")
        b.say(
            method="SUBSCRIBE",
            params=["account.orders"],
            signature=["bob", "subscribe", 1, 5000],
        )
        await house.turn()
        house.source.order(7, 70)
        house.source.order(8, 80)
        await house.turn()
        assert (a.received("account.orders"), b.received("account.orders")) == ([70], [80])

    play(story)


def test_a_connection_ends_with_its_key() -> None:
    async def story(house: House) -> None:
        a, b, c = house.connect(), house.connect(), house.connect()
        for wire in (a, b, c):
            wire.subscribe("depth")
        a.say(method="LOGIN", params={"token": "alice"})
        b.say(
            method="SUBSCRIBE",
            params=["account.orders"],
            signature=["bob", "subscribe", 1, 5000],
        )
        await house.turn()
        house.hub.sweep()
        assert [wire.closed for wire in (a, b, c)] == [None] * 3
        del house.keys.live["bob"]
        house.hub.sweep()
        assert [wire.closed for wire in (a, b, c)] == [None, (1008, "key or token has ended"), None]
        assert Channel("account.orders", 8) not in house.source.open_channels

    play(story)


def test_too_many_frames_close_the_connection() -> None:
    async def story(house: House) -> None:
        wire = house.connect()
        for _ in range(100):
            wire.say(method="UNSUBSCRIBE", params=[])
        assert wire.closed == (1008, "too many frames")
        wire.subscribe("depth")
        await house.turn()
        assert house.source.calls == []

    play(story)


def test_at_a_stop_everybody_is_told_when_to_come_back() -> None:
    async def scene() -> None:
        house = House()
        wires = [house.connect() for _ in range(300)]
        for wire in wires:
            wire.subscribe("depth", "slow")
        await house.turn()
        await house.hub.stop(0.05)
        waits = set()
        for wire in wires:
            assert wire.closed is not None
            code, reason = wire.closed
            words = reason.split()
            assert code == 1001 and words[:4] == ["going", "away,", "reconnect", "in"]
            waits.add(int(words[4]))
        assert min(waits) >= 2 and len(waits) > 3
        assert house.source.open_channels == set() and house.hub.status()["connections"] == 0
        await asyncio.sleep(0)
        assert not house.hub.failed.done()

    asyncio.run(scene())


def test_status_counts() -> None:
    async def story(house: House) -> None:
        a, b = house.connect(), house.connect()
        a.subscribe("depth", "trades", "quiet")
        b.subscribe("depth")
        await house.turn()
        assert house.hub.status() == {
            "connections": 2,
            "channels": 2,
            "subscriptions": 3,
            "bufferedBytes": a.unread + b.unread,
            "slow": 0,
            "slowClosed": 0,
        }
        assert json.dumps(house.hub.status())
        assert DEPTH in house.source.open_channels

    play(story)
