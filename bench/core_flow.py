"""Streams of commands for measuring cores: one flow, written in three dialects.

Design: a generator plays a mix against a core of its own, so that it knows which orders are open
and which ids they got. It writes each step as the 48 bytes of docs/reference/protocol.md, without
and with client ids, and as the 40 bytes of a bare core, whose command is `op u8, side u8, tif u8, 0
u8, market u32, user u64, order u64, price i64, quantity i64`.

Invariants:
- bids come from one half of the users and asks from the other, so that self-trade prevention, which
  a bare core lacks, never acts;
- about `RESTING` orders rest on each side: the more there are, the more an aggressive order takes.
"""

import random
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from struct import Struct
from typing import Any, Final

from bench.core_worker import STEP_NS
from bench.history import FUNDS, MIDDLE, USERS, History
from bench.runs import SEED
from fairbook.core import admin_records, records
from fairbook.core.exchange import Exchange

PLAIN, WITH_IDS, BARE = "plain", "with_ids", "bare"
RESTING: Final = 1_000  # orders a side
DEEPEST: Final = 400  # ticks from the middle
SPREAD_MEAN: Final = 25.0  # ticks from the middle, of a passive order
PASSIVE_LOTS: Final = 99
MEMORY_LEVELS: Final = 100  # a side
FEES_PPM: Final = {admin_records.MAKER_FEE_PPM: 1_000, admin_records.TAKER_FEE_PPM: 2_000}
FIRST_ACCOUNT: Final = 2
EXPIRED_CLIENT_IDS: Final = 1 << 31

BARE_COMMAND: Final = Struct("<BBBBIQqqq")
BARE_PLACE, BARE_CANCEL, BARE_DEPOSIT, BARE_MOVE = 1, 2, 3, 4
BARE_GTC, BARE_IOC, BARE_MARKET = 0, 1, 4

# How many resting orders an aggressive one fills on average; kinds of commands in percent.
MIXES: Final = {
    "w1": (1 / 3, {"passive": 45, "cancel": 40, "crossing": 12, "market": 3}),
    "wx": (1.0, {"passive": 9, "cancel": 6, "ioc": 3, "amend": 82}),
}


@dataclass(slots=True, eq=False)
class FlowOrder:
    """A bare core knows it by its number."""

    number: int
    user: int
    price: int
    order_id: int = 0


class Generator:
    """Plays one mix."""

    def __init__(self, mix: str) -> None:
        self.fills = 0
        self.commands: dict[str, list[bytes]] = {PLAIN: [], WITH_IDS: [], BARE: []}
        self._takes, self._shares = MIXES[mix]
        self._random = random.Random(f"{mix}/{SEED}")
        self._exchange = Exchange()
        self._time_ns = 0
        self._number = 0
        self._open: tuple[dict[int, FlowOrder], dict[int, FlowOrder]] = ({}, {})

    def set_up(self, remembered: int) -> None:
        """List one market, fund the users, and fill the book. Then each user sends `remembered`
        orders that expire at once.
        """
        fees = (
            admin_records.set_market(market=1, parameter=of, value=FEES_PPM[of]) for of in FEES_PPM
        )
        for command in (*History().listing(), *fees):
            self._write(command, command, b"")
        for user in range(USERS):
            for asset in (0, 1):  # The bare core's market 0 pays with asset 0; ours with asset 2.
                deposit = BARE_DEPOSIT, 0, 0, 0, asset, user, 0, 0, FUNDS
                self.commands[BARE].append(BARE_COMMAND.pack(*deposit))
        for number in range(2 * RESTING):
            self._passive(number % 2)
        for number in range(remembered * USERS):
            client_id = EXPIRED_CLIENT_IDS + number
            self._write(*placed(number % USERS, records.BID, 1, 1, records.IOC, client_id), b"")

    def step(self) -> None:
        """One command, by the shares of the mix."""
        side = self._random.randrange(2)
        crossing = MIDDLE + DEEPEST if side == records.BID else MIDDLE - DEEPEST
        match self._random.choices(list(self._shares), list(self._shares.values()))[0]:
            case "cancel" if self._open[side]:
                self._cancel(self._any_open(side))
            case "amend" if self._open[side]:
                self._amend(self._any_open(side), side)
            case "crossing":
                self._place(side, crossing, self._taken_lots(side))
            case "ioc":
                self._place(side, crossing, self._taken_lots(side), records.IOC)
            case "market":
                self._place(side, 0, self._taken_lots(side), records.IOC)
            case _:
                self._passive(side)

    def _any_open(self, side: int) -> FlowOrder:
        orders = self._open[side]
        return next(islice(orders.values(), self._random.randrange(len(orders)), None))

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
        bare = BARE_COMMAND.pack(BARE_PLACE, side, bare_tif, 0, 0, user, number, price, lots)
        outcome = self._write(*placed(user, side, price, lots, tif, number), bare)
        if outcome.status in (records.NEW, records.PARTIALLY_FILLED):
            order = FlowOrder(number, user, price, outcome.order_id)
            self._open[side][order.order_id] = order

    def _cancel(self, order: FlowOrder) -> None:
        account = FIRST_ACCOUNT + order.user
        command = records.cancel(account=account, order_id=order.order_id, market=1)
        bare = BARE_COMMAND.pack(BARE_CANCEL, 0, 0, 0, 0, order.user, order.number, 0, 0)
        self._write(command, command, bare)

    def _amend(self, order: FlowOrder, side: int) -> None:
        old = order.price
        while order.price == old:
            order.price = self._passive_price(side)
        account, price = FIRST_ACCOUNT + order.user, order.price
        command = records.amend(account=account, order_id=order.order_id, market=1, price=price)
        bare = BARE_COMMAND.pack(BARE_MOVE, 0, 0, 0, 0, order.user, order.number, price, 0)
        self._write(command, command, bare)

    def _write(self, plain: bytes, with_ids: bytes, bare: bytes) -> records.Outcome:
        """Write a step, apply it, and forget the orders that it closed."""
        self._time_ns += STEP_NS
        events = self._exchange.apply(plain, self._time_ns)
        outcome = records.read_outcome(events)
        if outcome.status == records.REJECTED:
            raise AssertionError(f"the flow was refused: reason {outcome.reason}")
        for closed in records.order_records(events):
            if closed.kind == records.CLOSED:
                for orders in self._open:
                    orders.pop(closed.order_id, None)
        at = 0
        while at < len(events):
            self.fills += records.kind_at(events, at) == records.FILL
            at = records.next_at(events, at)
        for commands, command in zip(self.commands.values(), (plain, with_ids, bare), strict=True):
            commands.append(command)
        return outcome


def placed(
    user: int, side: int, price: int, lots: int, tif: int, client_id: int
) -> tuple[bytes, bytes]:
    """The command without and with the client id. price: 0 for a market order."""
    account, flags = FIRST_ACCOUNT + user, 0 if price else records.MARKET_ORDER
    terms: dict[str, Any] = {
        "account": account,
        "market": 1,
        "side": side,
        "quantity": lots,
        "price": price,
    }
    return (
        records.place(**terms, tif=tif, flags=flags),
        records.place(**terms, tif=tif, flags=flags | records.HAS_CLIENT_ID, client_id=client_id),
    )


def write(place: str, mix: str, *, count: int, remembered: int) -> float:
    """Write `count` timed commands and what precedes them into the files PLACE-DIALECT-steps and
    PLACE-DIALECT-setup. Return the fills of a timed command.
    """
    generator = Generator(mix)
    generator.set_up(remembered)
    _flush(generator, f"{place}-{{}}-setup")
    generator.fills = 0
    for _ in range(count):
        generator.step()
    _flush(generator, f"{place}-{{}}-steps")
    return generator.fills / count


def _flush(generator: Generator, path: str) -> None:
    for dialect, commands in generator.commands.items():
        Path(path.format(dialect)).write_bytes(b"".join(commands))
        commands.clear()


def resting(count: int, *, bare: bool) -> bytes:
    """Orders that rest behind those of the setup and never meet, for measuring memory."""
    orders = []
    for number in range(1, count + 1):
        side, user = number & 1, number % USERS
        away = 1 + DEEPEST + number // 2 % MEMORY_LEVELS
        price = MIDDLE - away if side == records.BID else MIDDLE + away
        if bare:  # Numbers beyond those of the setup's orders.
            order = BARE_PLACE, side, BARE_GTC, 0, 0, user, (1 << 32) + number, price, 1
            orders.append(BARE_COMMAND.pack(*order))
        else:
            orders.append(placed(user, side, price, 1, records.GTC, 0)[0])
    return b"".join(orders)
