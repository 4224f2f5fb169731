"""Backup: copy a data directory, also while the exchange runs, so that another can start on it.

Design: everything is written to `TO.unfinished`, read back as a start reads it, synced, and renamed
at the end. The snapshots come first, so that none is newer than the end of the copied log; then the
log, up to an entry that is certainly durable; then the accounts, so that every user that the log
knows is among them. History is not copied: a start on the copy records it again from the log.

Invariants:
- a directory with the name TO is whole: durable, read back, and of one moment of the exchange;
- the original is only read, and no lock slows down its writer.
"""

import os
import shutil
import time
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, Final

from fairbook.accounts.copy_accounts import copy_accounts
from fairbook.accounts.sqlite_accounts import FILE_NAME as ACCOUNTS_NAME
from fairbook.app import operator_tokens
from fairbook.app.checkpoint_signer import FILE_NAME as CHECKPOINTS_NAME
from fairbook.app.disk_watch import RESERVE_NAME
from fairbook.app.identity import ENDED_SUFFIX, NEXT_SUFFIX
from fairbook.app.identity import FILE_NAME as KEY_NAME
from fairbook.core import invariants, state
from fairbook.core.admin_commands import RulesUnknown
from fairbook.core.exchange import Exchange
from fairbook.demo import credentials_file
from fairbook.engine.queries import EngineView
from fairbook.engine.recovery import recover
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import DIRECTORY as SNAPSHOTS_NAME
from fairbook.engine.snapshots import SnapshotInvalid, Snapshots
from fairbook.followers.audit_files import DIRECTORY as AUDIT_NAME
from fairbook.followers.full_replay import DIRECTORY as REPLAY_NAME
from fairbook.followers.recorder import DIRECTORY as RECORDER_NAME
from fairbook.history.sqlite_store import FILE_NAME as HISTORY_NAME
from fairbook.liabilities.proof_store import DIRECTORY as LIABILITIES_NAME
from fairbook.log import lock
from fairbook.log.command_log import LogDamaged
from fairbook.log.compressed_segment import COMPRESSED_SUFFIX
from fairbook.log.disk import Disk
from fairbook.log.durable_file import NEW_SUFFIX
from fairbook.log.file_log import DIRECTORY as LOG_NAME
from fairbook.log.file_log import FileLog
from fairbook.log.scan_and_repair import Segment, scan_segments, scan_tail
from fairbook.log.segments import segment_name
from fairbook.net.control_socket import NAME as CONTROL_NAME

UNFINISHED: Final = ".unfinished"
DURABLE_AFTER_S: Final = 3.0
"""A running exchange appends an entry every second at least."""
TRIES: Final = 10
_POLL_S: Final = 0.02
_COPY_BYTES: Final = 1 << 20

_SECRETS: Final = (
    credentials_file.FILE_NAME, credentials_file.MAKER_FILE_NAME, KEY_NAME,
    *operator_tokens.FILE_NAMES,
)  # fmt: skip
_COPIED: Final = (
    LOG_NAME, SNAPSHOTS_NAME, AUDIT_NAME, ACCOUNTS_NAME, CHECKPOINTS_NAME, *_SECRETS
)  # fmt: skip
_RECORDED: Final = (HISTORY_NAME, f"{HISTORY_NAME}.aside", RECORDER_NAME)
_OF_A_PROCESS: Final = (
    lock.NAME, CONTROL_NAME, RESERVE_NAME, REPLAY_NAME, LIABILITIES_NAME,
    KEY_NAME + NEXT_SUFFIX, KEY_NAME + ENDED_SUFFIX,
)  # fmt: skip
_OF_SQLITE: Final = ("-wal", "-shm")


class BackupError(Exception):
    """There is no copy. The message says why."""


def back_up(directory: Path, to: Path, *, full: bool) -> tuple[Runner, list[str]]:
    """Copy `directory` to `to`, which must not exist; return the state at the end of the copy,
    computed from the copy alone, and a warning for each file that is not in it.

    full: replay the copy from the first entry as well. Raises BackupError, LogDamaged,
    AccountsDamaged, OSError.
    """
    unfinished = to.with_name(to.name + UNFINISHED)
    _check_paths(directory, to, unfinished)
    unfinished.mkdir()
    try:
        if (directory / CHECKPOINTS_NAME).exists():  # First: the log has all that they are of.
            shutil.copyfile(directory / CHECKPOINTS_NAME, unfinished / CHECKPOINTS_NAME)
        runner, problems = copy_log_and_snapshots(directory, unfinished, full=full)
        if (directory / ACCOUNTS_NAME).exists():
            facts = EngineView(runner.exchange)
            copy_accounts(directory / ACCOUNTS_NAME, unfinished / ACCOUNTS_NAME, facts)
        for name in _SECRETS:
            if (directory / name).exists():
                shutil.copyfile(directory / name, unfinished / name)
        if (directory / AUDIT_NAME).is_dir():
            unwritten = shutil.ignore_patterns(f"*{NEW_SUFFIX}")
            shutil.copytree(directory / AUDIT_NAME, unfinished / AUDIT_NAME, ignore=unwritten)
        _sync(unfinished)
        unfinished.rename(to)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    Disk().sync_directory(to.parent)
    # The log is complete without the invalid snapshots.
    return runner, [
        *(f"a snapshot was not copied: {problem}" for problem in problems),
        *(
            f"{name} was not copied: it is not a file of an exchange"
            for name in _unknown(directory)
        ),
    ]


def _check_paths(directory: Path, to: Path, unfinished: Path) -> None:
    if not (directory / LOG_NAME).is_dir():
        raise BackupError("there is no log in this directory")
    if to.exists() or to.is_symlink():
        raise BackupError(f"{to} exists already: choose another name")
    if unfinished.exists():
        raise BackupError(f"{unfinished} is left from a backup that did not finish: remove it")
    if not to.absolute().parent.is_dir():
        raise BackupError(f"{to.absolute().parent} is not a directory")
    if to.resolve().is_relative_to(directory.resolve()):
        raise BackupError(f"{to} is inside {directory}")


def _sync(directory: Path) -> None:
    """Make all that is in it durable."""
    for path in (*directory.rglob("*"), directory):
        if path.is_dir():
            Disk().sync_directory(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _unknown(directory: Path) -> list[str]:
    """Names that are no part of an exchange, but for hidden files and those of SQLite."""
    names = sorted({*os.listdir(directory)} - {*_COPIED, *_RECORDED, *_OF_A_PROCESS})
    return [name for name in names if not name.startswith(".") and not name.endswith(_OF_SQLITE)]


def copy_log_and_snapshots(
    directory: Path, to: Path, *, full: bool = False, durable_after_s: float = DURABLE_AFTER_S
) -> tuple[Runner, list[str]]:
    """Copy both to `to`, an empty directory, and read the copy; return the state at its end, and
    the snapshots that are invalid and were not copied.

    durable_after_s: how long to wait for an entry after the newest one, which shows that the newest
    one is durable. Without another entry there is no writer. Nothing is synced here.
    Raises BackupError, LogDamaged, OSError.
    """
    newest, problems = _copy_snapshots(directory, to)
    (to / LOG_NAME).mkdir()
    _copy_log(directory / LOG_NAME, to / LOG_NAME, newest, durable_after_s)
    return _read_back(to, full=full), problems


def _copy_snapshots(directory: Path, to: Path) -> tuple[int, list[str]]:
    """Copy the valid ones; return the position of the newest, and what is wrong with others."""
    newest, problems = 0, []
    if (directory / SNAPSHOTS_NAME).is_dir():
        snapshots, copies = Snapshots(directory), Snapshots(to)
        for path in reversed(snapshots.paths()):
            try:
                snapshot = snapshots.read(path)
                copies.write(snapshot)
                newest = snapshot.position
            except SnapshotInvalid as problem:
                if path.exists():  # Else a newer one has just replaced it.
                    problems.append(str(problem))
    return newest, problems


def _copy_log(log: Path, to: Path, newest_durable: int, durable_after_s: float) -> None:
    full_segments, last, source = _open_last_segment(log)
    with source:
        reader = scan_tail(Disk(), log, last)
        deadline_s = time.monotonic() + durable_after_s
        # A byte after a record shows that its append has ended.
        while (
            reader.last.position > newest_durable
            and os.fstat(source.fileno()).st_size <= reader.offset
            and not reader.ended
            and time.monotonic() < deadline_s
        ):
            time.sleep(_POLL_S)
        for segment in full_segments:
            _copy_full_segment(log, to, segment.header.first)
        left = reader.newest if reader.ended else reader.offset
        with (to / last.name).open("xb") as target:
            while piece := source.read(min(_COPY_BYTES, left)):
                left -= target.write(piece)


def _open_last_segment(log: Path) -> tuple[tuple[Segment, ...], Segment, BinaryIO]:
    """The segments that have a successor, and the last one, open: so it stays readable."""
    for _ in range(TRIES):
        found = scan_segments(Disk(), log)
        segments = found.segments[:-1] if found.unfinished else found.segments
        if not segments:
            raise BackupError("the log is empty")
        try:
            return segments[:-1], segments[-1], (log / segments[-1].name).open("rb")
        except FileNotFoundError:
            pass  # It got a successor, and was compressed.
    raise BackupError("the segments of the log change faster than they can be opened")


def _copy_full_segment(log: Path, to: Path, first: int) -> None:
    """In its present form: once it is compressed it stays so."""
    plain, compressed = segment_name(first), segment_name(first, COMPRESSED_SUFFIX)
    try:
        shutil.copyfile(log / plain, to / plain)
    except FileNotFoundError:
        shutil.copyfile(log / compressed, to / compressed)


def _read_back(to: Path, *, full: bool) -> Runner:
    with closing(FileLog(to, read_only=True)) as log:
        try:
            end = log.verify()
            runner, recovery = recover(log, Snapshots(to))
            if recovery.problems or (runner.position, runner.chain) != (end.position, end.chain):
                raise BackupError(f"the copy is not whole: {'; '.join(recovery.problems)}")
            invariants.check(runner.exchange)
            if full:
                replayed = Runner(Exchange())
                for entry in log.read(1):
                    replayed.apply(entry)
                if state.dump(replayed.exchange) != state.dump(runner.exchange):
                    raise BackupError(
                        f"at position {runner.position} the replay of the whole log differs from"
                        f" the replay from the snapshot of position {recovery.snapshot_position}"
                    )
        except (LogDamaged, RulesUnknown) as problem:
            raise BackupError(f"the copy, read back: {problem}") from problem
        except AssertionError as problem:
            raise BackupError(f"in the copy an invariant does not hold: {problem}") from None
    return runner
