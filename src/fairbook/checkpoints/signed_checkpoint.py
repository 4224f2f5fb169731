"""What an exchange says about its log at one position, signed with its key.

Design: the text has one field a line; around it is a signed note, as transparency logs use it
(signed_note.py). It is no Merkle tree: each checkpoint has the SHA-256 of the one before, and the
chain of the log proves that the log was only extended.

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
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final, NamedTuple

from fairbook.checkpoints.signed_note import (
    NoteInvalid,
    is_signed,
    key_text,
    parse_key_text,
    sign_text,
    split_note,
)

NO_CHECKPOINT: Final = bytes(32)

_TEXT: Final = re.compile(
    r"fairbook checkpoint\nposition (?P<position>[0-9]{1,18})\ntime (?P<time>[0-9]{1,20})\n"
    r"chain (?P<chain>[0-9a-f]{64})\nevents (?P<events>[0-9a-f]{64})\n"
    r"state (?P<state_position>[0-9]{1,18}) (?P<state>[0-9a-f]{64})\n"
    r"previous (?P<previous>[0-9a-f]{64})\n"
    r"(?:next-key (?P<next_key>[!-~]{1,200})\n)?"
)


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
    def text(self) -> str:
        """What is signed. Two notes with the same text say the same."""
        return split_note(self.note)[0]

    @property
    def hash(self) -> bytes:
        return sha256(self.text.encode()).digest()


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
        text += f"next-key {key_text(next_key)}\n"
    return parse(sign_text(text, seed))


def parse(note: str, public: bytes | None = None) -> SignedCheckpoint:
    """Read a note. public: the key that must have signed it; None: its signature is not checked.
    Raises NoteInvalid.
    """
    text, signatures = split_note(note)
    found = _TEXT.fullmatch(text)
    if found is None or not signatures:
        raise NoteInvalid(f"no checkpoint: {note[:100]!r}")
    if public is not None and not is_signed(text, signatures, public):
        raise NoteInvalid(f"position {found['position']} is not signed by this key")
    return SignedCheckpoint(
        position=int(found["position"]),
        time_ns=int(found["time"]),
        chain=bytes.fromhex(found["chain"]),
        event_hash=bytes.fromhex(found["events"]),
        state_position=int(found["state_position"]),
        state_digest=bytes.fromhex(found["state"]),
        previous=bytes.fromhex(found["previous"]),
        next_key=parse_key_text(found["next_key"]) if found["next_key"] else None,
        note=note,
    )


def is_signed_by(note: str, public: bytes) -> bool:
    """Whether a note is a checkpoint that this key has signed."""
    try:
        parse(note, public)
    except NoteInvalid:
        return False
    return True


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
