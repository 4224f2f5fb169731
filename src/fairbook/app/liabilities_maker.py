"""Makes a proof of liabilities from time to time: a child process builds it, this one signs it.

Design: docs/operate/liabilities.md. A proof is of a snapshot that engine and replica have agreed
on, and is made only if that is newer than the last proof.

Invariant: nothing here holds the loop: files are read and written in threads.
"""

import asyncio
import logging
import secrets
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from fairbook.app.identity import Identity
from fairbook.app.settings import UpSettings
from fairbook.checkpoints.signed_note import NoteInvalid
from fairbook.followers.replica_link import ReplicaLink
from fairbook.followers.supervisor import fairbook_command
from fairbook.liabilities.proof_file import ProofFileInvalid
from fairbook.liabilities.proof_store import ProofStore, PublishedProof
from fairbook.ports.events import Emit

LOOK_S: Final = 1.0  # between two looks for an agreed snapshot
MAKE_MAX_S: Final = 3600.0  # a million accounts take 13 s
RETRY_S: Final = 10.0  # after a failure, such as a snapshot that newer ones have replaced

logger = logging.getLogger(__name__)


class LiabilitiesMaker:
    """The Liabilities of this exchange. For the loop's thread."""

    def __init__(
        self,
        directory: Path,
        link: ReplicaLink,
        *,
        seed: Callable[[], bytes],
        every_s: float,
        emit: Emit,
    ) -> None:
        """directory: of the exchange. seed: the secret key that signs now. every_s 0: make none.
        Raises OSError.
        """
        self.newest: PublishedProof | None = None
        self._directory = directory
        self._proofs = ProofStore(directory, seed)
        self._link = link
        self._every_s = every_s
        self._emit = emit
        self._made = 0
        self._took_s: float | None = None
        self._failed: str | None = None

    def status(self) -> dict[str, Any]:
        """For `fairbook status`."""
        position = None if self.newest is None else self.newest.totals.position
        time_ns = None if self.newest is None else self.newest.totals.time_ns
        return {
            "position": position, "time_ns": time_ns, "made": self._made, "took_s": self._took_s,
            "failed": self._failed, "is_wanted": self._every_s > 0,
        }  # fmt: skip

    async def run(self, position: int) -> None:
        """Until it is cancelled. position: of the engine; a newer proof is of another log."""
        if not self._every_s:
            return
        self.newest = await asyncio.to_thread(self._proofs.newest, position_max=position)
        while True:
            if self._link.snapshot_position <= self._newest_position:
                await asyncio.sleep(LOOK_S)
                continue
            began_s = time.monotonic()
            problem = await self._make(self._link.snapshot_position, self._link.snapshot_digest)
            if problem and problem != self._failed:
                logger.error("no proof of liabilities was made: %s", problem)
            self._failed = problem or None
            self._took_s = round(time.monotonic() - began_s, 3)
            await asyncio.sleep(RETRY_S if problem else self._every_s)

    @property
    def _newest_position(self) -> int:
        return 0 if self.newest is None else self.newest.totals.position

    async def _make(self, position: int, digest: bytes) -> str:
        """Of an agreed snapshot. Returns why it failed; empty: it did not."""
        self._made += 1
        # The child of an exchange that was killed may still be writing: each has its own file.
        made = self._proofs.directory / f"made.{secrets.token_hex(8)}.tree"
        command = fairbook_command(
            "liabilities", str(self._directory), str(made), f"--position={position}",
            f"--digest={digest.hex()}",
        )  # fmt: skip
        try:
            await asyncio.to_thread(self._proofs.remove_leftovers)
            status, said = await _run(command)
            if status != 0:
                return said.strip() or f"its process has ended with status {status}"
            self.newest = await asyncio.to_thread(
                self._proofs.publish, made, position=position, state_digest=digest
            )
        except (OSError, ProofFileInvalid, NoteInvalid, subprocess.TimeoutExpired) as error:
            return str(error)
        self._emit("liabilities", {"note": self.newest.totals.note})
        return ""


async def _run(command: list[str]) -> tuple[int, str]:
    """Exit status and standard error of a process, which ends with this task. Raises OSError."""
    spawning = asyncio.ensure_future(asyncio.to_thread(_spawn, command))
    try:
        process = await asyncio.shield(spawning)
    except asyncio.CancelledError:
        (await spawning).kill()
        raise
    try:
        _, said = await asyncio.to_thread(process.communicate, timeout=MAKE_MAX_S)
        return process.returncode, said.decode(errors="replace")
    finally:
        if process.poll() is None:
            process.kill()  # The thread waits for its end.


def _spawn(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def liabilities_maker(
    settings: UpSettings, link: ReplicaLink, identity: Identity, emit: Emit
) -> LiabilitiesMaker:
    """It makes none without a replica: no snapshot is agreed on. Raises OSError."""
    every_s = settings.liabilities_s if settings.with_replica else 0.0
    return LiabilitiesMaker(
        settings.data_dir, link, seed=lambda: identity.seed, every_s=every_s, emit=emit
    )
