"""Engine and replica beside each other: started together, asked together.

How it works: puts together who leads (replica_lead.py), who keeps the process (children.py) and who
sees to differences (audit.py), and answers what people ask of them at the control door.

Always true: the engine neither waits for any of this nor fails with it.

Not here: configuration and the engine's own life (processes.py).
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from fairbook.core.units import NS_PER_SECOND
from fairbook.engine.engine import Engine
from fairbook.engine.snapshots import Snapshots
from fairbook.followers.audit import Audit, summary
from fairbook.followers.audit_files import FIELDS, Verdict, edit_memory, read_verdict
from fairbook.followers.replica import ReplicaOptions
from fairbook.followers.replica_link import ReplicaLink
from fairbook.followers.supervisor import Supervisor
from fairbook.followers.wire import VERSION
from fairbook.net.control_socket import Handler, Refused, Request
from fairbook.ports.queries import Checkpoint

FAIRBOOK: Final = (sys.executable, "-m", "fairbook")

logger = logging.getLogger(__name__)


class ReplicaMonitor:
    """Everything about the second engine, for the process of the first."""

    def __init__(
        self,
        directory: Path,
        engine: Engine,
        snapshots: Snapshots,
        options: ReplicaOptions,
        *,
        has_replica: bool = True,
    ) -> None:
        """Needs a running loop. options: of each replica that is started.

        Raises OSError if there is a verdict that cannot be read.
        """
        self._directory = directory
        self._engine = engine
        self._options = options
        self._has_replica = has_replica
        self.lead = ReplicaLink(engine.runner)
        self._lead = self.lead
        self._keeper = Supervisor(
            "replica",
            replica_command(directory, options),
            link=self._lead,
            before=snapshots.remove_leftovers,
        )
        self.audit = Audit(
            directory,
            engine.runner.exchange,
            engine.commands,
            self._lead,
            run_judge=self._judge,
            replace_replica=self._replace,
            has_replica=has_replica,
        )
        self._lead.on_note = lambda text: logger.warning("replica: %s", text)
        engine.vouch = self._vouch

    async def start(self) -> None:
        """Before anybody may trade."""
        await self.audit.start()
        if self._has_replica:
            self._keeper.start()

    async def stop(self) -> None:
        """After the engine has stopped, or instead. Idempotent."""
        await self.audit.stop()
        await self._keeper.stop()

    def checkpoints(self, first: int) -> Sequence[Checkpoint]:
        """The newest checkpoints at positions of at least `first`, newest first."""
        return self._lead.checkpoints(first)

    def handlers(self) -> dict[str, Handler]:
        """What can be asked at the control door."""
        handlers: dict[str, Handler] = {
            "status": self.status,
            "resume": self._resume,
            "confirm-clock": self._confirm_clock,
        }
        if self._options.allow_faults:
            handlers["edit"] = self._edit
        return handlers

    async def _vouch(self) -> bool:
        try:
            return await self.audit.vouch()
        finally:
            # Nothing more is to be compared, and only one may write snapshots.
            await self._keeper.stop()

    def _replace(self, why: str) -> None:
        # One of another version would only disagree again.
        self._keeper.replace(why, again=self.audit.versions is None)

    async def _judge(self) -> Verdict:
        await asyncio.to_thread(run_judge, self._directory)
        verdict = read_verdict(self._directory)
        assert verdict is not None
        return verdict

    async def status(self, _request: Request) -> Mapping[str, Any]:
        """How engine, replica and audit do."""
        engine, lead, keeper = self._engine, self._lead, self._keeper
        exchange = engine.runner.exchange
        verdict = self.audit.verdict
        lag_frames, lag_s = lead.lag()
        state = lead.state if self._has_replica else "not wanted"
        return {
            "engine": {
                "id": lead.id,
                "pid": os.getpid(),
                "version": VERSION,
                "position": engine.position,
                "sequence": int(exchange.sequence),
                "log_time_ns": int(exchange.time_ns),
                "clock_jump_ns": engine.clock.jump_ns,
                "pending": engine.commands.pending,
                "paused": bool(exchange.paused),
            },
            "replica": {
                "state": "stopped" if keeper.is_stopped else state,
                "pid": keeper.pid,
                **lead.replica,
                "position": lead.position,
                "lag_frames": lag_frames,
                "lag_ms": round(1000 * lag_s),
                "agreed_position": lead.agreed_position,
                "rounds_agreed": lead.rounds,
                "round_age_s": _age_s(lead.round_at_s),
                "slice_ms_max": round(1000 * lead.slice_s_max, 3),
                "snapshot_position": lead.snapshot_position,
                "starts": keeper.starts,
                "last_end": keeper.last_end,
                "last_note": lead.last_note,
                "other_version": self.audit.versions,
            },
            "audit": {
                "verdict": verdict,
                "summary": None if verdict is None else summary(verdict),
            },
        }

    async def _resume(self, request: Request) -> Mapping[str, Any]:
        position = request.get("position")
        if type(position) is not int:
            raise Refused("name the position of the verdict that you have read")
        return {"done": await self.audit.resume(position)}

    async def _confirm_clock(self, _request: Request) -> Mapping[str, Any]:
        clock = self._engine.clock
        refused_s = clock.jump_ns // NS_PER_SECOND
        clock.confirm()
        return {"done": f"log time follows the wall clock; it was {refused_s} s behind"}

    async def _edit(self, request: Request) -> Mapping[str, Any]:
        """A fault in memory, for tests."""
        try:
            who = request["process"]
            place = {
                "account": int(request["account"]),
                "asset": int(request["asset"]),
                "field": FIELDS.index(request["field"]),
                "atoms": int(request["atoms"]),
            }
            if who == "engine":
                edit_memory(self._engine.runner.exchange, **place)
            else:
                self._lead.edit(**place)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise Refused(f"cannot edit: {error!r}") from error
        logger.warning("a fault was made in the memory of the %s, as asked for: %s", who, place)
        return {"position": self._engine.position}


def replica_command(directory: Path, options: ReplicaOptions) -> list[str]:
    """How a replica is started; the number of its descriptor is to be appended."""
    command = [*FAIRBOOK, "replica", str(directory)]
    command += [f"--snapshot-commands={options.snapshot_commands}"]
    command += [f"--snapshot-s={options.snapshot_s}"]
    if options.allow_faults:
        command.append("--allow-faults")
    return [*command, "--fd"]


def run_judge(directory: Path) -> None:
    """Have the verdict.json of a directory completed, in a process of its own. Blocks.

    Raises OSError; RuntimeError with what it said, if it failed.
    """
    command = [*FAIRBOOK, "judge", str(directory)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"the judge failed: {done.stderr[-2000:]}")


def _age_s(at_s: float | None) -> float | None:
    return None if at_s is None else round(time.monotonic() - at_s, 3)
