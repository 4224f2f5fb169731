"""The order book of one market: price levels, each a FIFO queue of orders.

Design: each side keeps sorted keys with the best last (a bid's key is its price, an ask's the
negated price), a level for each key, and in a level a linked list of orders. Adding at a known
price, removing, and finding the best are O(1).

Invariants (invariants.py checks them after every command in tests):
- at one price, orders stand in the order of their priority;
- a level's `lots` is the sum of what its orders still want; a level without orders does not exist.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import i64, mypyc_attr

from fairbook.core.ledger import Cell
from fairbook.core.markets import Market
from fairbook.core.records import BID, LOW, Command
from fairbook.core.sorted_keys import SortedKeys

SLOT_BITS: Final = 20
SLOT_MASK: Final = (1 << SLOT_BITS) - 1
SLOTS_MAX: Final = 1 << SLOT_BITS
FRAME_WALK_MAX: Final = 4000  # orders of one market that the commands of a frame look at


@final
class Instance:
    """A gateway that appends frames, and its orders that have a session, oldest first.

    `number` is the sequence of its BEGIN_GATEWAY; 0: what was appended before any. `key`: empty in
    a log that is not signed.
    """

    def __init__(self, number: i64, key: bytes, begun_ns: i64) -> None:
        self.number = number
        self.key = key
        self.last_number: i64 = 0  # of its frames
        self.last_ns = begun_ns
        self.is_ended = False
        self.count: i64 = 0
        self.first: RareFields | None = None
        self.last: RareFields | None = None

    def add(self, order: Order) -> None:
        """Enter a new order that has a session."""
        place = order.rare_fields()
        place.instance = self
        last = self.last
        place.prev = last
        if last is None:
            self.first = place
        else:
            last.next = place
        self.last = place
        self.count += 1

    def remove(self, place: RareFields) -> None:
        before, after = place.prev, place.next
        if before is None:
            self.first = after
        else:
            before.next = after
        if after is None:
            self.last = before
        else:
            after.prev = before
        place.prev = place.next = None
        self.count -= 1


@final
@mypyc_attr(acyclic=True)
class RareFields:
    """What few orders have: a client id that is a text, a place among those of a gateway."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.text = b""
        self.instance: Instance | None = None
        self.prev: RareFields | None = None
        self.next: RareFields | None = None


@final
@mypyc_attr(acyclic=True)
class Order:
    """An order that was accepted and is not closed. Its quantity is filled + remaining, in lots."""

    def __init__(
        self,
        book: Book,
        command: Command,
        order_id: i64,
        created_ns: i64,
        pays: Cell,
    ) -> None:
        self.book = book
        self.pays = pays  # the cell of what it spends
        self.id = order_id
        self.owner = command.owner  # account and client id
        self.account = command.account
        self.session_tif = command.session() | command.tif << 32
        self.side = command.side
        self.flags = command.flags
        self.price = command.price
        self.remaining = command.quantity
        self.filled: i64 = 0
        self.quote: i64 = 0
        self.fee_atoms: i64 = 0  # the fee so far, exact: atoms and millionths of an atom
        self.fee_millionths: i64 = 0
        self.created_ns = created_ns
        self.priority = command.sequence
        self.client_id_entry: i64 = 0  # in the account's table of client ids; 0: none
        self.level: Level | None = None
        self.prev: Order | None = None
        self.next: Order | None = None
        self.account_prev: Order | None = None  # among the open orders of its account
        self.account_next: Order | None = None
        self.rare: RareFields | None = None

    def client_id(self) -> i64:
        return self.owner >> 32 & LOW

    def rare_fields(self) -> RareFields:
        """Made on first use."""
        rare = self.rare
        if rare is None:
            rare = self.rare = RareFields(self)
        return rare

    def text(self) -> bytes:
        """The client id as a text, or empty."""
        rare = self.rare
        return b"" if rare is None else rare.text

    def instance(self) -> Instance | None:
        """The gateway that placed it, if it has a session."""
        rare = self.rare
        return None if rare is None else rare.instance

    def session(self) -> i64:
        return self.session_tif & LOW

    def tif(self) -> i64:
        return self.session_tif >> 32

    def fee_paid(self) -> i64:
        """The fee so far: rounded up to whole atoms once, for the order and not for each fill."""
        if self.fee_millionths > 0:
            return self.fee_atoms + 1
        return self.fee_atoms


@final
@mypyc_attr(acyclic=True)
class Level:
    """The orders at one price, oldest first."""

    def __init__(self, price: i64) -> None:
        self.price = price
        self.lots: i64 = 0
        self.head: Order | None = None
        self.tail: Order | None = None

    def append(self, order: Order) -> None:
        order.level = self
        tail = self.tail
        order.prev = tail
        if tail is None:
            self.head = order
        else:
            tail.next = order
        self.tail = order
        self.lots += order.remaining

    def unlink(self, order: Order) -> None:
        """Take an order out. The caller adjusts `lots`."""
        before, after = order.prev, order.next
        if before is None:
            self.head = after
        else:
            before.next = after
        if after is None:
            self.tail = before
        else:
            after.prev = before
        order.prev = order.next = None
        order.level = None


@final
class BookSide:
    """One side of a book. `sign` is 1 for bids, -1 for asks: key = sign * price."""

    def __init__(self, sign: i64) -> None:
        self.sign = sign
        self.keys = SortedKeys()
        self.levels: dict[int, Level] = {}

    def add(self, order: Order) -> Level:
        """Queue an order at its price."""
        key: int = self.sign * order.price
        level = self.levels.get(key)
        if level is None:
            level = Level(order.price)
            self.levels[key] = level
            self.keys.add(key)
        level.append(order)
        return level

    def remove(self, order: Order) -> Level:
        """Take out an order that rests here. Returns its level, which may be empty now."""
        level = order.level
        assert level is not None
        level.unlink(order)
        level.lots -= order.remaining
        if level.head is None:
            self.drop(level)
        return level

    def drop(self, level: Level) -> None:
        """Remove an empty level."""
        key: int = self.sign * level.price
        del self.levels[key]
        self.keys.remove(key)

    def has(self, price: i64) -> bool:
        key: int = self.sign * price
        return key in self.levels

    def crosses(self, key_min: i64) -> bool:
        """Whether the best order satisfies a limit, given as the lowest acceptable key."""
        keys = self.keys.last
        return len(keys) > 0 and i64(keys[-1]) >= key_min


@final
class Book:
    """Both sides of one market, its open orders by slot, and FEE's cells of its assets."""

    def __init__(self, market: Market, base_fees: Cell, quote_fees: Cell) -> None:
        self.market = market
        self.bids = BookSide(1)
        self.asks = BookSide(-1)
        self.slots = OrderSlots()
        self.base_fees = base_fees
        self.quote_fees = quote_fees
        # How many orders the commands of a frame have looked at, and this command. Not state.
        self.frame: i64 = 0
        self.walking: i64 = 0  # the sequence of the command
        self.looked_at: i64 = 0
        self.looked_at_now: i64 = 0
        self.walk_max: i64 = 0

    def begin_walk(self, frame: i64, sequence: i64) -> None:
        """Before the command with this sequence looks at orders; again for a second walk of it.

        frame: a number that no other frame has.
        """
        if self.walking == sequence:
            return
        if self.frame != frame:
            self.frame = frame
            self.looked_at = 0
        self.walking = sequence
        self.looked_at_now = 0
        left = FRAME_WALK_MAX - self.looked_at
        self.walk_max = left if left < self.market.walk_max else self.market.walk_max

    def end_walk(self, looked_at: i64) -> None:
        """Count what a walk of the command looked at; a second one looks at the same orders."""
        if looked_at > self.looked_at_now:
            self.looked_at += looked_at - self.looked_at_now
            self.looked_at_now = looked_at

    def side(self, side: i64) -> BookSide:
        """The orders of one side, BID or ASK."""
        return self.bids if side == BID else self.asks


@final
class OrderSlots:
    """A market's open orders, by the slot in their ids: an order is found without a search."""

    def __init__(self) -> None:
        self.orders: list[Order | None] = []
        self.free: list[int] = []  # a stack

    def take(self) -> i64:
        """A slot for a new order; `is_full` must be false."""
        if len(self.free) > 0:
            return self.free.pop()
        self.orders.append(None)
        return len(self.orders) - 1

    def is_full(self) -> bool:
        """Whether SLOTS_MAX orders are open."""
        return len(self.free) == 0 and len(self.orders) >= SLOTS_MAX

    def put(self, order: Order) -> None:
        self.orders[order.id & SLOT_MASK] = order

    def release(self, order_id: i64) -> None:
        """An order is closed: its slot may be taken again."""
        slot = order_id & SLOT_MASK
        self.orders[slot] = None
        self.free.append(slot)

    def find(self, order_id: i64) -> Order | None:
        """The open order with this id."""
        slot = order_id & SLOT_MASK
        if slot >= len(self.orders):
            return None
        order = self.orders[slot]
        if order is None or order.id != order_id:
            return None
        return order
