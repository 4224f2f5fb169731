"""A summary of the whole state at a position, for `fairbook inspect --at`."""

from collections.abc import Iterator

from fairbook.cli.amount_text import MarketAmounts, amount_text
from fairbook.cli.command_text import time_text
from fairbook.cli.order_facts import pause_lines
from fairbook.cli.record_names import MARKET_STATES
from fairbook.core import records, state
from fairbook.core.exchange import Exchange
from fairbook.core.ledger import FIRST_USER
from fairbook.core.records import Fill
from fairbook.engine.runner import Runner


class LastTrades:
    """The newest trade of each market, which the state itself does not keep."""

    def __init__(self) -> None:
        self._fills: dict[int, tuple[Fill, int]] = {}

    def take(self, events: bytes, time_ns: int) -> None:
        """events: of one frame."""
        at = 0
        while at < len(events):
            if records.kind_at(events, at) == records.FILL:
                fill = Fill(events, at)
                self._fills[fill.market] = fill, time_ns
            at = records.next_at(events, at)

    def text(self, market: int, exchange: Exchange) -> str:
        if market not in self._fills:
            return "no trade"
        fill, time_ns = self._fills[market]
        amounts = MarketAmounts(exchange, market)
        return (
            f"last trade {fill.trade_id}: {amounts.quantity(fill.lots)}"
            f" at {amounts.price(fill.price)}, {time_text(time_ns)}"
        )


def exchange_lines(runner: Runner, trades: LastTrades) -> Iterator[str]:
    exchange = runner.exchange
    tables = exchange.tables
    yield f"position  {runner.position}, {time_text(exchange.time_ns)}"
    yield f"sequence  {exchange.sequence}"
    yield f"chain     {runner.chain.hex()}"
    yield f"digest    {state.digest(exchange).hex()}"
    yield f"trading   {trading_text(exchange)}"
    yield (
        f"accounts  {len(tables.accounts) - FIRST_USER} of users,"
        f" {len(tables.operators) - 1} operators"
    )
    yield "markets"
    for market in exchange.markets[1:]:
        bids, asks = exchange.depth(market.id, 1)
        amounts = MarketAmounts(exchange, market.id)
        slots = tables.books[market.id].slots
        best_bid = f"best bid {amounts.price(bids[0][0])}" if bids else "no bids"
        best_ask = f"best ask {amounts.price(asks[0][0])}" if asks else "no asks"
        open_orders = len(slots.orders) - len(slots.free)
        yield (
            f"  {market.name} {MARKET_STATES[market.state]}: {best_bid}, {best_ask},"
            f" {open_orders} resting orders, {trades.text(market.id, exchange)}"
        )
    yield "assets, with what users and the fee account own in all"
    for asset in exchange.assets[1:]:
        total = amount_text(exchange, asset.id, tables.ledger.supply(asset.id))
        yield f"  {total}"


def trading_text(exchange: Exchange) -> str:
    """Whether trading goes on, and who has paused it."""
    return ", ".join(pause_lines(exchange)) or "not paused"
