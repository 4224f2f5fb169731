"""Users and credentials as the store has them, and the rules for new ones.

A credential here is a label on a fact of the log: alone it opens nothing.

Invariants:
- of a key the exchange stores the public half only, of a token nothing but its hash;
- a public key is 32 canonical bytes of a point of full order, so that a signature fits one key and
  one text.
"""

import secrets
from typing import Final, NamedTuple

from nacl.bindings import crypto_core_ed25519_is_valid_point

from fairbook.core.admin_records import PASSWORD, PUBLIC_KEY, SECOND_FACTOR
from fairbook.ports.accounts import ALL_PERMISSIONS, AccountRefused
from fairbook.ports.digests import password_digest, public_key_digest, second_factor_digest

PUBLIC_KEY_BYTES: Final = 32
TOKEN_CHARACTERS: Final = 43  # 256 random bits, base64url without padding
LABEL_CHARACTERS_MAX: Final = 100
PASSWORD_TEXT_MAX: Final = 1000  # characters of an argon2id text
SECOND_FACTOR_BYTES_MAX: Final = 1000


class AccountsDamaged(Exception):
    """The store cannot be read or trusted. The message names the file and the fault."""


class User(NamedTuple):
    """A person or a program. `account`: as the log has it; 0: not opened yet."""

    user_id: int
    name: str | None
    email: str | None
    email_folded: str | None
    account: int
    created_ns: int


class StoredCredential(NamedTuple):
    """What the store adds to a credential of the log, and the terms of it, for comparison.

    content: of a public key its 32 bytes, of a password its argon2id text, of a second factor its
    secret record; of a token nothing.
    """

    credential_id: int
    account: int
    type: int  # PUBLIC_KEY, TOKEN, PASSWORD or SECOND_FACTOR
    digest: bytes
    content: bytes
    label: str
    permissions: int
    expires_ns: int
    created_ns: int  # log time


def content_digest(stored: StoredCredential, *, user_id: int, email: str) -> bytes:
    """The hash that its content has in the log; user and e-mail are those of the account. A token
    has no content: its hash is what is stored.
    """
    if stored.type == PUBLIC_KEY:
        return public_key_digest(stored.content)
    if stored.type == PASSWORD:
        text = stored.content.decode(errors="replace")
        return password_digest(user_id=user_id, email=email, text=text)
    if stored.type == SECOND_FACTOR:
        return second_factor_digest(user_id=user_id, record=stored.content)
    return stored.digest


def check_public_key(public_key: bytes) -> None:
    """Raise AccountRefused unless it is the canonical encoding of a point of full order.

    A key of small order verifies signatures that were never made; with a second encoding a key
    could be registered twice.
    """
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise AccountRefused(f"A public key has {PUBLIC_KEY_BYTES} bytes, not {len(public_key)}")
    if not crypto_core_ed25519_is_valid_point(public_key):
        raise AccountRefused("The public key is not a valid ED25519 key")


def check_permissions(permissions: int) -> None:
    """Raise AccountRefused unless at least one and only known permissions are set."""
    if permissions <= 0 or permissions & ~ALL_PERMISSIONS:
        raise AccountRefused("Permissions are one or more of read, trade and withdraw")


def new_token() -> str:
    return secrets.token_urlsafe(32)
