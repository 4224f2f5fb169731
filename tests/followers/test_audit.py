"""After a difference: the judge, paused and resumed trading, other versions."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from fairbook.core import records
from fairbook.core.admin_records import BY_AUDIT
from fairbook.core.exchange import Exchange
from fairbook.followers import audit, audit_files, wire
from fairbook.followers.audit_files import (
    FIELDS,
    edit_memory,
    finding_hash,
    read_verdict,
    summary,
    write_verdict,
)
from fairbook.followers.follower_link import DOWN
from fairbook.followers.judge import BOTH, ENGINE, NEITHER, REPLICA, judge
from fairbook.net.control_socket import ControlRefused
from tests.followers.audit_stage import (
    COUNT,
    HELD_ATOMS,
    Stage,
    accuse,
    agreeing,
    filled_log,
    one_atom,
    pause_for,
    staged,
)
from tests.world import traffic
from tests.world.waiting import until


@pytest.mark.parametrize("who", [ENGINE, REPLICA])
def test_the_judge_names_process_account_and_asset(tmp_path: Path, who: str) -> None:
    """It replays from the snapshot, not from the first entry."""
    runner = filled_log(tmp_path)
    accuse(tmp_path, runner, {who: one_atom})
    verdict = judge(tmp_path)
    assert verdict == read_verdict(tmp_path)
    assert (verdict["status"], verdict["wrong"], verdict["from_snapshot"]) == ("judged", who, 31)
    account = len(runner.exchange.tables.accounts) * 2 // COUNT
    owned = runner.exchange.tables.ledger.cell(account, 2).available
    assert verdict["differences"] == [
        {
            "process": who,
            "position": runner.position,
            "what": "balance",
            "key": account,
            "account": account,
            "user": runner.exchange.tables.accounts[account].user_id,
            "asset": 2,
            "asset_name": "USDC",
            "field": "available",
            "expected": owned,
            "found": owned + 1,
        }
    ]
    assert f"account {account}" in summary(verdict) and "USDC" in summary(verdict)


@pytest.mark.parametrize("who", [ENGINE, REPLICA])
@pytest.mark.parametrize(("field", "what"), [("hold", "reference"), ("order", "order")])
def test_the_judge_names_a_hold_or_an_order(
    tmp_path: Path, who: str, field: str, what: str
) -> None:
    """With its account, asset or number, and what was expected."""
    runner = filled_log(tmp_path)

    def harm(exchange: Exchange) -> None:
        edit_memory(exchange, account=2, asset=2, field=FIELDS.index(field), atoms=1)

    accuse(tmp_path, runner, {who: harm}, count=1)
    verdict = judge(tmp_path)
    assert verdict["wrong"] == who
    (found,) = verdict["differences"]
    assert (found["process"], found["what"], found["account"]) == (who, what, 2)
    assert found["found"] == found["expected"] + 1
    if field == "hold":
        row = runner.exchange.tables.references.rows[found["key"]]
        assert (found["field"], found["expected"]) == ("atoms", HELD_ATOMS)
        assert (found["reference"], found["asset_name"]) == (row.reference.hex(), "USDC")
    else:
        order = next(each for each in runner.exchange.open_orders(2) if each.side == records.BID)
        assert (found["field"], found["key"]) == ("remaining", order.order_id)
    assert f"{found['key']} of account 2 (user 1)" in summary(verdict)


@pytest.mark.parametrize("field", ["available", "locked"])
def test_the_judge_names_a_balance_that_was_nothing(tmp_path: Path, field: str) -> None:
    """A balance of zero has no record: only the number that was changed is named."""
    runner = filled_log(tmp_path, count=1)
    edit = {"account": 1, "asset": 1, "field": FIELDS.index(field), "atoms": 1}

    def harm(exchange: Exchange) -> None:
        edit_memory(exchange, **edit)

    assert runner.exchange.balances(1)[0] == (1, 0, 0)
    accuse(tmp_path, runner, {ENGINE: harm}, count=1)
    (found,) = judge(tmp_path)["differences"]
    assert (found["what"], found["account"], found["asset"]) == ("balance", 1, 1)
    assert (found["field"], found["expected"], found["found"]) == (field, 0, 1)


def test_both_may_be_wrong_or_neither(tmp_path: Path) -> None:
    """Two different faults; and a wrong digest of a right state."""
    runner = filled_log(tmp_path)

    def two_atoms(exchange: Exchange) -> None:
        one_atom(exchange)
        one_atom(exchange)

    accuse(tmp_path, runner, {ENGINE: one_atom, REPLICA: two_atoms})
    assert judge(tmp_path)["wrong"] == BOTH
    accuse(tmp_path, runner, {})
    assert judge(tmp_path)["wrong"] == NEITHER


def test_events_are_judged_by_their_running_hash(tmp_path: Path) -> None:
    runner = filled_log(tmp_path)
    verdict = accuse(tmp_path, runner, {})
    verdict["slices"] = []
    verdict["events"] = {
        "position": runner.position,
        ENGINE: runner.event_hash.hex(),
        REPLICA: bytes(32).hex(),
    }
    write_verdict(tmp_path, verdict)
    assert judge(tmp_path)["wrong"] == REPLICA


def test_a_slice_that_was_changed_on_disk_does_not_stop_the_judge(tmp_path: Path) -> None:
    runner = filled_log(tmp_path)
    accuse(tmp_path, runner, {ENGINE: one_atom})
    audit_files.slice_path(tmp_path, runner.position, 2, COUNT, ENGINE).write_bytes(b"nonsense")
    verdict = judge(tmp_path)
    assert verdict["wrong"] == ENGINE
    assert "cannot be read" in verdict["differences"][0]["what"]


def test_without_a_difference_there_is_nothing_to_judge(tmp_path: Path) -> None:
    filled_log(tmp_path, count=2)
    with pytest.raises(ValueError, match="no difference"):
        judge(tmp_path)


def test_a_replica_of_another_version_is_no_evidence(tmp_path: Path) -> None:
    """The difference is reported with both versions; trading goes on without a replica."""

    async def story(stage: Stage) -> None:
        stage.hello(version="0.0.1 other")
        stage.done()
        await stage.deny_a_slice()
        await until(lambda: stage.audit.versions is not None)
        assert stage.audit.versions == f"engine {wire.VERSION}, replica 0.0.1 other"
        assert stage.audit.verdict is None and stage.judged == 0
        assert stage.replaced == ["another version"]
        (answer,) = await asyncio.gather(stage.engine.commands.submit(traffic.buy()))
        assert records.read_outcome(answer.events).status == records.NEW

    staged(tmp_path, story)
    assert not (tmp_path / "audit").exists()


def test_a_wrong_replica_is_replaced_and_trading_waits_for_a_person(tmp_path: Path) -> None:
    """Over a restart, too. Only the named verdict opens trading, when both have agreed."""

    async def story(stage: Stage) -> None:
        stage.hello()
        stage.done()
        await stage.deny_a_slice()
        await until(lambda: stage.exchange.paused)
        await until(lambda: stage.judged == 1 and bool(stage.replaced))
        verdict = stage.audit.verdict
        assert verdict is not None and verdict["wrong"] == REPLICA
        with pytest.raises(ControlRefused, match="verdict is of position"):
            await stage.audit.resume(str(verdict["position"] + 1))

    staged(tmp_path, story)
    verdict = read_verdict(tmp_path)
    assert verdict is not None

    async def next_day(stage: Stage) -> None:
        assert stage.exchange.paused
        assert stage.judged == 0
        async with agreeing(stage):
            told = await stage.audit.resume(str(verdict["position"]))
        assert "open again" in told
        assert stage.audit.verdict is None
        (answer,) = await asyncio.gather(stage.engine.commands.submit(traffic.buy()))
        assert records.read_outcome(answer.events).status == records.NEW

    staged(tmp_path, next_day)
    assert read_verdict(tmp_path) is None
    kept = tmp_path / "audit" / f"{verdict['position']}-verdict.json"
    assert json.loads(kept.read_bytes())["wrong"] == REPLICA


def test_trading_is_paused_before_the_verdict_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that hangs does not keep trading open. The pause vouches for what is written later."""
    going_on = threading.Event()
    write = audit_files.write_verdict

    def hang(*arguments: Any) -> None:
        going_on.wait()
        write(*arguments)

    async def story(stage: Stage) -> None:
        monkeypatch.setattr(audit_files, "write_verdict", hang)
        stage.hello()
        stage.done()
        await stage.deny_a_slice()
        try:
            await until(lambda: stage.exchange.paused)
            assert read_verdict(tmp_path) is None
        finally:
            going_on.set()
        await until(lambda: bool(stage.replaced))
        found = read_verdict(tmp_path)
        assert found is not None
        assert stage.exchange.pause(BY_AUDIT).detail == finding_hash(found)

    staged(tmp_path, story)


def test_a_resume_that_meets_the_stop_of_the_exchange_leaves_the_verdict(tmp_path: Path) -> None:
    """Trading was not opened in the log: without the verdict nothing could ever open it."""
    runner = filled_log(tmp_path)
    pause_for(tmp_path, accuse(tmp_path, runner, {REPLICA: one_atom}))

    async def story(stage: Stage) -> None:
        await until(lambda: bool(stage.replaced))
        resuming = asyncio.ensure_future(stage.audit.resume(str(runner.position)))
        await asyncio.sleep(0)
        await stage.engine.commands.stop()
        async with agreeing(stage):
            with pytest.raises(ControlRefused, match="is stopping"):
                await resuming
        assert stage.exchange.paused

    staged(tmp_path, story)
    assert read_verdict(tmp_path) is not None


def test_a_difference_that_was_not_judged_is_judged_at_the_next_start(tmp_path: Path) -> None:
    """The process that found it was killed meanwhile."""
    runner = filled_log(tmp_path)
    pause_for(tmp_path, accuse(tmp_path, runner, {ENGINE: one_atom}))

    async def story(stage: Stage) -> None:
        assert stage.exchange.paused
        await until(lambda: stage.judged == 1)
        await until(lambda: (stage.audit.verdict or {}).get("wrong") == ENGINE)
        # An earlier process was wrong: this one may write snapshots again.
        stage.audit._has_replica = False  # There is no replica to ask.
        assert await stage.audit.approves_snapshot()

    staged(tmp_path, story)


def test_a_second_difference_is_reported_and_leaves_no_snapshot(tmp_path: Path) -> None:
    """A wrong replica was replaced; before that is acknowledged, the next one differs too."""

    async def story(stage: Stage) -> None:
        stage.hello()
        stage.done()
        await stage.deny_a_slice()
        await until(lambda: stage.judged == 1 and bool(stage.replaced))
        stage.link.disconnect("replaced")
        stage.replica.close()
        assert stage.audit.verdict is not None and stage.audit.verdict["wrong"] == REPLICA
        stage.begin_replica()
        stage.hello()
        stage.done()
        await stage.deny_a_slice()
        await until(lambda: "again" in (stage.audit.verdict or {}))
        assert "differ again" in summary(stage.audit.verdict)
        assert not await stage.audit.approves_snapshot()
        assert stage.judged == 1

    staged(tmp_path, story)


def test_without_the_replica_s_agreement_there_is_no_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a changed memory could become a snapshot by ending the replica."""
    monkeypatch.setattr(audit, "STARTING_WAIT_S", 0.05)
    monkeypatch.setattr(audit, "APPROVAL_WAIT_S", 0.05)

    async def story(stage: Stage) -> None:
        assert not await stage.audit.approves_snapshot(), "it has not sent a message"
        stage.hello()
        stage.done()
        await until(lambda: stage.link.state != DOWN)
        assert not await stage.audit.approves_snapshot(), "it does not answer"
        stage.link.disconnect("gone")
        stage.replica.close()
        assert not await stage.audit.approves_snapshot(), "it has gone"

    staged(tmp_path, story)


def test_events_that_differ_leave_no_snapshot_although_all_slices_agree(tmp_path: Path) -> None:
    """The difference is found while the replica compares the last state."""

    async def story(stage: Stage) -> None:
        stage.hello()
        stage.done()
        await until(lambda: stage.link.state != DOWN)
        approving = asyncio.ensure_future(stage.audit.approves_snapshot())
        await asyncio.sleep(0)
        both = {"position": stage.engine.position, ENGINE: "00" * 32, REPLICA: "11" * 32}
        stage.replica.send(wire.pack_text(wire.EVENTS_DIFFER, json.dumps(both)))
        async with agreeing(stage):
            assert not await approving
        assert stage.audit.verdict is not None

    staged(tmp_path, story)
