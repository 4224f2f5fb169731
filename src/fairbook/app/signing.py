"""The parts of an exchange that sign its history, and show it to witnesses."""

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from fairbook.admin.act_runner import KeyChange
from fairbook.api.errors import BadRequest
from fairbook.app.checkpoint_signer import FILE_NAME, CheckpointSigner
from fairbook.app.gateway_parts import Followers
from fairbook.app.identity import FILE_NAME as KEY_NAME
from fairbook.app.identity import Identity
from fairbook.app.liabilities_maker import LiabilitiesMaker, liabilities_maker
from fairbook.app.settings import SettingError, UpSettings
from fairbook.app.witnesses import Witnesses
from fairbook.checkpoints.checkpoint_file import CheckpointFile
from fairbook.checkpoints.signed_checkpoint import parse
from fairbook.checkpoints.signed_note import NoteInvalid
from fairbook.engine.runner import Runner
from fairbook.followers.full_replay_link import FullReplayLink
from fairbook.log.command_log import GENESIS_CHAIN, hash_frame
from fairbook.log.file_log import FileLog
from fairbook.ports.events import Emit
from fairbook.ports.queries import ChainPart, LogProofs, ProofStatus


class SigningParts(NamedTuple):
    """proofs: what witnesses read."""

    signer: CheckpointSigner
    witnesses: Witnesses
    liabilities: LiabilitiesMaker
    proofs: LogProofs


def checkpoints_path(settings: UpSettings) -> Path:
    return settings.checkpoints_file or settings.data_dir / FILE_NAME


async def signing_parts(
    settings: UpSettings,
    log: FileLog,
    runner: Runner,
    followers: Followers,
    on_signed: Callable[[str, str], None],
    emit: Emit,
) -> SigningParts:
    """on_signed: called with each note and its key. Raises LogDamaged if the log is not that of the
    newest checkpoint, in the file or kept by a witness; SettingError, OSError.
    """
    file = CheckpointFile(checkpoints_path(settings))
    try:
        newest = file.newest()
    except NoteInvalid as problem:
        raise SettingError(f"{file.path}, last checkpoint: {problem}") from problem
    identity = Identity(settings.identity_file or settings.data_dir / KEY_NAME, newest)
    if newest is not None:
        log.require(newest.position, newest.chain)
    every_s = settings.checkpoint_s
    witnesses = Witnesses(settings.witnesses, file, identity, every_s=every_s)
    newest = await asyncio.to_thread(witnesses.require, log, newest)
    signer = CheckpointSigner(
        runner, followers.replica.link, identity=identity, file=file, newest=newest,
        every_s=every_s, on_signed=on_signed, emit=emit,
    )  # fmt: skip
    if followers.full_replay is not None:
        followers.full_replay.on_saved = signer.add_replayed
    proofs = LogProofs(
        newest=lambda: (signer.key, signer.note),
        notes=partial(_durable_notes, file, signer),
        chain=partial(_chain, log) if settings.public_chain else None,
        status=lambda: _proof_status(witnesses, followers.full_replay),
    )
    liabilities = liabilities_maker(settings, followers.replica.link, identity, emit)
    return SigningParts(signer, witnesses, liabilities, proofs)


def _proof_status(witnesses: Witnesses, replay: FullReplayLink | None) -> ProofStatus:
    if replay is None or replay.started_from is None or replay.is_down:
        return ProofStatus(witnesses.seen(), None, 0, False)
    return ProofStatus(witnesses.seen(), replay.position, replay.started_from, replay.is_confirmed)


def key_change(signer: CheckpointSigner) -> KeyChange:
    """As operators do it."""

    def check(key: str) -> None:
        try:
            signer.check_next_key(key)
        except (SettingError, OSError) as problem:
            raise BadRequest(str(problem)) from None

    async def change(key: str) -> None:
        try:
            await signer.change_key(key)
        except (SettingError, OSError) as problem:
            raise BadRequest(str(problem)) from None

    return KeyChange(check, change)


def _durable_notes(
    file: CheckpointFile, signer: CheckpointSigner, position: int, count: int
) -> list[str]:
    """The newest one in the file may not be durable yet."""
    last = signer.position
    return [each for each in file.notes_from(position, count) if parse(each).position <= last]


def _chain(log: FileLog, first: int, last: int) -> ChainPart:
    """Raises LogDamaged."""
    end = log.last
    if first > end.position:
        return ChainPart(end.chain if first == end.position + 1 else b"", [])
    entries = list(islice(log.read_near(first), last - first + 1))
    before = entries[0].before if entries else GENESIS_CHAIN
    return ChainPart(before, [(entry.time_ns, hash_frame(entry.frame)) for entry in entries])
