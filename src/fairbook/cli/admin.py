"""`fairbook admin`: operate a running exchange."""

import argparse
import json
from pathlib import Path
from typing import Final

from fairbook.cli.parser import CommandParser, position
from fairbook.followers.audit_files import read_verdict, summary
from fairbook.net import control_socket

ERRORS: Final = (OSError, control_socket.NotRunning, control_socket.ControlRefused)


def add_arguments(parser: CommandParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    resume = actions.add_parser("resume", help="resume trading that a verdict has paused")
    resume.add_directory()
    resume.add_argument(
        "--acknowledge",
        type=position,
        metavar="POSITION",
        help="position of the verdict that you have read; without it, show the verdict",
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
        return _show_verdict(directory)
    print(control_socket.ask(directory, "resume", position=arguments.acknowledge)["done"])
    return 0


def _show_verdict(directory: Path) -> int:
    """Print what has to be acknowledged; trading is not resumed."""
    verdict = read_verdict(directory)
    if verdict is None:
        raise control_socket.ControlRefused(
            "there is no verdict to acknowledge: the audit has not paused trading"
        )
    print(json.dumps(verdict, indent=2))
    print(summary(verdict))
    print(
        "When you know the cause and have decided what to do, resume trading:\n"
        f"  fairbook admin resume {directory} --acknowledge {verdict['position']}"
    )
    return 1
