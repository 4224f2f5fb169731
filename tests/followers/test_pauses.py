"""The audit's pause is a fact of the log: no file opens trading, closes it, or is needed for it."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairbook.cli.status import read_status
from fairbook.core import admin_records, records
from fairbook.core.admin_records import BY_AUDIT, BY_OPERATOR
from fairbook.followers import audit_files
from fairbook.followers.audit_files import Verdict, finding_hash, read_verdict
from fairbook.followers.judge import REPLICA, UNKNOWN
from fairbook.followers.pauses import PauseStarts, pause_name
from fairbook.net.control_socket import ControlRefused
from tests.followers.audit_stage import (
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

FILE = Path("audit") / "verdict.json"


async def trades(stage: Stage) -> bool:
    """Whether orders are taken."""
    outcome = records.read_outcome((await stage.engine.commands.submit(traffic.buy(3))).events)
    assert outcome.reason in (0, records.TRADING_PAUSED)
    return outcome.status == records.NEW


async def find_difference(stage: Stage) -> None:
    """The replica reports one; wait until it is judged."""
    stage.hello()
    stage.done()
    await stage.deny_a_slice()
    await until(lambda: (stage.audit.verdict or {}).get("status") == "judged")
    await until(lambda: bool(stage.replaced))


def paused_by_a_difference(directory: Path) -> Verdict:
    """A stopped exchange whose replica was wrong."""
    staged(directory, find_difference)
    verdict = read_verdict(directory)
    assert verdict is not None and verdict["wrong"] == REPLICA
    return verdict


async def resumed(stage: Stage, acknowledged: str) -> str:
    async with agreeing(stage):
        return await stage.audit.resume(acknowledged)


@pytest.mark.parametrize("what", ["the folder", "the verdict", "all but the log"])
def test_a_pause_outlives_its_files_and_can_be_lifted(tmp_path: Path, what: str) -> None:
    """By the name that the status shows, by nothing else."""
    verdict = paused_by_a_difference(tmp_path)
    if what == "the verdict":
        (tmp_path / FILE).unlink()
    else:
        shutil.rmtree(tmp_path / "audit")
    if what == "all but the log":
        shutil.rmtree(tmp_path / "snapshots")
    stopped = read_status(tmp_path)
    name = finding_hash(verdict).hex()[:16]
    assert stopped["audit"] == {"verdict": None, "summary": None, "not_believed": None}
    pause = stopped["pauses"]["audit"]
    assert (pause["reason"], pause["name"]) == (1, name)
    assert stopped["engine"]["paused"] and stopped["pauses"]["operator"] is None

    async def story(stage: Stage) -> None:
        assert not await trades(stage)
        for wrong in (str(verdict["position"]), "0" * 16, "", name[:-1]):
            with pytest.raises(ControlRefused, match=f"acknowledge the pause itself, {name}"):
                await resumed(stage, wrong)
        told = await resumed(stage, name)
        assert told == "trading is open again; there was no verdict to keep"
        assert await trades(stage)
        with pytest.raises(ControlRefused, match="nothing to resume"):
            await resumed(stage, name)

    staged(tmp_path, story)


def test_a_verdict_that_cannot_be_written_leaves_a_pause_that_can_be_lifted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the same process by its position; after a restart by its name."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    async def story(stage: Stage) -> None:
        with monkeypatch.context() as patches:
            patches.setattr(audit_files, "write_audit_file", full)
            await find_difference(stage)
        verdict = stage.audit.verdict
        assert verdict is not None and verdict["wrong"] == UNKNOWN
        assert not await trades(stage)
        with pytest.raises(ControlRefused, match="restart it"):
            await resumed(stage, str(verdict["position"]))

    staged(tmp_path, story)
    assert not (tmp_path / FILE).exists()

    async def next_day(stage: Stage) -> None:
        assert not await trades(stage)
        await resumed(stage, pause_name(stage.exchange.pause(BY_AUDIT)))
        assert await trades(stage)

    staged(tmp_path, next_day)


def test_a_verdict_that_cannot_be_kept_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer says so, and trading is open."""
    verdict = paused_by_a_difference(tmp_path)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    async def story(stage: Stage) -> None:
        monkeypatch.setattr(audit_files, "write_audit_file", full)
        told = await resumed(stage, str(verdict["position"]))
        assert told.startswith("trading is open again; the verdict was not kept: ")
        assert await trades(stage)

    staged(tmp_path, story)
    assert read_status(tmp_path)["audit"]["not_believed"] is not None


def hand_written(position: int) -> Verdict:
    both: dict[str, Any] = {"engine": {"id": "engine-1", "version": "1"}}
    both["replica"] = {"id": "replica-1", "version": "1"}
    return {
        "status": "judged", "wrong": "neither", "position": position, "at": "today",
        "events": None, "slices": [], "differences": [], **both,
    }  # fmt: skip


MALFORMED: list[Callable[[Verdict], Any]] = [
    lambda verdict: [verdict],
    lambda verdict: verdict | {"status": "judged", "wrong": None},
    lambda verdict: verdict | {"wrong": "none"},
    lambda verdict: verdict | {"position": "12"},
    lambda verdict: verdict | {"engine": None},
    lambda verdict: verdict | {"slices": [{"index": 1}]},
    lambda verdict: verdict | {"differences": [3]},
    lambda verdict: verdict | {"again": "x"},
    lambda verdict: {},
]


@pytest.mark.parametrize("number", range(len(MALFORMED) + 3))
def test_a_hand_written_verdict_closes_nothing(tmp_path: Path, number: int) -> None:
    """Whatever is in it: it is named, put aside when there is a real one, and never removed."""
    filled_log(tmp_path)
    (tmp_path / "audit").mkdir()
    texts = [
        json.dumps(hand_written(7)),
        "",
        "{",
        *(json.dumps(malform(hand_written(7))) for malform in MALFORMED),
    ]
    text = texts[number]
    (tmp_path / FILE).write_text(text)
    assert "audit/verdict.json" in read_status(tmp_path)["audit"]["not_believed"]

    async def story(stage: Stage) -> None:
        assert stage.audit.verdict is None
        assert stage.audit.not_believed
        assert await trades(stage)
        with pytest.raises(ControlRefused, match="nothing to resume"):
            await resumed(stage, "7")
        await find_difference(stage)
        assert not stage.audit.not_believed
        assert not await trades(stage)

    staged(tmp_path, story)
    assert (tmp_path / "audit" / "not-believed-1.json").read_text() == text
    found = read_verdict(tmp_path)
    assert found is not None and found["wrong"] == REPLICA


@pytest.mark.parametrize("change", ["another one", "its position", "its engine"])
def test_a_hand_written_verdict_opens_nothing(tmp_path: Path, change: str) -> None:
    """In place of a real one, or made from it."""
    real = paused_by_a_difference(tmp_path)
    forged = {
        "another one": hand_written(real["position"]),
        "its position": real | {"position": real["position"] + 1},
        "its engine": real | {"engine": {"id": "engine-2", "version": "1"}},
    }[change]
    audit_files.write_verdict(tmp_path, forged)
    assert "not of this pause" in read_status(tmp_path)["audit"]["not_believed"]

    async def story(stage: Stage) -> None:
        assert stage.audit.verdict is None and "not of this pause" in str(stage.audit.not_believed)
        assert not await trades(stage)
        with pytest.raises(ControlRefused, match="acknowledge the pause itself"):
            await resumed(stage, str(forged["position"]))
        assert not await trades(stage)

    staged(tmp_path, story)


def test_a_judgement_that_was_replaced_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the judge runs: what it returns is of another difference."""

    async def story(stage: Stage) -> None:
        async def forged() -> Verdict:
            return hand_written(1)

        monkeypatch.setattr(stage.audit, "_run_judge", forged)
        await find_difference(stage)
        assert stage.audit.verdict is not None
        assert stage.audit.verdict["wrong"] == UNKNOWN
        assert "replaced" in stage.audit.verdict["why"]

    staged(tmp_path, story)


def test_two_resumes_at_once_both_get_an_answer(tmp_path: Path) -> None:
    """The second one waits for the first."""
    verdict = paused_by_a_difference(tmp_path)

    async def story(stage: Stage) -> None:
        position = str(verdict["position"])
        async with agreeing(stage):
            first, second = await asyncio.gather(
                *[stage.audit.resume(position) for _ in range(2)], return_exceptions=True
            )
        assert "open again" in str(first)
        assert isinstance(second, ControlRefused) and "nothing to resume" in str(second)
        assert await trades(stage)

    staged(tmp_path, story)


@pytest.mark.parametrize("operator_first", [False, True])
def test_the_two_pauses_are_independent(tmp_path: Path, operator_first: bool) -> None:
    """Each is lifted by its own command only, whichever came first."""
    pause = admin_records.pause(BY_OPERATOR, 42)

    async def story(stage: Stage) -> None:
        if operator_first:
            await stage.engine.commands.submit(pause)
        await find_difference(stage)
        if not operator_first:
            await stage.engine.commands.submit(pause)
        assert stage.audit.verdict is not None
        told = await resumed(stage, str(stage.audit.verdict["position"]))
        assert told.startswith("an operator's pause stays; ")
        assert stage.exchange.pause(BY_AUDIT).reason == 0
        assert stage.exchange.pause(BY_OPERATOR).reason == 42
        assert not await trades(stage)
        await stage.engine.commands.submit(admin_records.resume(BY_OPERATOR))
        assert await trades(stage)

    staged(tmp_path, story)


def test_an_operator_s_resume_leaves_the_audit_s_pause(tmp_path: Path) -> None:
    runner = filled_log(tmp_path)
    pause_for(tmp_path, accuse(tmp_path, runner, {REPLICA: one_atom}))

    async def story(stage: Stage) -> None:
        await stage.engine.commands.submit(admin_records.pause(BY_OPERATOR, 1))
        await stage.engine.commands.submit(admin_records.resume(BY_OPERATOR))
        assert stage.exchange.pause(BY_AUDIT).reason == 1
        assert not await trades(stage)

    staged(tmp_path, story)


def test_the_status_says_since_when(tmp_path: Path) -> None:
    """Of both pauses, running and stopped, over restarts, snapshots, and earlier pauses."""
    filled_log(tmp_path, count=5)
    began: dict[str, tuple[int, int]] = {}

    async def story(stage: Stage) -> None:
        starts = PauseStarts(tmp_path)

        async def shown() -> dict[str, tuple[int, int]]:
            found = await starts.status(stage.exchange, stage.engine.position)
            return {
                name: (pause["since_position"], pause["since_ns"])
                for name, pause in found.items()
                if pause is not None
            }

        async def send(name: str, command: bytes) -> None:
            answer = await stage.engine.commands.submit(command)
            began[name] = (answer.position, answer.time_ns)

        assert await shown() == {}
        for reason in (5, 5, 6):
            await send("operator", admin_records.pause(BY_OPERATOR, reason))
            assert await shown() == began
            await stage.engine.commands.submit(admin_records.pause(BY_OPERATOR, 9))
            assert await shown() == began
            await stage.engine.commands.submit(admin_records.resume(BY_OPERATOR))
        del began["operator"]
        await send("audit", admin_records.pause(BY_AUDIT, 1))
        await stage.engine.commands.submit(traffic.buy())
        assert await shown() == began
        await send("operator", admin_records.pause(BY_OPERATOR, 7))
        assert await shown() == began
        await stage.engine.snapshot()

    async def later(stage: Stage) -> None:
        pauses = await PauseStarts(tmp_path).status(stage.exchange, stage.engine.position)
        for name, (position, time_ns) in began.items():
            pause = pauses[name]
            assert pause is not None
            assert (pause["since_position"], pause["since_ns"]) == (position, time_ns)

    staged(tmp_path, story)
    staged(tmp_path, later)
    stopped = read_status(tmp_path)["pauses"]
    for name, (position, time_ns) in began.items():
        assert (stopped[name]["since_position"], stopped[name]["since_ns"]) == (position, time_ns)
