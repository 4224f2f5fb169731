"""The market maker: an ordinary API client, with one WebSocket connection at a time.

Design: on each connection the bot logs in, enables cancelOnDisconnect, reads the state over REST,
and runs a MarketMaker for each market: the maker's commands go over the WebSocket, the taker's
orders over REST. Anything in doubt (a missing answer, a stale feed, a lost connection) ends the
connection: then the exchange cancels the maker's orders, and the bot reconnects after a pause.

Invariants:
- all commands of both accounts together keep to one rate;
- it quotes only while its book is live, and for at most STALE_S after its feed has become silent;
- no order of the maker outlives its connection.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from fairbook.client.credentials import BearerToken
from fairbook.client.errors import ClientError, Disconnected, RequestRefused
from fairbook.client.grid import Grid
from fairbook.client.local_book import BookFeed
from fairbook.client.messages import Balance, BalanceUpdate, NewOrder, OrderState, OrderUpdate
from fairbook.client.reconnect import Backoff, Reconnecting
from fairbook.client.rest import RestClient
from fairbook.client.websocket import WebSocketClient
from fairbook.demo.maker.market_maker import BACK_OFF_MS, MarketMaker
from fairbook.demo.maker.plan import MarketPlan, QuotingParameters
from fairbook.demo.maker.quotes import LimitOrder
from fairbook.demo.maker.reconcile import AmendOrder, CancelAll, CancelOrder, Command

COMMANDS_PER_S: Final = 15.0
COMMANDS_PER_S_MAX: Final = 20.0
STALE_S: Final = 4.0
WATCH_S: Final = 0.25
UNREADY_MS: Final = 200
READY_S: Final = 10.0  # for all books to become live
NO_BALANCE: Final = Balance("0", "0")
UNAUTHORIZED: Final = 401

logger = logging.getLogger(__name__)


class StaleFeed(ClientError):
    """A message that was due did not arrive on the streams."""


class CredentialsRefused(Exception):
    """The exchange does not know the tokens: reconnecting is useless."""


class CommandPacer:
    """Spaces commands evenly: at most one in `1 / per_s` seconds, in the order of calls.

    Not a token bucket of the gateway, because a maker imports only `client` and `api`, and because
    it needs the wait instead of a refusal.
    """

    def __init__(self, per_s: float) -> None:
        self._gap_s = 1.0 / per_s
        self._next_s = 0.0

    def reserve(self, now_s: float) -> float:
        """Reserve the next time; returns the seconds until then."""
        at_s = max(now_s, self._next_s)
        self._next_s = at_s + self._gap_s
        return at_s - now_s


class FeedMonitor:
    """Whether the streams of one market are stale, on one connection.

    A candle is due every second once there was one, and an answered command of the maker must be
    followed by a change of the book. Silence while nothing is due is not stale.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._has_candles = False
        self._due_s: float | None = None  # since when something is due

    def on_candle(self, _candle: object) -> None:
        self._has_candles = True
        self._due_s = self._now_s()

    def on_book(self, _book: object) -> None:
        self._due_s = self._now_s() if self._has_candles else None

    def on_answer(self) -> None:
        if self._due_s is None:
            self._due_s = self._now_s()

    def is_stale(self, after_s: float) -> bool:
        return self._due_s is not None and self._now_s() - self._due_s > after_s


class ProblemLog:
    """Logs each problem once when it begins and once when it ends."""

    def __init__(self) -> None:
        self._failing: set[str] = set()

    def report(self, activity: str, error: Exception | None) -> None:
        """error: why it failed this time; None if it succeeded."""
        if error is not None and activity not in self._failing:
            self._failing.add(activity)
            logger.warning("not %s for a while: %s", activity, error)
        elif error is None and activity in self._failing:
            self._failing.remove(activity)
            logger.info("%s again", activity)


class Bot:
    """Maker and taker of some markets."""

    def __init__(
        self,
        url_http: str,
        url_ws: str,
        tokens: Mapping[str, str],
        *,
        seed: int,
        plans: Sequence[MarketPlan],
        commands_per_s: float = COMMANDS_PER_S,
        stale_s: float = STALE_S,
        back_off_ms: int = BACK_OFF_MS,
    ) -> None:
        """tokens: bearer tokens of "maker" and "taker", two accounts."""
        if not 0 < commands_per_s <= COMMANDS_PER_S_MAX:
            raise ValueError(f"at most {COMMANDS_PER_S_MAX:.0f} commands a second")
        self.commands = 0
        """The number of commands sent."""
        self._urls = url_http, url_ws
        self._tokens = tokens
        self._seed = seed
        self._plans = plans
        self._pacer = CommandPacer(commands_per_s)
        self._stale_s = stale_s
        self._back_off_ms = back_off_ms
        self._makers: dict[str, MarketMaker] = {}
        self._start_lots: dict[tuple[str, str], int] = {}  # by account and symbol
        self._last_problem = ""  # as logged

    async def run(self) -> None:
        """Make markets until cancelled. Raises CredentialsRefused."""
        url_http, url_ws = self._urls
        connections = Reconnecting(url_ws, backoff=Backoff(random.Random(self._seed)))
        async with (
            RestClient(url_http, BearerToken(self._tokens["maker"])) as maker,
            RestClient(url_http, BearerToken(self._tokens["taker"])) as taker,
        ):
            async for socket in connections:
                problem: Exception | None = None
                try:
                    async with socket:
                        await self._trade(socket, maker, taker)
                except* ClientError as errors:
                    problem = _first(errors)
                if isinstance(problem, RequestRefused) and problem.status == UNAUTHORIZED:
                    raise CredentialsRefused(str(problem))
                if str(problem) != self._last_problem:
                    self._last_problem = str(problem)
                    logger.warning("not making markets: %s", problem)

    async def _trade(self, socket: WebSocketClient, maker: RestClient, taker: RestClient) -> None:
        """Everything from the login to the end of the connection, which raises."""
        await socket.login(BearerToken(self._tokens["maker"]))
        await socket.cancel_on_disconnect()
        await self._prepare(maker, taker)
        session = TradingSession(self, socket, taker, self._makers)
        await session.subscribe(maker)
        self._last_problem = ""
        logger.info("making markets: %s", ", ".join(self._makers))
        await session.trade(self._stale_s)

    async def _prepare(self, maker: RestClient, taker: RestClient) -> None:
        """Bring the market makers to the state of the exchange."""
        grids = {market.symbol: Grid(market) for market in await maker.markets()}
        maker_balances, taker_balances = await maker.balances(), await taker.balances()
        orders = await maker.open_orders()
        for plan in self._plans:
            grid = grids.get(plan.symbol)
            if grid is None:
                raise RequestRefused(400, "INVALID_MARKET", f"no market {plan.symbol}")
            market = self._makers.get(plan.symbol)
            if market is None:
                market = self._makers[plan.symbol] = MarketMaker(
                    grid,
                    QuotingParameters(plan, grid),
                    rng=random.Random(f"{self._seed} {plan.symbol}"),
                    back_off_ms=self._back_off_ms,
                )
            leftovers = [order for order in orders if order.symbol == plan.symbol]
            market.restart(_now_ms(), await _last_price(maker, grid), leftovers)
            market.maker_lots = self.inventory_lots(
                "maker", grid, maker_balances.get(grid.base, NO_BALANCE)
            )
            market.taker_lots = self.inventory_lots(
                "taker", grid, taker_balances.get(grid.base, NO_BALANCE)
            )

    def inventory_lots(self, account: str, grid: Grid, balance: Balance) -> int:
        """The account's base asset beyond what it had at this bot's start."""
        lots = grid.lots_in(balance.available) + grid.lots_in(balance.locked)
        return lots - self._start_lots.setdefault((account, grid.symbol), lots)

    async def wait_for_turn(self) -> None:
        await asyncio.sleep(self._pacer.reserve(_now_s()))
        self.commands += 1


class TradingSession:
    """The work on one connection."""

    def __init__(
        self,
        bot: Bot,
        socket: WebSocketClient,
        taker: RestClient,
        makers: Mapping[str, MarketMaker],
    ) -> None:
        self._bot = bot
        self._socket = socket
        self._taker = taker
        self._makers = makers
        self._feeds: dict[str, BookFeed] = {}
        self._monitors = {symbol: FeedMonitor(_now_s) for symbol in makers}
        self._problems = ProblemLog()

    async def subscribe(self, rest: RestClient) -> None:
        """Subscribe to all streams; return when all books are live."""
        await self._socket.subscribe("account.orderUpdate", handler=self._on_order)
        await self._socket.subscribe("account.balanceUpdate", handler=self._on_balance)
        for symbol, market in self._makers.items():
            monitor = self._monitors[symbol]
            feed = BookFeed(self._socket, rest, market.grid, changed=monitor.on_book)
            self._feeds[symbol] = feed
            await feed.start()
            await self._socket.subscribe(f"kline.1s.{symbol}", handler=monitor.on_candle)
        try:
            async with asyncio.timeout(READY_S):
                for feed in self._feeds.values():
                    await feed.ready()
        except TimeoutError:
            raise StaleFeed(f"no books within {READY_S:.0f} s") from None

    async def trade(self, stale_s: float) -> None:
        """Until the connection ends or the feed is stale: both raise."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(stale_s))
            for market in self._makers.values():
                group.create_task(self._make(market))
                if market.parameters.plan.take_ms:
                    group.create_task(self._take(market))

    async def _watch(self, stale_s: float) -> None:
        live_s = dict.fromkeys(self._feeds, _now_s())  # when each book was last live
        while not self._socket.ended.is_set():
            now_s = _now_s()
            for symbol, monitor in self._monitors.items():
                if monitor.is_stale(stale_s):
                    raise StaleFeed(f"nothing received of {symbol} for {stale_s:.1f} s")
                if self._feeds[symbol].book.is_live:
                    live_s[symbol] = now_s
                elif now_s - live_s[symbol] > stale_s:
                    raise StaleFeed(f"no book of {symbol} for {stale_s:.1f} s")
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCH_S):
                    await self._socket.ended.wait()
        if self._socket.failure is not None:
            raise self._socket.failure
        raise Disconnected(f"the connection ended ({self._socket.close_code})")

    async def _make(self, market: MarketMaker) -> None:
        symbol = market.grid.symbol
        book = self._feeds[symbol].book
        while True:
            await _sleep_until(market.next_plan_ms)
            if not book.is_live:
                market.next_plan_ms = _now_ms() + UNREADY_MS
                continue
            refusal = await self._send(market, market.next_commands(_now_ms(), book))
            self._problems.report(f"making {symbol}", refusal)
            if refusal is not None:
                await self._send(market, market.withdraw(_now_ms()))

    async def _send(
        self, market: MarketMaker, commands: Sequence[Command]
    ) -> RequestRefused | None:
        """Send the commands in order, many in flight; return a refusal that stops the others."""
        refusals: list[RequestRefused] = []
        async with asyncio.TaskGroup() as group:
            for command in commands:
                await self._bot.wait_for_turn()
                if refusals:
                    break
                group.create_task(self._send_one(market, command, refusals))
        return refusals[0] if refusals else None

    async def _send_one(
        self, market: MarketMaker, command: Command, refusals: list[RequestRefused]
    ) -> None:
        try:
            market.on_answer(command, await self._execute(market.grid, command))
        except RequestRefused as refusal:
            if not market.on_refusal(command, refusal, _now_ms()):
                refusals.append(refusal)
        else:
            self._monitors[market.grid.symbol].on_answer()

    async def _execute(self, grid: Grid, command: Command) -> OrderState | list[OrderState]:
        match command:
            case CancelAll():
                return await self._socket.cancel_all(grid.symbol)
            case CancelOrder():
                return await self._socket.cancel(grid.symbol, order_id=command.order_id)
            case AmendOrder():
                return await self._socket.amend(
                    grid.symbol,
                    order_id=command.order_id,
                    price=grid.price.text(command.price),
                    quantity=grid.quantity.text(command.total),
                )
        return await self._socket.place(_new_order(grid, command, post_only=True))

    async def _take(self, market: MarketMaker) -> None:
        """Send the taker's orders. If they fail, the maker goes on."""
        grid, book = market.grid, self._feeds[market.grid.symbol].book
        while True:
            await _sleep_until(market.next_take_ms)
            take = market.next_taker_order(_now_ms(), book) if book.is_live else None
            if take is None:
                market.next_take_ms = max(market.next_take_ms, _now_ms() + UNREADY_MS)
                continue
            await self._bot.wait_for_turn()
            problem: ClientError | None = None
            try:
                order = _new_order(grid, take, time_in_force="IOC")
                market.on_taker_answer(await self._taker.place(order))
            except ClientError as error:
                if isinstance(error, RequestRefused) and error.status == UNAUTHORIZED:
                    raise
                problem = error
                market.on_taker_error(_now_ms())
            self._problems.report(f"taking in {grid.symbol}", problem)

    def _on_order(self, update: OrderUpdate) -> None:
        market = self._makers.get(update.symbol)
        if market is not None:
            market.orders.on_update(update)

    def _on_balance(self, update: BalanceUpdate) -> None:
        balance = Balance(update.available, update.locked)
        for market in self._makers.values():
            if market.grid.base == update.asset:
                market.maker_lots = self._bot.inventory_lots("maker", market.grid, balance)


def _new_order(grid: Grid, order: LimitOrder, **terms: Any) -> NewOrder:
    return NewOrder(
        symbol=grid.symbol,
        side=order.side,
        price=grid.price.text(order.price),
        quantity=grid.quantity.text(order.lots),
        **terms,
    )


async def _last_price(rest: RestClient, grid: Grid) -> int | None:
    """The price of the last trade in ticks, if there was one."""
    try:
        return grid.price.units((await rest.ticker(grid.symbol)).last_price) or None
    except RequestRefused as error:
        logger.info("no ticker of %s: %s", grid.symbol, error)
        return None


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _now_ms() -> int:
    """The time of the running loop, which all plans use."""
    return int(_now_s() * 1000)


async def _sleep_until(at_ms: int) -> None:
    await asyncio.sleep(max(0, at_ms - _now_ms()) / 1000)


def _first(group: BaseExceptionGroup[ClientError]) -> ClientError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, ClientError)
    return error
