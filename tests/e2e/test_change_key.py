"""Operators change the key that signs checkpoints; witnesses and verify follow it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairbook.app.operator_tokens import FILE_NAMES
from fairbook.checkpoints.checkpoint_file import CheckpointFile
from fairbook.checkpoints.signed_checkpoint import parse
from fairbook.checkpoints.signed_note import key_digest, parse_key_text
from tests.e2e.test_watch import OFTEN, Watch
from tests.followers.faulty_exchange import FaultyExchange
from tests.world.commands import fairbook
from tests.world.exchange_process import StartFailed

pytestmark = pytest.mark.slow
FIRST, SECOND = FILE_NAMES


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[FaultyExchange]:
    made = FaultyExchange(tmp_path / "d", OFTEN)
    with made:
        yield made


def make_next(folder: Path) -> str:
    status, said = fairbook("keys", "identity", folder / "identity.key.next")
    assert status == 0, said
    key: str = json.loads(said)["key"]
    return key


def propose(folder: Path, key: str) -> tuple[int, str]:
    return fairbook("admin", "change-key", folder, "--key", key, "--reason", "a new machine")


def approve(folder: Path, said: str) -> tuple[int, str]:
    number = json.loads(said)["proposal"]
    return fairbook(
        "admin", "approve", folder, "--proposal", number, "--reason", "yes",
        "--token-file", folder / SECOND,
    )  # fmt: skip


def test_two_operators_change_the_key(venue: FaultyExchange, tmp_path: Path) -> None:
    folder = venue.folder
    old = venue.status()["checkpoint"]["key"]
    with Watch(venue.url, tmp_path / "kept.txt", "--key", old) as watch:
        watch.until_kept(2)
        new = make_next(folder)
        status, said = propose(folder, new)
        assert status == 0 and json.loads(said)["status"] == "proposed", said
        assert venue.status()["checkpoint"]["key"] == old
        status, said = approve(folder, said)
        assert status == 0, said
        venue.until(lambda status: status["checkpoint"]["key"] == new)
        watch.until_said(f"from here on the key is {new}")
        watch.until_kept(len(watch.kept()) + 2)
        venue.kill()
        venue.start()
        watch.until_kept(len(watch.kept()) + 2)
        assert watch.stop() == 0, watch.said()
    assert (folder / "identity.key.ended").exists()
    assert not (folder / "identity.key.next").exists()
    assert key_digest(parse_key_text(new)).hex() in fairbook("admin", "log", folder)[1]
    for key, is_right in ((old, True), (new, False)):
        status, said = fairbook("verify", folder, "--against", tmp_path / "kept.txt", "--key", key)
        assert (status == 0) == is_right, said
    venue.stop()
    (folder / "identity.key").write_bytes((folder / "identity.key.ended").read_bytes())
    with pytest.raises(StartFailed, match="the last checkpoint is not signed by this key"):
        venue.start()


def test_a_start_finishes_what_a_crash_has_interrupted(
    venue: FaultyExchange, tmp_path: Path
) -> None:
    """The checkpoint that names the next key was written, the files were not renamed yet."""
    folder = venue.folder
    new = make_next(folder)
    _, said = propose(folder, new)
    assert approve(folder, said)[0] == 0
    venue.until(lambda status: status["checkpoint"]["key"] == new)
    venue.kill()
    file = CheckpointFile(folder / "checkpoints.txt")
    notes = file.notes_from(0, 10**6)
    named = next(number for number, note in enumerate(notes) if parse(note).next_key)
    file.path.write_text("".join(notes[: named + 1]))
    (folder / "identity.key").rename(folder / "identity.key.next")
    (folder / "identity.key.ended").rename(folder / "identity.key")
    venue.start()
    venue.until(lambda status: status["checkpoint"]["key"] == new)
    key = parse(file.notes_from(0, 1)[0])
    assert fairbook("verify", folder, "--against", file.path)[0] == 0 and key.next_key is None


def test_a_key_that_is_not_there_is_refused(venue: FaultyExchange, tmp_path: Path) -> None:
    folder = venue.folder
    other = json.loads(fairbook("keys", "identity", tmp_path / "other.key")[1])["key"]
    status, said = propose(folder, other)
    assert status == 1 and "identity.key.next" in said
    make_next(folder)
    status, said = propose(folder, other)
    assert status == 1 and "has another key" in said
    status, said = propose(folder, "fairbook+00+xx")
    assert status == 1 and "not a key of the form" in said
    assert fairbook("keys", "identity", folder / "identity.key.next")[0] == 1


def test_a_change_that_is_not_in_the_log_is_found(venue: FaultyExchange, tmp_path: Path) -> None:
    """Who has the old key alone signs the change with it, and no operator has agreed."""
    folder = venue.folder
    _, said = propose(folder, make_next(folder))
    assert approve(folder, said)[0] == 0
    venue.until(lambda status: status["checkpoint"]["position"] > 0)
    venue.stop()
    kept = CheckpointFile(folder / "checkpoints.txt").notes_from(0, 10**6)
    (tmp_path / "kept.txt").write_text("".join(kept))
    assert fairbook("verify", folder, "--against", tmp_path / "kept.txt")[0] == 0
    at = next(number for number, note in enumerate(kept) if parse(note).next_key)
    other = json.loads(fairbook("keys", "identity", tmp_path / "other.key")[1])["key"]
    lines = [f"next-key {other}" if "next-key" in line else line for line in kept[at].split("\n")]
    (tmp_path / "kept.txt").write_text("".join([*kept[:at], "\n".join(lines)]))
    status, said = fairbook("verify", folder, "--against", tmp_path / "kept.txt")
    assert status == 1 and "which no operator has put into the log" in said, said
