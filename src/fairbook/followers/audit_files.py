"""DIR/audit: the files of a difference between engine and replica.

`<position>-<index>of<count>-engine.slice` and `...-replica.slice` are one slice as each of them had
it. `verdict.json` is the difference that is not acknowledged yet; later it is
`<position>-verdict.json`. Its finding, what was known when trading was paused, never changes; the
pause in the log carries the hash of it. So a file that is of no pause is recognised, and is not
believed: `not-believed-<number>.json`. Nothing here is ever removed.
"""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from fairbook.core.admin_records import HELD
from fairbook.core.exchange import Exchange
from fairbook.log.disk import Disk
from fairbook.log.durable_file import make_directory, rename, write_file

DIRECTORY: Final = "audit"
VERDICT_NAME: Final = "verdict.json"
FIELDS: Final = ("available", "locked", "hold", "order")
FINDING: Final = ("position", "at", "engine", "replica")
"""The fields of a verdict that the pause vouches for."""

WRONG: Final = {
    "engine": "the engine is wrong",
    "replica": "the replica is wrong",
    "both": "engine and replica are both wrong",
    "neither": "neither engine nor replica is wrong",
    "unknown": "the judge failed",
    "replayed": "the replay from the first entry contradicts what the exchange has",
}
"""By `wrong` of a verdict."""

Verdict = dict[str, Any]


def slice_path(directory: Path, position: int, index: int, count: int, process: str) -> Path:
    """The file of the slice that `process` had at `position`. directory: of all data."""
    return directory / DIRECTORY / f"{position}-{index}of{count}-{process}.slice"


def read_verdict(directory: Path) -> Verdict | None:
    """The verdict that is not acknowledged yet. Raises OSError; ValueError if it is malformed."""
    path = directory / DIRECTORY / VERDICT_NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    verdict = json.loads(content)
    if not _is_verdict(verdict):
        raise ValueError("it does not have the fields of a verdict")
    return dict(verdict)


def _is_verdict(verdict: Any) -> bool:
    """Whether all fields are there and of their types, so that nothing fails that reads them."""
    if not isinstance(verdict, dict):
        return False
    wrong, events = verdict.get("wrong"), verdict.get("events")
    return (
        type(verdict.get("position")) is int
        and isinstance(verdict.get("at"), str)
        and (verdict.get("status"), wrong is None) in (("found", True), ("judged", False))
        and (wrong is None or wrong in WRONG)
        and all(_has(verdict.get(who), id=str, version=str) for who in ("engine", "replica"))
        and (events is None or _has(events, position=int, engine=str, replica=str))
        and _all_have(
            verdict.get("slices"), position=int, index=int, count=int, engine=str, replica=str
        )
        and _all_have(verdict.get("differences"), process=str, what=str)
        and type(verdict.get("again", 0)) is int
        and _is_list(verdict.get("started_from", []), int)
        and _is_list(verdict.get("contradicted", []), str)
        and _is_list(verdict.get("problems", []), str)
    )


def _has(record: Any, **types: type) -> bool:
    return isinstance(record, dict) and all(
        type(record.get(field)) is expected for field, expected in types.items()
    )


def _is_list(given: Any, of: type) -> bool:
    return isinstance(given, list) and all(type(each) is of for each in given)


def _all_have(rows: Any, **types: type) -> bool:
    return isinstance(rows, list) and all(_has(record, **types) for record in rows)


def finding_hash(verdict: Verdict) -> bytes:
    """32 bytes: what the PAUSE of this verdict carries."""
    finding = {field: verdict[field] for field in FINDING}
    text = json.dumps(finding, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).digest()


def write_verdict(directory: Path, verdict: Verdict) -> None:
    """Replace the verdict. Raises OSError."""
    write_audit_file(directory / DIRECTORY / VERDICT_NAME, _content(verdict))


def archive_verdict(directory: Path, verdict: Verdict) -> Path:
    """Write an acknowledged verdict under its own name, and remove verdict.json; returns its new
    path. The file may be missing, or of an earlier moment. Raises OSError.
    """
    folder = directory / DIRECTORY
    path = folder / f"{verdict['position']}-{VERDICT_NAME}"
    write_audit_file(path, _content(verdict))
    (folder / VERDICT_NAME).unlink(missing_ok=True)
    Disk().sync_directory(folder)
    return path


def put_aside(directory: Path) -> None:
    """Rename a verdict.json that is not believed. Raises OSError."""
    folder = directory / DIRECTORY
    number = 1
    while (folder / f"not-believed-{number}.json").exists():
        number += 1
    rename(folder / VERDICT_NAME, folder / f"not-believed-{number}.json")


def _content(verdict: Verdict) -> bytes:
    return json.dumps(verdict, indent=2).encode() + b"\n"


def write_audit_file(path: Path, content: bytes) -> None:
    """Write a slice or a verdict durably. Raises OSError."""
    make_directory(path.parent)
    write_file(path, [content])


def edit_memory(exchange: Exchange, *, account: int, asset: int, field: int, atoms: int) -> None:
    """Corrupt a memory, for tests: add atoms to a balance, to the oldest open hold of the account
    in that asset, or lots to its oldest order that pays with it.

    field: place in FIELDS. Raises IndexError for what does not exist.
    """
    if not (0 <= account < len(exchange.tables.accounts) and 0 < asset < len(exchange.assets)):
        raise IndexError(f"there is no account {account} with an asset {asset}")
    cell = exchange.tables.ledger.cell(account, asset)
    match FIELDS[field]:
        case "available":
            cell.available += atoms
        case "locked":
            cell.locked += atoms
        case "hold":
            for row in exchange.tables.references.rows:
                if (row.account, row.asset, row.state) == (account, asset, HELD):
                    row.atoms += atoms
                    return
            raise IndexError("there is no such hold")
        case "order":
            order = exchange.tables.accounts[account].first
            while order is not None and order.pays is not cell:
                order = order.account_next
            if order is None:
                raise IndexError("there is no such order")
            order.remaining += atoms


def summary(verdict: Verdict) -> str:
    """A verdict in one line."""
    position = verdict["position"]
    if verdict["status"] != "judged":
        return f"engine and replica differ at position {position}; being judged"
    text = f"position {position}: {WRONG[verdict['wrong']]}"
    for first in verdict["differences"][:1]:
        text += f"; {first['process']}: {first['what']}"
        if "key" in first and first["what"] != "balance":
            text += f" {first['key']}"
        if "account" in first:
            text += f" of account {first['account']} (user {first.get('user')})"
        if "asset_name" in first:
            text += f" in {first['asset_name']}"
        if "field" in first:
            text += f", {first['field']}: expected {first['expected']}, found {first['found']}"
    for name in verdict.get("contradicted", ()):
        text += f"; put aside, because the log contradicts it: {name}"
    for problem in verdict.get("problems", ()):
        text += f"; {problem}"
    if "again" in verdict:
        text += f"; they differ again, at position {verdict['again']}: restart the exchange"
    return text
