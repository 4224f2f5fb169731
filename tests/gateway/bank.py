"""An exchange with a history and a real accounts store, for deposits, withdrawals and faucet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.accounts.sqlite_transfers import SqliteTransfers
from fairbook.core import admin_records
from fairbook.gateway.gateway import GatewayLimits
from fairbook.ports.accounts import Withdrawal
from tests.world.direct_exchange import DirectExchange, list_and_fund
from tests.world.http_client import HttpClient, HttpReply
from tests.world.markets import SOL
from tests.world.memory_accounts import ALICE, ALICE_TOKEN, BOB
from tests.world.memory_history import MemoryHistory
from tests.world.running_exchange import NO_LIMITS, Extras, RunningExchange, play

DEPOSITS = "/wapi/v1/capital/deposits"
WITHDRAWALS = "/wapi/v1/capital/withdrawals"
THOUSAND = 1000 * 10**9  # of SOL, in atoms
CAPS = {"SOL": 10 * 10**9, "USDC": 500 * 10**6}


class Bank:
    """The exchange, and the store that survives a restart of the gateway."""

    def __init__(self, path: Path) -> None:
        self.path = path / "accounts.db"
        self.exchange = DirectExchange()
        list_and_fund(self.exchange)
        self.history = MemoryHistory(self.exchange)
        with closing(SqliteAccounts(self.path)) as store:
            for user_id, account in ((1, ALICE), (2, BOB)):
                store.add_user(user_id=user_id)
                store.set_account(user_id, account)

    @contextmanager
    def opened(self) -> Iterator[SqliteAccounts]:
        with closing(SqliteAccounts(self.path)) as store:
            yield store

    def run(
        self,
        story: Callable[[RunningExchange, HttpClient, SqliteTransfers], Awaitable[None]],
        limits: GatewayLimits = NO_LIMITS,
    ) -> None:
        """Run a story against one gateway, from start to stop."""
        with closing(SqliteAccounts(self.path)) as store:
            transfers = store.transfers
            extras = Extras(self.history, transfers, CAPS)

            async def with_transfers(venue: RunningExchange, client: HttpClient) -> None:
                await story(venue, client, transfers)

            play(with_transfers, limits, exchange=self.exchange, extras=extras)

    def sol(self, account: int = ALICE) -> int:
        """Available atoms."""
        return next(free for asset, free, _ in self.exchange.balances(account) if asset == SOL)


async def listed(client: HttpClient, path: str, token: str = ALICE_TOKEN) -> Any:
    """The JSON of a reply, which must be 200."""
    reply = await client.ask("GET", path, token=token)
    assert reply.status == 200, reply.body
    return reply.json()


def withdrawal_body(quantity: Any = "10", **more: Any) -> dict[str, Any]:
    """The body of a withdrawal; `...` removes a field."""
    body = {
        "symbol": "SOL", "quantity": quantity, "address": "7Np41oeYqPefeNQEHSv1UDhYrehxin3",
        "blockchain": "Solana", **more,
    }  # fmt: skip
    return {name: value for name, value in body.items() if value is not ...}


async def withdraw(client: HttpClient, body: Any = None, token: str = ALICE_TOKEN) -> HttpReply:
    return await client.ask(
        "POST", WITHDRAWALS, withdrawal_body() if body is None else body, token=token
    )


def stored_withdrawal(bank: Bank, client_id: str | None = "rent") -> Withdrawal:
    """The row of `withdrawal_body(clientId="rent")`, as it is before its HOLD."""
    with closing(SqliteAccounts(bank.path)) as store:
        row, _ = store.transfers.add_withdrawal(
            account=ALICE, client_id=client_id, asset=SOL, atoms=10 * 10**9,
            address=withdrawal_body()["address"], blockchain="Solana",
        )  # fmt: skip
    return row


def hold_of(row: Withdrawal) -> bytes:
    return admin_records.hold(
        account=row.account, asset=row.asset, atoms=row.atoms, reference=row.reference,
        detail=row.detail(),
    )  # fmt: skip
