"""Makes the file of a proof from a snapshot, in a process of its own: it takes seconds."""

import os
import secrets
from pathlib import Path
from typing import Final

from fairbook.engine.snapshots import Snapshots
from fairbook.liabilities.proof_file import SECRET_BYTES, build
from fairbook.liabilities.sum_tree import ProofWrong
from fairbook.log.durable_file import write_file

NICE: Final = 19  # the lowest priority


def make(directory: Path, to: Path, *, position: int, state_digest: bytes) -> None:
    """From the snapshot of that position, which must have that digest. directory: of the exchange.
    Raises SnapshotInvalid, ProofWrong, OSError.
    """
    os.nice(NICE)
    snapshots = Snapshots(directory)
    snapshot = snapshots.read(snapshots.path_of(position))
    if snapshot.digest != state_digest:
        raise ProofWrong(f"the snapshot of position {position} is not the one that was agreed on")
    exchange = snapshot.restore(is_checked=False)
    secret = secrets.token_bytes(SECRET_BYTES)
    pieces = build(exchange, position=position, state_digest=state_digest, secret=secret)
    write_file(to, pieces)
