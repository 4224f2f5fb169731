"""Engine and replica as a person sees them: `status`, `admin` and `judge`.

How it works: a running exchange is asked at its control door; of one that is not running, the files
are read.

Always true: nothing is changed but by the acts of `admin`, which ask the exchange to do it, and by
`judge`, which completes a verdict.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from fairbook.core.units import NS_PER_SECOND
from fairbook.engine.snapshots import SnapshotInvalid, Snapshots
from fairbook.followers.audit import summary
from fairbook.followers.audit_files import DIRECTORY, VERDICT_NAME, Verdict, read_verdict
from fairbook.followers.judge import judge as decide
from fairbook.log.files import DIRECTORY as LOG_NAME
from fairbook.log.files import FileLog
from fairbook.log.log import LogDamaged
from fairbook.net import control_socket as control


def status(directory: Path, *, as_json: bool) -> int:
    """Print how the exchange in `directory` does. 1: trading is paused by a verdict."""
    try:
        found = control.ask(directory, "status")
    except control.NotRunning:
        try:
            found = _at_rest(directory)
        except (OSError, ValueError, LogDamaged) as error:
            return _fail("status", directory, error)
    except (OSError, control.Refused) as error:
        return _fail("status", directory, error)
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        for line in lines(found):
            print(line)
    return 0 if found["audit"]["verdict"] is None else 1


def resume(directory: Path, position: int | None) -> int:
    """Open trading again, or show the verdict that has to be acknowledged first."""
    try:
        verdict = read_verdict(directory)
        if position is None:
            if verdict is None:
                raise control.Refused("there is no verdict to acknowledge")
            print(json.dumps(verdict, indent=2))
            print(summary(verdict))
            print(
                "When you know why, and what to do about it:\n"
                f"  fairbook admin resume {directory} --acknowledge {verdict['position']}"
            )
            return 1
        print(control.ask(directory, "resume", position=position)["done"])
    except (OSError, ValueError, control.NotRunning, control.Refused) as error:
        return _fail("admin resume", directory, error)
    return 0


def confirm_clock(directory: Path) -> int:
    """Say that the wall clock is right, so that log time follows a jump ahead."""
    try:
        print(control.ask(directory, "confirm-clock")["done"])
    except (OSError, control.NotRunning, control.Refused) as error:
        return _fail("admin confirm-clock", directory, error)
    return 0


def judge(directory: Path) -> int:
    """Complete the verdict of `directory`."""
    try:
        verdict = decide(directory)
    except (OSError, ValueError, LogDamaged) as error:
        return _fail("judge", directory, error)
    print(summary(verdict))
    return 0


def lines(found: dict[str, Any]) -> list[str]:
    """A status in a few lines."""
    engine, replica = found["engine"], found["replica"]
    paused = ", only cancels are taken" if engine["paused"] else ""
    if engine["pid"] is None:
        return [
            f"not running; the log ends at position {engine['position']}",
            f"newest snapshot: position {replica['snapshot_position']}",
            *_verdict_lines(found["audit"]),
        ]
    waiting = f"position {engine['position']}, {engine['pending']} commands waiting"
    behind = f"behind by {replica['lag_frames']} frames, {replica['lag_ms']} ms"
    process = f"process {replica['pid']}, started {replica['starts']} times"
    agreed = f"events up to position {replica['agreed_position']}"
    age = "never" if replica["round_age_s"] is None else f"{replica['round_age_s']} s ago"
    found_lines = [
        f"engine   {waiting} (process {engine['pid']}){paused}",
        f"replica  {replica['state']}: position {replica['position']}, {behind} ({process})",
        f"agreed   {agreed}; the whole state {replica['rounds_agreed']} times, last {age}",
    ]
    if engine["clock_jump_ns"]:
        ahead_s = engine["clock_jump_ns"] // NS_PER_SECOND
        found_lines.append(
            f"clock    {ahead_s} s ahead of log time; `admin confirm-clock` if right"
        )
    if replica["last_end"]:
        found_lines.append(f"last end {replica['last_end']}")
    if replica["last_note"]:
        found_lines.append(f"it said  {replica['last_note']}")
    if replica["other_version"]:
        found_lines.append(f"versions differ, which proves nothing: {replica['other_version']}")
    return found_lines + _other_lines(found) + _verdict_lines(found["audit"])


def _other_lines(found: dict[str, Any]) -> list[str]:
    """Recorder, streams and maker, as far as there are any."""
    other_lines = []
    if recorder := found.get("recorder"):
        behind = f"behind by {recorder['lag_frames']} frames, {recorder['lag_ms']} ms"
        process = f"process {recorder['pid']}, started {recorder['starts']} times"
        at = f"position {recorder['position']}"
        other_lines.append(f"recorder {recorder['state']}: {at}, {behind} ({process})")
        if recorder["last_end"]:
            other_lines.append(f"last end {recorder['last_end']}")
        if recorder["last_note"]:
            other_lines.append(f"it said  {recorder['last_note']}")
    if streams := found.get("streams"):
        load = f"{streams['connections']} connections, {streams['subscriptions']} subscriptions"
        slow = f"{streams['slow']} slow, {streams['slowClosed']} closed for it"
        other_lines.append(f"streams  {load}; {slow}")
        if not streams["has_history"]:
            other_lines.append("         tickers and candles know of trades since the start only")
    if maker := found.get("maker"):
        other_lines.append(f"maker    process {maker['pid']}, started {maker['starts']} times")
        if maker["last_end"]:
            other_lines.append(f"last end {maker['last_end']}")
    return other_lines


def _verdict_lines(audit: dict[str, Any]) -> list[str]:
    if audit["verdict"] is None:
        return ["audit    no difference is open"]
    return [f"audit    TRADING IS PAUSED: {audit['summary']}"]


def _at_rest(directory: Path) -> dict[str, Any]:
    """As the exchange answers, as far as files tell. Raises OSError, ValueError, LogDamaged."""
    if not (directory / LOG_NAME).is_dir():
        raise ValueError("there is no log in it")
    log = FileLog(directory, read_only=True)
    try:
        position = log.last.position
    finally:
        log.close()
    snapshots = Snapshots(directory)
    newest = 0
    for path in snapshots.paths():
        try:
            newest = snapshots.read(path).position
            break
        except SnapshotInvalid:
            continue
    verdict: Verdict | None = read_verdict(directory)
    return {
        "engine": {"pid": None, "position": position, "paused": verdict is not None},
        "replica": {"state": "down", "snapshot_position": newest},
        "audit": {
            "verdict": verdict,
            "summary": None if verdict is None else summary(verdict),
            "file": None if verdict is None else str(directory / DIRECTORY / VERDICT_NAME),
        },
    }


def _fail(command: str, directory: Path, error: Exception) -> int:
    print(f"fairbook {command}: {directory}: {error}", file=sys.stderr)
    return 1
