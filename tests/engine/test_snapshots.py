"""Snapshot files: complete or not used, three kept, and leftovers of a crash are harmless."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import pytest

from fairbook.core import state
from fairbook.core.exchange import Exchange
from fairbook.engine.recovery import recover
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import FORMAT, KEPT, Snapshot, SnapshotInvalid, Snapshots
from tests.world import traffic


def taken(runner: Runner) -> Snapshot:
    return Snapshot(
        position=runner.position,
        time_ns=runner.exchange.time_ns,
        chain=runner.chain,
        event_hash=runner.event_hash,
        body=state.dump(runner.exchange),
    )


def after(count: int, seed: int = 1) -> Runner:
    """A runner that has applied the setup and `count` frames."""
    runner = Runner(Exchange())
    traffic.run_all(runner, traffic.logged(traffic.frames(seed=seed, count=count)).entries)
    return runner


def numbered(position: int) -> Snapshot:
    """A snapshot that claims a position."""
    return Snapshot(
        position=position,
        time_ns=0,
        chain=bytes(32),
        event_hash=bytes(32),
        body=state.dump(Exchange()),
    )


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    runner = after(30)
    snapshots = Snapshots(tmp_path)
    path = snapshots.write(taken(runner))
    assert path == tmp_path / "snapshots" / "00000000000000000031.snapshot"
    read = snapshots.read(path)
    assert read == taken(runner)
    assert read.digest == state.digest(runner.exchange)
    assert state.digest(read.restore()) == state.digest(runner.exchange)


def test_three_are_kept(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    for position in (1, 5, 9, 10, 200):
        snapshots.write(numbered(position))
    assert [snapshots.read(path).position for path in snapshots.paths()] == [200, 10, 9]
    snapshots.write(numbered(200))
    assert len(snapshots.paths()) == KEPT


def test_an_invalid_snapshot_does_not_replace_a_valid_one(tmp_path: Path) -> None:
    """It stays, but is not one of the three; one of a later position is not either."""
    snapshots = Snapshots(tmp_path)
    for position in (1, 2, 3):
        snapshots.write(numbered(position))
    bad = snapshots.paths()[0]
    bad.write_bytes(b"rubbish")
    snapshots.pass_over(bad)
    future = bad.with_name(f"{10**15:020d}.snapshot")
    future.write_bytes(b"rubbish")
    for position in (4, 5):
        snapshots.write(numbered(position))
    left = [int(path.stem) for path in snapshots.paths()]
    assert left == [10**15, 5, 4, 3, 2]
    snapshots.write(numbered(3))  # Written again, it is valid.
    assert snapshots.read(bad).position == 3


@pytest.mark.parametrize("other", [FORMAT - 1, FORMAT + 1])
def test_a_snapshot_of_another_format_is_refused_by_name(tmp_path: Path, other: int) -> None:
    """Recovery replays the log instead, and reports the snapshot."""
    entries = traffic.logged(traffic.frames(seed=1, count=30))
    runner = Runner(Exchange())
    traffic.run_all(runner, entries.entries)
    snapshots = Snapshots(tmp_path)
    path = snapshots.write(taken(runner))
    rewrite_format(path, other)
    refusal = f"{path.name}: snapshot format {other}, this release reads {FORMAT}"
    with pytest.raises(SnapshotInvalid, match=refusal):
        snapshots.read(path)
    recovered, recovery = recover(entries, snapshots)
    assert recovery.problems[0] == refusal
    assert recovery.snapshot_position == 0
    assert state.digest(recovered.exchange) == state.digest(runner.exchange)


def test_a_snapshot_of_another_format_proves_nothing_about_the_log(tmp_path: Path) -> None:
    """Its positions are those of a log in another format."""
    snapshots = Snapshots(tmp_path)
    rewrite_format(snapshots.write(numbered(99)), FORMAT - 1)
    assert snapshots.newest_known() == 0


def rewrite_format(path: Path, number: int) -> None:
    """Change the format number in a head, and its checksum."""
    content = bytearray(path.read_bytes())
    content[8:12] = number.to_bytes(4, "little")
    content[136:168] = blake2b(content[:136], digest_size=32).digest()
    path.write_bytes(content)


def test_every_flipped_bit_shows(tmp_path: Path) -> None:
    """400 places, head and checksum among them."""
    snapshots = Snapshots(tmp_path)
    path = snapshots.write(taken(after(10)))
    whole = path.read_bytes()
    chance = random.Random(7)
    places = [*range(176), *range(len(whole) - 32, len(whole))]
    places += [chance.randrange(len(whole)) for _ in range(400 - len(places))]
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        with pytest.raises(SnapshotInvalid, match=path.name):
            snapshots.read(path)


def test_every_cut_shows(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    path = snapshots.write(taken(after(3)))
    whole = path.read_bytes()
    for length in range(len(whole)):
        if 200 < length < len(whole) - 200 and length % 37:
            continue
        path.write_bytes(whole[:length])
        with pytest.raises(SnapshotInvalid, match=path.name):
            snapshots.read(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(SnapshotInvalid, match="says it holds"):
        snapshots.read(path)


def test_a_snapshot_under_the_name_of_another_position_is_not_used(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    path = snapshots.write(numbered(4))
    renamed = path.rename(path.with_name(f"{5:020d}.snapshot"))
    with pytest.raises(SnapshotInvalid, match="it has position 4"):
        snapshots.read(renamed)


def test_a_snapshot_that_cannot_be_opened_is_invalid(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    directory = tmp_path / "snapshots" / f"{5:020d}.snapshot"
    directory.mkdir()
    with pytest.raises(SnapshotInvalid, match=directory.name):
        snapshots.read(directory)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda snapshot: numbered(snapshot.position).body[:-8],
        lambda snapshot: (99).to_bytes(8, "little") + snapshot.body[8:],
        lambda snapshot: snapshot.body + bytes(8),
        lambda snapshot: b"",
    ],
    ids=["cut", "format", "longer", "empty"],
)
def test_a_state_that_cannot_be_restored_is_invalid(spoil: Callable[[Snapshot], bytes]) -> None:
    """Whatever its checksum says: for example one of a later release."""
    good = taken(after(10))
    spoilt = Snapshot(
        position=good.position,
        time_ns=good.time_ns,
        chain=good.chain,
        event_hash=good.event_hash,
        body=spoil(good),
    )
    with pytest.raises(SnapshotInvalid, match="snapshot of position 11"):
        spoilt.restore()


def test_leftovers_of_a_crash_are_removed(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    path = snapshots.write(numbered(4))
    kept = traffic.contents(path.parent)
    (path.parent / f"{9:020d}.snapshot.1.new").write_bytes(b"half")
    snapshots.remove_leftovers()
    assert traffic.contents(path.parent) == kept


def test_a_leftover_that_another_process_has_just_removed_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a replica of the engine before, which ends while this one starts."""
    snapshots = Snapshots(tmp_path)
    gone = tmp_path / "snapshots" / f"{9:020d}.snapshot.1.new"
    monkeypatch.setattr(Path, "glob", lambda *_: iter([gone]))
    snapshots.remove_leftovers()


def test_a_failed_write_leaves_the_others_alone(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    paths = [snapshots.write(numbered(position)) for position in (1, 2, 3)]
    before = traffic.contents(paths[0].parent)
    in_the_way = paths[0].with_name(f"{4:020d}.snapshot.{os.getpid()}.new")
    in_the_way.mkdir()
    with pytest.raises(OSError):
        snapshots.write(numbered(4))
    in_the_way.rmdir()
    assert traffic.contents(paths[0].parent) == before
