"""Who is wrong: engine and replica disagree, and a third state machine says what the log says.

How it works: in a process of its own, the log is replayed from the last snapshot that both agreed
on, up to the positions of the differences; what comes out is compared with what each of them had.
The verdict names the process, and the numbers in its slices that are wrong.

Always true: neither memory that is in doubt is asked; nothing is changed but the verdict.

Not here: that trading pauses meanwhile, and what follows from the verdict (audit.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from fairbook.core.exchange import Exchange
from fairbook.core.slices import Difference, differences, slice_bytes
from fairbook.engine import gc_policy as collector
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import Snapshots
from fairbook.followers.audit_files import Verdict, read_verdict, slice_path, write_verdict
from fairbook.followers.catch_up import runner_before
from fairbook.followers.wire import VERSION
from fairbook.log.command_log import Entry, LogDamaged
from fairbook.log.file_log import FileLog

ENGINE: Final = "engine"
REPLICA: Final = "replica"
BOTH: Final = "both"
NEITHER: Final = "neither"
UNKNOWN: Final = "unknown"

SHOWN_MAX: Final = 20


def judge(directory: Path) -> Verdict:
    """Complete the verdict.json of a data directory, and return it.

    Raises LogDamaged, OSError, ValueError (no verdict.json, or an unreadable one), and what a bug
    raises in the replay.
    """
    verdict = read_verdict(directory)
    if verdict is None:
        raise ValueError("there is no difference to be judged")
    collector.hold()
    log = FileLog(directory, read_only=True)
    try:
        wrong, found = _compared(directory, log, verdict, is_checked=False)
        if len(wrong) == 2:
            # Where one of them has what was found here, it was loaded rightly. Here neither has.
            wrong, found = _compared(directory, log, verdict, is_checked=True)
    finally:
        log.close()
        collector.release()
    # A balance explains more than what followed from it.
    found.sort(key=lambda words: words["what"] != "balance")
    verdict |= {
        "status": "judged",
        "wrong": {0: NEITHER, 1: "".join(wrong), 2: BOTH}[len(wrong)],
        "differences": found[:SHOWN_MAX],
        "judge": {"version": VERSION},
    }
    write_verdict(directory, verdict)
    return verdict


def _compared(
    directory: Path, log: FileLog, verdict: Verdict, *, is_checked: bool
) -> tuple[list[str], list[dict[str, Any]]]:
    """Who is wrong, and what; each replay by a state of its own. is_checked: the snapshot is seen
    to be what was loaded, which takes as long again.
    """
    snapshots = Snapshots(directory)
    runner = runner_before(log, snapshots, verdict["position"], is_checked=is_checked)
    verdict["from_snapshot"] = runner.position
    entries = log.read(runner.position + 1)
    wrong: dict[str, None] = {}
    found: list[dict[str, Any]] = []
    for place in _places(verdict):
        _replay(runner, entries, place["position"])
        expected = _expected(runner, place)
        for who in (ENGINE, REPLICA):
            if expected != place[who]:
                wrong[who] = None
                found += _found(directory, runner, place, who)
    return list(wrong), found


def _places(verdict: Verdict) -> list[dict[str, Any]]:
    """Everything that they did not agree on, by position; a running hash of events has no count."""
    places: list[dict[str, Any]] = [*verdict["slices"]]
    if verdict["events"] is not None:
        places.append(verdict["events"] | {"count": 0})
    return sorted(places, key=lambda place: int(place["position"]))


def _replay(runner: Runner, entries: Iterator[Entry], position: int) -> None:
    while runner.position < position:
        entry = next(entries, None)
        if entry is None:
            raise LogDamaged(f"the log ends at position {runner.position}, before {position}")
        runner.apply(entry)


def _expected(runner: Runner, place: dict[str, Any]) -> str:
    """What both should have told."""
    if not place["count"]:
        return runner.event_hash.hex()
    return sha256(slice_bytes(runner.exchange, place["index"], place["count"])).hexdigest()


def _found(
    directory: Path, runner: Runner, place: dict[str, Any], who: str
) -> Iterator[dict[str, Any]]:
    """What is wrong in the slice of `who`, in words; nothing if it was not kept."""
    index, count = place.get("index", 0), place["count"]
    path = slice_path(directory, place["position"], index, count, who)
    if not count or not path.exists():
        return
    expected = slice_bytes(runner.exchange, index, count)
    try:
        found = differences(expected, path.read_bytes(), SHOWN_MAX)
    except ValueError as error:
        yield {"process": who, "what": f"its slice cannot be read: {error}"}
        return
    for each in found:
        yield {"process": who, "position": place["position"]} | in_words(runner.exchange, each)


def in_words(exchange: Exchange, difference: Difference) -> dict[str, Any]:
    """A difference with names. mine: what is expected; theirs: what was found."""
    registry = exchange.tables
    words: dict[str, Any] = {"what": difference.kind, "key": difference.key}
    if difference.account > 0 or difference.asset > 0:
        words["account"] = difference.account
        if difference.account < len(registry.accounts):
            words["user"] = registry.accounts[difference.account].user_id
    if difference.asset > 0:
        words["asset"] = difference.asset
        words["asset_name"] = exchange.assets[difference.asset].name
    if difference.kind == "market" and difference.key < len(exchange.markets):
        words["market_name"] = exchange.markets[difference.key].name
    return words | {
        "field": difference.field,
        "expected": difference.mine,
        "found": difference.theirs,
    }
