"""Clients that do not keep up: they wait and catch up without a gap, or are closed."""

import random

import pytest

from fairbook.streams.hub import SLOW, HubLimits
from tests.streams.hub_harness import NEWEST, HubHarness, MemoryConnection, replayed, with_hub

ROOM = 1000


@with_hub()
async def test_a_slow_client_catches_up_without_a_gap(harness: HubHarness) -> None:
    slow, fast = harness.connect(room=ROOM), harness.connect()
    for wire in (slow, fast):
        wire.subscribe("depth", "trades", "price")
    await harness.turn()
    for number in range(1, 501):
        harness.source.set(number % 7, number)
        harness.source.quote(number)
        if number % 50 == 0:
            harness.source.trade()
        await harness.turn()
    assert harness.hub.status()["slow"] == 1
    while slow.unread:
        slow.read()
        await harness.turn()
    assert len(fast.received("depth")) == NEWEST + 500
    assert len(slow.received("depth")) < 50
    for wire in (slow, fast):
        assert replayed(wire.received("depth")) == (500, harness.source.levels)
        assert len(wire.received("trades")) == 10
        assert wire.received("price")[-1] == 500
    assert harness.hub.status()["bufferedBytes"] == fast.unread


@with_hub()
async def test_a_slow_client_gets_initial_messages_later(
    harness: HubHarness,
) -> None:
    """Initial messages are never merged: ccxt counts them."""
    wire = harness.connect(room=ROOM)
    wire.subscribe("trades")
    await harness.turn()
    harness.source.trade("x" * 2 * ROOM)
    await harness.turn()
    wire.subscribe("depth", "slow")
    harness.source.gate.set()
    await harness.turn()
    harness.source.set(1, 1)
    await harness.turn()
    wire.say(method="UNSUBSCRIBE", params=["slow"])
    assert wire.received("depth") == []
    wire.read()
    harness.source.set(2, 2)
    await harness.turn()
    assert [first for first, _, _ in wire.received("depth")] == [-1, 0, 1, 2]
    assert wire.received("slow") == []


@with_hub()
async def test_what_was_left_does_not_come_after_all(harness: HubHarness) -> None:
    wire = harness.connect(room=ROOM)
    wire.subscribe("depth", "trades")
    await harness.turn()
    harness.source.trade("x" * 2 * ROOM)
    await harness.turn()
    harness.source.set(1, 1)
    harness.source.trade()
    await harness.turn()
    wire.say(method="UNSUBSCRIBE", params=["depth"])
    wire.say(method="SUBSCRIBE", params=["depth"])
    harness.source.set(2, 2)
    await harness.turn()
    wire.read()
    await harness.turn()
    ids = [first for first, _, _ in wire.received("depth")]
    assert ids == [-2, -1, 0, 0, 1, 2], "initial messages twice; nothing between them"
    assert len(wire.received("trades")) == 2


LIMITS = HubLimits(waiting_bytes_max=20_000, slow_s=10.0)


@pytest.mark.parametrize("what", ["trades", "replies", "depth"])
@with_hub(LIMITS)
async def test_a_client_with_too_much_waiting_is_closed(harness: HubHarness, what: str) -> None:
    """And needs no more memory than it may until then."""
    slow, fast = harness.connect(room=ROOM), harness.connect()
    for wire in (slow, fast):
        wire.subscribe("depth", "trades")
    await harness.turn()
    number = 0
    while slow.closed is None:
        number += 1
        if what == "trades":
            harness.source.trade()
        elif what == "depth":
            harness.source.set(number, number)
        else:
            slow.say(id=number, method="echo")
        await harness.turn()
        status = harness.hub.status()
        assert status["bufferedBytes"] - fast.unread <= ROOM + 200 + 20_000
    assert slow.closed == (1013, SLOW)
    assert harness.hub.status()["slowClosed"] == 1
    harness.source.trade()
    await harness.turn()
    assert fast.closed is None and harness.hub.status()["connections"] == 1
    assert slow.most_unread <= ROOM + 200


@with_hub(LIMITS)
async def test_a_client_may_end_in_the_middle_of_its_own_frame(harness: HubHarness) -> None:
    """The source folds before `initial_messages`, and that may be too much for the client."""
    wire, other = harness.connect(room=ROOM), harness.connect()
    harness.source.gate.set()
    for each in (wire, other):
        each.subscribe("slow")
    other.subscribe("depth", "price")
    await harness.turn()
    harness.source.pending = [(level, level) for level in range(5000)]
    wire.subscribe("depth", "price", "trades")
    assert wire.closed == (1013, SLOW)
    await harness.turn()
    assert replayed(other.received("slow")) == (5000, harness.source.levels)
    other.client.connection_lost()
    assert harness.source.open_channels == set()


@with_hub(LIMITS)
async def test_a_client_that_stays_slow_is_closed(harness: HubHarness) -> None:
    stuck, late = harness.connect(room=ROOM), harness.connect(room=ROOM)
    for wire in (stuck, late):
        wire.subscribe("depth")
    await harness.turn()
    for number in range(100):
        harness.source.set(1, number)
        await harness.turn()
    harness.now_ns += 9 * 10**9
    late.read()
    harness.hub.sweep()
    assert [stuck.closed, late.closed] == [None, None]
    harness.now_ns += 2 * 10**9
    harness.hub.sweep()
    assert [stuck.closed, late.closed] == [(1013, SLOW), None]


@pytest.mark.parametrize("seed", range(3))
@with_hub()
async def test_random_clients_all_see_the_same(harness: HubHarness, seed: int) -> None:
    """They come, go, stop reading and continue, in any order; those that read on have all."""
    chance = random.Random(seed)
    wires: list[MemoryConnection] = []
    names = ("depth", "trades", "slow")
    for step in range(3000):
        harness.now_ns += 10**9  # No client exceeds the rate of frames.
        kind = chance.randrange(12)
        if kind < 4:
            harness.source.set(chance.randrange(30), step)
        elif kind == 4:
            harness.source.trade()
        elif kind == 5 and len(wires) < 20:
            wires.append(harness.connect(chance.choice((300, ROOM, 10**9))))
        elif not wires:
            continue
        elif kind == 6:
            chance.choice(wires).subscribe(*chance.sample(names, 2))
        elif kind == 7 and chance.random() < 0.3:
            chance.choice(wires).say(method="UNSUBSCRIBE", params=["slow"])
        elif kind == 8 and chance.random() < 0.3:
            wires.remove(wire := chance.choice(wires))
            wire.client.connection_lost()
        elif kind == 9:
            chance.choice(wires).read()
        elif kind == 10 and chance.random() < 0.2:
            harness.source.gate.set()
        if chance.random() < 0.7:
            await harness.turn()
    harness.source.gate.set()
    for _ in range(20):
        for wire in wires:
            wire.read()
        await harness.turn()
    seen = 0
    for wire in wires:
        assert wire.closed is None
        if updates := wire.received("depth"):
            seen += 1
            reached, levels = replayed(updates)
            assert reached == harness.source.last_id
            assert levels.items() <= harness.source.levels.items()
        numbers = [number for number, _ in wire.received("trades")]
        assert numbers == list(range(numbers[0], harness.source.trade_id + 1)) if numbers else True
    assert seen > 5
    for wire in wires:
        wire.client.connection_lost()
    assert harness.source.open_channels == set()
