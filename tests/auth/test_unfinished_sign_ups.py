"""A sign-up that broke off is completed by repeating it, and gives away nothing of another."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from fairbook.accounts.credential_registry import CredentialRegistry
from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.api.errors import ApiError, BadRequest
from fairbook.auth.password_process import PasswordProcess
from fairbook.auth.user_accounts import UserAccounts
from fairbook.core.admin_records import PASSWORD
from fairbook.followers.supervisor import fairbook_command
from tests.world.direct_exchange import DirectExchange, small_exchange
from tests.world.markets import SOL
from tests.world.money import credit

EMAIL, GOOD, OTHER = "ann@example.org", "a long password", "another password"
STEPS = ("add_user", "set_account", "put_credential")


class Broken(Exception):
    """Stands for the end of the process."""


class Users:
    """A store and a log, and the users in them."""

    def __init__(self) -> None:
        self.store = SqliteAccounts(Path(":memory:"))
        self.exchange: DirectExchange = small_exchange()
        self.passwords = PasswordProcess(fairbook_command("passwords"))
        registry = CredentialRegistry(self.store, self.exchange, self.exchange)
        self.users = UserAccounts(
            self.store, registry, self.exchange, self.exchange, self.passwords,
            read_frame=lambda position: (0, b""), now_ns=lambda: self.exchange.time_ns,
        )  # fmt: skip

    @property
    def database(self) -> sqlite3.Connection:
        return self.store._database


def play(story: Callable[[Users], Awaitable[None]]) -> None:
    async def main() -> None:
        users = Users()
        try:
            await story(users)
        finally:
            await users.passwords.stop()
            users.store.close()

    asyncio.run(main())


@pytest.mark.parametrize("step", STEPS)
def test_it_is_completed_by_the_same_request(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    async def story(place: Users) -> None:
        real: Any = getattr(place.store, step)

        def breaks(*_: Any, **__: Any) -> None:
            monkeypatch.setattr(place.store, step, real)
            raise Broken

        monkeypatch.setattr(place.store, step, breaks)
        with pytest.raises(Broken):
            await place.users.sign_up(EMAIL, GOOD)
        account = await place.users.sign_up(EMAIL, GOOD)
        assert (await place.users.log_in(EMAIL, GOOD)).token
        with pytest.raises(BadRequest, match="taken"):
            await place.users.sign_up(EMAIL, OTHER)
        rows = place.database.execute("SELECT count(*), max(account) FROM user").fetchone()
        assert rows == (1, account)

    play(story)


@pytest.mark.parametrize("used", ["money", "a session"])
def test_an_account_that_was_used_is_not_taken_over(used: str) -> None:
    """Not even by a person who deletes the row of its password in accounts.db."""

    async def story(place: Users) -> None:
        account = await place.users.sign_up(EMAIL, GOOD)
        if used == "money":
            place.exchange.do(credit(account=account, asset=SOL, atoms=5))
        else:
            await place.users.log_in(EMAIL, GOOD)
        place.database.execute("DELETE FROM credential WHERE type = ?", (PASSWORD,))
        with pytest.raises(BadRequest, match="taken"):
            await place.users.sign_up(EMAIL, OTHER)
        with pytest.raises(ApiError) as refused:
            await place.users.log_in(EMAIL, OTHER)
        assert refused.value.status == 401

    play(story)


def test_a_user_id_that_the_log_knows_is_given_to_no_other_user() -> None:
    """Also if the store has lost its rows."""

    async def story(place: Users) -> None:
        first = await place.users.sign_up(EMAIL, GOOD)
        place.database.execute("DELETE FROM user")
        place.database.execute("DELETE FROM sqlite_sequence")
        second = await place.users.sign_up("ben@example.org", GOOD)
        assert second > first
        assert place.exchange.account_of_user(place.store.next_user_id() - 1) == second

    play(story)
