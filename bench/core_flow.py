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
from dataclasses import dataclass, field
from struct import Struct
from typing import Final, NamedTuple

from fairbook.core import records
from fairbook.core.exchange import Exchange

USERS: Final = 1_000
RESTING: Final = 1_000  # orders a side
MIDDLE: Final = 10_000  # ticks; bids stay below, asks above
DEEPEST: Final = 400  # ticks from the middle
SPREAD_MEAN: Final = 25.0  # ticks from the middle, of a passive order
PASSIVE_LOTS: Final = 99
LOT_ATOMS: Final = 1_000
TICK_ATOMS: Final = 10
MAKER_PPM: Final = 1_000
TAKER_PPM: Final = 2_000
FUNDS: Final = 10**15  # atoms of each asset, each user
FIRST_ACCOUNT: Final = 2
EXPIRED_CLIENT_IDS: Final = 1 << 31
MEMORY_LEVELS: Final = 100  # a side
STEP_NS: Final = 4_000  # log time from one command to the next

BARE: Final = Struct("<BBBBIQqqq")
BARE_PLACE, BARE_CANCEL, BARE_DEPOSIT, BARE_MOVE = 1, 2, 3, 4
BARE_GTC, BARE_IOC, BARE_MARKET = 0, 1, 4


class Mix(NamedTuple):
    """Shares in percent; `takes`: how many resting orders an aggressive one fills on average."""

    name: str
    passive: int
    cancel: int
    crossing: int
    market: int
    ioc: int
    amend: int
    takes: float


W1: Final = Mix("w1", passive=45, cancel=40, crossing=12, market=3, ioc=0, amend=0, takes=1 / 3)
WX: Final = Mix("wx", passive=9, cancel=6, crossing=0, market=0, ioc=3, amend=82, takes=1.0)
MIXES: Final = {"w1": W1, "wx": WX}


class Flow(NamedTuple):
    """The same commands in each dialect, by part: `setup` lists the market, funds the users and
    fills the book; `setup_remembered` does it with client ids, which are remembered then; `steps`
    and `steps_with_ids` are timed; `bare_setup` and `bare_steps` are a bare core's.
    """

    parts: dict[str, bytes]
    fills: int


@dataclass(slots=True)
class OpenOrders:
    """One side's open orders, for picking one at random and removing any."""

    numbers: list[int] = field(default_factory=list)
    places: dict[int, int] = field(default_factory=dict)

    def add(self, number: int) -> None:
        self.places[number] = len(self.numbers)
        self.numbers.append(number)

    def remove(self, number: int) -> None:
        place = self.places.pop(number)
        last = self.numbers.pop()
        if last != number:
            self.numbers[place] = last
            self.places[last] = place


class Generator:
    """Plays one mix. Orders are numbered from 1; a bare core knows them by that number."""

    def __init__(self, mix: Mix, seed: int) -> None:
        self.mix = mix
        self.chance = random.Random(f"{mix.name}/{seed}")
        self.exchange = Exchange()
        self.time_ns = 0
        self.open = (OpenOrders(), OpenOrders())
        self.number = 0
        self.ids: dict[int, int] = {}  # number -> order id
        self.numbers: dict[int, int] = {}  # order id -> number
        self.terms: dict[int, tuple[int, int, int]] = {}  # number -> (user, side, price)
        self.fills = 0
        self.plain: list[bytes] = []
        self.with_ids: list[bytes] = []
        self.bare: list[bytes] = []

    def set_up(self) -> None:
        """List one market, fund the users, and fill the book."""
        for command in listing():
            self._write(command, command, b"")
        for user in range(USERS):
            self._write(records.open_account(user + 1), records.open_account(user + 1), b"")
            for asset in (1, 2):
                command = records.credit(account=FIRST_ACCOUNT + user, asset=asset, atoms=FUNDS)
                # The bare core's market 0 pays with asset 0; ours with asset 2.
                bare = BARE.pack(BARE_DEPOSIT, 0, 0, 0, asset % 2, user, 0, 0, FUNDS)
                self._write(command, command, bare)
        for _ in range(RESTING):
            self._passive(records.BID)
            self._passive(records.ASK)

    def remember(self, orders_each: int) -> None:
        """Let each user send so many orders that expire at once, as many as may be remembered."""
        for number in range(orders_each * USERS):
            account, client_id = FIRST_ACCOUNT + number % USERS, EXPIRED_CLIENT_IDS + number
            self._write(*_place(account, records.BID, 1, 1, records.IOC, client_id), b"")

    def step(self) -> None:
        """One command, by the shares of the mix."""
        mix = self.mix
        draw = self.chance.randrange(100)
        for share, play in (
            (mix.passive, self._passive),
            (mix.cancel, self._cancel),
            (mix.crossing, self._crossing),
            (mix.market, self._market),
            (mix.ioc, self._ioc),
            (mix.amend, self._amend),
        ):
            if draw < share:
                play(self.chance.randrange(2))
                return
            draw -= share
        raise AssertionError(f"the shares of {mix.name} are not 100")

    def _passive(self, side: int) -> None:
        self._place(side, self._passive_price(side), self.chance.randint(1, PASSIVE_LOTS))

    def _crossing(self, side: int) -> None:
        self._place(side, self._crossing_price(side), self._taken_lots(side))

    def _ioc(self, side: int) -> None:
        self._place(side, self._crossing_price(side), self._taken_lots(side), tif=records.IOC)

    def _market(self, side: int) -> None:
        self._place(side, 0, self._taken_lots(side), tif=records.IOC)

    def _passive_price(self, side: int) -> int:
        away = 1 + min(DEEPEST - 1, int(self.chance.expovariate(1 / SPREAD_MEAN)))
        return MIDDLE - away if side == records.BID else MIDDLE + away

    def _crossing_price(self, side: int) -> int:
        return MIDDLE + DEEPEST if side == records.BID else MIDDLE - DEEPEST

    def _taken_lots(self, side: int) -> int:
        """Lots of an aggressive order: its mean follows the number of orders on the other side."""
        fullness = len(self.open[1 - side].numbers) / RESTING
        mean = self.mix.takes * (PASSIVE_LOTS + 1) / 2 * fullness**4
        return self.chance.randint(1, max(1, int(2 * mean) - 1))

    def _user(self, side: int) -> int:
        return self.chance.randrange(USERS // 2) * 2 + side

    def _place(self, side: int, price: int, lots: int, *, tif: int = records.GTC) -> None:
        self.number += 1
        number, user = self.number, self._user(side)
        bare_tif = BARE_MARKET if not price else BARE_IOC if tif else BARE_GTC
        self.terms[number] = (user, side, price)
        self._write(
            *_place(FIRST_ACCOUNT + user, side, price, lots, tif, number),
            BARE.pack(BARE_PLACE, side, bare_tif, 0, 0, user, number, price, lots),
            number=number,
        )

    def _pick(self, side: int) -> int | None:
        numbers = self.open[side].numbers
        return self.chance.choice(numbers) if numbers else None

    def _cancel(self, side: int) -> None:
        number = self._pick(side)
        if number is None:
            self._passive(side)
            return
        user = self.terms[number][0]
        command = records.cancel(account=FIRST_ACCOUNT + user, order_id=self.ids[number], market=1)
        self._write(command, command, BARE.pack(BARE_CANCEL, 0, 0, 0, 0, user, number, 0, 0))

    def _amend(self, side: int) -> None:
        number = self._pick(side)
        if number is None:
            self._passive(side)
            return
        user, _, old = self.terms[number]
        price = self._passive_price(side)
        while price == old:
            price = self._passive_price(side)
        self.terms[number] = (user, side, price)
        command = records.amend(
            account=FIRST_ACCOUNT + user, order_id=self.ids[number], market=1, price=price
        )
        self._write(command, command, BARE.pack(BARE_MOVE, 0, 0, 0, 0, user, number, price, 0))

    def _write(self, plain: bytes, with_ids: bytes, bare: bytes, *, number: int = 0) -> None:
        self.time_ns += STEP_NS
        events = self.exchange.apply(plain, self.time_ns)
        outcome = records.read_outcome(events)
        if outcome.status == records.REJECTED:
            raise AssertionError(f"the flow was refused: reason {outcome.reason}")
        for closed in records.order_records(events):
            if closed.kind == records.CLOSED and closed.order_id in self.numbers:
                self.open[closed.side].remove(self.numbers.pop(closed.order_id))
        if outcome.status in (records.NEW, records.PARTIALLY_FILLED) and number:
            self.ids[number] = outcome.order_id
            self.numbers[outcome.order_id] = number
            self.open[self.terms[number][1]].add(number)
        self.fills += count_fills(events)
        self.plain.append(plain)
        self.with_ids.append(with_ids)
        self.bare.append(bare)


def _place(
    account: int, side: int, price: int, lots: int, tif: int, client_id: int
) -> tuple[bytes, bytes]:
    """The command without and with the client id. price: 0 for a market order."""
    terms = {
        "account": account,
        "market": 1,
        "side": side,
        "quantity": lots,
        "price": price,
        "tif": tif,
    }
    flags = 0 if price else records.MARKET_ORDER
    return (
        records.place(**terms, flags=flags),
        records.place(**terms, flags=flags | records.HAS_CLIENT_ID, client_id=client_id),
    )


def listing() -> list[bytes]:
    """The commands that open one market: assets 1 (base) and 2 (quote), no decimals to speak of."""
    commands = [
        records.rules(),
        records.list_asset(asset=1, decimals=6, name="BASE"),
        records.list_asset(asset=2, decimals=6, name="QUOTE"),
        records.list_market(
            market=1, base=1, quote=2, lot_atoms=LOT_ATOMS, tick_atoms=TICK_ATOMS, name="BASE_QUOTE"
        ),
    ]
    for parameter, value in (
        (records.MAKER_FEE_PPM, MAKER_PPM),
        (records.TAKER_FEE_PPM, TAKER_PPM),
        (records.STATE, records.OPEN),
    ):
        commands.append(records.set_market(market=1, parameter=parameter, value=value))
    return commands


def count_fills(events: bytes) -> int:
    """How many FILL events there are."""
    count, at = 0, 0
    while at < len(events):
        count += records.kind_at(events, at) == records.FILL
        at = records.next_at(events, at)
    return count


def generate(mix: Mix, *, seed: int, count: int, remembered: int) -> Flow:
    """The flow of `count` timed commands of `mix`, after `remembered` orders of each user."""
    generator = Generator(mix, seed)
    generator.set_up()
    generator.remember(remembered)
    split = len(generator.plain)
    generator.fills = 0
    for _ in range(count):
        generator.step()
    parts = {
        "setup": generator.plain[:split],
        "setup_remembered": generator.with_ids[:split],
        "steps": generator.plain[split:],
        "steps_with_ids": generator.with_ids[split:],
        "bare_setup": generator.bare[:split],
        "bare_steps": generator.bare[split:],
    }
    return Flow({name: b"".join(part) for name, part in parts.items()}, generator.fills)


def resting(count: int, *, bare: bool) -> bytes:
    """Orders that rest behind those of the setup and never meet, for measuring memory."""
    return b"".join(_resting(number, bare=bare) for number in range(1, count + 1))


def _resting(number: int, *, bare: bool) -> bytes:
    side = number & 1
    away = 1 + DEEPEST + number // 2 % MEMORY_LEVELS
    price = MIDDLE - away if side == records.BID else MIDDLE + away
    user = number % USERS
    if bare:
        # Numbers beyond those of the setup's orders.
        return BARE.pack(BARE_PLACE, side, BARE_GTC, 0, 0, user, (1 << 32) + number, price, 1)
    return records.place(account=FIRST_ACCOUNT + user, market=1, side=side, quantity=1, price=price)
