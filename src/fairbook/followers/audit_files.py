"""DIR/audit: what is kept of a difference between engine and replica.

How it works: `<position>-<index>of<count>-engine.slice` and `...-replica.slice` are one slice as
each of them had it. `verdict.json` is the difference that no person has acknowledged yet;
afterwards it is `<position>-verdict.json`. A file is written aside and renamed.

Always true: nothing here is ever removed; while there is a verdict.json, trading stays paused.

Not here: who is wrong (audit.py, judge.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from fairbook.core.exchange import Exchange
from fairbook.log.disk import Disk
from fairbook.log.durable_file import make_directory, write_file

DIRECTORY: Final = "audit"
VERDICT_NAME: Final = "verdict.json"
FIELDS: Final = ("available", "locked")

Verdict = dict[str, Any]


def slice_path(directory: Path, position: int, index: int, count: int, who: str) -> Path:
    """Where the slice that `who` had at `position` is kept. directory: of all data."""
    return directory / DIRECTORY / f"{position}-{index}of{count}-{who}.slice"


def read_verdict(directory: Path) -> Verdict | None:
    """The difference that nobody has acknowledged. Raises OSError, also if it is not readable."""
    path = directory / DIRECTORY / VERDICT_NAME
    if not path.exists():
        return None
    try:
        verdict: Verdict = json.loads(path.read_bytes())
    except ValueError as error:
        raise OSError(f"{path} is not what was written: {error}") from error
    return verdict


def write_verdict(directory: Path, verdict: Verdict) -> None:
    """Keep it, in place of the one there. Raises OSError."""
    octets = json.dumps(verdict, indent=2).encode() + b"\n"
    path = directory / DIRECTORY / VERDICT_NAME
    make_directory(path.parent)
    write_file(path, [octets])


def put_verdict_away(directory: Path, verdict: Verdict) -> Path:
    """A person has acknowledged it. Raises OSError."""
    folder = directory / DIRECTORY
    path = folder / f"{verdict['position']}-{VERDICT_NAME}"
    disk = Disk()
    disk.rename(folder / VERDICT_NAME, path)
    disk.sync_directory(folder)
    return path


def write_slice(path: Path, octets: bytes) -> None:
    """Keep a slice at its `slice_path`. Raises OSError."""
    make_directory(path.parent)
    write_file(path, [octets])


def edit_memory(exchange: Exchange, *, account: int, asset: int, field: int, atoms: int) -> None:
    """A fault, for tests: add atoms to a balance, past the rules.

    field: place in FIELDS. Raises IndexError for an account or asset that does not exist.
    """
    if not (0 <= account < len(exchange.tables.accounts) and 0 < asset < len(exchange.assets)):
        raise IndexError(f"there is no account {account} with an asset {asset}")
    cell = exchange.tables.ledger.cell(account, asset)
    if FIELDS[field] == "available":
        cell.available += atoms
    else:
        cell.locked += atoms
