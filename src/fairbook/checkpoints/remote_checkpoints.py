"""Signed checkpoints, and times and hashes of the log, as an exchange or a witness serves them."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from fairbook.checkpoints.signed_note import NoteInvalid

SIGNED_PATH: Final = "/api/v1/checkpoints/signed"
CHAIN_PATH: Final = "/api/v1/chain"
NOTES_MAX: Final = 100  # in an answer
CHAIN_MAX: Final = 1_000  # entries in an answer
WAIT_S: Final = 30.0
TRIES: Final = 8  # while it says that it is asked too often
PAUSE_MAX_S: Final = 30.0
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
HASH_BYTES: Final = 32

LATER: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


class Newest(NamedTuple):
    """The newest checkpoint, and the key that is said to have signed it."""

    key: str
    note: str | None


class RemoteCheckpoints:
    """What one address serves. All methods block; all raise OSError if it does not answer, and
    NoteInvalid if it answers with something else.
    """

    def __init__(self, url: str, *, wait_s: float = WAIT_S) -> None:
        """wait_s: for each answer. Raises ValueError if it is no http or https URL."""
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(f"{url} must begin with http:// or https://")
        self.url = url.rstrip("/")
        self._wait_s = wait_s

    def newest(self) -> Newest:
        answer = self._get(SIGNED_PATH)
        notes = self._notes_in(answer)
        key = answer.get("key")
        if not isinstance(key, str):
            raise self._no_checkpoints()
        return Newest(key, notes[0] if notes else None)

    def notes_from(self, position: int, count: int = NOTES_MAX) -> list[str]:
        """The first so many notes, NOTES_MAX at most, at this position and after it."""
        return self._notes_in(self._get(f"{SIGNED_PATH}?from={position}&limit={count}"))

    def notes(self, position: int = 0) -> Iterator[tuple[int, str]]:
        """All notes at this position and after it, each with its position."""
        while True:
            notes = self.notes_from(position)
            for note in notes:
                found = _position_of(note)
                if found < position:
                    raise self._no_checkpoints()
                position = found + 1
                yield found, note
            if len(notes) < NOTES_MAX:
                return

    def chain(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """Time in ns and hash of the frame, of each entry from one position to another."""
        while first <= last:
            until = min(last, first + CHAIN_MAX - 1)
            entries = self._get(f"{CHAIN_PATH}?from={first}&to={until}").get("entries")
            if not isinstance(entries, list) or len(entries) != until - first + 1:
                raise NoteInvalid(
                    f"{self.url} does not show its log from position {first} to {until}"
                )
            for entry in entries:
                yield self._entry(entry)
            first = until + 1

    def _entry(self, entry: Any) -> tuple[int, bytes]:
        try:
            time_text, digest_text = entry
            time_ns, digest = int(time_text), bytes.fromhex(digest_text)
        except (ValueError, TypeError):
            time_ns, digest = -1, b""
        if not 0 <= time_ns < 1 << 63 or len(digest) != HASH_BYTES:
            raise NoteInvalid(f"{self.url} shows an entry of its log that is none")
        return time_ns, digest

    def _notes_in(self, answer: dict[str, Any]) -> list[str]:
        notes = answer.get("notes")
        if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
            raise self._no_checkpoints()
        return notes

    def _no_checkpoints(self) -> NoteInvalid:
        return NoteInvalid(f"{self.url} serves no signed checkpoints")

    def _get(self, path: str) -> dict[str, Any]:
        content = self._bytes_of(path)
        try:
            answer = json.loads(content)
        except ValueError:
            raise self._no_checkpoints() from None
        if not isinstance(answer, dict):
            raise self._no_checkpoints()
        return answer

    def _bytes_of(self, path: str) -> bytes:
        for tries_left in range(TRIES - 1, -1, -1):
            try:
                with urllib.request.urlopen(self.url + path, timeout=self._wait_s) as answer:
                    content: bytes = answer.read(ANSWER_BYTES_MAX)
                    return content
            except urllib.error.HTTPError as error:
                with error:
                    if error.code not in LATER or not tries_left:
                        raise OSError(f"{self.url}{path}: {error.code} {error.reason}") from None
                    pause_s = float(error.headers.get("retry-after") or 1)
                time.sleep(min(pause_s, PAUSE_MAX_S))
        raise AssertionError("the last try returns or raises")


def _position_of(note: str) -> int:
    _, _, rest = note.partition("\nposition ")
    digits = rest.partition("\n")[0]
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise NoteInvalid(f"no checkpoint: {note[:100]!r}")
    return int(digits)
