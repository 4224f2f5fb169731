"""What the engine in this process answers when asked: its state, and what can be traded.

How it works: everything is read from the exchange when it is asked.

Always true: an answer is of one moment, between two frames; nothing here changes the state.

Not here: history. A closed order is known to the recorder, not to the engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fairbook.core.exchange import Exchange
from fairbook.core.markets import Asset, Market
from fairbook.core.records import OrderRecord
from fairbook.engine.runner import Runner
from fairbook.ports.commands import Stopped
from fairbook.ports.queries import BookDepth


class EngineView:
    """The state as it is."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def balances(self, account: int) -> Sequence[tuple[int, int, int]]:
        """(asset id, available, locked) in atoms, of every asset; empty for an unknown account."""
        return self._exchange.balances(account)

    def open_orders(self, account: int, market: int = 0) -> Sequence[OrderRecord]:
        """Open orders by rising id; market 0: all."""
        return self._exchange.open_orders(account, market)

    def order(
        self, account: int, *, market: int = 0, order_id: int = 0, client_id: int | None = None
    ) -> OrderRecord | None:
        """One open order of the account (of that market, if given); None if there is none."""
        if client_id is not None:
            return self._exchange.order_of_client(account, market, client_id)
        return self._exchange.order(account, market, order_id)

    def depth(self, market: int, levels_max: int) -> BookDepth:
        """The levels nearest the spread. `market` must exist."""
        bids, asks = self._exchange.depth(market, levels_max)
        return BookDepth(
            self._exchange.markets[market].update_id, self._exchange.time_ns, bids, asks
        )

    def paused(self) -> bool:
        """Whether the exchange is CancelOnly."""
        return self._exchange.paused

    def sessions(self) -> Sequence[tuple[int, int]]:
        """(account, session) of every session that has open orders."""
        return self._exchange.sessions()


class EngineQueries:
    """The way to ask for the state at a position."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._view = EngineView(runner.exchange)
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._ended: str | None = None

    async def at(self, position: int) -> EngineView:
        """The state at or after `position`, to be used before the next await.

        Waits for as long as that takes. Raises Stopped if it will not be reached any more, or the
        state cannot be trusted.
        """
        if position > self._runner.position:
            reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((position, reached))
            if self._ended is not None:
                self.end(self._ended)
            await reached
        if self._runner.broken:
            raise Stopped("the state machine failed")
        return self._view

    def advance(self, position: int) -> None:
        """The runner has reached `position`: wake whoever waits for it."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for wanted, reached in waiting:
            if wanted > position:
                self._waiting.append((wanted, reached))
            elif not reached.done():
                reached.set_result(None)

    def end(self, why: str) -> None:
        """The runner goes no further: whoever waits, now or later, is told Stopped."""
        self._ended = why
        waiting, self._waiting = self._waiting, []
        for _, reached in waiting:
            if not reached.done():
                reached.set_exception(Stopped(why))


class EngineCatalogue:
    """Assets and markets, as listed. The objects are the engine's own."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._assets_named: dict[str, Asset] = {}
        self._markets_named: dict[str, Market] = {}

    def asset(self, asset_id: int) -> Asset:
        """By id; must exist."""
        return self._exchange.assets[asset_id]

    def asset_named(self, name: str) -> Asset | None:
        """By exact name."""
        if len(self._assets_named) != len(self._exchange.assets) - 1:
            self._assets_named = {asset.name: asset for asset in self.assets()}
        return self._assets_named.get(name)

    def market(self, market_id: int) -> Market:
        """By id; must exist."""
        return self._exchange.markets[market_id]

    def market_named(self, name: str) -> Market | None:
        """By exact name."""
        if len(self._markets_named) != len(self._exchange.markets) - 1:
            self._markets_named = {market.name: market for market in self.markets()}
        return self._markets_named.get(name)

    def assets(self) -> Sequence[Asset]:
        """All, by id."""
        return self._exchange.assets[1:]

    def markets(self) -> Sequence[Market]:
        """All, by id."""
        return self._exchange.markets[1:]
