"""GET /api/v1/checkpoints: what engine and replica have come to, for anyone to compare.

Not here: comparing (the engine's replica).
"""

from __future__ import annotations

from typing import Any

import msgspec

from fairbook.api.errors import ApiError
from fairbook.api.requests import is_absent
from fairbook.gateway.request import Endpoint, Endpoints, Request
from fairbook.ports.queries import Checkpoint, Checkpoints


def checkpoint_endpoints(checkpoints: Checkpoints) -> Endpoints:
    """The endpoint, public."""

    async def newest(call: Request) -> bytes:
        first = 0
        if not is_absent(call.fields, "from"):
            text = call.fields["from"]
            if not (text.isascii() and text.isdigit()) or len(text) > 18:
                raise ApiError(400, "INVALID_RANGE", "Invalid position")
            first = int(text)
        return msgspec.json.encode([_object(each) for each in checkpoints.checkpoints(first)])

    return {("GET", b"/api/v1/checkpoints"): Endpoint(newest)}


def _object(checkpoint: Checkpoint) -> dict[str, Any]:
    """Positions are text, as all numbers beyond 2^53 might be; digests are hexadecimal."""
    part: dict[str, Any] | None = None
    if checkpoint.slice_count:
        part = {
            "index": checkpoint.slice_index,
            "count": checkpoint.slice_count,
            "digest": checkpoint.slice_digest.hex(),
        }
    return {
        "position": str(checkpoint.position),
        "chain": checkpoint.chain.hex(),
        "eventHash": checkpoint.event_hash.hex(),
        "slice": part,
        "engines": checkpoint.engines,
    }
