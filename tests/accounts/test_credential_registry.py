"""Keys, tokens, passwords and second factors: facts of the log, and what the store adds to them."""

from __future__ import annotations

import asyncio

import pytest
from nacl.bindings import crypto_sign_seed_keypair

from fairbook.accounts.credential_registry import SecretLost
from fairbook.core import admin_records, records
from fairbook.core.admin_records import PASSWORD, PUBLIC_KEY, SECOND_FACTOR, TOKEN
from fairbook.ports.accounts import ALL_PERMISSIONS, READ, TRADE, Access, AccountRefused
from fairbook.ports.digests import public_key_digest, token_digest
from tests.accounts.accounts_place import (
    ALICE_USER,
    BOB_USER,
    KEYS_MAX,
    MAIL,
    TOKENS_MAX,
    AccountsPlace,
    public_key,
)
from tests.world.memory_accounts import ALICE, BOB

ARGON = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNo"
HOUR_NS = 3600 * 10**9


def test_a_key_gives_access_until_it_is_revoked(place: AccountsPlace) -> None:
    """With its permissions and its slot, also after a restart; and never again."""
    stored = place.do(
        place.registry.add_key(
            account=ALICE, public_key=public_key(1), label="bot", permissions=READ | TRADE
        )
    )
    digest = public_key_digest(public_key(1))
    assert (stored.digest, stored.content, stored.label) == (digest, public_key(1), "bot")
    access = Access(ALICE, READ | TRADE, 1, digest)
    for _ in range(2):
        assert place.lookup.by_key(public_key(1)) == access
        assert place.lookup.is_live(access)
        assert place.lookup.by_key(public_key(2)) is None
        assert place.lookup.by_token("x") is None
        place.reopen()
    (listed,) = place.do(place.registry.listed(ALICE))
    assert (listed.fact.slot, listed.label) == (1, "bot")

    assert not place.do(place.registry.revoke(account=BOB, digest=digest))
    assert place.do(place.registry.revoke(account=ALICE, digest=digest))
    for _ in range(2):
        assert place.lookup.by_key(public_key(1)) is None
        assert not place.lookup.is_live(access)
        assert not place.do(place.registry.revoke(account=ALICE, digest=digest))
        place.reopen()
    assert place.store.credentials(ALICE) == [] == place.do(place.registry.listed(ALICE))
    for account in (ALICE, BOB):
        with pytest.raises(AccountRefused, match="already registered"):
            place.do(
                place.registry.add_key(
                    account=account, public_key=public_key(1), label="", permissions=READ
                )
            )
    assert place.contradictions() == []


def test_a_token_gives_access_until_it_expires(place: AccountsPlace) -> None:
    """It is valid before its expiry time, not at it; its text is kept nowhere."""
    end_ns = place.exchange.time_ns + HOUR_NS
    timed, _ = place.do(
        place.registry.add_token(account=ALICE, permissions=READ, expires_ns=end_ns)
    )
    lasting, _ = place.do(place.registry.add_token(account=ALICE, permissions=ALL_PERMISSIONS))
    timed_access, access = place.lookup.by_token(timed), place.lookup.by_token(lasting)
    assert timed_access == Access(ALICE, READ, 1, token_digest(timed))
    assert access == Access(ALICE, ALL_PERMISSIONS, 2, token_digest(lasting))
    files = b"".join(path.read_bytes() for path in place.path.parent.iterdir())
    assert timed.encode() not in files and lasting.encode() not in files
    assert not any(timed.encode() in command for command in place.exchange.applied)

    place.exchange.time_ns = end_ns - 2 * 10**6
    place.exchange.do(admin_records.tick())
    assert place.lookup.by_token(timed) == timed_access and place.lookup.is_live(timed_access)
    place.exchange.do(admin_records.tick())
    assert place.lookup.by_token(timed) is None and not place.lookup.is_live(timed_access)
    assert place.lookup.by_token(lasting) == access
    with pytest.raises(AccountRefused, match="out of range"):
        place.do(place.registry.add_token(account=ALICE, permissions=READ, expires_ns=end_ns))


def test_rows_alone_give_no_access(place: AccountsPlace) -> None:
    """A planted key stays unknown."""
    place.store.put_credential(
        account=BOB, credential_type=PUBLIC_KEY, digest=public_key_digest(public_key(7)),
        content=public_key(7), label="bot", permissions=ALL_PERMISSIONS, created_ns=1,
    )  # fmt: skip
    place.reopen()
    assert place.lookup.by_key(public_key(7)) is None


@pytest.mark.parametrize(
    "text", ["", "x", "é" * 43, "\udcff" * 43, "A" * 43, "A" * 10_000, "\0" * 43]
)
def test_a_text_that_is_no_token_gives_no_access(place: AccountsPlace, text: str) -> None:
    """Any text is accepted without an error."""
    assert place.lookup.by_token(text) is None


def test_a_password_and_a_key_of_gateways_are_no_key_or_token(place: AccountsPlace) -> None:
    """A hash gives access only as what it was logged as, and only to an account."""
    exchange = place.exchange
    exchange.do(admin_records.set_operator(operator=1, roles=15))
    for number, (owner_kind, owner, kind) in enumerate(
        ((1, 1, PUBLIC_KEY), (0, ALICE, TOKEN), (0, ALICE, PASSWORD)), start=1
    ):
        exchange.do(
            admin_records.add_credential(
                detail=public_key_digest(public_key(number)), credential_type=kind,
                owner_kind=owner_kind, owner=owner, permissions=ALL_PERMISSIONS,
            )
        )  # fmt: skip
        assert place.lookup.by_key(public_key(number)) is None


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
def test_a_bad_public_key_is_refused(place: AccountsPlace, name: str, key: bytes) -> None:
    """Points of small order, second encodings, and what is no point: nothing is logged."""
    logged = place.exchange.position
    with pytest.raises(AccountRefused):
        place.do(
            place.registry.add_key(account=ALICE, public_key=key, label=name, permissions=READ)
        )
    assert place.lookup.by_key(key) is None
    assert place.exchange.position == logged


def test_bad_terms_are_refused(place: AccountsPlace) -> None:
    for permissions in (0, -1, 8, 15):
        with pytest.raises(AccountRefused, match="Permissions"):
            place.do(place.registry.add_token(account=ALICE, permissions=permissions))
    with pytest.raises(AccountRefused, match="label"):
        place.do(
            place.registry.add_key(
                account=ALICE, public_key=public_key(1), label="x" * 101, permissions=READ
            )
        )
    for account in (0, 1, 9):
        with pytest.raises(AccountRefused, match="not open"):
            place.do(place.registry.add_token(account=account, permissions=READ))
    for text in ("", "x" * 1001):
        with pytest.raises(AccountRefused):
            place.do(place.registry.set_password(ALICE_USER, text))
        with pytest.raises(AccountRefused):
            place.do(place.registry.set_second_factor(ALICE_USER, text.encode()))
    with pytest.raises(AccountRefused, match="not open"):
        place.do(place.registry.set_password(9, ARGON))


def test_keys_and_tokens_are_bounded_per_account(place: AccountsPlace) -> None:
    """At the limit a new one is refused; other accounts are unaffected; revoking makes room."""

    def add_key(number: int, account: int = ALICE) -> None:
        place.do(
            place.registry.add_key(
                account=account, public_key=public_key(number), label="", permissions=READ
            )
        )

    for number in range(KEYS_MAX):
        add_key(number)
    texts = [
        place.do(place.registry.add_token(account=ALICE, permissions=READ))[0]
        for _ in range(TOKENS_MAX)
    ]
    with pytest.raises(AccountRefused, match="Too many API keys"):
        add_key(50)
    with pytest.raises(AccountRefused, match="Too many tokens"):
        place.do(place.registry.add_token(account=ALICE, permissions=READ))
    add_key(51, BOB)
    digest = public_key_digest(public_key(0))
    assert place.do(place.registry.revoke(account=ALICE, digest=digest))
    add_key(50)
    assert place.do(place.registry.revoke(account=ALICE, digest=token_digest(texts[0])))
    place.do(place.registry.add_token(account=ALICE, permissions=READ))
    assert place.contradictions() == []


def test_revoked_keys_are_bounded_too(place: AccountsPlace) -> None:
    """Registering and revoking without end does not fill the log's table."""
    added = 0
    with pytest.raises(AccountRefused, match="Too many"):
        for added in range(1_000):
            key = crypto_sign_seed_keypair(added.to_bytes(32, "little"))[0]
            place.do(
                place.registry.add_key(account=ALICE, public_key=key, label="", permissions=READ)
            )
            digest = public_key_digest(key)
            assert place.do(place.registry.revoke(account=ALICE, digest=digest))
    assert added == KEYS_MAX * 21


def test_slots_of_ended_credentials_are_used_again(place: AccountsPlace) -> None:
    """Their rows are gone before, so that none contradicts the log."""
    place.exchange.do(
        admin_records.set_exchange(parameter=admin_records.OWNER_CREDENTIALS_MAX, value=2)
    )
    soon = place.exchange.time_ns + HOUR_NS
    expiring, _ = place.do(
        place.registry.add_token(account=ALICE, permissions=READ, expires_ns=soon)
    )
    found = place.lookup.by_token(expiring)
    for _ in range(5):
        text, _ = place.do(place.registry.add_token(account=ALICE, permissions=READ))
        assert place.contradictions() == []
        place.do(place.registry.revoke(account=ALICE, digest=token_digest(text)))
    place.exchange.time_ns = soon
    for _ in range(2):
        place.do(place.registry.add_token(account=ALICE, permissions=READ))
    assert place.contradictions() == []
    assert len(place.store.credentials(ALICE)) == 2
    assert place.lookup.by_token(expiring) is None
    assert found is not None and not place.lookup.is_live(found)


def test_a_crash_between_log_and_store_is_no_contradiction(place: AccountsPlace) -> None:
    """A key without a row works, and has no label; a revoked one with a row does not work."""
    exchange = place.exchange
    exchange.do(
        admin_records.add_credential(
            detail=public_key_digest(public_key(1)), credential_type=PUBLIC_KEY, owner=ALICE,
            permissions=READ,
        )
    )  # fmt: skip
    place.do(
        place.registry.add_key(
            account=ALICE, public_key=public_key(2), label="bot", permissions=READ
        )
    )
    exchange.do(
        admin_records.revoke_credential(detail=public_key_digest(public_key(2)), owner=ALICE)
    )
    assert place.lookup.by_key(public_key(1)) is not None
    assert place.lookup.by_key(public_key(2)) is None
    assert [each.label for each in place.do(place.registry.listed(ALICE))] == [""]
    assert place.contradictions() == []


def test_a_password_is_what_the_log_has(place: AccountsPlace) -> None:
    """Bound to user, e-mail and text; a new one replaces it; nothing of it is in a command."""
    registry = place.registry
    assert place.do(registry.password(ALICE_USER)) is None
    place.do(registry.set_password(ALICE_USER, ARGON))
    place.reopen()
    assert place.do(place.registry.password(ALICE_USER)) == ARGON
    assert place.do(place.registry.password(BOB_USER)) is None
    assert place.do(place.registry.password(99)) is None
    assert not any(ARGON.encode() in command for command in place.exchange.applied)
    place.do(place.registry.set_password(ALICE_USER, ARGON + "2"))
    assert place.do(place.registry.password(ALICE_USER)) == ARGON + "2"
    assert len(place.store.credentials(ALICE)) == 1
    assert place.contradictions() == []


@pytest.mark.parametrize(
    "edits",
    [
        ["UPDATE credential SET content = CAST(content || 'A' AS BLOB)"],
        ["UPDATE credential SET digest = randomblob(32)"],
        ["UPDATE user SET email = 'mallory@example.org' WHERE user_id = 1"],
        [
            "UPDATE credential SET account = 3",
            "UPDATE user SET account = 9 WHERE user_id = 1",
        ],
    ],
)
def test_a_changed_password_opens_nothing(place: AccountsPlace, edits: list[str]) -> None:
    place.do(place.registry.set_password(ALICE_USER, ARGON))
    place.edit(*edits)
    assert place.do(place.registry.password(ALICE_USER)) is None
    assert place.do(place.registry.password(BOB_USER)) is None
    assert place.contradictions()


def test_the_password_of_before_opens_nothing(place: AccountsPlace) -> None:
    """The row of an old backup: it is no contradiction, as its credential has ended."""
    place.do(place.registry.set_password(ALICE_USER, ARGON))
    (old,) = place.store.credentials(ALICE)
    place.do(place.registry.set_password(ALICE_USER, ARGON + "2"))
    (new,) = place.store.credentials(ALICE)
    place.store.remove_credentials([new.digest])
    place.store.put_credential(
        account=ALICE, credential_type=PASSWORD, digest=old.digest, content=old.content,
        created_ns=old.created_ns,
    )  # fmt: skip
    assert place.do(place.registry.password(ALICE_USER)) is None
    assert place.contradictions() == []


def test_a_second_factor_cannot_be_removed_in_the_file(place: AccountsPlace) -> None:
    """Without its row no login may skip it; a replaced one is refused too."""
    assert place.do(place.registry.second_factor(ALICE_USER)) is None
    place.do(place.registry.set_second_factor(ALICE_USER, b"secret 1"))
    place.do(place.registry.set_second_factor(ALICE_USER, b"secret 2"))
    assert place.do(place.registry.second_factor(ALICE_USER)) == b"secret 2"
    assert place.do(place.registry.second_factor(BOB_USER)) is None
    place.edit("UPDATE credential SET content = x'00'")
    with pytest.raises(SecretLost, match="user 1"):
        place.do(place.registry.second_factor(ALICE_USER))
    assert place.contradictions()
    place.edit("DELETE FROM credential")
    with pytest.raises(SecretLost, match="user 1"):
        place.do(place.registry.second_factor(ALICE_USER))
    assert place.contradictions() == []


def test_an_acting_credential_must_be_live(place: AccountsPlace) -> None:
    """A revoked key adds no other one."""
    place.do(
        place.registry.add_key(account=ALICE, public_key=public_key(1), label="", permissions=READ)
    )
    digest = public_key_digest(public_key(1))
    text, _ = place.do(place.registry.add_token(account=ALICE, permissions=READ, acting=1))
    assert place.do(place.registry.revoke(account=ALICE, digest=token_digest(text), acting=1))
    place.do(place.registry.revoke(account=ALICE, digest=digest))
    with pytest.raises(AccountRefused):
        place.do(place.registry.add_token(account=ALICE, permissions=READ, acting=1))


def test_concurrent_changes_keep_the_limit(place: AccountsPlace) -> None:
    """Ten at once, room for three."""

    async def add_all() -> list[object]:
        return await asyncio.gather(
            *[place.registry.add_token(account=ALICE, permissions=READ) for _ in range(10)],
            return_exceptions=True,
        )

    made = [each for each in asyncio.run(add_all()) if not isinstance(each, AccountRefused)]
    assert len(made) == TOKENS_MAX == len(place.store.credentials(ALICE))
    facts = place.exchange.credentials(ALICE)
    assert [fact.slot for fact in facts] == [1, 2, 3]
    assert all(fact.credential_type == TOKEN for fact in facts)


def test_what_was_found_is_forgotten_when_it_ends(place: AccountsPlace) -> None:
    """The look-up remembers objects of the core, which show their end at once."""
    text, _ = place.do(place.registry.add_token(account=ALICE, permissions=ALL_PERMISSIONS))
    access = place.lookup.by_token(text)
    assert access is not None
    order = records.place(
        account=ALICE, market=1, side=0, quantity=1, price=1, credential=access.credential
    )
    assert records.read_outcome(place.exchange.apply(order).events).status == records.NEW
    place.exchange.do(admin_records.revoke_credential(detail=access.digest, owner=ALICE))
    assert place.lookup.by_token(text) is None and not place.lookup.is_live(access)
    outcome = records.read_outcome(place.exchange.apply(order).events)
    assert (outcome.status, outcome.reason) == (records.REJECTED, records.BAD_CREDENTIAL)


def test_second_factors_are_of_their_own_type(place: AccountsPlace) -> None:
    place.do(place.registry.set_password(ALICE_USER, ARGON))
    place.do(place.registry.set_second_factor(ALICE_USER, ARGON.encode()))
    types = [row.type for row in place.store.credentials(ALICE)]
    assert types == [PASSWORD, SECOND_FACTOR]
    assert place.do(place.registry.listed(ALICE)) == []
    assert MAIL.encode() not in b"".join(place.exchange.applied)
