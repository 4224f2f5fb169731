"""Signs a checkpoint from time to time, keeps it in a file, and tells hooks.

Invariants:
- the exchange starts only with a log that has the newest checkpoint of the file;
- a checkpoint is served after it is in the file.
"""

import asyncio
import logging
import os
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any, Final

from fairbook.app.settings import SettingError
from fairbook.checkpoints.signed_checkpoint import (
    NO_CHECKPOINT,
    CheckpointInvalid,
    SignedCheckpoint,
    parse,
    sign,
    split_notes,
)
from fairbook.checkpoints.signed_note import SEED_BYTES, public_key, verifier
from fairbook.engine.runner import Runner
from fairbook.followers.replica_link import ReplicaLink
from fairbook.log.command_log import CommandLog
from fairbook.log.durable_file import write_file
from fairbook.ports.events import Emit
from fairbook.ports.queries import Checkpoint

KEY_NAME: Final = "identity.key"
FILE_NAME: Final = "checkpoints.txt"
BEGIN: Final = b"fairbook checkpoint\n"
SIGNATURE_BEGIN: Final = "\n\u2014 ".encode()
TAIL_BYTES: Final = 64 * 1024  # of the file, in which the newest checkpoint stands

logger = logging.getLogger(__name__)


def read_seed(path: Path) -> bytes:
    """The secret key of the exchange, made now if there is no such file. Raises SettingError,
    OSError.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        seed = os.urandom(SEED_BYTES)
        write_file(path, [b64encode(seed) + b"\n"])
        return seed
    try:
        seed = b64decode(text.strip(), validate=True)
    except ValueError:
        seed = b""
    if len(seed) != SEED_BYTES:
        raise SettingError(f"{path} has no key: 32 bytes in base64 are expected")
    return seed


def newest_in(path: Path, public: bytes) -> SignedCheckpoint | None:
    """The last checkpoint of a file; None if it has none. The beginning of another one, which a
    crash has left after it, is cut off. Raises SettingError, OSError.
    """
    try:
        with path.open("rb+") as file:
            begin = max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES)
            file.seek(begin)
            tail = file.read()
            end = _end_of_last_note(tail)
            left = tail[end : end + len(BEGIN)]
            if not BEGIN.startswith(left):
                raise SettingError(f"{path} is no file of checkpoints")
            if left:
                logger.warning("%s: the last checkpoint is not whole, and was cut off", path)
                file.truncate(begin + end)
    except FileNotFoundError:
        return None
    notes = list(split_notes(tail[:end].decode(errors="replace").splitlines(keepends=True)))
    try:
        return parse(notes[-1], public) if notes else None
    except CheckpointInvalid as problem:
        raise SettingError(f"{path}, last checkpoint: {problem}") from problem


def _end_of_last_note(tail: bytes) -> int:
    """Behind the last whole line that is a signature; 0: there is none."""
    signature = tail.rfind(SIGNATURE_BEGIN, 0, tail.rfind(b"\n"))
    return tail.find(b"\n", signature + 1) + 1 if signature >= 0 else 0


class CheckpointSigner:
    """For the loop's thread."""

    def __init__(
        self, runner: Runner, link: ReplicaLink, *, seed: bytes, path: Path, every_s: float,
        emit: Emit,
    ) -> None:  # fmt: skip
        self.key = verifier(public_key(seed))
        self._runner = runner
        self._link = link
        self._seed = seed
        self._path = path
        self._every_s = every_s
        self._emit = emit
        self._newest = newest_in(path, public_key(seed))
        self._failed: str | None = None

    def require(self, log: CommandLog) -> None:
        """Raises LogDamaged if the log is not that of the newest checkpoint."""
        if self._newest is not None:
            log.require(self._newest.position, self._newest.chain)

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._make()
            await asyncio.sleep(self._every_s)

    def status(self) -> dict[str, Any]:
        position = None if self._newest is None else self._newest.position
        return {"position": position, "key": self.key, "failed": self._failed}

    async def _make(self) -> None:
        runner, link = self._runner, self._link
        made = sign(
            position=runner.position,
            time_ns=runner.exchange.time_ns,
            chain=runner.chain,
            event_hash=runner.event_hash,
            state_position=link.snapshot_position,
            state_digest=link.snapshot_digest,
            previous=NO_CHECKPOINT if self._newest is None else self._newest.hash,
            seed=self._seed,
        )
        try:
            await asyncio.to_thread(_append, self._path, made.note)
        except OSError as error:
            self._failed = str(error)
            logger.error("%s: the checkpoint was not written: %s", self._path, error)
            return
        self._failed = None
        self._newest = made
        link.signed = Checkpoint(
            made.position, made.chain, made.event_hash, 0, 0, b"", [link.id], made.note, self.key
        )
        self._emit("checkpoint", {"note": made.note})


def _append(path: Path, note: str) -> None:
    with path.open("ab") as file:
        file.write(note.encode())
        file.flush()
        os.fsync(file.fileno())
