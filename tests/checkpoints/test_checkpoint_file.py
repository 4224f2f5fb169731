"""The file of checkpoints: found by position, whole after a crash."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from fairbook.checkpoints.checkpoint_file import CheckpointFile
from fairbook.checkpoints.signed_checkpoint import NO_CHECKPOINT, sign
from fairbook.checkpoints.signed_note import NoteInvalid

SEED = bytes(range(32))


def note(position: int) -> str:
    return sign(
        position=position, time_ns=position * 7, chain=b"\x01" * 32, event_hash=b"\x02" * 32,
        state_position=0, state_digest=bytes(32), previous=NO_CHECKPOINT, seed=SEED,
    ).note  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 2, 30, 400])
def test_notes_are_found_by_position(tmp_path: Path, count: int) -> None:
    chance = random.Random(count)
    positions = sorted(chance.sample(range(1, 10**6), count))
    notes = [note(position) for position in positions]
    file = CheckpointFile(tmp_path / "c.txt")
    for each in notes:
        file.append(each)
    for _ in range(60):
        asked = chance.choice(
            [0, 1, 10**7, chance.randrange(10**6), *positions[:9], *positions[-9:]]
        )
        expected = [each for at, each in zip(positions, notes, strict=True) if at >= asked]
        assert file.notes_from(asked, 5) == expected[:5]
    newest = file.newest()
    assert (newest.note if newest else None) == (notes[-1] if notes else None)


def test_a_note_that_is_not_whole_is_not_read_and_is_cut_off(tmp_path: Path) -> None:
    """At each byte at which a crash can have cut it."""
    path = tmp_path / "c.txt"
    first, second = note(5), note(9)
    for cut in range(len(second.encode())):
        path.write_bytes(first.encode() + second.encode()[:cut])
        file = CheckpointFile(path)
        assert file.notes_from(0, 9) == [first]
        newest = file.newest()
        assert newest is not None and newest.note == first
        assert path.read_bytes() == first.encode()
        file.append(second)
        assert file.notes_from(0, 9) == [first, second]


def test_a_note_that_cannot_be_read_is_shown(tmp_path: Path) -> None:
    """A reader of later ones sees that there is something."""
    path = tmp_path / "c.txt"
    path.write_text(note(5) + note(6).replace("position 6", "position x") + note(7))
    assert len(CheckpointFile(path).notes_from(6, 9)) == 2


@pytest.mark.parametrize("damaged", [0, 1, 2])
def test_damage_does_not_end_the_reading_silently(tmp_path: Path, damaged: int) -> None:
    """A blank line is gone: the notes behind it must not seem to be all."""
    path = tmp_path / "c.txt"
    notes = [note(5), note(6), note(7), note(8)]
    notes[damaged] = notes[damaged].replace("\n\n", "\n")
    path.write_text("".join(notes))
    with pytest.raises(NoteInvalid):
        CheckpointFile(path).notes_from(0, 9)


@pytest.mark.parametrize("content", ["hello\n", "\0\0\0", "fairbook checkpoint\r\nposition 5\r\n"])
def test_another_file_is_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "c.txt"
    path.write_bytes(content.encode())
    with pytest.raises(NoteInvalid):
        CheckpointFile(path).notes_from(0, 9)


def test_zeros_behind_the_last_note_are_cut_off(tmp_path: Path) -> None:
    """As a power cut may leave them."""
    path = tmp_path / "c.txt"
    path.write_bytes(note(5).encode() + bytes(300))
    newest = CheckpointFile(path).newest()
    assert newest is not None and newest.position == 5
    assert path.read_text() == note(5)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = CheckpointFile(tmp_path / "c.txt")
    file.append(note(5))
    calls = 0

    def fail_once(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail_once)
    with pytest.raises(OSError, match="No space"):
        file.append(note(6))
    assert file.path.read_text() == note(5)
    file.append(note(7))
    assert file.notes_from(0, 9) == [note(5), note(7)]
