"""Matching: an accepted order trades with the book, and money moves between accounts.

Design: the taker walks the opposite side from the best price on, and at each price from the oldest
order on. A trade is at the maker's price. What remains of a GTC order rests in the book, with its
reserve locked; any other order is closed. A maker pays from what it has locked, a taker from what
is available, which was checked before it was accepted (order_checks.py).

Invariants, after each call:
- the book is not crossed, and what is locked is the reserve of open orders;
- every trade moves money between four cells and FEE, and sums to zero in both assets;
- an order's fee is its exact fee rounded up once, however many fills it took.
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import BytesWriter
from mypy_extensions import i64

from fairbook.core import records
from fairbook.core.book import Book, BookSide, Level, Order
from fairbook.core.client_ids import NO_ENTRY
from fairbook.core.event_writer import put_fill, put_level, put_order, put_text
from fairbook.core.ledger import Cell
from fairbook.core.tables import Tables
from fairbook.core.units import MAX_ATOMS, MILLION, ppm_floor

NO_BUDGET: Final = -1
NO_CAP: Final = MAX_ATOMS
NO_LIMIT: Final = -(1 << 62)  # a key below every price

# Why a taker went no further.
MET_LIMIT: Final = 0  # nothing remains of it, or no acceptable price
MET_ITSELF: Final = 1
MET_BUDGET: Final = 2
MET_BOUND: Final = 3  # it may look at no more orders


def add_fee(order: Order, received: i64, ppm: i64) -> i64:
    """Add a fill's fee to an order.

    Returns the atoms that this fill pays: the rise of the rounded-up sum.
    """
    paid = order.fee_paid()
    part = received % MILLION * ppm
    order.fee_atoms += received // MILLION * ppm + part // MILLION
    order.fee_millionths += part % MILLION
    if order.fee_millionths >= MILLION:
        order.fee_millionths -= MILLION
        order.fee_atoms += 1
    return order.fee_paid() - paid


def lowest_key(side: i64, price: i64) -> i64:
    """A limit as the lowest key of the opposite side that satisfies it."""
    return -price if side == records.BID else price


def market_key(book: Book, side: i64) -> i64:
    """The limit of a market order: the band around the best opposite price, or NO_LIMIT."""
    opposite = book.asks if side == records.BID else book.bids
    band = book.market.band_ppm
    if band == 0 or len(opposite.levels) == 0:
        return NO_LIMIT
    best: i64 = opposite.keys.last[-1]
    price = best * opposite.sign
    return best - ppm_floor(price, band)


def no_match_reason(opposite: BookSide) -> i64:
    """Why a market order found no more: no orders, or none within its band."""
    if len(opposite.levels) == 0:
        return records.INSUFFICIENT_LIQUIDITY
    return records.PRICE_OUT_OF_BOUNDS


def open_status(order: Order) -> i64:
    return records.NEW if order.filled == 0 else records.PARTIALLY_FILLED


@final
class DryRun:
    """What a taker would get, found without changing anything."""

    def __init__(self) -> None:
        self.lots: i64 = 0
        self.quote: i64 = 0
        self.over: bool = False  # more than the caps: the sums are not complete
        self.met_bound: bool = False  # it might look at no more orders

    def run(
        self,
        book: Book,
        *,
        side: i64,
        account: i64,
        prevention: i64,
        key_min: i64,
        lots: i64,
        budget: i64,
        lots_cap: i64,
        quote_cap: i64,
    ) -> None:
        """Walk for `lots`, or for `budget` quote atoms unless NO_BUDGET; stop beyond a cap."""
        self.lots = self.quote = 0
        self.over = self.met_bound = False
        looked_at: i64 = 0
        opposite = book.asks if side == records.BID else book.bids
        blocks = opposite.keys.blocks
        block_at: i64 = len(blocks) - 1
        keys = blocks[block_at]
        i: i64 = len(keys) - 1
        is_done = False
        while not is_done and i >= 0 and i64(keys[i]) >= key_min:
            level = opposite.levels[keys[i]]
            lot_quote = level.price * book.market.tick_atoms
            maker = level.head
            while maker is not None:
                if looked_at == book.walk_max:
                    self.met_bound = is_done = True
                    break
                looked_at += 1
                if maker.account == account:
                    if prevention != records.REJECT_MAKER:
                        is_done = True
                        break
                    maker = maker.next
                    continue
                traded = min(maker.remaining, lots - self.lots)
                if budget != NO_BUDGET:
                    traded = min(traded, (budget - self.quote) // lot_quote)
                if traded > lots_cap - self.lots or traded * lot_quote > quote_cap - self.quote:
                    self.over = is_done = True
                    break
                self.lots += traded
                self.quote += traded * lot_quote
                # Less than the order has, also by quote: nothing of the next one.
                if traded < maker.remaining or self.lots == lots or self.quote == budget:
                    is_done = True
                    break
                maker = maker.next
            i -= 1
            if i < 0 and block_at > 0:
                block_at -= 1
                keys = blocks[block_at]
                i = len(keys) - 1
        book.end_walk(looked_at)


@final
class Matcher:
    """Runs accepted orders. `time_ns` is the time of the frame."""

    def __init__(self, tables: Tables) -> None:
        self.ledger = tables.ledger
        self.accounts = tables.accounts
        self.dry_run = DryRun()
        self.time_ns: i64 = 0
        self.budget_left: i64 = NO_BUDGET  # of the taker, in quote atoms
        self.looks_left: i64 = 0  # how many more orders it may look at
        self.frame: i64 = 0  # a number that no other frame has
        self.texts_of_frame: dict[int, bytes] = {}  # of orders that it has closed, by id
        # The state of the order of the last call.
        self.status: i64 = 0
        self.reason: i64 = 0

    def run(self, order: Order, key_min: i64, budget: i64, out: BytesWriter) -> None:
        """Match an accepted order, then let what remains rest or expire.

        Sets `status` and `reason`.
        """
        book = order.book
        if order.side == records.BID:
            own_side, opposite = book.bids, book.asks
        else:
            own_side, opposite = book.asks, book.bids
        stop: i64 = MET_LIMIT
        if opposite.crosses(key_min):
            book.begin_walk(self.frame, order.priority)
            if order.tif() == records.FOK and not self._fills_whole(order, key_min):
                why: i64 = records.FILL_OR_KILL
                if self.dry_run.met_bound:
                    why = records.WALK_LIMIT
                self.close(order, records.EXPIRED, why, order.remaining, out)
                return
            self.budget_left = budget
            self.looks_left = book.walk_max
            stop = self._match(order, opposite, key_min, out)
            book.end_walk(book.walk_max - self.looks_left)
        if order.flags & records.BY_QUOTE != 0:
            self._finish_by_quote(order, opposite, stop, budget, out)
        elif order.remaining == 0:
            self.close(order, records.FILLED, records.BY_FILL, order.filled, out)
        elif stop == MET_ITSELF:
            self._expire(order, records.SELF_TRADE, out)
        elif stop == MET_BOUND:
            self._expire(order, records.WALK_LIMIT, out)
        elif order.tif() == records.GTC:
            level = own_side.add(order)
            self._lock(order, order.remaining)
            put_level(out, book.market, order.side, level)
            self.status, self.reason = open_status(order), 0
        else:
            reason: i64 = records.IMMEDIATE_OR_CANCEL
            if order.flags & records.MARKET_ORDER != 0:
                reason = no_match_reason(opposite)
            elif order.tif() == records.FOK:
                reason = records.FILL_OR_KILL
            self._expire(order, reason, out)

    def _finish_by_quote(
        self, order: Order, opposite: BookSide, stop: i64, budget: i64, out: BytesWriter
    ) -> None:
        if stop == MET_ITSELF:
            self.close(order, records.EXPIRED, records.SELF_TRADE, budget, out)
        elif stop == MET_BOUND:
            self.close(order, records.EXPIRED, records.WALK_LIMIT, budget, out)
        elif stop == MET_BUDGET and order.filled > 0:
            self.close(order, records.FILLED, records.BY_FILL, budget, out)
        elif stop == MET_BUDGET:
            self.close(order, records.EXPIRED, records.INSUFFICIENT_LIQUIDITY, budget, out)
        else:
            self.close(order, records.EXPIRED, no_match_reason(opposite), budget, out)

    def _fills_whole(self, order: Order, key_min: i64) -> bool:
        dry_run = self.dry_run
        dry_run.run(
            order.book,
            side=order.side,
            account=order.account,
            prevention=order.flags >> records.STP_SHIFT & records.STP_MASK,
            key_min=key_min,
            lots=order.remaining,
            budget=NO_BUDGET,
            lots_cap=NO_CAP,
            quote_cap=NO_CAP,
        )
        return dry_run.lots == order.remaining

    def _match(self, taker: Order, opposite: BookSide, key_min: i64, out: BytesWriter) -> i64:
        keys = opposite.keys.last
        market = taker.book.market
        stop: i64 = MET_LIMIT
        while (
            stop == MET_LIMIT and taker.remaining > 0 and len(keys) > 0 and i64(keys[-1]) >= key_min
        ):
            level = opposite.levels[keys[-1]]
            before = level.lots
            stop = self._take(taker, level, out)
            if level.lots != before:
                put_level(out, market, 1 - taker.side, level)
            if level.head is None:
                opposite.drop(level)
                keys = opposite.keys.last
        return stop

    def _take(self, taker: Order, level: Level, out: BytesWriter) -> i64:
        """Trade with one price level, oldest order first."""
        lot_quote = level.price * taker.book.market.tick_atoms
        while taker.remaining > 0:
            maker = level.head
            if maker is None:
                break
            if self.looks_left == 0:
                return MET_BOUND
            self.looks_left -= 1
            if maker.account == taker.account:
                prevention = taker.flags >> records.STP_SHIFT & records.STP_MASK
                if prevention != records.REJECT_TAKER:
                    level.unlink(maker)
                    level.lots -= maker.remaining
                    self._lock(maker, -maker.remaining)
                    self._expire(maker, records.SELF_TRADE, out)
                if prevention != records.REJECT_MAKER:
                    return MET_ITSELF
                continue
            lots = maker.remaining
            if lots > taker.remaining:
                lots = taker.remaining
            if self.budget_left != NO_BUDGET:
                affordable = self.budget_left // lot_quote
                if affordable < lots:
                    lots = affordable
                if lots == 0:
                    return MET_BUDGET
                self.budget_left -= lots * lot_quote
            self._trade(taker, maker, lots, lots * lot_quote, out)
            level.lots -= lots
            if maker.remaining == 0:
                level.unlink(maker)
                self.close(maker, records.FILLED, records.BY_FILL, maker.filled, out)
            # The budget is spent, or does not pay another lot of this order.
            if self.budget_left == 0 or (self.budget_left != NO_BUDGET and maker.remaining > 0):
                return MET_BUDGET
        return MET_LIMIT

    def _trade(self, taker: Order, maker: Order, lots: i64, quote: i64, out: BytesWriter) -> None:
        """Move the money of one fill: the taker pays what the maker gets, and the reverse."""
        book = taker.book
        market = book.market
        base = lots * market.lot_atoms
        taker_ppm, maker_ppm = market.taker_fee_ppm, market.maker_fee_ppm
        if len(market.group_fees) > 0:
            taker_ppm = market.taker_fee_of(self.accounts[taker.account].fee_group)
            maker_ppm = market.maker_fee_of(self.accounts[maker.account].fee_group)
        if taker.side == records.BID:
            paid, got, paid_fees, got_fees = quote, base, book.quote_fees, book.base_fees
        else:
            paid, got, paid_fees, got_fees = base, quote, book.base_fees, book.quote_fees
        taker_fee = add_fee(taker, got, taker_ppm)
        maker_fee = add_fee(maker, paid, maker_ppm)
        taker.pays.available -= paid
        maker.pays.locked -= got
        self._received(taker).available += got - taker_fee
        self._received(maker).available += paid - maker_fee
        got_fees.available += taker_fee
        paid_fees.available += maker_fee
        taker.remaining -= lots
        taker.filled += lots
        taker.quote += quote
        maker.remaining -= lots
        maker.filled += lots
        maker.quote += quote
        put_fill(out, taker, maker, lots, taker_fee, maker_fee)

    def _received(self, order: Order) -> Cell:
        """The cell of what an order receives."""
        market = order.book.market
        account = self.accounts[order.account]
        if order.side == records.BID:
            asset = market.base
            cell = account.cell_for_asks(asset)
        else:
            asset = market.quote
            cell = account.cell_for_bids(asset)
        return self.ledger.cell(order.account, asset) if cell is None else cell

    def _lock(self, order: Order, lots: i64) -> None:
        """Move what `lots` of an order may cost from available to locked; back if negative."""
        market = order.book.market
        if order.side == records.BID:
            atoms = order.price * lots * market.tick_atoms
        else:
            atoms = lots * market.lot_atoms
        cell = order.pays
        cell.available -= atoms
        cell.locked += atoms

    def close(
        self, order: Order, status: i64, reason: i64, quantity: i64, out: BytesWriter
    ) -> None:
        """End an order that is no longer in the book. Sets `status` and `reason`."""
        order.book.slots.release(order.id)
        account = self.accounts[order.account]
        account.remove(order)
        if order.client_id_entry != NO_ENTRY:
            table = account.client_ids
            if table is not None:
                has_text = order.flags & records.HAS_TEXT != 0
                table.close(order.client_id_entry, order.client_id(), has_text, self.time_ns)
        rare = order.rare
        if rare is not None:
            if len(rare.text) > 0:
                self.texts_of_frame[order.id] = rare.text
            _forget_rare(order)
        self.status = status
        self.reason = reason
        put_order(out, order, records.CLOSED, status, reason, quantity)

    def _expire(self, order: Order, reason: i64, out: BytesWriter) -> None:
        self.close(order, records.EXPIRED, reason, order.filled + order.remaining, out)

    def cancel(self, order: Order, reason: i64, out: BytesWriter) -> None:
        """Take an open order out of the book, and close it."""
        level = order.book.side(order.side).remove(order)
        self._lock(order, -order.remaining)
        self.close(order, records.CANCELLED, reason, order.filled + order.remaining, out)
        put_level(out, order.book.market, order.side, level)

    def reduce(self, order: Order, remaining: i64, out: BytesWriter) -> None:
        """Lower the quantity of an open order; it keeps its place. Sets `status` and `reason`."""
        less = order.remaining - remaining
        self._lock(order, -less)
        order.remaining = remaining
        level = order.level
        assert level is not None
        level.lots -= less
        put_open_order(out, order, records.AMENDED)
        put_level(out, order.book.market, order.side, level)
        self.status, self.reason = open_status(order), 0

    def replace(
        self, order: Order, price: i64, remaining: i64, priority: i64, out: BytesWriter
    ) -> None:
        """Give an open order other terms; it is matched anew, behind all others at its price."""
        level = order.book.side(order.side).remove(order)
        self._lock(order, -order.remaining)
        order.price = price
        order.remaining = remaining
        order.priority = priority
        put_open_order(out, order, records.AMENDED)
        put_level(out, order.book.market, order.side, level)
        self.run(order, lowest_key(order.side, price), NO_BUDGET, out)


def _forget_rare(order: Order) -> None:
    """Take a closed order out of its gateway's list. Its fields refer to it: a cycle ends here."""
    rare = order.rare
    if rare is not None and rare.instance is not None:
        rare.instance.remove(rare)
    order.rare = None


def put_open_order(out: BytesWriter, order: Order, kind: i64) -> None:
    """Write an open order's record: AMENDED, or ORDER for a query, with its text."""
    if kind == records.ORDER and order.flags & records.HAS_TEXT != 0:
        put_text(out, order.text())
    quantity = order.filled + order.remaining
    put_order(out, order, kind, open_status(order), 0, quantity)
