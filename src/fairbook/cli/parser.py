"""Arguments of commands: argparse with short errors that name the nearest option."""

import argparse
import difflib
from pathlib import Path
from typing import Any, NoReturn


class UsageError(Exception):
    """The command line cannot be used. The message is all that is printed."""


class CommandParser(argparse.ArgumentParser):
    """Raises UsageError instead of exiting, and takes no abbreviated options."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False} | settings)

    def error(self, message: str) -> NoReturn:
        """Called by argparse."""
        raise UsageError(f"{self.prog}: {message}; `{self.prog} --help` shows the usage")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse, also for subcommands, but an unknown argument is an error here."""
        arguments, unknown = super().parse_known_args(args, namespace)
        if unknown:
            word = unknown[0].partition("=")[0]
            near = difflib.get_close_matches(word, self._option_string_actions, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            kind = "option" if word.startswith("-") else "argument"
            raise UsageError(f"{self.prog}: unknown {kind} {word}{hint}")
        return arguments, unknown

    def add_directory(self) -> None:
        """The data directory that most commands are about: `arguments.directory`."""
        self.add_argument(
            "directory", type=Path, metavar="DIR", help="data directory of the exchange"
        )


def position(text: str) -> int:
    """A position of the log, as an argparse type."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"a position is a whole number from 1, not {text!r}")
    return int(text)


def whole_number(text: str) -> int:
    """A number of an order or account, as an argparse type."""
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise argparse.ArgumentTypeError(f"a whole number is expected, not {text!r}")
    return int(text)
