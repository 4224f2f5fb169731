"""The replica beside the engine: link, process and audit, and their control commands.

Invariant: the engine neither waits for the replica nor fails with it.
"""

import asyncio
import logging
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairbook.core.exchange import Exchange
from fairbook.engine.engine import Engine
from fairbook.engine.snapshots import Snapshots
from fairbook.followers.audit import Audit
from fairbook.followers.audit_files import FIELDS, Verdict, edit_memory, read_verdict, summary
from fairbook.followers.pauses import PauseStarts
from fairbook.followers.replica import ReplicaOptions
from fairbook.followers.replica_link import ROUND_S, Mismatch, ReplicaLink
from fairbook.followers.supervisor import Supervisor, fairbook_command
from fairbook.followers.wire import VERSION
from fairbook.net.control_socket import ControlHandler, ControlRefused, ControlRequest

logger = logging.getLogger(__name__)


class ReplicaMonitor:
    """The replica, for the engine's process."""

    def __init__(
        self,
        directory: Path,
        engine: Engine,
        snapshots: Snapshots,
        options: ReplicaOptions,
        *,
        has_replica: bool = True,
        round_s: float = ROUND_S,
    ) -> None:
        """Needs a running loop."""
        self.link = ReplicaLink(engine.runner, on_mismatch=self._on_mismatch, round_s=round_s)
        self.supervisor = Supervisor(
            "replica",
            replica_command(directory, options, without=engine.recovery.snapshot_position),
            link=self.link,
            before_start=snapshots.remove_leftovers,
        )
        self.audit = Audit(
            directory,
            engine.runner.exchange,
            engine.commands,
            self.link,
            run_judge=lambda: asyncio.to_thread(run_judge, directory),
            replace_replica=self._replace_replica,
            has_replica=has_replica,
            started_from=engine.recovery.snapshot_position,
        )
        self._pauses = PauseStarts(directory)
        self._engine = engine
        self._options = options
        self._has_replica = has_replica

    def start(self) -> None:
        """Before trading begins."""
        self.audit.start()
        if self._has_replica:
            self.supervisor.start()

    async def stop(self) -> None:
        """After the engine has stopped, or instead. Idempotent."""
        await self.audit.stop()
        await self.supervisor.stop()

    async def approves_snapshot(self) -> bool:
        """Whether the engine may write its last state as a snapshot. Ends the replica."""
        try:
            return await self.audit.approves_snapshot()
        finally:
            # Nothing more is to be compared, and only one may write snapshots.
            await self.supervisor.stop()

    def handlers(self) -> dict[str, ControlHandler]:
        handlers: dict[str, ControlHandler] = {
            "status": self.status,
            "resume": self._resume,
        }
        if self._options.allow_faults:
            handlers["edit"] = self._edit
        return handlers

    def _on_mismatch(self, mismatch: Mismatch) -> None:
        self.audit.add(mismatch)

    def _replace_replica(self, reason: str) -> None:
        # One of another version would only differ again.
        self.supervisor.kill(reason, restart=self.audit.versions is None)

    async def status(self, _request: ControlRequest) -> Mapping[str, Any]:
        engine = self._engine
        exchange = engine.runner.exchange
        pauses = await self._pauses.status(exchange, engine.position)
        return {**self.numbers(), "pauses": pauses, "room": room_status(exchange)}

    def numbers(self) -> dict[str, Any]:
        """What `status` has without reading files."""
        engine = self._engine
        exchange = engine.runner.exchange
        audit = self.audit
        replica = self.link.status() | self.supervisor.status()
        if not self._has_replica:
            replica["state"] = "not wanted"
        return {
            "engine": {
                "id": self.link.id,
                "pid": os.getpid(),
                "version": VERSION,
                "position": engine.position,
                "sequence": int(exchange.sequence),
                "log_time_ns": int(exchange.time_ns),
                "clock_jump_ns": engine.clock.jump_ns,
                "pending": engine.commands.pending,
                "paused": bool(exchange.paused),
            },
            "replica": replica | {"other_version": audit.versions},
            "audit": audit_status(audit.verdict, audit.not_believed),
        }

    async def _resume(self, request: ControlRequest) -> Mapping[str, Any]:
        acknowledged = request.get("acknowledged")
        if type(acknowledged) is not str:
            raise ControlRefused("name the position of the verdict that you have read")
        return {"done": await self.audit.resume(acknowledged)}

    async def _edit(self, request: ControlRequest) -> Mapping[str, Any]:
        try:
            process = request["process"]
            cell = {
                "account": int(request["account"]),
                "asset": int(request["asset"]),
                "field": FIELDS.index(request["field"]),
                "atoms": int(request["atoms"]),
            }
            if process == "engine":
                edit_memory(self._engine.runner.exchange, **cell)
            else:
                self.link.edit(**cell)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ControlRefused(f"cannot edit: {error!r}") from error
        logger.warning("the memory of the %s was edited, as requested: %s", process, cell)
        return {"position": self._engine.position}


def audit_status(verdict: Verdict | None, not_believed: str | None) -> dict[str, Any]:
    """For `fairbook status`."""
    return {
        "verdict": verdict,
        "summary": None if verdict is None else summary(verdict),
        "not_believed": not_believed,
    }


def room_status(exchange: Exchange) -> list[dict[str, Any]]:
    """How full each table is, for `fairbook status`."""
    return [room._asdict() | {"left": room.most - room.used} for room in exchange.room()]


def replica_command(directory: Path, options: ReplicaOptions, *, without: int) -> list[str]:
    """Starts a replica; the number of its descriptor is to be appended. without: as its option."""
    command = fairbook_command("replica", str(directory))
    command += [f"--snapshot-commands={options.snapshot_commands}"]
    command += [f"--snapshot-s={options.snapshot_s}"]
    command += [f"--without={without}"]
    if options.allow_faults:
        command.append("--allow-faults")
    return [*command, "--fd"]


def run_judge(directory: Path) -> Verdict:
    """The verdict, completed by another process. Blocks. Raises OSError, RuntimeError."""
    command = fairbook_command("judge", str(directory))
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"the judge failed: {done.stderr[-2000:]}")
    verdict = read_verdict(directory)
    assert verdict is not None
    return verdict
