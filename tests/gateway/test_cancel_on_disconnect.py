"""Cancel on disconnect: which orders, when, and logged once."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from fairbook.core import records
from fairbook.core.exchange import Exchange
from fairbook.engine.clock import Clock
from fairbook.engine.local_instance import begin_instance
from fairbook.engine.queries import EngineCatalogue, EngineQueries
from fairbook.engine.runner import Runner
from fairbook.engine.sequencer import Sequencer
from fairbook.gateway.cancel_on_disconnect import (
    RETRY_S,
    SESSION_MAX,
    SessionNumbers,
)
from fairbook.gateway.gateway import Gateway
from fairbook.gateway.ws_orders import ACCOUNTS_MAX
from fairbook.log.command_log import Entry
from fairbook.log.memory_log import MemoryLog
from fairbook.ports.accounts import ALL_PERMISSIONS, Access
from tests.gateway.memory_caller import MemoryCaller, caller, kinds, turns, with_caller
from tests.world import traffic
from tests.world.direct_exchange import small_exchange
from tests.world.http_client import bid
from tests.world.memory_accounts import ALICE, BOB, BOB_TOKEN, MemoryAccounts
from tests.world.running_exchange import NO_LIMITS, RunningExchange

SYMBOL = {"symbol": "SOL_USDC"}


def session_of(command: bytes) -> int:
    return records.read_placed(command).session


@with_caller()
async def test_only_orders_placed_while_it_is_enabled_are_cancelled(
    venue: RunningExchange, alice: MemoryCaller
) -> None:
    """Not earlier ones, later ones, or those of other connections."""
    before = await alice.place(bid("10"))
    await alice.cancel_on_disconnect()
    goes = await alice.place(bid("11"))
    await alice.result("order.amend", SYMBOL | {"orderId": goes["id"], "price": "12"})
    await alice.cancel_on_disconnect(enabled=False)
    after = await alice.place(bid("13"))
    await alice.cancel_on_disconnect()
    await alice.place(bid("14"))
    other = caller(venue)
    await other.cancel_on_disconnect()
    others = await other.place(bid("15"))
    bob = caller(venue, BOB_TOKEN)
    await bob.cancel_on_disconnect()
    await bob.place(bid("16"))

    commands = venue.exchange.record_commands()
    alice.end()
    await turns()
    left = [str(order.order_id) for order in venue.exchange.open_orders(ALICE)]
    assert left == [before["id"], after["id"], others["id"]]
    assert len(venue.exchange.open_orders(BOB)) == 1
    assert kinds(commands) == [records.END_SESSION]
    other.end()
    bob.end()
    left = [str(order.order_id) for order in venue.exchange.open_orders(ALICE)]
    assert left == [before["id"], after["id"]]
    assert not venue.exchange.open_orders(BOB)
    assert len(commands) == 3


@with_caller()
async def test_a_connection_without_such_orders_logs_no_end(
    venue: RunningExchange, alice: MemoryCaller
) -> None:
    """It only enabled the option, or did not, or its order was refused."""
    commands = venue.exchange.record_commands()
    await alice.refusal("order.place", bid("x"))
    only_said = caller(venue)
    await only_said.cancel_on_disconnect()
    await only_said.refusal("order.place", bid("x"))
    for one in (alice, only_said, caller(venue, None)):
        one.end()
    assert commands == []


@with_caller()
async def test_orders_in_flight_when_the_connection_closes_are_cancelled(
    venue: RunningExchange, alice: MemoryCaller
) -> None:
    """END_SESSION is logged after every order of the connection."""
    await alice.cancel_on_disconnect()
    await alice.place(bid("10"))
    venue.exchange.held = []
    for _ in range(5):
        alice.send("order.place", bid("11"))
    alice.end()
    commands = venue.exchange.record_commands()
    venue.exchange.release()
    assert kinds(commands) == [records.PLACE] * 5 + [records.END_SESSION]
    assert not venue.exchange.open_orders(ALICE)
    await turns()


@with_caller()
async def test_an_end_is_tried_again_while_the_queue_is_full(
    venue: RunningExchange, alice: MemoryCaller
) -> None:
    ends = [alice, caller(venue), caller(venue, BOB_TOKEN)]
    for one in ends:
        await one.cancel_on_disconnect()
        await one.place(bid("10"))
    commands = venue.exchange.record_commands()
    venue.exchange.busy = True
    for one in ends:
        one.end()
    await asyncio.sleep(2.5 * RETRY_S)
    assert commands == []
    assert len(venue.exchange.open_orders(ALICE)) == 2
    venue.exchange.busy = False
    await asyncio.sleep(2.5 * RETRY_S)
    assert kinds(commands) == [records.END_SESSION] * 3
    assert not venue.exchange.open_orders(ALICE) and not venue.exchange.open_orders(BOB)


@with_caller()
async def test_an_end_after_the_engine_has_stopped_is_left_to_the_next_process(
    venue: RunningExchange, alice: MemoryCaller
) -> None:
    """Nothing is logged or raised; the next start ends the session."""
    core = venue.exchange.core
    await begin_instance(venue.exchange, core)
    await alice.cancel_on_disconnect()
    await alice.place(bid("10"))
    venue.exchange.stopped = True
    alice.end()
    await turns()
    venue.exchange.stopped = False
    assert len(core.sessions()) == 1
    assert await begin_instance(venue.exchange, core) == 1
    assert not venue.exchange.open_orders(ALICE)


@with_caller()
async def test_one_connection_for_several_accounts(
    venue: RunningExchange, alice: MemoryCaller
) -> None:
    """A new login keeps the setting; an end is logged for each account, up to a limit."""
    await alice.cancel_on_disconnect()
    await alice.place(bid("10"))
    alice.access = venue.gateway.logins.by_token(BOB_TOKEN, address="")
    await alice.place(bid("10"))
    commands = venue.exchange.record_commands()
    for number in range(ACCOUNTS_MAX):
        token = f"token{number}"
        venue.accounts.tokens[token] = Access(100 + number, ALL_PERMISSIONS, digest=b"100")
        alice.access = venue.accounts.tokens[token]
        status, code, _ = await alice.refusal("order.place", bid("10"))
        accepted = number < ACCOUNTS_MAX - 2
        expected = (403, "FORBIDDEN") if accepted else (400, "INVALID_CLIENT_REQUEST")
        assert (status, code) == expected
    alice.end()
    assert not venue.exchange.open_orders(ALICE) and not venue.exchange.open_orders(BOB)
    assert kinds(commands).count(records.END_SESSION) == ACCOUNTS_MAX


def test_session_numbers_are_in_range_and_never_shared() -> None:
    """They start again after the end of the range, and skip numbers in use."""
    exchange = small_exchange()
    sessions = SessionNumbers(exchange, first=SESSION_MAX - 1)
    assert [sessions.begin() for _ in range(4)] == [SESSION_MAX - 1, SESSION_MAX, 1, 2]
    assert SESSION_MAX + 1 == records.GENERATED_SESSION
    again = SessionNumbers(exchange, first=SESSION_MAX)
    assert again.begin() == SESSION_MAX
    for _ in range(3):
        again.begin()
    again.end(2, ())
    again._next = SESSION_MAX
    assert [again.begin() for _ in range(2)] == [2, 4]


async def test_a_number_is_reused_only_after_its_end_was_submitted() -> None:
    exchange = small_exchange()
    sessions = SessionNumbers(exchange)
    first, second = sessions.begin(), sessions.begin()
    exchange.busy = True
    sessions.end(first, {ALICE, BOB})
    sessions.end(second, {ALICE})
    sessions._next = 1
    assert sessions.begin() == 3
    exchange.busy = False
    await asyncio.sleep(2.5 * RETRY_S)
    sessions._next = 1
    assert [sessions.begin(), sessions.begin()] == [first, second]


class SequencedGateway:
    """A gateway with a real sequencer, on a log in memory that outlives both."""

    def __init__(self, log: MemoryLog) -> None:
        self.runner = Runner(Exchange())
        for entry in log.read(1):
            self.runner.apply(entry)
        self.commands = Sequencer(log, self.runner, Clock(), tick_after_s=3600.0)
        self.queries = EngineQueries(self.runner)
        self.accounts = MemoryAccounts()
        self.gateway = Gateway(
            commands=self.commands,
            queries=self.queries,
            catalogue=EngineCatalogue(self.runner.exchange),
            accounts=self.accounts,
            limits=NO_LIMITS,
        )

    def connect(self, account: int) -> MemoryCaller:
        access = self.accounts.tokens.setdefault(
            str(account), Access(account, ALL_PERMISSIONS, digest=b"%d" % account)
        )
        return MemoryCaller(self.gateway.ws_orders, access)


def logged_commands(log: MemoryLog) -> list[bytes]:
    size = records.COMMAND_BYTES
    entries: list[Entry] = list(log.read(1))
    return [e.frame[at : at + size] for e in entries for at in range(0, len(e.frame), size)]


def with_sequenced_gateway(
    story: Callable[[SequencedGateway, MemoryLog], Awaitable[None]], log: MemoryLog
) -> None:
    async def scene() -> None:
        stack = SequencedGateway(log)
        try:
            async with asyncio.timeout(30):
                await story(stack, log)
        finally:
            await stack.commands.stop()

    asyncio.run(scene())


@pytest.mark.parametrize("seed", range(4))
def test_random_orders_on_connections_that_close_at_random(seed: int) -> None:
    """Random orders in flight on connections that end at random moments. Each answer comes in the
    order of the log; at the end only orders that asked for it are gone, and all of those.
    """
    chance = random.Random(seed)

    async def story(stack: SequencedGateway, log: MemoryLog) -> None:
        desks: list[MemoryCaller] = []
        is_on: dict[MemoryCaller, bool] = {}
        for step in range(1500):
            if not desks or (len(desks) < 6 and chance.random() < 0.05):
                one = stack.connect(chance.choice(traffic.USERS))
                desks.append(one)
                is_on[one] = False
            one = chance.choice(desks)
            kind = chance.random()
            if kind < 0.02:
                desks.remove(one)
                one.end()
            elif kind < 0.06:
                is_on[one] = not is_on[one]
                one.send("order.cancelOnDisconnect", {"enabled": is_on[one]})
            elif kind < 0.8:
                price = f"{chance.randrange(90, 110)}"
                side = chance.choice(("Bid", "Ask"))
                one.send("order.place", bid(price, "0.01", side=side, clientId=step))
            else:
                one.send("order.cancel", SYMBOL | {"clientId": chance.randrange(step + 1)})
            if chance.random() < 0.1:
                await asyncio.sleep(chance.choice((0, 0, 0.001)))
        for one in desks:
            one.end()
        await stack.commands.settled()
        await turns()
        assert (
            not stack.gateway.ws_orders._connections
        )  # Nothing is kept of connections that are gone.
        assert not stack.runner.exchange.sessions()
        assert stack.runner.exchange.open_orders(traffic.USERS[0])
        check_ends(logged_commands(log))

    with_sequenced_gateway(story, traffic.logged([b"".join(traffic.setup())]))


def check_ends(commands: list[bytes]) -> None:
    """Each session ends once, after its last order."""
    placed = {
        (records.read_placed(command).account, session_of(command)): at
        for at, command in enumerate(commands)
        if command[0] == records.PLACE and session_of(command)
    }
    assert placed
    ended = [
        (records.read_placed(command).account, session_of(command), at)
        for at, command in enumerate(commands)
        if command[0] == records.END_SESSION
    ]
    assert {(account, session) for account, session, _ in ended} == placed.keys()
    assert len(ended) == len(placed)
    assert all(placed[account, session] < at for account, session, at in ended)
