"""Random requests: each gets one answer, no 5xx, and the state stays valid."""

import random
from typing import Any

import pytest

from fairbook.core import invariants
from tests.gateway.memory_caller import MemoryCaller, play_caller
from tests.world.http_client import bid
from tests.world.running_exchange import RunningExchange

METHODS = (
    "order.place", "order.amend", "order.cancel", "order.cancelAll", "order.status",
    "order.cancelOnDisconnect",
)  # fmt: skip
GOOD: dict[str, list[Any]] = {
    "symbol": ["SOL_USDC", "BTC_USDC"], "side": ["Bid", "Ask"], "orderType": ["Limit", "Market"],
    "price": ["100", "99.5", 101], "quantity": ["1", "0.01"], "clientId": [1, "2"],
    "orderId": ["1", 2], "timeInForce": ["GTC", "IOC", "FOK"], "postOnly": [True, False],
    "enabled": [True, False], "selfTradePrevention": ["RejectBoth", "RejectMaker"],
}  # fmt: skip
BAD: list[Any] = [
    None, "", " ", 0, -1, 1.5, 10**400, True, False, [], {}, [[]], {"a": {}}, "NaN", "1e5", "-1",
    "0", "0.000000000000000001", "9" * 19, "9" * 5000, "1_0", "\u0663", "\x00", "\U0001f600",
    "__proto__", "sol_usdc", "SOL_USDC ", "' OR 1=1", 2**32, 2**63, 2**64, "Allow", "limit",
]  # fmt: skip
UNWANTED = {
    "order.amend": ("timeInForce", "postOnly", "selfTradePrevention"),
    "order.cancelAll": ("orderId", "clientId", "side"),
}
EXPECTED = {200, 400, 404, 501}


def nonsense(chance: random.Random, method: str, newest: int) -> Any:
    """Mostly valid parameters, so that many become commands. newest: a client id."""
    if chance.random() < 0.05:
        return chance.choice([*BAD, None])
    names = [name for name in GOOD if chance.random() < 0.8]
    params = {name: chance.choice(GOOD[name]) for name in names}
    if chance.random() < 0.6:
        params["clientId"] = chance.randrange(newest, newest + 3)
        params.pop("orderId", None)
    if chance.random() < 0.7:
        for name in UNWANTED.get(method, ()):
            params.pop(name, None)
    for name in chance.sample(sorted(GOOD), chance.choice((0, 0, 1, 1, 2))):
        params[name] = chance.choice(BAD)
    return params


@pytest.mark.parametrize("seed", range(3))
def test_nonsense_is_answered(seed: int) -> None:
    """Of each method some are accepted and some refused; reads and 501 become no command."""
    chance = random.Random(seed)

    async def story(venue: RunningExchange, alice: MemoryCaller) -> None:
        commands = venue.exchange.record_commands()
        seen: set[tuple[str, int]] = set()
        for number in range(3000):
            before = len(commands)
            method = chance.choice(METHODS)
            params = nonsense(chance, method, number // 9)
            if number % 9 == 0:
                method, params = "order.place", bid("90", "0.01", clientId=number // 9)
            answer = await alice.ask(method, params)
            seen.add((method, answer["status"]))
            assert answer["status"] in EXPECTED, (method, params, answer)
            assert len(commands) - before in (0, 1)
            if answer["status"] == 501 or method in ("order.status", "order.cancelOnDisconnect"):
                assert len(commands) == before
        assert seen >= {(method, status) for method in METHODS for status in (200, 400)}
        invariants.check(venue.exchange.core)

    play_caller(story)
