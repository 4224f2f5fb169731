"""Commands of clients: place, amend and cancel orders, one at a time or all at once.

Each command is checked completely, and only then executed; its events end with one OUTCOME.
"""

from __future__ import annotations

from typing import final

from librt.strings import BytesWriter
from mypy_extensions import i64

from fairbook.core import records
from fairbook.core.book import SLOT_BITS, Book, Order
from fairbook.core.client_ids import (
    CREATED_NS,
    FILLED,
    NO_ENTRY,
    ORDER_ID,
    OUTCOME,
    QUOTE,
    ClientIdTable,
)
from fairbook.core.event_writer import put_accepted, put_order_outcome, put_outcome
from fairbook.core.matching import NO_BUDGET, Matcher, lowest_key, market_key
from fairbook.core.order_checks import EVERY_LOT, OrderChecks, is_malformed_place
from fairbook.core.records import Command
from fairbook.core.tables import Tables
from fairbook.core.trading_account import Account


def put_reject(out: BytesWriter, command: Command, reason: i64) -> None:
    """The outcome of a command that was not executed."""
    order_id: i64 = 0
    if command.kind == records.CANCEL or command.kind == records.AMEND:
        order_id = command.order_id
    put_outcome(out, command, records.REJECTED, reason, order_id)


@final
class OrderCommands:
    """Executes one command at a time."""

    def __init__(self, tables: Tables, matcher: Matcher) -> None:
        self.tables = tables
        self.matcher = matcher
        self.checks = OrderChecks(tables, matcher)

    def place(self, command: Command, out: BytesWriter) -> None:
        tables = self.tables
        reject: i64 = 0
        if is_malformed_place(command):
            reject = records.MALFORMED
        elif tables.rules == 0:
            reject = records.NO_RULES
        elif not tables.is_user(command.account):
            reject = records.UNKNOWN_ACCOUNT
        elif not 0 < command.market < len(tables.books):
            reject = records.UNKNOWN_MARKET
        if reject != 0:
            put_reject(out, command, reject)
            return
        flags = command.flags
        account = tables.accounts[command.account]
        client_ids = account.client_ids
        if flags & records.HAS_CLIENT_ID != 0 and client_ids is not None:
            client_ids.expire(self.matcher.time_ns)
            entry = client_ids.find(command.client_id())
            if entry != NO_ENTRY:
                self._repeat(command, client_ids, entry, out)
                return
        book = tables.books[command.market]
        side = command.side
        key_min: i64 = lowest_key(side, command.price)
        if flags & records.MARKET_ORDER != 0:
            key_min = market_key(book, side)
        reject = self.checks.place_reject(command, account, book)
        if reject == 0:
            reject = self.checks.funds_reject(command, book, key_min)
        if reject == 0 and flags & records.POST_ONLY != 0 and book.side(1 - side).crosses(key_min):
            reject = records.WOULD_CROSS
        if reject != 0:
            put_reject(out, command, reject)
            return
        order = self._accept(command, account, book, out)
        budget: i64 = command.quantity if flags & records.BY_QUOTE != 0 else NO_BUDGET
        self.matcher.run(order, key_min, budget, out)
        if order.client_id_entry != NO_ENTRY:
            client_ids = account.client_id_table()
            client_ids.set_outcome(order, self.matcher.status, self.matcher.reason)
        put_order_outcome(out, command, order, self.matcher.status, self.matcher.reason)

    def _repeat(
        self, command: Command, client_ids: ClientIdTable, entry: i64, out: BytesWriter
    ) -> None:
        """Answer a client id that is in the table: the first outcome again, or a reject if the
        first order was another one.
        """
        if not client_ids.matches(entry, command.head, command.price, command.quantity):
            put_reject(out, command, records.DUPLICATE_CLIENT_ID)
            return
        outcome = client_ids.word(entry, OUTCOME)
        put_outcome(
            out,
            command,
            outcome & 255,
            outcome >> 8,
            client_ids.word(entry, ORDER_ID),
            flags=records.REPEATED,
            filled=client_ids.word(entry, FILLED),
            quote=client_ids.word(entry, QUOTE),
            created_ns=client_ids.word(entry, CREATED_NS),
        )

    def _accept(self, command: Command, account: Account, book: Book, out: BytesWriter) -> Order:
        """Give an order that passed every check an id, and enter it in the tables."""
        slots = self.matcher.slots
        order_id = command.sequence << SLOT_BITS | slots.take()
        order = Order(book, command, order_id, self.matcher.time_ns)
        if order.flags & records.BY_QUOTE != 0:
            order.remaining = EVERY_LOT
        slots.put(order)
        account.add(order)
        if order.flags & records.HAS_CLIENT_ID != 0:
            order.client_id_entry = account.client_id_table().add(
                order.client_id(), command.head, command.price, command.quantity, order.id
            )
        put_accepted(out, order, command.quantity)
        return order

    def cancel(self, command: Command, out: BytesWriter) -> None:
        order = self._named_order(command, out)
        if order is not None:
            self.matcher.cancel(order, records.BY_REQUEST, out)
            put_order_outcome(out, command, order, self.matcher.status, self.matcher.reason)

    def amend(self, command: Command, out: BytesWriter) -> None:
        price, quantity = command.price, command.quantity
        if price < 0 or quantity < 0 or (price == 0 and quantity == 0):
            put_reject(out, command, records.MALFORMED)
            return
        order = self._named_order(command, out)
        if order is None:
            return
        if price == 0:
            price = order.price
        if quantity == 0:
            quantity = order.filled + order.remaining
        reject = self.checks.amend_reject(order, price, quantity)
        if reject != 0:
            put_reject(out, command, reject)
            return
        remaining = quantity - order.filled
        if price == order.price and remaining < order.remaining:
            self.matcher.reduce(order, remaining, out)
        else:
            self.matcher.replace(order, price, remaining, command.sequence, out)
        put_order_outcome(out, command, order, self.matcher.status, self.matcher.reason)

    def _named_order(self, command: Command, out: BytesWriter) -> Order | None:
        """The order that a CANCEL or AMEND names; None after the command was rejected."""
        reject: i64 = records.UNKNOWN_ORDER
        if self.tables.rules == 0:
            reject = records.NO_RULES
        elif not self.tables.is_user(command.account):
            reject = records.UNKNOWN_ACCOUNT
        else:
            account, market = command.account, command.market
            if command.flags & records.HAS_CLIENT_ID != 0:
                order = self.find_by_client_id(account, market, command.client_id())
            else:
                order = self.find(account, market, command.order_id)
            if order is not None:
                return order
        put_reject(out, command, reject)
        return None

    def find(self, account: i64, market: i64, order_id: i64) -> Order | None:
        """An open order of the account; in that market, unless 0."""
        order = self.matcher.slots.find(order_id)
        if order is None or order.account != account:
            return None
        if market != 0 and order.book.market.id != market:
            return None
        return order

    def find_by_client_id(self, account: i64, market: i64, client_id: i64) -> Order | None:
        """The same, by client id; the account must be a user's."""
        client_ids = self.tables.accounts[account].client_ids
        if client_ids is None:
            return None
        entry = client_ids.find(client_id)
        if entry == NO_ENTRY:
            return None
        return self.find(account, market, client_ids.word(entry, ORDER_ID))

    def cancel_many(self, command: Command, out: BytesWriter) -> None:
        """CANCEL_ALL and END_SESSION: the account's open orders that match, lowest id first."""
        market, session = command.market, command.session()
        reason: i64 = records.BY_SESSION_END
        if command.kind == records.CANCEL_ALL:
            session = 0
            reason = records.BY_CANCEL_ALL
        else:
            market = 0
        reject: i64 = 0
        if command.kind == records.END_SESSION and session == 0:
            reject = records.MALFORMED
        elif self.tables.rules == 0:
            reject = records.NO_RULES
        elif not self.tables.is_user(command.account):
            reject = records.UNKNOWN_ACCOUNT
        elif market >= len(self.tables.books):
            reject = records.UNKNOWN_MARKET
        if reject != 0:
            put_reject(out, command, reject)
            return
        closed: i64 = 0
        order = self.tables.accounts[command.account].first
        while order is not None:
            following = order.account_next
            if (market == 0 or order.book.market.id == market) and (
                session == 0 or order.session == session
            ):
                self.matcher.cancel(order, reason, out)
                closed += 1
            order = following
        put_outcome(out, command, records.DONE, 0, filled=closed)
