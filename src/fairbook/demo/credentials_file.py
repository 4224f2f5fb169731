"""`demo.json` and `maker.json`: addresses, and the keys and tokens of the demo's accounts.

Only these files have the secrets: the log has hashes of keys and tokens.
"""

import base64
import json
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from nacl.bindings import crypto_sign_seed_keypair

from fairbook.accounts.credential_registry import CredentialRegistry
from fairbook.core.admin_records import TOKEN
from fairbook.log.durable_file import write_file
from fairbook.ports.accounts import ALL_PERMISSIONS, Accounts

FILE_NAME: Final = "demo.json"
MAKER_FILE_NAME: Final = "maker.json"
LABEL: Final = "demo"
"""Of the keys that are made here."""

Credential = dict[str, str]
"""apiKey and apiSecret, the two halves of a key in base64, and token."""

_FIELDS: Final = ("apiKey", "apiSecret", "token")


async def write_credentials(
    path: Path,
    accounts: Accounts,
    registry: CredentialRegistry,
    numbers: Mapping[str, int],
    *,
    http_url: str,
    ws_url: str,
    **more: Any,
) -> dict[str, Credential]:
    """Write addresses and the credential of each account: the one in the file if it is still valid,
    else a new one, for which old ones are revoked. numbers: of accounts, by name. more: what else
    the file has. Raises Stopped if the log fails.
    """
    stored = _read(path, numbers)
    credentials: dict[str, Credential] = {}
    for name, number in numbers.items():
        credential = stored.get(name)
        if credential is None or not _is_valid(credential, accounts, number):
            credential = await _replace(registry, number)
        credentials[name] = credential
    content = {"http": http_url, "ws": ws_url, "accounts": credentials, **more}
    write_file(path, [json.dumps(content, indent=2).encode() + b"\n"])
    return credentials


def _read(path: Path, names: Iterable[str]) -> dict[str, Credential]:
    """What the file has; nothing, if it is missing or damaged."""
    try:
        stored = json.loads(path.read_bytes())["accounts"]
        return {name: {field: str(stored[name][field]) for field in _FIELDS} for name in names}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}


def _is_valid(credential: Credential, accounts: Accounts, account: int) -> bool:
    """Whether the halves of the key match, and key and token give access to the account."""
    try:
        seed = base64.b64decode(credential["apiSecret"], validate=True)
        public_key = base64.b64decode(credential["apiKey"], validate=True)
    except ValueError:
        return False
    if len(seed) != 32 or crypto_sign_seed_keypair(seed)[0] != public_key:
        return False
    return all(
        access is not None and access.account == account and access.permissions == ALL_PERMISSIONS
        for access in (accounts.by_key(public_key), accounts.by_token(credential["token"]))
    )


async def _replace(registry: CredentialRegistry, account: int) -> Credential:
    """A new key and token, in place of the demo's old ones."""
    for old in await registry.listed(account):
        if old.label == LABEL or old.fact.credential_type == TOKEN:
            await registry.revoke(account=account, digest=old.fact.digest)
    seed = secrets.token_bytes(32)
    public_key = crypto_sign_seed_keypair(seed)[0]
    await registry.add_key(
        account=account, public_key=public_key, label=LABEL, permissions=ALL_PERMISSIONS
    )
    new_token, _ = await registry.add_token(account=account, permissions=ALL_PERMISSIONS)
    return {
        "apiKey": base64.b64encode(public_key).decode(),
        "apiSecret": base64.b64encode(seed).decode(),
        "token": new_token,
    }
