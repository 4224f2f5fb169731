"""The contract of accounts stores. A second adapter joins by an entry in STORES."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nacl.bindings import crypto_sign_seed_keypair

from fairbook.accounts.credentials import AccountsDamaged
from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.ports.accounts import ALL_PERMISSIONS, READ, TRADE, AccountRefused

KEYS_MAX = 3
TOKENS_MAX = 3


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.ns = 1_000

    def __call__(self) -> int:
        return self.ns


Opener = Callable[[Path, Clock], SqliteAccounts]


def open_sqlite(path: Path, clock: Clock) -> SqliteAccounts:
    return SqliteAccounts(
        path / "accounts.db", now_ns=clock, keys_max=KEYS_MAX, tokens_max=TOKENS_MAX
    )


STORES: dict[str, Opener] = {"sqlite": open_sqlite}


class Place:
    """A store that can be closed and opened again, as after a restart."""

    def __init__(self, path: Path, opener: Opener) -> None:
        self.clock = Clock()
        self._path = path
        self._opener = opener
        self.store = opener(path, self.clock)

    def reopen(self) -> SqliteAccounts:
        self.store.close()
        self.store = self._opener(self._path, self.clock)
        return self.store

    def before_and_after(self) -> Iterator[SqliteAccounts]:
        """The store as it is, and then opened again."""
        yield self.store
        yield self.reopen()


@pytest.fixture(params=sorted(STORES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path, STORES[request.param])
    yield place
    place.store.close()


def public_key(number: int) -> bytes:
    """The public half of a key that is the same in every run."""
    return crypto_sign_seed_keypair(bytes([number]) * 32)[0]


def open_account(store: SqliteAccounts, *, user_id: int, account: int) -> None:
    store.add_user(user_id=user_id)
    store.set_account(user_id, account)


def test_a_key_gives_access_also_after_a_restart(place: Place) -> None:
    """With its permissions, until it is revoked."""
    open_account(place.store, user_id=1, account=2)
    key = place.store.add_key(
        account=2, public_key=public_key(1), label="bot", permissions=READ | TRADE
    )
    for store in place.before_and_after():
        access = store.by_key(public_key(1))
        assert access is not None
        assert (access.account, access.permissions) == (2, READ | TRADE)
        assert (access.key_id, access.token_id) == (key.key_id, 0)
        assert store.is_live(access)
        assert not store.is_live(access._replace(key_id=key.key_id + 1))
        assert store.by_key(public_key(2)) is None

    assert access is not None
    assert place.store.revoke_key(account=2, key_id=key.key_id)
    for store in place.before_and_after():
        assert store.by_key(public_key(1)) is None
        assert not store.is_live(access)
        assert not store.revoke_key(account=2, key_id=key.key_id)
        with pytest.raises(AccountRefused, match="already registered"):
            store.add_key(account=2, public_key=public_key(1), label="", permissions=READ)
    assert [(k.label, k.revoked_ns) for k in place.store.keys(2)] == [("bot", 1_000)]


def test_a_token_gives_access_until_it_expires(place: Place) -> None:
    """It is valid before its expiry time, not at it; without one, until it is revoked."""
    open_account(place.store, user_id=1, account=2)
    timed, _ = place.store.add_token(account=2, permissions=READ, expires_ns=2_000)
    lasting, kept = place.store.add_token(account=2, permissions=ALL_PERMISSIONS)
    for store in place.before_and_after():
        place.clock.ns = 1_999
        timed_access = store.by_token(timed)
        assert timed_access is not None and store.is_live(timed_access)
        place.clock.ns = 2_000
        assert store.by_token(timed) is None
        assert not store.is_live(timed_access)
        access = store.by_token(lasting)
        assert access is not None
        assert (access.account, access.permissions) == (2, ALL_PERMISSIONS)
        assert (access.key_id, access.token_id) == (0, kept.token_id)
        assert store.is_live(access)
        assert [token.token_id for token in store.tokens(2)] == [kept.token_id]

    assert access is not None
    assert place.store.revoke_token(account=2, token_id=kept.token_id)
    for store in place.before_and_after():
        assert store.by_token(lasting) is None
        assert not store.is_live(access)
        assert not store.revoke_token(account=2, token_id=kept.token_id)


@pytest.mark.parametrize(
    "text", ["", "x", "é" * 43, "\udcff" * 43, "A" * 43, "A" * 10_000, "\0" * 43]
)
def test_a_text_that_is_no_token_gives_no_access(place: Place, text: str) -> None:
    """Any text is accepted without an error."""
    assert place.store.by_token(text) is None


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("empty", b""),
        ("short", bytes(31)),
        ("long", public_key(1) + b"\0"),
        ("order 4", bytes(32)),
        ("neutral element", b"\1" + bytes(31)),
        ("order 2", b"\xec" + b"\xff" * 30 + b"\x7f"),
        ("neutral element, not canonical", b"\xee" + b"\xff" * 30 + b"\x7f"),
        (
            "order 8",
            bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        ),
        ("no point", b"\2" + bytes(31)),
    ],
)
def test_a_bad_public_key_is_refused(place: Place, name: str, key: bytes) -> None:
    """Points of small order, second encodings, and what is no point."""
    open_account(place.store, user_id=1, account=2)
    with pytest.raises(AccountRefused):
        place.store.add_key(account=2, public_key=key, label=name, permissions=READ)
    assert place.store.by_key(key) is None


def test_keys_and_tokens_are_bounded_per_account(place: Place) -> None:
    """At the limit a new one is refused; other accounts are unaffected; revoking makes room."""
    open_account(place.store, user_id=1, account=2)
    open_account(place.store, user_id=2, account=3)
    keys = [
        place.store.add_key(account=2, public_key=public_key(i), label="", permissions=READ)
        for i in range(KEYS_MAX)
    ]
    tokens = [place.store.add_token(account=2, permissions=READ)[1] for _ in range(TOKENS_MAX)]
    with pytest.raises(AccountRefused, match="Too many"):
        place.store.add_key(account=2, public_key=public_key(50), label="", permissions=READ)
    with pytest.raises(AccountRefused, match="Too many"):
        place.store.add_token(account=2, permissions=READ)

    place.store.add_key(account=3, public_key=public_key(51), label="", permissions=READ)
    place.store.revoke_key(account=2, key_id=keys[0].key_id)
    place.store.add_key(account=2, public_key=public_key(50), label="", permissions=READ)
    place.store.revoke_token(account=2, token_id=tokens[0].token_id)
    place.store.add_token(account=2, permissions=READ)


def test_revoked_keys_are_bounded_too(place: Place) -> None:
    """Registering and revoking without end does not fill the disk."""
    open_account(place.store, user_id=1, account=2)
    with pytest.raises(AccountRefused, match="Too many"):
        for i in range(1_000):
            key = crypto_sign_seed_keypair(i.to_bytes(32, "little"))[0]
            added = place.store.add_key(account=2, public_key=key, label="", permissions=READ)
            place.store.revoke_key(account=2, key_id=added.key_id)
    assert len(place.store.keys(2)) == KEYS_MAX * 21


def test_an_expired_token_makes_room(place: Place) -> None:
    """Expired tokens do not count."""
    open_account(place.store, user_id=1, account=2)
    for _ in range(TOKENS_MAX):
        old, _ = place.store.add_token(account=2, permissions=READ, expires_ns=2_000)
    gone = place.store.by_token(old)
    place.clock.ns = 2_000
    text, _ = place.store.add_token(account=2, permissions=READ)
    assert place.store.by_token(text) is not None
    place.clock.ns = 1_999
    assert gone is not None and not place.store.is_live(gone)
    assert len(place.reopen().tokens(2)) == 1


def test_keys_and_tokens_of_other_accounts_cannot_be_revoked(place: Place) -> None:
    """They are unknown, like ones that do not exist."""
    open_account(place.store, user_id=1, account=2)
    open_account(place.store, user_id=2, account=3)
    key = place.store.add_key(account=2, public_key=public_key(1), label="", permissions=READ)
    text, token = place.store.add_token(account=2, permissions=READ)
    assert not place.store.revoke_key(account=3, key_id=key.key_id)
    assert not place.store.revoke_token(account=3, token_id=token.token_id)
    assert place.store.by_key(public_key(1)) is not None
    assert place.store.by_token(text) is not None


def test_an_account_has_one_user_and_a_user_one_account(place: Place) -> None:
    """Binding is idempotent, and refused if it contradicts an earlier one."""
    place.store.add_user(user_id=1, name="ann")
    place.store.set_account(1, 2)
    place.store.set_account(1, 2)
    second = place.store.add_user(name="ben")
    assert second.user_id == 2
    for user_id, account in ((1, 3), (2, 2), (9, 4), (2, 1)):
        with pytest.raises(AccountRefused):
            place.store.set_account(user_id, account)
    with pytest.raises(AccountRefused, match="taken"):
        place.store.add_user(name="ann")
    with pytest.raises(AccountRefused, match="taken"):
        place.store.add_user(user_id=1)
    user = place.reopen().user(1)
    assert user is not None
    assert (user.name, user.email, user.account) == ("ann", None, 2)
    assert place.store.user(3) is None


def test_keys_and_tokens_need_an_account_with_a_user(place: Place) -> None:
    """System accounts and unknown ones get none; unknown permissions are refused."""
    place.store.add_user(user_id=1)
    for account in (0, 1, 2):
        with pytest.raises(AccountRefused, match="Unknown account"):
            place.store.add_key(account=account, public_key=public_key(1), label="", permissions=1)
        with pytest.raises(AccountRefused, match="Unknown account"):
            place.store.add_token(account=account, permissions=READ)
    place.store.set_account(1, 2)
    for permissions in (0, -1, 8, 15):
        with pytest.raises(AccountRefused, match="Permissions"):
            place.store.add_key(
                account=2, public_key=public_key(1), label="", permissions=permissions
            )
        with pytest.raises(AccountRefused, match="Permissions"):
            place.store.add_token(account=2, permissions=permissions)
    with pytest.raises(AccountRefused, match="expired"):
        place.store.add_token(account=2, permissions=READ, expires_ns=1_000)


def test_changes_from_several_threads_do_not_mix(place: Place) -> None:
    """Memory and file agree after concurrent changes."""
    for number in range(4):
        open_account(place.store, user_id=1 + number, account=2 + number)
    live: list[str] = []

    def change(account: int) -> None:
        for turn in range(5):
            text, token = place.store.add_token(account=account, permissions=READ)
            if turn % 2:
                live.append(text)
            else:
                place.store.revoke_token(account=account, token_id=token.token_id)

    threads = [threading.Thread(target=change, args=(2 + number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(live) == 8
    for store in place.before_and_after():
        assert all(store.by_token(text) is not None for text in live)
        assert sum(len(store.tokens(2 + number)) for number in range(4)) == 8


def test_no_secret_is_in_the_files(tmp_path: Path) -> None:
    """Reading the store reveals no token."""
    store = open_sqlite(tmp_path, Clock())
    open_account(store, user_id=1, account=2)
    text, _ = store.add_token(account=2, permissions=READ)
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    store.close()
    assert len(kept) > 4096
    assert text.encode() not in kept


def test_a_file_of_another_kind_or_version_is_refused(tmp_path: Path) -> None:
    """And not overwritten."""
    path = tmp_path / "accounts.db"
    path.write_bytes(b"not a database, but long enough to have a header" * 100)
    with pytest.raises(AccountsDamaged, match=r"accounts\.db"):
        open_sqlite(tmp_path, Clock())

    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(AccountsDamaged, match="99"):
        open_sqlite(tmp_path, Clock())

    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE other (x)")
    database.close()
    with pytest.raises(AccountsDamaged):
        open_sqlite(tmp_path, Clock())


def test_an_unfinished_first_start_is_repeated(tmp_path: Path) -> None:
    """The schema is created in one transaction: an empty file is a new store."""
    (tmp_path / "accounts.db").touch()
    store = open_sqlite(tmp_path, Clock())
    open_account(store, user_id=1, account=2)
    store.close()
