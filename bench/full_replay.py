"""`./dev bench full-replay`: what the replay of the whole log takes from orders, and its speed.

Design: two exchanges with the same history, one without a full replay. They take turns under the
same load, on one processor with all their children; the replay is halted while the other one is
measured. Then nothing else is done, and it goes on to the end of the log.
"""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.history import Writer
from bench.loaded_exchange import Venue
from bench.order_mix import TOKEN
from bench.processes import Server, cpu_s
from bench.runs import ROUNDS, SECONDS, Option, Run, spread, table
from fairbook.net import control_socket

OPTIONS: Final = {
    "rounds": Option(7, 1, ROUNDS),
    "seconds": Option(1.0, 0.05, SECONDS),
    "count": Option(3_000_000, 20_000, "commands in the history"),
    "frame": Option(8, 8, "commands in a frame"),
    "orders": Option(2_000, 200, "resting ones"),
}
CONNECTIONS: Final = (8, 32)
WHOLE: Final = 10_000_000
POLL_S: Final = 0.05
NONE: Final = {"FAIRBOOK_FULL_REPLAY_DAYS": "0"}
AT_ONCE: Final = {"FAIRBOOK_FULL_REPLAY_AFTER_S": "0"}


def report(run: Run) -> Iterator[str]:
    options = run.options
    for name in ("alone", "replayed"):
        _history(run, run.folder / name)
    alone = Venue(run, "alone", settings=NONE)
    replayed = Venue(run, "replayed", settings=AT_ONCE)
    replay = _Replay(run.folder / "replayed")
    run.at_end(replay.go_on)
    rows = []
    for connections in CONNECTIONS:
        ratios = []
        for number in range(-1, options.rounds):
            rates = {}
            for venue in (alone, replayed) if number % 2 else (replayed, alone):
                with replay.halted(is_halted=venue is alone):
                    rates[venue] = venue.slice(TOKEN, connections, options.seconds).rate
            if number >= 0:  # A round before the first warms up what was just started.
                ratios.append(rates[replayed] / rates[alone])
        rows.append([f"{connections} connections", *spread(ratios)])
    yield from table("orders a second, with : without a full replay | median | range", rows)
    yield f"Under this load it got {replay.share_under_load():.1%} of the processor."
    yield replay.alone(options.frame)


def _history(run: Run, directory: Path) -> None:
    options = run.options
    if (first := run.folder / "alone").exists() and directory != first:
        shutil.copytree(first, directory, ignore=shutil.ignore_patterns("control", "LOCK"))
        return
    Server(directory).kill()  # The demo, whose traders give the load.
    writer = Writer(directory, frame_commands=options.frame)
    writer.fill(options.orders)
    writer.write(writer.trade, options.count)
    writer.snapshot()
    writer.close()


class _Replay:
    """The process of the full replay."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        while self._status()["pid"] is None or self._status()["started_from"] is None:
            time.sleep(POLL_S)
        self._pid = int(self._status()["pid"])
        self._ran_s = self._used_s = 0.0

    def _status(self) -> dict[str, Any]:
        found: dict[str, Any] = control_socket.ask(self._directory, "status")["full_replay"]
        return found

    @contextmanager
    def halted(self, *, is_halted: bool) -> Iterator[None]:
        """It is halted, or measured."""
        if is_halted:
            os.kill(self._pid, signal.SIGSTOP)
        begun_s, used_s = time.monotonic(), cpu_s(self._pid)
        try:
            yield
        finally:
            if not is_halted:
                self._ran_s += time.monotonic() - begun_s
                self._used_s += cpu_s(self._pid) - used_s
            self.go_on()

    def go_on(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    def share_under_load(self) -> float:
        return self._used_s / max(self._ran_s, POLL_S)

    def alone(self, frame_commands: int) -> str:
        """Until the end of the log."""
        begun_s, begun = time.monotonic(), self._status()
        end = begun["position"] + begun["lag_frames"]
        while (status := self._status())["position"] < end:
            time.sleep(POLL_S)
        took_s = time.monotonic() - begun_s
        commands = (status["position"] - begun["position"]) * frame_commands
        if commands < frame_commands * 100:
            return "It had reached the end of the log before."
        rate = commands / took_s
        return (
            f"With nothing else to do it executes {rate:,.0f} commands a second, in frames of"
            f" {frame_commands}: {WHOLE:,} in {WHOLE / rate:,.0f} s."
        )
