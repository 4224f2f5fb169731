"""The file of a proof: all trees, and where the leaves of each account are.

Layout, in words of 64 bits, little-endian:

    of each asset its tree: the levels of nodes (sum_tree.py) from the leaves to the root
    rows: account, asset, index of the leaf, atoms; by account, then by asset
    starts: of each account the number of its first row; one more at the end
    assets: name (16 bytes), decimals, total, leaves, offset of the tree, root (32 bytes)
    foot: position, time in ns, number of assets, number of accounts, offset of the rows, digest of
          the state (32 bytes), secret (32 bytes), format, magic (8 bytes)

The salt of a leaf is HMAC-SHA-256(secret, name of the asset in 16 bytes, account). The secret is
made for this file alone: with it, and only with it, hashes show accounts and amounts.

Invariant: an account's leaves and paths are found by a few small reads, however large the file.
"""

from __future__ import annotations

import hmac
import os
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from struct import Struct, iter_unpack
from typing import BinaryIO, Final, NamedTuple

from fairbook.core.exchange import Exchange
from fairbook.core.ledger import EXTERNAL
from fairbook.liabilities.sum_tree import (
    EMPTY_ROOT,
    HASH_BYTES,
    NODE_BYTES,
    ProofWrong,
    leaf_node,
    levels,
    padded,
    siblings,
    sum_of,
    word,
)
from fairbook.ports.liabilities import AssetTotal, Leaf, LeafRow, PathStep

SECRET_BYTES: Final = 32
FORMAT: Final = 1

_MAGIC: Final = b"FAIRLIAB"
_FOOT: Final = Struct("<qqqqq32s32sq8s")
_ASSET: Final = Struct("<16sqqqq32s")
_ROW: Final = Struct("<qqqq")
_ROW_WORDS: Final = 4
_WORD_BYTES: Final = 8


class ProofFileInvalid(Exception):
    """A file that is no proof. The message says why."""


class Foot(NamedTuple):
    """The end of the file. `rows`: their offset."""

    position: int
    time_ns: int
    assets: int
    accounts: int
    rows: int
    state_digest: bytes
    secret: bytes


class _Balances(NamedTuple):
    """All balances that are not zero, but that of EXTERNAL, which is what all others add up to.

    rows: words as in the file; starts: as in the file; holders: of each asset, the rows.
    """

    rows: array[int]
    starts: array[int]
    holders: list[array[int]]


def build(
    exchange: Exchange, *, position: int, state_digest: bytes, secret: bytes
) -> Iterator[bytes]:
    """The content of the file, in pieces: the last two are assets and foot. Raises ProofWrong if a
    balance is negative, or those of an asset do not add up to what the ledger has given out.
    """
    listed = exchange.tables.assets
    balances = _balances(exchange)
    rows = balances.rows
    table, offset = [], 0
    for asset in listed[1:]:
        name = padded(asset.name)
        nodes = []
        for row in balances.holders[asset.id]:
            account, atoms = rows[_ROW_WORDS * row], rows[_ROW_WORDS * row + 3]
            nodes.append((leaf_node(name, account, atoms, salt_of(secret, name, account)), row))
        nodes.sort()
        for index, (_, row) in enumerate(nodes):
            rows[_ROW_WORDS * row + 2] = index
        begin, top = offset, EMPTY_ROOT + word(0)
        for level in levels([node for node, _ in nodes]):
            yield b"".join(level)
            offset += NODE_BYTES * len(level)
            top = level[0]
        total = sum_of(top)
        supply = exchange.tables.ledger.supply(asset.id)
        if total != supply:
            raise ProofWrong(f"the accounts own {total} atoms of {asset.name}, not {supply}")
        root = top[:HASH_BYTES]
        table.append(_ASSET.pack(name, asset.decimals, total, len(nodes), begin, root))
    yield _little_endian(rows)
    yield _little_endian(balances.starts)
    yield b"".join(table)
    accounts = len(balances.starts) - 1
    yield _FOOT.pack(
        position, exchange.time_ns, len(table), accounts, offset, state_digest, secret, FORMAT,
        _MAGIC,
    )  # fmt: skip


def _balances(exchange: Exchange) -> _Balances:
    found = _Balances(array("q"), array("q", [0]), [array("q") for _ in exchange.tables.assets])
    count = 0
    for account, cells in enumerate(exchange.tables.ledger.rows):
        for asset, cell in enumerate(cells):
            if cell is None or account == EXTERNAL:
                continue
            if cell.available < 0 or cell.locked < 0:
                name = exchange.tables.assets[asset].name
                raise ProofWrong(f"account {account} has a negative balance of {name}")
            if atoms := cell.available + cell.locked:
                found.rows.extend((account, asset - 1, 0, atoms))
                found.holders[asset].append(count)
                count += 1
        found.starts.append(count)
    return found


def salt_of(secret: bytes, asset: bytes, account: int) -> bytes:
    """asset: `padded`."""
    return hmac.digest(secret, asset + word(account), "sha256")


def _little_endian(words: array[int]) -> bytes:
    if sys.byteorder == "big":
        words = words[:]
        words.byteswap()
    return words.tobytes()


class ProofFile:
    """Reads a file of a proof; it is opened for each call. Methods raise OSError, and
    ProofFileInvalid for a file that has become shorter.
    """

    def __init__(self, path: Path) -> None:
        """Raises ProofFileInvalid, OSError."""
        self.path = path
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            self.foot = foot = _read_foot(file, size)
            table_at = size - _FOOT.size - _ASSET.size * foot.assets
            self._starts = table_at - _WORD_BYTES * (foot.accounts + 1)
            if min(foot.assets, foot.accounts, foot.rows) < 0 or self._starts < foot.rows:
                raise ProofFileInvalid("a proof of liabilities that is not whole")
            table = _read_at(file, table_at, _ASSET.size * foot.assets)
        self.assets, self._trees = read_table(table)

    def rows(self, account: int) -> list[LeafRow]:
        """Of an account, by asset; empty if it is unknown."""
        if not 0 <= account < self.foot.accounts:
            return []
        with self.path.open("rb") as file:
            bounds = _read_at(file, self._starts + _WORD_BYTES * account, 2 * _WORD_BYTES)
            first, end = (found for (found,) in iter_unpack("<q", bounds))
            if not 0 <= first <= end <= first + len(self.assets):
                raise ProofFileInvalid(f"{self.path.name}: the rows of an account are damaged")
            content = _read_at(file, self.foot.rows + _ROW.size * first, _ROW.size * (end - first))
        rows = [LeafRow._make(found) for found in _ROW.iter_unpack(content)]
        if any(row.account != account or min(row) < 0 for row in rows):
            raise ProofFileInvalid(f"{self.path.name}: the rows of an account are damaged")
        return rows

    def leaves(self, rows: Sequence[LeafRow]) -> Iterator[Leaf]:
        """With their paths. rows: of `rows`."""
        with self.path.open("rb") as file:
            for row in rows:
                if not 0 <= row.asset < len(self.assets):
                    raise ProofFileInvalid(f"{self.path.name}: the row of a leaf is damaged")
                yield self._leaf(file, row)

    def _leaf(self, file: BinaryIO, row: LeafRow) -> Leaf:
        asset, tree = self.assets[row.asset], self._trees[row.asset]
        path = []
        for before, index in siblings(row.place, asset.leaves):
            node = _read_at(file, tree + NODE_BYTES * (before + index), NODE_BYTES)
            path.append(PathStep(node[:HASH_BYTES], sum_of(node), index % 2 == 0))
        salt = salt_of(self.foot.secret, padded(asset.name), row.account)
        return Leaf(asset.name, row.account, row.atoms, salt, row.place, path)


def read_table(table: bytes) -> tuple[list[AssetTotal], list[int]]:
    """The assets, and the offsets of their trees."""
    assets, trees = [], []
    for name, decimals, total, leaves, offset, root in _ASSET.iter_unpack(table):
        text = name.rstrip(b"\0").decode(errors="replace")
        assets.append(AssetTotal(text, decimals, total, leaves, root))
        trees.append(offset)
    return assets, trees


def differs(path: Path, pieces: Iterable[bytes]) -> bool:
    """Whether a file has another content than these pieces. Raises OSError."""
    with path.open("rb") as file:
        return any(file.read(len(piece)) != piece for piece in pieces) or file.read(1) != b""


def _read_foot(file: BinaryIO, size: int) -> Foot:
    if size < _FOOT.size:
        raise ProofFileInvalid("a proof of liabilities that is not whole")
    *fields, found, magic = _FOOT.unpack(_read_at(file, size - _FOOT.size, _FOOT.size))
    if magic != _MAGIC or found != FORMAT:
        raise ProofFileInvalid(f"no proof of liabilities of format {FORMAT}")
    return Foot._make(fields)


def _read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    content = os.pread(file.fileno(), size, offset) if offset >= 0 else b""
    if len(content) != size:
        raise ProofFileInvalid("a proof of liabilities that is not whole")
    return content
