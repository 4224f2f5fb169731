"""Commands of clients: place, amend and cancel orders, one at a time or all at once.

Each command is checked completely, and only then executed; its events end with one OUTCOME.
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import BytesWriter
from mypy_extensions import i64

from fairbook.core import records
from fairbook.core.admin_call import AdminCall
from fairbook.core.admin_records import MAY_TRADE
from fairbook.core.book import SLOT_BITS, Book, Order
from fairbook.core.client_ids import (
    CREATED_NS,
    FILLED,
    NO_ENTRY,
    ORDER_ID,
    OUTCOME,
    PAYLOAD,
    QUOTE,
    ClientIdTable,
)
from fairbook.core.event_writer import (
    put_accepted,
    put_acted,
    put_ended,
    put_order_outcome,
    put_outcome,
    put_text,
)
from fairbook.core.gateways import ENDED_ORDERS_PER_FRAME
from fairbook.core.ledger import Cell
from fairbook.core.matching import NO_BUDGET, Matcher, lowest_key, market_key
from fairbook.core.order_checks import (
    EVERY_LOT,
    OrderChecks,
    credential_reject,
    is_malformed_place,
)
from fairbook.core.parts import Parts
from fairbook.core.records import Command
from fairbook.core.signatures import SIGNATURES_MAX
from fairbook.core.tables import Tables
from fairbook.core.trading_account import Account

# Of the first word of a command: kind, variant, flags and market; not its parts and credential.
PAYLOAD_MASK: Final = 0xFFFF_FF00_FFFF


def put_reject(out: BytesWriter, command: Command, reason: i64) -> None:
    """The outcome of a command that was not executed."""
    order_id: i64 = 0
    if command.kind == records.CANCEL or command.kind == records.AMEND:
        order_id = command.order_id
    if command.kind == records.NOTE:
        command.owner = 0  # text stands there
    put_outcome(out, command, records.REJECTED, reason, order_id)


@final
class OrderCommands:
    """Executes one command at a time."""

    def __init__(self, tables: Tables, matcher: Matcher) -> None:
        self.tables = tables
        self.matcher = matcher
        self.checks = OrderChecks(tables, matcher)

    def place(self, command: Command, parts: Parts, out: BytesWriter) -> None:
        tables = self.tables
        time_ns = self.matcher.time_ns
        reject: i64 = 0
        if is_malformed_place(command):
            reject = records.MALFORMED
        elif tables.rules == 0:
            reject = records.NO_RULES
        elif not tables.is_user(command.account):
            reject = records.UNKNOWN_ACCOUNT
        if reject == 0 and command.credential() != 0:
            acting = tables.accounts[command.account]
            reject = credential_reject(acting, command.credential(), MAY_TRADE, time_ns)
        if reject == 0 and not 0 < command.market < len(tables.books):
            reject = records.UNKNOWN_MARKET
        if reject != 0:
            put_reject(out, command, reject)
            return
        flags = command.flags
        account = tables.accounts[command.account]
        client_ids = account.client_ids
        if client_ids is not None and has_client_id(command):
            client_ids.expire(time_ns)
            if self.repeat(command, client_ids, out):
                return
        if command.parts & records.HAS_SIGNATURE != 0:
            reject = self.use_signature(parts.signature)
            if reject != 0:
                put_reject(out, command, reject)
                return
        book = tables.books[command.market]
        side = command.side
        key_min: i64 = lowest_key(side, command.price)
        if flags & records.MARKET_ORDER != 0:
            key_min = market_key(book, side)
        pays = account.paying_cell(book.market, side)
        reject = self.checks.place_reject(command, account, book)
        if pays is None and reject == 0 and flags & records.MARKET_ORDER != 0:
            pays = self._new_cell(command, book)
        if reject == 0 and pays is None:
            reject = records.INSUFFICIENT_FUNDS  # Only a market order may need nothing.
        elif reject == 0 and pays is not None:
            reject = self.checks.funds_reject(command, pays, book, key_min)
        if reject == 0 and flags & records.POST_ONLY != 0 and book.side(1 - side).crosses(key_min):
            reject = records.WOULD_CROSS
        if reject != 0 or pays is None:
            put_reject(out, command, reject)
            return
        order = self._accept(command, account, book, pays, out)
        budget: i64 = command.quantity if flags & records.BY_QUOTE != 0 else NO_BUDGET
        matcher = self.matcher
        matcher.run(order, key_min, budget, out)
        if order.client_id_entry != NO_ENTRY:
            client_ids = account.client_ids
            if client_ids is not None:
                client_ids.set_outcome(order, matcher.status, matcher.reason)
        put_order_outcome(out, command, order, matcher.status, matcher.reason)

    def _new_cell(self, command: Command, book: Book) -> Cell:
        """What pays an order of an account that never had the asset: zero, as if it were absent."""
        asset = book.market.quote if command.side == records.BID else book.market.base
        return self.tables.ledger.cell(command.account, asset)

    def repeat(self, command: Command, client_ids: ClientIdTable, out: BytesWriter) -> bool:
        """Answer a PLACE whose client id is in the table: the first outcome again, or a reject if
        the first order was another one. It changes nothing.
        """
        entry = find_entry(client_ids, command)
        if entry == NO_ENTRY:
            return False
        payload = command.head & PAYLOAD_MASK
        if not client_ids.matches(entry, payload, command.price, command.quantity):
            put_reject(out, command, records.DUPLICATE_CLIENT_ID)
            return True
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
        return True

    def _accept(
        self, command: Command, account: Account, book: Book, pays: Cell, out: BytesWriter
    ) -> Order:
        """Give an order that passed every check an id, and enter it in the tables."""
        tables = self.tables
        order_id = command.sequence << SLOT_BITS | book.slots.take()
        order = Order(book, command, order_id, self.matcher.time_ns, pays)
        if order.flags & records.BY_QUOTE != 0:
            order.remaining = EVERY_LOT
        book.slots.put(order)
        account.add(order)
        if order.session() != 0:
            tables.gateways.current.add(order)
        has_text = command.parts & records.HAS_TEXT_PART != 0
        if has_text:
            order.flags |= records.HAS_TEXT
            order.rare_fields().text = command.text
        if has_text or order.flags & records.HAS_CLIENT_ID != 0:
            order.client_id_entry = account.client_id_table(tables.salt).add(
                order.client_id(),
                command.text,
                command.head & PAYLOAD_MASK,
                command.price,
                command.quantity,
                order.id,
            )
        if has_text:
            put_text(out, command.text)
        put_accepted(out, order, command.quantity)
        return order

    def use_signature(self, signature: bytes) -> i64:
        """Remember a signature; the reject of one that was used before, or 0."""
        signatures, time_ns = self.tables.signatures, self.matcher.time_ns
        if signatures.is_used(signature, time_ns):
            return records.REPEATED_SIGNATURE
        if signatures.count >= SIGNATURES_MAX:
            return records.SIGNATURES_FULL
        signatures.add(signature, time_ns)
        return 0

    def cancel(self, command: Command, parts: Parts, out: BytesWriter) -> None:
        order = self._named_order(command, parts, out)
        if order is not None:
            self.matcher.cancel(order, records.BY_REQUEST, out)
            put_order_outcome(out, command, order, self.matcher.status, self.matcher.reason)

    def amend(self, command: Command, parts: Parts, out: BytesWriter) -> None:
        price, quantity = command.price, command.quantity
        if price < 0 or quantity < 0 or (price == 0 and quantity == 0):
            put_reject(out, command, records.MALFORMED)
            return
        order = self._named_order(command, parts, out)
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

    def _named_order(self, command: Command, parts: Parts, out: BytesWriter) -> Order | None:
        """The order that a CANCEL or AMEND names; None after the command was rejected."""
        reject: i64 = 0
        if self.tables.rules == 0:
            reject = records.NO_RULES
        elif not self.tables.is_user(command.account):
            reject = records.UNKNOWN_ACCOUNT
        elif command.credential() != 0:
            acting = self.tables.accounts[command.account]
            reject = credential_reject(
                acting, command.credential(), MAY_TRADE, self.matcher.time_ns
            )
        if reject == 0 and command.parts & records.HAS_SIGNATURE != 0:
            reject = self.use_signature(parts.signature)
        if reject == 0:
            if (
                command.flags & records.HAS_CLIENT_ID != 0
                or command.parts & records.HAS_TEXT_PART != 0
            ):
                order = self.find_by_client_id(
                    command.account, command.market, command.client_id(), command.text
                )
            else:
                order = self.find(command.account, command.market, command.order_id)
            if order is not None:
                return order
            reject = records.UNKNOWN_ORDER
        put_reject(out, command, reject)
        return None

    def find(self, account: i64, market: i64, order_id: i64) -> Order | None:
        """An open order of the account in that market."""
        if not 0 < market < len(self.tables.books):
            return None
        order = self.tables.books[market].slots.find(order_id)
        if order is None or order.account != account:
            return None
        return order

    def find_by_client_id(
        self, account: i64, market: i64, client_id: i64, text: bytes
    ) -> Order | None:
        """An open order by client id: the text, or the number if that is empty; in that market,
        unless 0. The account must be a user's.
        """
        client_ids = self.tables.accounts[account].client_ids
        if client_ids is None:
            return None
        entry = client_ids.find(client_id) if len(text) == 0 else client_ids.find_text(text)
        if entry == NO_ENTRY:
            return None
        placed_in = client_ids.word(entry, PAYLOAD) >> 32 & 0xFFFF
        if market != 0 and market != placed_in:
            return None
        return self.find(account, placed_in, client_ids.word(entry, ORDER_ID))

    def cancel_many(self, command: Command, call: AdminCall, out: BytesWriter) -> None:
        """CANCEL_ALL and END_SESSION: the account's open orders that match, lowest id first."""
        is_session = command.kind == records.END_SESSION
        reject = self._cancel_many_reject(command, call, is_session)
        if reject != 0:
            put_reject(out, command, reject)
            return
        market, session = command.market, command.session()
        reason: i64 = records.BY_SESSION_END if is_session else records.BY_CANCEL_ALL
        instance = self.tables.gateways.current
        closed: i64 = 0
        order = self.tables.accounts[command.account].first
        while order is not None:
            following = order.account_next
            if is_session:
                matches = order.session() == session and order.instance() is instance
            else:
                matches = market == 0 or order.book.market.id == market
            if matches:
                self.matcher.cancel(order, reason, out)
                closed += 1
            order = following
        if command.parts & records.HAS_OPERATOR != 0:
            put_acted(out, call.parts)
        put_outcome(out, command, records.DONE, 0, filled=closed)

    def _cancel_many_reject(self, command: Command, call: AdminCall, is_session: bool) -> i64:
        tables, actor = self.tables, call.actor_reject
        if is_session and command.session() == 0:
            return records.MALFORMED
        if tables.rules == 0:
            return records.NO_RULES
        if not tables.is_user(command.account):
            return records.UNKNOWN_ACCOUNT
        if is_session:
            return 0
        acting = tables.accounts[command.account]
        reject = credential_reject(acting, command.credential(), MAY_TRADE, self.matcher.time_ns)
        if reject != 0 and actor != 0:
            return min(reject, actor)
        if reject != 0 or actor != 0:
            return reject | actor
        if command.market >= len(tables.books):
            return records.UNKNOWN_MARKET
        if command.parts & records.HAS_SIGNATURE != 0:
            return self.use_signature(call.parts.signature)
        return 0

    def end_instances(self, out: BytesWriter) -> None:
        """At the head of a frame: cancel orders of ended gateways, a bounded number."""
        gateways = self.tables.gateways
        left: i64 = ENDED_ORDERS_PER_FRAME
        while left > 0 and len(gateways.ending) > 0:
            instance = gateways.ending[0]
            closed: i64 = 0
            while left > 0 and instance.first is not None:
                self.matcher.cancel(instance.first.order, records.BY_GATEWAY_END, out)
                closed += 1
                left -= 1
            put_ended(out, instance, closed)
            if instance.count == 0:
                gateways.forget_ended()


def has_client_id(command: Command) -> bool:
    """Whether a PLACE has one, a number or a text."""
    return command.flags & records.HAS_CLIENT_ID != 0 or command.parts & records.HAS_TEXT_PART != 0


def find_entry(client_ids: ClientIdTable, command: Command) -> i64:
    """The entry of the client id of a PLACE, or NO_ENTRY."""
    if len(command.text) > 0:
        return client_ids.find_text(command.text)
    return client_ids.find(command.client_id())
