"""Accounts, listings, parameters, rules, pauses and notes of the naive exchange."""

from __future__ import annotations

from tests.core import wire
from tests.core.commands import Command
from tests.core.oracle_answers import Answers
from tests.core.oracle_checks import (
    PARAMETERS,
    has_sound_ranges,
    is_tick_size,
    listing_failures,
    name_of,
)
from tests.core.oracle_records import (
    ACCOUNTS_MAX,
    DAILY_WITHDRAWAL_MAX,
    MAKER_FEE,
    TAKER_FEE,
    Account,
    Asset,
    Market,
)
from tests.core.wire import Event, Kind, Reject

FEES = (MAKER_FEE, TAKER_FEE)
FEE_GROUP_MAX = 255
TEST, SIGNED = 1, 2


class SettingCommands(Answers):
    """Everything that is set up."""

    def open_account(self, c: Command) -> list[Event]:
        """Give the user an account, or the one that they have."""
        failed = self.who_failures(c)
        number = next((n for n, a in enumerate(self.accounts) if a.user_id == c.order_id), None)
        is_new = number is None
        if is_new and len(self.accounts) >= self.parameters[ACCOUNTS_MAX]:
            failed.add(Reject.TABLE_FULL)
        if failed:
            return self.rejected(c, failed)
        if number is None:
            self.accounts.append(Account(c.order_id))
            number = len(self.accounts) - 1
        opened = [wire.AccountOpened(number, c.order_id)] if is_new else []
        done = self.done(c)._replace(account=number, client_id=0)
        return [*opened, *self.acted(c), done]

    def list_asset(self, c: Command) -> list[Event]:
        """Add an asset."""
        failed = self.who_failures(c) | listing_failures(c, self.assets)
        if failed:
            return self.rejected(c, failed)
        self.assets.append(Asset(c.market, name_of(c), c.order_id))
        listed = wire.AssetListed(c.market, c.order_id, name_of(c))
        return [listed, *self.acted(c), self.done(c)]

    def list_market(self, c: Command) -> list[Event]:
        """Add a market."""
        lot_atoms, tick_atoms = c.lot_and_tick
        base, quote = self.asset(c.account), self.asset(c.client_id)
        failed = self.who_failures(c) | listing_failures(c, self.markets)
        if base is None or quote is None:
            return self.rejected(c, failed | {Reject.UNKNOWN_ASSET})
        if base is quote or not is_tick_size(lot_atoms, tick_atoms, base, quote):
            failed.add(Reject.BAD_VALUE)
        if failed:
            return self.rejected(c, failed)
        self.markets.append(Market(c.market, name_of(c), base, quote, lot_atoms, tick_atoms))
        listed = wire.MarketListed(c.market, base.id, quote.id, lot_atoms, tick_atoms, name_of(c))
        return [listed, *self.acted(c), self.done(c)]

    def set_rules(self, c: Command, is_first_frame: bool) -> list[Event]:
        """The version, and in the first RULES of the log what kind of log it is."""
        failed = self.who_failures(c)
        may_have_flags = is_first_frame and not self.rules
        if c.quantity != 1 or c.parameter & ~(TEST | SIGNED):
            failed.add(Reject.BAD_VALUE)
        if not may_have_flags and (c.parameter or c.order_id or c.price):
            failed.add(Reject.BAD_VALUE)
        if failed:
            return self.rejected(c, failed)
        if may_have_flags:
            self.is_test = bool(c.parameter & TEST)
            self.is_signed = bool(c.parameter & SIGNED)
            self.log_id = c.order_id
        self.rules = 1
        return [wire.Parameter(c.kind, 0, 0, c.parameter, 1), *self.acted(c), self.done(c)]

    def set_parameter(self, c: Command) -> list[Event]:
        """SET_ASSET, SET_MARKET, SET_ACCOUNT or SET_EXCHANGE."""
        failed = self.who_failures(c)
        market = account = 0
        low, high, _ = PARAMETERS[c.kind][c.parameter]
        match c.kind:
            case Kind.SET_ASSET:
                market = c.market
                if self.asset(market) is None:
                    failed.add(Reject.UNKNOWN_ASSET)
            case Kind.SET_MARKET:
                market, account = c.market, c.account if c.parameter in FEES else 0
                if self.market(market) is None:
                    failed.add(Reject.UNKNOWN_MARKET)
                if account > FEE_GROUP_MAX:
                    failed.add(Reject.BAD_VALUE)
                low = -1 if account else low
            case Kind.SET_ACCOUNT:
                account = c.account
                if self.account(account) is None:
                    failed.add(Reject.UNKNOWN_ACCOUNT)
                if c.parameter == DAILY_WITHDRAWAL_MAX:
                    market = c.market
                    if self.asset(market) is None:
                        failed.add(Reject.UNKNOWN_ASSET)
        if not low <= c.quantity <= high:
            failed.add(Reject.BAD_VALUE)
        if failed:
            return self.rejected(c, failed)
        if not self._change(c, market, account):
            return self.rejected(c, {Reject.BAD_VALUE})
        event = wire.Parameter(c.kind, market, account, c.parameter, c.quantity)
        return [event, *self.acted(c), self.done(c)]

    def _change(self, c: Command, market: int, account: int) -> bool:
        """Whether the value goes with the others."""
        if c.kind == Kind.SET_MARKET and account:
            self.markets[market - 1].group_fees[account, c.parameter] = c.quantity
            return True
        if c.kind == Kind.SET_ACCOUNT and c.parameter == DAILY_WITHDRAWAL_MAX:
            self.accounts[account].daily_max[market] = c.quantity
            return True
        things: dict[int, Asset | Market | Account | SettingCommands | None] = {
            Kind.SET_ASSET: self.asset(market),
            Kind.SET_MARKET: self.market(market),
            Kind.SET_ACCOUNT: self.account(account),
            Kind.SET_EXCHANGE: self,
        }
        thing = things[c.kind]
        assert thing is not None
        after = {**thing.parameters, c.parameter: c.quantity}
        if not has_sound_ranges(c.kind, after):
            return False
        thing.parameters = after
        return True

    # Pauses and notes.

    def pause(self, c: Command) -> list[Event]:
        """PAUSE or RESUME."""
        failed = self.who_failures(c)
        if failed:
            return self.rejected(c, failed)
        cause = c.variant
        is_paused = cause in self.pauses
        if is_paused == (c.kind == Kind.PAUSE):
            return [self.done(c)._replace(repeated=1)]
        if is_paused:
            reason = self.pauses.pop(cause)
        else:
            reason = self.pauses[cause] = c.parameter, c.detail or bytes(32)
        event = wire.PauseChanged(cause, int(not is_paused), *reason)
        return [event, *self.acted(c), self.done(c)]

    def note(self, c: Command) -> list[Event]:
        """Nothing but an event."""
        failed = self.who_failures(c)
        if failed:
            return self.rejected(c, failed)
        return [wire.Noted(c.variant, c.flags & 1, c.note), *self.acted(c), self.done(c)]
