"""Signed checkpoints, and times and hashes of the log, as an exchange or a witness serves them.

Invariant: whatever is answered, and however slowly, a method returns within its time, and raises
nothing but OSError and NoteInvalid.
"""

import http.client
import json
import queue
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from threading import Thread
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from fairbook.checkpoints.signed_note import NoteInvalid

SIGNED_PATH: Final = "/api/v1/checkpoints/signed"
CHAIN_PATH: Final = "/api/v1/chain"
NOTES_MAX: Final = 100  # in an answer
NOTES_MAX_IN_ALL: Final = 5_000_000  # ten years of one a minute
NOTE_CHARACTERS_MAX: Final = 4_096
CHAIN_MAX: Final = 1_000  # entries in an answer
WAIT_S: Final = 60.0
PAUSE_MAX_S: Final = 10.0  # when it says that it is asked too often
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
HASH_BYTES: Final = 32

LATER: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
Answer = bytes | OSError


class Newest(NamedTuple):
    """The newest checkpoint, and the key that is said to have signed it."""

    key: str
    note: str | None


class RemoteCheckpoints:
    """What one address serves. All methods block; all raise OSError if it does not answer, and
    NoteInvalid if it answers with something else.
    """

    def __init__(self, url: str, *, wait_s: float = WAIT_S) -> None:
        """wait_s: for each answer, with all tries. Raises ValueError if it is no http(s) URL."""
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError(f"{url} must begin with http:// or https://")
        self.url = url.rstrip("/")
        self._wait_s = wait_s
        self._asking: Thread | None = None

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

    def notes(self, position: int = 0) -> Iterator[str]:
        """All notes at this position and after it."""
        for _ in range(NOTES_MAX_IN_ALL // NOTES_MAX):
            notes = self.notes_from(position)
            for note in notes:
                found = _position_of(note)
                if found < position:
                    raise self._no_checkpoints()
                position = found + 1
                yield note
            if len(notes) < NOTES_MAX:
                return
        raise NoteInvalid(f"{self.url} serves checkpoints without end")

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
            time_ns = int(time_text) if isinstance(time_text, str) else -1
            digest = bytes.fromhex(digest_text)
        except (ValueError, TypeError):
            time_ns, digest = -1, b""
        if not 0 <= time_ns < 1 << 63 or len(digest) != HASH_BYTES:
            raise NoteInvalid(f"{self.url} shows an entry of its log that is none")
        return time_ns, digest

    def _notes_in(self, answer: dict[str, Any]) -> list[str]:
        notes = answer.get("notes")
        if not isinstance(notes, list) or len(notes) > NOTES_MAX:
            raise self._no_checkpoints()
        if not all(isinstance(note, str) and len(note) <= NOTE_CHARACTERS_MAX for note in notes):
            raise self._no_checkpoints()
        return notes

    def _no_checkpoints(self) -> NoteInvalid:
        return NoteInvalid(f"{self.url} serves no signed checkpoints")

    def _get(self, path: str) -> dict[str, Any]:
        try:
            answer = json.loads(self._bytes_of(path))
        except (ValueError, RecursionError):
            raise self._no_checkpoints() from None
        if not isinstance(answer, dict):
            raise self._no_checkpoints()
        return answer

    def _bytes_of(self, path: str) -> bytes:
        """In a thread of its own, because a server may send a byte now and then for ever."""
        if self._asking is not None and self._asking.is_alive():
            raise OSError(f"{self.url} has not answered an earlier request yet")
        answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        deadline_s = time.monotonic() + self._wait_s
        self._asking = Thread(
            target=lambda: answers.put(self._ask(path, deadline_s)), daemon=True, name="ask"
        )
        self._asking.start()
        try:
            found = answers.get(timeout=self._wait_s)
        except queue.Empty:
            raise OSError(f"{self.url}{path}: no answer in {self._wait_s:g} s") from None
        if isinstance(found, OSError):
            raise found
        return found

    def _ask(self, path: str, deadline_s: float) -> Answer:
        url = self.url + path
        while True:
            try:
                with urllib.request.urlopen(url, timeout=self._wait_s) as answer:
                    content: bytes = answer.read(ANSWER_BYTES_MAX)
                    return content
            except urllib.error.HTTPError as error:
                with error:
                    pause_s = _retry_after_s(error.headers.get("retry-after"))
                if error.code not in LATER or time.monotonic() + pause_s > deadline_s:
                    return OSError(f"{url}: {error.code} {error.reason}")
                time.sleep(pause_s)
            except (OSError, ValueError, http.client.HTTPException) as error:
                return OSError(f"{url}: {str(error) or type(error).__name__}")


def _retry_after_s(text: str | None) -> float:
    """It may also be a date, or nothing that is allowed."""
    is_number = text is not None and text.isascii() and text.isdigit() and len(text) < 6
    return min(float(text or 1), PAUSE_MAX_S) if is_number else 1.0


def _position_of(note: str) -> int:
    _, _, rest = note.partition("\nposition ")
    digits = rest.partition("\n")[0]
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise NoteInvalid(f"no checkpoint: {note[:100]!r}")
    return int(digits)
