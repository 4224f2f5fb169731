"""A person with write access edits the files of a real exchange: it opens nothing, and is named.

Each attack is made while the exchange is stopped and while it runs. Afterwards the log of the
process (start or running), `status` and `verify` must name it, and what it was for must fail.

FAIRBOOK_SEED and FAIRBOOK_INSIDER_EDITS change which and how many random edits are made.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fairbook.accounts.credential_registry import SecretLost
from fairbook.core import admin_records
from fairbook.ports.accounts import ALL_PERMISSIONS, READ
from fairbook.ports.digests import (
    password_digest,
    public_key_digest,
    second_factor_digest,
    token_digest,
)
from tests.e2e.insider_exchange import (
    ADDRESS,
    ARGON,
    DEPOSITS,
    INSIDER_KEY,
    INSIDERS_ADDRESS,
    READER_KEY,
    SECRET,
    WITHDRAWALS,
    InsiderExchange,
    withdrawal,
)
from tests.world.rest_client import RestClient

SEED = int(os.environ.get("FAIRBOOK_SEED", "1"))
EDITS = int(os.environ.get("FAIRBOOK_INSIDER_EDITS", "3"))
MILLIONS = "50000000"
WAYS = pytest.mark.parametrize("way", ["stopped", "running"])

INSERT_CREDENTIAL = (
    "INSERT INTO credential (account, type, digest, content, label, permissions, expires_ns,"
    " created_ns) VALUES (:account, :type, :digest, :content, 'mine', 7, 0, 1)"
)
INSERT_WITHDRAWAL = (
    "INSERT INTO withdrawal (withdrawal_id, reference, account, client_id, asset, atoms, address,"
    " blockchain, memo, nonce, is_captured, created_ns) VALUES (:id, :reference, :account,"
    " :client_id, 1, :atoms, :address, 'Solana', '', zeroblob(16), :is_captured, 1)"
)
INSERT_TRANSFER = (
    "INSERT INTO transfers (account, asset, movement, atoms, fee_atoms, operator, reference,"
    " time_ns) SELECT :account, 1, :movement, :atoms, 0, 0, :reference, max(time_ns) FROM transfers"
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InsiderExchange]:
    """One that is stopped, and has nothing that contradicts the log."""
    exchange = InsiderExchange(tmp_path_factory.mktemp("original"))
    try:
        exchange.open()
        exchange.check_verified()
        exchange.check_status_stopped()
        yield exchange
    finally:
        exchange.venue.kill()


@pytest.fixture
def insiders(original: InsiderExchange, tmp_path: Path) -> Iterator[InsiderExchange]:
    exchange = original.copy(tmp_path)
    try:
        yield exchange
    finally:
        exchange.venue.kill()


def attack(
    insiders: InsiderExchange, way: str, edit: Callable[[], None], *sentences: str,
    differs: str = "accounts.db contradicts",
) -> None:  # fmt: skip
    """Make the edit and check that it is named, also after another start."""
    if way == "stopped":
        insiders.venue.stop()
        edit()
        insiders.check_verified(*sentences, differs=differs)
        insiders.check_status_stopped(*sentences)
        insiders.venue.start()
    else:
        edit()
    insiders.check_named(sentences)
    insiders.check_verified(*sentences, differs=differs)
    if way == "running":
        insiders.venue.kill()
        insiders.venue.start()
        insiders.check_named(sentences)


@WAYS
def test_a_planted_key_withdraws_nothing(insiders: InsiderExchange, way: str) -> None:
    """The first attack that was made: a key in another person's name took 50 million, and `verify`
    said that all was well.
    """
    victim = insiders.venue.account("demo2")
    token = secrets.token_urlsafe(32)
    before = insiders.balances()

    def edit() -> None:
        public_key = bytes(INSIDER_KEY.verify_key)
        for kind, digest, content in (
            (admin_records.PUBLIC_KEY, public_key_digest(public_key), public_key),
            (admin_records.TOKEN, token_digest(token), b""),
        ):
            insiders.edit(
                INSERT_CREDENTIAL, account=victim, type=kind, digest=digest, content=content
            )

    attack(
        insiders, way, edit,
        f"of account {victim}, 'mine': the log does not have it",
        "public key", "token",
    )  # fmt: skip
    body = {**withdrawal(MILLIONS, INSIDERS_ADDRESS), "symbol": "USDC"}
    reply = insiders.call(INSIDER_KEY, "POST", WITHDRAWALS, body)
    assert (reply.status, reply.body["code"]) == (401, "UNAUTHORIZED")
    with closing(RestClient(insiders.venue.http_port, token)) as rest:
        assert rest.call("POST", WITHDRAWALS, body).status == 401
        assert rest.call("GET", "/api/v1/capital").status == 401
    assert insiders.balances() == before


@WAYS
def test_a_raised_permission_withdraws_nothing(insiders: InsiderExchange, way: str) -> None:
    attack(
        insiders, way,
        lambda: insiders.edit("UPDATE credential SET permissions = 7 WHERE label = 'reader'"),
        "'reader': it may read and trade and withdraw, in the log read",
    )  # fmt: skip
    assert insiders.call(READER_KEY, "GET", "/api/v1/capital", {}).status == 200
    reply = insiders.call(READER_KEY, "POST", WITHDRAWALS, withdrawal("1", INSIDERS_ADDRESS))
    assert (reply.status, reply.body["code"]) == (403, "FORBIDDEN")
    with closing(RestClient(insiders.venue.http_port, insiders.reader_token)) as rest:
        assert rest.call("POST", WITHDRAWALS, withdrawal("1", ADDRESS)).status == 403


@WAYS
def test_a_user_with_another_account_gets_nothing_of_it(
    insiders: InsiderExchange, way: str
) -> None:
    """The file with the demo's keys is not written anew for the other account either."""
    maker = insiders.venue.account("maker")
    keys = insiders.venue.demo("demo1")
    with closing(insiders.venue.rest()) as rest:
        owned = rest.expect(200, "GET", "/api/v1/capital")

    def edit() -> None:
        insiders.edit(
            "UPDATE user SET account = 900 WHERE user_id = 3",
            "UPDATE user SET account = :maker WHERE user_id = 1", maker=maker,
        )  # fmt: skip

    attack(
        insiders, way, edit,
        f"user 1: its account is {maker}, in the log it has account {insiders.account}",
        f"user 3: its account is 900, in the log it has account {maker}",
    )  # fmt: skip
    assert insiders.venue.demo("demo1") == keys
    with closing(insiders.venue.rest()) as rest:
        assert rest.expect(200, "GET", "/api/v1/capital") == owned


@WAYS
def test_a_replaced_password_opens_nothing(insiders: InsiderExchange, way: str) -> None:
    """The text, and text and hash together."""
    mine = "$argon2id$v=19$m=8,t=1,p=1$bWluZW1pbmU$bWluZW1pbmU"

    def password() -> Any:
        return insiders.secrets(lambda registry: asyncio.run(registry.password(1)))

    assert password() == ARGON
    attack(
        insiders, way,
        lambda: insiders.edit(
            "UPDATE credential SET content = :text WHERE type = 3", text=mine.encode()
        ),
        f"of account {insiders.account}: its content is not the one in the log",
    )  # fmt: skip
    assert password() is None
    insiders.edit(
        "UPDATE credential SET digest = :digest WHERE type = 3",
        digest=password_digest(user_id=1, email="", text=mine),
    )
    insiders.check_named([f"of account {insiders.account}: the log does not have it"])
    assert password() is None


@WAYS
def test_a_replaced_second_factor_opens_nothing(insiders: InsiderExchange, way: str) -> None:
    """Nor does a removed one."""

    def second_factor() -> Any:
        return insiders.secrets(lambda registry: asyncio.run(registry.second_factor(1)))

    assert second_factor() == SECRET
    attack(
        insiders, way,
        lambda: insiders.edit(
            "UPDATE credential SET content = :record, digest = :digest WHERE type = 4",
            record=b"mine", digest=second_factor_digest(user_id=1, record=b"mine"),
        ),
        "second factor", f"of account {insiders.account}: the log does not have it",
    )  # fmt: skip
    for edit in (None, "DELETE FROM credential WHERE type = 4"):
        if edit:
            insiders.edit(edit)
        with pytest.raises(SecretLost):
            second_factor()


@WAYS
@pytest.mark.parametrize("is_captured", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_ghost_withdrawal_is_not_confirmed(
    insiders: InsiderExchange, way: str, is_captured: int
) -> None:
    """The second attack that was made: a row in accounts.db and one in history.db confirmed a
    withdrawal that was never debited.
    """
    reference = secrets.token_bytes(16)
    ghost: dict[str, Any] = {
        "account": insiders.account,
        "atoms": 5 * 10**9,
        "reference": reference,
    }
    with closing(insiders.venue.rest()) as rest:
        shown = rest.expect(200, "GET", WITHDRAWALS)

    def edit() -> None:
        insiders.edit(
            INSERT_WITHDRAWAL, id=77, client_id="ghost", address=INSIDERS_ADDRESS,
            is_captured=is_captured, **ghost,
        )  # fmt: skip
        for movement in (admin_records.HELD, admin_records.CAPTURED, admin_records.DEBITED):
            insiders.edit_history(INSERT_TRANSFER, movement=movement, **ghost)

    named = f"withdrawal 77 of account {insiders.account} (5000000000 atoms of asset 1"
    if is_captured:
        attack(insiders, way, edit, named, differs="history.db differs")
    else:
        stop_and_edit(insiders, way, edit, named)
    with closing(insiders.venue.rest()) as rest:
        for path in (WITHDRAWALS, f"{WITHDRAWALS}?id=77", f"{WITHDRAWALS}?clientId=ghost"):
            for row in rest.expect(200, "GET", path):
                assert row in shown, row


def stop_and_edit(
    insiders: InsiderExchange, way: str, edit: Callable[[], None], named: str
) -> None:
    """A row that may be what a crash left: named, and removed by the next start."""
    if way == "running":
        edit()
        insiders.check_named([named])
        insiders.check_verified(named, "not in the log", differs="history.db differs")
        insiders.venue.stop()
    else:
        insiders.venue.stop()
        edit()
    insiders.check_verified(named, "not in the log", differs="history.db differs")
    insiders.venue.start()
    insiders.check_named([named, "removed at the start"], status_code=0)
    with insiders.store() as store:
        assert store.transfers.find_withdrawal(insiders.account, withdrawal_id=77) is None


@WAYS
def test_a_ghost_deposit_is_not_shown(insiders: InsiderExchange, way: str) -> None:
    """A row of the history alone; `verify` names it."""
    with closing(insiders.venue.rest()) as rest:
        shown = rest.expect(200, "GET", DEPOSITS)
    if way == "stopped":
        insiders.venue.stop()
    insiders.edit_history(
        INSERT_TRANSFER, account=insiders.account, movement=admin_records.CREDITED,
        atoms=10**15, reference=secrets.token_bytes(16),
    )  # fmt: skip
    if way == "stopped":
        insiders.venue.start()
    with closing(insiders.venue.rest()) as rest:
        assert rest.expect(200, "GET", DEPOSITS) == shown
    insiders.check_verified("history.db: transfers", "not in the log", differs="history.db differs")


@WAYS
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("address = 'the insider''s'", "its address, network, memo, asset or id is not what"),
        ("atoms = atoms * 100", "its amount is 100000000000, in the log 1000000000"),
        ("account = 3", "its account is 3, in the log 2"),
    ],
)
def test_a_changed_withdrawal_is_not_shown(
    insiders: InsiderExchange, way: str, change: str, sentence: str
) -> None:
    attack(
        insiders, way,
        lambda: insiders.edit(f"UPDATE withdrawal SET {change} WHERE client_id = 'rent'"),
        sentence,
    )  # fmt: skip
    for name in ("demo1", "demo2"):
        with closing(insiders.venue.rest(name)) as rest:
            assert all(
                row["id"] < 0 and row["toAddress"] == "" and row["quantity"] == "1"
                for row in rest.expect(200, "GET", WITHDRAWALS)
            )
            for query in ("?clientId=rent", "?id=1"):
                assert rest.expect(200, "GET", WITHDRAWALS + query) == []


def test_random_edits_at_random_places_are_all_named(insiders: InsiderExchange) -> None:
    """Of each kind, in a store of 60 customers."""
    insiders.venue.stop()
    fill(insiders, 60)
    insiders.check_verified()
    named = edit_at_random(insiders, random.Random(SEED))
    insiders.venue.start()
    found = "\n".join(insiders.accounts_status()["contradictions"])
    for name in named:
        assert f"{name} of account" in found or f"{name}:" in found, (SEED, name, found)
    insiders.check_named([])


def fill(insiders: InsiderExchange, customers: int) -> None:
    """Accounts with a key, a token, a password, a second factor and a withdrawal each."""
    first = max(insiders.venue.account(name) for name in ("demo2", "maker", "taker")) + 1
    frame: list[bytes] = []
    with insiders.store() as store:
        for number in range(customers):
            user, account = 100 + number, first + number
            store.add_user(user_id=user, email=f"{user}@example.org")
            store.set_account(user, account)
            frame.append(admin_records.open_account(user))
            key = number.to_bytes(32, "little")
            for kind, permissions, content, digest in (
                (admin_records.PUBLIC_KEY, READ, key, public_key_digest(key)),
                (admin_records.TOKEN, ALL_PERMISSIONS, b"", token_digest(f"token {number}")),
                (admin_records.PASSWORD, 0, ARGON.encode(),
                 password_digest(user_id=user, email=f"{user}@example.org", text=ARGON)),
                (admin_records.SECOND_FACTOR, 0, SECRET,
                 second_factor_digest(user_id=user, record=SECRET)),
            ):  # fmt: skip
                frame.append(
                    admin_records.add_credential(
                        detail=digest, credential_type=kind, owner=account, permissions=permissions
                    )
                )
                store.put_credential(
                    account=account, credential_type=kind, digest=digest, content=content,
                    permissions=permissions, created_ns=1,
                )  # fmt: skip
            row, _ = store.transfers.add_withdrawal(
                account=account, client_id=None, asset=1, atoms=1, address="there",
                blockchain="Solana",
            )  # fmt: skip
            frame += [
                admin_records.credit(
                    account=account, asset=1, atoms=5, reference=secrets.token_bytes(16)
                ),
                admin_records.hold(
                    account=account, asset=1, atoms=1, reference=row.reference, detail=row.detail()
                ),
                admin_records.capture(row.reference),
            ]
            store.transfers.mark_captured(row.withdrawal_id)
    for at in range(0, len(frame), 300):
        insiders.venue.append_to_log(*frame[at : at + 300])


def edit_at_random(insiders: InsiderExchange, chance: random.Random) -> list[str]:
    """EDITS edits of each kind; returns what names each row."""
    named: list[str] = []
    kinds = [
        ("credential", "type = 1", "public key", "digest = randomblob(32)"),
        ("credential", "type = 2 AND permissions", "token", "permissions = permissions - 1"),
        ("user", "email LIKE '%'", "user", "account = account + 1000"),
        ("credential", "type = 3", "password", "content = randomblob(60)"),
        ("credential", "type = 4", "second factor", "content = randomblob(6)"),
        ("withdrawal", "1", "withdrawal", "reference = randomblob(16)"),
        ("withdrawal", "1", "withdrawal", "address = address || 'x'"),
        ("withdrawal", "1", "withdrawal", "atoms = atoms + 1"),
    ]
    for table, terms, name, change in kinds:
        query = f"SELECT {table}_id FROM {table} WHERE {terms}"
        fresh = [row for row in insiders.select(query) if f"{name} {row}" not in named]
        for row in chance.sample(fresh, EDITS):
            insiders.edit(f"UPDATE {table} SET {change} WHERE {table}_id = {row}")
            named.append(f"{name} {row}")
    return named
