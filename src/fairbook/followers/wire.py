"""What engine and replica say to each other over their socketpair.

How it works: every message is a block of 64 bytes (kind, position, two numbers, 32 bytes), so that
whole messages can be dropped from a queue without looking at them. Some are followed by text,
filled up to whole blocks.

Always true: between two processes of one version. A HELLO comes first and says which version it
is; nothing else of the layout may change without the reader of another version being refused by
its MAGIC.

Not here: who says what when (replica_lead.py, replica.py).
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Iterator
from struct import Struct
from typing import Any, Final, NamedTuple

from fairbook import core

BLOCK: Final = 64
MAGIC: Final = 0x31_4C_50_52  # "RPL1"

# Engine to replica.
FRAME: Final = 1  # position, running hash of events: applied by the engine, and durable
SLICE: Final = 2  # position, serial, index and count, digest: as of that position
EDIT: Final = 3  # atoms, account, asset, field: a fault to be made in memory, for tests
# Replica to engine.
DONE: Final = 10  # position, serial: everything told up to there agreed, or was reported
SLICE_DIFFERS: Final = 12  # position, serial, index and count, the replica's digest
KEPT: Final = 13  # position, -, -, digest of the state: a snapshot was written
EVENTS_DIFFER: Final = 14  # MAGIC, length of the text: JSON, position and both running hashes
# Either way.
HELLO: Final = 20  # MAGIC, length of the text: JSON
NOTE: Final = 21  # MAGIC, length of the text: for a person to read

_LAYOUT: Final = Struct("<B7xqqq32s")
_TEXTS: Final = (EVENTS_DIFFER, HELLO, NOTE)
_TEXT_BYTES_MAX: Final = 64 * 1024
_INDEX_BITS: Final = 32

VERSION: Final = f"{importlib.metadata.version('fairbook')} {core.key()}"
"""What runs in this process: version of the package, and a hash of the core's sources.

Read when the process starts: the files may be changed later, the process is not.
"""


class WireError(Exception):
    """The other end does not speak as we do."""


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
    """A message that is text: EVENTS_DIFFER, HELLO or NOTE."""
    octets = text.encode()[:_TEXT_BYTES_MAX]
    padding = -len(octets) % BLOCK
    return _LAYOUT.pack(kind, MAGIC, len(octets), 0, b"") + octets + bytes(padding)


def pack_hello(name: str, **more: Any) -> bytes:
    """Who speaks, and which version it runs."""
    python = f"{sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor}"
    return pack_text(HELLO, json.dumps({"id": name, "version": VERSION, "python": python} | more))


def share(index: int, count: int) -> int:
    """Slice `index` of `count`, as one number."""
    return index << _INDEX_BITS | count


def shared(detail: int) -> tuple[int, int]:
    """(index, count) of what `share` made."""
    return detail >> _INDEX_BITS, detail & (1 << _INDEX_BITS) - 1


class Messages:
    """Bytes in as they come, messages out."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, octets: bytes) -> Iterator[Message]:
        """Yield every message that is complete now. Raises WireError."""
        self._rest += octets
        rest = self._rest
        at = 0
        try:
            while len(rest) - at >= BLOCK:
                kind, position, number, detail, digest = _LAYOUT.unpack_from(rest, at)
                text, blocks = "", 1
                if kind in _TEXTS:
                    if position != MAGIC or not 0 <= number <= _TEXT_BYTES_MAX:
                        raise WireError("it speaks another language: another version?")
                    blocks += -(-number // BLOCK)
                    if len(rest) - at < blocks * BLOCK:
                        return
                    begin = at + BLOCK
                    text = rest[begin : begin + number].decode(errors="replace")
                at += blocks * BLOCK
                yield Message(kind, position, number, detail, digest, text)
        finally:
            del rest[:at]
