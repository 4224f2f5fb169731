"""The state of the exchange itself as JSON objects: status and checkpoints."""

from typing import Any

from fairbook.ports.queries import Checkpoint, ProofStatus


def status_object(*, is_paused: bool, announcement: str | None = None) -> dict[str, str | None]:
    """Maintenance while only cancels are taken. announcement: the newest of the operators."""
    if is_paused:
        return {"status": "Maintenance", "message": announcement or "Only cancels are taken"}
    return {"status": "Ok", "message": announcement}


def checkpoint_object(checkpoint: Checkpoint) -> dict[str, Any]:
    """Positions are text, because they may exceed 2^53; digests are hexadecimal."""
    part = {
        "index": checkpoint.slice_index,
        "count": checkpoint.slice_count,
        "digest": checkpoint.slice_digest.hex(),
    }
    return {
        "position": str(checkpoint.position),
        "chain": checkpoint.chain.hex(),
        "eventHash": checkpoint.event_hash.hex(),
        "slice": part if checkpoint.slice_count else None,
        "engines": checkpoint.engines,
        "note": checkpoint.note,
        "key": checkpoint.key,
    }


def proof_status_object(status: ProofStatus) -> dict[str, Any]:
    """Positions are text; times milliseconds."""
    replayed = None
    if status.replayed is not None:
        replayed = {
            "position": str(status.replayed),
            "resumedAt": str(status.resumed_at),
            "confirmed": status.is_confirmed or status.resumed_at == 0,
        }
    witnesses = [
        {
            "url": witness.url,
            "position": str(witness.position),
            "seen": witness.seen_ms or None,
            "problem": witness.problem,
            "contradicts": witness.contradicts,
        }
        for witness in status.witnesses
    ]
    return {"witnesses": witnesses, "replayed": replayed}
