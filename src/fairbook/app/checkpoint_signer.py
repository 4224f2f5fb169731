"""Signs a checkpoint from time to time, keeps it in a file, and tells hooks and streams.

Invariants:
- the exchange starts only with a log that has the newest checkpoint of the file;
- no position is signed twice;
- a checkpoint is served after it is in the file.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from fairbook.app.identity import Identity
from fairbook.app.settings import SettingError
from fairbook.checkpoints.checkpoint_file import CheckpointFile
from fairbook.checkpoints.signed_checkpoint import NO_CHECKPOINT, SignedCheckpoint, sign
from fairbook.checkpoints.signed_note import NoteInvalid
from fairbook.engine.runner import Runner
from fairbook.followers.replica_link import ReplicaLink
from fairbook.ports.events import Emit
from fairbook.ports.queries import Checkpoint

FILE_NAME: Final = "checkpoints.txt"
LOOK_S: Final = 0.05  # between looks whether the log has gone on

logger = logging.getLogger(__name__)


class SavedState(NamedTuple):
    """A state that another process has computed and saved."""

    position: int
    digest: bytes


class CheckpointSigner:
    """For the loop's thread."""

    def __init__(
        self,
        runner: Runner,
        link: ReplicaLink,
        *,
        identity: Identity,
        file: CheckpointFile,
        newest: SignedCheckpoint | None,
        every_s: float,
        on_signed: Callable[[str, str], None],
        emit: Emit,
    ) -> None:
        """newest: in the file. on_signed: called with each note and the key that has signed it."""
        self.key = identity.key
        """Of the newest checkpoint."""
        self._on_signed = on_signed
        self._runner = runner
        self._link = link
        self._identity = identity
        self._file = file
        self._every_s = every_s
        self._emit = emit
        self._newest = newest
        self._replayed: SavedState | None = None
        self._failed: str | None = None
        self._is_in_doubt = False  # the last note may be in the file although its write has failed
        self._signing = asyncio.Lock()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            async with self._signing:
                await self._make()
            await asyncio.sleep(self._every_s)

    @property
    def note(self) -> str | None:
        return None if self._newest is None else self._newest.note

    @property
    def position(self) -> int:
        """Of the newest checkpoint that is durable; 0: there is none."""
        return 0 if self._newest is None else self._newest.position

    def status(self) -> dict[str, Any]:
        newest = self._newest
        return {
            "position": None if newest is None else newest.position,
            "key": self._identity.key,
            "failed": self._failed,
        }

    def add_replayed(self, position: int, digest: bytes) -> None:
        """The next checkpoint has this state, which the full replay has saved."""
        self._replayed = SavedState(position, digest)

    def check_next_key(self, key: str) -> None:
        """Raises SettingError, OSError if the file of the next key does not have this one."""
        self._identity.next_key(key)

    async def change_key(self, key: str) -> None:
        """Sign a checkpoint that names the next key, and use that from then on. Raises
        SettingError, OSError: then the key is the same as before, unless such a checkpoint was
        written; what is left to do is done before the next one.
        """
        next_key = self._identity.next_key(key)
        async with self._signing:
            while not await self._make(next_key):
                if self._failed is not None:
                    raise OSError(self._failed)
                await asyncio.sleep(LOOK_S)
            self._identity.require(next_key)
        logger.warning("checkpoints are signed with another key", extra={"key": key})

    async def _make(self, next_key: bytes | None = None) -> bool:
        """False: the position is signed already, or it failed."""
        try:
            return await self._sign(next_key)
        except (OSError, NoteInvalid, SettingError) as error:
            if str(error) != self._failed:
                logger.error("no checkpoint was signed: %s", error)
            self._failed = str(error)
            return False

    async def _sign(self, next_key: bytes | None) -> bool:
        if self._is_in_doubt:
            found = await asyncio.to_thread(self._file.newest)
            is_newer = found is not None and found.position > self.position
            if found is not None and is_newer and self._identity.has_signed(found):
                self._newest = found
        runner, newest = self._runner, self._newest
        if newest is not None and newest.next_key is not None:
            self._identity.require(newest.next_key)
        if newest is not None and newest.position >= runner.position:
            return False
        state = self._replayed or SavedState(
            self._link.snapshot_position, self._link.snapshot_digest
        )
        made = sign(
            position=runner.position,
            time_ns=runner.exchange.time_ns,
            chain=runner.chain,
            event_hash=runner.event_hash,
            state_position=state.position,
            state_digest=state.digest,
            previous=NO_CHECKPOINT if newest is None else newest.hash,
            seed=self._identity.seed,
            next_key=next_key,
        )
        await self._append(made.note)
        self._failed = None
        self._newest = made
        self.key = self._identity.key
        if state is self._replayed:
            self._replayed = None
        self._link.signed = Checkpoint(
            made.position, made.chain, made.event_hash, 0, 0, b"", [self._link.id], made.note,
            self.key,
        )  # fmt: skip
        self._on_signed(made.note, self.key)
        self._emit("checkpoint", {"note": made.note})
        return True

    async def _append(self, note: str) -> None:
        """A cancellation waits for the end of the write, so that no other note is made before."""
        self._is_in_doubt = True
        writing = asyncio.ensure_future(asyncio.to_thread(self._file.append, note))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            with suppress(OSError):
                await writing
            raise
        self._is_in_doubt = False
