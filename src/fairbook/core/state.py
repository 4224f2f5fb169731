"""The state as bytes, its digest, and a check of everything that must hold.

How it works: `dump` writes every number of the state as 64-bit words, in an order that depends on
nothing but the state; `load` reads them
back. Orders are written by rising priority, so that appending them one by one rebuilds every queue.

Always true: load(dump(x)) dumps to the same bytes, and goes on to give the same events as x.

Not here: files and checksums (engine/snapshots.py). The layout is not a contract: a snapshot of
another format is refused by its version, and
the log is replayed instead.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, final

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from mypy_extensions import i64

from fairbook.core.accounts import Account
from fairbook.core.book import SLOT_MASK, BookSide, Order
from fairbook.core.exchange import Exchange
from fairbook.core.ledger import EXTERNAL, FIRST_USER
from fairbook.core.markets import Asset, Market
from fairbook.core.receipts import ANSWER, CLOSED_MAX, ENTRY_WORDS, NONE, ORDER_ID, Receipts
from fairbook.core.records import BID, LOW
from fairbook.core.units import MAX_ATOMS, MAX_UNITS, tick_size

FORMAT: Final = 1
DIGEST_BYTES: Final = 32


def digest(exchange: Exchange) -> bytes:
    """32 bytes that stand for the whole state: blake2b over `dump`."""
    return blake2b(dump(exchange), digest_size=DIGEST_BYTES).digest()


def dump(exchange: Exchange) -> bytes:
    """The whole state."""
    out = BytesWriter()
    registry = exchange.registry
    for word in (
        FORMAT,
        registry.rules,
        exchange.sequence,
        exchange.time_ns,
        1 if registry.cancel_only else 0,
        registry.orders_max,
        registry.accounts_max,
        len(registry.assets),
        len(registry.markets),
        len(registry.accounts),
    ):
        write_i64_le(out, word)
    for asset in registry.assets[1:]:
        _put_name(out, asset.name)
        write_i64_le(out, asset.decimals)
        write_i64_le(out, asset.reserve_cap)
    for market in registry.markets[1:]:
        put_market(out, market)
    for account in registry.accounts:
        write_i64_le(out, account.user_id)
        write_i64_le(out, 1 if account.frozen else 0)
    for cell in registry.ledger.cells:
        write_i64_le(out, cell.available)
        write_i64_le(out, cell.locked)
    _put_orders(out, exchange)
    _put_receipts(out, exchange)
    return out.getvalue()


def _put_name(out: BytesWriter, name: str) -> None:
    out.write(name.encode("ascii").ljust(16, b"\0"))


def put_market(out: BytesWriter, market: Market) -> None:
    """Every number of a market but its id, which is its place."""
    _put_name(out, market.name)
    for word in (
        market.base,
        market.quote,
        market.lot_atoms,
        market.tick_atoms,
        market.created_ns,
        market.state,
        market.maker_fee_ppm,
        market.taker_fee_ppm,
        market.price_min,
        market.price_max,
        market.quantity_min,
        market.quantity_max,
        market.band_ppm,
        market.levels_max,
        market.update_id,
        market.last_trade_id,
    ):
        write_i64_le(out, word)


def _put_orders(out: BytesWriter, exchange: Exchange) -> None:
    slots = exchange.matcher.slots
    write_i64_le(out, len(slots.orders))
    write_i64_le(out, len(slots.free))
    for slot in slots.free:
        write_i64_le(out, slot)
    for order in by_priority(exchange):
        write_i64_le(out, order.id)
        write_i64_le(out, order.book.market.id)
        write_i64_le(out, order.who)
        write_i64_le(out, order.session_tif)
        write_i64_le(out, order.side)
        write_i64_le(out, order.flags)
        write_i64_le(out, order.price)
        write_i64_le(out, order.rest)
        write_i64_le(out, order.filled)
        write_i64_le(out, order.quote)
        write_i64_le(out, order.fee_atoms)
        write_i64_le(out, order.fee_millionths)
        write_i64_le(out, order.created_ns)
        write_i64_le(out, order.priority)
        write_i64_le(out, 0 if order.receipt == NONE else 1)
        if order.receipt != NONE:
            exchange.registry.accounts[order.who & LOW].remembered().put(order.receipt, out)


def by_priority(exchange: Exchange) -> list[Order]:
    """Every open order, the one that came to its place first, first.

    No two have the same priority.
    """
    found: dict[int, Order] = {}
    for order in exchange.matcher.slots.orders:
        if order is not None:
            found[order.priority] = order
    return [found[priority] for priority in sorted(found)]


def _put_receipts(out: BytesWriter, exchange: Exchange) -> None:
    """Those of closed orders: by account, the oldest first."""
    for number, account in enumerate(exchange.registry.accounts):
        receipts = account.receipts
        if receipts is not None:
            for which in range(receipts.closed):
                write_i64_le(out, number)
                write_i64_le(out, receipts.closed_client_id(which))
                write_i64_le(out, receipts.closed_ns(which))
                receipts.put(receipts.closed_entry(which), out)


@final
class Words:
    """A cursor over the words of a dump."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at: i64 = 0

    def next(self) -> i64:
        """The next word."""
        word = read_i64_le(self.data, self.at)
        self.at += 8
        return word

    def name(self) -> str:
        """The next two words, as a name."""
        text = self.data[self.at : self.at + 16].rstrip(b"\0").decode("ascii")
        self.at += 16
        return text

    def more(self) -> bool:
        """Whether anything is left."""
        return self.at < len(self.data)


def load(data: bytes) -> Exchange:
    """The state that `dump` wrote.

    Raises ValueError for another format; `data` was checksummed by whoever kept it.
    """
    words = Words(data)
    if words.next() != FORMAT:
        raise ValueError(f"not a state of format {FORMAT}")
    exchange = Exchange()
    registry = exchange.registry
    registry.rules = words.next()
    exchange.sequence = words.next()
    exchange.time_ns = words.next()
    exchange.matcher.time_ns = exchange.time_ns
    registry.cancel_only = words.next() == 1
    registry.orders_max = words.next()
    registry.accounts_max = words.next()
    assets, markets, accounts = words.next(), words.next(), words.next()
    for number in range(1, assets):
        name = words.name()
        asset = Asset(number, name, words.next())
        asset.reserve_cap = words.next()
        registry.add_asset(asset)
    for number in range(1, markets):
        registry.add_market(_market(words, number, registry.assets))
    for number in range(accounts):
        user_id, frozen = words.next(), words.next() == 1
        if number >= FIRST_USER:
            registry.add_account(Account(user_id))
        registry.accounts[number].frozen = frozen
    for cell in registry.ledger.cells:
        cell.available = words.next()
        cell.locked = words.next()
    _load_orders(words, exchange)
    while words.more():
        receipts = registry.accounts[words.next()].remembered()
        client_id, closed_ns = words.next(), words.next()
        receipts.close(_receipt(words, receipts, client_id), client_id, closed_ns)
    return exchange


def _market(words: Words, number: i64, assets: list[Asset]) -> Market:
    name = words.name()
    base, quote = words.next(), words.next()
    lot_atoms, tick_atoms = words.next(), words.next()
    step, decimals = tick_size(
        lot_atoms=lot_atoms,
        tick_atoms=tick_atoms,
        base_decimals=assets[base].decimals,
        quote_decimals=assets[quote].decimals,
    )
    created_ns = words.next()
    market = Market(number, name, base, quote, lot_atoms, tick_atoms, step, decimals, created_ns)
    market.state = words.next()
    market.maker_fee_ppm = words.next()
    market.taker_fee_ppm = words.next()
    market.price_min = words.next()
    market.price_max = words.next()
    market.quantity_min = words.next()
    market.quantity_max = words.next()
    market.band_ppm = words.next()
    market.levels_max = words.next()
    market.update_id = words.next()
    market.last_trade_id = words.next()
    return market


def _receipt(words: Words, receipts: Receipts, client_id: i64) -> i64:
    """Add the entry that stands next."""
    payload, price, quantity = words.next(), words.next(), words.next()
    entry = receipts.add(client_id, payload, price, quantity, words.next())
    for which in range(ANSWER, ENTRY_WORDS):
        receipts.set_word(entry, which, words.next())
    return entry


def _load_orders(words: Words, exchange: Exchange) -> None:
    registry = exchange.registry
    slots = exchange.matcher.slots
    count, free = words.next(), words.next()
    slots.orders = [None] * count
    for _ in range(free):
        slots.free.append(words.next())
    by_id: dict[int, Order] = {}
    for _ in range(count - free):
        order_id, market, who, session_tif = words.next(), words.next(), words.next(), words.next()
        side, flags, price, rest = words.next(), words.next(), words.next(), words.next()
        filled, quote, fee_atoms, fee_millionths = (
            words.next(),
            words.next(),
            words.next(),
            words.next(),
        )
        created_ns, priority = words.next(), words.next()
        book = registry.books[market]
        order = Order(
            order_id, who, session_tif, side, flags, price, rest, created_ns, priority, book
        )
        order.filled = filled
        order.quote = quote
        order.fee_atoms = fee_atoms
        order.fee_millionths = fee_millionths
        if words.next() == 1:
            receipts = registry.accounts[who & LOW].remembered()
            order.receipt = _receipt(words, receipts, who >> 32 & LOW)
        slots.put(order)
        book.half(side).add(order)
        by_id[order_id] = order
    for known_id in sorted(by_id):
        order = by_id[known_id]
        registry.accounts[order.who & LOW].add(order)


def check(exchange: Exchange) -> None:
    """Assert the invariants that can be seen in one state; the message names the one that fails.

    The numbers are those of the list in docs/reference/ledger-rules.md.
    """
    _check_money(exchange)
    for market in range(1, len(exchange.markets)):
        book = exchange.registry.books[market]
        _check_half(book.bids)
        _check_half(book.asks)
        bids, asks = book.bids.keys, book.asks.keys
        assert not bids or not asks or bids[-1] < -asks[-1], f"12: market {market} is crossed"
    _check_indexes(exchange)
    _check_receipts(exchange)


def _check_money(exchange: Exchange) -> None:
    registry = exchange.registry
    reserves: dict[tuple[int, int], int] = {}
    for order in exchange.matcher.slots.orders:
        if order is not None:
            market = order.book.market
            if order.side == BID:
                place: tuple[int, int] = (order.who & LOW, market.quote)
                reserve: int = order.price * order.rest * market.tick_atoms
            else:
                place = (order.who & LOW, market.base)
                reserve = order.rest * market.lot_atoms
            reserves[place] = reserves.get(place, 0) + reserve
    for asset in range(1, len(registry.assets)):
        total: int = 0
        for account in range(len(registry.accounts)):
            cell = registry.ledger.cell(account, asset)
            available: int = cell.available
            locked: int = cell.locked
            total += available + locked
            where = f"account {account}, asset {asset}"
            assert locked == reserves.get((account, asset), 0), f"3: unexplained lock, {where}"
            assert account == EXTERNAL or available >= 0, f"2: negative balance, {where}"
            assert available + locked <= MAX_ATOMS, f"11: balance too large, {where}"
        assert total == 0, f"1: asset {asset} sums to {total}"


def _check_half(half: BookSide) -> None:
    assert half.keys == sorted(half.levels), "20: keys and levels differ"
    for key in half.keys:
        level = half.levels[key]
        assert level.price * half.sign == key, f"20: level {key} has another price"
        total: i64 = 0
        priority: i64 = 0
        before: Order | None = None
        order = level.head
        assert order is not None, f"13: level {key} is empty"
        while order is not None:
            assert order.rest > 0, f"13: order {order.id} rests with nothing left"
            assert order.price == level.price and order.level is level, f"20: order {order.id}"
            assert order.prev is before, f"20: order {order.id} is linked wrongly"
            assert order.priority > priority, f"14: order {order.id} stands before an older one"
            assert 1 <= order.price <= MAX_UNITS, f"11: order {order.id}"
            priority = order.priority
            total += order.rest
            before = order
            order = order.next
        assert level.tail is before, f"20: level {key} has a wrong tail"
        assert level.lots == total, f"13: level {key} says {level.lots}, its orders {total}"


def _check_indexes(exchange: Exchange) -> None:
    registry = exchange.registry
    slots = exchange.matcher.slots
    open_orders = 0
    for slot, order in enumerate(slots.orders):
        if order is not None:
            open_orders += 1
            assert order.id & SLOT_MASK == slot, f"20: order {order.id} is in slot {slot}"
            level = order.level
            assert level is not None, f"20: order {order.id} is in no level"
            known = order.book.half(order.side).levels.get(
                order.book.half(order.side).sign * order.price
            )
            assert known is level, f"20: order {order.id} is in a level outside its book"
    assert open_orders + len(slots.free) == len(slots.orders), "20: slots lost"
    assert len(set(slots.free)) == len(slots.free), "20: a slot is free twice"
    in_books = 0
    for book in registry.books:
        for half in (book.bids, book.asks):
            for level in half.levels.values():
                resting = level.head
                while resting is not None:
                    in_books += 1
                    assert slots.find(resting.id) is resting, f"20: order {resting.id} has no slot"
                    resting = resting.next
    owned = 0
    for number, account in enumerate(registry.accounts):
        last_id: i64 = 0
        count = 0
        own = account.first
        while own is not None:
            count += 1
            assert own.who & LOW == number, f"20: order {own.id} is with account {number}"
            assert own.id > last_id, f"20: account {number} lists orders out of order"
            last_id = own.id
            own = own.own_next
        assert count == account.open, f"20: account {number} counts {account.open} of {count}"
        owned += count
    assert owned == open_orders == in_books, "20: indexes differ"


def _check_receipts(exchange: Exchange) -> None:
    slots = exchange.matcher.slots
    remembered = 0
    closed = 0
    for number, account in enumerate(exchange.registry.accounts):
        receipts = account.receipts
        if receipts is None:
            continue
        last_ns: i64 = 0
        for which in range(receipts.closed):
            closed_ns = receipts.closed_ns(which)
            assert closed_ns >= last_ns, f"26: receipts of account {number} out of order"
            last_ns = closed_ns
            entry = receipts.closed_entry(which)
            open_order = slots.find(receipts.word(entry, ORDER_ID))
            assert open_order is None, f"26: a receipt of account {number} closed too early"
            found = receipts.find(receipts.closed_client_id(which))
            assert found == entry, f"26: a receipt of account {number} cannot be found"
        assert receipts.closed <= CLOSED_MAX, f"26: account {number} keeps too many receipts"
        closed += receipts.closed
        remembered += receipts.count
    open_receipts = 0
    for order in slots.orders:
        if order is not None and order.receipt != NONE:
            open_receipts += 1
            its = exchange.registry.accounts[order.who & LOW].remembered()
            found = its.find(order.who >> 32 & LOW)
            assert found == order.receipt, f"26: order {order.id} has no receipt"
            assert its.word(found, ORDER_ID) == order.id, f"26: order {order.id} has another's"
    assert closed + open_receipts == remembered, "26: receipts lost"
