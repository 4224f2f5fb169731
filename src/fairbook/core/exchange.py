"""The exchange: one deterministic function from frames to events, and questions about where it
stands.

How it works: `apply` takes the commands of a frame one after the other. Each is checked completely
(order of precedence: docs/reference/protocol.md), and only then executed; its events end with
exactly one OUTCOME. No clock, random number or setting is read: time, ids and parameters come with
the commands.

Always true:
- a rejected command changes nothing but the sequence;
- the same frames at the same times give the same events and the same state, byte for byte,
  compiled or interpreted.

Not here: matching (matching.py), listings and money (registry.py), the state as bytes (state.py).
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import BytesWriter, read_i64_le
from mypy_extensions import i64

from fairbook.core.accounts import Account
from fairbook.core.admission import EVERY_LOT, Admission, malformed_place
from fairbook.core.book import SLOT_BITS, Book, BookSide, Order
from fairbook.core.emit import (
    pair,
    put_accepted,
    put_outcome,
)
from fairbook.core.markets import Asset, Market
from fairbook.core.matching import NO_BUDGET, Matcher, lowest_key, market_key
from fairbook.core.receipts import (
    ANSWER,
    CREATED_NS,
    FILLED,
    NONE,
    ORDER_ID,
    QUOTE,
    Receipts,
)
from fairbook.core.records import (
    AMEND,
    AMENDED,
    BY_CANCEL_ALL,
    BY_QUOTE,
    BY_REQUEST,
    BY_SESSION_END,
    CANCEL,
    CANCEL_ALL,
    COMMAND_BYTES,
    DONE,
    DUPLICATE_CLIENT_ID,
    END_SESSION,
    HAS_CLIENT_ID,
    LOW,
    MALFORMED,
    MARKET_ORDER,
    NO_RULES,
    OPEN_ACCOUNT,
    ORDER,
    PLACE,
    POST_ONLY,
    REJECTED,
    REPEATED,
    TICK,
    UNKNOWN_ACCOUNT,
    UNKNOWN_MARKET,
    UNKNOWN_ORDER,
    WOULD_CROSS,
    OrderRecord,
    order_records,
)
from fairbook.core.registry import Registry

MAX_ORDER_ID: Final = (1 << 63) - 1


@final
class Exchange:
    """The whole state, and the only way to change it."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.matcher = Matcher(self.registry)
        self.admission = Admission(self.registry, self.matcher)
        self.sequence: i64 = 0
        self.time_ns: i64 = 0

    def apply(self, frame: bytes, time_ns: i64) -> bytes:
        """Execute the commands of one frame, all at `time_ns`. Returns their events."""
        assert time_ns >= self.time_ns, "log time never decreases"
        self.time_ns = time_ns
        self.matcher.time_ns = time_ns
        self.registry.begin(frame, self.sequence, time_ns)
        out = BytesWriter()
        at: i64 = 0
        end: i64 = len(frame)
        while at + COMMAND_BYTES <= end:
            self._one(frame, at, out)
            at += COMMAND_BYTES
        if at < end:
            self.sequence += 1
            put_outcome(out, 0, REJECTED, MALFORMED, 0, 0, 0, self.sequence, 0, 0, 0, 0)
        return out.getvalue()

    def _one(self, frame: bytes, at: i64, out: BytesWriter) -> None:
        self.sequence += 1
        head = read_i64_le(frame, at)
        kind = head & 255
        if head >> 48 != 0:
            self._reject(frame, at, MALFORMED, out)
        elif kind == PLACE:
            self._place(frame, at, out)
        elif kind == CANCEL:
            self._cancel(frame, at, out)
        elif kind == AMEND:
            self._amend(frame, at, out)
        elif kind == CANCEL_ALL or kind == END_SESSION:
            self._cancel_many(frame, at, out)
        else:
            self._operate(frame, at, out)

    def _reject(self, frame: bytes, at: i64, reason: i64, out: BytesWriter) -> None:
        head = read_i64_le(frame, at)
        kind = head & 255
        order_id: i64 = 0
        if kind == CANCEL or kind == AMEND:
            order_id = read_i64_le(frame, at + 24)
        put_outcome(
            out,
            kind,
            REJECTED,
            reason,
            head >> 32 & 0xFFFF,
            0,
            read_i64_le(frame, at + 8),
            self.sequence,
            order_id,
            0,
            0,
            0,
        )

    def _place(self, frame: bytes, at: i64, out: BytesWriter) -> None:
        head = read_i64_le(frame, at)
        who = read_i64_le(frame, at + 8)
        price = read_i64_le(frame, at + 32)
        quantity = read_i64_le(frame, at + 40)
        side, tif, flags = head >> 8 & 255, head >> 16 & 255, head >> 24 & 255
        registry = self.registry
        reject: i64 = 0
        if malformed_place(side, tif, flags, price):
            reject = MALFORMED
        elif registry.rules == 0:
            reject = NO_RULES
        elif not registry.is_user(who & LOW):
            reject = UNKNOWN_ACCOUNT
        elif not 0 < head >> 32 < len(registry.books):
            reject = UNKNOWN_MARKET
        if reject != 0:
            self._reject(frame, at, reject, out)
            return
        account = registry.accounts[who & LOW]
        receipts = account.receipts
        if flags & HAS_CLIENT_ID != 0 and receipts is not None:
            receipts.expire(self.time_ns)
            receipt = receipts.find(who >> 32 & LOW)
            if receipt != NONE:
                self._repeat(receipts, receipt, frame, at, out)
                return
        book = registry.books[head >> 32]
        key_min: i64 = lowest_key(side, price)
        if flags & MARKET_ORDER != 0:
            key_min = market_key(book, side)
        reject = self.admission.refusal(account, book, side, tif, flags, price, quantity)
        if reject == 0:
            reject = self.admission.unfunded(who & LOW, book, side, flags, price, quantity, key_min)
        if reject == 0 and flags & POST_ONLY != 0 and book.half(1 - side).crosses(key_min):
            reject = WOULD_CROSS
        if reject != 0:
            self._reject(frame, at, reject, out)
            return
        session = read_i64_le(frame, at + 16) & LOW
        order = self._accept(account, book, who, session, head, price, quantity, out)
        budget: i64 = quantity if flags & BY_QUOTE != 0 else NO_BUDGET
        self.matcher.run(order, key_min, budget, out)
        self._place_outcome(order, out)

    def _repeat(
        self, receipts: Receipts, receipt: i64, frame: bytes, at: i64, out: BytesWriter
    ) -> None:
        """Answer a client id that is remembered.

        The first answer again, or a reject if it meant something else.
        """
        head = read_i64_le(frame, at)
        price, quantity = read_i64_le(frame, at + 32), read_i64_le(frame, at + 40)
        if not receipts.stands_for(receipt, head, price, quantity):
            self._reject(frame, at, DUPLICATE_CLIENT_ID, out)
            return
        answer = receipts.word(receipt, ANSWER)
        put_outcome(
            out,
            PLACE,
            answer & 255,
            answer >> 8,
            head >> 32,
            REPEATED,
            read_i64_le(frame, at + 8),
            self.sequence,
            receipts.word(receipt, ORDER_ID),
            receipts.word(receipt, FILLED),
            receipts.word(receipt, QUOTE),
            receipts.word(receipt, CREATED_NS),
        )

    def _accept(
        self,
        account: Account,
        book: Book,
        who: i64,
        session: i64,
        head: i64,
        price: i64,
        quantity: i64,
        out: BytesWriter,
    ) -> Order:
        """Give an order that passed every check an id and its place in the tables."""
        side, tif, flags = head >> 8 & 255, head >> 16 & 255, head >> 24 & 255
        slots = self.matcher.slots
        order = Order(
            self.sequence << SLOT_BITS | slots.take(),
            who,
            pair(session, tif),
            side,
            flags,
            price,
            EVERY_LOT if flags & BY_QUOTE != 0 else quantity,
            self.time_ns,
            self.sequence,
            book,
        )
        slots.put(order)
        account.add(order)
        if flags & HAS_CLIENT_ID != 0:
            order.receipt = account.remembered().add(
                who >> 32 & LOW, head, price, quantity, order.id
            )
        put_accepted(out, side, tif, book.market.id, flags, who, session, order.id, price, quantity)
        return order

    def _place_outcome(self, order: Order, out: BytesWriter) -> None:
        matcher = self.matcher
        if order.receipt != NONE:
            self.registry.accounts[order.who & LOW].remembered().answer(
                order.receipt,
                matcher.status,
                matcher.reason,
                order.filled,
                order.quote,
                order.created_ns,
            )
        self._order_outcome(PLACE, order, order.who, out)

    def _order_outcome(self, command: i64, order: Order, who: i64, out: BytesWriter) -> None:
        matcher = self.matcher
        put_outcome(
            out,
            command,
            matcher.status,
            matcher.reason,
            order.book.market.id,
            0,
            who,
            self.sequence,
            order.id,
            order.filled,
            order.quote,
            order.created_ns,
        )

    def _named(self, frame: bytes, at: i64) -> Order | None:
        """The open order that a CANCEL or AMEND names, in the account and market given."""
        head = read_i64_le(frame, at)
        who = read_i64_le(frame, at + 8)
        order_id = read_i64_le(frame, at + 24)
        if head >> 24 & HAS_CLIENT_ID != 0:
            receipts = self.registry.accounts[who & LOW].receipts
            receipt = NONE if receipts is None else receipts.find(who >> 32 & LOW)
            if receipts is None or receipt == NONE:
                return None
            order_id = receipts.word(receipt, ORDER_ID)
        order = self.matcher.slots.find(order_id)
        market = head >> 32 & 0xFFFF
        if order is None or order.who & LOW != who & LOW:
            return None
        if market != 0 and order.book.market.id != market:
            return None
        return order

    def _cancel(self, frame: bytes, at: i64, out: BytesWriter) -> None:
        who = read_i64_le(frame, at + 8)
        if self.registry.rules == 0:
            self._reject(frame, at, NO_RULES, out)
            return
        if not self.registry.is_user(who & LOW):
            self._reject(frame, at, UNKNOWN_ACCOUNT, out)
            return
        order = self._named(frame, at)
        if order is None:
            self._reject(frame, at, UNKNOWN_ORDER, out)
            return
        self.matcher.withdraw(order, BY_REQUEST, out)
        self._order_outcome(CANCEL, order, who, out)

    def _cancel_many(self, frame: bytes, at: i64, out: BytesWriter) -> None:
        """CANCEL_ALL and END_SESSION.

        Those of the account's open orders that match, lowest id first.
        """
        head = read_i64_le(frame, at)
        who = read_i64_le(frame, at + 8)
        kind, market = head & 255, head >> 32
        session: i64 = 0
        reject: i64 = 0
        if kind == END_SESSION:
            market = 0
            session = read_i64_le(frame, at + 16) & LOW
        if kind == END_SESSION and session == 0:
            reject = MALFORMED
        elif self.registry.rules == 0:
            reject = NO_RULES
        elif not self.registry.is_user(who & LOW):
            reject = UNKNOWN_ACCOUNT
        elif market >= len(self.registry.books):
            reject = UNKNOWN_MARKET
        if reject != 0:
            self._reject(frame, at, reject, out)
            return
        reason: i64 = BY_CANCEL_ALL if kind == CANCEL_ALL else BY_SESSION_END
        count: i64 = 0
        order = self.registry.accounts[who & LOW].first
        while order is not None:
            following = order.own_next
            if (market == 0 or order.book.market.id == market) and (
                session == 0 or order.session_tif & LOW == session
            ):
                self.matcher.withdraw(order, reason, out)
                count += 1
            order = following
        put_outcome(out, kind, DONE, 0, head >> 32, 0, who, self.sequence, 0, count, 0, 0)

    def _amend(self, frame: bytes, at: i64, out: BytesWriter) -> None:
        who = read_i64_le(frame, at + 8)
        price = read_i64_le(frame, at + 32)
        quantity = read_i64_le(frame, at + 40)
        reject: i64 = 0
        if price < 0 or quantity < 0 or (price == 0 and quantity == 0):
            reject = MALFORMED
        elif self.registry.rules == 0:
            reject = NO_RULES
        elif not self.registry.is_user(who & LOW):
            reject = UNKNOWN_ACCOUNT
        if reject != 0:
            self._reject(frame, at, reject, out)
            return
        order = self._named(frame, at)
        if order is None:
            self._reject(frame, at, UNKNOWN_ORDER, out)
            return
        if price == 0:
            price = order.price
        if quantity == 0:
            quantity = order.filled + order.rest
        reject = self.admission.amend_refusal(order, price, quantity)
        if reject != 0:
            self._reject(frame, at, reject, out)
            return
        self._give_new_terms(order, price, quantity - order.filled, out)
        self._order_outcome(AMEND, order, who, out)

    def _give_new_terms(self, order: Order, price: i64, rest: i64, out: BytesWriter) -> None:
        matcher = self.matcher
        half = order.book.half(order.side)
        if price == order.price and rest < order.rest:
            matcher.shrink(order, rest, out)
            return
        old_price = order.price
        lots = half.remove(order)
        matcher.release(order)
        order.price = price
        order.rest = rest
        order.priority = self.sequence
        matcher.put_open(order, AMENDED, out)
        matcher.put_level(order, old_price, lots, out)
        matcher.run(order, lowest_key(order.side, price), NO_BUDGET, out)

    def _operate(self, frame: bytes, at: i64, out: BytesWriter) -> None:
        """What only the operator sends, and TICK."""
        head = read_i64_le(frame, at)
        who = read_i64_le(frame, at + 8)
        kind = head & 255
        reject: i64 = 0
        if kind != TICK:
            reject = self.registry.operate(frame, at, self.time_ns, out)
        if reject != 0:
            self._reject(frame, at, reject, out)
            return
        if kind == OPEN_ACCOUNT:
            who = self.registry.account_of_user[read_i64_le(frame, at + 24)]
        put_outcome(out, kind, DONE, 0, head >> 32, 0, who, self.sequence, 0, 0, 0, 0)

    # Questions. They change nothing.

    @property
    def markets(self) -> list[Market]:
        """By id; entry 0 is a placeholder."""
        return self.registry.markets

    @property
    def assets(self) -> list[Asset]:
        """By id; entry 0 is a placeholder."""
        return self.registry.assets

    @property
    def paused(self) -> bool:
        """Whether the exchange is CancelOnly."""
        return self.registry.cancel_only

    def balances(self, account: int) -> list[tuple[int, int, int]]:
        """(asset, available, locked) of every asset in atoms; empty for an unknown account."""
        found: list[tuple[int, int, int]] = []
        if 0 <= account < len(self.registry.accounts):
            for asset in range(1, len(self.registry.assets)):
                cell = self.registry.ledger.cell(account, asset)
                found.append((asset, cell.available, cell.locked))
        return found

    def open_orders(self, account: int, market: int = 0) -> list[OrderRecord]:
        """The account's open orders by rising id; market 0: in all markets."""
        out = BytesWriter()
        if self.registry.is_user(account):
            order = self.registry.accounts[account].first
            while order is not None:
                if market == 0 or order.book.market.id == market:
                    self.matcher.put_open(order, ORDER, out)
                order = order.own_next
        return order_records(out.getvalue())

    def order(self, account: int, market: int, order_id: int) -> OrderRecord | None:
        """An open order of the account, in that market unless 0."""
        if not 0 <= order_id <= MAX_ORDER_ID:
            return None
        return self._record(self.matcher.slots.find(order_id), account, market)

    def order_of_client(self, account: int, market: int, client_id: int) -> OrderRecord | None:
        """The same, by client id."""
        if not self.registry.is_user(account):
            return None
        receipts = self.registry.accounts[account].receipts
        receipt = NONE if receipts is None else receipts.find(client_id)
        if receipts is None or receipt == NONE:
            return None
        return self.order(account, market, receipts.word(receipt, ORDER_ID))

    def _record(self, order: Order | None, account: int, market: int) -> OrderRecord | None:
        if order is None or order.who & LOW != account:
            return None
        if market != 0 and order.book.market.id != market:
            return None
        out = BytesWriter()
        self.matcher.put_open(order, ORDER, out)
        return order_records(out.getvalue())[0]

    def depth(
        self, market: int, levels_max: int
    ) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """(bids, asks) as (price, lots), best first; `levels_max` of at least 1."""
        book = self.registry.books[market]
        return levels(book.bids, levels_max), levels(book.asks, levels_max)

    def sessions(self) -> list[tuple[int, int]]:
        """(account, session) of every session that has open orders, in order."""
        found: dict[tuple[int, int], int] = {}
        for order in self.matcher.slots.orders:
            if order is not None and order.session_tif & LOW != 0:
                found[(order.who & LOW, order.session_tif & LOW)] = 1
        return sorted(found)


def levels(half: BookSide, levels_max: int) -> list[tuple[int, int]]:
    """The first levels of one side, best first."""
    found: list[tuple[int, int]] = []
    for key in reversed(half.keys[-levels_max:]):
        level = half.levels[key]
        found.append((level.price, level.lots))
    return found
