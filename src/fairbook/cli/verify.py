"""`fairbook verify`: replay the log, and check snapshots, history and accounts against it.

Nothing that the exchange has computed is trusted: the log is replayed from its first entry, and
the result is compared with every snapshot, every row of history and every row of the accounts
store. The exchange may be running.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

from fairbook.accounts.credentials import AccountsDamaged
from fairbook.checkpoints.log_comparison import (
    CheckpointComparison,
    LogContradicted,
    read_checkpoints,
)
from fairbook.checkpoints.signed_note import (
    NoteInvalid,
    parse_key_text,
)
from fairbook.cli import data_directory
from fairbook.cli.data_directory import DataError
from fairbook.cli.liabilities_comparison import LiabilitiesComparison
from fairbook.cli.parser import CommandParser, UsageError
from fairbook.cli.verify_accounts import accounts_comparison
from fairbook.cli.verify_history import HistoryComparison, HistoryUnreadable, history_comparison
from fairbook.core import invariants, state
from fairbook.core.exchange import Exchange
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import Snapshot

ERRORS: Final = (
    *data_directory.REPLAY_ERRORS, HistoryUnreadable, AccountsDamaged, NoteInvalid,
    LogContradicted,
)  # fmt: skip
SHOWN_MAX: Final = 20  # differences of the history, rows of the accounts


def add_arguments(parser: CommandParser) -> None:
    parser.add_directory()
    parser.add_argument(
        "--against",
        metavar="FILE|URL",
        help="signed checkpoints kept elsewhere: a file, or the URL of a witness or an exchange",
    )
    parser.add_argument(
        "--key",
        metavar="KEY",
        help="key that signed the first of them; without it signatures are not checked",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print position, digest and chain, how far the history goes, and how many rows of the accounts
    the log backs.
    """
    directory: Path = arguments.directory
    against = _checkpoints(arguments.against, arguments.key)
    snapshots, problems = data_directory.read_snapshots(directory)
    runner = Runner(Exchange())
    liabilities = LiabilitiesComparison(directory)
    # History and accounts are opened first: the log has all that they have.
    with (
        history_comparison(directory, runner.exchange) as history,
        accounts_comparison(directory, runner) as accounts,
    ):
        for entry, events in data_directory.replay_log(directory, runner):
            against.take(
                runner.position, frame=entry.frame, chain=runner.chain,
                event_hash=runner.event_hash, digest=lambda: state.digest(runner.exchange),
            )  # fmt: skip
            liabilities.take(runner)
            if history is not None:
                history.take(entry, events, runner)
            if snapshot := snapshots.pop(entry.position, None):
                _compare_snapshot(runner, snapshot)
        against.finish(runner.position)
        if snapshots:
            raise DataError(
                f"the log ends at position {runner.position}, but there is a valid snapshot of"
                f" position {max(snapshots)}: acknowledged commands are missing"
            )
        try:
            invariants.check(runner.exchange)
        except AssertionError as error:
            raise DataError(
                f"at position {runner.position} an invariant does not hold: {error}"
            ) from error
        print(data_directory.summary(runner))
        liabilities.finish(runner.position)
        for problem in problems:
            print(f"warning: {problem}; this snapshot is not used", file=sys.stderr)
        contradictions = [] if accounts is None else accounts.contradictions()
        for sentence in contradictions[:SHOWN_MAX]:
            print(f"accounts.db: {sentence}", file=sys.stderr)
        if accounts is not None and not contradictions:
            print(f"accounts {accounts.rows} rows, all backed by the log")
        if history is not None:
            _compare_history(runner, history)
        if against.count:
            print(f"checkpoints {against.count}, all of this log")
        else:
            print("self-consistent only: checkpoints kept elsewhere prove more (--against)")
        if contradictions:
            raise DataError(f"accounts.db contradicts the log: {len(contradictions)} rows")
    return 0


def _checkpoints(source: str | None, key: str | None) -> CheckpointComparison:
    if source is None:
        if key is not None:
            raise UsageError("fairbook verify: --key needs --against")
        return CheckpointComparison([])
    public = None if key is None else parse_key_text(key)
    try:
        found = CheckpointComparison(read_checkpoints(source, public))
    except NoteInvalid as problem:
        raise DataError(f"{source}: {problem}") from None
    if not found.count:
        raise DataError(f"{source} has no signed checkpoint: nothing was compared")
    return found


def _compare_snapshot(runner: Runner, snapshot: Snapshot) -> None:
    for what, replayed, stored in (
        ("chain", runner.chain, snapshot.chain),
        ("state", state.digest(runner.exchange), snapshot.digest),
        ("events", runner.event_hash, snapshot.event_hash),
    ):
        if replayed != stored:
            raise DataError(
                f"at position {runner.position} the {what} of the log is {replayed.hex()},"
                f" that of the snapshot {stored.hex()}"
            )


def _compare_history(runner: Runner, history: HistoryComparison) -> None:
    if history.position > runner.position:
        raise DataError(
            f"history.db goes up to position {history.position},"
            f" the log ends at position {runner.position}"
        )
    count = 0
    for count, difference in enumerate(history.differences(), start=1):
        if count <= SHOWN_MAX:
            print(f"history.db: {difference}", file=sys.stderr)
    if count:
        raise DataError(f"history.db differs from the log: {count} differences")
    behind = runner.position - history.position
    late = f", {behind} frames behind the log" if behind else ""
    print(f"history  position {history.position}, every row matches the log{late}")
