"""The instance of the gateway in this process: its begin ends that of the process before.

Sessions are numbered within an instance (gateway/cancel_on_disconnect.py), so the orders that an
earlier process would have cancelled on disconnect are cancelled here, before clients are let in.

Invariants:
- a log begins with RULES, which carries the log id and the salt: nothing may come before it;
- when `begin_instance` returns, no order of an earlier instance with a session is open.
"""

import secrets
from typing import Final

from fairbook.core import admin_records, records
from fairbook.core.exchange import Exchange
from fairbook.ports.commands import Commands

_SECRET_BITS: Final = 64


class LogNotLocal(Exception):
    """The log does not take commands of this process. The message says why."""


def first_rules() -> bytes:
    """The RULES with which a new log begins: its id and its salt are random."""
    half = 1 << (_SECRET_BITS - 1)
    log_id, salt = (secrets.randbits(_SECRET_BITS) - half for _ in range(2))
    return admin_records.rules(log_id=log_id, salt=salt)


async def begin_instance(commands: Commands, exchange: Exchange) -> int:
    """Begin the instance of this process, and cancel the orders of earlier ones that have a
    session; return how many. exchange: the engine's, read between its frames.

    Raises LogNotLocal, Stopped.
    """
    if exchange.tables.flags & admin_records.SIGNED_LOG:
        raise LogNotLocal("only gateways with keys may append to this log: it is signed")
    if exchange.tables.rules == 0:
        await _submit(commands, first_rules() if exchange.sequence == 0 else admin_records.rules())
    count = sum(instance.count for instance in exchange.gateways())
    await _submit(commands, admin_records.begin_gateway())
    ending = exchange.tables.gateways.ending
    while ending:
        # Each frame cancels a bounded number of them at its head.
        await _submit(commands, admin_records.tick())
    return count


async def _submit(commands: Commands, command: bytes) -> None:
    outcome = records.read_outcome((await commands.submit(command)).events)
    if outcome.status == records.REJECTED:
        raise LogNotLocal(
            f"this log refuses a gateway: its command {outcome.sequence} (kind {outcome.command})"
            f" was rejected with code {outcome.reason}"
        )
