"""The state of the exchange itself as JSON objects: status and checkpoints."""

from __future__ import annotations

from typing import Any


def status_object(*, is_paused: bool) -> dict[str, str | None]:
    """Maintenance while only cancels are taken."""
    if is_paused:
        return {"status": "Maintenance", "message": "Only cancels are taken"}
    return {"status": "Ok", "message": None}


def checkpoint_object(
    *, position: int, chain: bytes, event_hash: bytes, slice_index: int, slice_count: int,
    slice_digest: bytes, engines: list[str],
) -> dict[str, Any]:  # fmt: skip
    """Positions are text, because they may exceed 2^53; digests are hexadecimal. `slice_count` 0: a
    checkpoint without a slice.
    """
    part = {"index": slice_index, "count": slice_count, "digest": slice_digest.hex()}
    return {
        "position": str(position),
        "chain": chain.hex(),
        "eventHash": event_hash.hex(),
        "slice": part if slice_count else None,
        "engines": engines,
    }
