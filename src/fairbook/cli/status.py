"""`fairbook status`: the state of an exchange, running or stopped.

A running exchange answers over its control socket; of a stopped one the state is computed from the
newest snapshot and the log. A file in DIR/audit is believed if the state vouches for it.
"""

import argparse
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from fairbook.accounts.comparison import NAMED_MAX
from fairbook.accounts.contradictions import contradictions
from fairbook.accounts.credentials import AccountsDamaged
from fairbook.accounts.sqlite_accounts import FILE_NAME as ACCOUNTS_NAME
from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.cli.data_directory import REPLAY_ERRORS, require_log
from fairbook.cli.parser import CommandParser
from fairbook.core.exchange import Exchange
from fairbook.core.units import NS_PER_SECOND
from fairbook.engine.queries import EngineView
from fairbook.engine.recovery import restore_before
from fairbook.engine.snapshots import DIRECTORY as SNAPSHOTS_NAME
from fairbook.engine.snapshots import Snapshots
from fairbook.followers.audit import believed_verdict
from fairbook.followers.pauses import (
    AUDIT_REASONS,
    DISK_LOW,
    OPERATOR_REASONS,
    find_starts,
    pause_statuses,
    standing_reasons,
)
from fairbook.followers.replica_monitor import audit_status, room_status
from fairbook.log.file_log import FileLog
from fairbook.net import control_socket

ERRORS: Final = (*REPLAY_ERRORS, AccountsDamaged, ValueError, control_socket.ControlRefused)
ROOM_SHARE: Final = 0.01  # of a table, from which on it is shown how full it is

SHOWN_MAX: Final = 20  # contradictions; all are in the log of the process

Status = dict[str, Any]


def add_arguments(parser: CommandParser) -> None:
    parser.add_directory()
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Exit code 1: the audit or the disk has paused trading, accounts or a witness contradict the
    log, or the full replay cannot run.
    """
    status = read_status(arguments.directory)
    if arguments.json:
        print(json.dumps(status, indent=2))
    else:
        for label, text in lines(status):
            print(f"{label:9} {text}")
    accounts = status.get("accounts")
    is_contradicted = accounts is not None and bool(accounts["contradictions"])
    is_contradicted |= any(each["contradicts"] for each in status.get("witnesses", ()))
    pauses = status["pauses"]
    is_paused = status["audit"]["verdict"] is not None or pauses["audit"] is not None
    operator = pauses["operator"]
    full = status.get("full_replay")
    is_contradicted |= full is not None and is_down(full)
    is_disk_low = operator is not None and operator["reason"] == DISK_LOW
    return 1 if is_paused or is_disk_low or is_contradicted else 0


def read_status(directory: Path) -> Status:
    """Of a running exchange, or of a stopped one. Raises ERRORS."""
    try:
        return control_socket.ask(directory, "status")
    except control_socket.NotRunning:
        return _stopped(directory)


def lines(status: Status) -> Iterator[tuple[str, str]]:
    """What a person needs to know, as (label, text)."""
    engine, replica = status["engine"], status["replica"]
    if engine["pid"] is None:
        yield "engine", f"not running; the log ends at position {engine['position']}"
        newest = replica["snapshot_position"]
        yield "snapshot", f"position {newest}" if newest else "no valid one"
    else:
        yield from _running_lines(status)
    if accounts := status.get("accounts"):
        yield from _accounts_lines(accounts)
    yield from audit_lines(status)
    if operator := status["pauses"]["operator"]:
        reason = OPERATOR_REASONS.get(operator["reason"], f"reason {operator['reason']}")
        yield "operator", f"TRADING IS PAUSED{_since(operator)}: {reason}"
    if disk := status.get("disk"):
        free, low = disk["free_bytes"] >> 20, disk["low_bytes"] >> 20
        given = "" if disk["has_reserve"] else "; THERE IS NO RESERVE"
        yield "disk", f"{free} MiB free at {disk['path']}, the low mark is {low} MiB{given}"
    for room in status["room"]:
        if room["used"] > room["most"] * ROOM_SHARE:
            share = f"{100 * room['used'] / room['most']:.1f} %"
            yield "room", f"{room['name']}: {share} used, {room['left']} left"


def audit_lines(status: Status) -> Iterator[tuple[str, str]]:
    """What the audit says, as (label, text)."""
    audit, pause = status["audit"], status["pauses"]["audit"]
    if audit["verdict"] is not None:
        since = "" if pause is None else _since(pause)
        yield "audit", f"TRADING IS PAUSED{since}: {audit['summary']}"
    elif pause is not None:
        reason = AUDIT_REASONS.get(pause["reason"], f"reason {pause['reason']}")
        gone = f"the verdict of pause {pause['name']} is gone"
        yield "audit", f"TRADING IS PAUSED{_since(pause)}: {reason}; {gone}"
    else:
        yield "audit", "no difference between the engines"
    if audit["not_believed"] is not None:
        yield "", f"not believed: {audit['not_believed']}"


def _since(pause: Status) -> str:
    if pause["since_ns"] is None:
        return ""
    at = datetime.fromtimestamp(pause["since_ns"] // NS_PER_SECOND, UTC)
    return f" since {at:%Y-%m-%d %H:%M:%S} UTC (position {pause['since_position']})"


def _running_lines(status: Status) -> Iterator[tuple[str, str]]:
    engine, replica = status["engine"], status["replica"]
    paused = "; trading is paused, only cancels are accepted" if engine["paused"] else ""
    at = f"position {engine['position']}, {_counted(engine['pending'], 'record')} pending"
    yield "engine", f"running: {at} (process {engine['pid']}){paused}"
    if until_ms := status.get("signed_after_ms"):
        until = datetime.fromtimestamp(until_ms // 1000, UTC)
        why = (
            f"the clock was ahead: signed requests are refused until {until:%Y-%m-%d %H:%M:%S} UTC"
        )
        yield "clock", f"{why}; to accept them now: `fairbook admin confirm-clock`"
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
    if full := status.get("full_replay"):
        yield "replayed", _full_replay_line(full)
    if signed := status.get("checkpoint"):
        yield "signed", f"checkpoint of position {signed['position']}, key {signed['key']}"
        if signed["failed"]:
            yield "", f"NOT WRITTEN: {signed['failed']}"
    for witness in status.get("witnesses", ()):
        what = witness["problem"] or f"has confirmed the log up to position {witness['position']}"
        yield "witness", f"{witness['url']}: {'CONTRADICTS: ' * witness['contradicts']}{what}"
    if (proof := status.get("liabilities")) and proof["is_wanted"]:
        made = f"of position {proof['position']}" if proof["position"] else "not made yet"
        yield "owed", f"proof of liabilities {made}"
        if proof["failed"]:
            yield "", f"NOT MADE: {proof['failed']}"
    if streams := status.get("streams"):
        connections = _counted(streams["connections"], "connection")
        load = f"{connections}, {_counted(streams['subscriptions'], 'subscription')}"
        slow = f"{streams['slow']} slow, {streams['slowClosed']} closed as too slow"
        yield "streams", f"{load}; {slow}"
        if not streams["has_history"]:
            yield "", "tickers and candles contain only trades since the start"
    if maker := status.get("maker"):
        yield from _process_lines("maker", "running", maker)


def _full_replay_line(full: Status) -> str:
    if is_down(full):
        return f"NOT RUNNING: {full['last_note'] or full['last_end']}"
    begin = full["started_from"]
    if begin is None:
        return "not begun yet"
    if begin and not full["is_confirmed"]:
        return f"up to position {full['position']}, resumed, unconfirmed since position {begin}"
    resumed = f", resumed at position {begin}, which a witness confirmed" if begin else ""
    return f"from the first entry up to position {full['position']}{resumed}"


def is_down(full: Status) -> bool:
    """Whether the full replay has ended and waits for its next start."""
    return full["pid"] is None and full["last_end"] is not None


def _accounts_lines(accounts: Status) -> Iterator[tuple[str, str]]:
    if accounts["contradictions"]:
        yield "accounts", f"{_counted(accounts['count'], 'ROW')} OF accounts.db CONTRADICT THE LOG:"
    elif accounts["passes"]:
        yield "accounts", f"the log backs {_counted(accounts['rows'], 'row')} of accounts.db"
    else:
        yield "accounts", "not compared with the log yet"
    if accounts["failed"]:
        yield "", f"accounts.db cannot be compared: {accounts['failed']}"
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
    require_log(directory)
    newest_first = [Snapshots(directory)] if (directory / SNAPSHOTS_NAME).is_dir() else []
    with closing(FileLog(directory, read_only=True)) as log:
        position = log.last.position
        runner = restore_before(log, newest_first, position, is_checked=False)
        snapshot_position = runner.position
        for entry in log.read(snapshot_position + 1):
            runner.apply(entry)
        exchange = runner.exchange
        reasons = standing_reasons(exchange)
        began = find_starts(log.read(1), reasons, {}, position) if reasons else {}
    return {
        "engine": {"pid": None, "position": position, "paused": bool(exchange.paused)},
        "replica": {"state": "down", "snapshot_position": snapshot_position},
        "audit": audit_status(*believed_verdict(directory, exchange)),
        "pauses": pause_statuses(exchange, began),
        "room": room_status(exchange),
        "accounts": _stopped_accounts(directory, exchange),
    }


def _stopped_accounts(directory: Path, exchange: Exchange) -> Status | None:
    """As StoreComparison.status; None: there is no store."""
    path = directory / ACCOUNTS_NAME
    if not path.exists():
        return None
    with SqliteAccounts.as_of_now(path) as store:
        found = contradictions(store, EngineView(exchange))
        counts = {"rows": store.count(), "passes": 1, "age_s": 0, "count": len(found)}
    return {**counts, "contradictions": found[:NAMED_MAX], "removed": [], "failed": None}
