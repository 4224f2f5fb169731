"""Commands that only the operator sends: money in and out, rules, accounts, listings, parameters.

Each function executes one command: it checks everything, changes the tables, and writes the event
of the change. It returns a reject code, or 0. With a reject it has changed and written nothing.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from fairbook.core import event_writer, records
from fairbook.core.ledger import EXTERNAL, FIRST_USER
from fairbook.core.markets import ASSETS_MAX, MARKETS_MAX, Asset, Market
from fairbook.core.records import Command, Listing
from fairbook.core.tables import Tables
from fairbook.core.trading_account import Account
from fairbook.core.units import (
    MAX_ATOMS,
    MAX_DECIMALS,
    MAX_LISTED_ATOMS,
    MAX_UNITS,
    MILLION,
)

RULES_VERSION: Final = 1
NAME_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"


def apply_admin(
    tables: Tables, command: Command, frame: bytes, at: i64, time_ns: i64, out: BytesWriter
) -> i64:
    """Execute the command that begins at `at`; MALFORMED if it is of no known kind."""
    kind = command.kind
    if kind == records.CREDIT or kind == records.DEBIT:
        return move_money(tables, command, out)
    if kind == records.OPEN_ACCOUNT:
        return open_account(tables, command.order_id, out)
    if kind == records.LIST_ASSET:
        return list_asset(tables, command, Listing(frame, at).name, out)
    if kind == records.LIST_MARKET:
        return list_market(tables, command.market, Listing(frame, at), time_ns, out)
    reject: i64 = records.MALFORMED
    if kind == records.RULES:
        reject = 0 if command.quantity == RULES_VERSION else records.BAD_VALUE
        if reject == 0:
            tables.rules = RULES_VERSION
    elif kind == records.SET_ASSET:
        reject = set_asset(tables, command)
    elif kind == records.SET_MARKET:
        reject = set_market(tables, command)
    elif kind == records.SET_ACCOUNT:
        reject = set_account(tables, command)
    elif kind == records.SET_EXCHANGE:
        reject = set_exchange(tables, command)
    if reject == 0:
        event_writer.put_parameter(out, command)
    return reject


def move_money(tables: Tables, command: Command, out: BytesWriter) -> i64:
    """CREDIT and DEBIT: from EXTERNAL to an account, or back."""
    account, asset, atoms = command.account, command.market, command.quantity
    if tables.rules == 0:
        return records.NO_RULES
    if account == EXTERNAL or account >= len(tables.accounts):
        return records.UNKNOWN_ACCOUNT
    if asset == 0 or asset >= len(tables.assets):
        return records.UNKNOWN_ASSET
    if command.kind == records.DEBIT and tables.accounts[account].frozen:
        return records.ACCOUNT_FROZEN
    if atoms < 1 or atoms > MAX_ATOMS:
        return records.BAD_QUANTITY
    cell = tables.ledger.cell(account, asset)
    signed = atoms
    if command.kind == records.CREDIT:
        if atoms > tables.assets[asset].reserve_cap - tables.ledger.supply(asset):
            return records.OVER_CAP
    else:
        if atoms > cell.available:
            return records.INSUFFICIENT_FUNDS
        signed = -atoms
    cell.available += signed
    tables.ledger.cell(EXTERNAL, asset).available -= signed
    event_writer.put_moved(out, command)
    return 0


def open_account(tables: Tables, user_id: i64, out: BytesWriter) -> i64:
    """Idempotent: `account_of_user` has the account afterwards."""
    if user_id < 1:
        return records.MALFORMED
    if tables.rules == 0:
        return records.NO_RULES
    if user_id in tables.account_of_user:
        return 0
    account: i64 = len(tables.accounts)
    if account >= tables.accounts_max:
        return records.TABLE_FULL
    tables.add_account(Account(user_id))
    event_writer.put_account(out, account, user_id)
    return 0


def list_asset(tables: Tables, command: Command, name: bytes, out: BytesWriter) -> i64:
    asset, decimals = command.market, command.order_id
    if asset == 0 or decimals < 0 or decimals > MAX_DECIMALS or not is_name(name):
        return records.MALFORMED
    if tables.rules == 0:
        return records.NO_RULES
    asset_name = name.decode("ascii")
    if asset < len(tables.assets) or any(known.name == asset_name for known in tables.assets):
        return records.ALREADY_LISTED
    if asset != len(tables.assets):
        return records.BAD_VALUE
    if asset > ASSETS_MAX:
        return records.TABLE_FULL
    listed = Asset(asset, asset_name, decimals)
    tables.add_asset(listed)
    event_writer.put_asset(out, listed)
    return 0


def list_market(
    tables: Tables, market: i64, listing: Listing, time_ns: i64, out: BytesWriter
) -> i64:
    base, quote = listing.base, listing.quote
    lot_atoms, tick_atoms = listing.lot_atoms, listing.tick_atoms
    if market == 0 or not is_name(listing.name):
        return records.MALFORMED
    if tables.rules == 0:
        return records.NO_RULES
    known: i64 = len(tables.assets)
    if base == 0 or base >= known or quote == 0 or quote >= known:
        return records.UNKNOWN_ASSET
    name = listing.name.decode("ascii")
    if market < len(tables.markets) or any(other.name == name for other in tables.markets):
        return records.ALREADY_LISTED
    if market != len(tables.markets) or base == quote:
        return records.BAD_VALUE
    if not (1 <= lot_atoms <= MAX_LISTED_ATOMS and 1 <= tick_atoms <= MAX_LISTED_ATOMS):
        return records.BAD_VALUE
    listed = Market(
        market,
        name,
        base=tables.assets[base],
        quote=tables.assets[quote],
        lot_atoms=lot_atoms,
        tick_atoms=tick_atoms,
        created_ns=time_ns,
    )
    if listed.price_step == 0:
        return records.BAD_VALUE
    if market > MARKETS_MAX:
        return records.TABLE_FULL
    tables.add_market(listed)
    event_writer.put_market(out, listed)
    return 0


def is_name(name: bytes) -> bool:
    """Whether a name is made of NAME_LETTERS, and not empty."""
    for letter in name:
        if letter not in NAME_LETTERS:
            return False
    return len(name) > 0


def set_asset(tables: Tables, command: Command) -> i64:
    asset, value = command.market, command.quantity
    if command.parameter() != records.RESERVE_CAP:
        return records.MALFORMED
    if tables.rules == 0:
        return records.NO_RULES
    if asset == 0 or asset >= len(tables.assets):
        return records.UNKNOWN_ASSET
    if value < 0 or value > MAX_ATOMS:
        return records.BAD_VALUE
    tables.assets[asset].reserve_cap = value
    return 0


def set_market(tables: Tables, command: Command) -> i64:
    market, parameter, value = command.market, command.parameter(), command.quantity
    if parameter < records.STATE or parameter > records.LEVELS_MAX:
        return records.MALFORMED
    if tables.rules == 0:
        return records.NO_RULES
    if market == 0 or market >= len(tables.markets):
        return records.UNKNOWN_MARKET
    if not set_market_parameter(tables.markets[market], parameter, value):
        return records.BAD_VALUE
    return 0


def set_market_parameter(market: Market, parameter: i64, value: i64) -> bool:
    """Returns False, and changes nothing, if the value is out of range."""
    if parameter == records.STATE and 0 <= value <= records.CLOSED_STATE:
        market.state = value
    elif parameter == records.MAKER_FEE_PPM and 0 <= value < MILLION:
        market.maker_fee_ppm = value
    elif parameter == records.TAKER_FEE_PPM and 0 <= value < MILLION:
        market.taker_fee_ppm = value
    elif parameter == records.PRICE_MIN and 1 <= value <= market.price_max:
        market.price_min = value
    elif parameter == records.PRICE_MAX and market.price_min <= value <= MAX_UNITS:
        market.price_max = value
    elif parameter == records.QUANTITY_MIN and 1 <= value <= market.quantity_max:
        market.quantity_min = value
    elif parameter == records.QUANTITY_MAX and market.quantity_min <= value <= MAX_UNITS:
        market.quantity_max = value
    elif parameter == records.BAND_PPM and 0 <= value <= MILLION:
        market.band_ppm = value
    elif parameter == records.LEVELS_MAX and 1 <= value <= 1 << 20:
        market.levels_max = value
    else:
        return False
    return True


def set_account(tables: Tables, command: Command) -> i64:
    account, value = command.account, command.quantity
    if command.parameter() != records.FROZEN:
        return records.MALFORMED
    if tables.rules == 0:
        return records.NO_RULES
    if not tables.is_user(account):
        return records.UNKNOWN_ACCOUNT
    if value < 0 or value > 1:
        return records.BAD_VALUE
    tables.accounts[account].frozen = value == 1
    return 0


def set_exchange(tables: Tables, command: Command) -> i64:
    parameter, value = command.parameter(), command.quantity
    if parameter < records.STATE or parameter > records.ACCOUNTS_MAX:
        return records.MALFORMED
    if tables.rules == 0:
        return records.NO_RULES
    if parameter == records.STATE and 0 <= value <= records.EXCHANGE_CANCEL_ONLY:
        tables.cancel_only = value == records.EXCHANGE_CANCEL_ONLY
    elif parameter == records.ORDERS_MAX and 1 <= value <= 1 << 20:
        tables.orders_max = value
    elif parameter == records.ACCOUNTS_MAX and FIRST_USER <= value <= (1 << 31) - 1:
        tables.accounts_max = value
    else:
        return records.BAD_VALUE
    return 0
