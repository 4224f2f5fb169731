"""After a difference: the judge, paused and resumed trading, other versions."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Coroutine
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from fairbook.core import admin_records, records, state
from fairbook.core.exchange import Exchange
from fairbook.core.state_slices import slice_bytes
from fairbook.engine.engine import Engine
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import Snapshots
from fairbook.followers import audit, audit_files, wire
from fairbook.followers.audit import Audit
from fairbook.followers.audit_files import (
    Verdict,
    edit_memory,
    read_verdict,
    summary,
    write_verdict,
)
from fairbook.followers.follower_link import DOWN
from fairbook.followers.judge import BOTH, ENGINE, NEITHER, REPLICA, judge
from fairbook.followers.replica_link import Mismatch, ReplicaLink
from fairbook.log.file_log import FileLog
from fairbook.net.control_socket import ControlRefused
from tests.world import traffic
from tests.world.waiting import until

COUNT = 4


def filled_log(directory: Path, seed: int = 1, count: int = 60) -> Runner:
    """A log on disk, and the state after it."""
    log = FileLog(directory)
    runner = Runner(Exchange())
    for number, frame in enumerate(traffic.frames(seed=seed, count=count)):
        runner.apply(log.append(frame, traffic.START_NS + number))
        if number == count // 2:
            Snapshots(directory).write(runner.snapshot())
    log.close()
    return runner


def accuse(
    directory: Path, runner: Runner, harmed: dict[str, Callable[[Exchange], None]]
) -> Verdict:
    """The files of a difference in slice 2: each of `harmed` has its memory changed."""
    place: dict[str, Any] = {"position": runner.position, "index": 2, "count": COUNT}
    for who in (ENGINE, REPLICA):
        exchange = state.load(state.dump(runner.exchange))
        if who in harmed:
            harmed[who](exchange)
        octets = slice_bytes(exchange, 2, COUNT)
        place[who] = sha256(octets).hexdigest()
        path = audit_files.slice_path(directory, runner.position, 2, COUNT, who)
        audit_files.write_audit_file(path, octets)
    verdict: Verdict = {
        "status": "found",
        "position": runner.position,
        "wrong": None,
        "paused_before": False,
        ENGINE: {"id": "engine-1", "version": "1"},
        REPLICA: {"id": "replica-1", "version": "1"},
        "events": None,
        "slices": [place],
        "differences": [],
    }
    write_verdict(directory, verdict)
    return verdict


def one_atom(exchange: Exchange) -> None:
    in_slice_2 = len(exchange.tables.accounts) * 2 // COUNT
    edit_memory(exchange, account=in_slice_2, asset=2, field=0, atoms=1)


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


class Stage:
    """An engine, its link and its audit, and a replica played by the test over a real socket."""

    def __init__(self, directory: Path, engine: Engine) -> None:
        self.directory = directory
        self.engine = engine
        self.link = ReplicaLink(engine.runner, on_mismatch=self._on_mismatch)
        self.replaced: list[str] = []
        self.judged = 0
        self.audit = Audit(
            directory,
            engine.runner.exchange,
            engine.commands,
            self.link,
            run_judge=self._judge,
            replace_replica=self.replaced.append,
        )
        self.begin_replica()

    def begin_replica(self) -> None:
        self.replica, ours = socket.socketpair()
        self.replica.setblocking(False)
        self.messages = wire.MessageParser()
        self.link.connect(ours)

    def _on_mismatch(self, mismatch: Mismatch) -> None:
        self.audit.add(mismatch)

    async def _judge(self) -> Verdict:
        self.judged += 1
        return judge(self.directory)

    def hello(self, version: str = wire.VERSION) -> None:
        words = {"id": "replica-of-a-test", "version": version}
        self.replica.send(wire.pack_text(wire.HELLO, json.dumps(words)))

    def done(self) -> None:
        done = wire.pack(wire.PROGRESS, self.engine.position, 0)
        self.replica.send(done)

    async def deny_a_slice(self) -> None:
        """Report that the next slice differs."""
        loop = asyncio.get_running_loop()
        while True:
            for message in self.messages.feed(await loop.sock_recv(self.replica, 65536)):
                if message.kind == wire.SLICE:
                    self.replica.send(
                        wire.pack(
                            wire.SLICE_DIFFERS,
                            message.position,
                            message.number,
                            message.detail,
                            bytes(32),
                        )
                    )
                    return


def staged(directory: Path, story: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        engine = await Engine.start(FileLog(directory), Snapshots(directory))
        if not engine.catalogue.markets():
            await asyncio.gather(*[engine.commands.submit(each) for each in traffic.setup()])
        stage = Stage(directory, engine)
        try:
            await stage.audit.start()
            await story(stage)
        finally:
            await stage.audit.stop()
            stage.link.disconnect("the test ends")
            stage.replica.close()
            await engine.stop()

    asyncio.run(main())


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
        await until(lambda: stage.engine.runner.exchange.paused)
        await until(lambda: stage.judged == 1 and bool(stage.replaced))
        verdict = stage.audit.verdict
        assert verdict is not None and verdict["wrong"] == REPLICA
        with pytest.raises(ControlRefused, match="verdict is of position"):
            await stage.audit.resume(verdict["position"] + 1)

    staged(tmp_path, story)
    verdict = read_verdict(tmp_path)
    assert verdict is not None

    async def next_day(stage: Stage) -> None:
        assert stage.engine.runner.exchange.paused
        assert stage.judged == 0
        agreeing = asyncio.ensure_future(agree_with_all(stage))
        try:
            told = await stage.audit.resume(verdict["position"])
        finally:
            agreeing.cancel()
        assert "open again" in told
        assert stage.audit.verdict is None
        (answer,) = await asyncio.gather(stage.engine.commands.submit(traffic.buy()))
        assert records.read_outcome(answer.events).status == records.NEW

    staged(tmp_path, next_day)
    assert read_verdict(tmp_path) is None
    kept = tmp_path / "audit" / f"{verdict['position']}-verdict.json"
    assert json.loads(kept.read_bytes())["wrong"] == REPLICA


def test_trading_is_paused_when_the_verdict_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash in between leaves what `resume` needs."""
    found: list[Verdict | None] = []

    async def story(stage: Stage) -> None:
        async def pause(_value: int) -> None:
            found.append(read_verdict(tmp_path))

        monkeypatch.setattr(stage.audit, "_set_state", pause)
        stage.hello()
        stage.done()
        await stage.deny_a_slice()
        await until(lambda: bool(found) and bool(stage.replaced))

    staged(tmp_path, story)
    assert found[0] is not None


def test_a_disk_that_hangs_does_not_keep_trading_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    going_on = threading.Event()
    monkeypatch.setattr(audit, "SAVE_WAIT_S", 0.01)
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
            await until(lambda: stage.engine.runner.exchange.paused)
            assert read_verdict(tmp_path) is None
        finally:
            going_on.set()
        await until(lambda: bool(stage.replaced))

    staged(tmp_path, story)
    assert read_verdict(tmp_path) is not None


def test_a_resume_that_meets_the_stop_of_the_exchange_leaves_the_verdict(tmp_path: Path) -> None:
    """Trading was not opened in the log: without the verdict nothing could ever open it."""
    runner = filled_log(tmp_path)
    accuse(tmp_path, runner, {REPLICA: one_atom})

    async def story(stage: Stage) -> None:
        await until(lambda: bool(stage.replaced))
        resuming = asyncio.ensure_future(stage.audit.resume(runner.position))
        await asyncio.sleep(0)
        await stage.engine.commands.stop()
        agreeing = asyncio.ensure_future(agree_with_all(stage))
        try:
            with pytest.raises(ControlRefused, match="is stopping"):
                await resuming
        finally:
            agreeing.cancel()
        assert stage.engine.runner.exchange.paused

    staged(tmp_path, story)
    assert read_verdict(tmp_path) is not None


def test_a_difference_that_was_not_judged_is_judged_at_the_next_start(tmp_path: Path) -> None:
    """And trading is paused, if the process was killed before it could be."""
    runner = filled_log(tmp_path)
    accuse(tmp_path, runner, {ENGINE: one_atom})

    async def story(stage: Stage) -> None:
        assert stage.engine.runner.exchange.paused
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
        agreeing = asyncio.ensure_future(agree_with_all(stage))
        try:
            assert not await approving
        finally:
            agreeing.cancel()
        assert stage.audit.verdict is not None

    staged(tmp_path, story)


def test_an_exchange_that_was_paused_before_stays_so(tmp_path: Path) -> None:
    """The audit does not open what an operator has paused."""

    async def story(stage: Stage) -> None:
        pause = admin_records.pause(admin_records.BY_OPERATOR, 1)
        await stage.engine.commands.submit(pause)
        stage.hello()
        stage.done()
        await stage.deny_a_slice()
        await until(lambda: stage.judged == 1)
        assert stage.audit.verdict is not None
        agreeing = asyncio.ensure_future(agree_with_all(stage))
        try:
            told = await stage.audit.resume(stage.audit.verdict["position"])
        finally:
            agreeing.cancel()
        assert "stays so" in told and stage.engine.runner.exchange.paused

    staged(tmp_path, story)


async def agree_with_all(stage: Stage) -> None:
    """Agree with every frame and slice."""
    stage.hello()
    stage.done()
    loop = asyncio.get_running_loop()
    while True:
        for message in stage.messages.feed(await loop.sock_recv(stage.replica, 65536)):
            if message.kind in (wire.APPLIED, wire.SLICE):
                serial = message.number if message.kind == wire.SLICE else 0
                done = wire.pack(wire.PROGRESS, message.position, serial)
                await loop.sock_sendall(stage.replica, done)
