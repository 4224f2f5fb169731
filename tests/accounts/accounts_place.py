"""A store, and the log that decides: an exchange with two accounts, and the parts between."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from nacl.bindings import crypto_sign_seed_keypair

from fairbook.accounts.contradictions import contradictions
from fairbook.accounts.credential_registry import CredentialRegistry
from fairbook.accounts.logged_credentials import LoggedCredentials
from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.core import admin_records
from fairbook.ports.accounts import Withdrawal
from tests.world.direct_exchange import DirectExchange, list_and_fund
from tests.world.markets import SOL
from tests.world.memory_accounts import ALICE, BOB

ALICE_USER, BOB_USER = 1, 2
KEYS_MAX = TOKENS_MAX = 3
MAIL = "Alice@Example.org"

Result = TypeVar("Result")


def public_key(number: int) -> bytes:
    """The public half of a key that is the same in every run."""
    return crypto_sign_seed_keypair(number.to_bytes(32, "little"))[0]


class AccountsPlace:
    """It can be opened again, as after a restart."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "accounts.db"
        self.exchange = DirectExchange()
        list_and_fund(self.exchange)
        self._open()
        self.store.add_user(user_id=ALICE_USER, name="alice", email=MAIL)
        self.store.add_user(user_id=BOB_USER, name="bob", email="bob@example.org")
        self.store.set_account(ALICE_USER, ALICE)
        self.store.set_account(BOB_USER, BOB)

    def _open(self) -> None:
        exchange = self.exchange
        self.store = SqliteAccounts(self.path, now_ns=exchange.log_time_ns)
        self.registry = CredentialRegistry(
            self.store, exchange, exchange, keys_max=KEYS_MAX, tokens_max=TOKENS_MAX
        )
        self.lookup = LoggedCredentials(exchange, now_ns=exchange.log_time_ns)

    def reopen(self) -> None:
        self.store.close()
        self._open()

    def do(self, work: Awaitable[Result]) -> Result:
        """Run one call of the registry."""

        async def awaited() -> Result:
            return await work

        return asyncio.run(awaited())

    def contradictions(self) -> list[str]:
        return contradictions(self.store, self.exchange)

    def withdrawal(self, *, hold: bool = True, capture: bool = True) -> Withdrawal:
        """A withdrawal of one SOL by Alice, as far as asked for."""
        row, _ = self.store.transfers.add_withdrawal(
            account=ALICE, client_id=None, asset=SOL, atoms=10**9, address="there",
            blockchain="Solana",
        )  # fmt: skip
        if hold:
            self.exchange.do(
                admin_records.hold(
                    account=ALICE,
                    asset=SOL,
                    atoms=10**9,
                    reference=row.reference,
                    detail=row.detail(),
                )
            )
        if hold and capture:
            self.exchange.do(admin_records.capture(row.reference))
            self.store.transfers.mark_captured(row.withdrawal_id)
        return row

    def edit(self, *statements: str) -> None:
        """Change the file as someone with a shell would."""
        with closing(sqlite3.connect(self.path)) as file, file:
            file.execute("PRAGMA ignore_check_constraints = ON")
            for statement in statements:
                assert file.execute(statement).rowcount, statement


@contextmanager
def accounts_place(folder: Path) -> Iterator[AccountsPlace]:
    place = AccountsPlace(folder)
    try:
        yield place
    finally:
        place.store.close()
