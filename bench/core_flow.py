"""Streams of commands for measuring cores: one flow, written in two dialects.

Design: a generator plays a mix against a core of its own, so that it knows which orders are open
and which ids they got. It writes each step as the 48 bytes of docs/reference/protocol.md (with and
without client ids) and as the 40 bytes of a bare core, whose command is `op u8, side u8, tif u8, 0
u8, market u32, user u64, order u64, price i64, quantity i64`.

Invariants:
- a seed gives the same flow;
- bids come from one half of the users and asks from the other, so that self-trade prevention, which
  a bare core lacks, never acts;
- about `RESTING` orders rest on each side: the more there are, the more an aggressive order takes.
"""

import random
from dataclasses import dataclass
from struct import Struct
from typing import Final, NamedTuple

from bench.history import FUNDS, MIDDLE, USERS, History
from fairbook.core import records
from fairbook.core.exchange import Exchange

RESTING: Final = 1_000  # orders a side
DEEPEST: Final = 400  # ticks from the middle
SPREAD_MEAN: Final = 25.0  # ticks from the middle, of a passive order
PASSIVE_LOTS: Final = 99
MEMORY_LEVELS: Final = 100  # a side
MAKER_PPM: Final = 1_000
TAKER_PPM: Final = 2_000
FIRST_ACCOUNT: Final = 2
EXPIRED_CLIENT_IDS: Final = 1 << 31
STEP_NS: Final = 4_000  # log time from one command to the next

BARE: Final = Struct("<BBBBIQqqq")
BARE_PLACE, BARE_CANCEL, BARE_DEPOSIT, BARE_MOVE = 1, 2, 3, 4
BARE_GTC, BARE_IOC, BARE_MARKET = 0, 1, 4


class Shares(NamedTuple):
    """A mix. takes: how many resting orders an aggressive one fills on average; the rest in
    percent.
    """

    takes: float
    passive: int
    cancel: int
    crossing: int = 0
    market: int = 0
    ioc: int = 0
    amend: int = 0


MIXES: Final = {
    "w1": Shares(1 / 3, passive=45, cancel=40, crossing=12, market=3),
    "wx": Shares(1.0, passive=9, cancel=6, ioc=3, amend=82),
}


class Flow(NamedTuple):
    """The same commands in each dialect, by part: `setup` lists the market, funds the users and
    fills the book; `setup_remembered` does it with client ids, which are remembered then; `steps`
    and `steps_with_ids` are timed; `bare_setup` and `bare_steps` are a bare core's.
    """

    parts: dict[str, bytes]
    fills: int


@dataclass(slots=True, eq=False)
class FlowOrder:
    """A bare core knows it by its number. index: among the open orders of its side."""

    number: int
    user: int
    side: int
    price: int
    order_id: int = 0
    index: int = 0


class Generator:
    """Plays one mix."""

    def __init__(self, shares: Shares, seed: str) -> None:
        self.fills = 0
        self.plain: list[bytes] = []
        self.with_ids: list[bytes] = []
        self.bare: list[bytes] = []
        self._takes = shares.takes
        self._kinds = shares._fields[1:]
        self._shares = [int(share) for share in shares[1:]]
        self._random = random.Random(seed)
        self._exchange = Exchange()
        self._time_ns = 0
        self._number = 0
        self._open: tuple[list[FlowOrder], list[FlowOrder]] = ([], [])
        self._by_id: dict[int, FlowOrder] = {}

    def set_up(self) -> None:
        """List one market, fund the users, and fill the book."""
        fees = {records.MAKER_FEE_PPM: MAKER_PPM, records.TAKER_FEE_PPM: TAKER_PPM}
        setting = (records.set_market(market=1, parameter=fee, value=fees[fee]) for fee in fees)
        for command in (*History().listing(), *setting):
            self._write(command, command, b"")
        for user in range(USERS):
            for asset in (0, 1):  # The bare core's market 0 pays with asset 0; ours with asset 2.
                self.bare.append(BARE.pack(BARE_DEPOSIT, 0, 0, 0, asset, user, 0, 0, FUNDS))
        for _ in range(RESTING):
            self._passive(records.BID)
            self._passive(records.ASK)

    def remember(self, orders_each: int) -> None:
        """Let each user send so many orders that expire at once, as many as may be remembered."""
        for number in range(orders_each * USERS):
            client_id = EXPIRED_CLIENT_IDS + number
            self._write(*placed(number % USERS, records.BID, 1, 1, records.IOC, client_id), b"")

    def step(self) -> None:
        """One command, by the shares of the mix."""
        side = self._random.randrange(2)
        away = DEEPEST if side == records.BID else -DEEPEST
        match self._random.choices(self._kinds, self._shares)[0]:
            case "cancel":
                self._cancel(side)
            case "amend":
                self._amend(side)
            case "crossing":
                self._place(side, MIDDLE + away, self._taken_lots(side))
            case "ioc":
                self._place(side, MIDDLE + away, self._taken_lots(side), records.IOC)
            case "market":
                self._place(side, 0, self._taken_lots(side), records.IOC)
            case _:
                self._passive(side)

    def _passive(self, side: int) -> None:
        self._place(side, self._passive_price(side), self._random.randint(1, PASSIVE_LOTS))

    def _passive_price(self, side: int) -> int:
        away = 1 + min(DEEPEST - 1, int(self._random.expovariate(1 / SPREAD_MEAN)))
        return MIDDLE - away if side == records.BID else MIDDLE + away

    def _taken_lots(self, side: int) -> int:
        """Of an aggressive order: the mean follows the number of orders on the other side."""
        fullness = len(self._open[1 - side]) / RESTING
        mean = self._takes * (PASSIVE_LOTS + 1) / 2 * fullness**4
        return self._random.randint(1, max(1, int(2 * mean) - 1))

    def _place(self, side: int, price: int, lots: int, tif: int = records.GTC) -> None:
        self._number += 1
        number, user = self._number, self._random.randrange(USERS // 2) * 2 + side
        bare_tif = BARE_MARKET if not price else BARE_IOC if tif else BARE_GTC
        bare = BARE.pack(BARE_PLACE, side, bare_tif, 0, 0, user, number, price, lots)
        order = FlowOrder(number, user, side, price)
        self._write(*placed(user, side, price, lots, tif, number), bare, order)

    def _cancel(self, side: int) -> None:
        if not self._open[side]:
            return self._passive(side)
        order = self._random.choice(self._open[side])
        account = FIRST_ACCOUNT + order.user
        command = records.cancel(account=account, order_id=order.order_id, market=1)
        bare = BARE.pack(BARE_CANCEL, 0, 0, 0, 0, order.user, order.number, 0, 0)
        self._write(command, command, bare)

    def _amend(self, side: int) -> None:
        if not self._open[side]:
            return self._passive(side)
        order = self._random.choice(self._open[side])
        old = order.price
        while order.price == old:
            order.price = self._passive_price(side)
        account, price = FIRST_ACCOUNT + order.user, order.price
        command = records.amend(account=account, order_id=order.order_id, market=1, price=price)
        bare = BARE.pack(BARE_MOVE, 0, 0, 0, 0, order.user, order.number, price, 0)
        self._write(command, command, bare)

    def _write(
        self, plain: bytes, with_ids: bytes, bare: bytes, order: FlowOrder | None = None
    ) -> None:
        """Write a step, apply it, and keep the open orders. order: the one that it places."""
        self._time_ns += STEP_NS
        events = self._exchange.apply(plain, self._time_ns)
        outcome = records.read_outcome(events)
        if outcome.status == records.REJECTED:
            raise AssertionError(f"the flow was refused: reason {outcome.reason}")
        for closed in records.order_records(events):
            if closed.kind == records.CLOSED and closed.order_id in self._by_id:
                gone = self._by_id.pop(closed.order_id)
                last = self._open[gone.side].pop()
                if last is not gone:
                    self._open[gone.side][gone.index] = last
                    last.index = gone.index
        if order is not None and outcome.status in (records.NEW, records.PARTIALLY_FILLED):
            order.order_id, order.index = outcome.order_id, len(self._open[order.side])
            self._by_id[order.order_id] = order
            self._open[order.side].append(order)
        at = 0
        while at < len(events):
            self.fills += records.kind_at(events, at) == records.FILL
            at = records.next_at(events, at)
        self.plain.append(plain)
        self.with_ids.append(with_ids)
        self.bare.append(bare)


def placed(
    user: int, side: int, price: int, lots: int, tif: int, client_id: int
) -> tuple[bytes, bytes]:
    """The command without and with the client id. price: 0 for a market order."""
    account, flags = FIRST_ACCOUNT + user, 0 if price else records.MARKET_ORDER
    terms = {"account": account, "market": 1, "side": side, "quantity": lots, "price": price}
    return (
        records.place(**terms, tif=tif, flags=flags),
        records.place(**terms, tif=tif, flags=flags | records.HAS_CLIENT_ID, client_id=client_id),
    )


def generate(name: str, *, seed: int, count: int, remembered: int) -> Flow:
    """The flow of `count` timed commands of a mix, after `remembered` orders of each user."""
    generator = Generator(MIXES[name], f"{name}/{seed}")
    generator.set_up()
    generator.remember(remembered)
    split = len(generator.plain)
    generator.fills = 0
    for _ in range(count):
        generator.step()
    plain, with_ids, bare = generator.plain, generator.with_ids, generator.bare
    parts = {
        "setup": plain[:split],
        "setup_remembered": with_ids[:split],
        "steps": plain[split:],
        "steps_with_ids": with_ids[split:],
        "bare_setup": bare[:split],
        "bare_steps": bare[split:],
    }
    return Flow({part: b"".join(commands) for part, commands in parts.items()}, generator.fills)


def resting(count: int, *, bare: bool) -> bytes:
    """Orders that rest behind those of the setup and never meet, for measuring memory."""
    orders = []
    for number in range(1, count + 1):
        side, user = number & 1, number % USERS
        away = 1 + DEEPEST + number // 2 % MEMORY_LEVELS
        price = MIDDLE - away if side == records.BID else MIDDLE + away
        if bare:  # Numbers beyond those of the setup's orders.
            order = BARE_PLACE, side, BARE_GTC, 0, 0, user, (1 << 32) + number, price, 1
            orders.append(BARE.pack(*order))
        else:
            orders.append(placed(user, side, price, 1, records.GTC, 0)[0])
    return b"".join(orders)
