"""A connection to the orders over WebSocket without a network; its answers are kept."""

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
    """One connection that is logged in with a token."""

    def __init__(
        self, entry: WebSocketOrders, access: Access | None, address: str = "192.0.2.1"
    ) -> None:
        self.entry = entry
        self.access = access
        self.address = address
        self.told: list[bytes] = []
        self.is_held = self.is_ended = False
        self._more = asyncio.Event()
        self._ids = 0

    def reply(self, text: bytes) -> None:
        assert json.loads(text)
        self.told.append(text)
        self._more.set()

    def hold(self) -> None:
        self.is_held = True

    def handle(self, payload: bytes) -> None:
        """As the hub does with a request."""
        if self.is_ended:
            return
        request = json.loads(payload)
        params = request["params"]
        literal = None if params is None else read_json(json.dumps(params).encode())
        assert self.entry.request(self, b"%d" % request["id"], request["method"], literal)

    def go_on(self) -> None:
        self.is_held = False

    def send(self, method: str, params: Any = None, request_id: bytes | None = None) -> bytes:
        """Send a request without waiting; returns its id. Numbers in `params` stay literal. A
        caller that is held has read it before.
        """
        if request_id is None:
            self._ids += 1
            request_id = b"%d" % self._ids
        if self.is_held:
            message = {"id": int(request_id), "method": method, "params": params}
            self.entry.keep(self, json.dumps(message).encode())
            return request_id
        literal = None if params is None else read_json(json.dumps(params).encode())
        assert self.entry.request(self, request_id, method, literal)
        return request_id

    async def answers(self, count: int) -> list[dict[str, Any]]:
        """Remove and return the next `count` answers, in order of arrival."""
        while len(self.told) < count:
            self._more.clear()
            await asyncio.wait_for(self._more.wait(), 5)
        taken, self.told = self.told[:count], self.told[count:]
        return [json.loads(text) for text in taken]

    async def ask(self, method: str, params: Any = None) -> dict[str, Any]:
        """Send one request and wait for its answer; no other may be pending."""
        assert not self.told
        request_id = self.send(method, params)
        (answer,) = await self.answers(1)
        assert answer["id"] == int(request_id)
        assert list(answer) == ["id", "status", "result" if answer["status"] == 200 else "error"]
        return answer

    async def result(self, method: str, params: Any = None) -> Any:
        """The result of a request that must succeed."""
        answer = await self.ask(method, params)
        assert answer["status"] == 200, answer
        return answer["result"]

    async def refusal(self, method: str, params: Any = None) -> tuple[int, str, str]:
        """Status, code and message of a request that must fail."""
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
        self.is_ended = True
        self.entry.ended(self)


def caller(venue: RunningExchange, token: str | None = ALICE_TOKEN) -> MemoryCaller:
    """A new connection; token None: not logged in."""
    access = None if token is None else venue.gateway.logins.by_token(token, address="")
    return MemoryCaller(venue.gateway.ws_orders, access)


async def turns(count: int = 5) -> None:
    """Run due callbacks."""
    for _ in range(count):
        await asyncio.sleep(0)


Story = Callable[[RunningExchange, MemoryCaller], Awaitable[None]]


def play_caller(
    story: Story,
    limits: GatewayLimits = NO_LIMITS,
    *,
    exchange: DirectExchange | None = None,
) -> None:
    """Run a story against a new exchange, with a connection of Alice."""

    async def scene(venue: RunningExchange, _client: object) -> None:
        await story(venue, caller(venue))

    play(scene, limits, exchange=exchange)


with_caller = runner_of(play_caller, 2)


def kinds(commands: Sequence[bytes]) -> list[int]:
    return [command[0] for command in commands]
