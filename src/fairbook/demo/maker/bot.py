"""The market maker's process: an ordinary client of the public API, for as long as it is let.

How it works: for each connection it logs in, asks for cancelOnDisconnect, learns over REST what
there is, and then lets a desk for each market plan: the maker's commands go over the WebSocket, the
taker's orders over REST. Whatever is in doubt (a lost
answer, a stale feed, the end of the connection) ends the connection: the exchange then cancels all
that hangs on it, and after a pause everything begins anew.

Always true:
- all commands of both accounts together keep to one budget;
- it quotes only while the book it sees is live, and no longer than STALE_S after its feed fell
  silent;
- no order of the maker outlives its connection.

Not here: what to quote and take (desk.py and what it uses), how to connect (client).
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import uvloop

from fairbook.client.credentials import Token
from fairbook.client.errors import ClientError, Disconnected, RequestRefused
from fairbook.client.grid import Grid
from fairbook.client.local_book import BookFeed, LocalBook
from fairbook.client.messages import Balance, BalanceUpdate, NewOrder, Order, OrderUpdate
from fairbook.client.reconnect import Backoff, Reconnecting
from fairbook.client.rest import Rest
from fairbook.client.socket import Socket
from fairbook.demo.maker.desk import REST_MS, Desk
from fairbook.demo.maker.pace import Pace
from fairbook.demo.maker.pulse import Pulse
from fairbook.demo.maker.reconcile import Amend, Cancel, CancelAll, Command
from fairbook.demo.maker.style import DEMO_PLANS, Plan, Style

COMMANDS_PER_S: Final = 15.0
COMMANDS_PER_S_MAX: Final = 20.0
STALE_S: Final = 4.0
WATCH_S: Final = 0.25
UNREADY_MS: Final = 200
NOTHING: Final = Balance("0", "0")
READY_S: Final = 10.0  # how long books may take to be there
END_S: Final = 0.8  # how long a farewell may take
UNKNOWN_TO_THEM: Final = 401  # the status that an unknown, revoked or expired token gets

logger = logging.getLogger(__name__)


class Stale(ClientError):
    """The feed does not tell what must have happened."""


class NotWelcome(Exception):
    """The exchange does not know these credentials: trying again would not help."""


class Bot:
    """Maker and taker of some markets."""

    def __init__(
        self,
        url_http: str,
        url_ws: str,
        tokens: Mapping[str, str],
        *,
        seed: int,
        plans: Sequence[Plan] = DEMO_PLANS,
        commands_per_s: float = COMMANDS_PER_S,
        stale_s: float = STALE_S,
    ) -> None:
        """tokens: bearer tokens of "maker" and "taker", two accounts."""
        if not 0 < commands_per_s <= COMMANDS_PER_S_MAX:
            raise ValueError(f"at most {COMMANDS_PER_S_MAX:.0f} commands a second")
        self.commands = 0
        """How many it has sent."""
        self._urls = url_http, url_ws
        self._tokens = tokens
        self._seed = seed
        self._plans = plans
        self._pace = Pace(commands_per_s)
        self._stale_s = stale_s
        self._desks: dict[str, Desk] = {}
        self._meant: dict[tuple[str, str], int] = {}  # lots that an account means to own
        self._told = ""  # why no markets are made, as the log has it

    async def run(self) -> None:
        """Make markets until cancelled. Raises NotWelcome."""
        url_http, url_ws = self._urls
        connections = Reconnecting(url_ws, backoff=Backoff(random.Random(self._seed)))
        async with (
            Rest(url_http, Token(self._tokens["maker"])) as maker,
            Rest(url_http, Token(self._tokens["taker"])) as taker,
        ):
            async for socket in connections:
                why: Exception | None = None
                try:
                    async with socket:
                        await self._session(socket, maker, taker)
                except* ClientError as errors:
                    why = _first(errors)
                if isinstance(why, RequestRefused) and why.status == UNKNOWN_TO_THEM:
                    raise NotWelcome(str(why))
                if str(why) != self._told:
                    self._told = str(why)
                    logger.warning("not making markets: %s", why)

    async def _session(self, socket: Socket, maker: Rest, taker: Rest) -> None:
        """Everything from login to the end of the connection, which raises."""
        await socket.login(Token(self._tokens["maker"]))
        await socket.cancel_on_disconnect()
        await self._prepare(maker, taker)
        session = Session(self, socket, taker, self._desks)
        await session.listen(maker)
        self._told = ""
        logger.info("making markets: %s", ", ".join(self._desks))
        await session.trade(self._stale_s)

    async def _prepare(self, maker: Rest, taker: Rest) -> None:
        """Bring the desks to what the exchange says."""
        grids = {market.symbol: Grid(market) for market in await maker.markets()}
        owned, takers = await maker.balances(), await taker.balances()
        orders = await maker.open_orders()
        for plan in self._plans:
            grid = grids.get(plan.symbol)
            if grid is None:
                raise RequestRefused(400, "INVALID_MARKET", f"no market {plan.symbol} here")
            desk = self._desks.get(plan.symbol)
            if desk is None:
                style = Style.of(plan, grid)
                chance = random.Random(f"{self._seed} {plan.symbol}")
                desk = Desk(grid, style, reference_ticks=style.anchor_ticks, chance=chance)
                self._desks[plan.symbol] = desk
            leftovers = [order for order in orders if order.symbol == plan.symbol]
            desk.begin(now_ms(), await _last_price(maker, grid), leftovers)
            desk.maker_lots = self.more_lots("maker", grid, owned.get(grid.base, NOTHING))
            desk.taker_lots = self.more_lots("taker", grid, takers.get(grid.base, NOTHING))

    def more_lots(self, who: str, grid: Grid, balance: Balance) -> int:
        """How much more of the base asset the account has than when this bot first looked."""
        lots = grid.lots_in(balance.available) + grid.lots_in(balance.locked)
        return lots - self._meant.setdefault((who, grid.symbol), lots)

    async def turn(self) -> None:
        """Wait until one more command may be sent."""
        wait_s = self._pace.turn(time.monotonic())
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        self.commands += 1


class Trouble:
    """Tells the log what does not go well, once each time that it begins and ends."""

    def __init__(self) -> None:
        self._now: set[str] = set()

    def tell(self, what: str, error: Exception | None) -> None:
        """error: why it did not go well this time; None if it did."""
        if error is not None and what not in self._now:
            self._now.add(what)
            logger.warning("not %s for a while: %s", what, error)
        elif error is None and what in self._now:
            self._now.remove(what)
            logger.info("%s again", what)


class Session:
    """One connection's work."""

    def __init__(self, bot: Bot, socket: Socket, taker: Rest, desks: Mapping[str, Desk]) -> None:
        self._bot = bot
        self._socket = socket
        self._taker = taker
        self._desks = desks
        self._feeds: dict[str, BookFeed] = {}
        self._pulses = {symbol: Pulse() for symbol in desks}
        self._trouble = Trouble()

    async def listen(self, rest: Rest) -> None:
        """Subscribe everything that is to be heard; return when all books are live."""
        await self._socket.subscribe("account.orderUpdate", handler=self._order_updated)
        await self._socket.subscribe("account.balanceUpdate", handler=self._balance_updated)
        for symbol, desk in self._desks.items():
            changed = partial(self._book_changed, self._pulses[symbol])
            feed = BookFeed(self._socket, rest, desk.grid, changed=changed)
            self._feeds[symbol] = feed
            await feed.start()
            beat = partial(self._beat, self._pulses[symbol])
            await self._socket.subscribe(f"kline.1s.{symbol}", handler=beat)
        try:
            async with asyncio.timeout(READY_S):
                for feed in self._feeds.values():
                    await feed.ready()
        except TimeoutError:
            raise Stale(f"no books within {READY_S:.0f} s") from None

    async def trade(self, stale_s: float) -> None:
        """Until the connection ends or the feed is stale: both raise."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(stale_s))
            for desk in self._desks.values():
                group.create_task(self._make(desk))
                if desk.style.take_ms:
                    group.create_task(self._take(desk))

    async def _watch(self, stale_s: float) -> None:
        live_s = dict.fromkeys(self._feeds, time.monotonic())  # when each book was last known
        while not self._socket.ended.is_set():
            now_s = time.monotonic()
            for symbol, pulse in self._pulses.items():
                if pulse.is_stale(now_s, after_s=stale_s):
                    raise Stale(f"nothing heard of {symbol} for {stale_s:.1f} s")
                if self._feeds[symbol].book.is_live:
                    live_s[symbol] = now_s
                elif now_s - live_s[symbol] > stale_s:
                    raise Stale(f"no book of {symbol} for {stale_s:.1f} s")
            try:
                async with asyncio.timeout(WATCH_S):
                    await self._socket.ended.wait()
            except TimeoutError:
                pass
        failure = self._socket.failure()
        if failure is not None:
            raise failure
        raise Disconnected(f"the connection ended ({self._socket.close_code})")

    async def _make(self, desk: Desk) -> None:
        """Plan and send, again and again."""
        symbol = desk.grid.symbol
        book = self._feeds[symbol].book
        while True:
            await _until_ms(desk.plan_ms)
            if not book.is_live:
                desk.plan_ms = now_ms() + UNREADY_MS
                continue
            refusal = await self._send(desk, desk.plan(now_ms(), book))
            self._trouble.tell(f"making {symbol}", refusal)
            if refusal is not None:
                await self._send(desk, desk.withdraw(now_ms()))

    async def _send(self, desk: Desk, commands: Sequence[Command]) -> RequestRefused | None:
        """Send these in their order, many in flight; return a refusal that ends the plan."""
        bad: list[RequestRefused] = []
        async with asyncio.TaskGroup() as group:
            for command in commands:
                await self._bot.turn()
                if bad:
                    break
                group.create_task(self._send_one(desk, command, bad))
        return bad[0] if bad else None

    async def _send_one(self, desk: Desk, command: Command, bad: list[RequestRefused]) -> None:
        try:
            desk.answered(command, await self._executed(desk.grid, command))
        except RequestRefused as refusal:
            if not desk.refused(command, refusal, now_ms()):
                bad.append(refusal)
        else:
            self._pulses[desk.grid.symbol].acted(time.monotonic())

    async def _executed(self, grid: Grid, command: Command) -> Order | list[Order]:
        match command:
            case CancelAll():
                return await self._socket.cancel_all(grid.symbol)
            case Cancel():
                return await self._socket.cancel(grid.symbol, order_id=command.order_id)
            case Amend():
                return await self._socket.amend(
                    grid.symbol,
                    order_id=command.order_id,
                    price=grid.price.text(command.price),
                    quantity=grid.quantity.text(command.total),
                )
        return await self._socket.place(
            NewOrder(
                symbol=grid.symbol,
                side=command.side,
                price=grid.price.text(command.price),
                quantity=grid.quantity.text(command.lots),
                post_only=True,
            )
        )

    async def _take(self, desk: Desk) -> None:
        """Take now and then. If the taker cannot, the maker goes on."""
        grid, book = desk.grid, self._feeds[desk.grid.symbol].book
        while True:
            await _until_ms(desk.take_ms)
            take = desk.take(now_ms(), book) if book.is_live else None
            if take is None:
                desk.take_ms = max(desk.take_ms, now_ms() + UNREADY_MS)
                continue
            await self._bot.turn()
            order = NewOrder(
                symbol=grid.symbol,
                side=take.side,
                price=grid.price.text(take.price),
                quantity=grid.quantity.text(take.lots),
                time_in_force="IOC",
            )
            trouble: ClientError | None = None
            try:
                desk.taken(await self._taker.place(order))
            except ClientError as error:
                if isinstance(error, RequestRefused) and error.status == UNKNOWN_TO_THEM:
                    raise
                trouble = error
                desk.take_ms = now_ms() + REST_MS
            self._trouble.tell(f"taking in {grid.symbol}", trouble)

    def _order_updated(self, update: OrderUpdate) -> None:
        desk = self._desks.get(update.symbol)
        if desk is not None:
            desk.updated(update)

    def _balance_updated(self, update: BalanceUpdate) -> None:
        for desk in self._desks.values():
            if desk.grid.base == update.asset:
                balance = Balance(update.available, update.locked)
                desk.maker_lots = self._bot.more_lots("maker", desk.grid, balance)

    @staticmethod
    def _book_changed(pulse: Pulse, book: LocalBook) -> None:
        pulse.heard(time.monotonic())

    @staticmethod
    def _beat(pulse: Pulse, candle: Any) -> None:
        pulse.beat(time.monotonic())


async def _last_price(rest: Rest, grid: Grid) -> int | None:
    """Where the market is, in ticks; None if nobody knows."""
    try:
        return grid.price.units((await rest.ticker(grid.symbol)).last_price) or None
    except RequestRefused as error:
        logger.info("no ticker of %s: %s", grid.symbol, error)
        return None


async def _until_ms(at_ms: int) -> None:
    wait_ms = at_ms - now_ms()
    if wait_ms > 0:
        await asyncio.sleep(wait_ms / 1000)


def now_ms() -> int:
    """Of the monotonic clock that all plans use."""
    return time.monotonic_ns() // 1_000_000


def _first(group: BaseExceptionGroup[ClientError]) -> ClientError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, ClientError)
    return error


def run(
    url_http: str,
    url_ws: str,
    tokens: Mapping[str, str],
    seed: int,
    *,
    plans: Sequence[Plan] = DEMO_PLANS,
    commands_per_s: float = COMMANDS_PER_S,
    lifeline: int | None = None,
) -> int:
    """The process: until SIGTERM or SIGINT, or the end of the pipe whose descriptor `lifeline` is.

    Returns the exit status: 0, or 1 if the exchange does not know the tokens, or for a bug.
    """
    bot = Bot(url_http, url_ws, tokens, seed=seed, plans=plans, commands_per_s=commands_per_s)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_told(bot, lifeline))
    except NotWelcome as error:
        logger.error("the maker may not trade: %s", error)
        return 1
    except Exception:
        logger.exception("bug")
        return 1
    return 0


async def _until_told(bot: Bot, lifeline: int | None) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if lifeline is not None:

        def look() -> None:
            if not os.read(lifeline, 4096):
                loop.remove_reader(lifeline)
                stop.set()

        loop.add_reader(lifeline, look)
    making = asyncio.create_task(bot.run())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((making, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not making.done():
        making.cancel()
        await asyncio.wait((making,), timeout=END_S)
    if making.done() and not making.cancelled():
        making.result()
