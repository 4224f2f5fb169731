"""Queries and Catalogue (ports/queries.py) of the engine in this process.

Invariants: an answer is of one moment, between two frames; nothing here changes the state.
"""

import asyncio
from collections.abc import Sequence

from fairbook.core.admin_records import OF_ACCOUNT
from fairbook.core.credential_table import Credential
from fairbook.core.exchange import ORDER_ID_MAX, Exchange
from fairbook.core.markets import Asset, Market
from fairbook.core.records import OrderRecord
from fairbook.core.references import Reference
from fairbook.engine.runner import Runner
from fairbook.ports.commands import Stopped
from fairbook.ports.queries import BookDepth


class EngineView:
    """A StateView that reads the exchange when it is asked."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def balances(self, account: int) -> Sequence[tuple[int, int, int]]:
        return self._exchange.balances(account)

    def withdrawable_today(self, account: int, asset: int) -> int:
        return self._exchange.withdrawable_today(account, asset)

    def open_orders(
        self,
        account: int,
        market: int = 0,
        after: OrderRecord | None = None,
        orders_max: int = ORDER_ID_MAX,
    ) -> Sequence[OrderRecord]:
        return self._exchange.open_orders(account, market, after, orders_max)

    def open_order_count(self, account: int, market: int = 0) -> int:
        return self._exchange.open_order_count(account, market)

    def order(
        self,
        account: int,
        *,
        market: int = 0,
        order_id: int = 0,
        client_id: int | str | None = None,
    ) -> OrderRecord | None:
        if client_id is not None:
            return self._exchange.order_of_client(account, market, client_id)
        return self._exchange.order(account, market, order_id)

    def stored_outcome(self, unit: bytes) -> bytes:
        return self._exchange.stored_outcome(unit)

    def depth(self, market: int, levels_max: int) -> BookDepth:
        exchange = self._exchange
        bids, asks = exchange.depth(market, levels_max)
        return BookDepth(exchange.markets[market].update_id, exchange.time_ns, bids, asks)

    def paused(self) -> bool:
        return self._exchange.paused

    def credential(self, digest: bytes) -> Credential | None:
        return self._exchange.credential(digest)

    def credentials(self, account: int) -> Sequence[Credential]:
        return self._exchange.credentials(OF_ACCOUNT, account)

    def account_of_user(self, user_id: int) -> int:
        return self._exchange.account_of_user(user_id)

    def reference(self, reference: bytes) -> Reference | None:
        return self._exchange.reference(reference)

    def log_time_ns(self) -> int:
        return self._exchange.time_ns


class EngineQueries:
    """Waits for positions of the runner."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._view = EngineView(runner.exchange)
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._ended: str | None = None
        runner.subscribe(self._on_frame)

    async def at(self, position: int) -> EngineView:
        """Raises Stopped if the position will never be reached, or the state is broken."""
        if position > self._runner.position:
            reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((position, reached))
            if self._ended is not None:
                self.end(self._ended)
            await reached
        if self._runner.broken:
            raise Stopped("the state machine failed")
        return self._view

    def text_of(self, order: OrderRecord) -> str | None:
        return self._runner.exchange.text_of(order)

    def end(self, reason: str) -> None:
        """The engine applies no more frames: waiting and later calls raise Stopped."""
        self._ended = reason
        waiting, self._waiting = self._waiting, []
        for _, reached in waiting:
            if not reached.done():
                reached.set_exception(Stopped(reason))

    def _on_frame(self, position: int, _time_ns: int, _frame: bytes, _events: bytes) -> None:
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for wanted, reached in waiting:
            if wanted > position:
                self._waiting.append((wanted, reached))
            elif not reached.done():
                reached.set_result(None)


class EngineCatalogue:
    """A Catalogue of the engine's own objects."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._assets_by_name: dict[str, Asset] = {}
        self._markets_by_name: dict[str, Market] = {}

    def asset(self, asset_id: int) -> Asset:
        return self._exchange.assets[asset_id]

    def asset_named(self, name: str) -> Asset | None:
        if len(self._assets_by_name) != len(self._exchange.assets) - 1:
            self._assets_by_name = {asset.name: asset for asset in self.assets()}
        return self._assets_by_name.get(name)

    def market(self, market_id: int) -> Market:
        return self._exchange.markets[market_id]

    def market_named(self, name: str) -> Market | None:
        if len(self._markets_by_name) != len(self._exchange.markets) - 1:
            self._markets_by_name = {market.name: market for market in self.markets()}
        return self._markets_by_name.get(name)

    def assets(self) -> Sequence[Asset]:
        return self._exchange.assets[1:]

    def markets(self) -> Sequence[Market]:
        return self._exchange.markets[1:]
