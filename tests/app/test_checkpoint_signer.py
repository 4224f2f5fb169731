"""Signing while the disk is full, and while the key changes: one line of checkpoints comes out."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import pytest

from fairbook.app.checkpoint_signer import CheckpointSigner
from fairbook.app.identity import Identity, make_key
from fairbook.app.settings import SettingError
from fairbook.checkpoints.checkpoint_file import CheckpointFile
from fairbook.checkpoints.signed_checkpoint import parse
from fairbook.checkpoints.signed_note import parse_key_text
from fairbook.checkpoints.witness import Witness
from fairbook.core import admin_records
from fairbook.core.exchange import Exchange
from fairbook.engine.runner import Runner
from fairbook.followers.replica_link import ReplicaLink
from fairbook.log.command_log import hash_frame
from fairbook.log.memory_log import MemoryLog
from fairbook.ports.events import ignore_event


class Link:
    """What the signer reads of the replica."""

    id = "engine-1"
    snapshot_position = 0
    snapshot_digest = bytes(32)
    signed = None


class Stage:
    """A log that grows, and its signer."""

    def __init__(self, directory: Path) -> None:
        self.log = MemoryLog()
        self.runner = Runner(Exchange())
        self.file = CheckpointFile(directory / "checkpoints.txt")
        self.path = directory / "identity.key"
        self.first_key = ""
        self.signer = self.begin()

    def begin(self) -> CheckpointSigner:
        """As a start does."""
        newest = self.file.newest()
        identity = Identity(self.path, newest)
        self.first_key = self.first_key or identity.key
        return CheckpointSigner(
            self.runner, cast(ReplicaLink, Link()), identity=identity, file=self.file,
            newest=newest, every_s=0.01, on_signed=lambda note, key: None, emit=ignore_event,
        )  # fmt: skip

    def grow(self) -> None:
        number = self.log.last.position
        frame = admin_records.rules() if number == 0 else admin_records.tick()
        self.runner.apply(self.log.append(frame, 10**18 + number))

    async def sign(self, seconds: float = 0.05) -> None:
        """The log grows, and is signed some times."""
        task = asyncio.ensure_future(self.signer.run())
        for _ in range(5):
            self.grow()
            await asyncio.sleep(seconds / 5)
        task.cancel()

    def chain(self, first: int, last: int) -> Iterable[tuple[int, bytes]]:
        return [
            (entry.time_ns, hash_frame(entry.frame))
            for entry in self.log.read(first)
            if entry.position <= last
        ]

    def require_one_line(self) -> int:
        """A witness that has seen all believes all; returns their number."""
        witness = Witness(parse_key_text(self.first_key), None)
        notes = self.file.notes_from(0, 10**6)
        for note in notes:
            witness.accept(note, self.chain)
        return len(notes)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    made = Stage(tmp_path)
    made.grow()
    return made


@pytest.mark.parametrize("call", ["fsync", "write"])
async def test_a_full_disk_breaks_no_line(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    await stage.sign()
    calls = 0
    fsync, append = os.fsync, stage.file.append

    def fail(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls % 3:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    def half(note: str) -> None:
        nonlocal calls
        calls += 1
        if calls % 3 == 0:
            append(note)
            return
        with stage.file.path.open("ab") as file:
            file.write(note.encode()[: 40 * calls])
        raise OSError(28, "No space left on device")

    if call == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(stage.file, "append", half)
    await stage.sign(0.2)
    monkeypatch.undo()
    await stage.sign(0.1)
    assert calls > 3
    assert stage.signer.status()["failed"] is None
    assert stage.require_one_line() > 5


async def test_a_note_that_was_written_although_it_failed_is_the_newest(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = stage.file.append

    def late(note: str) -> None:
        append(note)
        raise OSError(5, "Input/output error")

    await stage.sign()
    monkeypatch.setattr(stage.file, "append", late)
    await stage.sign()
    monkeypatch.undo()
    await stage.sign()
    stage.require_one_line()


async def test_a_write_goes_on_although_its_signer_is_cancelled(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = stage.file.append

    def slow(note: str) -> None:
        time.sleep(0.1)
        append(note)

    monkeypatch.setattr(stage.file, "append", slow)
    for _ in range(3):
        await stage.sign()
    monkeypatch.undo()
    await stage.sign(0.5)
    assert stage.require_one_line() > 3


async def test_the_key_changes_at_once_and_over_a_restart(stage: Stage) -> None:
    await stage.sign()
    new = make_key(stage.path.with_name("identity.key.next"))
    stage.grow()
    await stage.signer.change_key(new)
    assert stage.signer.status()["key"] == new
    assert not stage.path.with_name("identity.key.next").exists()
    await stage.sign()
    stage.signer = stage.begin()
    await stage.sign()
    assert stage.require_one_line() > 5


async def test_a_change_that_was_interrupted_loses_no_key(stage: Stage) -> None:
    """The checkpoint that names the next key is there, and then that key is gone."""
    await stage.sign()
    next_path = stage.path.with_name("identity.key.next")
    old, new = stage.path.read_bytes(), make_key(next_path)
    content = next_path.read_bytes()
    stage.grow()
    await stage.signer.change_key(new)
    stage.path.write_bytes(old)
    with pytest.raises(SettingError, match="is not in"):
        stage.begin()
    assert stage.path.read_bytes() == old
    next_path.write_bytes(content)
    stage.signer = stage.begin()
    assert stage.signer.status()["key"] == new
    await stage.sign()
    stage.require_one_line()
    assert any(parse(note).next_key for note in stage.file.notes_from(0, 10**6))
