"""The tree: every leaf leads to the root, and no change of a leaf or a path does."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairbook.liabilities.sum_tree import (
    HASH_BYTES,
    SUM_MAX,
    ProofWrong,
    leaf_node,
    levels,
    padded,
    parent_node,
    root_of,
    siblings,
    sum_of,
    word,
)
from fairbook.ports.liabilities import Leaf, PathStep

SALT = b"\x05" * 32
AMOUNTS = st.lists(st.integers(0, 2**40), min_size=1, max_size=40)


def tree_of(amounts: list[int]) -> tuple[list[Leaf], bytes, int]:
    """A leaf for each amount, with its path; root and total."""
    accounts = {
        leaf_node(padded("SOL"), account, atoms, SALT): (account, atoms)
        for account, atoms in enumerate(amounts)
    }
    nodes = sorted(accounts)
    every = [node for level in levels(nodes) for node in level]
    leaves = []
    for place, node in enumerate(nodes):
        path = []
        for before, index in siblings(place, len(nodes)):
            beside = every[before + index]
            path.append(PathStep(beside[:HASH_BYTES], sum_of(beside), index % 2 == 0))
        leaves.append(Leaf("SOL", *accounts[node], SALT, place, path))
    return leaves, every[-1][:HASH_BYTES], sum_of(every[-1])


def is_right(leaf: Leaf, leaves: int, root: bytes, total: int) -> bool:
    try:
        return root_of(leaf, leaves) == (root, total)
    except ProofWrong:
        return False


@given(AMOUNTS)
def test_every_leaf_leads_to_the_root(amounts: list[int]) -> None:
    leaves, root, total = tree_of(amounts)
    assert total == sum(amounts)
    assert all(root_of(leaf, len(leaves)) == (root, total) for leaf in leaves)


@given(AMOUNTS, st.data())
def test_no_change_of_a_leaf_or_a_path_leads_to_the_root(amounts: list[int], data: Any) -> None:
    leaves, root, total = tree_of(amounts)
    leaf = data.draw(st.sampled_from(leaves))
    step = data.draw(st.integers(0, len(leaf.path) - 1)) if leaf.path else None
    changed = [
        leaf._replace(atoms=leaf.atoms + 1),
        leaf._replace(atoms=-leaf.atoms - 1),
        leaf._replace(atoms=SUM_MAX + 1),
        leaf._replace(account=leaf.account + 1),
        leaf._replace(salt=b"\x06" * 32),
        leaf._replace(asset="BTC"),
        leaf._replace(path=[*leaf.path, PathStep(root, 0, True)]),
    ]
    if step is not None:
        changed += [
            leaf._replace(path=with_step(leaf, step, sum=leaf.path[step].sum + 1)),
            leaf._replace(path=with_step(leaf, step, sum=-1)),
            leaf._replace(path=with_step(leaf, step, sum=SUM_MAX)),
            leaf._replace(path=with_step(leaf, step, hash=bytes(32))),
            leaf._replace(path=with_step(leaf, step, is_left=not leaf.path[step].is_left)),
            leaf._replace(path=leaf.path[:-1]),
            leaf._replace(place=leaf.place ^ 1),
        ]
    for each in changed:
        assert not is_right(each, len(leaves), root, total), each
    assert not is_right(leaf, 2 * len(leaves), root, total), "another number of leaves"


def with_step(leaf: Leaf, at: int, **more: Any) -> list[PathStep]:
    path = list(leaf.path)
    path[at] = path[at]._replace(**more)
    return path


@given(AMOUNTS)
def test_a_leaf_that_is_left_out_changes_the_total_and_the_root(amounts: list[int]) -> None:
    _, root, total = tree_of(amounts)
    _, other_root, other_total = tree_of([*amounts, 7])
    assert (root, total) != (other_root, other_total) and other_total == total + 7


def test_a_repeated_leaf_makes_another_tree() -> None:
    """In trees that repeat the last node, these two have the same root."""
    nodes = sorted(leaf_node(padded("SOL"), account, 5, SALT) for account in range(3))
    *_, three = levels(nodes)
    *_, four = levels([*nodes, nodes[-1]])
    assert three != four


def test_a_sum_cannot_be_moved_to_the_other_side() -> None:
    """Both sums are hashed, not only their total."""
    left, right = (leaf_node(padded("SOL"), account, 5, SALT) for account in (1, 2))
    moved = left[:HASH_BYTES] + word(9), right[:HASH_BYTES] + word(1)
    assert parent_node(left, right) != parent_node(*moved)
    assert sum_of(parent_node(left, right)) == sum_of(parent_node(*moved))


def test_a_sum_that_is_too_large_is_refused() -> None:
    nodes = [leaf_node(padded("SOL"), account, SUM_MAX, SALT) for account in (1, 2)]
    with pytest.raises(ProofWrong, match="above"):
        list(levels(nodes))


def test_the_hashes_are_those_of_the_documentation() -> None:
    def words(*numbers: int) -> bytes:
        return b"".join(number.to_bytes(8, "little") for number in numbers)

    left = leaf_node(b"SOL" + bytes(13), 7, 12, SALT)
    assert left == sha256(b"\0SOL" + bytes(13) + words(7, 12) + SALT).digest() + words(12)
    right = leaf_node(b"SOL" + bytes(13), 8, 30, SALT)
    content = b"\1" + left[:32] + words(12) + right[:32] + words(30)
    assert parent_node(left, right) == sha256(content).digest() + words(42)
