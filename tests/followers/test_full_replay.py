"""The full replay against edited files: checkpoints, the recorder's snapshots, its own state."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from google_crc32c import value as crc32c

from fairbook.checkpoints.checkpoint_file import CheckpointFile
from fairbook.checkpoints.signed_checkpoint import parse
from fairbook.engine.snapshots import ASIDE_SUFFIX, Snapshots
from fairbook.followers import full_replay, wire
from fairbook.followers.follower import FileSource, follow
from fairbook.followers.full_replay import BEHIND_S, DIRECTORY, PASS_NAME, FullReplay, ReplayOptions
from fairbook.followers.recorder import DIRECTORY as RECORDER
from fairbook.log.file_log import FileLog
from fairbook.log.segments import HEADER_BYTES, RECORD_BYTES
from tests.e2e.test_watch import Watch
from tests.followers.edited_snapshots import edit_snapshot
from tests.followers.faulty_exchange import FaultyExchange
from tests.followers.recorder_child import write_log
from tests.followers.test_edited_snapshots import AT_ONCE, FOUND_WITHIN_S, with_snapshots
from tests.world.commands import fairbook
from tests.world.waiting import wait_until

ROUNDS = int(os.environ.get("FAIRBOOK_EDIT_ROUNDS", "1"))
SEED = int(os.environ.get("FAIRBOOK_SEED", "13"))
OFTEN = {**AT_ONCE, "FAIRBOOK_CHECKPOINT_S": "0.1", "FAIRBOOK_SNAPSHOT_COMMANDS": "4"}


def checkpoints_of(venue: FaultyExchange) -> CheckpointFile:
    return CheckpointFile(venue.folder / "checkpoints.txt")


@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("field", ["chain", "events", "state", "previous"])
def test_a_changed_checkpoint_is_found(tmp_path: Path, field: str, number: int) -> None:
    """One digit of a hash; the last one is that of the start."""
    chance = random.Random(f"{SEED} {field} {number}")
    venue = FaultyExchange(tmp_path / "d", OFTEN)
    with venue:
        for _ in range(30):
            assert venue.place() == 200
        venue.until(lambda status: status["replica"]["snapshot_position"] > 0)
        signed = venue.status()["checkpoint"]["position"]
        venue.until(lambda status: status["checkpoint"]["position"] > signed + 2)
        venue.stop()
        file = checkpoints_of(venue)
        notes = file.notes_from(0, 10**6)
        at = chance.randrange(len(notes) - 1)
        lines = notes[at].split("\n")
        line = next(each for each, text in enumerate(lines) if text.startswith(field))
        digit = len(lines[line]) - 1 - chance.randrange(64)
        changed = (int(lines[line][digit], 16) + chance.randrange(1, 16)) % 16
        lines[line] = f"{lines[line][:digit]}{changed:x}{lines[line][digit + 1 :]}"
        file.path.write_text("".join([*notes[:at], "\n".join(lines), *notes[at + 1 :]]))
        venue.start()
        verdict = venue.verdict(FOUND_WITHIN_S)
        assert verdict["wrong"] == "replayed"
        assert "checkpoints.txt" in verdict["problems"][0], verdict
        assert venue.place() == 503
        status, said = fairbook("status", venue.folder)
        assert status == 1 and "checkpoints.txt" in said


@pytest.mark.slow
def test_a_state_that_a_witness_knows_counts_after_a_restart(tmp_path: Path) -> None:
    venue = FaultyExchange(tmp_path / "d", OFTEN)
    with venue, Watch(venue.url, tmp_path / "kept.txt") as watch:
        watch.until_kept(1)
        path = stopped_with_known_states(venue, 1)[0]
        known = Snapshots(venue.folder).read(path)
        own = venue.folder / DIRECTORY
        for each in Snapshots(own).paths():
            each.unlink()
        saved = Snapshots(own).write(known)
        (own / PASS_NAME).write_text(json.dumps({"began": time.time()}))
        venue.environment = {**OFTEN, "FAIRBOOK_WITNESS": watch.url}
        venue.start()

        def began(status: dict[str, Any]) -> bool:
            return status["full_replay"]["started_from"] is not None

        full = venue.until(began)["full_replay"]
        assert (full["started_from"], full["is_confirmed"]) == (known.position, True)
        client = venue.rest()
        shown = client.expect(200, "GET", "/api/v1/proof/status")
        client.close()
        assert shown["replayed"]["confirmed"] and shown["witnesses"][0]["url"] == watch.url
        assert "which a witness confirmed" in fairbook("status", venue.folder)[1]
        venue.stop()
        for each in Snapshots(own).paths():
            each.unlink()
        Snapshots(own).write(known)
        edit_snapshot(own, saved, account=venue.account("demo1"), asset=4, field="available")
        venue.start()
        venue.until(began)
        said = fairbook("status", venue.folder)[1]
        assert f"unconfirmed since position {known.position}" in said or "first entry" in said
        venue.stop()


@pytest.mark.slow
def test_damage_in_an_old_segment_pauses_trading(tmp_path: Path) -> None:
    """The start reads the ends of old segments only; then no wrong state may trade behind it."""
    venue = FaultyExchange(tmp_path / "d", OFTEN)
    with venue:
        with_snapshots(venue, 3)
        damage_first_segment(venue.folder)
        for path in Snapshots(venue.folder).paths():
            edit_snapshot(
                venue.folder, path, account=venue.account("demo1"), asset=4, field="available"
            )
        venue.start()
        verdict = venue.verdict(FOUND_WITHIN_S)
        assert "the log is damaged" in verdict["problems"][0], verdict
        assert venue.place() == 503
        status, said = fairbook("status", venue.folder)
        assert status == 1 and "TRADING IS PAUSED" in said


def damage_first_segment(directory: Path) -> None:
    """The same log in small segments, with one bit of an early frame flipped and a right CRC."""
    with closing(FileLog(directory, read_only=True)) as log:
        entries = list(log.read(1))
    shutil.rmtree(directory / "log")
    with closing(FileLog(directory, segment_bytes=4_000)) as log:
        for entry in entries:
            assert log.append(entry.frame, entry.time_ns).chain == entry.chain
    segments = sorted((directory / "log").glob("*.log"))
    assert len(segments) >= 2
    octets = bytearray(segments[0].read_bytes())
    begin, size = HEADER_BYTES, int.from_bytes(octets[HEADER_BYTES + 12 :][:4], "little")
    octets[begin + RECORD_BYTES + size - 1] ^= 1
    octets[begin + 8 : begin + 12] = crc32c(
        bytes(octets[begin + 12 : begin + RECORD_BYTES + size])
    ).to_bytes(4, "little")
    segments[0].write_bytes(octets)


@pytest.mark.slow
def test_two_memories_edited_alike_are_found(tmp_path: Path) -> None:
    """Engine and replica agree on a lie, until there is a snapshot of it."""
    venue = FaultyExchange(tmp_path / "d", OFTEN)
    with venue:
        venue.until(lambda status: status["full_replay"]["started_from"] == 0)
        account = venue.account("demo2")
        for process in ("replica", "engine"):
            venue.harm(process, account=account, asset=4, field="available", atoms=10**6)
        for _ in range(12):
            assert venue.place() == 200
        verdict = venue.verdict(3 * (BEHIND_S + 10))
        assert verdict["wrong"] == "replayed"
        if verdict["differences"]:
            first = verdict["differences"][0]
            assert (first["account"], first["asset"], first["field"]) == (account, 4, "available")
        else:  # The snapshot was replaced by a newer one meanwhile.
            assert "the state of position" in verdict["problems"][0]
        assert venue.place() == 503


@pytest.mark.slow
def test_all_states_edited_alike_are_found(tmp_path: Path) -> None:
    """Those of exchange, recorder and full replay itself: the checkpoints know better."""
    chance = random.Random(SEED)
    venue = FaultyExchange(tmp_path / "d", OFTEN)
    with venue:
        for _ in range(ROUNDS):
            places = stopped_with_known_states(venue, 2)
            for folder in (RECORDER, DIRECTORY):
                own = Snapshots(venue.folder / folder)
                for each in own.paths():
                    each.unlink()
                own.write(Snapshots(venue.folder).read(places[0]))
            (venue.folder / DIRECTORY / PASS_NAME).write_text(json.dumps({"began": time.time()}))
            account, asset = venue.account(chance.choice(("demo1", "demo2"))), chance.choice((1, 4))
            field, atoms = chance.choice(("available", "locked")), chance.choice((1, 10**6))
            edited: list[Path] = []
            for directory in (venue.folder, venue.folder / RECORDER, venue.folder / DIRECTORY):
                for path in Snapshots(directory).paths():
                    edited.append(path)
                    edit_snapshot(
                        directory, path, account=account, asset=asset, field=field, atoms=atoms
                    )
            venue.start()
            verdict = venue.verdict(FOUND_WITHIN_S)
            assert verdict["wrong"] == "replayed"
            first = verdict["differences"][0]
            assert (first["account"], first["asset"], first["field"]) == (account, asset, field)
            assert venue.place() == 503
            wait_until(partial(are_gone, edited))
            start_again(venue, verdict)


def are_gone(paths: list[Path]) -> bool:
    """Put aside, or replaced by newer ones."""
    return not any(path.exists() for path in paths)


def stopped_with_known_states(venue: FaultyExchange, count: int) -> list[Path]:
    """So many snapshots, oldest first, that signed checkpoints have."""

    def known() -> list[Path]:
        states = {parse(note).state_position for note in checkpoints_of(venue).notes_from(0, 10**6)}
        heads = Snapshots(venue.folder).heads()
        return [heads[position][0] for position in sorted(heads.keys() & states)]

    while True:
        if venue.process is None:
            venue.start()
        for _ in range(5):
            assert venue.place() == 200
        time.sleep(0.5)
        if len(known()) > count:
            venue.stop()
            if len(known()) >= count:
                return known()


def start_again(venue: FaultyExchange, verdict: dict[str, Any]) -> None:
    """Without what was put aside, and open trading."""
    venue.stop()
    venue.start()
    venue.until_agreed()
    venue.resume(verdict)
    assert venue.place() == 200


@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("has_full_replay", [True, False])
def test_an_edited_snapshot_of_the_recorder(
    tmp_path: Path, has_full_replay: bool, number: int
) -> None:
    """The full replay names it; without one its events give it away."""
    days = "7" if has_full_replay else "0"
    venue = FaultyExchange(tmp_path / "d", {**AT_ONCE, "FAIRBOOK_FULL_REPLAY_DAYS": days})
    with venue:
        with_snapshots(venue, 2)
        own = venue.folder / RECORDER
        for each in Snapshots(own).paths():
            each.unlink()
        newest = Snapshots(venue.folder).paths()[0]
        path = Snapshots(own).write(Snapshots(venue.folder).read(newest))
        account, asset = venue.account("demo1"), 4
        balances = Snapshots(own).read(path).restore(is_checked=False).balances(account)
        (available,) = (free for each, free, _ in balances if each == asset)
        edit_snapshot(own, path, account=account, asset=asset, field="available", atoms=-available)
        venue.start()
        if has_full_replay:
            verdict = venue.verdict(FOUND_WITHIN_S)
            assert verdict["contradicted"] == [f"{RECORDER}/{path.name}{ASIDE_SUFFIX}"]
            assert verdict["differences"][0]["account"] == account
        else:
            venue.until_agreed()
            assert venue.place() == 200

            def is_recorded_again(status: dict[str, Any]) -> bool:
                return "are not the engine's" in str(status["recorder"]["last_note"])

            venue.until(is_recorded_again, FOUND_WITHIN_S)
            venue.until(
                lambda status: status["recorder"]["position"] >= status["engine"]["position"] - 1
            )
        venue.stop()
    status, said = fairbook("verify", venue.folder)
    assert status == 0 and "every row matches the log" in said, said


def test_what_it_has_saved_is_told_to_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(full_replay, "SAVE_COMMANDS", 1)
    monkeypatch.setattr(full_replay, "SAVE_S", -1.0)
    write_log(tmp_path, seed=3, frames=20)
    engine, connection = socket.socketpair()
    source = FileSource("replay", tmp_path, connection)
    engine.sendall(wire.pack(wire.APPLIED, 12))
    engine.shutdown(socket.SHUT_WR)
    follow(source, FullReplay(tmp_path, source, ReplayOptions(60.0, tmp_path / "none.txt")))
    parser, told = wire.MessageParser(), []
    while octets := engine.recv(65_536):
        told += [each for each in parser.feed(octets) if each.kind == wire.SNAPSHOT_WRITTEN]
    engine.close()
    (head,) = [head for _, head in Snapshots(tmp_path / DIRECTORY).heads().values()]
    assert [(each.position, each.digest) for each in told] == [(12, head.digest)]
