"""Making proofs of liabilities: by a child process, from agreed snapshots alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from fairbook.app import liabilities_maker
from fairbook.app.liabilities_maker import LiabilitiesMaker
from fairbook.core import state
from fairbook.core.exchange import Exchange
from fairbook.core.ledger import EXTERNAL
from fairbook.engine.snapshots import Snapshot, Snapshots
from fairbook.followers.replica_link import ReplicaLink
from fairbook.liabilities.leaf_check import check_leaves
from tests.gateway.test_loop_turns import TURN_MS_MAX, measured_turns
from tests.liabilities.owing import leaves_of, many, owing
from tests.world.waiting import until

SEED = bytes(range(32))
BALANCES = {(2, 1): 700, (3, 1): 11, (4, 2): 5}


class Link:
    """What the replica's link says of the newest agreed snapshot."""

    snapshot_position = 0
    snapshot_digest = bytes(32)

    def agree(self, snapshot: Snapshot) -> None:
        self.snapshot_position, self.snapshot_digest = snapshot.position, snapshot.digest


def write_snapshot(directory: Path, exchange: Exchange, position: int) -> Snapshot:
    body = state.dump(exchange)
    snapshot = Snapshot(position, int(exchange.time_ns), bytes(32), bytes(32), body)
    Snapshots(directory).write(snapshot)
    return snapshot


MADE_WITHIN_S = 300.0  # the child has the lowest priority, and other tests run beside it


class Stage:
    """A maker that runs, and what it told hooks."""

    def __init__(self, directory: Path) -> None:
        self.told: list[Any] = []
        self.link = Link()
        self.directory = directory
        self.maker = LiabilitiesMaker(
            directory, cast(ReplicaLink, self.link), seed=lambda: SEED, every_s=0.01,
            emit=lambda name, event: self.told.append((name, event)),
        )  # fmt: skip

    async def until_made(self, position: int) -> None:
        def is_made() -> bool:
            newest = self.maker.newest
            return newest is not None and newest.totals.position == position

        await until(is_made, self.maker.status, within_s=MADE_WITHIN_S)


def perform(directory: Path, story: Callable[[Stage], Awaitable[None]]) -> None:
    async def main() -> None:
        stage = Stage(directory)
        running = asyncio.ensure_future(stage.maker.run(10**9))
        try:
            await story(stage)
        finally:
            running.cancel()
            await asyncio.wait([running])

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(main())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liabilities_maker, "LOOK_S", 0.02)
    monkeypatch.setattr(liabilities_maker, "RETRY_S", 0.05)


def test_a_proof_is_made_of_each_newer_agreed_snapshot(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        for position in (10, 20, 30):
            stage.link.agree(write_snapshot(tmp_path, owing(BALANCES), position))
            await stage.until_made(position)
            newest = stage.maker.newest
            assert newest is not None
            check_leaves(newest.totals, leaves_of(newest.file, 2))
        assert [event["note"].splitlines()[1] for _, event in stage.told] == [
            "position 10", "position 20", "position 30",
        ]  # fmt: skip
        assert stage.maker.status()["made"] == 3, "one for each"

    perform(tmp_path, story)

    async def later(stage: Stage) -> None:
        await stage.until_made(30)
        assert stage.maker.status()["made"] == 0, "the one of before is served"

    perform(tmp_path, later)


def test_another_state_than_the_agreed_one_is_not_proved(tmp_path: Path) -> None:
    """The snapshot was replaced, or is not there any more."""

    async def story(stage: Stage) -> None:
        stage.link.agree(write_snapshot(tmp_path, owing(BALANCES), 10))
        write_snapshot(tmp_path, owing({**BALANCES, (2, 1): 1}), 10)
        await until(lambda: stage.maker.status()["failed"], "a failure")
        assert "is not the one that was agreed on" in stage.maker.status()["failed"]
        Snapshots(tmp_path).path_of(10).unlink()
        await until(lambda: "No such file" in (stage.maker.status()["failed"] or ""), "another")
        assert stage.maker.newest is None
        stage.link.agree(write_snapshot(tmp_path, owing(BALANCES), 20))
        await stage.until_made(20)
        assert stage.maker.status()["failed"] is None

    perform(tmp_path, story)


def test_a_negative_balance_is_not_proved(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        exchange = owing(BALANCES)
        exchange.tables.ledger.cell(3, 1).available -= 500
        exchange.tables.ledger.cell(EXTERNAL, 1).available += 500
        stage.link.agree(write_snapshot(tmp_path, exchange, 10))
        await until(lambda: stage.maker.status()["failed"], "a failure")
        assert "account 3 has a negative balance of SOL" in stage.maker.status()["failed"]

    perform(tmp_path, story)


def test_the_making_for_many_accounts_does_not_hold_the_loop(tmp_path: Path) -> None:
    snapshot = write_snapshot(tmp_path, many(100_000), 10)

    async def story(stage: Stage) -> None:
        with measured_turns() as turns:
            stage.link.agree(snapshot)
            await stage.until_made(10)
        assert turns.longest_ms < TURN_MS_MAX, (turns.longest_ms, turns.of)

    perform(tmp_path, story)


def test_a_stop_ends_the_child(tmp_path: Path) -> None:
    """No part of a proof counts, and the next start makes it."""
    snapshot = write_snapshot(tmp_path, many(100_000), 10)

    async def begun(stage: Stage) -> None:
        stage.link.agree(snapshot)
        await until(lambda: stage.maker.status()["made"], "a child")
        await asyncio.sleep(0.3)

    perform(tmp_path, begun)
    assert not list((tmp_path / "liabilities").glob("*.note"))

    async def again(stage: Stage) -> None:
        assert stage.maker.newest is None
        stage.link.agree(snapshot)
        await stage.until_made(10)
        assert len(list((tmp_path / "liabilities").iterdir())) == 2

    perform(tmp_path, again)
