"""What an exchange says about its log at one position, signed with its key.

Design: the text has one field a line; around it is a signed note, as transparency logs use it
(source: c2sp.org/signed-note). It is no Merkle tree: each checkpoint has the SHA-256 of the one
before, and the chain of the log proves that the log was only extended.

    fairbook checkpoint
    position 4077
    time 1795745057801930159
    chain 9f86…
    events 60303…
    state 4012 fd61…
    previous 5feceb…

    — fairbook Xk3A…

`state`: position and digest of the newest state that two engines have agreed on, or that the full
replay has saved; position 0 and zeros if there is none. A last line `next-key fairbook+…`: the
checkpoints after this one are signed with that key.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final, NamedTuple

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

NAME: Final = "fairbook"
ED25519: Final = b"\x01"
SEED_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
NO_CHECKPOINT: Final = bytes(32)

_TEXT: Final = re.compile(
    r"fairbook checkpoint\nposition (?P<position>\d{1,18})\ntime (?P<time>\d{1,20})\n"
    r"chain (?P<chain>[0-9a-f]{64})\nevents (?P<events>[0-9a-f]{64})\n"
    r"state (?P<state_position>\d{1,18}) (?P<state>[0-9a-f]{64})\n"
    r"previous (?P<previous>[0-9a-f]{64})\n"
    r"(?:next-key (?P<next_key>[!-~]{1,200})\n)?"
)
_SIGNATURE: Final = re.compile(r"\u2014 (?P<name>[^ +\n]+) (?P<signature>[A-Za-z0-9+/]+=*)\n")


class CheckpointInvalid(Exception):
    """A text that is no checkpoint, or that its key has not signed."""


class SignedCheckpoint(NamedTuple):
    """The fields of a checkpoint, and the note that has them."""

    position: int
    time_ns: int
    chain: bytes
    event_hash: bytes
    state_position: int
    state_digest: bytes
    previous: bytes  # hash of the checkpoint before
    next_key: bytes | None  # that signs the checkpoints after this one; None: the same
    note: str

    @property
    def hash(self) -> bytes:
        return sha256(self.note.encode()).digest()


def public_key(seed: bytes) -> bytes:
    public, _ = crypto_sign_seed_keypair(seed)
    return bytes(public)


def verifier(public: bytes) -> str:
    """The text by which others know a public key: NAME+HASH+KEY, as signed notes have it."""
    key = ED25519 + public
    return f"{NAME}+{_key_hash(public).hex()}+{b64encode(key).decode()}"


def read_verifier(text: str) -> bytes:
    """The public key of a text of `verifier`. Raises CheckpointInvalid."""
    name, _, rest = text.strip().partition("+")
    found_hash, _, encoded = rest.partition("+")
    try:
        key = b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    public = key[1:]
    if name != NAME or key[:1] != ED25519 or len(public) != 32:
        raise CheckpointInvalid(f"no key of an exchange: {text.strip()[:100]}")
    if found_hash != _key_hash(public).hex():
        raise CheckpointInvalid(f"the hash in this key is wrong: {text.strip()[:100]}")
    return public


def sign(
    *,
    position: int,
    time_ns: int,
    chain: bytes,
    event_hash: bytes,
    state_position: int,
    state_digest: bytes,
    previous: bytes,
    seed: bytes,
    next_key: bytes | None = None,
) -> SignedCheckpoint:
    """seed: the secret key of the exchange. The hashes have 32 bytes."""
    text = (
        f"fairbook checkpoint\nposition {position}\ntime {time_ns}\nchain {chain.hex()}\n"
        f"events {event_hash.hex()}\nstate {state_position} {state_digest.hex()}\n"
        f"previous {previous.hex()}\n"
    )
    if next_key is not None:
        text += f"next-key {verifier(next_key)}\n"
    public, secret = crypto_sign_seed_keypair(seed)
    signature = crypto_sign(text.encode(), secret)[:SIGNATURE_BYTES]
    encoded = b64encode(_key_hash(public) + signature).decode()
    return parse(f"{text}\n\u2014 {NAME} {encoded}\n")


def parse(note: str, public: bytes | None = None) -> SignedCheckpoint:
    """Read a note. public: the key that must have signed it; None: its signature is not checked.
    Raises CheckpointInvalid.
    """
    text, gap, signatures = note.partition("\n\n")
    text += "\n"
    found = _TEXT.fullmatch(text)
    if found is None or not gap or not signatures.endswith("\n"):
        raise CheckpointInvalid(f"no checkpoint: {note[:100]!r}")
    if public is not None and not _is_signed(text, signatures, public):
        raise CheckpointInvalid(f"position {found['position']} is not signed by this key")
    return SignedCheckpoint(
        position=int(found["position"]),
        time_ns=int(found["time"]),
        chain=bytes.fromhex(found["chain"]),
        event_hash=bytes.fromhex(found["events"]),
        state_position=int(found["state_position"]),
        state_digest=bytes.fromhex(found["state"]),
        previous=bytes.fromhex(found["previous"]),
        next_key=read_verifier(found["next_key"]) if found["next_key"] else None,
        note=note,
    )


def is_signed_by(note: str, public: bytes) -> bool:
    """Whether a note is a checkpoint that this key has signed."""
    try:
        parse(note, public)
    except CheckpointInvalid:
        return False
    return True


def key_digest(public: bytes) -> bytes:
    """16 bytes: what the log has of the key that signs from some checkpoint on."""
    return sha256(f"{NAME} key\n".encode() + public).digest()[:16]


def split_notes(lines: Iterable[str]) -> Iterator[str]:
    """The notes of a file, one after another: each ends with the lines of its signatures."""
    note: list[str] = []
    is_signed = False
    for line in lines:
        if is_signed and not line.startswith("\u2014"):
            yield "".join(note)
            note, is_signed = [], False
        is_signed = is_signed or line.startswith("\u2014")
        note.append(line)
    if note:
        yield "".join(note)


def _is_signed(text: str, signatures: str, public: bytes) -> bool:
    """Lines of other keys are ignored, as signed notes have it."""
    for found in _SIGNATURE.finditer(signatures):
        try:
            content = b64decode(found["signature"], validate=True)
        except ValueError:
            continue
        if found["name"] != NAME or content[:4] != _key_hash(public):
            continue
        try:
            crypto_sign_open(content[4:] + text.encode(), public)
        except (BadSignatureError, ValueError):
            return False
        return True
    return False


def _key_hash(public: bytes) -> bytes:
    return sha256(f"{NAME}\n".encode() + ED25519 + public).digest()[:4]
