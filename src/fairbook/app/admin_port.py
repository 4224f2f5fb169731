"""The operators' port of an exchange: its gateway, its server, and the files of tokens."""

import asyncio
import json
import os
import subprocess
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.accounts.sqlite_operators import StoredOperator
from fairbook.admin.act_runner import KeyChange
from fairbook.admin.admin_gateway import AdminGateway
from fairbook.admin.announcements import Announcements
from fairbook.admin.deposit_webhook import REASON, DepositWebhook
from fairbook.api.errors import ApiError, busy, server_error
from fairbook.api.listings import Listings
from fairbook.app.settings import UpSettings
from fairbook.app.venue_file import read_secret
from fairbook.core.exchange import Exchange
from fairbook.engine.engine import Engine
from fairbook.followers.supervisor import fairbook_command
from fairbook.gateway.http_server import HttpServer
from fairbook.gateway.server_state import ServerLimits
from fairbook.log.command_log import CommandLog
from fairbook.net.hosts import own_names
from fairbook.ports.events import Emit
from fairbook.venue.venue import Venue

CONNECTIONS_MAX: Final = 256
ACTS_MAX: Final = 1_000  # in one answer
ACTS_READ_S: Final = 60.0


def read_frame(log: CommandLog, position: int) -> tuple[int, bytes]:
    """Time and frame of an entry. Raises KeyError if there is none."""
    for entry in log.read(max(position, 1)):
        if entry.position != position:
            break
        return entry.time_ns, entry.frame
    raise KeyError(position)


def admin_gateway(
    directory: Path,
    engine: Engine,
    log: CommandLog,
    store: SqliteAccounts,
    secret_file: Path | None,
    announcements: Announcements,
    emit: Emit,
    key_change: KeyChange,
) -> AdminGateway:
    """secret_file: of the webhook. Raises SettingError, OSError."""
    secret = None if secret_file is None else read_secret(secret_file)
    if secret is not None:
        store.operators.add_reason(REASON)
    exchange, commands = engine.runner.exchange, engine.commands
    listings = Listings(engine.catalogue)
    return AdminGateway(
        commands=commands,
        exchange=exchange,
        queries=engine.queries,
        catalogue=engine.catalogue,
        store=store,
        read_frame=partial(read_frame, log),
        read_acts=ActLog(directory).read,
        announcements=announcements,
        emit=emit,
        key_change=key_change,
        more=DepositWebhook(commands, exchange, listings, secret).endpoints(),
    )


async def serve(gateway: AdminGateway, settings: UpSettings, stack: AsyncExitStack) -> int:
    """Open the port, which closes with the stack; return it. Raises OSError."""
    hosts = None if "*" in settings.hosts else own_names(settings.admin_host, settings.hosts)
    server = HttpServer(
        gateway, ServerLimits(connections_max=CONNECTIONS_MAX, has_cors=False, hosts=hosts)
    )
    stack.push_async_callback(server.stop, settings.drain_max_s)
    return await server.start(settings.admin_host, settings.admin_port)


class ActLog:
    """Reads acts from the log, in a process of low priority: it replays the log."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = asyncio.Lock()

    async def read(self, first: int) -> list[dict[str, Any]]:
        """The newest ACTS_MAX acts from this position on, oldest first. Raises ApiError."""
        if self._lock.locked():
            raise busy()
        command = fairbook_command(
            "admin", "log", str(self._directory), "--json", "--from", str(max(first, 1)),
            "--newest", str(ACTS_MAX),
        )  # fmt: skip
        async with self._lock:
            child = await asyncio.create_subprocess_exec(
                *command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, preexec_fn=_be_nice
            )
            try:
                async with asyncio.timeout(ACTS_READ_S):
                    output, _ = await child.communicate()
            except TimeoutError:
                raise ApiError(
                    503, "TRADING_PAUSED", "The log is long: use `fairbook admin log`"
                ) from None
            finally:
                if child.returncode is None:
                    child.kill()
                    await child.wait()
        if child.returncode != 0:
            raise server_error()
        return [json.loads(line) for line in output.splitlines()]


def _be_nice() -> None:
    os.nice(10)


async def store_operators(venue: Venue, exchange: Exchange, store: SqliteAccounts) -> None:
    """Names and accounts of the first two operators: what must not be in the log."""
    for operator in venue.operators:
        account = exchange.account_of_user(operator.user_id)
        stored = await asyncio.to_thread(store.operators.operator, operator.number)
        # Two may have agreed on another account since.
        known = StoredOperator(operator.number, operator.name, stored.account or account)
        await asyncio.to_thread(store.operators.put_operator, known)
