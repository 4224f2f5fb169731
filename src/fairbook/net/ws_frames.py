"""WebSocket frames (RFC 6455): encode text frames, assemble fragments, check Close payloads.

Frames of a server have no mask: one sequence of bytes fits all receivers.
"""

from struct import Struct
from typing import Final

# Codes of a Close frame (RFC 6455, 7.4.1).
NORMAL: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
UNSUPPORTED: Final = 1003
NOT_TEXT: Final = 1007
POLICY: Final = 1008
TOO_BIG: Final = 1009
TRY_LATER: Final = 1013

FRAGMENTS_MAX: Final = 64

_CODES: Final = (*range(1000, 1004), *range(1007, 1015))  # allowed in a Close, below 3000

_WHOLE_TEXT: Final = 0x81  # FIN and opcode 1
_SHORT_MAX: Final = 125
_MIDDLE_MAX: Final = 0xFFFF
_short: Final = Struct(">BB").pack
_middle: Final = Struct(">BBH").pack
_long: Final = Struct(">BBQ").pack


class ProtocolError(Exception):
    """The client broke the protocol: close the connection with this code and reason."""

    def __init__(self, close_code: int, reason: str) -> None:
        super().__init__(reason)
        self.close_code = close_code
        self.reason = reason


def text_frame(payload: bytes) -> bytes:
    """The unmasked frame of one whole text message. payload: UTF-8."""
    size = len(payload)
    if size <= _SHORT_MAX:
        return _short(_WHOLE_TEXT, size) + payload
    if size <= _MIDDLE_MAX:
        return _middle(_WHOLE_TEXT, 126, size) + payload
    return _long(_WHOLE_TEXT, 127, size) + payload


def close_answer(payload: bytes) -> int:
    """The code that answers a client's Close with this payload. Raises ProtocolError."""
    if not payload:
        return NORMAL
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not (code in _CODES or 3000 <= code < 5000):
        raise ProtocolError(PROTOCOL_ERROR, "invalid close code")
    check_utf8(payload[2:])
    return NORMAL


def check_utf8(payload: bytes) -> None:
    """Raise ProtocolError unless the payload is UTF-8."""
    try:
        payload.decode()
    except UnicodeError:
        raise ProtocolError(NOT_TEXT, "not UTF-8") from None


class MessageAssembler:
    """The message that one client is sending, in up to FRAGMENTS_MAX fragments."""

    __slots__ = ("_bytes_max", "_pieces", "_size")

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes, *, is_first: bool, is_last: bool) -> bytes | None:
        """Add the payload of a frame; return a complete message. Raises ProtocolError."""
        pieces = self._pieces
        if is_first == bool(pieces):
            raise ProtocolError(PROTOCOL_ERROR, "fragments out of order")
        self._size += len(piece)
        if self._size > self._bytes_max or len(pieces) == FRAGMENTS_MAX:
            raise ProtocolError(TOO_BIG, "message too big")
        pieces.append(piece)
        if not is_last:
            return None
        self._pieces = []
        self._size = 0
        return piece if is_first else b"".join(pieces)
