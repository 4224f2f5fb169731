"""The bot of docs/guide/market-maker.md: at most 40 lines, and it works as described."""

import asyncio
import re
from pathlib import Path
from typing import Any

from fairbook.client import BearerToken, NewOrder, RestClient
from tests.world.direct_exchange import live_exchange
from tests.world.memory_accounts import ALICE, ALICE_TOKEN, BOB_TOKEN
from tests.world.running_exchange import RunningExchange, play_live
from tests.world.waiting import until

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "market-maker.md"


def shown() -> str:
    found = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def test_it_is_short() -> None:
    assert len([line for line in shown().splitlines() if line.strip()]) <= 40


def test_it_follows_the_best_ask() -> None:
    """Its bid follows the market, is placed again after a fill, and ends with the bot."""
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(shown(), str(PAGE), "exec"), names)

    def ask(price: str) -> NewOrder:
        return NewOrder(symbol="SOL_USDC", side="Ask", price=price, quantity="1")

    def own_bids(venue: RunningExchange) -> list[int]:
        return [order.price for order in venue.exchange.open_orders(ALICE)]

    async def becomes(venue: RunningExchange, prices: list[int]) -> None:
        await until(lambda: own_bids(venue) == prices)

    async def story(venue: RunningExchange) -> None:
        running = asyncio.create_task(names["main"](venue.http_url, venue.ws_url, ALICE_TOKEN))
        async with RestClient(venue.http_url, BearerToken(BOB_TOKEN)) as bob:
            await bob.place(ask("100"))
            await becomes(venue, [9_950])
            lower = await bob.place(ask("99.8"))
            await becomes(venue, [9_930])
            await bob.cancel("SOL_USDC", order_id=lower.id)
            await becomes(venue, [9_950])
            sold = await bob.place(ask("99.5"))
            assert sold.status == "Filled"
            await bob.place(ask("90"))
            await becomes(venue, [8_955])
        running.cancel()
        await asyncio.wait((running,))
        await becomes(venue, [])

    play_live(story, live_exchange)
