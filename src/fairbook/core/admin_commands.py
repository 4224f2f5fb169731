"""Commands of operators and of the exchange itself: rules, accounts, listings, parameters, pauses.

Each function executes one command: it checks everything, changes the tables, and writes the event
of the change. It returns a reject code, or 0. With a reject it has changed and written nothing.
Money is in money_commands.py, credentials and gateways in credential_commands.py.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from fairbook.core import admin_records, event_writer, records
from fairbook.core.admin_call import AdminCall
from fairbook.core.admin_records import Listing
from fairbook.core.book import FRAME_WALK_MAX
from fairbook.core.bytes_index import ABSENT, key_of
from fairbook.core.credential_commands import (
    add_credential,
    begin_gateway,
    end_gateway,
    revoke_credential,
    set_operator,
)
from fairbook.core.daily_withdrawals import AS_ASSET
from fairbook.core.ledger import FIRST_USER
from fairbook.core.markets import (
    AS_MARKET,
    ASSETS_MAX,
    FEE_GROUP_MAX,
    MARKETS_MAX,
    Asset,
    Market,
)
from fairbook.core.money_commands import decide_credit, end_hold, move_money
from fairbook.core.records import Command
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
MAX_ROWS: Final = (1 << 31) - 1
_FLAGS: Final = admin_records.TEST_LOG | admin_records.SIGNED_LOG


class RulesUnknown(Exception):
    """A RULES of a version that only a later release knows: nothing from there on can be read."""


def apply_admin(tables: Tables, call: AdminCall, out: BytesWriter) -> i64:
    """Execute a command; MALFORMED if it is of no known kind."""
    kind = call.command.kind
    if kind == records.TICK:
        return 0
    if kind == records.CREDIT or kind == records.DEBIT or kind == records.HOLD:
        return move_money(tables, call, out)
    if kind == records.RELEASE or kind == records.CAPTURE:
        return end_hold(tables, call, out)
    if kind == records.CONFIRM_CREDIT or kind == records.REFUSE_CREDIT:
        return decide_credit(tables, call, out)
    if kind == records.OPEN_ACCOUNT:
        return open_account(tables, call, out)
    if kind == records.ADD_CREDENTIAL:
        return add_credential(tables, call, out)
    if kind == records.REVOKE_CREDENTIAL:
        return revoke_credential(tables, call, out)
    if kind == records.LIST_ASSET:
        return list_asset(tables, call, Listing(call.frame, call.at).name, out)
    if kind == records.LIST_MARKET:
        return list_market(tables, call, Listing(call.frame, call.at), out)
    if kind == records.PAUSE or kind == records.RESUME:
        return pause_or_resume(tables, call, out)
    if kind == records.SET_OPERATOR:
        return set_operator(tables, call, out)
    if kind == records.BEGIN_GATEWAY:
        return begin_gateway(tables, call, out)
    if kind == records.END_GATEWAY:
        return end_gateway(tables, call, out)
    if kind == records.NOTE:
        return note(call, out)
    return set_parameter(tables, call, out)


def open_account(tables: Tables, call: AdminCall, out: BytesWriter) -> i64:
    """Idempotent: the outcome has the account as its owner."""
    user_id = call.command.order_id
    if user_id < 1:
        return records.MALFORMED
    if tables.rules == 0:
        return records.NO_RULES
    if call.actor_reject != 0:
        return call.actor_reject
    known = tables.account_of_user.get(key_of(user_id))
    if known != ABSENT:
        call.command.owner = known
        return 0
    account: i64 = len(tables.accounts)
    if account >= tables.accounts_max:
        return records.TABLE_FULL
    tables.add_account(Account(user_id))
    event_writer.put_account(out, account, user_id)
    call.command.owner = account
    return 0


def list_asset(tables: Tables, call: AdminCall, name: bytes, out: BytesWriter) -> i64:
    asset, decimals = call.command.market, call.command.order_id
    if asset == 0 or decimals < 0 or decimals > MAX_DECIMALS or not is_name(name):
        return records.MALFORMED
    if tables.rules == 0:
        return records.NO_RULES
    if call.actor_reject != 0:
        return call.actor_reject
    asset_name = name.decode("ascii")
    if asset < len(tables.assets) or any(known.name == asset_name for known in tables.assets):
        return records.ALREADY_LISTED
    if asset != len(tables.assets):
        return records.BAD_VALUE
    if asset > ASSETS_MAX:
        return records.TABLE_FULL
    listed = Asset(asset, asset_name, decimals)
    tables.assets.append(listed)
    event_writer.put_asset(out, listed)
    return 0


def list_market(tables: Tables, call: AdminCall, listing: Listing, out: BytesWriter) -> i64:
    market = call.command.market
    base, quote = listing.base, listing.quote
    lot_atoms, tick_atoms = listing.lot_atoms, listing.tick_atoms
    if market == 0 or not is_name(listing.name):
        return records.MALFORMED
    if tables.rules == 0:
        return records.NO_RULES
    if call.actor_reject != 0:
        return call.actor_reject
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
        created_ns=call.time_ns,
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


def set_parameter(tables: Tables, call: AdminCall, out: BytesWriter) -> i64:
    """RULES and the SET commands; MALFORMED for any other."""
    command = call.command
    kind = command.kind
    actor = call.actor_reject
    subject: i64 = 0
    account: i64 = 0
    parameter = command.parameter()
    if kind == records.RULES:
        reject = set_rules(tables, command, actor)
    elif kind == records.SET_ASSET:
        reject = set_asset(tables, command, actor)
        subject = command.market
    elif kind == records.SET_MARKET:
        reject = set_market(tables, command, actor)
        subject = command.market
        if is_fee(parameter):
            account = command.account
    elif kind == records.SET_ACCOUNT:
        reject = set_account(tables, command, actor)
        account = command.account
        if parameter == admin_records.DAILY_WITHDRAWAL_MAX:
            subject = command.market
    elif kind == records.SET_EXCHANGE:
        reject = set_exchange(tables, command, actor)
    else:
        return records.MALFORMED
    if reject == 0:
        event_writer.put_parameter(out, command, subject, account, parameter)
    return reject


def check_rules(command: Command) -> None:
    """Raise RulesUnknown for a RULES of a later version."""
    if command.quantity > RULES_VERSION:
        raise RulesUnknown(f"rules of version {command.quantity}; this release knows 1")


def set_rules(tables: Tables, command: Command, actor: i64) -> i64:
    flags, log_id, salt = command.parameter(), command.order_id, command.price
    check_rules(command)
    if actor != 0:
        return actor
    if command.quantity < 1 or flags & ~_FLAGS != 0:
        return records.BAD_VALUE
    is_first = tables.rules == 0 and tables.is_first_frame
    if not is_first and (flags != 0 or log_id != 0 or salt != 0):
        return records.BAD_VALUE
    if is_first:
        tables.flags, tables.log_id, tables.salt = flags, log_id, salt
    tables.rules = RULES_VERSION
    return 0


def set_asset(tables: Tables, command: Command, actor: i64) -> i64:
    number, value, parameter = command.market, command.quantity, command.parameter()
    if not admin_records.RESERVE_CAP <= parameter <= admin_records.DAILY_WITHDRAWAL_MAX:
        return records.MALFORMED
    if tables.rules == 0:
        return records.NO_RULES
    if actor != 0:
        return actor
    if number == 0 or number >= len(tables.assets):
        return records.UNKNOWN_ASSET
    if value < 0 or value > MAX_ATOMS:
        return records.BAD_VALUE
    asset = tables.assets[number]
    if parameter == admin_records.RESERVE_CAP:
        asset.reserve_cap = value
    elif parameter == admin_records.CREDIT_MAX:
        asset.credit_max = value
    else:
        asset.daily_withdrawal_max = value
    return 0


def set_market(tables: Tables, command: Command, actor: i64) -> i64:
    market, parameter, value = command.market, command.parameter(), command.quantity
    if parameter < admin_records.STATE or parameter > admin_records.WALK_MAX:
        return records.MALFORMED
    if tables.rules == 0:
        return records.NO_RULES
    if actor != 0:
        return actor
    if market == 0 or market >= len(tables.markets):
        return records.UNKNOWN_MARKET
    listed = tables.markets[market]
    if is_fee(parameter):
        is_set = set_fee(listed, command.account, parameter, value)
    else:
        is_set = set_market_parameter(listed, parameter, value)
    return 0 if is_set else records.BAD_VALUE


def is_fee(parameter: i64) -> bool:
    return parameter == admin_records.MAKER_FEE_PPM or parameter == admin_records.TAKER_FEE_PPM


def set_fee(market: Market, group: i64, parameter: i64, value: i64) -> bool:
    """The rate of all, or of one fee group. Returns False if a value is out of range."""
    lowest: i64 = 0 if group == 0 else AS_MARKET
    if group > FEE_GROUP_MAX or value < lowest or value >= MILLION:
        return False
    is_maker = parameter == admin_records.MAKER_FEE_PPM
    if group != 0:
        fees = market.fees_of_group(group)
        if is_maker:
            fees.maker_fee_ppm = value
        else:
            fees.taker_fee_ppm = value
    elif is_maker:
        market.maker_fee_ppm = value
    else:
        market.taker_fee_ppm = value
    return True


def set_market_parameter(market: Market, parameter: i64, value: i64) -> bool:
    """Returns False, and changes nothing, if the value is out of range."""
    if parameter == admin_records.STATE and 0 <= value <= admin_records.CLOSED_STATE:
        market.state = value
    elif parameter == admin_records.PRICE_MIN and 1 <= value <= market.price_max:
        market.price_min = value
    elif parameter == admin_records.PRICE_MAX and market.price_min <= value <= MAX_UNITS:
        market.price_max = value
    elif parameter == admin_records.QUANTITY_MIN and 1 <= value <= market.quantity_max:
        market.quantity_min = value
    elif parameter == admin_records.QUANTITY_MAX and market.quantity_min <= value <= MAX_UNITS:
        market.quantity_max = value
    elif parameter == admin_records.BAND_PPM and 0 <= value <= MILLION:
        market.band_ppm = value
    elif parameter == admin_records.LEVELS_MAX and 1 <= value <= 1 << 20:
        market.levels_max = value
    elif parameter == admin_records.WALK_MAX and 1 <= value <= FRAME_WALK_MAX:
        market.walk_max = value
    else:
        return False
    return True


def set_account(tables: Tables, command: Command, actor: i64) -> i64:
    number, value, parameter = command.account, command.quantity, command.parameter()
    if not admin_records.FROZEN <= parameter <= admin_records.DAILY_WITHDRAWAL_MAX:
        return records.MALFORMED
    if tables.rules == 0:
        return records.NO_RULES
    if not tables.is_user(number):
        return records.UNKNOWN_ACCOUNT
    if actor != 0:
        return actor
    account = tables.accounts[number]
    if parameter == admin_records.DAILY_WITHDRAWAL_MAX:
        if command.market == 0 or command.market >= len(tables.assets):
            return records.UNKNOWN_ASSET
        if value < AS_ASSET or value > MAX_ATOMS:
            return records.BAD_VALUE
        tables.daily_withdrawals.row(number, command.market).atoms_max = value
    elif parameter == admin_records.FROZEN and 0 <= value <= 1:
        account.frozen = value == 1
    elif parameter == admin_records.FEE_GROUP and 0 <= value <= FEE_GROUP_MAX:
        account.fee_group = value
    else:
        return records.BAD_VALUE
    return 0


def set_exchange(tables: Tables, command: Command, actor: i64) -> i64:
    parameter, value = command.parameter(), command.quantity
    if not admin_records.ORDERS_MAX <= parameter <= admin_records.WITHDRAWAL_DELAY_S:
        return records.MALFORMED
    if tables.rules == 0:
        return records.NO_RULES
    if actor != 0:
        return actor
    if parameter == admin_records.ORDERS_MAX and 1 <= value <= 1 << 14:
        tables.orders_max = value
    elif parameter == admin_records.ACCOUNTS_MAX and FIRST_USER <= value <= MAX_ROWS:
        tables.accounts_max = value
    elif parameter == admin_records.CREDENTIALS_MAX and 1 <= value <= MAX_ROWS:
        tables.credentials_max = value
    elif parameter == admin_records.OWNER_CREDENTIALS_MAX and 1 <= value <= 65_535:
        tables.owner_credentials_max = value
    elif parameter == admin_records.REFERENCES_MAX and 1 <= value <= MAX_ROWS:
        tables.references_max = value
    elif parameter == admin_records.WITHDRAWAL_DELAY_S and 0 <= value <= 10**9:
        tables.withdrawal_delay_s = value
    else:
        return records.BAD_VALUE
    return 0


def pause_or_resume(tables: Tables, call: AdminCall, out: BytesWriter) -> i64:
    command = call.command
    cause, reason = command.variant(), command.parameter()
    is_pause = command.kind == records.PAUSE
    if cause > admin_records.BY_OPERATOR or (is_pause and reason == 0):
        return records.MALFORMED
    if tables.rules == 0:
        return records.NO_RULES
    if call.actor_reject != 0:
        return call.actor_reject
    pause = tables.audit_pause if cause == admin_records.BY_AUDIT else tables.operator_pause
    if is_pause == (pause.reason != 0):
        return call.repeat()
    if is_pause:
        pause.reason, pause.detail = reason, call.parts.detail
    event_writer.put_paused(out, cause, pause, is_pause)
    if not is_pause:
        pause.reason, pause.detail = 0, b""
    tables.set_paused()
    return 0


def note(call: AdminCall, out: BytesWriter) -> i64:
    command = call.command
    if not 1 <= command.variant() <= admin_records.NOTE_BYTES:
        return records.MALFORMED
    if call.actor_reject != 0:
        return call.actor_reject
    event_writer.put_note(out, command, admin_records.note_text_at(call.frame, call.at))
    return 0
