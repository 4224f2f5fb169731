"""DIR/audit: the files of a difference between engine and replica.

`<position>-<index>of<count>-engine.slice` and `...-replica.slice` are one slice as each of them had
it. `verdict.json` is the difference that is not acknowledged yet; later it is
`<position>-verdict.json`. Nothing here is ever removed.
"""

import json
from pathlib import Path
from typing import Any, Final

from fairbook.core.exchange import Exchange
from fairbook.log.disk import Disk
from fairbook.log.durable_file import make_directory, write_file

DIRECTORY: Final = "audit"
VERDICT_NAME: Final = "verdict.json"
FIELDS: Final = ("available", "locked")

WRONG: Final = {
    "engine": "the engine is wrong",
    "replica": "the replica is wrong",
    "both": "engine and replica are both wrong",
    "neither": "neither engine nor replica is wrong",
    "unknown": "the judge failed",
}
"""By `wrong` of a verdict."""

Verdict = dict[str, Any]


def slice_path(directory: Path, position: int, index: int, count: int, process: str) -> Path:
    """The file of the slice that `process` had at `position`. directory: of all data."""
    return directory / DIRECTORY / f"{position}-{index}of{count}-{process}.slice"


def read_verdict(directory: Path) -> Verdict | None:
    """The verdict that is not acknowledged yet. Raises OSError, also if it is malformed."""
    path = directory / DIRECTORY / VERDICT_NAME
    if not path.exists():
        return None
    try:
        verdict: Verdict = json.loads(path.read_bytes())
    except ValueError as error:
        raise OSError(f"{path} is damaged: {error}") from error
    return verdict


def write_verdict(directory: Path, verdict: Verdict) -> None:
    """Replace the verdict. Raises OSError."""
    content = json.dumps(verdict, indent=2).encode() + b"\n"
    write_audit_file(directory / DIRECTORY / VERDICT_NAME, content)


def archive_verdict(directory: Path, verdict: Verdict) -> Path:
    """Rename an acknowledged verdict; returns its new path. Raises OSError."""
    folder = directory / DIRECTORY
    path = folder / f"{verdict['position']}-{VERDICT_NAME}"
    disk = Disk()
    disk.rename(folder / VERDICT_NAME, path)
    disk.sync_directory(folder)
    return path


def write_audit_file(path: Path, content: bytes) -> None:
    """Write a slice or a verdict durably. Raises OSError."""
    make_directory(path.parent)
    write_file(path, [content])


def edit_memory(exchange: Exchange, *, account: int, asset: int, field: int, atoms: int) -> None:
    """Corrupt a memory, for tests: add atoms to a balance.

    field: place in FIELDS. Raises IndexError for an account or asset that does not exist.
    """
    if not (0 <= account < len(exchange.tables.accounts) and 0 < asset < len(exchange.assets)):
        raise IndexError(f"there is no account {account} with an asset {asset}")
    cell = exchange.tables.ledger.cell(account, asset)
    if FIELDS[field] == "available":
        cell.available += atoms
    else:
        cell.locked += atoms


def summary(verdict: Verdict) -> str:
    """A verdict in one line."""
    position = verdict["position"]
    if verdict["status"] != "judged":
        return f"engine and replica differ at position {position}; being judged"
    text = f"position {position}: {WRONG[verdict['wrong']]}"
    for first in verdict["differences"][:1]:
        text += f"; {first['process']}: {first['what']}"
        if "asset_name" in first:
            text += (
                f" of account {first['account']} (user {first.get('user')})"
                f" in {first['asset_name']}"
            )
        elif "key" in first:
            text += f" {first['key']}"
        if "field" in first:
            text += f", {first['field']}: expected {first['expected']}, found {first['found']}"
    if "again" in verdict:
        text += f"; they differ again, at position {verdict['again']}: restart the exchange"
    return text
