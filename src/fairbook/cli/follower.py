"""Shared by `replica` and `recorder`, whose processes end with their connection."""

import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

from fairbook.app.logs import configure_logs
from fairbook.app.settings import read_settings
from fairbook.cli.parser import CommandParser
from fairbook.core.admin_commands import RulesUnknown
from fairbook.followers.supervisor import DAMAGED_EXIT_STATUS
from fairbook.log.command_log import LogDamaged

NICE: Final = 5  # The engine comes first.
ERRORS: Final = (OSError,)

logger = logging.getLogger(__name__)


def add_arguments(parser: CommandParser) -> None:
    parser.add_directory()
    parser.add_argument(
        "--fd", type=int, required=True, metavar="N", help="descriptor of the connection"
    )


def run_follower(name: str, work: Callable[[], None]) -> int:
    """Run `work`, which returns when its connection ends.

    Signals are ignored: one to the whole process group, such as Ctrl-C, is for the engine.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o077)
    os.nice(NICE)
    configure_logs(read_settings({}, os.environ).json_logs)
    try:
        work()
    except (LogDamaged, RulesUnknown) as damage:
        print(f"fairbook {name}: {damage}", file=sys.stderr)
        return DAMAGED_EXIT_STATUS
    except OSError:
        raise
    except Exception as bug:
        logger.exception("bug")
        print(f"fairbook {name}: bug, trading continues: {bug!r}", file=sys.stderr)
        return 1
    return 0
