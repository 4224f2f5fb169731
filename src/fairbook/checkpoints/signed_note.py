"""Signed notes: a text of lines, and below it the signature of the exchange's key.

Source of the form: c2sp.org/signed-note. Signatures of other keys may stand beside that of the
exchange, and are ignored.
"""

import re
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import Final

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

NAME: Final = "fairbook"
ED25519: Final = b"\x01"
SEED_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

_SIGNATURE: Final = re.compile(r"\u2014 (?P<name>[!-*,-~]+) (?P<signature>[A-Za-z0-9+/]+={0,2})\n")
_SIGNATURES: Final = re.compile(r"(?:\u2014 [!-*,-~]+ [A-Za-z0-9+/]+={0,2}\n){1,16}")


class NoteInvalid(Exception):
    """A text that is not of the kind that it should be, or that its key has not signed."""


def public_key(seed: bytes) -> bytes:
    public, _ = crypto_sign_seed_keypair(seed)
    return bytes(public)


def key_text(public: bytes) -> str:
    """The text by which others know a public key: NAME+HASH+KEY, as signed notes have it."""
    key = ED25519 + public
    return f"{NAME}+{_key_hash(public).hex()}+{b64encode(key).decode()}"


def parse_key_text(text: str) -> bytes:
    """The public key of a text of `key_text`. Raises NoteInvalid."""
    name, _, rest = text.strip().partition("+")
    found_hash, _, encoded = rest.partition("+")
    try:
        key = b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    public = key[1:]
    if name != NAME or key[:1] != ED25519 or len(public) != 32:
        raise NoteInvalid(f"not a key of the form fairbook+HASH+KEY: {text.strip()[:100]}")
    if found_hash != _key_hash(public).hex():
        raise NoteInvalid(f"the hash in this key is wrong: {text.strip()[:100]}")
    return public


def key_digest(public: bytes) -> bytes:
    """16 bytes: what the log has of the key that signs from some checkpoint on."""
    return sha256(f"{NAME} key\n".encode() + public).digest()[:16]


def sign_text(text: str, seed: bytes) -> str:
    """The note of a text, which ends with a newline. seed: the secret key of the exchange."""
    public, secret = crypto_sign_seed_keypair(seed)
    signature = crypto_sign(text.encode(), secret)[:SIGNATURE_BYTES]
    encoded = b64encode(_key_hash(public) + signature).decode()
    return f"{text}\n\u2014 {NAME} {encoded}\n"


def split_note(note: str) -> tuple[str, str]:
    """The text, with its last newline, and the lines of the signatures: "" if what stands there is
    anything else.
    """
    text, _, signatures = note.partition("\n\n")
    return f"{text}\n", signatures if _SIGNATURES.fullmatch(signatures) else ""


def is_signed(text: str, signatures: str, public: bytes) -> bool:
    """Whether this key has signed the text. Lines of other keys are ignored."""
    content = _signature_of(public, signatures)
    if content is None:
        return False
    try:
        crypto_sign_open(content[4:] + text.encode(), public)
    except (BadSignatureError, ValueError):
        return False
    return True


def canonical(note: str, public: bytes) -> str:
    """A note that this key has signed, with this signature alone."""
    text, signatures = split_note(note)
    content = _signature_of(public, signatures)
    return note if content is None else f"{text}\n\u2014 {NAME} {b64encode(content).decode()}\n"


def _signature_of(public: bytes, signatures: str) -> bytes | None:
    """Hash of the key, and the signature, in the first line that is said to be of this key."""
    for found in _SIGNATURE.finditer(signatures):
        try:
            content = b64decode(found["signature"], validate=True)
        except ValueError:
            continue
        if found["name"] == NAME and content[:4] == _key_hash(public):
            return content
    return None


def _key_hash(public: bytes) -> bytes:
    return sha256(f"{NAME}\n".encode() + ED25519 + public).digest()[:4]
