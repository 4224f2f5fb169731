"""The real core behind the gateway's ports, without a log: a submitted command is applied at once.

Set `held` to a list to delay commands until `release`; `busy` and `stopped` refuse them.
"""

import asyncio
import time
from collections.abc import Callable

from fairbook.core import admin_records, records
from fairbook.core.exchange import Exchange
from fairbook.core.records import OrderRecord
from fairbook.demo.demo_venue import demo_venue
from fairbook.engine.queries import EngineCatalogue, EngineView
from fairbook.ports.commands import Answer, Busy, Stopped, Waiter
from fairbook.venue.first_state import steps
from tests.world.markets import BTC, SOL, USDC, open_accounts, two_markets
from tests.world.memory_accounts import ALICE, BOB

MS = 1_000_000
START_NS = 1_800_000_000_000 * MS


class DirectExchange(EngineView, EngineCatalogue):
    """Commands, Queries, StateView and Catalogue in one."""

    def __init__(self, now_ns: Callable[[], int] | None = None) -> None:
        """now_ns: the clock of log time; by default each command comes a millisecond later."""
        self.core = Exchange()
        EngineView.__init__(self, self.core)
        EngineCatalogue.__init__(self, self.core)
        self.position = 0
        self.now_ns = now_ns
        self.time_ns = START_NS if now_ns is None else 0
        self.busy = False
        self.stopped = False
        self.held: list[tuple[bytes, Waiter]] | None = None
        self.barriers: list[asyncio.Future[int]] = []
        self.submitted = asyncio.Event()  # set whenever something is held
        self.received: list[tuple[float, bytes]] = []
        """(seconds by the loop, command) of each that was submitted."""
        self.applied: list[bytes] = []
        self.answers: list[Answer] = []
        """Of each applied command."""
        self.publish: Callable[[int, int, bytes, bytes], None] = lambda *_: None
        """Called with position, time, frame and events of each command."""

    @property
    def is_live(self) -> bool:
        return self.now_ns is not None

    def apply(self, command: bytes) -> Answer:
        self.position += 1
        self.time_ns = (
            self.time_ns + MS if self.now_ns is None else max(self.time_ns, self.now_ns())
        )
        events = self.core.apply(command, self.time_ns)
        (of_command,) = records.split(events)
        answer = Answer(self.position, self.time_ns, of_command)
        self.applied.append(command)
        self.answers.append(answer)
        self.publish(self.position, self.time_ns, command, events)
        return answer

    def record_commands(self) -> list[bytes]:
        """The list to which each command is appended from now on."""
        self.applied = []
        return self.applied

    def do(self, *commands: bytes) -> None:
        """Set something up: every command must be accepted."""
        for command in commands:
            outcome = records.read_outcome(self.apply(command).events)
            assert outcome.status != records.REJECTED, f"reject {outcome.reason}"

    # Commands.

    def enqueue(self, command: bytes, waiter: Waiter) -> None:
        self.received.append((asyncio.get_running_loop().time(), command))
        if self.stopped:
            raise Stopped("stopped")
        if self.busy:
            raise Busy("busy")
        if self.held is None:
            asyncio.get_running_loop().call_soon(_answer, waiter, self.apply(command))
        else:
            self.held.append((command, waiter))
            self.submitted.set()

    def submit(self, command: bytes) -> asyncio.Future[Answer]:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.enqueue(command, future)
        return future

    def release(self) -> None:
        """Apply the held commands in order, and answer those that are still awaited."""
        held, self.held = self.held or [], None
        for command, waiter in held:
            _answer(waiter, self.apply(command))
        for barrier in self.barriers:
            if not barrier.done():
                barrier.set_result(self.position)

    def settled(self) -> asyncio.Future[int]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if self.held:
            self.barriers.append(future)
        else:
            future.set_result(self.position)
        return future

    # Queries and View.

    async def at(self, position: int) -> "DirectExchange":
        assert position <= self.position
        if self.stopped:
            raise Stopped("stopped")
        return self

    def text_of(self, order: OrderRecord) -> str | None:
        return self.core.text_of(order)


def _answer(waiter: Waiter, answer: Answer) -> None:
    if not waiter.done():
        waiter.set_result(answer)


ATOMS = {SOL: 1000 * 10**9, USDC: 1000 * 10**6, BTC: 1000 * 10**8}


def small_exchange() -> DirectExchange:
    """`two_markets`; Alice and Bob own 1000 of each asset."""
    exchange = DirectExchange()
    list_and_fund(exchange)
    return exchange


def list_and_fund(exchange: DirectExchange) -> None:
    exchange.do(*two_markets(), *open_accounts({1: ALICE, 2: BOB}, ATOMS))


def live_exchange() -> DirectExchange:
    """As `small_exchange`, by the system clock."""
    exchange = DirectExchange(time.time_ns)
    list_and_fund(exchange)
    return exchange


def demo_exchange(now_ns: Callable[[], int] = time.time_ns) -> DirectExchange:
    """The demo's assets, markets and accounts by a clock, without orders; ALICE and BOB own what
    demo1 and demo2 do.
    """
    exchange = DirectExchange(now_ns)
    exchange.do(admin_records.rules())
    for step in steps(demo_venue(), exchange.core, is_complete=False):
        exchange.do(*[change.command for change in step])
    assert (ALICE, BOB) == (2, 3)
    return exchange
