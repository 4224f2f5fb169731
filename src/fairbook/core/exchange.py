"""The exchange: one deterministic function from frames to events.

`apply` executes the commands of a frame one after the other. Each is checked completely (order of
precedence: docs/reference/protocol.md), and only then executed; its events end with one OUTCOME. No
clock, random number or setting is read: time, ids and parameters come with the commands.

Invariants:
- a rejected command changes nothing but the sequence, and uses up its signature;
- a frame that is passed over changes nothing but the time;
- the same frames at the same times give the same events and the same state, byte for byte,
  compiled or interpreted.
"""

from __future__ import annotations

from typing import Final, NamedTuple, final

from librt.strings import BytesWriter, read_i64_le
from mypy_extensions import i64

from fairbook.core import records
from fairbook.core.admin_call import AdminCall
from fairbook.core.admin_commands import apply_admin, check_rules
from fairbook.core.admin_records import BY_AUDIT, TEST_LOG
from fairbook.core.book import SLOTS_MAX, Book, BookSide, Instance, Order
from fairbook.core.bytes_index import ABSENT, key_of
from fairbook.core.credential_commands import slots_of
from fairbook.core.credential_table import Credential
from fairbook.core.event_writer import put_acted, put_outcome, put_passed
from fairbook.core.gateways import INSTANCES_MAX
from fairbook.core.markets import ASSETS_MAX, MARKETS_MAX, Asset, Market
from fairbook.core.matching import Matcher, put_open_order
from fairbook.core.money_commands import withdrawable_today
from fairbook.core.order_checks import LAST_ORDER_SEQUENCE
from fairbook.core.order_commands import OrderCommands, has_client_id, put_reject
from fairbook.core.parts import ORIGIN_BYTES, FrameOrigin, Parts, are_valid, bit_of, has_origin
from fairbook.core.records import COMMAND_BYTES, LOW, Command, OrderRecord, order_records
from fairbook.core.references import Reference
from fairbook.core.signatures import SIGNATURES_MAX
from fairbook.core.tables import OPERATORS_MAX, Pause, Tables

ORDER_ID_MAX: Final = (1 << 63) - 1
_ALL_PARTS: Final = 15


class Room(NamedTuple):
    """How full a table is."""

    name: str
    used: int
    most: int


@final
class Exchange:
    """The whole state, and the only way to change it."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.matcher = Matcher(self.tables)
        self.orders = OrderCommands(self.tables, self.matcher)
        self.command = Command()
        self.parts = Parts()
        self.admin_call = AdminCall(self.command, self.parts)
        self.sequence: i64 = 0
        self.time_ns: i64 = 0

    def apply(self, frame: bytes, time_ns: i64) -> bytes:
        """Execute the commands of one frame, all at `time_ns`. Returns their events.

        Raises RulesUnknown in a frame that only a later release can execute.
        """
        assert time_ns >= self.time_ns, "log time never decreases"
        self.time_ns = time_ns
        self.matcher.time_ns = time_ns
        if len(self.matcher.texts_of_frame) > 0:
            self.matcher.texts_of_frame.clear()
        out = BytesWriter()
        tables = self.tables
        at: i64 = 0
        if tables.flags != 0 or (len(frame) >= 8 and read_i64_le(frame, 0) & 255 == records.ORIGIN):
            at = self._admit(frame, out)
            if at < 0:
                return out.getvalue()
        tables.begin_frame(frame, self.sequence, time_ns)
        self.matcher.frame += 1
        if len(tables.gateways.ending) > 0:
            self.orders.end_instances(out)
        command = self.command
        end: i64 = len(frame)
        parts: i64 = 0  # how many stand right before `at`
        while at + COMMAND_BYTES <= end:
            command.read(frame, at, self.sequence + 1)
            kind = command.kind
            if records.TEXT_PART <= kind <= records.OPERATOR_PART:
                parts += 1
            else:
                self.sequence += 1
                if parts | command.parts == 0:
                    if kind == records.PLACE:
                        self.orders.place(command, self.parts, out)
                    else:
                        self._apply_one(frame, at, out)
                else:
                    self._apply_unit(frame, at, parts, out)
                    parts = 0
            at += COMMAND_BYTES
        if parts > 0:
            self._reject_parts(frame, at - parts * COMMAND_BYTES, parts, out)
        if at < end:
            self.sequence += 1
            incomplete = Command()
            incomplete.sequence = self.sequence
            put_reject(out, incomplete, records.MALFORMED)
        return out.getvalue()

    def _admit(self, frame: bytes, out: BytesWriter) -> i64:
        """Where the commands of a frame begin that may name its instance; -1: it is passed over."""
        tables = self.tables
        keys = tables.credentials
        passed = tables.gateways.admit(frame, tables.flags, tables.log_id, keys, self.time_ns)
        is_named = has_origin(frame)
        if passed != 0:
            origin = FrameOrigin(frame if is_named else bytes(ORIGIN_BYTES))
            put_passed(out, passed, origin.instance, origin.number)
            return -1
        return ORIGIN_BYTES if is_named else 0

    def _apply_unit(self, frame: bytes, at: i64, parts: i64, out: BytesWriter) -> None:
        """Execute a command that has parts, or that parts stand before. `sequence` counts it."""
        command = self.command
        bits = command.parts
        needed = _count_bits(bits)
        belongs = needed <= parts and bits & ~_ALL_PARTS == 0
        first = at - needed * COMMAND_BYTES
        if belongs:
            seen: i64 = 0
            place = first
            while place < at:
                bit = bit_of(frame[place])
                if bit <= seen or bits & bit == 0:
                    belongs = False
                    break
                seen = bit
                place += COMMAND_BYTES
        if not belongs:
            needed = 0
        if parts > needed:
            self.sequence -= 1
            self._reject_parts(frame, at - parts * COMMAND_BYTES, parts - needed, out)
            self.sequence += 1
            command.read(frame, at, self.sequence)
        self.parts.clear()
        place = at - needed * COMMAND_BYTES
        while place < at:
            self.parts.read(frame, place)
            place += COMMAND_BYTES
        if command.kind == records.RULES:
            check_rules(command)  # A later release may allow other parts.
        if not belongs or not are_valid(self.parts, command.kind, bits, command.flags):
            put_reject(out, command, records.MALFORMED)
            return
        if bits & records.HAS_TEXT_PART != 0:
            command.text = self.parts.text
        self._apply_one(frame, at, out)
        command.text = b""

    def _reject_parts(self, frame: bytes, at: i64, count: i64, out: BytesWriter) -> None:
        """Parts that belong to no command: a malformed command each."""
        command = self.command
        for _ in range(count):
            self.sequence += 1
            command.read(frame, at, self.sequence)
            put_reject(out, command, records.MALFORMED)
            at += COMMAND_BYTES

    def _apply_one(self, frame: bytes, at: i64, out: BytesWriter) -> None:
        command = self.command
        kind = command.kind
        if kind == records.PLACE:
            self.orders.place(command, self.parts, out)
        elif kind == records.CANCEL:
            self.orders.cancel(command, self.parts, out)
        elif kind == records.AMEND:
            self.orders.amend(command, self.parts, out)
        else:
            self._apply_admin(frame, at, out)

    def _apply_admin(self, frame: bytes, at: i64, out: BytesWriter) -> None:
        """All other commands."""
        command, parts, call = self.command, self.parts, self.admin_call
        if command.parts == 0:
            parts.clear()
        call.begin(self.tables, frame, at, self.time_ns)
        if command.kind == records.NOTE:
            command.owner = 0
        if command.kind == records.CANCEL_ALL or command.kind == records.END_SESSION:
            self.orders.cancel_many(command, call, out)
            return
        reject: i64 = records.MALFORMED
        if are_valid(parts, command.kind, command.parts, 0):
            reject = apply_admin(self.tables, call, out)
        if reject != 0:
            put_reject(out, command, reject)
            return
        flags: i64 = records.REPEATED if call.is_repeated else 0
        if command.parts & records.HAS_OPERATOR != 0 and not call.is_repeated:
            put_acted(out, parts)
        put_outcome(out, command, call.status, 0, call.order_id, flags=flags)

    # Queries. They change nothing.

    @property
    def markets(self) -> list[Market]:
        """By id; entry 0 is a placeholder."""
        return self.tables.markets

    @property
    def assets(self) -> list[Asset]:
        """By id; entry 0 is a placeholder."""
        return self.tables.assets

    @property
    def paused(self) -> bool:
        """Whether trading is paused: only cancels are taken."""
        return self.tables.paused

    def balances(self, account: int) -> list[tuple[int, int, int]]:
        """(asset, available, locked) of every asset in atoms; empty for an unknown account."""
        found: list[tuple[int, int, int]] = []
        if 0 <= account < len(self.tables.accounts):
            for asset in range(1, len(self.tables.assets)):
                cell = self.tables.ledger.find(account, asset)
                if cell is None:
                    found.append((asset, 0, 0))
                else:
                    found.append((asset, cell.available, cell.locked))
        return found

    def withdrawable_today(self, account: int, asset: int) -> int:
        """Atoms that the limit of this day of log time leaves; the balance may be less."""
        return max(withdrawable_today(self.tables, account, asset, self.time_ns), 0)

    def open_orders(
        self,
        account: int,
        market: int = 0,
        after: OrderRecord | None = None,
        orders_max: int = ORDER_ID_MAX,
    ) -> list[OrderRecord]:
        """The account's open orders by rising id; market 0: in all markets. At most `orders_max`,
        from the first with a higher id than `after`, which may have been closed meanwhile.
        """
        out = BytesWriter()
        found: i64 = 0
        order = self._open_order_after(account, after)
        while order is not None and found < orders_max:
            if market == 0 or order.book.market.id == market:
                put_open_order(out, order, records.ORDER)
                found += 1
            order = order.account_next
        return order_records(out.getvalue())

    def _open_order_after(self, account: int, after: OrderRecord | None) -> Order | None:
        if not self.tables.is_user(account):
            return None
        order = self.tables.accounts[account].first
        if after is None:
            return order
        same = self.orders.find(account, after.market, after.order_id)
        if same is not None:
            return same.account_next
        while order is not None and order.id <= after.order_id:
            order = order.account_next
        return order

    def open_order_count(self, account: int, market: int = 0) -> int:
        """How many orders of the account are open; market 0: in all markets."""
        if not self.tables.is_user(account):
            return 0
        if market == 0:
            return self.tables.accounts[account].open
        count: i64 = 0
        order = self.tables.accounts[account].first
        while order is not None:
            count += order.book.market.id == market
            order = order.account_next
        return count

    def order(self, account: int, market: int, order_id: int) -> OrderRecord | None:
        """An open order of the account in that market; market 0: in any."""
        if not 0 <= order_id <= ORDER_ID_MAX:
            return None
        if market != 0:
            return _record_of(self.orders.find(account, market, order_id))
        for number in range(1, len(self.tables.books)):
            order = self.orders.find(account, number, order_id)
            if order is not None:
                return _record_of(order)
        return None

    def order_of_client(
        self, account: int, market: int, client_id: int | str
    ) -> OrderRecord | None:
        """The same by client id, a number or a text."""
        if not self.tables.is_user(account):
            return None
        number, text = 0, b""
        if isinstance(client_id, int):
            number = client_id
        elif client_id.isascii():
            text = client_id.encode("ascii")
        if not 0 <= number <= LOW or (isinstance(client_id, str) and len(text) == 0):
            return None
        return _record_of(self.orders.find_by_client_id(account, market, number, text))

    def stored_outcome(self, unit: bytes) -> bytes:
        """The OUTCOME that a PLACE, with its parts, would get for a client id that is remembered;
        empty: it is not, and would be executed.
        """
        command, parts = Command(), Parts()
        at: i64 = 0
        while at < len(unit) - COMMAND_BYTES:
            parts.read(unit, at)
            at += COMMAND_BYTES
        command.read(unit, at, self.sequence)
        command.text = parts.text
        out = BytesWriter()
        if self.tables.is_user(command.account) and has_client_id(command):
            client_ids = self.tables.accounts[command.account].client_ids
            if client_ids is not None:
                self.orders.repeat(command, client_ids, out)
        return out.getvalue()

    def text_of(self, order: OrderRecord) -> str | None:
        """The client id, if it is a text, of an order that is open or that the newest frame has
        closed. order: an event of that frame, which leaves it out.
        """
        closed = self.matcher.texts_of_frame.get(order.order_id)
        if closed is not None:
            return closed.decode("ascii")
        found = self.order(order.account, order.market, order.order_id)
        return None if found is None else found.text

    def depth(
        self, market: int, levels_max: int
    ) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """(bids, asks) as (price, lots), best first; `levels_max` of at least 1."""
        book = self.tables.books[market]
        return _levels(book.bids, levels_max), _levels(book.asks, levels_max)

    def sessions(self) -> list[tuple[int, int, int]]:
        """(account, instance, session) of every session that has open orders, in order."""
        found: dict[tuple[int, int, int], int] = {}
        for book in self.tables.books:
            for order in book.slots.orders:
                instance = None if order is None else order.instance()
                if order is not None and instance is not None:
                    found[(order.account, instance.number, order.session())] = 1
        return sorted(found)

    def account_of_user(self, user_id: int) -> int:
        """The account that OPEN_ACCOUNT gave a user; 0: none."""
        if not 0 < user_id <= ORDER_ID_MAX:
            return 0
        account = self.tables.account_of_user.get(key_of(user_id))
        return 0 if account == ABSENT else account

    def credential(self, digest: bytes) -> Credential | None:
        """What is known of a credential by its hash of 32 bytes, unless it has lost its slot: it
        may have ended.
        """
        place = self.tables.credentials.place_of(digest)
        if place is None:
            return None
        owner_kind, owner, slot = place
        return slots_of(self.tables, owner_kind, owner)[slot - 1]

    def credentials(self, owner_kind: int, owner: int) -> list[Credential]:
        """What is in the slots of an owner, by slot; empty for an unknown owner."""
        tables = self.tables
        counts = (len(tables.accounts), len(tables.operators), 1)
        if not 0 <= owner_kind < len(counts) or not 0 <= owner < counts[owner_kind]:
            return []
        return list(slots_of(tables, owner_kind, owner))

    def roles(self, operator: int) -> int:
        """The roles of an operator; 0: none, or an unknown one."""
        operators = self.tables.operators
        return operators[operator].roles if 0 < operator < len(operators) else 0

    def unbalanced_assets(self) -> int:
        """How many assets do not add up to zero over all accounts: none, unless there is a bug or
        someone has changed the memory. Takes about 30 ms for a million accounts and one asset.
        """
        sums = self.tables.ledger.sums(len(self.tables.assets) - 1)
        return len([total for total in sums if total != 0])

    def operator_roles(self, operator: int) -> int:
        """The roles of an operator; 0 for an unknown one."""
        if not 0 < operator < len(self.tables.operators):
            return 0
        return self.tables.operators[operator].roles

    def reference(self, reference: bytes) -> Reference | None:
        """What became of the money command with these 16 bytes."""
        return self.tables.references.find(reference) if len(reference) == 16 else None

    def gateways(self) -> list[Instance]:
        """The instances that are not ended, or still have orders to be cancelled."""
        return list(self.tables.gateways.rows)

    def pause(self, cause: int) -> Pause:
        """Whether and why trading is paused, by the audit or by an operator."""
        tables = self.tables
        return tables.audit_pause if cause == BY_AUDIT else tables.operator_pause

    @property
    def is_test(self) -> bool:
        """Whether the first frame said that this is a test."""
        return self.tables.flags & TEST_LOG != 0

    def room(self) -> list[Room]:
        """How full the tables are that can be full."""
        tables = self.tables
        orders = max([_open_in(book) for book in tables.books])
        return [
            Room("ids of orders (sequence)", self.sequence, LAST_ORDER_SEQUENCE),
            Room("open orders of one market", orders, SLOTS_MAX),
            Room("accounts", len(tables.accounts), tables.accounts_max),
            Room("credentials", tables.credentials.count, tables.credentials_max),
            Room("references of money", len(tables.references.rows), tables.references_max),
            Room("used signatures", tables.signatures.count, SIGNATURES_MAX),
            Room("assets", len(tables.assets) - 1, ASSETS_MAX),
            Room("markets", len(tables.markets) - 1, MARKETS_MAX),
            Room("operators", len(tables.operators) - 1, OPERATORS_MAX),
            Room("gateways", len(tables.gateways.rows), INSTANCES_MAX),
        ]


def _open_in(book: Book) -> int:
    return len(book.slots.orders) - len(book.slots.free)


def _record_of(order: Order | None) -> OrderRecord | None:
    if order is None:
        return None
    out = BytesWriter()
    put_open_order(out, order, records.ORDER)
    return order_records(out.getvalue())[0]


def _levels(side: BookSide, levels_max: int) -> list[tuple[int, int]]:
    levels = [side.levels[key] for key in side.keys.best(levels_max)]
    return [(level.price, level.lots) for level in levels]


def _count_bits(bits: i64) -> i64:
    count: i64 = 0
    while bits != 0:
        count += bits & 1
        bits >>= 1
    return count
