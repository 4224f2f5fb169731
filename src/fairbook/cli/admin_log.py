"""`fairbook admin log`: the acts of operators, read from the log itself.

The log is replayed, so that the outcome of each act is known. Reasons and names are those of the
accounts store; a reason whose hash is not the one in the log is shown as missing.
"""

import argparse
import json
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from fairbook.accounts.credentials import AccountsDamaged
from fairbook.accounts.sqlite_accounts import FILE_NAME as ACCOUNTS_NAME
from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.cli.command_text import time_text, unit_text, units_of
from fairbook.cli.data_directory import REPLAY_ERRORS, replay_log
from fairbook.cli.event_text import outcome_text
from fairbook.cli.parser import CommandParser, position
from fairbook.core import records
from fairbook.core.exchange import Exchange
from fairbook.core.parts import ORIGIN_BYTES, Parts, has_origin
from fairbook.core.records import COMMAND_BYTES, HAS_OPERATOR
from fairbook.engine.runner import Runner
from fairbook.log.command_log import Entry

ERRORS: Final = (*REPLAY_ERRORS, AccountsDamaged)


def add_arguments(parser: CommandParser) -> None:
    parser.add_directory()
    parser.add_argument(
        "--from", dest="first", type=position, default=1, metavar="N", help="first position"
    )
    parser.add_argument("--to", type=position, metavar="N", help="last position (default: the end)")
    parser.add_argument(
        "--newest", type=position, metavar="N", help="only the newest N acts (default: all)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(arguments: argparse.Namespace) -> int:
    directory: Path = arguments.directory
    runner = Runner(Exchange())
    with ExitStack() as stack:
        store = None
        if (directory / ACCOUNTS_NAME).exists():
            store = stack.enter_context(SqliteAccounts.as_of_now(directory / ACCOUNTS_NAME))
        acts = (
            act
            for entry, events in replay_log(directory, runner, to=arguments.to)
            if entry.position >= arguments.first
            for act in acts_in(entry, events, runner.exchange, store)
        )
        shown = acts if arguments.newest is None else deque(acts, maxlen=arguments.newest)
        for act in shown:
            print(json.dumps(act) if arguments.json else _line(act))
    return 0


def acts_in(
    entry: Entry, events: bytes, exchange: Exchange, store: SqliteAccounts | None
) -> Iterator[dict[str, Any]]:
    """The acts in one frame, rejected ones included. exchange: after the frame."""
    if not any(flags & HAS_OPERATOR for flags in entry.frame[2::COMMAND_BYTES]):
        return
    units = units_of(entry.frame, ORIGIN_BYTES if has_origin(entry.frame) else 0)
    for unit, made in zip(units, records.split(events), strict=True):
        at = len(unit) - COMMAND_BYTES
        if at < COMMAND_BYTES or not unit[at + 2] & HAS_OPERATOR:
            continue
        parts = Parts()
        parts.read(unit, at - COMMAND_BYTES)  # The operator's part is the last.
        outcome = records.read_outcome(made)
        yield {
            "position": entry.position,
            "sequence": outcome.sequence,
            "time": time_text(entry.time_ns),
            "operator": parts.operator,
            "name": None if store is None else store.operators.operator(parts.operator).name,
            "act": unit_text(unit[at : at + 2] + b"\0" + unit[at + 3 :], exchange),
            "outcome": outcome_text(outcome),
            "reason": None if store is None else store.operators.reason(parts.reason),
            "reference": parts.operator_reference,
        }


def _line(act: dict[str, Any]) -> str:
    name = act["name"] or act["operator"]
    reason = "(its text is missing)" if act["reason"] is None else act["reason"]
    approved = f" approves #{act['reference']}" if act["reference"] else ""
    return (
        f"[{act['position']}] #{act['sequence']} {act['time']} {name}{approved}: {act['act']}"
        f" -> {act['outcome']}; {reason}"
    )
