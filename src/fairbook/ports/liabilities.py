"""Proofs of liabilities: what the exchange says that it owes, and the leaf of one account in it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol


class AssetTotal(NamedTuple):
    """The tree of one asset: what all accounts own, and the hash at its top (zeros: no leaf)."""

    name: str
    decimals: int
    total: int
    """In atoms."""
    leaves: int
    root: bytes


class SignedTotals(NamedTuple):
    """The fields of a signed note, and the note that has them."""

    position: int
    time_ns: int
    state_digest: bytes
    assets: tuple[AssetTotal, ...]
    note: str


class PathStep(NamedTuple):
    """The node beside the path from a leaf to the root: its hash, its sum in atoms, its side."""

    hash: bytes
    sum: int
    is_left: bool


class Leaf(NamedTuple):
    """A balance of one account in the tree of one asset. place: among its leaves, from 0. path:
    from the leaf up.
    """

    asset: str
    account: int
    atoms: int
    salt: bytes
    place: int
    path: Sequence[PathStep]


class LeafRow(NamedTuple):
    """Where a leaf of an account is. asset: its index among the totals."""

    account: int
    asset: int
    place: int
    atoms: int


class LiabilitiesProof(Protocol):
    """One proof, as it was signed. `rows` and `leaves` read a file, and raise OSError."""

    @property
    def totals(self) -> SignedTotals: ...

    @property
    def key(self) -> str:
        """By which the note is checked."""

    def rows(self, account: int) -> list[LeafRow]:
        """Empty: the account had no balance then, or did not exist."""

    def leaves(self, rows: Sequence[LeafRow]) -> Iterator[Leaf]: ...


class Liabilities(Protocol):
    """The newest proof."""

    @property
    def newest(self) -> LiabilitiesProof | None:
        """None: none has been made yet."""
