"""The file of checkpoints: found by position, whole after a crash."""

from __future__ import annotations

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


@pytest.mark.parametrize("content", ["hello\n", "fairbook checkpoint\nnonsense"])
def test_another_file_is_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "c.txt"
    path.write_text(content)
    if content == "hello\n":
        with pytest.raises(NoteInvalid, match="no file of checkpoints"):
            CheckpointFile(path).newest()
    else:
        assert CheckpointFile(path).newest() is None
