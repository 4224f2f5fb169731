"""A follower's process: reads the log behind a running engine and works on each entry.

Design: a source gives hints (the engine's messages, with positions that are durable) and entries.
`follow` hands the hints to a Follower (replica.py, recorder.py), which asks the source for the
entries up to there and reports how far it came. FileSource reads the log's files.

Invariants:
- no entry is read that the engine has not announced as durable;
- the process ends when the engine closes the connection.
"""

import secrets
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import Final, Protocol, TypeVar

from fairbook.followers import wire
from fairbook.log.command_log import Entry, LogDamaged
from fairbook.log.file_log import FileLog

CHECK_EVERY: Final = 512  # Entries between two looks at the connection.
REPORT_S: Final = 0.5
RETRY_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 2.0, 2.0, 5.0, 5.0, 5.0, 5.0)

T = TypeVar("T")


class EngineGone(Exception):
    """The engine closed the connection: it has ended, or ends this follower."""


class Follower(Protocol):
    """What a follower does with the messages."""

    def handle(self, messages: list[wire.Message]) -> None:
        """Work on everything that these messages announce. May raise EngineGone."""

    def finish(self) -> None:
        """The engine is gone: save what the next start can use."""


class FileSource:
    """The log's files, and the connection to the engine that writes them. Blocks."""

    def __init__(
        self, name: str, directory: Path, connection: socket.socket, *, finish_s: float = 0.0
    ) -> None:
        """Takes the connection over. finish_s: how long work may go on without the engine."""
        self.id = f"{name}-{secrets.token_hex(4)}"
        self.log = FileLog(directory, read_only=True)
        self._entries: Iterator[Entry] = iter(())
        self._connection = connection
        self._sending = Lock()
        self._poll = select.poll()
        self._poll.register(connection, 0)  # Only that it was hung up.
        self._finish_s = finish_s
        self._gone_s: float | None = None
        self._progress: tuple[int, int] | None = None
        self._reported_s = 0.0

    def close(self) -> None:
        self._connection.close()
        self.log.close()

    def messages(self) -> Iterator[list[wire.Message]]:
        """Yield what the engine has sent, until it is gone."""
        parser = wire.MessageParser()
        self.send(wire.pack_hello(self.id))
        while True:
            try:
                data = self._connection.recv(256 * 1024)
            except ConnectionError:
                return
            if not data:
                return
            messages = list(parser.feed(data))
            if messages:
                yield messages

    def check(self) -> None:
        """To be called now and then in long work: report, and raise EngineGone if that is so."""
        now_s = time.monotonic()
        if self._poll.poll(0):
            self._gone_s = self._gone_s or now_s
            if now_s - self._gone_s >= self._finish_s:
                raise EngineGone
        if now_s - self._reported_s > REPORT_S:
            self.report()

    def retry(
        self, action: Callable[[], T], on: type[Exception], *, but: type[Exception] | None = None
    ) -> T:
        """The result of `action`, tried again for half a minute if it raises `on`, except `but`.
        Raises what the last try raised, or EngineGone.
        """
        for pause_s in RETRY_S:
            try:
                return action()
            except on as problem:
                if but is not None and isinstance(problem, but):
                    raise
                self.note(f"trying again: {problem}")
            if self._poll.poll(1000 * pause_s):
                raise EngineGone
        return action()

    def entries(self, first: int, last: int) -> Iterator[Entry]:
        """Yield the entries of positions that were announced. Raises LogDamaged, EngineGone."""
        for position in range(first, last + 1):
            yield self._entry(position)
            if position % CHECK_EVERY == 0:
                self.check()

    def _entry(self, position: int) -> Entry:
        entry = next(self._entries, None)
        if entry is None or entry.position != position:
            self._entries = self.log.read(position)
            entry = next(self._entries, None)
        if entry is None:
            raise LogDamaged(f"the log ends before position {position}, which is durable")
        return entry

    def advance(self, position: int, serial: int = 0) -> None:
        """Note how far the work has come. serial: of the last slice that was compared."""
        self._progress = position, serial

    def report(self) -> None:
        """Send how far the work has come, again if nothing has changed."""
        self._reported_s = time.monotonic()
        if self._progress is not None:
            self.send(wire.pack(wire.PROGRESS, *self._progress))

    def note(self, text: str) -> None:
        """Send a text for the operator."""
        self.send(wire.pack_text(wire.NOTE, text))

    def send(self, message: bytes) -> None:
        """Send a message; for any thread. Without an engine it is dropped."""
        try:
            with self._sending:
                self._connection.sendall(message)
        except OSError:
            pass  # The engine is gone, as `messages` and `check` see; or this was closed.


def follow(source: FileSource, follower: Follower) -> None:
    """Run until the engine is gone. Raises LogDamaged, RulesUnknown, OSError, what a bug raises."""
    try:
        try:
            for messages in source.messages():
                follower.handle(messages)
                source.report()
        except EngineGone:
            pass
        follower.finish()
    except Exception as error:
        source.note(f"cannot continue: {type(error).__name__}: {error}")
        raise
    finally:
        source.close()
