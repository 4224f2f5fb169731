"""`fairbook up`: run an exchange; without a configuration the demo."""

import argparse
import os
import sys
from typing import Final

from fairbook.app.settings import SETTINGS, misspelt, read_settings, shown_default
from fairbook.app.venue_file import load_venue
from fairbook.cli.parser import CommandParser
from fairbook.venue.toml_file import ConfigError

ERRORS: Final = (ConfigError, OSError)  # of the file; the process of the exchange prints its own


def add_arguments(parser: CommandParser) -> None:
    variables = []
    for setting in SETTINGS:
        if setting.values is None:
            parser.add_argument(
                setting.option, dest=setting.field, action="store_true", help=setting.help
            )
        elif setting.option:
            parser.add_argument(
                setting.option,
                dest=setting.field,
                metavar=setting.values.metavar,
                help=f"{setting.help} (default: {shown_default(setting)}; or {setting.variable})",
            )
        else:
            variables.append(f"  {setting.variable:29}{setting.help}")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "environment variables without an option (defaults: docs/operate/operations.md):\n"
        + "\n".join(variables)
    )


def run(arguments: argparse.Namespace) -> int:
    file = load_venue(read_settings(vars(arguments), os.environ).config)
    settings = read_settings(vars(arguments), os.environ, file.server)
    for variable, near in misspelt(os.environ):
        print(f"fairbook up: {variable} is not a setting; did you mean {near}?", file=sys.stderr)
    from fairbook.app.process import up

    return up(settings, file)
