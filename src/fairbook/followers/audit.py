"""The audit: pause trading when engine and replica differ, until an operator resumes it.

Design: docs/operate/replicas.md, "When they differ". That trading is paused is a fact of the log;
verdict.json says more about it, and is believed if it is what the logged pause vouches for.

Invariants:
- nothing in DIR/audit pauses trading or opens it;
- only `resume` lifts the audit's pause; it leaves an operator's pause as it is;
- no snapshot is written of a state that is in doubt.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from fairbook.core import admin_records, records
from fairbook.core.admin_records import BY_AUDIT
from fairbook.core.exchange import Exchange
from fairbook.core.parts import with_detail
from fairbook.followers import audit_files
from fairbook.followers.audit_files import Verdict, summary
from fairbook.followers.follower_link import DOWN
from fairbook.followers.judge import BOTH, ENGINE, REPLAYED, REPLICA, SHOWN_MAX, UNKNOWN
from fairbook.followers.pauses import DIFFERENCE, pause_name
from fairbook.followers.replica_link import Mismatch, ReplicaLink, Slice
from fairbook.followers.wire import VERSION
from fairbook.net.control_socket import ControlRefused
from fairbook.ports.commands import Busy, Commands, Stopped

ROUND_WAIT_S: Final = 3.0
"""When events differ: how long to wait for a round of slices, which names the account."""
SLICES_KEPT: Final = 64
RESUME_WAIT_S: Final = 15.0
APPROVAL_WAIT_S: Final = 10.0
STARTING_WAIT_S: Final = 3.0  # for a replica that is down: it may be starting
BUSY_WAIT_S: Final = 0.001

logger = logging.getLogger(__name__)


class Audit:
    """Handles differences; one per engine process. All methods are for the loop's thread."""

    def __init__(
        self,
        directory: Path,
        exchange: Exchange,
        commands: Commands,
        link: ReplicaLink,
        *,
        run_judge: Callable[[], Awaitable[Verdict]],
        replace_replica: Callable[[str], None],
        has_replica: bool = True,
        started_from: int = 0,
    ) -> None:
        """run_judge: `judge.judge`, in another process; it may raise. replace_replica: ends the
        replica and starts another; given the reason. exchange: recovered, from the snapshot of
        position started_from.
        """
        self.verdict: Verdict | None = None
        """The verdict of the audit's pause, or of a difference that is about to pause trading."""
        self.not_believed: str | None = None
        """What is wrong with a verdict.json that is of no pause."""
        self.versions: str | None = None
        """Set if a replica of another version differed, which proves nothing."""
        self._directory = directory
        self._exchange = exchange
        self._commands = commands
        self._link = link
        self._run_judge = run_judge
        self._replace_replica = replace_replica
        self._has_replica = has_replica
        self._started_from = started_from
        self._slices: list[Slice] = []  # The engine's, of those that differed.
        self._investigation: asyncio.Task[None] | None = None
        self._resuming = asyncio.Lock()
        self.verdict, self.not_believed = believed_verdict(directory, exchange)

    def start(self) -> None:
        """Continue what an earlier process has begun."""
        if self.not_believed is not None:
            logger.error("not believed: %s", self.not_believed)
        pause = self._exchange.pause(BY_AUDIT)
        if self.verdict is not None:
            logger.error("trading stays paused: %s", summary(self.verdict))
            if self.verdict["status"] != "judged":
                self._investigation = asyncio.ensure_future(self._judge())
        elif pause.reason != 0:
            logger.error("trading stays paused by the audit: pause %s", pause_name(pause))

    async def stop(self) -> None:
        """End an investigation that is under way: the next start continues it."""
        if self._investigation is not None:
            self._investigation.cancel()
            await asyncio.wait([self._investigation])

    async def approves_snapshot(self) -> bool:
        """Whether the engine's last state, which changes no more, may be written as a snapshot.

        With a replica, only if it agrees. Otherwise one who can end the replica could have the next
        start load a changed memory; without a snapshot it replays the log instead.
        """
        if self._is_state_in_doubt():
            return False
        if not self._has_replica:
            logger.warning("the last snapshot is unchecked: there is no replica")
            return True
        within_s = STARTING_WAIT_S if self._link.state == DOWN else APPROVAL_WAIT_S
        agreed = await self._link.round_agreed(within_s=within_s)
        if self._is_state_in_doubt():
            return False  # Events may differ although all slices agree.
        if not agreed:
            logger.warning(
                "no snapshot: the replica has not agreed to this state (%s); the next start"
                " replays the log from the last agreed snapshot",
                self._link.state,
            )
        return agreed

    def _is_state_in_doubt(self) -> bool:
        """Whether the verdict, or a later difference that was not judged, is about this process."""
        differs_again = self.verdict is not None and "again" in self.verdict
        in_doubt = self._is_engine_in_doubt() or differs_again
        if in_doubt:
            logger.error("no snapshot: this engine's memory is in doubt")
        return in_doubt

    async def resume(self, acknowledged: str) -> str:
        """Lift the audit's pause. acknowledged: the position of its verdict; the name of the pause
        if the verdict is gone. A second call waits for the first one. Raises ControlRefused.
        """
        async with self._resuming:
            verdict = self._acknowledge(acknowledged)
            if not await self._link.round_agreed(within_s=RESUME_WAIT_S):
                raise ControlRefused(
                    f"engine and replica have not agreed on the whole state (replica:"
                    f" {self._link.state}): see `fairbook status`, and try again"
                )
            if self.verdict is not verdict:
                raise ControlRefused("the verdict has changed meanwhile: see `fairbook status`")
            try:
                await self._submit(admin_records.resume(BY_AUDIT))
            except Stopped as stopped:
                raise ControlRefused("the exchange is stopping: start it, and resume") from stopped
            self.verdict = None
            logger.warning("the audit's pause is lifted: %s is acknowledged", acknowledged)
            is_open = not self._exchange.paused
            told = "trading is open again" if is_open else "an operator's pause stays"
            return f"{told}; {await self._kept(verdict)}"

    def _acknowledge(self, acknowledged: str) -> Verdict | None:
        """The verdict that may be acknowledged now; None: it is gone. Raises ControlRefused."""
        pause, verdict = self._exchange.pause(BY_AUDIT), self.verdict
        if verdict is None:
            if pause.reason == 0:
                raise ControlRefused("the audit has not paused trading: there is nothing to resume")
            name = pause_name(pause)
            if acknowledged != name:
                raise ControlRefused(
                    f"the verdict of this pause is gone: acknowledge the pause itself, {name}"
                )
            return None
        if acknowledged != str(verdict["position"]):
            raise ControlRefused(
                f"the verdict is of position {verdict['position']}, not {acknowledged}"
            )
        if verdict["status"] != "judged":
            raise ControlRefused("the difference is not judged yet: wait, and read the verdict")
        if self._is_engine_in_doubt():
            raise ControlRefused(
                "the memory of this engine is wrong: restart it (SIGTERM, then `fairbook up`), so"
                " that it recovers from an agreed snapshot; then resume"
            )
        return verdict

    async def _kept(self, verdict: Verdict | None) -> str:
        """Keep an acknowledged verdict under its own name; says where it is."""
        if verdict is None:
            return "there was no verdict to keep"
        try:
            path = await asyncio.to_thread(audit_files.archive_verdict, self._directory, verdict)
        except OSError as error:
            logger.exception("the acknowledged verdict was not kept")
            return f"the verdict was not kept: {error}"
        return f"the verdict is kept in {path.name}"

    def _is_engine_in_doubt(self) -> bool:
        """Whether the verdict says, or may yet say, that the memory of this process is wrong."""
        verdict = self.verdict
        if verdict is None or verdict[ENGINE]["id"] != self._link.id:
            return False
        return verdict["wrong"] in (ENGINE, BOTH, UNKNOWN, REPLAYED, None)

    def add(self, mismatch: Mismatch) -> None:
        if self.verdict is not None:
            if self.verdict["status"] == "found":
                self._extend(self.verdict, mismatch)
            elif not self._is_engine_in_doubt() and "again" not in self.verdict:
                # Only a restart resolves it.
                self.verdict["again"] = mismatch.position
                logger.error("%s", summary(self.verdict))
            return
        replica = self._link.follower
        if replica.get("version") != VERSION:
            self.versions = f"engine {VERSION}, replica {replica.get('version')}"
            logger.error(
                "engine and replica are of different versions and differ: %s", self.versions
            )
            self._replace_replica("another version")
            return
        self.verdict = self._new_verdict(mismatch.position)
        self._slices = []
        self._extend(self.verdict, mismatch)
        self._investigation = asyncio.ensure_future(self._investigate())

    def _new_verdict(self, position: int) -> Verdict:
        replica = self._link.follower
        return {
            "status": "found",
            "position": position,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "wrong": None,
            ENGINE: {"id": self._link.id, "version": VERSION},
            REPLICA: {"id": str(replica.get("id")), "version": str(replica.get("version"))},
            "events": None,
            "slices": [],
            "differences": [],
            "started_from": [self._started_from, self._link.started_from],
        }

    def add_replayed(self, found: dict[str, Any]) -> None:
        """The full replay contradicts a snapshot, a checkpoint or the events: `position`,
        `contradicted`, `problems` and `differences` as in a verdict.
        """
        verdict = self.verdict
        if verdict is None:
            verdict = self.verdict = self._new_verdict(found["position"]) | found
            verdict |= {"status": "judged", "wrong": REPLAYED, "judge": {"version": VERSION}}
            self._investigation = asyncio.ensure_future(self._pause_for(verdict))
        elif verdict["wrong"] == REPLAYED and verdict[ENGINE]["id"] == self._link.id:
            for field in ("contradicted", "problems", "differences"):
                more = [each for each in found[field] if each not in verdict[field]]
                verdict[field] += more[: max(0, SHOWN_MAX - len(verdict[field]))]
            self._investigation = asyncio.ensure_future(self._save_after(self._investigation))
        elif "again" not in verdict:
            verdict["again"] = found["position"]
        logger.error("%s", summary(verdict))

    async def _save_after(self, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
        await self._save()

    def _extend(self, verdict: Verdict, mismatch: Mismatch) -> None:
        """Add a difference that is not judged yet."""
        both = {
            "position": mismatch.position,
            ENGINE: mismatch.engine_digest.hex(),
            REPLICA: mismatch.replica_digest.hex(),
        }
        made = mismatch.engine_slice
        if made is None:
            verdict["events"] = both
        elif len(self._slices) < SLICES_KEPT:
            self._slices.append(made)
            index, count = made.checkpoint.slice_index, made.checkpoint.slice_count
            verdict["slices"].append(both | {"index": index, "count": count})

    async def _investigate(self) -> None:
        verdict = self.verdict
        assert verdict is not None
        logger.error(
            "engine and replica differ at position %d: trading is paused", verdict["position"]
        )
        await self._pause_for(verdict)
        if verdict["events"] is not None:
            # The state differed before the events did: compare all of it.
            await self._link.round_agreed(within_s=ROUND_WAIT_S)
        slices = list(self._slices)
        try:
            await asyncio.to_thread(self._write_slices, slices)
        except OSError:
            logger.exception("a slice that differs was not written")
        verdict["slices"] = verdict["slices"][: len(slices)]
        await self._save()
        await self._judge()

    async def _pause_for(self, verdict: Verdict) -> None:
        # Before anything is written: a disk that hangs must not keep trading open.
        with suppress(Stopped):  # Trading has ended. The next start is sound: it replays the log.
            pause = admin_records.pause(BY_AUDIT, DIFFERENCE)
            await self._submit(with_detail(pause, audit_files.finding_hash(verdict)))
        await self._put_aside()
        await self._save()

    def _write_slices(self, slices: list[Slice]) -> None:
        for made in slices:
            at = made.checkpoint
            path = audit_files.slice_path(
                self._directory, at.position, at.slice_index, at.slice_count, ENGINE
            )
            audit_files.write_audit_file(path, made.content)

    async def _save(self) -> None:
        """Write the verdict. If that fails, trading is paused all the same."""
        assert self.verdict is not None
        copy = json.loads(json.dumps(self.verdict))
        try:
            await asyncio.to_thread(audit_files.write_verdict, self._directory, copy)
        except OSError:
            logger.exception("the verdict was not written")

    async def _put_aside(self) -> None:
        """Make room for a verdict.json that is believed."""
        if self.not_believed is not None:
            try:
                await asyncio.to_thread(audit_files.put_aside, self._directory)
            except OSError:
                logger.exception("a verdict that is not believed was not put aside")
            self.not_believed = None

    async def _judge(self) -> None:
        """Have the difference judged, and replace a wrong replica."""
        assert self.verdict is not None
        try:
            judged = await self._run_judge()
            if audit_files.finding_hash(judged) != audit_files.finding_hash(self.verdict):
                raise ValueError("verdict.json was replaced")
            self.verdict = judged
        except Exception as error:
            # The log, the disk, a bug: in any case a person must look.
            logger.exception("the difference could not be judged")
            self.verdict |= {"status": "judged", "wrong": UNKNOWN, "why": repr(error)}
            await self._save()
        logger.error("%s", summary(self.verdict))
        self._slices = []
        if self.verdict["wrong"] in (REPLICA, BOTH, UNKNOWN):
            self._replace_replica("its memory was wrong")

    async def _submit(self, command: bytes) -> None:
        while True:
            try:
                answer = await self._commands.submit(command)
            except Busy:
                await asyncio.sleep(BUSY_WAIT_S)
                continue
            outcome = records.read_outcome(answer.events)
            assert outcome.status == records.DONE, f"reject {outcome.reason}"
            return


def believed_verdict(directory: Path, exchange: Exchange) -> tuple[Verdict | None, str | None]:
    """The verdict of the audit's pause, if verdict.json is that; else what is wrong with the file.

    Both are None if there is no file.
    """
    name = f"{audit_files.DIRECTORY}/{audit_files.VERDICT_NAME}"
    try:
        verdict = audit_files.read_verdict(directory)
    except (OSError, ValueError) as error:
        return None, f"{name} cannot be read: {error}"
    if verdict is None:
        return None, None
    pause = exchange.pause(BY_AUDIT)
    if pause.reason == 0:
        return None, f"{name}, of position {verdict['position']}: the audit has not paused trading"
    if pause.detail != audit_files.finding_hash(verdict):
        return None, f"{name}, of position {verdict['position']}: it is not of this pause"
    return verdict, None
