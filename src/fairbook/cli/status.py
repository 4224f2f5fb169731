"""`fairbook status`: the state of an exchange, running or stopped.

A running exchange answers over its control socket; of a stopped one the files are read.
"""

import argparse
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from fairbook.cli.data_directory import DataError, read_snapshots
from fairbook.cli.parser import CommandParser
from fairbook.core.units import NS_PER_SECOND
from fairbook.followers.audit_files import read_verdict, summary
from fairbook.log.command_log import LogDamaged
from fairbook.log.file_log import FileLog
from fairbook.net import control_socket

ERRORS: Final = (DataError, LogDamaged, OSError, ValueError, control_socket.ControlRefused)

SHOWN_MAX: Final = 20  # contradictions; all are in the log of the process

Status = dict[str, Any]


def add_arguments(parser: CommandParser) -> None:
    parser.add_directory()
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Exit code 1: a verdict pauses trading, or rows of the accounts contradict the log."""
    try:
        status = control_socket.ask(arguments.directory, "status")
    except control_socket.NotRunning:
        status = _stopped(arguments.directory)
    if arguments.json:
        print(json.dumps(status, indent=2))
    else:
        for label, text in lines(status):
            print(f"{label:9} {text}")
    is_contradicted = bool(status.get("accounts", {}).get("contradictions"))
    return 0 if status["audit"]["verdict"] is None and not is_contradicted else 1


def lines(status: Status) -> Iterator[tuple[str, str]]:
    """What a person needs to know, as (label, text)."""
    engine, replica, audit = status["engine"], status["replica"], status["audit"]
    if engine["pid"] is None:
        yield "engine", f"not running; the log ends at position {engine['position']}"
        newest = replica["snapshot_position"]
        yield "snapshot", f"position {newest}" if newest else "no valid one"
    else:
        yield from _running_lines(status)
    if audit["verdict"] is None:
        yield "audit", "no difference between the engines"
    else:
        yield "audit", f"TRADING IS PAUSED: {audit['summary']}"


def _running_lines(status: Status) -> Iterator[tuple[str, str]]:
    engine, replica = status["engine"], status["replica"]
    paused = "; trading is paused, only cancels are accepted" if engine["paused"] else ""
    at = f"position {engine['position']}, {_counted(engine['pending'], 'command')} pending"
    yield "engine", f"running: {at} (process {engine['pid']}){paused}"
    if engine["clock_jump_ns"]:
        ahead_s = engine["clock_jump_ns"] // NS_PER_SECOND
        yield "clock", f"{ahead_s} s ahead of log time; if right: `fairbook admin confirm-clock`"
    yield from _follower_lines("replica", replica)
    age_s = replica["round_age_s"]
    last = "" if age_s is None else f", last {age_s} s ago"
    rounds = f"the whole state {_counted(replica['rounds_agreed'], 'time')}{last}"
    yield "compared", f"events up to position {replica['agreed_position']}; {rounds}"
    if replica["other_version"]:
        yield "", f"not compared, the versions differ: {replica['other_version']}"
    if recorder := status.get("recorder"):
        yield from _follower_lines("recorder", recorder)
    if streams := status.get("streams"):
        connections = _counted(streams["connections"], "connection")
        load = f"{connections}, {_counted(streams['subscriptions'], 'subscription')}"
        slow = f"{streams['slow']} slow, {streams['slowClosed']} closed as too slow"
        yield "streams", f"{load}; {slow}"
        if not streams["has_history"]:
            yield "", "tickers and candles contain only trades since the start"
    if accounts := status.get("accounts"):
        yield from _accounts_lines(accounts)
    if maker := status.get("maker"):
        yield from _process_lines("maker", "running", maker)


def _accounts_lines(accounts: Status) -> Iterator[tuple[str, str]]:
    if accounts["contradictions"]:
        yield "accounts", f"{_counted(accounts['count'], 'ROW')} OF accounts.db CONTRADICT THE LOG:"
    elif accounts["passes"]:
        yield "accounts", f"the log backs {_counted(accounts['rows'], 'row')} of accounts.db"
    else:
        yield "accounts", "not compared with the log yet"
    for sentence in (accounts["contradictions"] + accounts["removed"])[:SHOWN_MAX]:
        yield "", sentence


def _follower_lines(name: str, follower: Status) -> Iterator[tuple[str, str]]:
    behind = f"{_counted(follower['lag_frames'], 'frame')} ({follower['lag_ms']} ms) behind"
    at = f"position {follower['position']}, {behind}"
    yield from _process_lines(name, f"{follower['state']}: {at}", follower)
    if follower["last_note"]:
        yield "", f"last message: {follower['last_note']}"


def _process_lines(name: str, state: str, child: Status) -> Iterator[tuple[str, str]]:
    process = "" if child["pid"] is None else f"process {child['pid']}, "
    yield name, f"{state} ({process}{_counted(child['starts'], 'start')})"
    if child["last_end"]:
        yield "", f"last end: {child['last_end']}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _stopped(directory: Path) -> Status:
    """The part of the status that can be read from the files."""
    snapshots, _ = read_snapshots(directory)
    with closing(FileLog(directory, read_only=True)) as log:
        position = log.last.position
    verdict = read_verdict(directory)
    return {
        "engine": {"pid": None, "position": position, "paused": verdict is not None},
        "replica": {"state": "down", "snapshot_position": max(snapshots, default=0)},
        "audit": {"verdict": verdict, "summary": verdict and summary(verdict)},
    }
