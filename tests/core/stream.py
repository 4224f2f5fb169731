"""Streams of colliding commands: few accounts, few assets, few prices, and every bound.

Design: a `Stream` makes frames and calls `pick(n)`, a number in 0..n-1, for each choice. hypothesis
or a seeded generator provides the numbers, so that one mix serves short examples that shrink, the
long run against the oracle, and the golden log. Order ids to cancel and amend come from earlier
events. 0 is always the simplest choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from fairbook.core import records
from tests.core import wire
from tests.core.wire import Kind

T = TypeVar("T")

SECOND = 10**9
START_NS = 1_700_000_000 * SECOND
FIRST, LAST = 2, 6  # the accounts that are opened at the start
POOR = 6  # has just enough for an order, or just not
EXTREMES = (0, 1, 2**40, 2**40 + 1, 2**62, 2**62 + 1, 2**63 - 1, -1, -(2**63))
WIDE = 3  # the market whose lots and ticks are large: its orders reach the bounds
SET_VALUES = {  # per parameter of a market: what it is set to; the first one heals
    records.STATE: (0, 1, 2, 3, 4, 5),
    records.MAKER_FEE_PPM: (0, 1_000, 200_000, 999_999, 1_000_000, -1),
    records.TAKER_FEE_PPM: (0, 2_500, 333_333, 999_999, 1_000_000),
    records.PRICE_MIN: (1, 98, 0, 2**40 + 1),
    records.PRICE_MAX: (2**40, 104, 2**40 + 1, 0),
    records.QUANTITY_MIN: (1, 2, 0),
    records.QUANTITY_MAX: (2**40, 7, 2**40 + 1),
    records.BAND_PPM: (0, 10_000, 25_000, 1_000_000, 1_000_001),
    records.LEVELS_MAX: (100_000, 2, 3, 0, 2**20 + 1),
    10: (0,),
}
EXCHANGE_VALUES = {
    records.STATE: (0, 1, 2),
    records.ORDERS_MAX: (20, 1, 3, 0, 2**20 + 1),
    records.ACCOUNTS_MAX: (8, 7, 1, 2**31),
    4: (0,),
}
MIX = (
    (Kind.PLACE, 58),
    (Kind.CANCEL, 8),
    (Kind.AMEND, 12),
    (Kind.CREDIT, 5),
    (Kind.DEBIT, 2),
    (Kind.SET_MARKET, 4),
    (Kind.SET_ACCOUNT, 2),
    (Kind.SET_EXCHANGE, 2),
    (Kind.SET_ASSET, 1),
    (Kind.CANCEL_ALL, 1),
    (Kind.END_SESSION, 1),
    (Kind.OPEN_ACCOUNT, 1),
    (Kind.LIST_ASSET, 1),
    (Kind.LIST_MARKET, 1),
    (Kind.TICK, 1),
)
KINDS = [kind for kind, weight in MIX for _ in range(weight)]


class SplitMix64:
    """Numbers from a seed, equal in every version of Python."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def pick(self, count: int) -> int:
        """0..count-1."""
        mask = 2**64 - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        mixed = self.state
        mixed = ((mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9) & mask
        mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & mask
        return (mixed ^ mixed >> 31) % count


def opening() -> bytes:
    """The first frame of every stream: rules, three assets, three open markets, funds."""
    commands = [
        records.rules(),
        records.list_asset(asset=1, decimals=3, name="AAA"),
        records.list_asset(asset=2, decimals=2, name="BBB"),
        records.list_asset(asset=3, decimals=0, name="CCC"),
        records.list_market(market=1, base=1, quote=2, lot_atoms=10, tick_atoms=3, name="AAA_BBB"),
        records.list_market(market=2, base=2, quote=3, lot_atoms=1, tick_atoms=1, name="BBB_CCC"),
        records.list_market(
            market=WIDE, base=3, quote=1, lot_atoms=2**22, tick_atoms=2**20, name="CCC_AAA"
        ),
        records.set_exchange(parameter=records.ORDERS_MAX, value=20),
    ]
    for market in (1, 2, WIDE):
        commands.append(records.set_market(market=market, parameter=records.STATE, value=0))
    for account in range(FIRST, LAST + 1):
        commands.append(records.open_account(1000 + account))
        for asset in (1, 2, 3):
            atoms = 50 if account == POOR else 20_000
            commands.append(records.credit(account=account, asset=asset, atoms=atoms))
    return b"".join(commands)


class Stream:
    """Makes frames. Pass the events of each to `saw`."""

    def __init__(self, pick: Callable[[int], int]) -> None:
        self.pick = pick
        self.time_ns = START_NS
        self.next_client_id = 100
        self.open: list[tuple[int, int, int]] = []  # (account, market, order id), newest last
        self.closed_id = 0
        self.repairs: list[bytes] = []  # what undoes a freeze, a closed market and the like
        self.placed: list[bytes] = []  # PLACE commands with a client id, to be repeated

    def saw(self, events: Sequence[wire.Event]) -> None:
        """Learn order ids."""
        for event in events:
            if isinstance(event, wire.Accepted):
                self.open.append((event.account, event.market, event.order_id))
            elif isinstance(event, wire.Closed):
                self.closed_id = event.order.order_id
                self.open.remove((event.order.account, event.order.market, self.closed_id))

    def frame(self) -> bytes:
        """One to five commands, rarely with some bytes too few or too many."""
        count = self.one_of((1, 1, 1, 1, 2, 3, 5))
        frame = b"".join(self.command() for _ in range(count))
        if self.pick(300) == 299:
            frame += self.command()[: self.pick(47) + 1]
        return frame

    def step(self) -> int:
        """The time of the next frame: unchanged, a little later, or more than ten minutes later."""
        chance = self.pick(5000)
        if chance == 4999:
            self.time_ns += self.one_of((600 * SECOND, 600 * SECOND - 1, 601 * SECOND))
        elif chance >= 2500:
            self.time_ns += self.pick(20) * 1_000_000
        return self.time_ns

    def command(self) -> bytes:
        """48 bytes, mostly valid."""
        if self.repairs and self.pick(8) == 7:
            return self.repairs.pop(self.pick(len(self.repairs)))
        made = self._command(self.one_of(KINDS))
        if self.pick(100) == 99:  # damage one byte
            at = self.pick(len(made))
            made = made[:at] + bytes([self.one_of((0, 1, 255, 128, 3))]) + made[at + 1 :]
        return made

    def one_of(self, choices: Sequence[T]) -> T:
        """The first is the simplest."""
        return choices[self.pick(len(choices))]

    def _command(self, kind: Kind) -> bytes:
        match kind:
            case Kind.PLACE:
                return self._place()
            case Kind.CANCEL:
                account, market, order_id, flags, client_id = self._named()
                return records.cancel(
                    account=account,
                    market=market,
                    order_id=order_id,
                    flags=flags,
                    client_id=client_id,
                )
            case Kind.AMEND:
                return self._amend()
            case Kind.CANCEL_ALL:
                return records.cancel_all(account=self._account(), market=self.pick(5))
            case Kind.END_SESSION:
                return records.end_session(account=self._account(), session=self.one_of((1, 2, 0)))
            case Kind.OPEN_ACCOUNT:
                return records.open_account(self.one_of((1002, 2000, 2001, 2002, 0, -1)))
            case Kind.CREDIT | Kind.DEBIT:
                return self._move(kind)
            case Kind.LIST_ASSET | Kind.LIST_MARKET:
                return self._listing(kind)
            case Kind.TICK:
                return self.one_of((records.tick(), records.rules(), records.rules(2)))
        return self._set(kind)

    def _account(self) -> int:
        if self.pick(50) == 49:
            return self.one_of((0, 1, 7, 99, 2**32 - 1))
        return FIRST + self.pick(LAST - FIRST + 1)

    def _market(self) -> int:
        return self.one_of((1, 1, 1, 2, 2, WIDE)) if self.pick(60) < 59 else self.pick(6)

    def _price(self, market: int, side: int) -> int:
        if self.pick(40) == 39:
            return self.one_of(EXTREMES)
        if market == WIDE:
            return self.one_of((1, 2, 2**10, 2**20, 2**22, 2**40, 2**40 - 1))
        return 93 + 6 * side + self.pick(10)  # bids 93..102, asks 99..108

    def _quantity(self, market: int) -> int:
        if self.pick(40) == 39:
            return self.one_of(EXTREMES)
        if market == WIDE:
            return self.one_of((1, 2, 2**12, 2**20, 2**22, 2**39, 2**40, 2**40 - 1))
        return 1 + self.pick(12)

    def _place(self) -> bytes:
        if self.placed and self.pick(15) == 14:
            old = self.placed[-1 - self.pick(len(self.placed))]
            price = self.one_of((None, None, 97))
            return old if price is None else old[:32] + price.to_bytes(8, "little") + old[40:]
        market = self._market()
        side = self.pick(2)
        price, quantity = self._price(market, side), self._quantity(market)
        flags = self.one_of((0, 0, 1, 2)) << records.STP_SHIFT
        account = self._account()
        shape = self.pick(20)
        if account == POOR and self.pick(2):
            shape = 14 + shape % 4
        tif = records.GTC
        if shape >= 18:
            flags |= records.POST_ONLY
        elif shape >= 14:
            flags |= records.MARKET_ORDER
            tif, price = records.IOC, 0
            if shape >= 16:
                flags |= records.BY_QUOTE
                quantity = self.one_of((quantity, quantity * 97, quantity * 300))
                quantity = min(quantity, 2**63 - 1)
        elif shape >= 10:
            tif = self.one_of((records.IOC, records.FOK))
        client_id = 0
        if self.pick(5) < 2:
            flags |= records.HAS_CLIENT_ID
            client_id = self.pick(8)
            if self.pick(8):
                self.next_client_id += 1
                client_id = self.next_client_id
        made = records.place(
            account=account,
            market=market,
            side=side,
            quantity=max(quantity, -(2**63)),
            price=price,
            tif=tif,
            flags=flags,
            client_id=client_id,
            session=self.one_of((0, 0, 1, 2)),
        )
        if client_id:
            self.placed.append(made)
            del self.placed[:-2000]
        return made

    def _named(self) -> tuple[int, int, int, int, int]:
        """Account, market, order id, flags and client id of an order that may be open."""
        if not self.open or self.pick(8) == 7:
            order_id = self.one_of((self.closed_id, 1, -1, 2**40))
            return self._account(), 0, order_id, self.pick(2), self.pick(8)
        account, market, order_id = self.open[-1 - self.pick(len(self.open))]
        wrong = self.pick(30)
        if wrong == 29:
            account = self._account()
        elif wrong == 28:
            market = self._market()
        elif wrong == 27:
            order_id ^= 1  # the right sequence with the wrong slot
        return account, self.one_of((0, market)), order_id, 0, 0

    def _amend(self) -> bytes:
        account, market, order_id, flags, client_id = self._named()
        sizes = market or self.one_of((1, WIDE))
        return records.amend(
            account=account,
            market=market,
            order_id=order_id,
            flags=flags,
            client_id=client_id,
            price=self.one_of((0, self._price(sizes, self.pick(2)))),
            quantity=self.one_of((self._quantity(sizes), 0, 1)),
        )

    def _move(self, kind: Kind) -> bytes:
        command = records.credit if kind == Kind.CREDIT else records.debit
        account = self._account()
        atoms = 1 + self.pick(5000)
        if account == POOR:
            atoms = 10 * (1 + self.pick(6))
        elif self.pick(4) == 3:
            atoms = self.one_of((2**30, 2**42, 2**61, 2**62 - 100_000, 2**62, -5))
        return command(
            account=account,
            asset=self.one_of((1, 2, 3, 3, self.pick(5))),
            atoms=atoms,
            reference=self.one_of((0, 7, -(2**63))),
        )

    def _listing(self, kind: Kind) -> bytes:
        name = self.one_of(("AAA", "D", "A_LONG_NAME_1234", "low", "X Y"))
        if kind == Kind.LIST_ASSET:
            return records.list_asset(
                asset=self.pick(6), decimals=self.one_of((0, 18, 19, -1)), name=name
            )
        return records.list_market(
            market=self.pick(6),
            base=self.pick(5),
            quote=self.pick(5),
            lot_atoms=self.one_of((1, 10, 3, 10**18, 10**18 + 1, 0, -1)),
            tick_atoms=self.one_of((1, 10, 7, 10**18, 10**18 + 1, 0, -1)),
            name=name,
        )

    def _set(self, kind: Kind) -> bytes:
        match kind:
            case Kind.SET_MARKET:
                market, parameter = self._market(), self.one_of(list(SET_VALUES))
                values = SET_VALUES[parameter]
                if parameter not in (records.BAND_PPM, records.TAKER_FEE_PPM):
                    self._repair(
                        records.set_market(market=market, parameter=parameter, value=values[0])
                    )
                value = self.one_of(values)
                return records.set_market(market=market, parameter=parameter, value=value)
            case Kind.SET_ACCOUNT:
                account = self._account()
                self._repair(records.set_account(account=account, parameter=1, value=0))
                value = self.one_of((0, 1, 2, -1))
                return records.set_account(account=account, parameter=1, value=value)
            case Kind.SET_ASSET:
                asset = self.pick(5)
                self._repair(records.set_asset(asset=asset, parameter=1, value=2**62))
                value = self.one_of((2**62, 2**61, 0, 2**62 + 1, -1))
                return records.set_asset(asset=asset, parameter=1, value=value)
        parameter = self.one_of(list(EXCHANGE_VALUES))
        values = EXCHANGE_VALUES[parameter]
        self._repair(records.set_exchange(parameter=parameter, value=values[0]))
        return records.set_exchange(parameter=parameter, value=self.one_of(values))

    def _repair(self, command: bytes) -> None:
        if command not in self.repairs:
            self.repairs.append(command)
