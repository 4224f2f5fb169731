"""Clients that do not keep up: they wait and catch up without a gap, or are closed."""

import random

import pytest

from fairbook.streams.hub import SLOW, HubLimits
from tests.streams.wires import NEWEST, House, PaperWire, play, replayed

ROOM = 1000


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


def test_a_client_may_end_in_the_middle_of_its_own_frame() -> None:
    """The source folds what it has before it greets, and that may be too much for the client."""

    async def story(house: House) -> None:
        wire, other = house.connect(room=ROOM), house.connect()
        house.source.gate.set()
        for each in (wire, other):
            each.subscribe("slow")
        other.subscribe("depth", "price")
        await house.turn()
        house.source.pending = [(level, level) for level in range(5000)]
        wire.subscribe("depth", "price", "trades")
        assert wire.closed == (1013, SLOW)
        await house.turn()
        assert replayed(other.received("slow")) == (5000, house.source.levels)
        other.client.lost()
        assert house.source.open_channels == set()

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
