"""The keys and tokens of the demo: stable over restarts, replaced when the file is lost."""

from __future__ import annotations

import asyncio
import base64
import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nacl.bindings import crypto_sign_seed_keypair

from fairbook.accounts.credential_registry import CredentialRegistry
from fairbook.accounts.logged_credentials import LoggedCredentials
from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.core import admin_records
from fairbook.demo.credentials_file import FILE_NAME, Credential, write_credentials
from fairbook.ports.accounts import ALL_PERMISSIONS, READ, Access
from fairbook.ports.digests import token_digest
from tests.demo.first_states import OWNERS
from tests.world.direct_exchange import DirectExchange

TRADERS = {name: OWNERS[name] for name in ("demo1", "demo2")}


class Demo:
    """The demo's accounts in a log, its store and the file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / FILE_NAME
        self.exchange = DirectExchange()
        self.exchange.do(
            admin_records.rules(), *[admin_records.open_account(user_id) for user_id in range(1, 5)]
        )
        self.store = SqliteAccounts(folder / "accounts.db")
        self.registry = CredentialRegistry(self.store, self.exchange, self.exchange)
        self.lookup = LoggedCredentials(self.exchange, now_ns=self.exchange.log_time_ns)

    def write(self) -> dict[str, Credential]:
        return asyncio.run(
            write_credentials(
                self.file, self.lookup, self.registry, TRADERS, http_url="http://h", ws_url="ws://h"
            )
        )

    def accesses(self, credential: Credential) -> list[Access | None]:
        key = base64.b64decode(credential["apiKey"])
        return [self.lookup.by_key(key), self.lookup.by_token(credential["token"])]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Demo]:
    place = Demo(tmp_path)
    yield place
    place.store.close()


def test_keys_and_tokens_survive_restarts(place: Demo, tmp_path: Path) -> None:
    """The file is readable by its owner alone; without the store they are valid too."""
    traders = place.write()
    content = json.loads(place.file.read_text())
    assert content == {
        "http": "http://h",
        "ws": "ws://h",
        "accounts": {
            name: {field: credential[field] for field in ("apiKey", "apiSecret", "token")}
            for name, credential in traders.items()
        },
    }
    assert list(traders) == ["demo1", "demo2"]
    assert stat.S_IMODE(place.file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("demo*")] == [FILE_NAME]
    logged = place.exchange.position
    assert place.write() == traders
    place.store.remove_credentials([row.digest for row in place.store.credentials(2)])
    assert place.write() == traders
    assert place.exchange.position == logged
    for name, credential in traders.items():
        seed = base64.b64decode(credential["apiSecret"])
        public_key = base64.b64decode(credential["apiKey"])
        assert crypto_sign_seed_keypair(seed)[0] == public_key
        for access in place.accesses(credential):
            assert access is not None
            assert (access.account, access.permissions) == (OWNERS[name], ALL_PERMISSIONS)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:100],
        lambda content: b"[]",
        lambda content: b'{"accounts": {"demo1": 1}}',
        lambda content: b"\xff\xfe",
        lambda content: content.replace(b'"apiSecret": "', b'"apiSecret": "AAAA'),
        lambda content: content.replace(b'"apiSecret": "', b'"apiSecret": "\xc3\xa9'),
        lambda content: content.replace(b'"token": "', b'"token": "x'),
        None,
    ],
)
def test_a_missing_or_damaged_file_means_new_keys(
    place: Demo, damage: Callable[[bytes], bytes] | None
) -> None:
    """The keys and tokens that are lost are revoked; keys that a person added stay."""
    own_key = crypto_sign_seed_keypair(bytes(32))[0]
    asyncio.run(
        place.registry.add_key(account=2, public_key=own_key, label="mine", permissions=READ)
    )
    old = place.write()
    if damage is None:
        place.file.unlink()
    else:
        place.file.write_bytes(damage(place.file.read_bytes()))

    new = place.write()
    for name in ("demo1", "demo2"):
        assert place.accesses(old[name]) == [None, None]
        assert None not in place.accesses(new[name])
        assert new[name]["apiSecret"] != old[name]["apiSecret"]
    assert place.lookup.by_key(own_key) is not None


def test_only_the_credential_that_is_not_valid_is_replaced(place: Demo) -> None:
    old = place.write()
    digest = token_digest(old["demo2"]["token"])
    assert asyncio.run(place.registry.revoke(account=3, digest=digest))
    new = place.write()
    assert new["demo1"] == old["demo1"]
    assert new["demo2"] != old["demo2"]


def test_rows_of_the_store_do_not_decide_whose_keys_are_written(place: Demo) -> None:
    """A file that another account's key was written into is not valid for this account."""
    old = place.write()
    content = json.loads(place.file.read_text())
    content["accounts"]["demo1"] = content["accounts"]["demo2"]
    place.file.write_text(json.dumps(content))
    new = place.write()
    assert new["demo1"] not in old.values() and new["demo2"] == old["demo2"]
    assert all(access and access.account == 2 for access in place.accesses(new["demo1"]))
