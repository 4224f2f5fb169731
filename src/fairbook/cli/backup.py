"""`fairbook backup DIR TO`: a copy of a data directory, in use or not, that an exchange can be
started on.

How it works: everything goes into `TO.unfinished`, is read back there, and gets its name at the
end. Log and snapshots first (engine/backup.py); then the accounts, so that every user that the log
knows is among them, without those that it does not know yet; then the demo's credentials, and what
is kept of differences between engine and replica. History is not copied: a start on the copy
records it again from the log.

Always true:
- whatever has the name TO is whole: durable, read back, and of one moment of the exchange;
- the copy is for its owner alone, as the original.

Not here: starting an exchange on a copy, which is a start like any other.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from fairbook.accounts.access import AccountsDamaged
from fairbook.accounts.sqlite import copy_accounts
from fairbook.app import backup as engine_backup
from fairbook.app.exchange_app import ACCOUNTS_NAME, MAKER_NAME
from fairbook.cli.look import summary
from fairbook.demo import first_state as demo
from fairbook.engine.runner import Runner
from fairbook.engine.snapshots import DIRECTORY as SNAPSHOTS_NAME
from fairbook.followers.audit_files import DIRECTORY as AUDIT_NAME
from fairbook.followers.recorder import DIRECTORY as RECORDER_NAME
from fairbook.history.sqlite_store import FILE_NAME as HISTORY_NAME
from fairbook.log import lock
from fairbook.log.disk import Disk
from fairbook.log.files import DIRECTORY as LOG_NAME
from fairbook.log.log import LogDamaged
from fairbook.net.control_socket import NAME as CONTROL_NAME

UNFINISHED: Final = ".unfinished"
NICE: Final = 10  # Trading goes first.

_SECRETS: Final = (demo.FILE_NAME, MAKER_NAME)
_COPIED: Final = (LOG_NAME, SNAPSHOTS_NAME, AUDIT_NAME, ACCOUNTS_NAME, *_SECRETS)
_RECORDED: Final = (HISTORY_NAME, f"{HISTORY_NAME}.aside", RECORDER_NAME)
_OF_A_PROCESS: Final = (lock.NAME, CONTROL_NAME)
_REFUSALS: Final = (
    engine_backup.NotCopied,
    LogDamaged,
    AccountsDamaged,
    OSError,
)


def backup(directory: Path, to: Path, *, full: bool) -> int:
    """Make the copy and say where it ends; returns the exit code."""
    os.umask(0o077)
    os.nice(NICE)
    aside = to.with_name(to.name + UNFINISHED)
    refusal = _refusal(directory, to, aside)
    if refusal:
        print(f"fairbook backup: {refusal}", file=sys.stderr)
        return 1
    try:
        aside.mkdir()
        try:
            runner = _copy(directory, aside, full=full)
            os.rename(aside, to)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        Disk().sync_directory(to.parent)
    except _REFUSALS as error:
        print(f"fairbook backup: {directory}: {error}", file=sys.stderr)
        return 1
    for name in _left_out(directory):
        print(f"warning: {name} was not copied: it is not known", file=sys.stderr)
    print(summary(runner))
    return 0


def _refusal(directory: Path, to: Path, aside: Path) -> str:
    """Why this cannot be done; empty if it can."""
    if not (directory / LOG_NAME).is_dir():
        return f"{directory}: there is no log in it"
    if to.exists() or to.is_symlink():
        return f"{to} is there already: a copy needs a name of its own"
    if aside.exists():
        return f"{aside} is left from a backup that did not end: take it away"
    if not to.absolute().parent.is_dir():
        return f"{to.absolute().parent} is not a directory"
    if to.resolve().is_relative_to(directory.resolve()):
        return f"{to} is inside of {directory}"
    return ""


def _copy(directory: Path, aside: Path, *, full: bool) -> Runner:
    runner = engine_backup.copy(directory, aside, full=full)
    accounts = directory / ACCOUNTS_NAME
    if accounts.exists():
        known = len(runner.exchange.registry.accounts)
        copy_accounts(accounts, aside / ACCOUNTS_NAME, accounts=known)
    for name in _SECRETS:
        if (directory / name).exists():
            (aside / name).write_bytes((directory / name).read_bytes())
    if (directory / AUDIT_NAME).is_dir():
        shutil.copytree(directory / AUDIT_NAME, aside / AUDIT_NAME)
    _sync(aside)
    return runner


def _sync(directory: Path) -> None:
    """Make all that is in it durable."""
    for path in directory.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        else:
            Disk().sync_directory(path)
    Disk().sync_directory(directory)


def _left_out(directory: Path) -> list[str]:
    """What else is in the directory, hidden files and SQLite's own excepted."""
    return [
        path.name
        for path in sorted(directory.iterdir())
        if path.name not in (*_COPIED, *_RECORDED, *_OF_A_PROCESS)
        and not path.name.startswith(".")
        and not path.name.endswith(("-wal", "-shm"))
    ]
