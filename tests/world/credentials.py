"""Commands of an operator that give accounts keys and tokens."""

from nacl.signing import SigningKey

from fairbook.core import admin_records
from fairbook.ports.accounts import ALL_PERMISSIONS
from fairbook.ports.digests import public_key_digest, token_digest


def key_added(account: int, key: SigningKey, permissions: int = ALL_PERMISSIONS) -> bytes:
    return admin_records.add_credential(
        detail=public_key_digest(bytes(key.verify_key)), credential_type=admin_records.PUBLIC_KEY,
        owner=account, permissions=permissions,
    )  # fmt: skip


def token_added(
    account: int, token: str, permissions: int = ALL_PERMISSIONS, *, expires_ns: int = 0
) -> bytes:
    return admin_records.add_credential(
        detail=token_digest(token), credential_type=admin_records.TOKEN, owner=account,
        permissions=permissions, expires_ns=expires_ns,
    )  # fmt: skip


def key_revoked(account: int, key: SigningKey) -> bytes:
    digest = public_key_digest(bytes(key.verify_key))
    return admin_records.revoke_credential(detail=digest, owner=account)


def token_revoked(account: int, token: str) -> bytes:
    return admin_records.revoke_credential(detail=token_digest(token), owner=account)
