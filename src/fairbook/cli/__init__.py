"""The `fairbook` command line: find the command, read its arguments, run it.

Design: one file per command. Each has `add_arguments(parser)`, `run(arguments)`, which returns the
exit code, and `ERRORS`: the exceptions of `run` that are reported as one line on stderr. Only the
file of the requested command is imported, so that help is quick.

Exit codes: 0: done. 1: refused or failed, with one line on stderr. 2: wrong command line or
setting.
"""

import difflib
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Final

from fairbook.app.settings import SettingError
from fairbook.cli.parser import CommandParser, UsageError

COMMANDS: Final = {
    "up": "run an exchange, by default the demo; the first start sets it up",
    "init": "write a configuration to begin with",
    "check": "say whether a configuration can be used, and what it means",
    "apply": "change a running exchange to what its configuration says",
    "keys": "make a key pair or a token",
    "top": "watch a running exchange in the terminal",
    "status": "show the state of an exchange, running or stopped",
    "admin": "operate a running exchange",
    "verify": "replay the log, and check snapshots and history against it",
    "watch": "keep the signed checkpoints of an exchange, as a witness of its history",
    "verify-liabilities": "check a proof of liabilities, and your own balances in it",
    "inspect": "say what became of an order or account, or print the log",
    "replay": "print the digest of the state at a position of the log",
    "backup": "copy a data directory, also while the exchange runs",
    "maker": "run the demo's market maker, as `up` does",
}
INTERNAL: Final = {
    "passwords": "hash passwords (run by the exchange)",
    "liabilities": "make a proof of liabilities (run by the exchange)",
    "full-replay": "execute the whole log again and compare (run by the exchange)",
    "judge": "find out which engine is wrong (run by the exchange)",
    "recorder": "record history (run by the exchange)",
    "replica": "run the second engine (run by the exchange)",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv` (default: of this process) and return the exit code."""
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return code
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does. Nothing may be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(argv: list[str]) -> int:
    if not argv:
        raise UsageError(_help())
    name, *rest = argv
    if name in ("-h", "--help", "help"):
        print(_help())
        return 0
    if name == "--version":
        print(f"fairbook {version('fairbook')} (core {_require_core()})")
        return 0
    summary = (COMMANDS | INTERNAL).get(name)
    if summary is None:
        near = difflib.get_close_matches(name, [*COMMANDS, "--help", "--version"], n=1)
        hint = f"did you mean {near[0]}?" if near else "`fairbook --help` lists the commands"
        raise UsageError(f"fairbook: unknown command {name!r}; {hint}")
    _require_core()
    command = import_module(f"fairbook.cli.{name.replace('-', '_')}")
    description = f"{summary[0].upper()}{summary[1:]}."
    parser = CommandParser(prog=f"fairbook {name}", description=description)
    command.add_arguments(parser)
    arguments = parser.parse_args(rest)
    try:
        code: int = command.run(arguments)
    except SettingError as error:
        raise UsageError(f"{parser.prog}: {error}") from None
    except BrokenPipeError:
        raise
    except command.ERRORS as error:
        place = f"{arguments.directory}: " if "directory" in arguments else ""
        print(f"{parser.prog}: {place}{error}", file=sys.stderr)
        return 1
    return code


def _help() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:{width}}  {summary}" for name, summary in COMMANDS.items())
    return (
        "usage: fairbook COMMAND [OPTIONS]\n"
        "       fairbook --version\n\n"
        "A spot exchange that anyone can run and verify.\n\n"
        f"commands:\n{commands}\n\n"
        "`fairbook COMMAND --help` shows the options of a command."
    )


def _require_core() -> str:
    """Whether the core is compiled. Raises UsageError if FAIRBOOK_CORE cannot be followed."""
    try:
        from fairbook import core
    except ImportError as error:
        raise UsageError(f"fairbook: {error}") from None
    return "compiled" if core.COMPILED else f"interpreted: {core.WHY_INTERPRETED}"
