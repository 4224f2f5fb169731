"""Connections that ask the entry of a house without a network: what they are told is kept."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fairbook.api.requests import read_json
from fairbook.gateway.gateway import GatewayLimits
from fairbook.gateway.ws_orders import WebSocketOrders
from fairbook.ports.accounts import Access
from tests.world.direct_exchange import DirectExchange
from tests.world.memory_accounts import ALICE_TOKEN
from tests.world.running_exchange import NO_LIMITS, RunningExchange, play
from tests.world.stories import runner_of


class MemoryCaller:
    """One connection, logged in with a token."""

    def __init__(
        self, entry: WebSocketOrders, access: Access | None, address: str = "192.0.2.1"
    ) -> None:
        self.entry = entry
        self.access = access
        self.address = address
        self.told: list[bytes] = []
        self._more = asyncio.Event()
        self._ids = 0

    def reply(self, text: bytes) -> None:
        assert json.loads(text)
        self.told.append(text)
        self._more.set()

    def send(self, method: str, params: Any = None, request_id: bytes | None = None) -> bytes:
        """Ask without waiting; the id. `params` go the way of JSON, so their numbers are texts."""
        if request_id is None:
            self._ids += 1
            request_id = b"%d" % self._ids
        literal = None if params is None else read_json(json.dumps(params).encode())
        assert self.entry.request(self, request_id, method, literal)
        return request_id

    async def answers(self, count: int) -> list[dict[str, Any]]:
        """The next so many answers, which are taken away; by the order in which they came."""
        while len(self.told) < count:
            self._more.clear()
            await asyncio.wait_for(self._more.wait(), 5)
        taken, self.told = self.told[:count], self.told[count:]
        return [json.loads(text) for text in taken]

    async def ask(self, method: str, params: Any = None) -> dict[str, Any]:
        """One request and its answer; no other may be under way."""
        assert not self.told
        request_id = self.send(method, params)
        (answer,) = await self.answers(1)
        assert answer["id"] == int(request_id)
        assert list(answer) == ["id", "status", "result" if answer["status"] == 200 else "error"]
        return answer

    async def result(self, method: str, params: Any = None) -> Any:
        """What a request that must succeed gives."""
        answer = await self.ask(method, params)
        assert answer["status"] == 200, answer
        return answer["result"]

    async def refusal(self, method: str, params: Any = None) -> tuple[int, str, str]:
        """How a request that must fail is refused."""
        answer = await self.ask(method, params)
        error = answer["error"]
        assert list(error) == ["code", "message"]
        return answer["status"], error["code"], error["message"]

    async def place(self, order: dict[str, Any]) -> dict[str, Any]:
        placed: dict[str, Any] = await self.result("order.place", order)
        return placed

    async def cancel_on_disconnect(self, *, enabled: bool = True) -> None:
        assert await self.result("order.cancelOnDisconnect", {"enabled": enabled}) == {
            "enabled": enabled
        }

    def end(self) -> None:
        self.entry.ended(self)


def caller(venue: RunningExchange, token: str | None = ALICE_TOKEN) -> MemoryCaller:
    """A new connection; None: nobody logged in."""
    access = None if token is None else venue.gateway.logins.by_token(token, address="")
    return MemoryCaller(venue.gateway.ws_orders, access)


async def turns(count: int = 5) -> None:
    """Let callbacks run that are due."""
    for _ in range(count):
        await asyncio.sleep(0)


Story = Callable[[RunningExchange, MemoryCaller], Awaitable[None]]


def play_caller(
    story: Story,
    limits: GatewayLimits = NO_LIMITS,
    *,
    exchange: DirectExchange | None = None,
) -> None:
    """Run a story against a fresh house, with one connection of Alice's."""

    async def scene(venue: RunningExchange, _client: object) -> None:
        await story(venue, caller(venue))

    play(scene, limits, exchange=exchange)


with_caller = runner_of(play_caller, 2)


def kinds(commands: Sequence[bytes]) -> list[int]:
    """The kind of each command."""
    return [command[0] for command in commands]
