"""The `fairbook` command: what a person may ask for, and which part does it.

How it works: each command is imported when it is asked for, so that `--help` is quick.

Always true: 0 means done; 1 refused or failed, with one line on stderr that says why; 2 not
understood, or not in this release.

Not here: configuration (settings.py), signals (processes.py).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import fairbook.app.settings

# Of the command line contract, and not yet in this release.
LATER: Final = {
    "gateway": "the gateway alone",
    "engine": "an engine alone",
    "streams": "the WebSocket streams alone",
}


# Modules of bench to run.
BENCHES: Final = ("core", "fanout", "orders", "pauses", "restart", "ws-orders")


def main(argv: Sequence[str] | None = None) -> int:
    """Do what `argv` asks for (default: the process's own) and return the exit code."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    command: str = arguments.command
    if command in LATER:
        print(f"fairbook {command}: NOT_IMPLEMENTED in this release", file=sys.stderr)
        return 2
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        if command == "up":
            code = _up(arguments)
        elif command in ("replica", "recorder", "maker"):
            code = _child(arguments)
        elif command in ("judge", "status", "admin"):
            code = _audit(arguments)
        else:
            code = _look(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read our output has seen enough, as `head` does. Nothing may be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _up(arguments: argparse.Namespace) -> int:
    try:
        settings = fairbook.app.settings.up_settings(
            {
                "data": arguments.data,
                "host": arguments.host,
                "http-port": arguments.http_port,
                "ws-port": arguments.ws_port,
                "no-maker": arguments.no_maker,
                "no-replica": arguments.no_replica,
                "no-recorder": arguments.no_recorder,
                "allow-faults": arguments.allow_faults,
            },
            os.environ,
        )
    except fairbook.app.settings.BadSetting as error:
        print(f"fairbook up: {error}", file=sys.stderr)
        return 2
    from fairbook.app import process as processes

    return processes.up(settings)


def _child(arguments: argparse.Namespace) -> int:
    """What `up` starts beside the exchange."""
    from fairbook.cli import children

    if arguments.command == "recorder":
        return children.recorder(Path(arguments.directory), arguments.fd)
    if arguments.command == "maker":
        return children.maker(
            Path(arguments.credentials),
            http_url=arguments.http,
            ws_url=arguments.ws,
            lifeline=arguments.lifeline,
        )
    from fairbook.followers.replica import ReplicaOptions

    options = ReplicaOptions(
        snapshot_commands=arguments.snapshot_commands,
        snapshot_s=arguments.snapshot_s,
        allow_faults=arguments.allow_faults,
    )
    return children.replica(Path(arguments.directory), arguments.fd, options)


def _audit(arguments: argparse.Namespace) -> int:
    """Engine and replica: how they do, who is wrong, and going on."""
    from fairbook.cli import audit

    directory = Path(arguments.directory)
    if arguments.command == "judge":
        return audit.judge(directory)
    if arguments.command == "status":
        return audit.status(directory, as_json=arguments.json)
    if arguments.act == "confirm-clock":
        return audit.confirm_clock(directory)
    return audit.resume(directory, arguments.acknowledge)


def _look(arguments: argparse.Namespace) -> int:
    """Commands that read a data directory, in use or not."""
    from fairbook.cli import look

    directory = Path(arguments.directory)
    if arguments.command == "backup":
        from fairbook.cli import backup

        return backup.backup(directory, Path(arguments.to), full=arguments.full)
    if arguments.command == "verify":
        return look.verify(directory)
    if arguments.command == "replay":
        return look.replay(directory, to=arguments.to)
    return look.inspect(directory, first=arguments.first, to=arguments.to)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fairbook", description="A spot exchange that anyone can run, and check."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    _add_up(commands)
    _add_audit(commands)
    _add_children(commands)

    verify = commands.add_parser("verify", help="replay the whole log and check every invariant")
    inspect = commands.add_parser("inspect", help="print commands and their events")
    replay = commands.add_parser("replay", help="the digest of the state at a position")
    for command in (verify, inspect, replay):
        command.add_argument("directory", metavar="DIR")
    inspect.add_argument(
        "--from", dest="first", type=_position, default=1, metavar="N", help="first position"
    )
    for command in (inspect, replay):
        command.add_argument(
            "--to", type=_position, default=None, metavar="N", help="last position"
        )

    backup = commands.add_parser("backup", help="copy a data directory, in use or not")
    backup.add_argument("directory", metavar="DIR")
    backup.add_argument("to", metavar="TO", help="must not exist; start an exchange on it with up")
    backup.add_argument("--full", action="store_true", help="replay the copy from the first entry")

    for name, text in LATER.items():
        commands.add_parser(name, help=f"{text} (not in this release)", add_help=False)
    return parser


def _add_up(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    up = commands.add_parser("up", help="run the demo exchange; sets everything up on first use")
    up.add_argument(
        "--data",
        metavar="DIR",
        help=f"where everything is kept (default: {fairbook.app.settings.DEFAULT_DATA_DIR})",
    )
    up.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    up.add_argument("--http-port", metavar="PORT", help="default: 8000; 0: any free one")
    up.add_argument("--ws-port", metavar="PORT", help="of the streams (default: 8001)")
    up.add_argument(
        "--no-maker",
        action="store_const",
        const="",
        help="leave the book to itself; the orders of the first start stay",
    )
    up.add_argument(
        "--no-replica",
        action="store_const",
        const="",
        help="nobody compares, and snapshots are written only at a stop",
    )
    up.add_argument(
        "--no-recorder",
        action="store_const",
        const="",
        help="nothing is recorded: no trades, candles or closed orders can be asked for",
    )
    up.add_argument(
        "--allow-faults",
        action="store_const",
        const="",
        help="let memory be edited at the control door, to test the comparison",
    )


def _add_audit(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    status = commands.add_parser("status", help="how an exchange does, running or not")
    status.add_argument("directory", metavar="DIR")
    status.add_argument("--json", action="store_true", help="everything, for programs")

    admin = commands.add_parser("admin", help="what only the operator may do")
    acts = admin.add_subparsers(dest="act", required=True, metavar="ACT")
    resume = acts.add_parser("resume", help="open trading again after a verdict of the audit")
    resume.add_argument("directory", metavar="DIR")
    resume.add_argument(
        "--acknowledge",
        type=_position,
        metavar="POSITION",
        help="of the verdict that you have read; without it, the verdict is shown",
    )

    confirm = acts.add_parser("confirm-clock", help="believe a wall clock that jumped ahead")
    confirm.add_argument("directory", metavar="DIR")

    judge = commands.add_parser("judge", help="say who is wrong (done by itself)")
    judge.add_argument("directory", metavar="DIR")
    replica = commands.add_parser("replica", help="the second engine (started by `up`)")
    replica.add_argument("directory", metavar="DIR")
    replica.add_argument("--fd", type=int, required=True, help="connection to the engine")
    replica.add_argument("--snapshot-commands", type=int, required=True, metavar="N")
    replica.add_argument("--snapshot-s", type=float, required=True, metavar="S")
    replica.add_argument("--allow-faults", action="store_true")


def _add_children(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    recorder = commands.add_parser("recorder", help="writes history (started by `up`)")
    recorder.add_argument("directory", metavar="DIR")
    recorder.add_argument("--fd", type=int, required=True, help="connection to the engine")
    maker = commands.add_parser("maker", help="make the demo's markets (started by `up`)")
    maker.add_argument(
        "--credentials", metavar="FILE", required=True, help="such as DIR/maker.json"
    )
    maker.add_argument("--http", metavar="URL", help="of the exchange; default: as in FILE")
    maker.add_argument("--ws", metavar="URL", help="of its streams; default: as in FILE")
    maker.add_argument("--lifeline", type=int, metavar="FD", help="its end is the maker's end")


def _position(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"a position counts from 1, not {text!r}")
    return int(text)
