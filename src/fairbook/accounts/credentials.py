"""Users, public keys and bearer tokens, and the rules for them.

Invariants:
- of a key the exchange stores the public half only, of a token only its hash;
- a public key is 32 canonical bytes of a point of full order, so that a signature fits one key and
  one text.
"""

import secrets
from hashlib import blake2b
from typing import Final, NamedTuple

from nacl.bindings import crypto_core_ed25519_is_valid_point

from fairbook.ports.accounts import ALL_PERMISSIONS, AccountRefused

PUBLIC_KEY_BYTES: Final = 32
TOKEN_HASH_BYTES: Final = 32
TOKEN_CHARACTERS: Final = 43  # 256 random bits, base64url without padding


class AccountsDamaged(Exception):
    """The store cannot be read or trusted. The message names the file and the fault."""


class User(NamedTuple):
    """A person or a program. `account` 0: not opened yet."""

    user_id: int
    name: str | None
    email: str | None
    account: int
    created_ns: int


class Key(NamedTuple):
    """A registered public key. `revoked_ns` 0: live."""

    key_id: int
    account: int
    public_key: bytes
    label: str
    permissions: int
    created_ns: int
    revoked_ns: int


class Token(NamedTuple):
    """A bearer token. `expires_ns` 0: never."""

    token_id: int
    account: int
    permissions: int
    created_ns: int
    expires_ns: int


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


def token_hash(token: str) -> bytes:
    """The stored hash. No salt: 256 random bits cannot be guessed."""
    return blake2b(token.encode("ascii"), digest_size=TOKEN_HASH_BYTES).digest()
