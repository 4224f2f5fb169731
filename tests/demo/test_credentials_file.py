"""The keys and tokens of the demo: stable over restarts, replaced when the file is lost."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from nacl.bindings import crypto_sign_seed_keypair

from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.demo import first_state as demo
from fairbook.demo.credentials_file import FILE_NAME, TRADERS, Credential, write_credentials
from fairbook.ports.accounts import ALL_PERMISSIONS, READ
from tests.demo.first_states import OWNERS


def store_with_accounts(path: Path) -> tuple[SqliteAccounts, dict[str, int]]:
    accounts = SqliteAccounts(path / "accounts.db")
    owners = dict(OWNERS)
    for name, account in owners.items():
        if accounts.user(demo.USERS[name]) is None:
            accounts.add_user(user_id=demo.USERS[name], name=name)
            accounts.set_account(demo.USERS[name], account)
    return accounts, owners


def write(path: Path, accounts: SqliteAccounts, owners: dict[str, int]) -> dict[str, Credential]:
    return write_credentials(path, accounts, owners, http_url="http://h", ws_url="ws://h")


def test_keys_and_tokens_survive_restarts(tmp_path: Path) -> None:
    """The file is readable by its owner alone."""
    file = tmp_path / FILE_NAME
    accounts, owners = store_with_accounts(tmp_path)
    traders = write(file, accounts, owners)
    accounts.close()

    content = json.loads(file.read_text())
    assert content == {
        "http": "http://h",
        "ws": "ws://h",
        "accounts": {
            name: {field: credential[field] for field in ("apiKey", "apiSecret", "token")}
            for name, credential in traders.items()
        },
    }
    assert list(traders) == ["demo1", "demo2"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("demo*")] == [FILE_NAME]

    accounts, owners = store_with_accounts(tmp_path)
    assert write(file, accounts, owners) == traders
    for name, credential in traders.items():
        seed = base64.b64decode(credential["apiSecret"])
        public_key = base64.b64decode(credential["apiKey"])
        assert crypto_sign_seed_keypair(seed)[0] == public_key
        for access in (accounts.by_key(public_key), accounts.by_token(credential["token"])):
            assert access is not None
            assert (access.account, access.permissions) == (owners[name], ALL_PERMISSIONS)
    accounts.close()


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
    tmp_path: Path, damage: Callable[[bytes], bytes] | None
) -> None:
    """The keys and tokens that are lost are revoked; keys that a person added stay."""
    file = tmp_path / FILE_NAME
    accounts, owners = store_with_accounts(tmp_path)
    own_key = crypto_sign_seed_keypair(bytes(32))[0]
    accounts.add_key(account=2, public_key=own_key, label="mine", permissions=READ)
    old = write(file, accounts, owners)
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage(file.read_bytes()))

    new = write(file, accounts, owners)
    for name in TRADERS:
        assert accounts.by_key(base64.b64decode(old[name]["apiKey"])) is None
        assert accounts.by_token(old[name]["token"]) is None
        assert accounts.by_key(base64.b64decode(new[name]["apiKey"])) is not None
        assert accounts.by_token(new[name]["token"]) is not None
        assert new[name]["apiSecret"] != old[name]["apiSecret"]
    assert accounts.by_key(own_key) is not None
    accounts.close()


def test_only_the_credential_that_is_not_valid_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    accounts, owners = store_with_accounts(tmp_path)
    old = write(file, accounts, owners)
    accounts.revoke_token(account=3, token_id=accounts.tokens(3)[0].token_id)
    new = write(file, accounts, owners)
    assert new["demo1"] == old["demo1"]
    assert new["demo2"] != old["demo2"]
    accounts.close()
