"""Withdrawals that were interrupted between their row, their HOLD and their CAPTURE.

What is approved by rule is captured, but only if the row is the one that the money was held for;
the rest waits for an operator. At the start, a row whose HOLD never happened is removed, by name:
it has moved nothing, and no request is under way that could still hold its money.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from typing import Final

from fairbook.accounts.contradictions import contradiction
from fairbook.accounts.sqlite_transfers import SqliteTransfers
from fairbook.core import admin_records, records
from fairbook.core.units import NS_PER_SECOND
from fairbook.ports.accounts import Withdrawal
from fairbook.ports.commands import Busy, Commands, Stopped
from fairbook.ports.queries import Facts

APPROVED_AFTER_S: Final = 5  # then no request is under way that would capture it

logger = logging.getLogger(__name__)


class UnfinishedWithdrawals:
    """Call it in the thread of the engine's loop."""

    def __init__(
        self,
        transfers: SqliteTransfers,
        commands: Commands,
        facts: Facts,
        approves: Callable[[int, int], bool] = lambda asset, atoms: True,
    ) -> None:
        """approves: whether so many atoms of an asset leave without an operator."""
        self._approves = approves
        self._transfers = transfers
        self._commands = commands
        self._facts = facts

    async def finish(self) -> list[str]:
        """Must be called before clients are let in. Returns a sentence for each row that was
        removed. Raises Stopped, Busy.
        """
        removed = []
        for row in await asyncio.to_thread(self._transfers.open_withdrawals):
            if self._facts.reference(row.reference) is None:
                await asyncio.to_thread(self._transfers.remove_withdrawal, row.withdrawal_id)
                removed.append(f"{contradiction(row, None, self._facts)}; removed at the start")
            else:
                await self._capture(row)
        return removed

    async def run(self) -> None:
        """Capture what a request has left, because its answer took too long or trading was
        paused; until it is cancelled or the exchange stops.
        """
        while True:
            await asyncio.sleep(APPROVED_AFTER_S)
            try:
                for row in await asyncio.to_thread(self._transfers.open_withdrawals):
                    fact = self._facts.reference(row.reference)
                    before_ns = self._facts.log_time_ns() - APPROVED_AFTER_S * NS_PER_SECOND
                    if fact is not None and fact.time_ns < before_ns:
                        await self._capture(row)
            except Busy:
                continue
            except Stopped:
                return
            except sqlite3.Error as error:
                logger.error("withdrawals are not finished: %s", error)

    async def _capture(self, row: Withdrawal) -> None:
        """The CAPTURE of a row that is held and approved, unless trading is paused; and the mark of
        one whose money is held no more.
        """
        fact = self._facts.reference(row.reference)
        assert fact is not None
        if not row.is_backed_by(fact):
            return
        if fact.state == admin_records.HELD:
            if not self._approves(row.asset, row.atoms):
                return
            answer = await self._commands.submit(admin_records.capture(row.reference))
            if records.read_outcome(answer.events).status == records.REJECTED:
                return
        await asyncio.to_thread(self._transfers.mark_captured, row.withdrawal_id)
