"""The tokens of the first two operators, where the configuration has no hash of one.

Design: a token is written to a file of the data directory, then its hash to the log. A crash
between the two leaves a file whose token is not known yet; the next start uses it.

Invariant: an operator who ever had a credential gets none from here.
"""

import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from fairbook.core import admin_records, records
from fairbook.core.admin_records import OF_OPERATOR
from fairbook.core.exchange import Exchange
from fairbook.log.durable_file import write_file
from fairbook.ports.commands import Commands
from fairbook.ports.digests import token_digest
from fairbook.venue.venue import VenueOperator

FILE_NAMES: Final = ("admin.json", "admin-2.json")


async def write_tokens(
    directory: Path, operators: Sequence[VenueOperator], commands: Commands, exchange: Exchange
) -> list[Path]:
    """Write the missing files, and give their tokens to operators who never had a credential;
    return the paths of all files. Raises Stopped, Busy, OSError.
    """
    paths = []
    for operator, name in zip(operators, FILE_NAMES, strict=True):
        if operator.token_hash is not None:
            continue
        path = directory / name
        paths.append(path)
        if exchange.credentials(OF_OPERATOR, operator.number):
            continue
        token = read_token(path)
        if token is None:
            token = secrets.token_urlsafe(32)
            content = {"operator": operator.name, "token": token}
            write_file(path, [json.dumps(content, indent=2).encode() + b"\n"])
        command = admin_records.add_credential(
            detail=token_digest(token),
            credential_type=admin_records.TOKEN,
            owner=operator.number,
            owner_kind=OF_OPERATOR,
        )
        outcome = records.read_outcome((await commands.submit(command)).events)
        assert outcome.status != records.REJECTED, f"reject {outcome.reason} of a new token"
    return paths


def write_address(directory: Path, url: str) -> None:
    """The address of the operators' port, into the first of the files."""
    path = directory / FILE_NAMES[0]
    content = {**_read(path), "admin": url}
    write_file(path, [json.dumps(content, indent=2).encode() + b"\n"])


def read_token(path: Path) -> str | None:
    """The token in a file; None if the file is missing or has none."""
    token = _read(path).get("token")
    return token if isinstance(token, str) else None


def _read(path: Path) -> dict[str, Any]:
    """What a file has; nothing, if it is missing or damaged."""
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
