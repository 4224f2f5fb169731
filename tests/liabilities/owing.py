"""States in which accounts own something, made without commands, so that large ones are quick."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

from fairbook.core.exchange import Exchange
from fairbook.core.ledger import EXTERNAL
from fairbook.core.markets import Asset
from fairbook.core.trading_account import Account
from fairbook.liabilities.proof_file import ProofFile, build
from fairbook.ports.liabilities import Leaf

SECRET = bytes(range(32))
DIGEST = b"\x07" * 32
ASSETS = ("SOL", "BTC", "ETH", "USDC")


def owing(balances: Mapping[tuple[int, int], int], *, accounts: int = 0) -> Exchange:
    """balances: atoms by account, from 1, and asset, from 1. accounts: how many there are at
    least.
    """
    exchange = Exchange()
    tables = exchange.tables
    exchange.time_ns = 1_795_745_057_801_930_159
    for number, name in enumerate(ASSETS, 1):
        tables.assets.append(Asset(number, name, 9))
    most = max([accounts, 2, *(account for account, _ in balances)])
    for number in range(len(tables.accounts), most + 1):
        tables.add_account(Account(number))
    for (account, asset), atoms in balances.items():
        cell = tables.ledger.cell(account, asset)
        locked = atoms // 3
        cell.available += atoms - locked
        cell.locked += locked
        tables.ledger.cell(EXTERNAL, asset).available -= atoms
    return exchange


def many(accounts: int) -> Exchange:
    """About two balances for each account."""
    chance = random.Random(4)
    return owing(
        {
            (account, asset): chance.randrange(1, 10**12)
            for account in range(1, accounts)
            for asset in range(1, len(ASSETS) + 1)
            if chance.random() < 0.5
        }
    )


def write_proof(exchange: Exchange, path: Path, position: int = 4012) -> ProofFile:
    pieces = build(exchange, position=position, state_digest=DIGEST, secret=SECRET)
    path.write_bytes(b"".join(pieces))
    return ProofFile(path)


def leaves_of(file: ProofFile, account: int) -> list[Leaf]:
    return list(file.leaves(file.rows(account)))
