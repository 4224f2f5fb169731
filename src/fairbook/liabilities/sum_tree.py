"""A Merkle sum tree: a tree of hashes in which each node also has the sum of the leaves below it.

Design: SHA-256, so that browsers can check it. All numbers are words of 64 bits, little-endian.

    leaf: SHA-256(0x00, name of the asset (16 bytes, padded with NUL), account, atoms, salt (32))
    node: SHA-256(0x01, left hash, left sum, right hash, right sum)

A node is 40 bytes: its hash and its sum. Leaves stand by rising hash. The last node of a level that
has no sibling goes up unchanged; none is used twice. So the shape follows from the number of
leaves, and the sides of a path from the place of its leaf.

Invariants:
- a leaf and a node never hash the same bytes: the first byte differs;
- a hash covers both sums, not only their total, so that no sum can be moved from one side to the
  other;
- every sum is 0 to SUM_MAX.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final

from fairbook.ports.liabilities import Leaf, PathStep

SUM_MAX: Final = (1 << 63) - 1
HASH_BYTES: Final = 32
NODE_BYTES: Final = HASH_BYTES + 8
SALT_BYTES: Final = 32
NAME_BYTES: Final = 16
EMPTY_ROOT: Final = bytes(HASH_BYTES)

_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"


class ProofWrong(Exception):
    """A proof that proves nothing, or an impossible balance. The message is one sentence."""


def word(number: int) -> bytes:
    """number: 0 to SUM_MAX."""
    return number.to_bytes(8, "little")


def padded(asset: str) -> bytes:
    return asset.encode().ljust(NAME_BYTES, b"\0")


def leaf_node(asset: bytes, account: int, atoms: int, salt: bytes) -> bytes:
    """asset: `padded`."""
    amount = word(atoms)
    return sha256(_LEAF + asset + word(account) + amount + salt).digest() + amount


def parent_node(left: bytes, right: bytes) -> bytes:
    """Raises ProofWrong if the sum is too large."""
    total = sum_of(left) + sum_of(right)
    if total > SUM_MAX:
        raise ProofWrong("the sum of two nodes is above 2^63 - 1")
    return sha256(_NODE + left + right).digest() + word(total)


def sum_of(node: bytes) -> int:
    return int.from_bytes(node[HASH_BYTES:], "little")


def levels(leaves: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """All levels of nodes, from the leaves to the root. No leaves: no levels."""
    level = leaves
    while len(level) > 1:
        yield level
        paired = [parent_node(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        level = [*paired, level[-1]] if len(level) % 2 else paired
    if level:
        yield level


def siblings(index: int, leaves: int) -> Iterator[tuple[int, int]]:
    """The place of each node beside the path from a leaf to the root: how many nodes stand before
    its level, and its index in it. An odd index is on the right side.
    """
    before = 0
    while leaves > 1:
        if index ^ 1 < leaves:
            yield before, index ^ 1
        before += leaves
        index //= 2
        leaves = (leaves + 1) // 2


def root_of(leaf: Leaf, leaves: int) -> tuple[bytes, int]:
    """Root and total that follow from a leaf and its path, in a tree of so many leaves. Raises
    ProofWrong if the path is not one of that tree, or a number is out of range.
    """
    if not 0 <= leaf.place < leaves:
        raise ProofWrong(f"there is no leaf {leaf.place} among {leaves}")
    if len(leaf.salt) != SALT_BYTES or not leaf.asset.isascii() or len(leaf.asset) > NAME_BYTES:
        raise ProofWrong("a salt has 32 bytes, the name of an asset at most 16 ASCII characters")
    for name, number in (("account", leaf.account), ("balance", leaf.atoms)):
        _require_in_range(name, number)
    node = leaf_node(padded(leaf.asset), leaf.account, leaf.atoms, leaf.salt)
    places = list(siblings(leaf.place, leaves))
    if len(places) != len(leaf.path):
        raise ProofWrong(f"the path has {len(leaf.path)} steps, not {len(places)}")
    for step, (_, index) in zip(leaf.path, places, strict=True):
        _require_in_range("sum", step.sum)
        if len(step.hash) != HASH_BYTES or step.is_left != (index % 2 == 0):
            raise ProofWrong("a step of the path is malformed, or on the wrong side")
        node = _joined(node, step)
    return node[:HASH_BYTES], sum_of(node)


def _joined(node: bytes, step: PathStep) -> bytes:
    beside = step.hash + word(step.sum)
    return parent_node(beside, node) if step.is_left else parent_node(node, beside)


def _require_in_range(name: str, number: int) -> None:
    if not 0 <= number <= SUM_MAX:
        raise ProofWrong(f"a {name} of {number} is not within 0 and 2^63 - 1")
