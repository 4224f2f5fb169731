"""Matching: what happens between an accepted order and the book, and where the money goes.

How it works: the taker walks the opposite side from the best price on, and at each price from the
oldest order on. A trade is at the maker's
price. What is left of a GTC order then rests, with its reserve locked; anything else is closed. A
maker pays from what it had locked, a
taker from what is available, which was checked before it was accepted.

Always true after each call:
- the book is not crossed, and what is locked is the reserve of open orders;
- every trade moves money between four cells and FEE, and sums to zero in both assets;
- an order's fee is its exact fee rounded up once, however many fills it took.

Not here: whether an order is allowed (exchange.py); what stands where in the book (book.py).
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import BytesWriter
from mypy_extensions import i64

from fairbook.core.book import Book, BookSide, Level, Order, Slots
from fairbook.core.emit import (
    pair,
    put_fill,
    put_level,
    put_order,
)
from fairbook.core.receipts import NONE
from fairbook.core.records import (
    AMENDED,
    BID,
    BY_FILL,
    BY_QUOTE,
    CANCELLED,
    CLOSED,
    EXPIRED,
    FILL_OR_KILL,
    FILLED,
    FOK,
    GTC,
    IMMEDIATE_OR_CANCEL,
    INSUFFICIENT_LIQUIDITY,
    LOW,
    MARKET_ORDER,
    NEW,
    PARTIALLY_FILLED,
    PRICE_OUT_OF_BOUNDS,
    REJECT_MAKER,
    REJECT_TAKER,
    SELF_TRADE,
    STP_MASK,
    STP_SHIFT,
)
from fairbook.core.registry import Registry
from fairbook.core.units import MAX_ATOMS, MILLION, ppm_floor

NO_BUDGET: Final = -1
NO_LIMIT: Final = -(1 << 62)  # a key below every price

# Why a taker went no further.
MET_LIMIT: Final = 0  # nothing left of it, or no acceptable price
MET_ITSELF: Final = 1
MET_BUDGET: Final = 2


def charge(order: Order, received: i64, ppm: i64) -> i64:
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
    """A limit as the lowest key of the opposite half that satisfies it."""
    return -price if side == BID else price


def market_key(book: Book, side: i64) -> i64:
    """The limit of a market order: the band around the best opposite price, or none."""
    half = book.asks if side == BID else book.bids
    band = book.market.band_ppm
    if band == 0 or len(half.keys) == 0:
        return NO_LIMIT
    best: i64 = half.keys[-1]
    price = best * half.sign
    return best - ppm_floor(price, band)


def out_of(half: BookSide) -> i64:
    """Why a market order found no more: no orders, or none within its band."""
    return INSUFFICIENT_LIQUIDITY if len(half.keys) == 0 else PRICE_OUT_OF_BOUNDS


@final
class DryRun:
    """What a taker would get, found without changing anything."""

    def __init__(self) -> None:
        self.lots: i64 = 0
        self.quote: i64 = 0
        self.over: bool = False  # more than the caps: the sums are not complete

    def run(
        self,
        book: Book,
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
        self.over = False
        half = book.asks if side == BID else book.bids
        i: i64 = len(half.keys) - 1
        while i >= 0 and i64(half.keys[i]) >= key_min:
            level = half.levels[half.keys[i]]
            unit = level.price * book.market.tick_atoms
            maker = level.head
            while maker is not None:
                if maker.who & LOW == account:
                    if prevention != REJECT_MAKER:
                        return
                    maker = maker.next
                    continue
                traded = min(maker.rest, lots - self.lots)
                if budget != NO_BUDGET:
                    traded = min(traded, (budget - self.quote) // unit)
                if traded == 0:
                    return
                if traded > lots_cap - self.lots or traded * unit > quote_cap - self.quote:
                    self.over = True
                    return
                self.lots += traded
                self.quote += traded * unit
                if traded < maker.rest:
                    return  # Also by quote: nothing more of this order, so nothing of the next.
                maker = maker.next
            i -= 1


@final
class Matcher:
    """Runs accepted orders. `time_ns` is the time of the frame."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.ledger = registry.ledger
        self.accounts = registry.accounts
        self.slots = Slots()
        self.walk = DryRun()
        self.time_ns: i64 = 0
        self.left: i64 = NO_BUDGET  # of the taker's quote budget
        # How the order of the last `run` ended up.
        self.status: i64 = 0
        self.reason: i64 = 0

    def run(self, order: Order, key_min: i64, budget: i64, out: BytesWriter) -> None:
        """Match an accepted order, then let what is left rest or expire.

        Sets `status` and `reason`.
        """
        book = order.book
        tif = order.session_tif >> 32
        half = book.asks if order.side == BID else book.bids
        stop: i64 = MET_LIMIT
        if half.crosses(key_min):
            if tif == FOK and not self._fills_whole(order, key_min):
                self.close(order, EXPIRED, FILL_OR_KILL, order.rest, out)
                return
            self.left = budget
            stop = self._match(order, half, key_min, out)
        if order.flags & BY_QUOTE != 0:
            self._finish_by_quote(order, half, stop, budget, out)
        elif order.rest == 0:
            self.close(order, FILLED, BY_FILL, order.filled, out)
        elif stop == MET_ITSELF:
            self.close(order, EXPIRED, SELF_TRADE, order.filled + order.rest, out)
        elif tif == GTC:
            self._rest(order, out)
        else:
            reason: i64 = IMMEDIATE_OR_CANCEL
            if order.flags & MARKET_ORDER != 0:
                reason = out_of(half)
            elif tif == FOK:
                reason = FILL_OR_KILL
            self.close(order, EXPIRED, reason, order.filled + order.rest, out)

    def _finish_by_quote(
        self, order: Order, half: BookSide, stop: i64, budget: i64, out: BytesWriter
    ) -> None:
        if stop == MET_ITSELF:
            self.close(order, EXPIRED, SELF_TRADE, budget, out)
        elif stop == MET_BUDGET and order.filled > 0:
            self.close(order, FILLED, BY_FILL, budget, out)
        elif stop == MET_BUDGET:
            self.close(order, EXPIRED, INSUFFICIENT_LIQUIDITY, budget, out)
        else:
            self.close(order, EXPIRED, out_of(half), budget, out)

    def _fills_whole(self, order: Order, key_min: i64) -> bool:
        walk = self.walk
        walk.run(
            order.book,
            order.side,
            order.who & LOW,
            order.flags >> STP_SHIFT & STP_MASK,
            key_min,
            order.rest,
            NO_BUDGET,
            MAX_ATOMS,
            MAX_ATOMS,
        )
        return walk.lots == order.rest

    def _match(self, taker: Order, half: BookSide, key_min: i64, out: BytesWriter) -> i64:
        keys = half.keys
        market = taker.book.market
        stop: i64 = MET_LIMIT
        while stop == MET_LIMIT and taker.rest > 0 and len(keys) > 0 and i64(keys[-1]) >= key_min:
            level = half.levels[keys[-1]]
            before = level.lots
            stop = self._take(taker, level, out)
            if level.lots != before:
                market.update_id += 1
                put_level(out, 1 - taker.side, market.id, market.update_id, level.price, level.lots)
            if level.head is None:
                del half.levels[keys.pop()]
        return stop

    def _take(self, taker: Order, level: Level, out: BytesWriter) -> i64:
        """Trade with one price level, oldest order first."""
        account = taker.who & LOW
        unit = level.price * taker.book.market.tick_atoms
        while taker.rest > 0:
            maker = level.head
            if maker is None:
                break
            if maker.who & LOW == account:
                prevention = taker.flags >> STP_SHIFT & STP_MASK
                if prevention != REJECT_TAKER:
                    level.unlink(maker)
                    level.lots -= maker.rest
                    self.release(maker)
                    self.close(maker, EXPIRED, SELF_TRADE, maker.filled + maker.rest, out)
                if prevention != REJECT_MAKER:
                    return MET_ITSELF
                continue
            lots = maker.rest
            if lots > taker.rest:
                lots = taker.rest
            if self.left != NO_BUDGET:
                affordable = self.left // unit
                if affordable < lots:
                    lots = affordable
                if lots == 0:
                    return MET_BUDGET
                self.left -= lots * unit
            self._trade(taker, maker, lots, lots * unit, out)
            level.lots -= lots
            if maker.rest == 0:
                level.unlink(maker)
                self.close(maker, FILLED, BY_FILL, maker.filled, out)
            if self.left == 0:
                return MET_BUDGET
        return MET_LIMIT

    def _trade(self, taker: Order, maker: Order, lots: i64, quote: i64, out: BytesWriter) -> None:
        """Move the money of one fill.

        The taker pays what the maker gets, and the other way round.
        """
        market = taker.book.market
        base = lots * market.lot_atoms
        if taker.side == BID:
            paid, paid_asset, got, got_asset = quote, market.quote, base, market.base
        else:
            paid, paid_asset, got, got_asset = base, market.base, quote, market.quote
        taker_fee = charge(taker, got, market.taker_fee_ppm)
        maker_fee = charge(maker, paid, market.maker_fee_ppm)
        ledger = self.ledger
        cells, columns = ledger.cells, ledger.columns
        taker_row = (taker.who & LOW) * columns
        maker_row = (maker.who & LOW) * columns
        cells[taker_row + paid_asset].available -= paid
        cells[taker_row + got_asset].available += got - taker_fee
        cells[maker_row + got_asset].locked -= got
        cells[maker_row + paid_asset].available += paid - maker_fee
        cells[columns + got_asset].available += taker_fee  # row 1 is FEE
        cells[columns + paid_asset].available += maker_fee
        taker.rest -= lots
        taker.filled += lots
        taker.quote += quote
        maker.rest -= lots
        maker.filled += lots
        maker.quote += quote
        market.last_trade_id += 1
        put_fill(
            out,
            taker.side,
            market.id,
            pair(taker.who & LOW, maker.who & LOW),
            market.last_trade_id,
            taker.id,
            maker.id,
            maker.price,
            lots,
            taker_fee,
            maker_fee,
        )

    def _rest(self, order: Order, out: BytesWriter) -> None:
        book = order.book
        market = book.market
        account = order.who & LOW
        if order.side == BID:
            cell = self.ledger.cell(account, market.quote)
            reserve = order.price * order.rest * market.tick_atoms
            lots = book.bids.add(order)
        else:
            cell = self.ledger.cell(account, market.base)
            reserve = order.rest * market.lot_atoms
            lots = book.asks.add(order)
        cell.available -= reserve
        cell.locked += reserve
        self.put_level(order, order.price, lots, out)
        self.status = NEW if order.filled == 0 else PARTIALLY_FILLED
        self.reason = 0

    def release(self, order: Order) -> None:
        """Unlock what an order that leaves the book still holds."""
        market = order.book.market
        account = order.who & LOW
        if order.side == BID:
            cell = self.ledger.cell(account, market.quote)
            reserve = order.price * order.rest * market.tick_atoms
        else:
            cell = self.ledger.cell(account, market.base)
            reserve = order.rest * market.lot_atoms
        cell.locked -= reserve
        cell.available += reserve

    def close(
        self, order: Order, status: i64, reason: i64, quantity: i64, out: BytesWriter
    ) -> None:
        """End an order that is no longer in the book. Sets `status` and `reason`."""
        self.slots.give_back(order.id)
        account = self.accounts[order.who & LOW]
        account.remove(order)
        if order.receipt != NONE:
            account.remembered().close(order.receipt, order.who >> 32 & LOW, self.time_ns)
        self.status = status
        self.reason = reason
        self._put(order, CLOSED, reason, status, quantity, out)

    def _put(
        self, order: Order, kind: i64, reason: i64, status: i64, quantity: i64, out: BytesWriter
    ) -> None:
        put_order(
            out,
            kind,
            order.side,
            reason,
            status,
            order.book.market.id,
            order.flags,
            order.who,
            order.session_tif,
            order.id,
            order.price,
            quantity,
            order.filled,
            order.quote,
            order.created_ns,
            order.fee_paid(),
        )

    def put_open(self, order: Order, kind: i64, out: BytesWriter) -> None:
        """Write an open order's record: AMENDED, or ORDER for a query."""
        status: i64 = NEW if order.filled == 0 else PARTIALLY_FILLED
        self._put(order, kind, 0, status, order.filled + order.rest, out)

    def withdraw(self, order: Order, reason: i64, out: BytesWriter) -> None:
        """Cancel an open order."""
        lots = order.book.half(order.side).remove(order)
        self.release(order)
        self.close(order, CANCELLED, reason, order.filled + order.rest, out)
        self.put_level(order, order.price, lots, out)

    def shrink(self, order: Order, rest: i64, out: BytesWriter) -> None:
        """Lower what is left of an open order; it keeps its place. Sets `status` and `reason`."""
        market = order.book.market
        account = order.who & LOW
        less = order.rest - rest
        if order.side == BID:
            cell = self.ledger.cell(account, market.quote)
            reserve = order.price * less * market.tick_atoms
        else:
            cell = self.ledger.cell(account, market.base)
            reserve = less * market.lot_atoms
        cell.locked -= reserve
        cell.available += reserve
        order.rest = rest
        level = order.level
        assert level is not None
        level.lots -= less
        self.put_open(order, AMENDED, out)
        self.put_level(order, order.price, level.lots, out)
        self.status = NEW if order.filled == 0 else PARTIALLY_FILLED
        self.reason = 0

    def put_level(self, order: Order, price: i64, lots: i64, out: BytesWriter) -> None:
        """Write what stands now at a price that an order came to or left."""
        market = order.book.market
        market.update_id += 1
        put_level(out, order.side, market.id, market.update_id, price, lots)
