"""`fairbook admin`: operate a running exchange, over its control socket."""

import argparse
import json
from pathlib import Path
from typing import Any, Final

from fairbook.admin.acts import ACTS, DECISIONS, PROPOSAL
from fairbook.app.operator_tokens import FILE_NAMES, read_token
from fairbook.cli import admin_log, status
from fairbook.cli.parser import CommandParser, UsageError
from fairbook.cli.status import audit_lines, read_status
from fairbook.net import control_socket

ERRORS: Final = (*status.ERRORS, *admin_log.ERRORS, control_socket.NotRunning)
READINGS: Final = {
    "acts": "what operators can do",
    "exchange": "limits and pauses of the exchange",
    "assets": "assets with supply and limits",
    "markets": "markets with state, fees and bounds",
    "accounts": "accounts whose name or e-mail address begins with SEARCH",
    "account": "balances, open orders, keys and sessions of an account",
    "pending": "credits that wait for an operator",
    "withdrawals": "withdrawals that wait for an operator",
    "proposals": "acts that wait for a second operator",
    "operators": "operators with roles and tokens",
}
_FIELDS: Final = {
    "account": (("accountId", "number of the account", False),),
    "accounts": (
        ("search", "beginning of a name or an e-mail address", True),
        ("after", "only accounts with higher numbers", True),
    ),
}


def add_arguments(parser: CommandParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    resume = actions.add_parser("resume", help="resume trading that the audit has paused")
    resume.add_directory()
    resume.add_argument(
        "--acknowledge",
        metavar="POSITION",
        help="position of the verdict that you have read, or the name of a pause whose verdict is"
        " gone; without it, show what there is to acknowledge",
    )
    confirm = actions.add_parser(
        "confirm-clock", help="accept a jump of the wall clock: log time follows it"
    )
    confirm.add_directory()
    admin_log.add_arguments(actions.add_parser("log", help="list the acts of operators"))
    for name, text in READINGS.items():
        reading = actions.add_parser(name, help=f"show {text}")
        _add(reading, _FIELDS.get(name, ()))
    for name, act in ACTS.items():
        two = " (needs two operators)" if act.needs_two else ""
        _add(actions.add_parser(name, help=f"{act.help}{two}"), act.fields, needs_reason=True)
    for name, text in DECISIONS.items():
        _add(actions.add_parser(name, help=text), (PROPOSAL,), needs_reason=True)


def _add(parser: Any, fields: Any, *, needs_reason: bool = False) -> None:
    """Arguments of an act or a reading: the directory, its fields, the token."""
    parser.add_directory()
    for name, text, is_optional, *_ in fields:
        parser.add_argument(
            f"--{name}", required=not is_optional, metavar=name.upper(), help=text, dest=f"f_{name}"
        )
    if needs_reason:
        parser.add_argument("--reason", required=True, help="why; it is kept, and shown by `log`")
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help=f"JSON file with the token of an operator (default: {FILE_NAMES[0]} of DIR)",
    )


def run(arguments: argparse.Namespace) -> int:
    directory: Path = arguments.directory
    action = arguments.action
    if action == "confirm-clock":
        print(control_socket.ask(directory, "confirm-clock")["done"])
        return 0
    if action == "log":
        return admin_log.run(arguments)
    if action == "resume":
        return _resume(directory, arguments.acknowledge)
    given = {
        name.removeprefix("f_"): value
        for name, value in vars(arguments).items()
        if name.startswith("f_") and value is not None
    }
    request: dict[str, Any] = {"fields": given, "token": _token(arguments)}
    if action in READINGS:
        request["read"] = action
    else:
        request |= {"act": action, "reason": getattr(arguments, "reason", None)}
    print(json.dumps(control_socket.ask(directory, "admin", **request)["found"], indent=2))
    return 0


def _token(arguments: argparse.Namespace) -> str:
    path: Path = arguments.token_file or arguments.directory / FILE_NAMES[0]
    token = read_token(path)
    if token is None:
        raise UsageError(f"fairbook admin: {path} has no token of an operator: see --token-file")
    return token


def _resume(directory: Path, acknowledged: str | None) -> int:
    if acknowledged is None:
        return _show_pause(directory)
    print(control_socket.ask(directory, "resume", acknowledged=acknowledged)["done"])
    return 0


def _show_pause(directory: Path) -> int:
    """Print what has to be acknowledged; trading is not resumed."""
    found = read_status(directory)
    audit, pause = found["audit"], found["pauses"]["audit"]
    if pause is None:
        raise control_socket.ControlRefused(
            "the audit has not paused trading: there is nothing to resume"
        )
    verdict = audit["verdict"]
    if verdict is not None:
        print(json.dumps(verdict, indent=2))
    for _, text in audit_lines(found):
        print(text)
    name = pause["name"] if verdict is None else verdict["position"]
    print(
        "When you know the cause and have decided what to do, resume trading:\n"
        f"  fairbook admin resume {directory} --acknowledge {name}"
    )
    return 1
