"""The operators' port over the real core, with three operators; the clock stands still."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

import uvloop

from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.accounts.sqlite_operators import StoredOperator
from fairbook.admin.admin_gateway import AdminGateway
from fairbook.admin.announcements import Announcements
from fairbook.admin.deposit_webhook import DepositWebhook
from fairbook.api.listings import Listings
from fairbook.core import admin_records, records
from fairbook.core.admin_records import ALL_ROLES, OF_OPERATOR, TOKEN
from fairbook.gateway.http_server import HttpServer
from fairbook.ports.digests import token_digest, webhook_digest
from tests.world.direct_exchange import START_NS, DirectExchange, small_exchange
from tests.world.http_client import HttpClient, HttpReply
from tests.world.markets import SOL, USDC
from tests.world.memory_accounts import ALICE
from tests.world.stories import runner_of

ANN, BEN, CLERK = 1, 2, 3
TOKENS = {ANN: "ann" * 14, BEN: "ben" * 14, CLERK: "clerk" * 8}
SECRET = "a secret of the payment system, long enough"
WEBHOOK = 4
CREDIT_MAX = 10**12  # atoms: 1,000 SOL


class OperatorsWorld:
    """Ann and Ben have all roles, and Ben's own account is Alice's; the clerk may look after
    accounts. The webhook's secret is a token of a fourth operator.
    """

    def __init__(self) -> None:
        self.exchange: DirectExchange = small_exchange()
        self.core = self.exchange.core
        self.store = SqliteAccounts(Path(":memory:"))
        self.frames: dict[int, tuple[int, bytes]] = {}
        self.now_s = START_NS / 1e9
        self.exchange.publish = self._keep
        roles = {ANN: ALL_ROLES, BEN: ALL_ROLES, CLERK: admin_records.ACCOUNTS_ROLE}
        roles[WEBHOOK] = admin_records.MONEY_ROLE
        for number, bits in roles.items():
            self.exchange.do(admin_records.set_operator(operator=number, roles=bits))
        digests = {number: token_digest(token) for number, token in TOKENS.items()}
        for number, digest in {**digests, WEBHOOK: webhook_digest(SECRET)}.items():
            self.exchange.do(
                admin_records.add_credential(
                    detail=digest, credential_type=TOKEN, owner=number,
                    owner_kind=OF_OPERATOR,
                )
            )  # fmt: skip
        for asset in (SOL, USDC):
            self.exchange.do(
                admin_records.set_asset(
                    asset=asset, parameter=admin_records.CREDIT_MAX, value=CREDIT_MAX
                )
            )
        self.store.operators.put_operator(StoredOperator(BEN, "ben", ALICE))
        self.client: HttpClient
        self.told: list[tuple[str, Any]] = []
        webhook = DepositWebhook(
            self.exchange, self.core, Listings(self.exchange), SECRET, now_s=lambda: self.now_s
        )
        self.announcements = Announcements(self.store.operators, self.frames.__getitem__)
        self.gateway = AdminGateway(
            commands=self.exchange,
            exchange=self.core,
            queries=self.exchange,
            catalogue=self.exchange,
            store=self.store,
            read_frame=self.frames.__getitem__,
            read_acts=self._no_acts,
            announcements=self.announcements,
            emit=lambda name, fields: self.told.append((name, fields)),
            more=webhook.endpoints(),
        )

    def _keep(self, position: int, time_ns: int, frame: bytes, _events: bytes) -> None:
        self.frames[position] = (time_ns, frame)

    async def _no_acts(self, first: int) -> list[dict[str, Any]]:
        return [{"first": first}]

    async def post(
        self, act: str, fields: dict[str, Any] | None = None, *, by: int = ANN, reason: str = "test"
    ) -> HttpReply:
        body = {**(fields or {}), "reason": reason}
        return await self.client.ask("POST", f"/admin/v1/{act}", body, token=TOKENS[by])

    async def done(self, act: str, fields: dict[str, Any] | None = None, *, by: int = ANN) -> Any:
        reply = await self.post(act, fields, by=by)
        assert reply.status == 200, reply.body
        return reply.json()

    async def refused(
        self, act: str, fields: dict[str, Any] | None = None, *, by: int = ANN
    ) -> tuple[int, str, str]:
        """Status, code and message of an act that changes nothing."""
        before = self.balances()
        reply = await self.post(act, fields, by=by)
        assert self.balances() == before
        return reply.error()

    async def read(self, name: str, *, by: int = ANN) -> Any:
        reply = await self.client.ask("GET", f"/admin/v1/{name}", token=TOKENS[by])
        assert reply.status == 200, reply.body
        return reply.json()

    async def agree(self, act: str, fields: dict[str, Any]) -> Any:
        """Ann proposes, Ben approves."""
        proposed = await self.done(act, fields)
        assert proposed["status"] == "proposed"
        return await self.done("approve", {"proposal": proposed["proposal"]}, by=BEN)

    async def deposit(
        self, body: dict[str, Any], *, secret: str = SECRET, stamp: str | None = None,
        signature: str | None = None,
    ) -> HttpReply:  # fmt: skip
        stamp = str(int(self.now_s)) if stamp is None else stamp
        content = json.dumps(body).encode()
        signed = f"{stamp}.".encode() + content
        made = hmac.new(secret.encode(), signed, sha256).hexdigest()
        headers = {"X-Webhook-Timestamp": stamp, "X-Webhook-Signature": signature or made}
        return await self.client.ask("POST", "/webhook/v1/deposits", content, headers=headers)

    def balances(self) -> list[Any]:
        return [self.core.balances(account) for account in range(len(self.core.tables.accounts))]

    def acted(self) -> bytes:
        """The last command, without its parts."""
        return self.exchange.applied[-1][-records.COMMAND_BYTES :]


def play_operators(story: Callable[[OperatorsWorld], Awaitable[None]]) -> None:
    """Run a story with one connection to the port."""

    async def main() -> None:
        world = OperatorsWorld()
        server = HttpServer(world.gateway)
        async with AsyncExitStack() as stack:
            stack.callback(world.store.close)
            port = await server.start("127.0.0.1", 0)
            stack.push_async_callback(server.stop, 0.1)
            world.client = HttpClient(*await asyncio.open_connection("127.0.0.1", port))
            stack.callback(world.client.writer.transport.abort)
            await asyncio.wait_for(story(world), 20)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


with_operators = runner_of(play_operators, 1)
