"""What a stream reaches only by many commands in a row: sums next to their bounds, crowds of
orders, frames that look at thousands of orders.

A story gives one frame at a time, and reads what has become of the ones before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fairbook.core import admin_records as admin
from fairbook.core import records
from tests.core import wire
from tests.core.stream_choices import FIRST, LAST, POOR, WIDE, WIDE_TICK

if TYPE_CHECKING:
    from tests.core.stream import Stream

FEE, SELLER, BUYER = 1, FIRST, FIRST + 1
BASE, QUOTE = 3, 1  # of WIDE
ATOMS_MAX = 2**62


class Watched:
    """The last order of the seller in WIDE, and what it has executed."""

    def __init__(self) -> None:
        self.order_id = 0
        self.filled = 0
        self.quote = 0

    def saw(self, events: Sequence[wire.Event]) -> None:
        """Follow it."""
        for event in events:
            match event:
                case wire.Accepted(account=2, market=3, side=wire.ASK):
                    self.order_id, self.filled, self.quote = event.order_id, 0, 0
                case wire.Fill() if self.order_id in (event.taker_order, event.maker_order):
                    self.filled += event.lots
                    self.quote += event.lots * event.price * WIDE_TICK
                case wire.Closed() if event.order.order_id == self.order_id:
                    self.order_id = 0


def healed(stream: Stream) -> Iterator[bytes]:
    """All may trade in WIDE, and no order is open."""
    yield admin.resume(0)
    yield admin.resume(1)
    for parameter, value in (
        (admin.STATE, 0), (admin.PRICE_MIN, 1), (admin.PRICE_MAX, 2**40), (admin.QUANTITY_MIN, 1),
        (admin.QUANTITY_MAX, 2**40), (admin.BAND_PPM, 0), (admin.WALK_MAX, 1_000),
        (admin.LEVELS_MAX, 100), (admin.MAKER_FEE_PPM, 0), (admin.TAKER_FEE_PPM, 0),
    ):  # fmt: skip
        yield admin.set_market(market=WIDE, parameter=parameter, value=value)
    for asset in (BASE, QUOTE):
        for parameter in (admin.RESERVE_CAP, admin.CREDIT_MAX):
            yield admin.set_asset(asset=asset, parameter=parameter, value=ATOMS_MAX)
    yield admin.set_exchange(parameter=admin.ORDERS_MAX, value=40)
    yield admin.set_exchange(parameter=admin.REFERENCES_MAX, value=1_000_000)
    for account in range(FIRST, LAST + 1):
        yield admin.set_account(account=account, parameter=admin.FROZEN, value=0)
        yield records.cancel_all(account=account)


def powers(high: int, low: int) -> Iterator[int]:
    """2^high, ..., 2^low: what is too much of them is refused, so that the rest is all there is."""
    yield from (1 << bit for bit in range(high, low - 1, -1))


def moved(stream: Stream, command: object, account: int, asset: int, atoms: int) -> bytes:
    """A CREDIT or DEBIT with a reference of its own."""
    make = admin.credit if command == "credit" else admin.debit
    reference = b"story:" + stream.next_number().to_bytes(10, "little")
    return make(account=account, asset=asset, atoms=atoms, reference=reference)


def turn_money_round(stream: Stream) -> Iterator[bytes]:
    """One order is filled, amended upwards, and filled again with the same money."""
    yield from healed(stream)
    for account in range(FEE, LAST + 1):
        if account != BUYER:
            for atoms in powers(61, 40):
                yield moved(stream, "debit", account, QUOTE, atoms)
    for atoms in powers(43, 22):
        yield moved(stream, "credit", SELLER, BASE, atoms)
    price = stream.one_of((2**22, 2**21, 2**22 - 1))
    yield records.place(
        account=SELLER, market=WIDE, side=records.ASK, price=price, quantity=2**42 // price
    )
    for _ in range(4):
        if not stream.watched.order_id:
            return
        yield from _give_back(stream)
        if stream.pick(2):
            for lots in powers(21, 0):
                yield records.place(
                    account=BUYER, market=WIDE, side=records.BID, price=price - 1, quantity=lots
                )
        for wrong in (1, 0, -1):
            if stream.watched.order_id and stream.watched.quote:
                yield _amended(stream, wrong)
        for atoms in powers(61, 42):
            yield records.place(
                account=BUYER,
                market=WIDE,
                side=records.BID,
                quantity=atoms,
                tif=records.IOC,
                flags=records.MARKET_ORDER | records.BY_QUOTE,
            )


def _give_back(stream: Stream) -> Iterator[bytes]:
    """All the quote there is goes to the buyer."""
    for atoms in powers(61, 40):
        yield moved(stream, "debit", SELLER, QUOTE, atoms)
    for atoms in powers(61, 0):
        yield moved(stream, "credit", BUYER, QUOTE, atoms)


def _amended(stream: Stream, more: int) -> bytes:
    """The watched order with executed quote and rest at 2^62, and `more` lots."""
    watched = stream.watched
    price = stream.one_of((1, 2, 3, 2**20, 2**21))
    rest = (ATOMS_MAX - watched.quote) // (price * WIDE_TICK) + more
    rest = min(rest, 2**40 - watched.filled, 2**42 // price - watched.filled)
    return records.amend(
        account=SELLER,
        market=WIDE,
        order_id=watched.order_id,
        price=price,
        quantity=watched.filled + max(rest, 1),
    )


def crowd(stream: Stream) -> Iterator[bytes]:
    """More orders of one instance than are cancelled in one frame after its end."""
    yield admin.resume(0)
    yield admin.resume(1)
    for parameter, value in (
        (admin.STATE, 0), (admin.PRICE_MIN, 1), (admin.QUANTITY_MIN, 1), (admin.LEVELS_MAX, 100)
    ):  # fmt: skip
        yield admin.set_market(market=1, parameter=parameter, value=value)
    yield admin.set_exchange(parameter=admin.ORDERS_MAX, value=16_384)
    yield admin.begin_gateway()
    for account in range(FIRST, POOR):
        price = 1 + stream.pick(3)
        order = records.place(
            account=account, market=1, side=records.BID, price=price, quantity=1, session=9
        )
        yield order * (280 + stream.pick(40))
    yield admin.set_exchange(parameter=admin.ORDERS_MAX, value=20)
    if stream.pick(2):
        yield admin.end_gateway(stream.instances[-1])
    for _ in range(4):
        yield stream.one_of((admin.tick(), admin.begin_gateway(), admin.begin_gateway()))


def flood(stream: Stream) -> Iterator[bytes]:
    """A frame of orders that only look at the book: the bound of a frame is reached."""
    market = stream.one_of((1, 2))
    yield admin.resume(0) + admin.resume(1)
    yield b"".join(
        admin.set_market(market=market, parameter=parameter, value=value)
        for parameter, value in (
            (admin.STATE, 0), (admin.PRICE_MAX, 2**40), (admin.QUANTITY_MIN, 1),
            (admin.QUANTITY_MAX, 2**40), (admin.BAND_PPM, 0), (admin.LEVELS_MAX, 100),
            (admin.WALK_MAX, stream.one_of((4_000, 16))),
        )
    )  # fmt: skip
    for _ in range(20):
        yield records.place(
            account=FIRST + stream.pick(3),
            market=market,
            side=records.ASK,
            price=106 + stream.pick(5),
            quantity=1,
        )
    everything: dict[str, Any] = {"account": POOR, "quantity": 2**30, "tif": records.IOC}
    never_whole: dict[str, Any] = {
        "account": POOR - 1,
        "quantity": 300,
        "tif": records.FOK,
        "price": 120,
    }
    units = []
    for _ in range(300 + stream.pick(100)):
        terms, flags = stream.one_of(((everything, records.MARKET_ORDER), (never_whole, 0)))
        units.append(records.place(market=market, side=records.BID, flags=flags, **terms))
    for _ in range(20):
        units.insert(len(units) - stream.pick(150), stream.command())
    yield b"".join(units)
