"""`fairbook admin`: operate a running exchange."""

import argparse
import json
from pathlib import Path
from typing import Final

from fairbook.cli import status
from fairbook.cli.parser import CommandParser
from fairbook.cli.status import audit_lines, read_status
from fairbook.net import control_socket

ERRORS: Final = (*status.ERRORS, control_socket.NotRunning)


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


def run(arguments: argparse.Namespace) -> int:
    directory: Path = arguments.directory
    if arguments.action == "confirm-clock":
        print(control_socket.ask(directory, "confirm-clock")["done"])
        return 0
    if arguments.acknowledge is None:
        return _show_pause(directory)
    print(control_socket.ask(directory, "resume", acknowledged=arguments.acknowledge)["done"])
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
