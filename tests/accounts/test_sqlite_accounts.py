"""The accounts store: users, what belongs to credentials, and files that are refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fairbook.accounts.credentials import AccountsDamaged
from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.accounts.sqlite_schema import SCHEMA_VERSION
from fairbook.core.admin_records import PUBLIC_KEY, TOKEN
from fairbook.ports.accounts import READ, AccountRefused
from tests.accounts.accounts_place import AccountsPlace, public_key
from tests.world.memory_accounts import ALICE


def test_users_have_one_account(place: AccountsPlace) -> None:
    """Binding is idempotent, and refused if it contradicts an earlier one."""
    place.store.set_account(1, 2)
    third = place.store.add_user(name="carol")
    assert (third.user_id, third.account) == (3, 0)
    for user_id, account in ((1, 3), (3, 2), (9, 4), (3, 1)):
        with pytest.raises(AccountRefused):
            place.store.set_account(user_id, account)
    for name, email in (("alice", None), (None, "ALICE@example.ORG")):
        with pytest.raises(AccountRefused, match="taken"):
            place.store.add_user(name=name, email=email)
    with pytest.raises(AccountRefused, match="taken"):
        place.store.add_user(user_id=1)
    for text in ("", "x" * 255):
        with pytest.raises(AccountRefused, match="characters"):
            place.store.add_user(name=text)
    place.reopen()
    user = place.store.user(1)
    assert user is not None and user == place.store.user_of(ALICE)
    assert (user.name, user.email, user.email_folded) == (
        "alice", "Alice@Example.org", "alice@example.org",
    )  # fmt: skip
    assert place.store.user(4) is None and place.store.user_of(4) is None


def test_what_belongs_to_a_credential_is_kept_until_it_is_replaced(place: AccountsPlace) -> None:
    first, second = (
        place.store.put_credential(
            account=ALICE, credential_type=PUBLIC_KEY, digest=bytes([n]) * 32,
            content=public_key(n), label=f"key {n}", permissions=READ, created_ns=n,
        )
        for n in (1, 2)
    )  # fmt: skip
    place.reopen()
    assert place.store.credentials(ALICE) == [first, second]
    assert place.store.keys_added(ALICE) == 2
    third = place.store.put_credential(
        account=ALICE, credential_type=TOKEN, digest=bytes(32), created_ns=3,
        replaces=[first.digest],
    )  # fmt: skip
    assert place.store.credentials(ALICE) == [second, third]
    place.store.remove_credentials([second.digest, bytes([9]) * 32])
    assert place.store.credentials(ALICE) == [third]
    assert place.store.keys_added(ALICE) == 2
    assert place.store.rows("credential", 1, 10) == [third]
    assert place.store.rows("credential", third.credential_id + 1, 10) == []
    assert place.store.count() == 3


def test_text_that_is_no_utf_8_can_be_read(place: AccountsPlace) -> None:
    """So that a row that is damaged on purpose stops no reader."""
    place.edit("UPDATE user SET name = CAST(x'ff41' AS TEXT) WHERE user_id = 1")
    user = place.store.user(1)
    assert user is not None and user.name == "\ufffdA"


def test_a_view_of_one_moment_changes_nothing(place: AccountsPlace) -> None:
    with SqliteAccounts.as_of_now(place.path) as seen:
        place.store.add_user(name="later")
        assert [user.user_id for user in seen.rows("user", 0, 10)] == [1, 2]  # type: ignore[union-attr]
        with pytest.raises(sqlite3.OperationalError):
            seen.remove_credentials([bytes(32)])
    assert place.store.count() == 3


@pytest.mark.parametrize("version", [1, 2, SCHEMA_VERSION + 1, 99])
def test_a_store_of_another_format_is_refused_by_name(tmp_path: Path, version: int) -> None:
    """And stays as it is."""
    path = tmp_path / "accounts.db"
    with closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE user (user_id INTEGER PRIMARY KEY)")
        file.execute(f"PRAGMA user_version = {version}")
    before = path.read_bytes()
    message = rf"accounts\.db is no accounts store of format 3 or 4.* it has format {version}"
    with pytest.raises(AccountsDamaged, match=message):
        SqliteAccounts(path)
    with pytest.raises(AccountsDamaged, match=message), SqliteAccounts.as_of_now(path):
        pass
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA user_version").fetchone() == (version,)
        assert file.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (1,)
    assert len(path.read_bytes()) == len(before)


def test_a_store_of_the_format_before_gets_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "accounts.db"
    with closing(SqliteAccounts(path)) as store:
        user = store.add_user(email="a@example.org")
    with closing(sqlite3.connect(path)) as file:
        for table in ("operator", "reason", "approval", "invitation", "announcement", "reset"):
            file.execute(f"DROP TABLE {table}")
        file.execute("PRAGMA user_version = 3")
    with SqliteAccounts.as_of_now(path) as store:
        assert store.user(user.user_id) == user, "read as it is"
    with closing(SqliteAccounts(path)) as store:
        assert store.user(user.user_id) == user
        digest = store.operators.add_reason("why")
        assert store.operators.reason(digest) == "why"


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "accounts.db"
    path.write_bytes(b"not a database, but long enough to have a header" * 100)
    before = path.read_bytes()
    with pytest.raises(AccountsDamaged, match=r"accounts\.db"):
        SqliteAccounts(path)
    assert path.read_bytes() == before
    path.unlink()
    with closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE other (x)")
    with pytest.raises(AccountsDamaged, match="format 0"):
        SqliteAccounts(path)


def test_an_unfinished_first_start_is_repeated(tmp_path: Path) -> None:
    """The tables are created in one transaction: an empty file is a new store."""
    (tmp_path / "accounts.db").touch()
    with closing(SqliteAccounts(tmp_path / "accounts.db")) as store:
        assert store.add_user().user_id == 1
