"""Proofs of liabilities as JSON objects. Amounts in atoms and positions are text: they may exceed
2^53.
"""

from typing import Any, Final

from fairbook.api.numbers import amount_scale
from fairbook.ports.liabilities import Leaf, SignedTotals

NONE_MADE: Final[dict[str, Any]] = {
    "position": "0", "timestamp": 0, "stateDigest": "", "assets": [], "note": None, "key": None,
}  # fmt: skip
"""In place of a proof. It is no error, because a page asks for it that shows other things, too."""


def totals_object(totals: SignedTotals, key: str) -> dict[str, Any]:
    return {
        "position": str(totals.position),
        "timestamp": totals.time_ns // 1_000_000,
        "stateDigest": totals.state_digest.hex(),
        "assets": [
            {
                "symbol": asset.name,
                "decimals": asset.decimals,
                "total": amount_text(asset.total, asset.decimals),
                "atoms": str(asset.total),
                "leaves": asset.leaves,
                "root": asset.root.hex(),
            }
            for asset in totals.assets
        ],
        "note": totals.note,
        "key": key,
    }


def leaf_object(leaf: Leaf, decimals: int) -> dict[str, Any]:
    """decimals: of its asset."""
    return {
        "symbol": leaf.asset,
        "accountId": str(leaf.account),
        "quantity": amount_text(leaf.atoms, decimals),
        "atoms": str(leaf.atoms),
        "salt": leaf.salt.hex(),
        "index": leaf.place,
        "path": [
            {
                "hash": step.hash.hex(),
                "atoms": str(step.sum),
                "side": "left" if step.is_left else "right",
            }
            for step in leaf.path
        ],
    }


def amount_text(atoms: int, decimals: int) -> str:
    return amount_scale(decimals).text(atoms)
