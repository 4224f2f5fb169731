"""What an exchange owes at one position of its log, signed with its key.

    fairbook liabilities
    position 4012
    time 1795745057801930159
    state fd61…
    asset SOL 9 123000000000 17 9f86…
    asset USDC 6 4560000000 21 60303…

    — fairbook Xk3A…

`state` is the digest of the state, as checkpoints have it. An asset: name, decimals, total of all
accounts in atoms, number of leaves, root of its tree (zeros without leaves).
"""

import re
from collections.abc import Sequence
from typing import Final

from fairbook.checkpoints.signed_note import NoteInvalid, is_signed, sign_text, split_note
from fairbook.liabilities.sum_tree import EMPTY_ROOT, SUM_MAX
from fairbook.ports.liabilities import AssetTotal, SignedTotals

NOTE_BYTES_MAX: Final = 1 << 20

_HEAD: Final = re.compile(
    r"fairbook liabilities\nposition (?P<position>[0-9]{1,18})\ntime (?P<time>[0-9]{1,19})\n"
    r"state (?P<state>[0-9a-f]{64})\n"
)
_ASSET: Final = re.compile(
    r"asset (?P<name>[!-~]{1,16}) (?P<decimals>[0-9]{1,2}) (?P<total>[0-9]{1,19})"
    r" (?P<leaves>[0-9]{1,18}) (?P<root>[0-9a-f]{64})\n"
)


def sign_totals(
    *,
    position: int,
    time_ns: int,
    state_digest: bytes,
    assets: Sequence[AssetTotal],
    seed: bytes,
) -> SignedTotals:
    """seed: the secret key of the exchange."""
    text = totals_text(position, time_ns, state_digest, assets)
    return parse_totals(sign_text(text, seed))


def totals_text(
    position: int, time_ns: int, state_digest: bytes, assets: Sequence[AssetTotal]
) -> str:
    """What is signed."""
    lines = [
        f"asset {each.name} {each.decimals} {each.total} {each.leaves} {each.root.hex()}\n"
        for each in assets
    ]
    return (
        f"fairbook liabilities\nposition {position}\ntime {time_ns}\nstate {state_digest.hex()}\n"
        f"{''.join(lines)}"
    )


def parse_totals(note: str, public: bytes | None = None) -> SignedTotals:
    """Read a note. public: the key that must have signed it; None: its signature is not checked.
    Raises NoteInvalid.
    """
    text, signatures = split_note(note)
    head = _HEAD.match(text)
    if head is None or not signatures or len(note) > NOTE_BYTES_MAX:
        raise NoteInvalid(f"no proof of liabilities: {note[:100]!r}")
    if public is not None and not is_signed(text, signatures, public):
        raise NoteInvalid(f"the proof of position {head['position']} is not signed by this key")
    assets = []
    for line in text[head.end() :].splitlines(keepends=True):
        found = _ASSET.fullmatch(line)
        if found is None:
            raise NoteInvalid(f"no line of a proof of liabilities: {line[:100]!r}")
        root = bytes.fromhex(found["root"])
        total, leaves = int(found["total"]), int(found["leaves"])
        if total > SUM_MAX or (leaves == 0 and (total, root) != (0, EMPTY_ROOT)):
            raise NoteInvalid(f"impossible numbers in a proof of liabilities: {line.strip()!r}")
        assets.append(AssetTotal(found["name"], int(found["decimals"]), total, leaves, root))
    if len({each.name for each in assets}) != len(assets):
        raise NoteInvalid("an asset stands twice in a proof of liabilities")
    return SignedTotals(
        int(head["position"]), int(head["time"]), bytes.fromhex(head["state"]), tuple(assets), note
    )
