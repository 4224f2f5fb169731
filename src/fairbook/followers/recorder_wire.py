"""What lead and recorder say to each other over their socketpair.

How it works: numbers of 8 bytes, signed, little-endian. To the recorder: the position up to which
the log is durable. From it: the position up to which everything is recorded, now and then the same
one again while it is busy; or minus the length of a text for people, which follows.

Always true: between two processes of one version.

Not here: who says what when (lead.py, following.py).
"""

from __future__ import annotations

from struct import Struct
from typing import Final

NUMBER: Final = Struct("<q")
NOTE_BYTES_MAX: Final = 1_000


def pack_note(text: str) -> bytes:
    """A text, cut off if it is too long."""
    octets = text.encode()[:NOTE_BYTES_MAX]
    return NUMBER.pack(-len(octets)) + octets if octets else b""


class Numbers:
    """Bytes in as they come, numbers and texts out."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, octets: bytes) -> list[int | str]:
        """What is complete now. Raises ValueError if it makes no sense."""
        rest = self._rest + octets
        at = 0
        found: list[int | str] = []
        while at + NUMBER.size <= len(rest):
            (number,) = NUMBER.unpack_from(rest, at)
            begin = end = at + NUMBER.size
            if number < 0:
                end -= number
                if -number > NOTE_BYTES_MAX:
                    raise ValueError("it speaks another language: another version?")
                if end > len(rest):
                    break
                found.append(rest[begin:end].decode(errors="replace"))
            else:
                found.append(number)
            at = end
        self._rest = rest[at:]
        return found
