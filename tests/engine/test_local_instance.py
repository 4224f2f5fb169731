"""The instance of a process: a log that begins rightly, and the end of what came before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import pytest

from fairbook.core import admin_records, invariants, records
from fairbook.core.exchange import Exchange
from fairbook.engine.engine import Engine
from fairbook.engine.local_instance import LogNotLocal, begin_instance, first_rules
from fairbook.engine.snapshots import Snapshots
from fairbook.log.command_log import CommandLog
from fairbook.log.memory_log import MemoryLog
from tests.world import traffic

SESSIONS = (1, 2, records.GENERATED_SESSION)


def run(story: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await story

    asyncio.run(bounded())


async def started(log: CommandLog, directory: Path) -> Engine:
    """By default a TICK would follow within a second."""
    return await Engine.start(log, Snapshots(directory), tick_after_s=3600.0)


async def begin(engine: Engine) -> int:
    return await begin_instance(engine.commands, engine.runner.exchange)


def order(account: int, session: int) -> bytes:
    return records.place(
        account=account, market=traffic.MARKET, side=records.BID, price=90, quantity=1,
        session=session,
    )  # fmt: skip


def kinds_logged(log: MemoryLog, after: int = 0) -> list[int]:
    return [kind for entry in log.entries[after:] for kind in entry.frame[:: records.COMMAND_BYTES]]


def test_a_new_log_begins_with_rules_and_the_instance(tmp_path: Path) -> None:
    """Each log has an id and a salt of its own."""
    found: list[Exchange] = []

    async def story(number: int) -> None:
        log = MemoryLog()
        engine = await started(log, tmp_path / str(number))
        assert await begin(engine) == 0
        exchange = engine.runner.exchange
        assert kinds_logged(log) == [records.RULES, records.BEGIN_GATEWAY]
        assert [each.number for each in exchange.gateways()] == [2]
        found.append(exchange)
        await engine.stop()

    for number in range(3):
        run(story(number))
    secrets = [value for each in found for value in (each.tables.log_id, each.tables.salt)]
    assert len(set(secrets)) == len(secrets) and 0 not in secrets


def test_what_is_random_has_64_bits() -> None:
    words = [int.from_bytes(first_rules()[24:32], "little") for _ in range(200)]
    words += [int.from_bytes(first_rules()[32:40], "little") for _ in range(200)]
    assert len(set(words)) == len(words)
    for bit in range(64):
        assert 100 < sum(word >> bit & 1 for word in words) < 300


def test_a_log_without_rules_gets_them_first(tmp_path: Path) -> None:
    """Only the first frame may carry a salt; another one gets plain rules."""

    async def story() -> None:
        log = traffic.logged([admin_records.tick()])
        engine = await started(log, tmp_path)
        await begin(engine)
        assert kinds_logged(log, after=1) == [records.RULES, records.BEGIN_GATEWAY]
        assert engine.runner.exchange.tables.rules == 1
        await engine.stop()

    run(story())


@pytest.mark.parametrize("count", [0, 5, 1_000, 2_600])
def test_a_begin_ends_the_instance_before_with_all_its_sessions(tmp_path: Path, count: int) -> None:
    """However many orders there are, a bounded number in each frame; orders without a session and
    those of no instance stay.
    """

    async def story() -> None:
        log = traffic.logged([b"".join(traffic.setup())])
        engine = await started(log, tmp_path)
        exchange = engine.runner.exchange
        await engine.commands.submit(order(2, session=9))  # before any instance
        await begin(engine)
        placed = [order(traffic.USERS[n % 4], SESSIONS[n % 3]) for n in range(count)]
        stays = [order(3, session=0) for _ in range(2)]
        await asyncio.gather(*[engine.commands.submit(each) for each in placed + stays])
        frames = len(log.entries)
        assert await begin(engine) == count
        ticks = -(-count // 1_000)
        assert kinds_logged(log, after=frames) == [records.BEGIN_GATEWAY] + [records.TICK] * ticks
        assert [len(exchange.open_orders(account)) for account in traffic.USERS] == [1, 2, 0, 0]
        assert len(exchange.gateways()) == 1
        invariants.check(exchange)
        assert await begin(engine) == 0
        await engine.stop()

    run(story())


def test_an_end_that_was_interrupted_is_finished_by_the_next_start(tmp_path: Path) -> None:
    """The process is killed after BEGIN_GATEWAY, before the orders are cancelled."""
    order_frames = [order(2, session=1) * 2_000, order(3, session=1) * 500]
    setup = b"".join(traffic.setup()) + admin_records.begin_gateway()
    log = traffic.logged([setup, *order_frames, admin_records.begin_gateway()])

    async def story() -> None:
        engine = await started(log, tmp_path)
        assert len(engine.runner.exchange.tables.gateways.ending) == 1
        assert await begin(engine) == 2_500
        assert engine.runner.exchange.sessions() == []
        await engine.stop()

    run(story())


def test_a_signed_log_is_refused(tmp_path: Path) -> None:
    """Its frames would be passed over, without an answer."""

    async def story() -> None:
        signed = admin_records.rules(flags=admin_records.SIGNED_LOG, log_id=1, salt=2)
        log = traffic.logged([signed])
        engine = await started(log, tmp_path)
        with pytest.raises(LogNotLocal, match="signed"):
            await begin(engine)
        assert len(log.entries) == 1
        await engine.stop()

    run(story())


def test_a_log_that_refuses_an_instance_is_named(tmp_path: Path) -> None:
    async def story() -> None:
        log = traffic.logged([admin_records.rules()])
        engine = await started(log, tmp_path)
        tables = engine.runner.exchange.tables
        for number in range(256):
            tables.gateways.begin(1_000 + number, b"", 0)
        with pytest.raises(LogNotLocal, match="rejected with code 28"):
            await begin(engine)
        await engine.commands.stop()

    run(story())
