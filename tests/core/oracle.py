"""A naive exchange: docs/reference/protocol.md written as plainly as possible, regardless of speed.

Design: `apply` takes one command and returns its events. The answer to an invalid command is the
lowest reject code, so all checks are collected first, in any order; changes follow. An order that
meets the book is planned first (oracle_walk.py) and then executed; the same plan gives its cost.

Invariants: numbers are Python's and never overflow; the locked amounts are computed from the open
orders (oracle_state.py).
"""

from __future__ import annotations

from dataclasses import replace

from tests.core import wire
from tests.core.oracle_checks import (
    PARAMETERS,
    has_bad_quantity,
    has_sound_ranges,
    is_malformed,
    is_tick_size,
    listing_failures,
    name_of,
    status_of_open,
)
from tests.core.oracle_state import (
    ACCOUNTS_MAX,
    CLOSED,
    EXTERNAL,
    FEE,
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
    RESERVE_CAP,
    STATE,
    TAKER_FEE,
    Account,
    Asset,
    Market,
    Order,
    Receipt,
    State,
)
from tests.core.oracle_walk import Plan, walk
from tests.core.wire import Command, Event, Kind, Reject


class Oracle(State):
    """One exchange."""

    def apply(self, command: Command | None, time_ns: int, slot: int) -> list[Event]:
        """The events of one command.

        slot: where the core keeps the order of this command; the document leaves that to the core.
        """
        self.sequence += 1
        self.time_ns = time_ns
        if command is None:
            return [wire.Outcome(0, 0, 1, 0, 0, 0, 0, self.sequence, 0, 0, 0, 0)]
        self.order_id = self.sequence << 24 | slot
        if is_malformed(command):
            return [self._rejected(command, Reject.MALFORMED)]
        if not self.rules and command.kind not in (Kind.RULES, Kind.TICK):
            return [self._rejected(command, Reject.NO_RULES)]
        match command.kind:
            case Kind.RULES:
                return self._set_rules(command)
            case Kind.TICK:
                return [self._done(command)]
            case Kind.PLACE:
                return self._place(command)
            case Kind.CANCEL:
                return self._cancel(command)
            case Kind.AMEND:
                return self._amend(command)
            case Kind.CANCEL_ALL | Kind.END_SESSION:
                return self._cancel_many(command)
            case Kind.OPEN_ACCOUNT:
                return self._open_account(command)
            case Kind.CREDIT | Kind.DEBIT:
                return self._move(command)
            case Kind.LIST_ASSET:
                return self._list_asset(command)
            case Kind.LIST_MARKET:
                return self._list_market(command)
        return self._set(command)

    # Placing.

    def _place(self, c: Command) -> list[Event]:
        key = c.account, c.client_id
        payload = c.side, c.tif, c.flags, c.market, c.price, c.quantity
        market = self.market(c.market)
        remembered = self.receipts.get(key) if c.flags & wire.HAS_CLIENT_ID else None
        if self.account(c.account) and market and remembered and remembered.payload == payload:
            assert remembered.outcome is not None
            return [remembered.outcome._replace(sequence=self.sequence, repeated=1)]
        failed = self._place_failures(c, market, remembered)
        if failed or market is None:
            return [self._rejected(c, min(failed))]

        order = self._new_order(c, market)
        receipt = Receipt(c.client_id, payload, order.id)
        if c.flags & wire.HAS_CLIENT_ID:
            self.receipts[key] = receipt
        events: list[Event] = [
            wire.Accepted(
                c.side,
                c.tif,
                c.flags,
                c.market,
                c.account,
                c.client_id,
                c.session,
                order.id,
                c.price,
                c.quantity,
            )
        ]
        events += self._match_and_settle(c, order)
        assert isinstance(events[-1], wire.Outcome)
        receipt.outcome = events[-1]
        return events

    def _new_order(self, c: Command, market: Market) -> Order:
        return Order(
            self.order_id, self.sequence, c.account, market, c.side, c.tif, c.flags, c.client_id,
            c.session, c.price, c.quantity, self.time_ns,
        )  # fmt: skip

    def _place_failures(
        self, c: Command, market: Market | None, known: Receipt | None
    ) -> set[Reject]:
        failed: set[Reject] = set()
        account = self.account(c.account)
        if account is None:
            failed.add(Reject.UNKNOWN_ACCOUNT)
        if market is None:
            failed.add(Reject.UNKNOWN_MARKET)
        if account is None or market is None:
            return failed
        if known:
            failed.add(Reject.DUPLICATE_CLIENT_ID)
        order = self._new_order(c, market)
        failed |= self._entry_failures(order, account)
        rests = not order.is_market and c.tif == wire.GTC
        if rests and len(self.open_orders(c.account)) >= self.parameters[ORDERS_MAX]:
            failed.add(Reject.TOO_MANY_ORDERS)
        if rests and self._has_no_room(order):
            failed.add(Reject.BOOK_FULL)
        if self.available(c.account, order.spends.id) < self._needed(order):
            failed.add(Reject.INSUFFICIENT_FUNDS)
        return failed

    def _entry_failures(self, order: Order, account: Account) -> set[Reject]:
        """The checks that PLACE and AMEND share; `order` has the requested terms."""
        failed: set[Reject] = set()
        market = order.market.parameters
        is_post_only = bool(order.flags & wire.POST_ONLY)
        if account.parameters[FROZEN]:
            failed.add(Reject.ACCOUNT_FROZEN)
        if self.parameters[STATE]:
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
        opposite = self.book(order.market, 1 - order.side)
        if is_post_only and opposite and order.satisfied_by(opposite[0].price):
            failed.add(Reject.WOULD_CROSS)
        return failed

    def _has_no_room(self, order: Order) -> bool:
        """Whether its price would be one level too many."""
        prices = [price for price, _ in self.levels(order.market, order.side)]
        return order.price not in prices and len(prices) >= order.market.parameters[LEVELS]

    def _needed(self, order: Order) -> int:
        """Atoms that must be available for it."""
        if not order.is_market:
            return order.reserved
        if order.side == wire.BID:
            return order.quantity if order.is_by_quote else walk(self, order).quote
        lots = walk(self, order).lots if order.is_by_quote else order.quantity
        return lots * order.market.lot_atoms

    # Matching.

    def _match_and_settle(self, c: Command, order: Order) -> list[Event]:
        """Execute the plan; then close the order or let it rest."""
        plan = walk(self, order)
        if order.tif == wire.FOK and plan.end != wire.BY_FILL:
            plan = Plan(end=wire.FILL_OR_KILL)
        events: list[Event] = []
        for at, (maker, lots) in enumerate(plan.steps):
            if lots is None:
                events.append(self._close(maker, wire.EXPIRED, wire.SELF_TRADE))
            else:
                events += self._trade(order, maker, lots)
            if at + 1 == len(plan.steps) or plan.steps[at + 1][0].price != maker.price:
                events.append(self._level(order.market, maker.side, maker.price))
        if not plan.end:
            self.orders[order.id] = order
            events.append(self._level(order.market, order.side, order.price))
            return [*events, self._order_outcome(c, order, status_of_open(order), 0)]
        status = wire.FILLED if plan.end == wire.BY_FILL else wire.EXPIRED
        events.append(self._close(order, status, plan.end))
        return [*events, self._order_outcome(c, order, status, plan.end)]

    def _trade(self, taker: Order, maker: Order, lots: int) -> list[Event]:
        """Swap the assets at the maker's price; each side pays a fee out of what it receives."""
        market = taker.market
        market.last_trade_id += 1
        base_atoms = lots * market.lot_atoms
        quote_atoms = lots * maker.price * market.tick_atoms
        buyer, seller = (taker, maker) if taker.side == wire.BID else (maker, taker)
        self.pay(seller.account, buyer.account, market.base, base_atoms)
        self.pay(buyer.account, seller.account, market.quote, quote_atoms)
        fees = {}
        for order, rate in ((taker, TAKER_FEE), (maker, MAKER_FEE)):
            received, asset = (
                (base_atoms, market.base) if order is buyer else (quote_atoms, market.quote)
            )
            fee_before = order.fee
            order.filled += lots
            order.quote += quote_atoms
            order.rate_times_received += market.parameters[rate] * received
            fees[order] = order.fee - fee_before
            self.pay(order.account, FEE, asset, fees[order])
        events: list[Event] = [
            wire.Fill(
                taker.side,
                market.id,
                taker.account,
                maker.account,
                market.last_trade_id,
                taker.id,
                maker.id,
                maker.price,
                lots,
                fees[taker],
                fees[maker],
            )
        ]
        if maker.rest == 0:
            events.append(self._close(maker, wire.FILLED, wire.BY_FILL))
        return events

    def _close(self, order: Order, status: int, reason: int) -> Event:
        self.orders.pop(order.id, None)
        self.close_receipt(order, self.time_ns)
        return wire.Closed(order.record(status, reason))

    def _level(self, market: Market, side: int, price: int) -> Event:
        market.update_id += 1
        lots = dict(self.levels(market, side)).get(price, 0)
        return wire.Level(side, market.id, market.update_id, price, lots)

    # Cancelling and amending.

    def _named(self, c: Command) -> Order | None:
        """The open order that CANCEL or AMEND names, if it is the account's and in the market."""
        order_id = c.order_id
        if c.flags & wire.HAS_CLIENT_ID:
            receipt = self.receipts.get((c.account, c.client_id))
            order_id = receipt.order_id if receipt else 0
        order = self.orders.get(order_id)
        if order is None or order.account != c.account or c.market not in (0, order.market.id):
            return None
        return order

    def _cancel(self, c: Command) -> list[Event]:
        if self.account(c.account) is None:
            return [self._rejected(c, Reject.UNKNOWN_ACCOUNT)]
        order = self._named(c)
        if order is None:
            return [self._rejected(c, Reject.UNKNOWN_ORDER)]
        return [
            self._close(order, wire.CANCELLED, wire.REQUESTED),
            self._level(order.market, order.side, order.price),
            self._order_outcome(c, order, wire.CANCELLED, wire.REQUESTED),
        ]

    def _cancel_many(self, c: Command) -> list[Event]:
        if self.account(c.account) is None:
            return [self._rejected(c, Reject.UNKNOWN_ACCOUNT)]
        orders = self.open_orders(c.account)
        if c.kind == Kind.CANCEL_ALL:
            reason = wire.BY_CANCEL_ALL
            if c.market and self.market(c.market) is None:
                return [self._rejected(c, Reject.UNKNOWN_MARKET)]
            orders = [order for order in orders if c.market in (0, order.market.id)]
        else:
            reason = wire.SESSION_ENDED
            orders = [order for order in orders if order.session == c.session]
        events: list[Event] = []
        for order in orders:
            events.append(self._close(order, wire.CANCELLED, reason))
            events.append(self._level(order.market, order.side, order.price))
        return [*events, self._done(c)._replace(filled=len(orders))]

    def _amend(self, c: Command) -> list[Event]:
        account = self.account(c.account)
        if account is None:
            return [self._rejected(c, Reject.UNKNOWN_ACCOUNT)]
        order = self._named(c)
        if order is None:
            return [self._rejected(c, Reject.UNKNOWN_ORDER)]
        price, quantity = c.price or order.price, c.quantity or order.quantity
        failed = self._amend_failures(order, account, price, quantity)
        if failed:
            return [self._rejected(c, min(failed))]

        keeps_place = price == order.price and quantity < order.quantity
        old_price, order.price, order.quantity = order.price, price, quantity
        if not keeps_place:
            order.priority = self.sequence
            del self.orders[order.id]
        status = status_of_open(order)
        events: list[Event] = [wire.Amended(order.record(status))]
        events.append(self._level(order.market, order.side, old_price))
        if keeps_place:
            return [*events, self._order_outcome(c, order, status, 0)]
        return events + self._match_and_settle(c, order)

    def _amend_failures(
        self, order: Order, account: Account, price: int, quantity: int
    ) -> set[Reject]:
        wish = replace(order, price=price, quantity=quantity)
        failed = self._entry_failures(wish, account)
        if wish.rest <= 0:
            failed.add(Reject.BAD_QUANTITY)
        if price != order.price and self._has_no_room(wish):
            failed.add(Reject.BOOK_FULL)
        if wish.reserved - order.reserved > self.available(order.account, order.spends.id):
            failed.add(Reject.INSUFFICIENT_FUNDS)
        return failed

    # Accounts and money.

    def _open_account(self, c: Command) -> list[Event]:
        for number, account in enumerate(self.accounts):
            if account.user_id == c.order_id:
                return [self._done(c)._replace(account=number, client_id=0)]
        if len(self.accounts) >= self.parameters[ACCOUNTS_MAX]:
            return [self._rejected(c, Reject.TABLE_FULL)]
        self.accounts.append(Account(c.order_id))
        number = len(self.accounts) - 1
        done = self._done(c)._replace(account=number, client_id=0)
        return [wire.AccountOpened(number, c.order_id), done]

    def _move(self, c: Command) -> list[Event]:
        asset = self.asset(c.market)
        is_debit = c.kind == Kind.DEBIT
        failed: set[Reject] = set()
        if not FEE <= c.account < len(self.accounts):
            failed.add(Reject.UNKNOWN_ACCOUNT)
        elif is_debit and self.accounts[c.account].parameters[FROZEN]:
            failed.add(Reject.ACCOUNT_FROZEN)
        if asset is None:
            failed.add(Reject.UNKNOWN_ASSET)
        elif not is_debit and self.supply(asset.id) + c.quantity > asset.parameters[RESERVE_CAP]:
            failed.add(Reject.OVER_CAP)
        elif is_debit and self.available(c.account, asset.id) < c.quantity:
            failed.add(Reject.INSUFFICIENT_FUNDS)
        if not 1 <= c.quantity <= MAX_ATOMS:
            failed.add(Reject.BAD_QUANTITY)
        if failed or asset is None:
            return [self._rejected(c, min(failed))]
        giver, receiver = (c.account, EXTERNAL) if is_debit else (EXTERNAL, c.account)
        self.pay(giver, receiver, asset, c.quantity)
        moved = wire.Moved(int(is_debit), asset.id, c.account, c.order_id, c.quantity)
        return [moved, self._done(c)]

    # Listings and parameters.

    def _list_asset(self, c: Command) -> list[Event]:
        failed = listing_failures(c, self.assets)
        if failed:
            return [self._rejected(c, min(failed))]
        self.assets.append(Asset(c.market, name_of(c), c.order_id))
        return [wire.AssetListed(c.market, c.order_id, name_of(c)), self._done(c)]

    def _list_market(self, c: Command) -> list[Event]:
        lot_atoms, tick_atoms = c.lot_and_tick
        base, quote = self.asset(c.account), self.asset(c.client_id)
        failed = listing_failures(c, self.markets)
        if base is None or quote is None:
            return [self._rejected(c, Reject.UNKNOWN_ASSET)]
        if base is quote or not is_tick_size(lot_atoms, tick_atoms, base, quote):
            failed.add(Reject.BAD_VALUE)
        if failed:
            return [self._rejected(c, min(failed))]
        self.markets.append(Market(c.market, name_of(c), base, quote, lot_atoms, tick_atoms))
        listed = wire.MarketListed(c.market, base.id, quote.id, lot_atoms, tick_atoms, name_of(c))
        return [listed, self._done(c)]

    def _set_rules(self, c: Command) -> list[Event]:
        if c.quantity != 1:
            return [self._rejected(c, Reject.BAD_VALUE)]
        self.rules = 1
        return [wire.Parameter(c.kind, 0, 0, 0, 1), self._done(c)]

    def _set(self, c: Command) -> list[Event]:
        thing: Asset | Market | Account | State | None
        market = account = 0
        match c.kind:
            case Kind.SET_ASSET:
                thing, market, unknown = self.asset(c.market), c.market, Reject.UNKNOWN_ASSET
            case Kind.SET_MARKET:
                thing, market, unknown = self.market(c.market), c.market, Reject.UNKNOWN_MARKET
            case Kind.SET_ACCOUNT:
                thing, account, unknown = self.account(c.account), c.account, Reject.UNKNOWN_ACCOUNT
            case _:
                thing, unknown = self, Reject.MALFORMED
        if thing is None:
            return [self._rejected(c, unknown)]
        low, high, _ = PARAMETERS[c.kind][c.parameter]
        after = {**thing.parameters, c.parameter: c.quantity}
        if not low <= c.quantity <= high or not has_sound_ranges(c.kind, after):
            return [self._rejected(c, Reject.BAD_VALUE)]
        thing.parameters = after
        return [wire.Parameter(c.kind, market, account, c.parameter, c.quantity), self._done(c)]

    # Outcomes.

    def _outcome(self, c: Command, status: int, reason: int) -> wire.Outcome:
        return wire.Outcome(
            c.kind, status, reason, 0, c.market, c.account, c.client_id, self.sequence, 0, 0, 0, 0
        )

    def _rejected(self, c: Command, code: int) -> wire.Outcome:
        named = c.order_id if c.kind in (Kind.CANCEL, Kind.AMEND) else 0
        return self._outcome(c, wire.REJECTED, code)._replace(order_id=named)

    def _done(self, c: Command) -> wire.Outcome:
        return self._outcome(c, wire.DONE, 0)

    def _order_outcome(self, c: Command, order: Order, status: int, reason: int) -> wire.Outcome:
        return self._outcome(c, status, reason)._replace(
            market=order.market.id,
            order_id=order.id,
            filled=order.filled,
            quote=order.quote,
            created_ns=order.created_ns,
        )
