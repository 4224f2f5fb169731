"""The engine's end of a replica: bounded buffers, and rounds that count the right slices."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from fairbook.core.exchange import Exchange
from fairbook.engine.runner import Runner
from fairbook.followers import wire
from fairbook.followers.follower_link import BUFFER_BYTES_MAX, CATCHING_UP, DOWN, FOLLOWING
from fairbook.followers.replica_link import (
    OUTSTANDING_MAX,
    ComparisonRound,
    Mismatch,
    ReplicaLink,
)
from fairbook.followers.supervisor import Supervisor
from fairbook.log.command_log import Entry
from tests.world import traffic
from tests.world.waiting import until


class Pair:
    """A link, and the other end of its socket, which the test uses."""

    def __init__(self) -> None:
        self.runner = Runner(Exchange())
        self.differences: list[Mismatch] = []
        self.link = ReplicaLink(self.runner, on_mismatch=self.differences.append, round_s=0.05)
        ours, self.theirs = socket.socketpair()
        self.theirs.setblocking(False)
        self.ended = self.link.connect(ours)
        self.messages = wire.MessageParser()
        self.all_received: list[wire.Message] = []

    def apply(self, entries: list[Entry]) -> None:
        traffic.run_all(self.runner, entries)

    def send(self, *messages: bytes) -> None:
        self.theirs.send(b"".join(messages))

    def received(self) -> list[wire.Message]:
        """Everything so far."""
        try:
            self.all_received += self.messages.feed(self.theirs.recv(1 << 20))
        except BlockingIOError:
            pass
        return self.all_received


def told(story: Callable[[Pair], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        pair = Pair()
        try:
            await story(pair)
        finally:
            pair.link.disconnect("the test ends")
            pair.theirs.close()

    asyncio.run(main())


def test_each_frame_is_announced_with_its_running_hash() -> None:
    async def story(pair: Pair) -> None:
        expected = [(0, bytes(32))]
        for entry in traffic.logged(traffic.frames(seed=1, count=10)).entries:
            pair.apply([entry])
            expected.append((entry.position, pair.runner.event_hash))
        await until(lambda: len(pair.received()) >= 12)
        received = pair.received()
        assert received[0].kind == wire.HELLO
        frames = [(each.position, each.digest) for each in received if each.kind == wire.APPLIED]
        assert frames == expected

    told(story)


def test_without_answers_no_more_slices_are_made() -> None:
    async def story(pair: Pair) -> None:
        pair.send(wire.pack_hello("replica"), wire.pack(wire.PROGRESS, 0, 0))
        for _ in range(100):
            await asyncio.sleep(0.005)
        assert len([each for each in pair.received() if each.kind == wire.SLICE]) == OUTSTANDING_MAX
        assert pair.link.rounds == 0

    told(story)


def test_what_a_silent_replica_leaves_unread_is_bounded() -> None:
    """The newest position stands for all that was dropped, once the replica reads again."""

    async def story(pair: Pair) -> None:
        pair.send(wire.pack_hello("replica"), wire.pack(wire.PROGRESS, 0, 0))
        await until(lambda: pair.link.state == FOLLOWING)
        log = traffic.logged(traffic.frames(seed=1, count=12_000, commands_max=1))
        for at in range(0, len(log.entries), 100):
            pair.apply(log.entries[at : at + 100])
            await asyncio.sleep(0.006)  # As often as it is sent.
            assert len(pair.link._buffer) <= BUFFER_BYTES_MAX + 200 * wire.BLOCK
        assert pair.link.state == CATCHING_UP
        last = pair.runner.position
        await until(lambda: pair.received()[-1].position == last)
        frames = [each for each in pair.received() if each.kind == wire.APPLIED]
        assert len(frames) < last
        assert [each.position for each in frames] == sorted(each.position for each in frames)
        assert frames[-1].digest == pair.runner.event_hash
        pair.send(wire.pack(wire.PROGRESS, last, 0))
        await until(lambda: pair.link.state == FOLLOWING)

    told(story)


def test_a_round_counts_slices_made_after_it_began() -> None:
    """Each slice counts once; a slice that differs fails the round."""

    async def story(pair: Pair) -> None:
        pair.send(wire.pack_hello("replica"), wire.pack(wire.PROGRESS, 0, 0))
        await until(lambda: len(pair.received()) > 10)
        made = list(pair.link._outstanding.values())
        count = made[0].checkpoint.slice_count
        short = ComparisonRound(made[0].serial, count)
        short.compared(made[0], is_equal=True)
        assert short._results.count(0) == count
        for each in made[1:]:
            short.compared(each, is_equal=each is not made[2])
            short.compared(each, is_equal=True)
        assert short._results.count(1) == len(made) - 2
        assert not short.is_complete and not short.is_agreed

    told(story)


def test_the_end_of_the_connection_is_the_end_of_the_replica() -> None:
    async def story(pair: Pair) -> None:
        pair.send(wire.pack_hello("replica"))
        await until(lambda: pair.link.state == CATCHING_UP)
        pair.theirs.close()
        assert await pair.ended  # With a reason; which one differs between systems.
        assert pair.link.state == DOWN
        pair.apply(traffic.logged(traffic.frames(seed=1, count=3)).entries)
        assert len(pair.link._buffer) == 0

    told(story)


def test_a_malformed_message_ends_the_connection_and_nothing_else() -> None:
    async def story(pair: Pair) -> None:
        pair.send(wire.pack(99, 0))
        assert "cannot read" in await pair.ended
        pair.apply(traffic.logged(traffic.frames(seed=1, count=3)).entries)

    told(story)


async def test_a_replica_that_cannot_run_is_started_again_and_again() -> None:
    """With growing pauses, and without an end."""
    runner = Runner(Exchange())
    link = ReplicaLink(runner, on_mismatch=lambda _: None)
    broken = [sys.executable, "-c", "raise SystemExit(3)"]
    before: list[int] = []
    supervisor = Supervisor("replica", broken, link=link, before_start=lambda: before.append(1))
    supervisor.start()
    await until(lambda: supervisor.starts >= 3)
    assert "exit status 3" in str(supervisor.last_end)
    assert len(before) == supervisor.starts
    await supervisor.stop()
    assert supervisor.pid is None
    missing = Supervisor("replica", ["no-such-program"], link=link)
    missing.start()
    await until(lambda: missing.last_end is not None)
    assert "cannot be started" in str(missing.last_end)
    await missing.stop()


async def test_a_silent_replica_is_killed() -> None:
    runner = Runner(Exchange())
    link = ReplicaLink(runner, on_mismatch=lambda _: None)
    silent = [sys.executable, "-c", "import time; time.sleep(600)"]
    supervisor = Supervisor("replica", silent, link=link, silent_max_s=0.3)
    runner.position = 5  # There is something to do.
    supervisor.start()
    await until(lambda: supervisor.starts >= 2)
    assert "made no progress" in str(supervisor.last_end)
    await until(lambda: supervisor.pid is not None)
    supervisor.kill("the test ends", restart=False)
    await supervisor.stop()
