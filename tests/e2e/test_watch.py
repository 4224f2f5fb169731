"""`fairbook watch` as a witness of a real exchange, whose owner has all its files and its key."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fairbook.checkpoints.checkpoint_file import CheckpointFile
from fairbook.checkpoints.signed_checkpoint import is_signed_by, parse
from fairbook.checkpoints.signed_note import parse_key_text
from fairbook.log.file_log import FileLog
from tests.e2e.test_signed_checkpoints import rewrite_log
from tests.followers.faulty_exchange import FaultyExchange
from tests.world.commands import fairbook
from tests.world.exchange_process import StartFailed
from tests.world.money import credit
from tests.world.waiting import wait_until

pytestmark = pytest.mark.slow
KILL_ROUNDS = int(os.environ.get("FAIRBOOK_CRASH_ROUNDS", "8"))
EDIT_ROUNDS = int(os.environ.get("FAIRBOOK_EDIT_ROUNDS", "1"))
SEED = int(os.environ.get("FAIRBOOK_SEED", "13"))
OFTEN = {"FAIRBOOK_CHECKPOINT_S": "0.1"}
WITHIN_S = 3 * 10.0


def get_json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.loads(answer.read())


class Watch:
    """A process of `fairbook watch`."""

    def __init__(self, url: str, keep: Path, *options: str) -> None:
        self.keep = keep
        self.output = keep.with_suffix(".out")
        command = [sys.executable, "-m", "fairbook", "watch", url, "--keep", str(keep)]
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [*command, "--every", "0.1", "--serve", "127.0.0.1:0", *options],
                stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def said(self) -> str:
        return self.output.read_text()

    def until_said(self, text: str) -> str:
        wait_until(lambda: text in self.said(), self.said, within_s=WITHIN_S)
        return self.said()

    @property
    def url(self) -> str:
        line = self.until_said("serving on port")
        return f"http://127.0.0.1:{line.rpartition('serving on port ')[2].split()[0]}"

    def kept(self) -> list[str]:
        return CheckpointFile(self.keep).notes_from(0, 10**6)

    def until_kept(self, count: int) -> list[str]:
        wait_until(lambda: len(self.kept()) >= count, self.said, within_s=WITHIN_S)
        return self.kept()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[FaultyExchange]:
    made = FaultyExchange(tmp_path / "d", OFTEN)
    with made:
        yield made


def test_it_keeps_what_was_signed_and_serves_it(venue: FaultyExchange, tmp_path: Path) -> None:
    with Watch(venue.url, tmp_path / "kept.txt") as watch:
        assert venue.place() == 200
        first = parse(watch.until_kept(1)[0])
        watch.until_kept(4)
        assert "a first look: nothing is known about the time before it" in watch.said()
        shown = get_json(f"{watch.url}/api/v1/checkpoints/signed?from=0")
        assert shown["notes"] == watch.kept()[: len(shown["notes"])] and len(shown["notes"]) >= 4
        assert shown["notes"] == CheckpointFile(venue.folder / "checkpoints.txt").notes_from(
            first.position, len(shown["notes"])
        )
        state = get_json(watch.url + "/")
        assert state["first"] == str(first.position) and state["contradictions"] == []
        key = state["key"]
        status, said = fairbook("verify", venue.folder, "--against", watch.url, "--key", key)
        assert status == 0 and "all of this log" in said, said
        assert watch.stop() == 0
    assert venue.status()["checkpoint"]["key"] == key
    status, said = fairbook(
        "verify", venue.folder, "--against", tmp_path / "kept.txt", "--key", key
    )
    assert status == 0, said


@pytest.mark.crash
def test_killed_again_and_again_it_keeps_what_it_had(venue: FaultyExchange, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    keep = tmp_path / "kept.txt"
    before: list[str] = []
    for _ in range(KILL_ROUNDS):
        with Watch(venue.url, keep) as watch:
            assert venue.place() == 200
            watch.until_kept(len(before) + 1)
            time.sleep(chance.random() * 0.3)
        kept = CheckpointFile(keep).notes_from(0, 10**6)
        assert kept[: len(before)] == before
        before = kept
    with Watch(venue.url, keep) as watch:
        assert watch.until_kept(len(before) + 1)[: len(before)] == before
        assert watch.stop() == 0, watch.said()
    positions = [parse(note).position for note in before]
    own = CheckpointFile(venue.folder / "checkpoints.txt").notes_from(positions[0], len(before))
    assert own == before, "nothing is missing between"


def again(venue: FaultyExchange, witness: str) -> FaultyExchange:
    """The same files, started with a witness."""
    made = FaultyExchange(venue.folder, {**OFTEN, "FAIRBOOK_WITNESS": witness})
    made.http_port, made.ws_port = venue.http_port, venue.ws_port
    return made


@pytest.mark.parametrize("number", range(EDIT_ROUNDS))
@pytest.mark.parametrize("way", ["rewritten", "cut"])
def test_another_log_is_found_although_its_owner_has_the_key(
    venue: FaultyExchange, tmp_path: Path, way: str, number: int
) -> None:
    """The log is made anew with right chains, and the file of checkpoints is removed."""
    with Watch(venue.url, tmp_path / "kept.txt") as watch:
        chance = random.Random(f"{SEED} {way} {number}")
        for _ in range(chance.randrange(5, 20)):
            assert venue.place() == 200
        watch.until_kept(3)
        account = venue.account("demo1")
        venue.stop()
        newest = parse(watch.kept()[-1]).position
        with_log = FileLog(venue.folder, read_only=True)
        last = with_log.last.position
        with_log.close()
        if way == "rewritten":
            money = credit(account=account, asset=1, atoms=10**9)
            rewrite_log(venue.folder, more=money, after=chance.randrange(2, newest))
        else:
            rewrite_log(venue.folder, leave_out=last - newest + chance.randrange(1, newest - 5))
        (venue.folder / "checkpoints.txt").unlink()
        with pytest.raises(StartFailed, match="the log"):
            again(venue, watch.url).start()
        # Without a witness it starts; a witness finds it at once.
        venue.start()
        watch.until_said("CONTRADICTION")
        assert watch.stop() == 1
    proof = (tmp_path / "kept.txt.contradictions").read_text()
    assert proof.count("fairbook checkpoint\n") >= 1


def test_a_lost_file_of_checkpoints_goes_on_from_the_witness(
    venue: FaultyExchange, tmp_path: Path
) -> None:
    with Watch(venue.url, tmp_path / "kept.txt") as watch:
        watch.until_kept(3)
        venue.stop()
        (venue.folder / "checkpoints.txt").unlink()
        kept = len(watch.kept())
        with again(venue, watch.url) as restarted:
            watch.until_kept(kept + 3)
            assert isinstance(restarted, FaultyExchange)
            status = restarted.until(lambda status: status["witnesses"][0]["position"] > 0)
            assert status["witnesses"][0]["problem"] is None
            restarted.stop()
        assert watch.stop() == 0, watch.said()


def test_a_witness_that_does_not_answer_refuses_the_start(venue: FaultyExchange) -> None:
    venue.stop()
    with pytest.raises(StartFailed, match="does not answer"):
        again(venue, "http://127.0.0.1:9").start()


def test_two_histories_shown_to_two_witnesses(venue: FaultyExchange, tmp_path: Path) -> None:
    """Two processes with the same key and the same past."""
    venue.stop()
    shutil.copytree(venue.folder, tmp_path / "e", ignore=shutil.ignore_patterns("control", "LOCK"))
    other = FaultyExchange(tmp_path / "e", OFTEN)
    with other:
        venue.start()
        assert other.place() == 200
        with Watch(other.url, tmp_path / "theirs.txt") as theirs:
            theirs.until_kept(3)
            options = ("--compare", theirs.url)
            with Watch(venue.url, tmp_path / "mine.txt", *options) as mine:
                said = mine.until_said("CONTRADICTION")
                assert "position" in said and "127.0.0.1" in said
                assert mine.stop() == 1
            assert theirs.stop() == 0
    proof = (tmp_path / "mine.txt.contradictions").read_text()
    key = parse_key_text((tmp_path / "mine.txt.key").read_text())
    notes = re.findall(r"fairbook checkpoint\n.+?\n\n\u2014 [^\n]+\n", proof, re.DOTALL)
    assert len(notes) >= 2 and all(is_signed_by(note, key) for note in notes)
