"""Apply a changed configuration to a running exchange, for `fairbook apply`."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairbook.accounts.sqlite_operators import SqliteOperators
from fairbook.admin.operators import operator_of
from fairbook.app.venue_file import load_venue
from fairbook.core import records
from fairbook.core.exchange import Exchange
from fairbook.core.parts import with_operator
from fairbook.net.control_socket import ControlRefused, ControlRequest
from fairbook.ports.commands import Busy, Commands, Stopped
from fairbook.venue.changes import ConfigChange, changes, not_in_file
from fairbook.venue.first_state import BATCH
from fairbook.venue.toml_file import ConfigError, Problem


class ConfigApply:
    """The handler of the control socket's command `apply`."""

    def __init__(self, commands: Commands, exchange: Exchange, operators: SqliteOperators) -> None:
        self._commands = commands
        self._exchange = exchange
        self._operators = operators

    async def apply(self, request: ControlRequest) -> Mapping[str, Any]:
        """request: `file`; `dry_run`; `token`, of an operator, unless it is a dry run. Answers what
        differs, and how much of it was done. Raises ControlRefused.
        """
        try:
            file = await asyncio.to_thread(load_venue, Path(str(request["file"])))
            found = changes(file.venue, self._exchange)
        except Problem as problem:
            raise ControlRefused(str(file.error(problem))) from None
        except (ConfigError, OSError) as error:
            raise ControlRefused(str(error)) from None
        answer = {
            "changes": [(change.text, change.needs_two) for change in found],
            "not_in_file": not_in_file(file.venue, self._exchange),
            "done": 0,
        }
        if not request.get("dry_run"):
            allowed = [change for change in found if not change.needs_two]
            await self._submit(
                allowed, str(request.get("token", "")), f"apply {Path(file.name).name}"
            )
            answer["done"] = len(allowed)
        return answer

    async def _submit(self, allowed: list[ConfigChange], token: str, reason: str) -> None:
        operator = operator_of(self._exchange, token)
        if operator is None:
            raise ControlRefused("this needs the token of an operator: --token-file")
        reason_hash = await asyncio.to_thread(self._operators.add_reason, reason)
        units = [
            with_operator(
                change.command,
                operator=operator.number,
                credential=operator.credential,
                reason_hash=reason_hash,
            )
            for change in allowed
        ]
        done = 0
        try:
            for at in range(0, len(units), BATCH):
                futures = [self._commands.submit(unit) for unit in units[at : at + BATCH]]
                for answer in await asyncio.gather(*futures):
                    outcome = records.read_outcome(answer.events)
                    if outcome.status == records.REJECTED:
                        raise ControlRefused(
                            f"{allowed[done].text}: the exchange rejects it with"
                            f" {outcome.reason}; {done} changes before it are done"
                        )
                    done += 1
        except (Busy, Stopped) as error:
            raise ControlRefused(f"{error}; {done} changes are done: apply it again") from None
