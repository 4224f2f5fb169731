"""The engine's end of the connection to one follower: positions go out, progress comes in.

Design: an applied frame costs the engine an append to a buffer, or only a timer; the timer sends.
What the socket does not take is kept up to BUFFER_BYTES_MAX and then dropped, except for the newest
position, which stands for all before it. Followers come and go; the link stays.

Invariant: nothing here waits for the follower.
"""

import asyncio
import json
import logging
import secrets
import socket
import time
from collections import deque
from typing import Any, Final

from fairbook.engine.runner import Runner
from fairbook.followers import wire

BUFFER_BYTES_MAX: Final = 1024 * wire.BLOCK
MARKS_MAX: Final = 4_096

DOWN: Final = "down"
CATCHING_UP: Final = "catching up"
LAGGING: Final = "lagging"
FOLLOWING: Final = "following"

logger = logging.getLogger(__name__)


class FollowerLink:
    """For the loop's thread. A subclass extends `_on_frame` and `_handle`."""

    def __init__(self, name: str, runner: Runner, *, flush_s: float, lagging_s: float) -> None:
        """flush_s: how often positions are sent. lagging_s: how far behind a follower is LAGGING.
        Needs a running loop.
        """
        self.id = f"engine-{secrets.token_hex(4)}"
        self.follower: dict[str, Any] = {}
        """From its HELLO: id, version, python, pid; empty without a follower."""
        self.last_note: str | None = None
        self.position = 0
        """Up to where the follower has confirmed its work."""
        self._name = name
        self._runner = runner
        self._flush_s = flush_s
        self._lagging_s = lagging_s
        self._loop = asyncio.get_running_loop()
        self._connection: socket.socket | None = None
        self._ended: asyncio.Future[str] | None = None
        self._incoming = wire.MessageParser()
        self._received = 0  # Messages.
        self._buffer = bytearray()
        self._announced = 0  # The newest position that went into the buffer.
        self._flush_timer: asyncio.TimerHandle | None = None
        self._caught_up_at: int | None = 0  # None: it has caught up.
        self._marks: deque[tuple[int, float]] = deque()  # (unconfirmed position, when announced)
        runner.subscribe(self._on_frame)

    def connect(self, connection: socket.socket) -> asyncio.Future[str]:
        """Take over a connection; the future ends, with the reason, when the connection does."""
        assert self._connection is None
        connection.setblocking(False)
        self._connection = connection
        self._ended = self._loop.create_future()
        self._incoming = wire.MessageParser()
        self.follower = {}
        self._buffer[:] = wire.pack_hello(self.id)
        self._announce()
        self._caught_up_at = self._runner.position
        self._loop.add_reader(connection, self._readable)
        self._flush()
        return self._ended

    def disconnect(self, reason: str) -> None:
        """Close the connection, which tells the follower to end. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._loop.remove_reader(connection)
        connection.close()
        self._cancel_flush()
        self._buffer.clear()
        assert self._ended is not None
        if not self._ended.done():
            self._ended.set_result(reason)

    def progress(self) -> int | None:
        """Changes whenever the follower reports; None while it has nothing to do."""
        return None if self.position >= self._runner.position else self._received

    @property
    def state(self) -> str:
        """DOWN, CATCHING_UP, LAGGING or FOLLOWING."""
        if self._connection is None or not self.follower:
            return DOWN
        if self._caught_up_at is not None:
            return CATCHING_UP
        return LAGGING if self.lag()[1] > self._lagging_s else FOLLOWING

    def lag(self) -> tuple[int, float]:
        """How far the follower is behind: frames, and seconds (to about `flush_s`)."""
        frames = max(0, self._runner.position - self.position)
        return frames, time.monotonic() - self._marks[0][1] if self._marks else 0.0

    def status(self) -> dict[str, Any]:
        lag_frames, lag_s = self.lag()
        return {
            **self.follower,
            "state": self.state,
            "position": self.position,
            "lag_frames": lag_frames,
            "lag_ms": round(1000 * lag_s),
            "last_note": self.last_note,
        }

    # Out.

    def _on_frame(self, _position: int, _time_ns: int, _frame: bytes, _events: bytes) -> None:
        """A frame was applied, and so is durable. On the path of every order."""
        if self._flush_timer is None:
            self._flush_timer = self._loop.call_later(self._flush_s, self._flush)

    def _announce(self) -> None:
        runner = self._runner
        self._buffer += wire.pack(wire.APPLIED, runner.position, digest=runner.event_hash)
        self._announced = runner.position

    def _flush(self) -> None:
        self._cancel_flush()
        newest = self._runner.position
        marked = max(self.position, self._marks[-1][0] if self._marks else 0)
        if marked < newest and len(self._marks) < MARKS_MAX:
            self._marks.append((newest, time.monotonic()))
        connection, buffer = self._connection, self._buffer
        if connection is None:
            return
        if not buffer and self._announced < newest:
            self._announce()
        try:
            sent = connection.send(buffer) if buffer else 0
            del buffer[:sent]
        except BlockingIOError:
            pass
        except OSError as error:
            self.disconnect(f"cannot write to it: {error}")
            return
        if len(buffer) > BUFFER_BYTES_MAX:
            self._drop_backlog()
        if buffer or self._announced < newest:
            self._flush_timer = self._loop.call_later(self._flush_s, self._flush)

    def _drop_backlog(self) -> list[wire.Message]:
        """The follower is too slow: keep only the newest position. Returns what was dropped."""
        begun = len(self._buffer) % wire.BLOCK  # The rest of a block that was sent in part.
        dropped = bytes(self._buffer[begun:])
        del self._buffer[begun:]
        self._announce()
        self._caught_up_at = self._runner.position
        return list(wire.MessageParser().feed(dropped))

    def _cancel_flush(self) -> None:
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None

    # In.

    def _readable(self) -> None:
        connection = self._connection
        assert connection is not None
        try:
            data = connection.recv(64 * 1024)
            if not data:
                self.disconnect("it closed the connection")
                return
            for message in self._incoming.feed(data):
                self._received += 1
                self._handle(message)
        except (BlockingIOError, InterruptedError):
            return
        except (OSError, ValueError, KeyError, wire.WireError) as error:
            self.disconnect(f"cannot read from it: {error}")

    def _handle(self, message: wire.Message) -> None:
        match message.kind:
            case wire.PROGRESS:
                self.position = message.position
                while self._marks and self._marks[0][0] <= message.position:
                    self._marks.popleft()
                if self._caught_up_at is not None and message.position >= self._caught_up_at:
                    self._caught_up_at = None
            case wire.HELLO:
                self.follower = json.loads(message.text)
            case wire.NOTE:
                self.last_note = message.text
                logger.warning("%s: %s", self._name, message.text)
            case kind:
                raise wire.WireError(f"unknown message kind {kind}")
