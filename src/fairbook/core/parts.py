"""The bytes of records that stand before a command: its parts, and the origin of a frame.

Layout in words: docs/reference/protocol.md, "Parts" and "Frames with an origin". Parts and the
command that they belong to are one unit: one sequence, one outcome.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, final

from librt.strings import read_i64_le
from mypy_extensions import i64

from fairbook.core.records import (
    ADD_CREDENTIAL,
    AMEND,
    BEGIN_GATEWAY,
    CANCEL,
    CANCEL_ALL,
    COMMAND_BYTES,
    DETAIL_PART,
    END_GATEWAY,
    END_SESSION,
    HAS_CLIENT_ID,
    HAS_DETAIL,
    HAS_OPERATOR,
    HAS_SIGNATURE,
    HAS_TEXT_PART,
    HOLD,
    LOW,
    NOTE,
    OPERATOR_PART,
    ORIGIN,
    ORIGIN_REST,
    PAUSE,
    PLACE,
    REVOKE_CREDENTIAL,
    SIGNATURE_PART,
    TEXT_PART,
    TICK,
)

TEXT_CHARACTERS_MAX: Final = 36
DETAIL_BYTES: Final = 32
SIGNATURE_BYTES: Final = 16  # of a used signature's hash
FRAME_SIGNATURE_BYTES: Final = 64
ORIGIN_BYTES: Final = 2 * COMMAND_BYTES

_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/-"
_DIGITS: Final = b"0123456789"
_SIGNATURE: Final = Struct("<B7x16s24x")
_DETAIL: Final = Struct("<B15x32s")
_OPERATOR: Final = Struct("<BxHIq32s")
_ORIGIN: Final = Struct("<B7xqq24s")
_ORIGIN_REST: Final = Struct("<B7x40s")
_SIGNED: Final = b"fairbook frame"
_PLACE: Final = Struct("<qqq")


def with_signature(command: bytes, signature_hash: bytes) -> bytes:
    """The unit of an order command and the signature that ordered it (16 bytes of its hash)."""
    part = _SIGNATURE.pack(SIGNATURE_PART, _exactly(SIGNATURE_BYTES, signature_hash))
    return _with_part(command, HAS_SIGNATURE, part)


def with_detail(command: bytes, detail: bytes) -> bytes:
    """The unit of a command and 32 bytes that belong to it."""
    part = _DETAIL.pack(DETAIL_PART, _exactly(DETAIL_BYTES, detail))
    return _with_part(command, HAS_DETAIL, part)


def with_operator(
    command: bytes, *, operator: int, reason_hash: bytes, reference: int = 0, credential: int = 0
) -> bytes:
    """The unit of a command and who ordered it, with which credential (slot), and why."""
    hashed = _exactly(DETAIL_BYTES, reason_hash)
    part = _OPERATOR.pack(OPERATOR_PART, credential, operator, reference, hashed)
    return _with_part(command, HAS_OPERATOR, part)


def _with_part(unit: bytes, bit: int, part: bytes) -> bytes:
    """Parts are added by rising kind: text, signature, detail, operator."""
    at = len(unit) - COMMAND_BYTES
    known = unit[at + 2]
    if known >= bit:
        raise ValueError(f"a part of bit {bit} cannot be added to the parts {known}")
    return unit[:at] + part + unit[at : at + 2] + bytes([known | bit]) + unit[at + 3 :]


def _exactly(length: int, data: bytes) -> bytes:
    if len(data) != length:
        raise ValueError(f"expected {length} bytes, got {len(data)}")
    return data


def with_origin(commands: bytes, *, instance: int, number: int, signature: bytes) -> bytes:
    """A frame of an instance of a gateway. `signature`: of `signed_bytes`, 64 bytes."""
    _exactly(FRAME_SIGNATURE_BYTES, signature)
    first = _ORIGIN.pack(ORIGIN, instance, number, signature[:24])
    return first + _ORIGIN_REST.pack(ORIGIN_REST, signature[24:]) + commands


def signed_bytes(log_id: int, instance: int, number: int, commands: bytes) -> bytes:
    """What the instance signs: the place of the frame, and its bytes after the origin."""
    words = (log_id, instance, number)
    return (
        _SIGNED + b"".join([word.to_bytes(8, "little", signed=True) for word in words]) + commands
    )


def allowed_parts(kind: i64) -> i64:
    """The bits of the parts that a command of this kind may have."""
    if kind == PLACE or kind == CANCEL or kind == AMEND:
        return HAS_TEXT_PART | HAS_SIGNATURE
    if kind == CANCEL_ALL:
        return HAS_SIGNATURE | HAS_OPERATOR
    if kind == HOLD or kind == ADD_CREDENTIAL or kind == REVOKE_CREDENTIAL or kind == PAUSE:
        return HAS_DETAIL | HAS_OPERATOR
    if kind == BEGIN_GATEWAY:
        return HAS_DETAIL
    if kind == TICK or kind == END_SESSION or kind == END_GATEWAY or kind > NOTE:
        return 0
    return HAS_OPERATOR


def needed_parts(kind: i64) -> i64:
    """The bits of the parts that it must have."""
    if kind == HOLD or kind == ADD_CREDENTIAL or kind == REVOKE_CREDENTIAL:
        return HAS_DETAIL
    return 0


def bit_of(part_kind: i64) -> i64:
    """The bit of `parts` that announces a part of this kind; 0: it is no part."""
    if part_kind < TEXT_PART or part_kind > OPERATOR_PART:
        return 0
    return 1 << (part_kind - TEXT_PART)


def is_client_text(text: bytes) -> bool:
    """Whether it may be a client id: 1 to 36 known characters, and no number of one."""
    if not 1 <= len(text) <= TEXT_CHARACTERS_MAX:
        return False
    is_number = len(text) <= 10 and (text[0] != 48 or len(text) == 1)
    for letter in text:
        if letter not in _LETTERS:
            return False
        if letter not in _DIGITS:
            is_number = False
    return not is_number or int(text) > LOW


@final
class Parts:
    """The parts of one command; those that it does not have are empty."""

    def __init__(self) -> None:
        self.text: bytes = b""
        self.signature: bytes = b""
        self.detail: bytes = b""
        self.operator: i64 = 0
        self.operator_credential: i64 = 0
        self.operator_reference: i64 = 0
        self.reason: bytes = b""  # hash of the operator's reason

    def clear(self) -> None:
        """Before the parts of another command are read."""
        self.text = self.signature = self.detail = self.reason = b""
        self.operator = self.operator_credential = self.operator_reference = 0

    def read(self, frame: bytes, at: i64) -> None:
        """Take the part that begins at `at`."""
        word = read_i64_le(frame, at)
        kind = word & 255
        if kind == TEXT_PART:
            length = word >> 8 & 255
            self.text = frame[at + 12 : at + 12 + length] if length <= TEXT_CHARACTERS_MAX else b""
        elif kind == SIGNATURE_PART:
            self.signature = frame[at + 8 : at + 24]
        elif kind == DETAIL_PART:
            self.detail = frame[at + 16 : at + 48]
        else:
            self.operator_credential = word >> 16 & 0xFFFF
            self.operator = word >> 32 & LOW
            self.operator_reference = read_i64_le(frame, at + 8)
            self.reason = frame[at + 16 : at + 48]


def are_valid(parts: Parts, kind: i64, bits: i64, flags: i64) -> bool:
    """Whether a command of this kind may have these parts, with these contents."""
    if bits & ~allowed_parts(kind) != 0 or needed_parts(kind) & ~bits != 0:
        return False
    if bits & HAS_TEXT_PART == 0:
        return True
    return flags & HAS_CLIENT_ID == 0 and is_client_text(parts.text)


@final
class FrameOrigin:
    """The first two records of a frame: which instance of a gateway wrote it."""

    def __init__(self, frame: bytes) -> None:
        self.instance: i64 = read_i64_le(frame, 8)
        self.number: i64 = read_i64_le(frame, 16)
        self.signature: bytes = frame[24:48] + frame[56:96]


def has_origin(frame: bytes) -> bool:
    """Whether a frame says which instance wrote it."""
    return len(frame) >= ORIGIN_BYTES and frame[0] == ORIGIN and frame[48] == ORIGIN_REST
