"""What follows when engine and replica disagree: nothing more is risked until a person has looked.

How it works: the first disagreement becomes DIR/audit/verdict.json, trading is paused by a logged
command of the exchange's own, and a judge in a third process says who is wrong (judge.py). A wrong
replica is replaced at once; a wrong engine goes on taking cancels until it is restarted. `resume`
opens trading again, when a person has named the verdict and both have agreed on the whole state
since.

Always true:
- while there is a verdict.json, the exchange is CancelOnly, over restarts too;
- it is opened only by `resume`, and not if somebody else had paused it before;
- no snapshot is written of a state that is in doubt.

Not here: comparing (replica_lead.py, replica.py).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from fairbook.core import records
from fairbook.core.exchange import Exchange
from fairbook.followers import audit_files
from fairbook.followers.audit_files import Verdict
from fairbook.followers.judge import BOTH, ENGINE, REPLICA, UNKNOWN
from fairbook.followers.replica_link import DOWN, Disagreement, ReplicaLink, Slice
from fairbook.followers.wire import VERSION
from fairbook.net.control_socket import Refused
from fairbook.ports.commands import Answer, Busy, Stopped

ROUND_WAIT_S: Final = 3.0
"""When events differ: so long for all slices to be compared, which then name the account."""
SLICES_KEPT: Final = 64
RESUME_WAIT_S: Final = 15.0
VOUCH_WAIT_S: Final = 10.0
BACK_WAIT_S: Final = 3.0  # for a replica that is not there: it may be starting
BUSY_WAIT_S: Final = 0.001

logger = logging.getLogger(__name__)


class Commands(Protocol):
    """The way into the exchange (the sequencer)."""

    def submit(self, command: bytes) -> asyncio.Future[Answer]:
        """Log and apply one command."""


class Audit:
    """One per engine process. All methods are for the loop's thread."""

    def __init__(
        self,
        directory: Path,
        exchange: Exchange,
        commands: Commands,
        lead: ReplicaLink,
        *,
        run_judge: Callable[[], Awaitable[Verdict]],
        replace_replica: Callable[[str], None],
        has_replica: bool = True,
    ) -> None:
        """directory: of all data. run_judge: `judge.judge`, in another process; it may raise.

        replace_replica: end the replica and start another; given the reason. has_replica: whether
        one is wanted. Raises OSError if there is a verdict that cannot be read.
        """
        self.verdict = audit_files.read_verdict(directory)
        """What no person has acknowledged yet."""
        self.versions: str | None = None
        """Set if a replica of another version disagreed: that proves nothing."""
        self._directory = directory
        self._exchange = exchange
        self._commands = commands
        self._lead = lead
        self._run_judge = run_judge
        self._replace_replica = replace_replica
        self._has_replica = has_replica
        self._slices: list[Slice] = []  # The engine's, of those that differed.
        self._inquiry: asyncio.Task[None] | None = None
        lead.on_disagreement = self._hear

    async def start(self) -> None:
        """Before anybody may trade: what an earlier process has left open stays closed."""
        if self.verdict is None:
            return
        logger.error("trading stays paused: %s", summary(self.verdict))
        await self._pause()
        if self.verdict["status"] != "judged":
            self._inquiry = asyncio.ensure_future(self._judge())

    async def stop(self) -> None:
        """End an inquiry that is under way: the next start goes on with it."""
        if self._inquiry is not None:
            self._inquiry.cancel()
            await asyncio.wait([self._inquiry])

    async def vouch(self) -> bool:
        """Whether the engine's own state may become a snapshot; asked when it changes no more.

        Where a replica is wanted, only if it agrees: else whoever can end it could have a changed
        memory believed by the next start, which replays the log instead.
        """
        if self._may_be_wrong():
            return False
        if not self._has_replica:
            logger.warning("the last snapshot is unchecked: there is no replica")
            return True
        within_s = BACK_WAIT_S if self._lead.state == DOWN else VOUCH_WAIT_S
        if await self._lead.round_agreed(within_s=within_s, hurried=True):
            return True
        if not self._may_be_wrong():
            logger.warning(
                "no snapshot: the replica has not agreed to this state (%s); the next start"
                " replays the log from the last one that was agreed on",
                self._lead.state,
            )
        return False

    def _may_be_wrong(self) -> bool:
        """Whether the verdict leaves this process in doubt, or what came after it, unjudged."""
        has_more = self.verdict is not None and "again" in self.verdict
        is_wrong = self._is_engine_in_doubt() or has_more
        if is_wrong:
            logger.error("no snapshot: this engine's memory is in doubt")
        return is_wrong

    async def resume(self, position: int) -> str:
        """A person has looked at the verdict of `position`: open trading again. Raises Refused."""
        verdict = self.verdict
        if verdict is None:
            raise Refused("there is no verdict to acknowledge: the audit has not paused trading")
        if verdict["position"] != position:
            raise Refused(f"the verdict is of position {verdict['position']}, not {position}")
        if verdict["status"] != "judged":
            raise Refused("it has not been judged yet: wait, and read the verdict")
        if self._is_engine_in_doubt():
            raise Refused(
                "this engine's memory is wrong, and stays wrong: restart it (SIGTERM, then"
                " `fairbook up`), which recovers from a snapshot that was agreed on; then resume"
            )
        if not await self._lead.round_agreed(within_s=RESUME_WAIT_S, hurried=True):
            raise Refused(
                f"engine and replica have not agreed on the whole state (replica:"
                f" {self._lead.state}): see `fairbook status`, and try again"
            )
        if self.verdict is not verdict:
            raise Refused("something happened meanwhile: see `fairbook status`")
        was_paused = verdict["paused_before"]
        if not was_paused:
            await self._set_state(records.OPEN)
        path = audit_files.put_verdict_away(self._directory, verdict)
        self.verdict = None
        logger.warning("a person has acknowledged the verdict of position %d", position)
        opened = "it was paused before, and stays so" if was_paused else "trading is open again"
        return f"{opened}; the verdict is kept in {path.name}"

    def _is_engine_in_doubt(self) -> bool:
        """Whether the verdict says, or may yet say, that the memory of this process is wrong."""
        verdict = self.verdict
        if verdict is None or verdict[ENGINE]["id"] != self._lead.id:
            return False
        return verdict["wrong"] in (ENGINE, BOTH, UNKNOWN, None)

    # A disagreement.

    def _hear(self, disagreement: Disagreement) -> None:
        if self.verdict is not None:
            if self.verdict["status"] == "found":
                self._add(self.verdict, disagreement)
            elif not self._is_engine_in_doubt():
                self._hear_again(disagreement)
            return
        lead = self._lead
        replica = lead.replica
        if replica.get("version") != VERSION:
            self.versions = f"engine {VERSION}, replica {replica.get('version')}"
            logger.error(
                "engine and replica are of different versions and do not agree: %s", self.versions
            )
            self._replace_replica("another version")
            return
        self.verdict = {
            "status": "found",
            "position": disagreement.position,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "wrong": None,
            "paused_before": self._exchange.paused,
            ENGINE: {"id": lead.id, "version": VERSION},
            REPLICA: {"id": replica.get("id"), "version": replica.get("version")},
            "events": None,
            "slices": [],
            "differences": [],
        }
        self._slices = []
        self._add(self.verdict, disagreement)
        self._inquiry = asyncio.ensure_future(self._inquire())

    def _hear_again(self, disagreement: Disagreement) -> None:
        """One more, and nobody known to be wrong is left: it is said, and ends with a restart."""
        assert self.verdict is not None
        if "again" not in self.verdict:
            self.verdict["again"] = disagreement.position
            logger.error("%s", summary(self.verdict))

    def _add(self, verdict: Verdict, disagreement: Disagreement) -> None:
        """One more thing that they do not agree on."""
        both = {
            "position": disagreement.position,
            ENGINE: disagreement.engine_digest.hex(),
            REPLICA: disagreement.replica_digest.hex(),
        }
        made = disagreement.of_engine
        if made is None:
            verdict["events"] = both
        elif len(self._slices) < SLICES_KEPT:
            self._slices.append(made)
            verdict["slices"].append(both | {"index": made.index, "count": made.count})

    async def _inquire(self) -> None:
        verdict = self.verdict
        assert verdict is not None
        logger.error(
            "engine and replica do not agree at position %d: trading is paused",
            verdict["position"],
        )
        # Side by side: neither may keep the other waiting.
        pausing = asyncio.ensure_future(self._pause())
        try:
            await self._keep()
            if verdict["events"] is not None:
                # Something has happened to the state before: look at all of it.
                await self._lead.round_agreed(within_s=ROUND_WAIT_S, hurried=True)
            kept = list(self._slices)
            try:
                await asyncio.to_thread(self._write_slices, kept)
            except OSError:
                logger.exception("a slice that differs cannot be written")
            verdict["slices"] = verdict["slices"][: len(kept)]
            await self._keep()
            await self._judge()
        finally:
            await pausing

    def _write_slices(self, kept: list[Slice]) -> None:
        for made in kept:
            path = audit_files.slice_path(
                self._directory, made.position, made.index, made.count, ENGINE
            )
            audit_files.write_slice(path, made.octets)

    async def _keep(self) -> None:
        """Have the verdict on disk as it is; if that cannot be, trading is paused all the same."""
        assert self.verdict is not None
        copy = json.loads(json.dumps(self.verdict))
        try:
            await asyncio.to_thread(audit_files.write_verdict, self._directory, copy)
        except OSError:
            logger.exception("the verdict cannot be written")

    async def _judge(self) -> None:
        """Have it judged, and do what follows."""
        assert self.verdict is not None
        try:
            self.verdict = await self._run_judge()
        except Exception as error:
            # The log, the disk, a bug: whatever it is, a person must look.
            logger.exception("the difference could not be judged")
            self.verdict |= {"status": "judged", "wrong": UNKNOWN, "why": repr(error)}
            await self._keep()
        logger.error("%s", summary(self.verdict))
        self._slices = []
        if self.verdict["wrong"] in (REPLICA, BOTH, UNKNOWN):
            self._replace_replica("its memory was wrong")

    async def _pause(self) -> None:
        if not self._exchange.paused:
            await self._set_state(records.EXCHANGE_CANCEL_ONLY)

    async def _set_state(self, value: int) -> None:
        command = records.set_exchange(parameter=records.STATE, value=value)
        while True:
            try:
                answer = await self._commands.submit(command)
            except Busy:
                await asyncio.sleep(BUSY_WAIT_S)
                continue
            except Stopped:
                return  # It takes no orders any more, and the next start sees the verdict.
            outcome = records.read_outcome(answer.events)
            assert outcome.status == records.DONE, f"reject {outcome.reason}"
            return


def summary(verdict: Verdict) -> str:
    """A verdict in one line."""
    position = verdict["position"]
    if verdict["status"] != "judged":
        return f"engine and replica do not agree at position {position}; being judged"
    text = f"position {position}: wrong is {verdict['wrong']}"
    for first in verdict["differences"][:1]:
        text += f"; {first['process']}: {first['what']}"
        if "asset_name" in first:
            text += (
                f" of account {first['account']} (user {first.get('user')})"
                f" in {first['asset_name']}"
            )
        elif "key" in first:
            text += f" {first['key']}"
        if "field" in first:
            text += f", {first['field']}: expected {first['expected']}, found {first['found']}"
    if "again" in verdict:
        text += f"; they differ again, at position {verdict['again']}: restart the exchange"
    return text
