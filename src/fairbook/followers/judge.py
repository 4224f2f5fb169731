"""The judge: replay the log after a difference, to find out whether engine or replica is wrong.

Design: docs/operate/replicas.md, "When they differ".

Invariants:
- the memory of engine and replica is not used, nor a snapshot that either has started from;
- nothing is changed but the verdict, and that snapshots which the log contradicts are put aside.
"""

from collections.abc import Iterator
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from fairbook.core.exchange import Exchange
from fairbook.core.state_slices import BALANCE, NAMES, Difference, differences, slice_bytes
from fairbook.engine import gc_policy
from fairbook.engine.recovery import restore_before
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import Head, SnapshotInvalid, Snapshots
from fairbook.followers.audit_files import Verdict, read_verdict, slice_path, write_verdict
from fairbook.followers.wire import VERSION
from fairbook.log.command_log import Entry, LogDamaged
from fairbook.log.file_log import FileLog

ENGINE: Final = "engine"
REPLICA: Final = "replica"
BOTH: Final = "both"
NEITHER: Final = "neither"
UNKNOWN: Final = "unknown"
REPLAYED: Final = "replayed"
"""The full replay has found it: engine and replica may have started from the same wrong state."""

SHOWN_MAX: Final = 20
BALANCE_NAME: Final = NAMES[BALANCE]


def judge(directory: Path) -> Verdict:
    """Complete the verdict.json of a data directory, and return it. Raises LogDamaged, OSError,
    ValueError (no verdict.json), and what a bug raises in the replay.
    """
    verdict = read_verdict(directory)
    if verdict is None:
        raise ValueError("there is no difference to judge")
    with gc_policy.frozen_afterwards(), closing(FileLog(directory, read_only=True)) as log:
        wrong, found = _compared(directory, log, verdict, before=_first_start(verdict))
        if len(wrong) == 2:
            # Neither has what was computed here: trust no snapshot.
            wrong, found = _compared(directory, log, verdict, before=1)
    # A balance explains more than what followed from it.
    found.sort(key=lambda described: described["what"] != BALANCE_NAME)
    verdict |= {
        "status": "judged",
        "wrong": {0: NEITHER, 1: "".join(wrong), 2: BOTH}[len(wrong)],
        "differences": found[:SHOWN_MAX],
        "judge": {"version": VERSION},
    }
    write_verdict(directory, verdict)
    return verdict


def _first_start(verdict: Verdict) -> int:
    """The position of the oldest snapshot that engine or replica has started from."""
    starts: list[int] = [each for each in verdict.get("started_from", ()) if each > 0]
    return min([int(verdict["position"]) + 1, *starts])


def _compared(
    directory: Path, log: FileLog, verdict: Verdict, *, before: int
) -> tuple[list[str], list[dict[str, Any]]]:
    """Which processes are wrong, and in what: by a replay from a snapshot before a position."""
    snapshots = Snapshots(directory)
    runner = restore_before(log, [snapshots], before - 1, is_checked=False)
    verdict["from_snapshot"] = runner.position
    entries, check = log.read(runner.position + 1), SnapshotCheck(snapshots, verdict)
    wrong: dict[str, None] = {}
    found: list[dict[str, Any]] = []
    for dispute in _disputes(verdict):
        _replay(runner, entries, dispute["position"], check)
        expected = _expected(runner, dispute)
        for process in (ENGINE, REPLICA):
            if expected != dispute[process]:
                wrong[process] = None
                found += _found(directory, runner, dispute, process)
    return list(wrong), found


class SnapshotCheck:
    """Compares snapshots with the states of a replay, and puts aside those that differ."""

    def __init__(self, snapshots: Snapshots, verdict: Verdict) -> None:
        self._snapshots = snapshots
        self._verdict = verdict
        self._heads: dict[int, tuple[Path, Head]] = {}
        for path in snapshots.paths():
            with suppress(SnapshotInvalid):  # Nothing loads it.
                head = snapshots.read_head(path)
                self._heads[head.position] = path, head

    def look(self, runner: Runner) -> None:
        """After each entry. Raises OSError."""
        known = self._heads.pop(runner.position, None)
        if known is None:
            return
        path, head = known
        right = runner.snapshot()
        if (head.digest, head.event_hash) != (right.digest, right.event_hash):
            aside = self._snapshots.put_aside(path)
            self._verdict.setdefault("contradicted", []).append(aside.name)


def _disputes(verdict: Verdict) -> list[dict[str, Any]]:
    """Everything that differs, by position; a running hash of events has count 0."""
    disputes: list[dict[str, Any]] = [*verdict["slices"]]
    if verdict["events"] is not None:
        disputes.append(verdict["events"] | {"count": 0})
    return sorted(disputes, key=lambda dispute: int(dispute["position"]))


def _replay(runner: Runner, entries: Iterator[Entry], position: int, check: SnapshotCheck) -> None:
    while runner.position < position:
        entry = next(entries, None)
        if entry is None:
            raise LogDamaged(f"the log ends at position {runner.position}, before {position}")
        runner.apply(entry)
        check.look(runner)


def _expected(runner: Runner, dispute: dict[str, Any]) -> str:
    """The digest that both should have had."""
    if not dispute["count"]:
        return runner.event_hash.hex()
    return sha256(slice_bytes(runner.exchange, dispute["index"], dispute["count"])).hexdigest()


def _found(
    directory: Path, runner: Runner, dispute: dict[str, Any], process: str
) -> Iterator[dict[str, Any]]:
    """What is wrong in the slice of `process`; nothing if it was not written."""
    index, count = dispute.get("index", 0), dispute["count"]
    path = slice_path(directory, dispute["position"], index, count, process)
    if not count or not path.exists():
        return
    expected = slice_bytes(runner.exchange, index, count)
    try:
        found = differences(expected, path.read_bytes(), SHOWN_MAX)
    except ValueError as error:
        yield {"process": process, "what": f"its slice cannot be read: {error}"}
        return
    for each in found:
        if each.kind == BALANCE_NAME:
            # A balance of zero has no record.
            each = each._replace(mine=each.mine or 0, theirs=each.theirs or 0)
        if each.mine != each.theirs:
            yield {"process": process, "position": dispute["position"]} | describe(
                runner.exchange, each
            )


def describe(exchange: Exchange, difference: Difference) -> dict[str, Any]:
    """A difference with names. mine: what is expected; theirs: what was found."""
    registry = exchange.tables
    described: dict[str, Any] = {"what": difference.kind, "key": difference.key}
    account, asset = difference.account, difference.asset
    if difference.kind == "reference" and difference.key < len(registry.references.rows):
        row = registry.references.rows[difference.key]
        account, asset = row.account, row.asset
        described["reference"] = row.reference.hex()
    if account > 0 or asset > 0:
        described["account"] = account
        if account < len(registry.accounts):
            described["user"] = registry.accounts[account].user_id
    if 0 < asset < len(exchange.assets):
        described["asset"] = asset
        described["asset_name"] = exchange.assets[asset].name
    if difference.kind == "market" and difference.key < len(exchange.markets):
        described["market_name"] = exchange.markets[difference.key].name
    return described | {
        "field": difference.field,
        "expected": difference.mine,
        "found": difference.theirs,
    }
