"""Commands that only the operator sends: money in and out, rules, accounts, listings, parameters.

Each function executes one command: it checks everything, changes the tables, and writes the event
of the change. It returns a reject code, or 0. With a reject it has changed and written nothing.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from fairbook.core.event_writer import (
    put_account,
    put_asset,
    put_market,
    put_moved,
    put_parameter,
)
from fairbook.core.ledger import EXTERNAL, FIRST_USER
from fairbook.core.markets import ASSETS_MAX, MARKETS_MAX, Asset, Market
from fairbook.core.records import (
    ACCOUNT_FROZEN,
    ACCOUNTS_MAX,
    ALREADY_LISTED,
    BAD_QUANTITY,
    BAD_VALUE,
    BAND_PPM,
    CLOSED_STATE,
    CREDIT,
    DEBIT,
    EXCHANGE_CANCEL_ONLY,
    FROZEN,
    INSUFFICIENT_FUNDS,
    LEVELS_MAX,
    LIST_ASSET,
    LIST_MARKET,
    MAKER_FEE_PPM,
    MALFORMED,
    NO_RULES,
    OPEN_ACCOUNT,
    ORDERS_MAX,
    OVER_CAP,
    PRICE_MAX,
    PRICE_MIN,
    QUANTITY_MAX,
    QUANTITY_MIN,
    RESERVE_CAP,
    RULES,
    SET_ACCOUNT,
    SET_ASSET,
    SET_EXCHANGE,
    SET_MARKET,
    STATE,
    TABLE_FULL,
    TAKER_FEE_PPM,
    UNKNOWN_ACCOUNT,
    UNKNOWN_ASSET,
    UNKNOWN_MARKET,
    Command,
    Listing,
)
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
    if kind == CREDIT or kind == DEBIT:
        return move_money(tables, command, out)
    if kind == OPEN_ACCOUNT:
        return open_account(tables, command.order_id, out)
    if kind == RULES:
        return set_rules(tables, command.quantity, out)
    if kind == LIST_ASSET:
        return list_asset(tables, command, Listing(frame, at).name, out)
    if kind == LIST_MARKET:
        return list_market(tables, command.market, Listing(frame, at), time_ns, out)
    if kind == SET_ASSET:
        return set_asset(tables, command, out)
    if kind == SET_MARKET:
        return set_market(tables, command, out)
    if kind == SET_ACCOUNT:
        return set_account(tables, command, out)
    if kind == SET_EXCHANGE:
        return set_exchange(tables, command, out)
    return MALFORMED


def move_money(tables: Tables, command: Command, out: BytesWriter) -> i64:
    """CREDIT and DEBIT: from EXTERNAL to an account, or back."""
    account, asset, atoms = command.account, command.market, command.quantity
    if tables.rules == 0:
        return NO_RULES
    if account == EXTERNAL or account >= len(tables.accounts):
        return UNKNOWN_ACCOUNT
    if asset == 0 or asset >= len(tables.assets):
        return UNKNOWN_ASSET
    if command.kind == DEBIT and tables.accounts[account].frozen:
        return ACCOUNT_FROZEN
    if atoms < 1 or atoms > MAX_ATOMS:
        return BAD_QUANTITY
    cell = tables.ledger.cell(account, asset)
    signed = atoms
    if command.kind == CREDIT:
        if atoms > tables.assets[asset].reserve_cap - tables.ledger.supply(asset):
            return OVER_CAP
    else:
        if atoms > cell.available:
            return INSUFFICIENT_FUNDS
        signed = -atoms
    cell.available += signed
    tables.ledger.cell(EXTERNAL, asset).available -= signed
    put_moved(
        out,
        command=command.kind,
        asset=asset,
        account=account,
        reference=command.order_id,
        atoms=atoms,
    )
    return 0


def set_rules(tables: Tables, version: i64, out: BytesWriter) -> i64:
    if version != RULES_VERSION:
        return BAD_VALUE
    tables.rules = version
    put_parameter(out, command=RULES, subject=0, account=0, parameter=0, value=version)
    return 0


def open_account(tables: Tables, user_id: i64, out: BytesWriter) -> i64:
    """Idempotent: `account_of_user` has the account afterwards."""
    if user_id < 1:
        return MALFORMED
    if tables.rules == 0:
        return NO_RULES
    if user_id in tables.account_of_user:
        return 0
    account: i64 = len(tables.accounts)
    if account >= tables.accounts_max:
        return TABLE_FULL
    tables.add_account(Account(user_id))
    put_account(out, account, user_id)
    return 0


def list_asset(tables: Tables, command: Command, name: bytes, out: BytesWriter) -> i64:
    asset, decimals = command.market, command.order_id
    if asset == 0 or decimals < 0 or decimals > MAX_DECIMALS or not is_name(name):
        return MALFORMED
    if tables.rules == 0:
        return NO_RULES
    asset_name = name.decode("ascii")
    if asset < len(tables.assets) or any(known.name == asset_name for known in tables.assets):
        return ALREADY_LISTED
    if asset != len(tables.assets):
        return BAD_VALUE
    if asset > ASSETS_MAX:
        return TABLE_FULL
    listed = Asset(asset, asset_name, decimals)
    tables.add_asset(listed)
    put_asset(out, listed)
    return 0


def list_market(
    tables: Tables, market: i64, listing: Listing, time_ns: i64, out: BytesWriter
) -> i64:
    base, quote = listing.base, listing.quote
    lot_atoms, tick_atoms = listing.lot_atoms, listing.tick_atoms
    if market == 0 or not is_name(listing.name):
        return MALFORMED
    if tables.rules == 0:
        return NO_RULES
    known: i64 = len(tables.assets)
    if base == 0 or base >= known or quote == 0 or quote >= known:
        return UNKNOWN_ASSET
    name = listing.name.decode("ascii")
    if market < len(tables.markets) or any(other.name == name for other in tables.markets):
        return ALREADY_LISTED
    if market != len(tables.markets) or base == quote:
        return BAD_VALUE
    if not (1 <= lot_atoms <= MAX_LISTED_ATOMS and 1 <= tick_atoms <= MAX_LISTED_ATOMS):
        return BAD_VALUE
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
        return BAD_VALUE
    if market > MARKETS_MAX:
        return TABLE_FULL
    tables.add_market(listed)
    put_market(out, listed)
    return 0


def is_name(name: bytes) -> bool:
    """Whether a name is made of NAME_LETTERS, and not empty."""
    for letter in name:
        if letter not in NAME_LETTERS:
            return False
    return len(name) > 0


def set_asset(tables: Tables, command: Command, out: BytesWriter) -> i64:
    asset, value = command.market, command.quantity
    if command.parameter != RESERVE_CAP:
        return MALFORMED
    if tables.rules == 0:
        return NO_RULES
    if asset == 0 or asset >= len(tables.assets):
        return UNKNOWN_ASSET
    if value < 0 or value > MAX_ATOMS:
        return BAD_VALUE
    tables.assets[asset].reserve_cap = value
    put_parameter(
        out, command=SET_ASSET, subject=asset, account=0, parameter=RESERVE_CAP, value=value
    )
    return 0


def set_market(tables: Tables, command: Command, out: BytesWriter) -> i64:
    market, parameter, value = command.market, command.parameter, command.quantity
    if parameter < STATE or parameter > LEVELS_MAX:
        return MALFORMED
    if tables.rules == 0:
        return NO_RULES
    if market == 0 or market >= len(tables.markets):
        return UNKNOWN_MARKET
    if not set_market_parameter(tables.markets[market], parameter, value):
        return BAD_VALUE
    put_parameter(
        out, command=SET_MARKET, subject=market, account=0, parameter=parameter, value=value
    )
    return 0


def set_market_parameter(market: Market, parameter: i64, value: i64) -> bool:
    """Returns False, and changes nothing, if the value is out of range."""
    if parameter == STATE and 0 <= value <= CLOSED_STATE:
        market.state = value
    elif parameter == MAKER_FEE_PPM and 0 <= value < MILLION:
        market.maker_fee_ppm = value
    elif parameter == TAKER_FEE_PPM and 0 <= value < MILLION:
        market.taker_fee_ppm = value
    elif parameter == PRICE_MIN and 1 <= value <= market.price_max:
        market.price_min = value
    elif parameter == PRICE_MAX and market.price_min <= value <= MAX_UNITS:
        market.price_max = value
    elif parameter == QUANTITY_MIN and 1 <= value <= market.quantity_max:
        market.quantity_min = value
    elif parameter == QUANTITY_MAX and market.quantity_min <= value <= MAX_UNITS:
        market.quantity_max = value
    elif parameter == BAND_PPM and 0 <= value <= MILLION:
        market.band_ppm = value
    elif parameter == LEVELS_MAX and 1 <= value <= 1 << 20:
        market.levels_max = value
    else:
        return False
    return True


def set_account(tables: Tables, command: Command, out: BytesWriter) -> i64:
    account, value = command.account, command.quantity
    if command.parameter != FROZEN:
        return MALFORMED
    if tables.rules == 0:
        return NO_RULES
    if not tables.is_user(account):
        return UNKNOWN_ACCOUNT
    if value < 0 or value > 1:
        return BAD_VALUE
    tables.accounts[account].frozen = value == 1
    put_parameter(
        out, command=SET_ACCOUNT, subject=0, account=account, parameter=FROZEN, value=value
    )
    return 0


def set_exchange(tables: Tables, command: Command, out: BytesWriter) -> i64:
    parameter, value = command.parameter, command.quantity
    if parameter < STATE or parameter > ACCOUNTS_MAX:
        return MALFORMED
    if tables.rules == 0:
        return NO_RULES
    if parameter == STATE and 0 <= value <= EXCHANGE_CANCEL_ONLY:
        tables.cancel_only = value == EXCHANGE_CANCEL_ONLY
    elif parameter == ORDERS_MAX and 1 <= value <= 1 << 20:
        tables.orders_max = value
    elif parameter == ACCOUNTS_MAX and FIRST_USER <= value <= (1 << 31) - 1:
        tables.accounts_max = value
    else:
        return BAD_VALUE
    put_parameter(out, command=SET_EXCHANGE, subject=0, account=0, parameter=parameter, value=value)
    return 0
