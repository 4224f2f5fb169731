"""Snapshot files that were edited so that nothing in the file itself shows it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from fairbook.core import state
from fairbook.engine.snapshots import Snapshots
from fairbook.followers.audit_files import FIELDS, edit_memory


def edit_snapshot(
    directory: Path, path: Path, *, account: int, asset: int, field: str, atoms: int = 1
) -> None:
    """Change a balance in a snapshot, and write it with right digests and checksums.

    directory: the one that has the folder of snapshots.
    """
    snapshots = Snapshots(directory)
    snapshot = snapshots.read(path)
    exchange = state.load(snapshot.body)
    edit_memory(exchange, account=account, asset=asset, field=FIELDS.index(field), atoms=atoms)
    snapshots.write(dataclasses.replace(snapshot, body=state.dump(exchange)))
