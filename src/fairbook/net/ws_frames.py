"""WebSocket frames: the bytes of those that are sent, and messages out of those that come.

How it works: a frame of the server has no mask, so one sequence of bytes fits all receivers. What a
client sends may come in fragments; they are put together up to a limit of bytes and of pieces.

Always true: an unfinished message is at most `bytes_max` long and has at most FRAGMENTS_MAX pieces.

Not here: masks and the reading of frames (picows), what messages say (session.py).
"""

from __future__ import annotations

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

_CODES: Final = (*range(1000, 1004), *range(1007, 1015))  # that a Close may say, below 3000

_WHOLE_TEXT: Final = 0x81  # FIN and opcode 1
_SHORT_MAX: Final = 125
_MIDDLE_MAX: Final = 0xFFFF
_short: Final = Struct(">BB").pack
_middle: Final = Struct(">BBH").pack
_long: Final = Struct(">BBQ").pack


class Breach(Exception):
    """The client broke the protocol: the connection is to be closed with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def text_frame(text: bytes) -> bytes:
    """The frame that carries a text (UTF-8) to any client."""
    size = len(text)
    if size <= _SHORT_MAX:
        return _short(_WHOLE_TEXT, size) + text
    if size <= _MIDDLE_MAX:
        return _middle(_WHOLE_TEXT, 126, size) + text
    return _long(_WHOLE_TEXT, 127, size) + text


def goodbye(payload: bytes) -> int:
    """What a client's Close with this payload is answered with. Raises Breach."""
    if not payload:
        return NORMAL
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not (code in _CODES or 3000 <= code < 5000):
        raise Breach(PROTOCOL_ERROR, "no code of a Close")
    check_text(payload[2:])
    return NORMAL


def check_text(payload: bytes) -> None:
    """Raise Breach unless it is UTF-8."""
    try:
        payload.decode()
    except UnicodeError:
        raise Breach(NOT_TEXT, "not UTF-8") from None


class Assembly:
    """The message that one client is sending."""

    __slots__ = ("_bytes_max", "_pieces", "_size")

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes, *, is_first: bool, is_last: bool) -> bytes | None:
        """Take the payload of a text or continuation frame; return the message if that was its
        last piece. Raises Breach.
        """
        pieces = self._pieces
        if is_first == bool(pieces):
            raise Breach(PROTOCOL_ERROR, "fragments out of order")
        self._size += len(piece)
        if self._size > self._bytes_max or len(pieces) == FRAGMENTS_MAX:
            raise Breach(TOO_BIG, "message too big")
        pieces.append(piece)
        if not is_last:
            return None
        self._pieces = []
        self._size = 0
        return piece if is_first else b"".join(pieces)
