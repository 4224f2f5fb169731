"""The judge: replay the log after a difference, to find out whether engine or replica is wrong.

Design: docs/operate/replicas.md, "When they differ".

Invariants:
- the memory of engine and replica is not used, nor a snapshot that either has started from;
- that a snapshot is wrong counts only in a replay from the first entry, which no file can mislead;
- nothing is changed but the verdict, and that snapshots which the log contradicts are put aside.
"""

from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from fairbook.core.exchange import Exchange
from fairbook.core.state_slices import BALANCE, NAMES, Difference, differences, slice_bytes
from fairbook.engine import gc_policy
from fairbook.engine.recovery import restore_before
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import Snapshots
from fairbook.followers.audit_files import Verdict, read_verdict, slice_path, write_verdict
from fairbook.followers.wire import VERSION
from fairbook.log.command_log import LogDamaged
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
        replay = _Replay(directory, log, verdict, before=_first_start(verdict))
        wrong, found = replay.compare()
        if len(wrong) == 2 or replay.contradicted:
            # It began with a snapshot that may be the wrong one: trust none.
            replay = _Replay(directory, log, verdict, before=1)
            wrong, found = replay.compare()
    if replay.contradicted:
        snapshots = Snapshots(directory)
        verdict["contradicted"] = [snapshots.put_aside(path).name for path in replay.contradicted]
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


class _Replay:
    """A replay of the log, from a snapshot before a position, to everything that differs."""

    def __init__(self, directory: Path, log: FileLog, verdict: Verdict, *, before: int) -> None:
        self._directory = directory
        self._verdict = verdict
        snapshots = Snapshots(directory)
        self._runner = restore_before(log, [snapshots], before - 1, is_checked=False)
        self._entries = log.read(self._runner.position + 1)
        self._heads = snapshots.heads()
        self.contradicted: list[Path] = []
        """Snapshots whose state is not that of the replay at their position."""

    def compare(self) -> tuple[list[str], list[dict[str, Any]]]:
        """Which processes are wrong, and in what."""
        self._verdict["from_snapshot"] = self._runner.position
        wrong: dict[str, None] = {}
        found: list[dict[str, Any]] = []
        for dispute in _disputes(self._verdict):
            self._replay_to(dispute["position"])
            expected = _expected(self._runner, dispute)
            for process in (ENGINE, REPLICA):
                if expected != dispute[process]:
                    wrong[process] = None
                    found += _found(self._directory, self._runner, dispute, process)
        return list(wrong), found

    def _replay_to(self, position: int) -> None:
        runner = self._runner
        while runner.position < position:
            entry = next(self._entries, None)
            if entry is None:
                raise LogDamaged(f"the log ends at position {runner.position}, before {position}")
            runner.apply(entry)
            if known := self._heads.get(runner.position):
                path, head = known
                if not head.is_of(runner.snapshot()):
                    self.contradicted.append(path)


def _disputes(verdict: Verdict) -> list[dict[str, Any]]:
    """Everything that differs, by position; a running hash of events has count 0."""
    disputes: list[dict[str, Any]] = [*verdict["slices"]]
    if verdict["events"] is not None:
        disputes.append(verdict["events"] | {"count": 0})
    return sorted(disputes, key=lambda dispute: int(dispute["position"]))


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
        found = described(runner.exchange, expected, path.read_bytes())
    except ValueError as error:
        yield {"process": process, "what": f"its slice cannot be read: {error}"}
        return
    for each in found:
        yield {"process": process, "position": dispute["position"]} | each


def described(exchange: Exchange, expected: bytes, found: bytes) -> list[dict[str, Any]]:
    """How a slice that was found differs from the one that is expected, of this exchange; at most
    SHOWN_MAX differences. Raises ValueError if it cannot be read.
    """
    shown = []
    for each in differences(expected, found, SHOWN_MAX):
        if each.kind == BALANCE_NAME:
            # A balance of zero has no record.
            each = each._replace(mine=each.mine or 0, theirs=each.theirs or 0)
        if each.mine != each.theirs:
            shown.append(_describe(exchange, each))
    return shown


def _describe(exchange: Exchange, difference: Difference) -> dict[str, Any]:
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
