"""The messages between an engine and its followers, over one socketpair each.

Every message is a block of 64 bytes: kind, position, two numbers, 32 bytes. So whole messages can
be dropped from a queue without parsing it. Some are followed by text, padded to whole blocks. Both
ends send a HELLO with their version first; its layout never changes.
"""

import importlib.metadata
import json
import os
import sys
from collections.abc import Iterator
from struct import Struct
from typing import Any, Final, NamedTuple

from fairbook import core

BLOCK: Final = 64
MAGIC: Final = 0x31_4C_50_52  # "RPL1"

# Engine to follower.
APPLIED: Final = 1  # position, running hash of events: applied by the engine, and durable
SLICE: Final = 2  # position, serial, index and count, digest: as of that position
EDIT: Final = 3  # atoms, account, asset, field: corrupt the replica's memory, for tests
# Follower to engine.
PROGRESS: Final = 10  # position, serial of the last slice compared: done up to there
SLICE_DIFFERS: Final = 12  # position, serial, index and count, the replica's digest
SNAPSHOT_WRITTEN: Final = 13  # position, -, -, digest of the state
EVENTS_DIFFER: Final = 14  # MAGIC, length of the text: JSON, position and both running hashes
BALANCED: Final = 15  # position, number of assets that do not add up to zero
STARTED: Final = 16  # position of the snapshot that the replica started from; 0: the first entry
REPLAY_DIFFERS: Final = 17  # MAGIC, length of the text: JSON, what the full replay contradicts
# Either way.
HELLO: Final = 20  # MAGIC, length of the text: JSON
NOTE: Final = 21  # MAGIC, length of the text: for the operator

_LAYOUT: Final = Struct("<B7xqqq32s")
_WITH_TEXT: Final = (EVENTS_DIFFER, REPLAY_DIFFERS, HELLO, NOTE)
_TEXT_BYTES_MAX: Final = 64 * 1024
_INDEX_BITS: Final = 32

VERSION: Final = f"{importlib.metadata.version('fairbook')} {core.key()}"
"""Version of the package, and a hash of the core's sources, as this process has loaded them."""


class WireError(Exception):
    """The other end sent what this version does not know."""


class Message(NamedTuple):
    """One message."""

    kind: int
    position: int
    number: int = 0
    detail: int = 0
    digest: bytes = b""
    text: str = ""


def pack(kind: int, position: int, number: int = 0, detail: int = 0, digest: bytes = b"") -> bytes:
    """A message without text."""
    return _LAYOUT.pack(kind, position, number, detail, digest)


def pack_text(kind: int, text: str) -> bytes:
    """A message with text. One that is too long is cut off."""
    encoded = text.encode()[:_TEXT_BYTES_MAX]
    padding = -len(encoded) % BLOCK
    return _LAYOUT.pack(kind, MAGIC, len(encoded), 0, b"") + encoded + bytes(padding)


def pack_hello(sender_id: str) -> bytes:
    """The first message of either end."""
    python = f"{sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor}"
    fields: dict[str, Any] = {"id": sender_id, "version": VERSION, "python": python}
    return pack_text(HELLO, json.dumps(fields | {"pid": os.getpid()}))


def pack_slice(index: int, count: int) -> int:
    """Slice `index` of `count`, as one number."""
    return index << _INDEX_BITS | count


def unpack_slice(detail: int) -> tuple[int, int]:
    return detail >> _INDEX_BITS, detail & (1 << _INDEX_BITS) - 1


class MessageParser:
    """Bytes in, in pieces of any size; messages out."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield every message that is complete now. Raises WireError."""
        self._rest += data
        rest = self._rest
        at = 0
        try:
            while len(rest) - at >= BLOCK:
                kind, position, number, detail, digest = _LAYOUT.unpack_from(rest, at)
                text, blocks = "", 1
                if kind in _WITH_TEXT:
                    if position != MAGIC or not 0 <= number <= _TEXT_BYTES_MAX:
                        raise WireError("unknown protocol: the other end may have another version")
                    blocks += -(-number // BLOCK)
                    if len(rest) - at < blocks * BLOCK:
                        return
                    begin = at + BLOCK
                    text = rest[begin : begin + number].decode(errors="replace")
                at += blocks * BLOCK
                yield Message(kind, position, number, detail, digest, text)
        finally:
            del rest[:at]
