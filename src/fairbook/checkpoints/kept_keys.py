"""The keys that have signed a file of checkpoints, oldest first: one in each line of a file.

fairbook+66062a27+AVn…
fairbook+437ea616+ASu… after 4077
"""

import re
from pathlib import Path
from typing import Final

from fairbook.checkpoints.signed_note import NoteInvalid, key_text, parse_key_text
from fairbook.log.durable_file import write_file

_LINE: Final = re.compile(r"(?P<key>\S+)(?: after (?P<position>\d{1,18}))?")


class KeptKeys:
    """One file."""

    def __init__(self, path: Path) -> None:
        """Raises NoteInvalid, OSError."""
        self.path = path
        self._keys: list[tuple[int, bytes]] = []
        """Each with the position after which it signs."""
        try:
            lines = path.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            found = _LINE.fullmatch(line)
            if found is None:
                raise NoteInvalid(f"{path} has a line that is no key: {line[:100]}")
            self._keys.append((int(found["position"] or -1), parse_key_text(found["key"])))

    @property
    def newest(self) -> bytes | None:
        return self._keys[-1][1] if self._keys else None

    def __contains__(self, public: bytes) -> bool:
        return any(each == public for _, each in self._keys)

    def at(self, position: int) -> bytes:
        """The key that signs the checkpoint of a position; there is one at least."""
        return [public for after, public in self._keys if after < position][-1]

    def add(self, public: bytes, after: int = -1) -> None:
        """This key signs the checkpoints after that position. Raises OSError."""
        if public == self.newest:
            return
        self._keys.append((after, public))
        lines = [
            key_text(each) + (f" after {position}" if position >= 0 else "") + "\n"
            for position, each in self._keys
        ]
        write_file(self.path, [line.encode() for line in lines])
