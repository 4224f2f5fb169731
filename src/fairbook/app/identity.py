"""The secret key by which an exchange signs its checkpoints, in a file, and its change to another.

Design: the next key lies in NAME.next until a checkpoint, which the old key has signed, names it.
Then that file takes the place of the old one, which is kept as NAME.ended. A start finishes what a
crash has interrupted.
"""

import os
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Final

from fairbook.app.settings import SettingError
from fairbook.checkpoints.signed_checkpoint import SignedCheckpoint, is_signed_by
from fairbook.checkpoints.signed_note import SEED_BYTES, key_text, public_key
from fairbook.log.durable_file import rename, write_file

FILE_NAME: Final = "identity.key"
NEXT_SUFFIX: Final = ".next"
ENDED_SUFFIX: Final = ".ended"


class Identity:
    """The key of one exchange."""

    def __init__(self, path: Path, newest: SignedCheckpoint | None) -> None:
        """newest: the last checkpoint that it has signed; without one, a missing file is made.
        Raises SettingError if the file does not have the key that signs the next one, OSError.
        """
        self._path = path
        if newest is None and not path.exists():
            make_key(path)
        named = None if newest is None else newest.next_key
        if named is not None and (not path.exists() or _public_in(path) != named):
            self._take_next(named)
        self.seed = read_seed(path)
        if newest is not None and named is None and not self.has_signed(newest):
            raise SettingError(f"the last checkpoint is not signed by this key: {path}")

    @property
    def key(self) -> str:
        return key_text(public_key(self.seed))

    def has_signed(self, checkpoint: SignedCheckpoint) -> bool:
        return is_signed_by(checkpoint.note, public_key(self.seed))

    def next_key(self, key: str) -> bytes:
        """The public key of NAME.next, which must be `key`. Raises SettingError, OSError."""
        path = self._beside(NEXT_SUFFIX)
        if not path.exists():
            raise SettingError(f"{path} is missing: make it with `fairbook keys identity`")
        public = _public_in(path)
        if key_text(public) != key:
            raise SettingError(f"{path} has another key: {key_text(public)}")
        return public

    def require(self, public: bytes) -> None:
        """The last checkpoint has named this key: use it from now on. Raises SettingError,
        OSError.
        """
        if public_key(self.seed) == public:
            return
        self._take_next(public)
        self.seed = read_seed(self._path)

    def _take_next(self, public: bytes) -> None:
        """Raises SettingError, OSError; then the old key is still there."""
        path = self._beside(NEXT_SUFFIX)
        if not path.exists() or _public_in(path) != public:
            raise SettingError(f"the last checkpoint names another key, which is not in {path}")
        if self._path.exists():
            write_file(self._beside(ENDED_SUFFIX), [self._path.read_bytes()])
        rename(path, self._path)

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)


def make_key(path: Path) -> str:
    """Write a new secret key, readable by its owner alone; returns its public one, as others know
    it. Raises OSError.
    """
    seed = os.urandom(SEED_BYTES)
    write_file(path, [b64encode(seed) + b"\n"])
    return key_text(public_key(seed))


def read_seed(path: Path) -> bytes:
    """Raises SettingError, OSError."""
    try:
        seed = b64decode(path.read_text().strip(), validate=True)
    except ValueError:
        seed = b""
    if len(seed) != SEED_BYTES:
        raise SettingError(f"{path} has no key: 32 bytes in base64 are expected")
    return seed


def _public_in(path: Path) -> bytes:
    return public_key(read_seed(path))
