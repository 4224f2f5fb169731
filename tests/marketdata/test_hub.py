"""The hub: channels open and close, newcomers are greeted, slow clients wait or are closed."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fairbook.marketdata.hub import SLOW, Hub, HubLimits
from fairbook.marketdata.ports import Caller, Channel
from tests.marketdata.wires import (
    DEPTH,
    NEWEST,
    TRADES,
    Keys,
    Levels,
    PaperWire,
    replayed,
)

ROOM = 1000


class Counter:
    """Requests: `echo` is answered at once, `later` when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Caller] = []
        self.gone: list[Caller] = []

    def request(self, caller: Caller, request_id: bytes, method: str, params: Any) -> bool:
        if method == "echo":
            caller.reply(b'{"id":%b,"account":%d}' % (request_id, _account(caller)))
        elif method == "later":
            self.waiting.append(caller)
        elif method == "break":
            raise ZeroDivisionError
        return method in ("echo", "later")

    def ended(self, caller: Caller) -> None:
        self.gone.append(caller)


def _account(caller: Caller) -> int:
    return caller.access.account if caller.access else 0


class House:
    """A hub and what is around it."""

    def __init__(self, limits: HubLimits | None = None) -> None:
        self.source = Levels()
        self.keys = Keys()
        self.requests = Counter()
        self.now_ns = 10**9
        self.hub = Hub(
            self.source,
            authority=self.keys,
            requests=self.requests,
            limits=limits,
            now_ns=lambda: self.now_ns,
        )

    def connect(self, room: int = 10**9) -> PaperWire:
        return PaperWire(self.hub, room)

    async def turn(self) -> None:
        """Let the loop do what is waiting."""
        for _ in range(4):
            await asyncio.sleep(0)
        assert not self.hub.failed.done(), self.hub.failed.result()


def play(story: Callable[[House], Awaitable[None]], limits: HubLimits | None = None) -> None:
    async def scene() -> None:
        house = House(limits)
        await story(house)
        await house.turn()

    asyncio.run(scene())


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
        a, b, c = house.connect(), house.connect(), house.connect()
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


def test_a_slow_client_catches_up_without_a_gap() -> None:
    async def story(house: House) -> None:
        slow, fast = house.connect(room=ROOM), house.connect()
        for wire in (slow, fast):
            wire.subscribe("depth", "trades", "price")
        await house.turn()
        for number in range(1, 501):
            house.source.set(number % 7, number)
            house.source.quote(number)
            if number % 50 == 0:
                house.source.trade()
            await house.turn()
        assert house.hub.status()["slow"] == 1
        while slow.unread:
            slow.read()
            await house.turn()
        assert len(fast.received("depth")) == NEWEST + 500
        assert len(slow.received("depth")) < 50
        for wire in (slow, fast):
            assert replayed(wire.received("depth")) == (500, house.source.levels)
            assert len(wire.received("trades")) == 10
            assert wire.received("price")[-1] == 500
        assert house.hub.status()["bufferedBytes"] == fast.unread

    play(story)


def test_a_slow_client_is_greeted_when_it_has_caught_up() -> None:
    """A greeting is never merged: ccxt counts its messages."""

    async def story(house: House) -> None:
        wire = house.connect(room=ROOM)
        wire.subscribe("trades")
        await house.turn()
        house.source.trade("x" * 2 * ROOM)
        await house.turn()
        wire.subscribe("depth", "slow")
        house.source.gate.set()
        await house.turn()
        house.source.set(1, 1)
        await house.turn()
        wire.say(method="UNSUBSCRIBE", params=["slow"])
        assert wire.received("depth") == []
        wire.read()
        house.source.set(2, 2)
        await house.turn()
        assert [first for first, _, _ in wire.received("depth")] == [-1, 0, 1, 2]
        assert wire.received("slow") == []

    play(story)


def test_what_was_left_does_not_come_after_all() -> None:
    async def story(house: House) -> None:
        wire = house.connect(room=ROOM)
        wire.subscribe("depth", "trades")
        await house.turn()
        house.source.trade("x" * 2 * ROOM)
        await house.turn()
        house.source.set(1, 1)
        house.source.trade()
        await house.turn()
        wire.say(method="UNSUBSCRIBE", params=["depth"])
        wire.say(method="SUBSCRIBE", params=["depth"])
        house.source.set(2, 2)
        await house.turn()
        wire.read()
        await house.turn()
        ids = [first for first, _, _ in wire.received("depth")]
        assert ids == [-2, -1, 0, 0, 1, 2], "two greetings; nothing of between them"
        assert len(wire.received("trades")) == 2

    play(story)


LIMITS = HubLimits(waiting_bytes_max=20_000, slow_s=10.0)


@pytest.mark.parametrize("what", ["trades", "replies", "depth"])
def test_a_client_with_too_much_waiting_is_closed(what: str) -> None:
    """And needs no more memory than it may until then."""

    async def story(house: House) -> None:
        slow, fast = house.connect(room=ROOM), house.connect()
        for wire in (slow, fast):
            wire.subscribe("depth", "trades")
        await house.turn()
        number = 0
        while slow.closed is None:
            number += 1
            if what == "trades":
                house.source.trade()
            elif what == "depth":
                house.source.set(number, number)
            else:
                slow.say(id=number, method="echo")
            await house.turn()
            status = house.hub.status()
            assert status["bufferedBytes"] - fast.unread <= ROOM + 200 + 20_000
        assert slow.closed == (1013, SLOW)
        assert house.hub.status()["slowClosed"] == 1
        house.source.trade()
        await house.turn()
        assert fast.closed is None and house.hub.status()["connections"] == 1
        assert slow.most_unread <= ROOM + 200

    play(story, LIMITS)


def test_a_client_that_stays_slow_is_closed() -> None:
    async def story(house: House) -> None:
        stuck, late = house.connect(room=ROOM), house.connect(room=ROOM)
        for wire in (stuck, late):
            wire.subscribe("depth")
        await house.turn()
        for number in range(100):
            house.source.set(1, number)
            await house.turn()
        house.now_ns += 9 * 10**9
        late.read()
        house.hub.sweep()
        assert [stuck.closed, late.closed] == [None, None]
        house.now_ns += 2 * 10**9
        house.hub.sweep()
        assert [stuck.closed, late.closed] == [(1013, SLOW), None]

    play(story, LIMITS)


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


@pytest.mark.parametrize("seed", range(3))
def test_random_clients_all_see_the_same(seed: int) -> None:
    """They come, go, stop reading and go on, in any order; whoever reads to the end has it all."""

    async def story(house: House) -> None:
        chance = random.Random(seed)
        wires: list[PaperWire] = []
        names = ("depth", "trades", "slow")
        for step in range(3000):
            house.now_ns += 10**9  # Nobody sends too many frames.
            kind = chance.randrange(12)
            if kind < 4:
                house.source.set(chance.randrange(30), step)
            elif kind == 4:
                house.source.trade()
            elif kind == 5 and len(wires) < 20:
                wires.append(house.connect(chance.choice((300, ROOM, 10**9))))
            elif not wires:
                continue
            elif kind == 6:
                chance.choice(wires).subscribe(*chance.sample(names, 2))
            elif kind == 7 and chance.random() < 0.3:
                chance.choice(wires).say(method="UNSUBSCRIBE", params=["slow"])
            elif kind == 8 and chance.random() < 0.3:
                wires.remove(wire := chance.choice(wires))
                wire.client.lost()
            elif kind == 9:
                chance.choice(wires).read()
            elif kind == 10 and chance.random() < 0.2:
                house.source.gate.set()
            if chance.random() < 0.7:
                await house.turn()
        house.source.gate.set()
        for _ in range(20):
            for wire in wires:
                wire.read()
            await house.turn()
        seen = 0
        for wire in wires:
            assert wire.closed is None
            if updates := wire.received("depth"):
                seen += 1
                reached, levels = replayed(updates)
                assert reached == house.source.last_id
                assert levels.items() <= house.source.levels.items()
            numbers = [number for number, _ in wire.received("trades")]
            assert (
                numbers == list(range(numbers[0], house.source.trade_id + 1)) if numbers else True
            )
        assert seen > 5
        for wire in wires:
            wire.client.lost()
        assert house.source.open_channels == set()

    play(story)


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
