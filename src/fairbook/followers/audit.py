"""The audit: pause trading when engine and replica differ, until an operator resumes it.

Design: docs/operate/replicas.md, "When they differ".

Invariants:
- while there is a verdict.json, the exchange is CancelOnly, over restarts too;
- only `resume` opens it, unless an operator had paused it before the difference;
- no snapshot is written of a state that is in doubt.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from fairbook.core import admin_records, records
from fairbook.core.exchange import Exchange
from fairbook.followers import audit_files
from fairbook.followers.audit_files import Verdict, summary
from fairbook.followers.follower_link import DOWN
from fairbook.followers.judge import BOTH, ENGINE, REPLICA, UNKNOWN
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
PAUSE_REASON: Final = 1  # of PAUSE: engine and replica differ
BUSY_WAIT_S: Final = 0.001
SAVE_WAIT_S: Final = 0.2
"""How long a verdict may take to be written until trading is paused without it."""

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
    ) -> None:
        """run_judge: `judge.judge`, in another process; it may raise. replace_replica: ends the
        replica and starts another; given the reason. Raises OSError for an unreadable verdict.
        """
        self.verdict = audit_files.read_verdict(directory)
        """The verdict that is not acknowledged yet."""
        self.versions: str | None = None
        """Set if a replica of another version differed, which proves nothing."""
        self._directory = directory
        self._exchange = exchange
        self._commands = commands
        self._link = link
        self._run_judge = run_judge
        self._replace_replica = replace_replica
        self._has_replica = has_replica
        self._slices: list[Slice] = []  # The engine's, of those that differed.
        self._investigation: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Pause trading if an earlier process left a verdict. Awaited before trading begins."""
        if self.verdict is None:
            return
        logger.error("trading stays paused: %s", summary(self.verdict))
        await self._pause()
        if self.verdict["status"] != "judged":
            self._investigation = asyncio.ensure_future(self._judge())

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

    async def resume(self, position: int) -> str:
        """Acknowledge the verdict of `position`: open trading again. Raises ControlRefused."""
        verdict = self.verdict
        if verdict is None:
            raise ControlRefused(
                "there is no verdict to acknowledge: the audit has not paused trading"
            )
        if verdict["position"] != position:
            raise ControlRefused(
                f"the verdict is of position {verdict['position']}, not {position}"
            )
        if verdict["status"] != "judged":
            raise ControlRefused("the difference is not judged yet: wait, and read the verdict")
        if self._is_engine_in_doubt():
            raise ControlRefused(
                "the memory of this engine is wrong: restart it (SIGTERM, then `fairbook up`), so"
                " that it recovers from an agreed snapshot; then resume"
            )
        if not await self._link.round_agreed(within_s=RESUME_WAIT_S):
            raise ControlRefused(
                f"engine and replica have not agreed on the whole state (replica:"
                f" {self._link.state}): see `fairbook status`, and try again"
            )
        if self.verdict is not verdict:
            raise ControlRefused("the verdict has changed meanwhile: see `fairbook status`")
        was_paused = verdict["paused_before"]
        if not was_paused:
            try:
                await self._submit(admin_records.resume(admin_records.BY_AUDIT))
            except Stopped as stopped:
                raise ControlRefused("the exchange is stopping: start it, and resume") from stopped
        path = audit_files.archive_verdict(self._directory, verdict)
        self.verdict = None
        logger.warning("the verdict of position %d is acknowledged", position)
        opened = "it was paused before, and stays so" if was_paused else "trading is open again"
        return f"{opened}; the verdict is kept in {path.name}"

    def _is_engine_in_doubt(self) -> bool:
        """Whether the verdict says, or may yet say, that the memory of this process is wrong."""
        verdict = self.verdict
        if verdict is None or verdict[ENGINE]["id"] != self._link.id:
            return False
        return verdict["wrong"] in (ENGINE, BOTH, UNKNOWN, None)

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
        self.verdict = {
            "status": "found",
            "position": mismatch.position,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "wrong": None,
            "paused_before": self._exchange.paused,
            ENGINE: {"id": self._link.id, "version": VERSION},
            REPLICA: {"id": replica.get("id"), "version": replica.get("version")},
            "events": None,
            "slices": [],
            "differences": [],
        }
        self._slices = []
        self._extend(self.verdict, mismatch)
        self._investigation = asyncio.ensure_future(self._investigate())

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
        # The verdict first: paused without it, trading could not be resumed after a crash. But a
        # disk that hangs must not keep trading open.
        saving = asyncio.ensure_future(self._save())
        await asyncio.wait([saving], timeout=SAVE_WAIT_S)
        pausing = asyncio.ensure_future(self._pause())
        try:
            await saving
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
        finally:
            await pausing

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

    async def _judge(self) -> None:
        """Have the difference judged, and replace a wrong replica."""
        assert self.verdict is not None
        try:
            self.verdict = await self._run_judge()
        except Exception as error:
            # The log, the disk, a bug: in any case a person must look.
            logger.exception("the difference could not be judged")
            self.verdict |= {"status": "judged", "wrong": UNKNOWN, "why": repr(error)}
            await self._save()
        logger.error("%s", summary(self.verdict))
        self._slices = []
        if self.verdict["wrong"] in (REPLICA, BOTH, UNKNOWN):
            self._replace_replica("its memory was wrong")

    async def _pause(self) -> None:
        if not self._exchange.paused:
            with suppress(Stopped):  # Trading has ended, and the next start sees the verdict.
                await self._submit(admin_records.pause(admin_records.BY_AUDIT, PAUSE_REASON))

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
