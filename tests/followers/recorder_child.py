"""A log to record, and a recorder's process to which the test announces positions."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from fairbook.core import admin_records
from fairbook.core.exchange import Exchange
from fairbook.followers import wire as follower_wire
from fairbook.log.file_log import FileLog
from tests.core import wire
from tests.core.stream import SplitMix64, Stream, has_later_rules, opening
from tests.world.naive_history import NaiveHistory

RUN = """
import sys
from pathlib import Path
from fairbook.followers import recorder
directory, options, descriptor = sys.argv[1:]
numbers = {name: int(number) for name, number in (each.split("=") for each in options.split())}
recorder.run(Path(directory), int(descriptor), **numbers)
"""
WAIT_S = 30.0
START_NS = 1_704_067_100 * 10**9


def command(directory: Path, **options: int) -> list[str]:
    """Starts a recorder; the number of its descriptor is to be appended."""
    said = " ".join(f"{name}={value}" for name, value in options.items())
    return [sys.executable, "-c", RUN, str(directory), said]


def write_log(directory: Path, *, seed: int, frames: int) -> NaiveHistory:
    """Write a log of random frames; returns its history."""
    naive, exchange = NaiveHistory(), Exchange()
    stream = Stream(SplitMix64(seed).pick)
    log = FileLog(directory, segment_bytes=256 * 1024)
    for number in range(frames):
        frame = many_units(stream) if number else opening()
        entry = log.append(frame, START_NS + number * 370_000_000)
        events = exchange.apply(entry.frame, entry.time_ns)
        naive.take(entry.time_ns, events)
        stream.saw(wire.split_events(events))
    log.close()
    return naive


def many_units(stream: Stream) -> bytes:
    frame = b"".join(stream.command() for _ in range(20))
    return admin_records.tick() if has_later_rules(frame) else frame


class RecorderChild:
    """A recorder's process, and this end of its connection."""

    def __init__(self, directory: Path, **options: int) -> None:
        self._ours, theirs = socket.socketpair()
        self._ours.settimeout(WAIT_S)
        self._parser = follower_wire.MessageParser()
        self.committed = -1
        self.reports = 0
        self.notes: list[str] = []
        self.process = subprocess.Popen(
            [*command(directory, **options), str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stderr=subprocess.PIPE,
        )
        theirs.close()

    def announce(self, position: int) -> None:
        """The log is durable up to `position`."""
        self._ours.sendall(follower_wire.pack(follower_wire.APPLIED, position))

    def receive(self) -> None:
        """Wait for a report or a note. Raises ConnectionError once the recorder is gone."""
        received = False
        while not received:
            octets = self._ours.recv(64 * 1024)
            if not octets:
                raise ConnectionError
            for message in self._parser.feed(octets):
                received = received or message.kind != follower_wire.HELLO
                if message.kind == follower_wire.NOTE:
                    self.notes.append(message.text)
                elif message.kind == follower_wire.PROGRESS:
                    self.reports += 1
                    self.committed = message.position

    def until(self, position: int) -> None:
        """Wait until everything up to `position` is recorded."""
        deadline = time.monotonic() + WAIT_S
        while self.committed < position:
            assert time.monotonic() < deadline, (self.committed, self.notes)
            self.receive()

    def kill(self) -> None:
        """kill -9, and wait for the end."""
        self.process.kill()
        self._close()

    def end(self) -> int:
        """Close the connection, and wait for the end. Returns the exit status."""
        with suppress(OSError):  # It may have ended by itself.
            self._ours.shutdown(socket.SHUT_WR)
        self._close()
        return self.process.returncode

    def _close(self) -> None:
        assert self.process.stderr is not None
        self.stderr = self.process.stderr.read().decode()
        self.process.wait()
        self.process.stderr.close()
        self._ours.close()
