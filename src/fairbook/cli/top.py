"""`fairbook top`: one screen of a running exchange, refreshed every second."""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fairbook.cli.parser import CommandParser
from fairbook.net import control_socket

ERRORS: Final = (control_socket.NotRunning, control_socket.ControlRefused, OSError)
REFRESH_S: Final = 1.0
MIB: Final = 1 << 20

Status = Mapping[str, Any]


def add_arguments(parser: CommandParser) -> None:
    parser.add_directory()


def run(arguments: argparse.Namespace) -> int:
    """Refresh until Ctrl-C; print once if the output is no terminal."""
    directory: Path = arguments.directory
    before = control_socket.ask(directory, "status")
    if not sys.stdout.isatty():
        Console().print(screen(before, before, 0.0))
        return 0
    asked_s = time.monotonic()
    with Live(screen(before, before, 0.0), screen=True, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(REFRESH_S)
                now, now_s = control_socket.ask(directory, "status"), time.monotonic()
                live.update(screen(now, before, now_s - asked_s), refresh=True)
                before, asked_s = now, now_s
        except KeyboardInterrupt:
            return 0


def screen(now: Status, before: Status, seconds: float) -> RenderableType:
    """A screen. before: the status `seconds` ago, for rates; 0: there is none."""
    engine = now["engine"]
    state = Text("paused", style="bold red") if engine["paused"] else Text("open", style="green")
    head = Text.assemble(
        ("Fairbook ", "bold"), engine["version"].split()[0], "  ", state,
        f"  position {engine['position']}  queued {engine['pending']}",
    )  # fmt: skip
    tables = [_commands(now, before, seconds), _times(now), _followers(now), _servers(now)]
    return Group(head, *tables)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def _commands(now: Status, before: Status, seconds: float) -> Table:
    table = _table("Commands", "kind and outcome", "in all", "a second")
    earlier = before["work"]["commands"]
    for name, count in sorted(now["work"]["commands"].items(), key=lambda each: -each[1])[:10]:
        table.add_row(name, f"{count:,}", _rate(count - earlier.get(name, 0), seconds))
    refused = now["work"]["refused"]
    table.add_row(
        "refused, queue full", f"{refused:,}", _rate(refused - before["work"]["refused"], seconds)
    )
    return table


def _rate(count: int, seconds: float) -> str:
    return f"{count / seconds:,.0f}" if seconds else "-"


def _times(now: Status) -> Table:
    work = now["work"]
    table = _table("Times since the start", "", "half below", "99 % below")
    for name, counts in (("write and sync a frame", work["sync"]), ("answer", work["answered"])):
        table.add_row(name, *(_quantile(counts, work["bounds_s"], q) for q in (0.5, 0.99)))
    table.add_row("event loop late, of 10 s", "", f"{1000 * work['loop_delay_s']:.1f} ms")
    return table


def _quantile(counts: Sequence[int], bounds_s: Sequence[float], share: float) -> str:
    """The bound of the bucket in which it lies."""
    wanted, seen = share * sum(counts), 0
    for bound, count in zip((*bounds_s, None), counts, strict=True):
        seen += count
        if seen and seen >= wanted:
            return f"over {1000 * bounds_s[-1]:g} ms" if bound is None else f"{1000 * bound:g} ms"
    return "-"


def _followers(now: Status) -> Table:
    table = _table("Processes", "", "state", "frames behind")
    for name in ("replica", "recorder", "maker"):
        process = now.get(name)
        if process is not None:
            state = str(process.get("state") or ("running" if process.get("pid") else "starting"))
            table.add_row(name, state, str(process.get("lag_frames", "-")))
    age = now["replica"].get("round_age_s")
    agreed = "never" if age is None else f"{age:.0f} s ago"
    verdict = now["audit"]["summary"]
    table.add_row("agreement on everything", verdict or agreed, "")
    return table


def _servers(now: Status) -> Table:
    table = _table("Clients and disk", "", "")
    streams, disk = now["streams"], now["disk"]
    for name, value in (
        ("HTTP connections", now["http"]["connections"]),
        ("stream connections", streams["connections"]),
        ("subscriptions", streams["subscriptions"]),
        ("closed because they did not read", streams["slowClosed"]),
        ("passwords waiting", now["passwords"]["queued"]),
        ("MiB free on disk", f"{disk['free_bytes'] // MIB:,}"),
    ):
        table.add_row(name, str(value))
    return table
