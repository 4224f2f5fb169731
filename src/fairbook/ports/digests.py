"""The hashes by which the log knows credentials and withdrawals.

The log has these 32 bytes and nothing that they are made from. Each is SHA-256 over a prefix of its
own and what stands after it; of several fields each is preceded by its length, so that no two lists
of fields give the same bytes. Reference: docs/reference/credentials.md.
"""

import unicodedata
from hashlib import sha256
from typing import Final

DIGEST_BYTES: Final = 32

_PUBLIC_KEY: Final = b"fairbook public key"
_TOKEN: Final = b"fairbook token"
_WEBHOOK: Final = b"fairbook webhook"
_PASSWORD: Final = b"fairbook password"
_SECOND_FACTOR: Final = b"fairbook second factor"
_WITHDRAWAL: Final = b"fairbook withdrawal"
_REASON: Final = b"fairbook reason"
_REFERENCE: Final = b"fairbook reference"
_PROPOSAL: Final = b"fairbook proposal"
_ANNOUNCEMENT: Final = b"fairbook announcement"
_RESET: Final = b"fairbook password reset"
_INVITATION: Final = b"fairbook invitation"


def public_key_digest(public_key: bytes) -> bytes:
    return sha256(_PUBLIC_KEY + public_key).digest()


def token_digest(token: str) -> bytes:
    """No salt: a token has 256 random bits. `token` is any text from outside."""
    return sha256(_TOKEN + token.encode("utf-8", "surrogatepass")).digest()


def webhook_digest(secret: str) -> bytes:
    """As of a token; it differs, so that the secret is not one."""
    return sha256(_WEBHOOK + secret.encode("utf-8", "surrogatepass")).digest()


def password_digest(*, user_id: int, email: str, text: str) -> bytes:
    """`text`: the complete argon2id text, with its salt. It binds the text to user and e-mail."""
    return _digest(_PASSWORD, user_id, folded(email), text)


def second_factor_digest(*, user_id: int, record: bytes) -> bytes:
    """`record`: the secret as it is stored."""
    return _digest(_SECOND_FACTOR, user_id, record)


def withdrawal_digest(
    *, withdrawal_id: int, asset: int, network: str, address: str, memo: str, nonce: bytes
) -> bytes:
    """`nonce`: 16 random bytes, so that an address cannot be guessed from the hash."""
    return _digest(_WITHDRAWAL, withdrawal_id, asset, network, address, memo, nonce)


def reason_digest(text: str) -> bytes:
    """Of the reason that an operator gives for an act."""
    return _digest(_REASON, text)


def money_reference(source: str, name: str) -> bytes:
    """16 bytes: of a payment that its source knows by this name."""
    return _digest(_REFERENCE, source, name)[:16]


def proposal_digest(text: str) -> bytes:
    """16 bytes: of an act that an operator proposes, as canonical text."""
    return _digest(_PROPOSAL, text)[:16]


def announcement_digest(text: str) -> bytes:
    """15 bytes: with its word it fills a note."""
    return _digest(_ANNOUNCEMENT, text)[:15]


def reset_digest(account: int, code_hash: bytes) -> bytes:
    """16 bytes: of a code, by its hash, with which the user of an account sets a new password."""
    return _digest(_RESET, account, code_hash)[:16]


def invitation_digest(code: str) -> bytes:
    """16 bytes. No salt: a code has 256 random bits. `code` is any text from outside."""
    return sha256(_INVITATION + code.encode("utf-8", "surrogatepass")).digest()[:16]


def folded(email: str) -> str:
    """The form of an e-mail address in which two that differ only in case are equal."""
    return unicodedata.normalize("NFC", email).casefold()


def _digest(prefix: bytes, *fields: int | str | bytes) -> bytes:
    """Numbers as 8 bytes, texts as UTF-8, each field after its length of 4 bytes."""
    digest = sha256(prefix)
    for field in fields:
        if isinstance(field, int):
            field = field.to_bytes(8, "little", signed=True)
        elif isinstance(field, str):
            field = field.encode("utf-8", "surrogatepass")
        digest.update(len(field).to_bytes(4, "little"))
        digest.update(field)
    return digest.digest()
