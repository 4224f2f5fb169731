"""Queries and Catalogue of the engine in this process."""

from __future__ import annotations

import asyncio

import pytest

from fairbook.core import admin_records, records
from fairbook.core.exchange import Exchange
from fairbook.engine.queries import EngineCatalogue, EngineQueries
from fairbook.engine.runner import Runner
from fairbook.log.memory_log import MemoryLog
from fairbook.ports.commands import Stopped
from fairbook.ports.queries import BookDepth
from tests.world import traffic


class Story:
    """A runner that applies one frame after the other, and its queries."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.runner = Runner(Exchange())
        self.queries = EngineQueries(self.runner)

    def apply(self, *commands: bytes) -> bytes:
        entry = self.log.append(b"".join(commands), traffic.START_NS + self.log.last.position)
        events = self.runner.apply(entry)
        assert events is not None
        return events


def test_the_view_shows_the_current_state() -> None:
    story = Story()
    story.apply(*traffic.setup())
    events = story.apply(
        traffic.buy(2, price=90, quantity=3, client_id=7), traffic.buy(3, price=91)
    )
    order_id = records.read_outcome(records.split(events)[0]).order_id
    view = asyncio.run(story.queries.at(2))

    locked = 90 * 3 * 10
    assert view.balances(2) == [(1, 10**9, 0), (2, 10**9 - locked, locked)]
    assert view.balances(99) == []
    assert [order.order_id for order in view.open_orders(2)] == [order_id]
    assert view.open_orders(2, 1)[0].quantity == 3
    for found in (
        view.order(2, order_id=order_id),
        view.order(2, market=1, order_id=order_id),
        view.order(2, client_id=7),
        view.order(2, market=1, client_id=7),
    ):
        assert found is not None
        assert found.order_id == order_id
    assert view.order(3, order_id=order_id) is None
    assert view.order(2, market=2, order_id=order_id) is None
    assert view.order(2, client_id=0) is None
    time_ns = traffic.START_NS + 1
    assert view.depth(1, 10) == BookDepth(14, time_ns, [(91, 1), (90, 3)], [])
    assert view.depth(1, 1) == BookDepth(14, time_ns, [(91, 1)], [])
    assert not view.paused()

    story.apply(
        admin_records.pause(admin_records.BY_OPERATOR, 1),
        records.cancel_all(account=2),
    )
    assert view.paused()
    assert view.open_orders(2) == []
    assert view.depth(1, 10) == BookDepth(15, time_ns + 1, [(91, 1)], [])


async def test_a_query_waits_for_its_position() -> None:
    story = Story()
    story.apply(*traffic.setup())
    assert (await story.queries.at(0)).balances(2) != []
    second = asyncio.ensure_future(story.queries.at(2))
    third = asyncio.ensure_future(story.queries.at(3))
    gone = asyncio.ensure_future(story.queries.at(2))
    await asyncio.sleep(0)
    gone.cancel()
    story.apply(traffic.buy(2))
    view = await second
    assert len(view.open_orders(2)) == 1
    assert not third.done()
    story.apply(traffic.buy(2))
    assert len((await third).open_orders(2)) == 2


async def test_a_position_that_will_not_be_reached_is_refused() -> None:
    story = Story()
    story.apply(*traffic.setup())
    waiting = asyncio.ensure_future(story.queries.at(2))
    await asyncio.sleep(0)
    story.queries.end("shut down")
    with pytest.raises(Stopped, match="shut down"):
        await waiting
    with pytest.raises(Stopped, match="shut down"):
        await story.queries.at(2)
    assert (await story.queries.at(1)).balances(2) != []


def test_a_half_changed_state_is_not_shown() -> None:
    story = Story()
    story.apply(*traffic.setup())

    def bug(*_: object) -> None:
        raise ZeroDivisionError

    story.runner.subscribe(bug)
    with pytest.raises(ZeroDivisionError):
        story.apply(traffic.buy(2))
    with pytest.raises(Stopped):
        asyncio.run(story.queries.at(1))


def test_the_catalogue_follows_the_listings() -> None:
    story = Story()
    catalogue = EngineCatalogue(story.runner.exchange)
    assert list(catalogue.assets()) == []
    assert list(catalogue.markets()) == []
    assert catalogue.asset_named("SOL") is None
    assert catalogue.market_named("SOL_USDC") is None
    assert catalogue.market_named("") is None
    assert catalogue.asset_named("") is None

    story.apply(*traffic.setup())
    assert [asset.name for asset in catalogue.assets()] == ["SOL", "USDC"]
    assert [market.name for market in catalogue.markets()] == ["SOL_USDC"]
    market = catalogue.market_named("SOL_USDC")
    assert market is catalogue.market(1)
    assert catalogue.asset_named("USDC") is catalogue.asset(2)
    assert catalogue.market_named("sol_usdc") is None
    assert catalogue.asset_named("") is None

    story.apply(admin_records.list_asset(asset=3, decimals=8, name="BTC"))
    assert catalogue.asset_named("BTC") is catalogue.asset(3)
    story.apply(
        admin_records.list_market(
            market=2, base=3, quote=2, lot_atoms=1000, tick_atoms=10, name="BTC_USDC"
        )
    )
    assert catalogue.market_named("BTC_USDC") is catalogue.market(2)
    assert catalogue.market_named("SOL_USDC") is market
