"""The processes beside the exchange, which `up` starts: replica, recorder, maker.

How it works: each ends when the exchange does: replica and recorder with their connection to it,
the maker with a pipe that serves as its lifeline.

Always true: each loads what it needs and nothing else, because all of them start at once with the
exchange.

Not here: what they do (engine/replica.py, recording/following.py, maker/bot.py); keeping them alive
(children.py).
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fairbook.app.logs import configure_logs

if TYPE_CHECKING:
    from fairbook.followers.replica import ReplicaOptions

NICE: Final = 5  # Where processors are short, the engine comes first.

logger = logging.getLogger(__name__)


def replica(directory: Path, descriptor: int, options: ReplicaOptions) -> int:
    """Be the replica of the engine at the other end of `descriptor`; return the exit code."""
    import socket

    from fairbook.followers.replica import Replica

    return _follow(
        "replica", lambda: Replica(directory, socket.socket(fileno=descriptor), options).run()
    )


def recorder(directory: Path, descriptor: int) -> int:
    """Be the recorder of the engine at the other end of `descriptor`; return the exit code."""
    from fairbook.followers import recorder as following

    return _follow("recorder", lambda: following.run(directory, descriptor))


def maker(
    credentials: Path, *, http_url: str | None, ws_url: str | None, lifeline: int | None
) -> int:
    """Make the demo's markets on an exchange, until a signal; return the exit code.

    credentials: a file as the demo writes it, with tokens of "maker" and "taker". The addresses are
    those in it, if none are given. lifeline: a descriptor whose end is a signal too.
    """
    import random

    from fairbook.demo.maker import bot

    configure_logs(None)
    try:
        written = json.loads(credentials.read_bytes())
        tokens = {name: str(written["accounts"][name]["token"]) for name in ("maker", "taker")}
        urls = http_url or str(written["http"]), ws_url or str(written["ws"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"fairbook maker: {credentials}: {error!r}", file=sys.stderr)
        return 1
    return bot.run(*urls, tokens, random.SystemRandom().getrandbits(32), lifeline=lifeline)


def _follow(name: str, work: Callable[[], None]) -> int:
    """Do the work of one that ends with its connection.

    A signal to the whole group, such as Ctrl-C, is for the engine: when that ends, so does this.
    """
    from fairbook.log.log import LogDamaged

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o077)
    os.nice(NICE)
    configure_logs(None)
    try:
        work()
    except LogDamaged as damage:
        from fairbook.followers.supervisor import HOPELESS

        print(f"fairbook {name}: {damage}", file=sys.stderr)
        return HOPELESS
    except OSError as refusal:
        print(f"fairbook {name}: {refusal}", file=sys.stderr)
    except Exception as bug:
        logger.exception("bug")
        print(f"fairbook {name}: a bug, trading goes on: {bug!r}", file=sys.stderr)
    else:
        return 0
    return 1
