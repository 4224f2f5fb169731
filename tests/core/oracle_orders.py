"""Orders of the naive exchange: PLACE, CANCEL, AMEND, CANCEL_ALL, END_SESSION.

An order that meets the book is planned first (oracle_walk.py) and then executed; the same plan
gives its cost.
"""

from __future__ import annotations

from dataclasses import replace

from tests.core import wire
from tests.core.commands import Command
from tests.core.oracle_answers import Answers
from tests.core.oracle_checks import has_bad_quantity, status_of_open
from tests.core.oracle_records import (
    CLOSED,
    FEE_GROUP,
    FROZEN,
    LEVELS,
    MAKER_FEE,
    MAX_ATOMS,
    ONLY_CANCEL,
    ONLY_LIMIT,
    ONLY_POST,
    ORDERS_MAX,
    PRICE_MAX,
    PRICE_MIN,
    STATE,
    TAKER_FEE,
    Account,
    Market,
    Order,
    Remembered,
)
from tests.core.oracle_state import FEE
from tests.core.oracle_walk import Plan, walk
from tests.core.wire import Event, Kind, Reject

SLOT_BITS = 20
OPEN_MAX = 2**20  # orders of a market
LAST_PLACED = 2**43 - 2**40  # sequence from which on no order id is given


class OrderCommands(Answers):
    """Commands about orders."""

    def place(self, c: Command) -> list[Event]:
        """Accept, match, and rest or close."""
        market, account = self.market(c.market), self.account(c.account)
        failed = self.who_failures(c)
        if account is None:
            failed.add(Reject.UNKNOWN_ACCOUNT)
        if market is None:
            failed.add(Reject.UNKNOWN_MARKET)
        if failed or account is None or market is None:
            return self.rejected(c, failed)
        key = client_key(c)
        known = None if key is None else self.remembered.get((c.account, key))
        payload = c.variant, c.flags, c.market, c.price, c.quantity
        if known and known.payload == payload:
            assert known.outcome is not None
            return [
                known.outcome._replace(
                    sequence=self.sequence, repeated=1, account=c.account, client_id=c.client_id
                )
            ]
        if known:
            failed.add(Reject.DUPLICATE_CLIENT_ID)
        order = self._new_order(c, market)
        failed |= self.signature_failures(c)
        failed |= self._place_failures(order, account)
        if self._is_short_of_funds(order, failed):
            failed.add(Reject.INSUFFICIENT_FUNDS)
        self.use_signature(c, failed)
        if failed:
            return self.rejected(c, failed)

        order.id |= market.take_slot()
        remembered = Remembered(key or 0, payload, order.id)
        if key is not None:
            self.remembered[c.account, key] = remembered
        accepted = wire.Accepted(
            c.side, c.tif, order.flags, c.market, c.account, c.client_id, c.session, order.id,
            c.price, c.quantity,
        )  # fmt: skip
        events: list[Event] = [accepted]
        if c.text is not None:
            events.insert(0, wire.ClientText(c.text))
        events += self._match_and_settle(c, order)
        assert isinstance(events[-1], wire.Outcome)
        remembered.outcome = events[-1]
        return events

    def _new_order(self, c: Command, market: Market) -> Order:
        """The slot of its id is taken when it is accepted."""
        flags = c.flags if c.text is None else c.flags | wire.HAS_TEXT
        return Order(
            self.sequence << SLOT_BITS, self.sequence, c.account, market, c.side, c.tif, flags,
            c.client_id, c.session, c.price, c.quantity, self.time_ns, self.instance, client_key(c),
        )  # fmt: skip

    def _place_failures(self, order: Order, account: Account) -> set[Reject]:
        """Of the order itself, funds apart."""
        failed = self._entry_failures(order, account)
        rests = not order.is_market and order.tif == wire.GTC
        if rests and len(self.open_orders(order.account)) >= self.parameters[ORDERS_MAX]:
            failed.add(Reject.TOO_MANY_ORDERS)
        if rests and self._has_no_room(order):
            failed.add(Reject.BOOK_FULL)
        if len(self.orders) >= OPEN_MAX and len(self.orders_in(order.market)) >= OPEN_MAX:
            failed.add(Reject.BOOK_FULL)
        if self.sequence >= LAST_PLACED:
            failed.add(Reject.TABLE_FULL)
        return failed

    def _entry_failures(self, order: Order, account: Account) -> set[Reject]:
        """The checks that PLACE and AMEND share; `order` has the requested terms."""
        failed: set[Reject] = set()
        market = order.market.parameters
        is_post_only = bool(order.flags & wire.POST_ONLY)
        if account.parameters[FROZEN]:
            failed.add(Reject.ACCOUNT_FROZEN)
        if self.pauses:
            failed.add(Reject.TRADING_PAUSED)
        if (
            market[STATE] in (ONLY_CANCEL, CLOSED)
            or (market[STATE] == ONLY_POST and not is_post_only)
            or (market[STATE] == ONLY_LIMIT and order.is_market)
        ):
            failed.add(Reject.MARKET_CLOSED)
        if not order.is_market and not market[PRICE_MIN] <= order.price <= market[PRICE_MAX]:
            failed.add(Reject.BAD_PRICE)
        if has_bad_quantity(order):
            failed.add(Reject.BAD_QUANTITY)
        opposite = self.prices(order.market, 1 - order.side)
        if is_post_only and opposite and order.satisfied_by(opposite[0]):
            failed.add(Reject.WOULD_CROSS)
        return failed

    def _has_no_room(self, order: Order) -> bool:
        """Whether its price would be one level too many."""
        prices = self.prices(order.market, order.side)
        return order.price not in prices and len(prices) >= order.market.parameters[LEVELS]

    def _is_short_of_funds(self, order: Order, failed: set[Reject]) -> bool:
        """Whether less is available than it needs.

        An order that is walked to know that is not walked if it has failed before; if it fails
        here, what it looked at counts.
        """
        if failed and min(failed) < Reject.INSUFFICIENT_FUNDS:
            return False
        available = self.available(order.account, order.spends.id)
        plan = None
        if not order.is_market:
            needed = order.reserved
        elif order.is_by_quote == (order.side == wire.BID):
            needed = order.quantity * (1 if order.is_by_quote else order.market.lot_atoms)
        else:
            plan = walk(self, order, cap=available)
            needed = plan.cost(order)
        if needed <= available:
            return False
        order.market.looked_at += plan.looked_at if plan else 0
        return True

    # Matching.

    def _match_and_settle(self, c: Command, order: Order) -> list[Event]:
        """Execute the plan; then close the order or let it rest."""
        plan = walk(self, order)
        order.market.looked_at += plan.looked_at
        if order.tif == wire.FOK and plan.end != wire.BY_FILL:
            limited = plan.end == wire.WALK_LIMIT
            plan = Plan(end=wire.WALK_LIMIT if limited else wire.FILL_OR_KILL)
        events: list[Event] = []
        for at, (maker, lots) in enumerate(plan.steps):
            if lots is None:
                events.append(self.close(maker, wire.EXPIRED, wire.SELF_TRADE))
            else:
                events += self._trade(order, maker, lots)
            if at + 1 == len(plan.steps) or plan.steps[at + 1][0].price != maker.price:
                events.append(self.level(order.market, maker.side, maker.price))
        if not plan.end:
            self.add_order(order)
            events.append(self.level(order.market, order.side, order.price))
            return [*events, self.order_outcome(c, order, status_of_open(order), 0)]
        status = wire.FILLED if plan.end == wire.BY_FILL else wire.EXPIRED
        events.append(self.close(order, status, plan.end))
        return [*events, self.order_outcome(c, order, status, plan.end)]

    def _trade(self, taker: Order, maker: Order, lots: int) -> list[Event]:
        """Swap the assets at the maker's price; each side pays a fee out of what it receives."""
        market = taker.market
        market.last_trade_id += 1
        base_atoms = lots * market.lot_atoms
        quote_atoms = lots * maker.price * market.tick_atoms
        buyer, seller = (taker, maker) if taker.side == wire.BID else (maker, taker)
        self.pay(seller.account, buyer.account, market.base.id, base_atoms)
        self.pay(buyer.account, seller.account, market.quote.id, quote_atoms)
        fees = {}
        for order, rate in ((taker, TAKER_FEE), (maker, MAKER_FEE)):
            received, asset = (
                (base_atoms, market.base) if order is buyer else (quote_atoms, market.quote)
            )
            group = self.accounts[order.account].parameters[FEE_GROUP]
            fee_before = order.fee
            order.filled += lots
            order.quote += quote_atoms
            order.rate_times_received += market.fee_ppm(rate, group) * received
            fees[order] = order.fee - fee_before
            self.pay(order.account, FEE, asset.id, fees[order])
        fill = wire.Fill(
            taker.side, market.id, taker.account, maker.account, market.last_trade_id, taker.id,
            maker.id, maker.price, lots, fees[taker], fees[maker],
        )  # fmt: skip
        if maker.rest == 0:
            return [fill, self.close(maker, wire.FILLED, wire.BY_FILL)]
        return [fill]

    def close(self, order: Order, status: int, reason: int) -> Event:
        """The order is not open any more; its slot may be taken again."""
        self.remove_order(order)
        order.market.given_back.append(order.id % 2**SLOT_BITS)
        self.close_client_id(order)
        return wire.Closed(order.record(status, reason))

    def level(self, market: Market, side: int, price: int) -> Event:
        """What is open at a price now."""
        market.update_id += 1
        lots = self.lots_at(market, side, price)
        return wire.Level(side, market.id, market.update_id, price, lots)

    # Cancelling and amending.

    def _named(self, c: Command) -> Order | None:
        """The open order that CANCEL or AMEND names, if it is the account's and in the market."""
        key, order_id = client_key(c), c.order_id
        if key is not None:
            known = self.remembered.get((c.account, key))
            order_id = known.order_id if known else -1
        order = self.orders.get(order_id)
        if order is None or order.account != c.account:
            return None
        may_be_any = key is not None and c.market == 0
        return order if may_be_any or c.market == order.market.id else None

    def cancel(self, c: Command) -> list[Event]:
        """One order."""
        failed = self.who_failures(c) | self.signature_failures(c)
        if self.account(c.account) is None:
            failed.add(Reject.UNKNOWN_ACCOUNT)
        order = self._named(c)
        if order is None:
            failed.add(Reject.UNKNOWN_ORDER)
        self.use_signature(c, failed)
        if failed or order is None:
            return self.rejected(c, failed)
        return [
            self.close(order, wire.CANCELLED, wire.REQUESTED),
            self.level(order.market, order.side, order.price),
            self.order_outcome(c, order, wire.CANCELLED, wire.REQUESTED),
        ]

    def cancel_many(self, c: Command) -> list[Event]:
        """CANCEL_ALL or END_SESSION."""
        failed = self.who_failures(c) | self.signature_failures(c)
        if self.account(c.account) is None:
            failed.add(Reject.UNKNOWN_ACCOUNT)
        orders = self.open_orders(c.account)
        if c.kind == Kind.CANCEL_ALL:
            reason = wire.BY_CANCEL_ALL
            if c.market and self.market(c.market) is None:
                failed.add(Reject.UNKNOWN_MARKET)
            orders = [order for order in orders if c.market in (0, order.market.id)]
        else:
            reason = wire.SESSION_ENDED
            orders = [
                order
                for order in orders
                if (order.session, order.instance) == (c.session, self.instance)
            ]
        self.use_signature(c, failed)
        if failed:
            return self.rejected(c, failed)
        events = self.close_all(orders, reason)
        return [*events, *self.acted(c), self.done(c)._replace(filled=len(orders))]

    def close_all(self, orders: list[Order], reason: int) -> list[Event]:
        """Cancel them one by one."""
        events: list[Event] = []
        for order in orders:
            events.append(self.close(order, wire.CANCELLED, reason))
            events.append(self.level(order.market, order.side, order.price))
        return events

    def amend(self, c: Command) -> list[Event]:
        """Change the terms of an open order; it keeps its place, or is matched anew."""
        account, order = self.account(c.account), self._named(c)
        failed = self.who_failures(c) | self.signature_failures(c)
        if account is None:
            failed.add(Reject.UNKNOWN_ACCOUNT)
        elif order is None:
            failed.add(Reject.UNKNOWN_ORDER)
        else:
            failed |= self._amend_failures(c, order, account)
        self.use_signature(c, failed)
        if failed or order is None:
            return self.rejected(c, failed)

        price, quantity = terms_after(c, order)
        keeps_place = has_kept_place(order, price, quantity)
        old_price = order.price
        if not keeps_place:
            self.remove_order(order)
            order.priority = self.sequence
        order.price, order.quantity = price, quantity
        status = status_of_open(order)
        events: list[Event] = [wire.Amended(order.record(status))]
        events.append(self.level(order.market, order.side, old_price))
        if keeps_place:
            return [*events, self.order_outcome(c, order, status, 0)]
        return events + self._match_and_settle(c, order)

    def _amend_failures(self, c: Command, order: Order, account: Account) -> set[Reject]:
        price, quantity = terms_after(c, order)
        wish = replace(order, price=price, quantity=quantity)
        failed = self._entry_failures(wish, account)
        if wish.rest <= 0:
            failed.add(Reject.BAD_QUANTITY)
        is_matched = not has_kept_place(order, price, quantity)
        if is_matched and order.quote + wish.notional > MAX_ATOMS:
            failed.add(Reject.BAD_QUANTITY)
        if price != order.price and self._has_no_room(wish):
            failed.add(Reject.BOOK_FULL)
        if wish.reserved - order.reserved > self.available(order.account, order.spends.id):
            failed.add(Reject.INSUFFICIENT_FUNDS)
        return failed


def client_key(c: Command) -> int | bytes | None:
    """The client id of a command: a number, a text, or none."""
    if c.text is not None:
        return c.text
    return c.client_id if c.flags & wire.HAS_CLIENT_ID else None


def terms_after(c: Command, order: Order) -> tuple[int, int]:
    """Price and quantity of an amended order: those not given are kept."""
    return c.price or order.price, c.quantity or order.quantity


def has_kept_place(order: Order, price: int, quantity: int) -> bool:
    """Whether the change leaves the order where it is."""
    return price == order.price and quantity < order.quantity
