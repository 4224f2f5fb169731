"""What exists: rules, assets, markets, accounts, parameters, and the money that came in.

How it works: each command of the operator is one method. It checks everything, changes what it
says, writes the event of the change, and
returns a reject code, or 0.

Always true: a method that returns a reject has changed nothing and written nothing.

Not here: orders (exchange.py, matching.py); the outcome of the command (exchange.py).
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import BytesWriter, read_i64_le
from mypy_extensions import i64

from fairbook.core import COMPILED
from fairbook.core.accounts import Account, look_ahead
from fairbook.core.book import Book
from fairbook.core.emit import (
    pair,
    put_account,
    put_asset,
    put_market,
    put_moved,
    put_parameter,
)
from fairbook.core.ledger import EXTERNAL, FIRST_USER, Ledger
from fairbook.core.markets import ASSETS_MAX, MARKETS_MAX, Asset, Market
from fairbook.core.records import (
    ACCOUNT_FROZEN,
    ACCOUNTS_MAX,
    ALREADY_LISTED,
    BAD_QUANTITY,
    BAD_VALUE,
    BAND_PPM,
    CLOSED_STATE,
    COMMAND_BYTES,
    CREDIT,
    DEBIT,
    EXCHANGE_CANCEL_ONLY,
    FROZEN,
    INSUFFICIENT_FUNDS,
    LEVELS_MAX,
    LIST_ASSET,
    LIST_MARKET,
    LOW,
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
)
from fairbook.core.units import (
    MAX_ATOMS,
    MAX_DECIMALS,
    MAX_LISTED_ATOMS,
    MAX_UNITS,
    MILLION,
    tick_size,
)

RULES_VERSION: Final = 1
NAME_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"


@final
class Registry:
    """The tables. Index 0 of assets, markets and books is a placeholder."""

    def __init__(self) -> None:
        self.rules: i64 = 0
        self.cancel_only: bool = False
        self.orders_max: i64 = 10_000
        self.glanced: i64 = 0  # no part of the state: it makes `look_ahead` count for something
        self.accounts_max: i64 = 1_000_000
        self.assets: list[Asset] = [Asset(0, "", 0)]
        self.markets: list[Market] = [Market(0, "", 0, 0, 1, 1, 1, 0, 0)]
        self.books: list[Book] = [Book(self.markets[0])]
        self.accounts: list[Account] = [Account(0), Account(0)]
        self.account_of_user: dict[int, int] = {}
        self.ledger = Ledger()

    def operate(self, frame: bytes, at: i64, time_ns: i64, out: BytesWriter) -> i64:
        """Execute the operator's command at `at`. Returns a reject code, or 0."""
        head = read_i64_le(frame, at)
        kind, thing = head & 255, head >> 32
        account = read_i64_le(frame, at + 8) & LOW
        parameter = read_i64_le(frame, at + 16) >> 32 & LOW
        word = read_i64_le(frame, at + 24)
        value = read_i64_le(frame, at + 40)
        if kind == CREDIT or kind == DEBIT:
            return self.move(kind, account, thing, word, value, out)
        if kind == OPEN_ACCOUNT:
            return self.open_account(word, out)
        if kind == RULES:
            return self.set_rules(value, out)
        if kind == LIST_ASSET:
            return self.list_asset(thing, word, frame[at + 32 : at + 48], out)
        if kind == LIST_MARKET:
            return self.list_market(frame, at, time_ns, out)
        if kind == SET_ASSET:
            return self.set_asset(thing, parameter, value, out)
        if kind == SET_MARKET:
            return self.set_market(thing, parameter, value, out)
        if kind == SET_ACCOUNT:
            return self.set_account(account, parameter, value, out)
        if kind == SET_EXCHANGE:
            return self.set_exchange(parameter, value, out)
        return MALFORMED

    def is_user(self, account: i64) -> bool:
        """Whether an account was opened: the house's are not."""
        return FIRST_USER <= account < len(self.accounts)

    def begin(self, frame: bytes, turn: i64, time_ns: i64) -> None:
        """Before the commands of a frame: clear the expired receipts of one account.

        A busy account clears its own; this, called once a frame, is for those that never come back.
        """
        receipts = self.accounts[turn % len(self.accounts)].receipts
        if receipts is not None:
            receipts.expire(time_ns)
        if COMPILED and len(frame) > COMMAND_BYTES:
            self.glanced = look_ahead(frame, self.accounts)

    def set_rules(self, version: i64, out: BytesWriter) -> i64:
        """RULES."""
        if version != RULES_VERSION:
            return BAD_VALUE
        self.rules = version
        put_parameter(out, RULES, 0, 0, 0, version)
        return 0

    def open_account(self, user_id: i64, out: BytesWriter) -> i64:
        """OPEN_ACCOUNT, idempotent: `account_of_user` has the account afterwards."""
        if user_id < 1:
            return MALFORMED
        if self.rules == 0:
            return NO_RULES
        if user_id in self.account_of_user:
            return 0
        account: i64 = len(self.accounts)
        if account >= self.accounts_max:
            return TABLE_FULL
        self.add_account(Account(user_id))
        put_account(out, account, user_id)
        return 0

    def add_account(self, account: Account) -> None:
        """Append an account with an empty row in the ledger."""
        self.account_of_user[account.user_id] = len(self.accounts)
        self.accounts.append(account)
        self.ledger.add_account()

    def move(
        self, command: i64, account: i64, asset: i64, reference: i64, atoms: i64, out: BytesWriter
    ) -> i64:
        """CREDIT and DEBIT: money from EXTERNAL to an account, or back."""
        if self.rules == 0:
            return NO_RULES
        if account == EXTERNAL or account >= len(self.accounts):
            return UNKNOWN_ACCOUNT
        if asset == 0 or asset >= len(self.assets):
            return UNKNOWN_ASSET
        if command == DEBIT and self.accounts[account].frozen:
            return ACCOUNT_FROZEN
        if atoms < 1 or atoms > MAX_ATOMS:
            return BAD_QUANTITY
        theirs = self.ledger.cell(account, asset)
        signed = atoms
        if command == CREDIT:
            if atoms > self.assets[asset].reserve_cap - self.ledger.supply(asset):
                return OVER_CAP
        else:
            if atoms > theirs.available:
                return INSUFFICIENT_FUNDS
            signed = -atoms
        theirs.available += signed
        self.ledger.cell(EXTERNAL, asset).available -= signed
        put_moved(out, command, asset, account, reference, atoms)
        return 0

    def list_asset(self, asset: i64, decimals: i64, name: bytes, out: BytesWriter) -> i64:
        """LIST_ASSET. `name` is padded to 16 bytes."""
        text = name_of(name)
        if asset == 0 or decimals < 0 or decimals > MAX_DECIMALS or text == "":
            return MALFORMED
        if self.rules == 0:
            return NO_RULES
        if asset < len(self.assets) or any(known.name == text for known in self.assets):
            return ALREADY_LISTED
        if asset != len(self.assets):
            return BAD_VALUE
        if asset > ASSETS_MAX:
            return TABLE_FULL
        self.add_asset(Asset(asset, text, decimals))
        put_asset(out, asset, decimals, read_i64_le(name, 0), read_i64_le(name, 8))
        return 0

    def add_asset(self, asset: Asset) -> None:
        """Append an asset with an empty column in the ledger."""
        self.assets.append(asset)
        self.ledger.add_asset()

    def list_market(self, words: bytes, at: i64, time_ns: i64, out: BytesWriter) -> i64:
        """LIST_MARKET, from the command at `at`."""
        market = read_i64_le(words, at) >> 32 & 0xFFFF
        assets = read_i64_le(words, at + 8)
        base, quote = assets & LOW, assets >> 32 & LOW
        lot_atoms = read_i64_le(words, at + 16)
        tick_atoms = read_i64_le(words, at + 24)
        text = name_of(words[at + 32 : at + 48])
        if market == 0 or text == "":
            return MALFORMED
        if self.rules == 0:
            return NO_RULES
        known: i64 = len(self.assets)
        if base == 0 or base >= known or quote == 0 or quote >= known:
            return UNKNOWN_ASSET
        if market < len(self.markets) or any(other.name == text for other in self.markets):
            return ALREADY_LISTED
        if market != len(self.markets) or base == quote:
            return BAD_VALUE
        if not (1 <= lot_atoms <= MAX_LISTED_ATOMS and 1 <= tick_atoms <= MAX_LISTED_ATOMS):
            return BAD_VALUE
        step, decimals = self._tick_size(base, quote, lot_atoms, tick_atoms)
        if step == 0:
            return BAD_VALUE
        if market > MARKETS_MAX:
            return TABLE_FULL
        self.add_market(
            Market(market, text, base, quote, lot_atoms, tick_atoms, step, decimals, time_ns)
        )
        put_market(
            out,
            market,
            pair(base, quote),
            lot_atoms,
            tick_atoms,
            read_i64_le(words, at + 32),
            read_i64_le(words, at + 40),
        )
        return 0

    def _tick_size(self, base: i64, quote: i64, lot_atoms: i64, tick_atoms: i64) -> tuple[int, int]:
        return tick_size(
            lot_atoms=lot_atoms,
            tick_atoms=tick_atoms,
            base_decimals=self.assets[base].decimals,
            quote_decimals=self.assets[quote].decimals,
        )

    def add_market(self, market: Market) -> None:
        """Append a market with an empty book."""
        self.markets.append(market)
        self.books.append(Book(market))

    def set_asset(self, asset: i64, parameter: i64, value: i64, out: BytesWriter) -> i64:
        """SET_ASSET."""
        if parameter != RESERVE_CAP:
            return MALFORMED
        if self.rules == 0:
            return NO_RULES
        if asset == 0 or asset >= len(self.assets):
            return UNKNOWN_ASSET
        if value < 0 or value > MAX_ATOMS:
            return BAD_VALUE
        self.assets[asset].reserve_cap = value
        put_parameter(out, SET_ASSET, asset, 0, parameter, value)
        return 0

    def set_market(self, market: i64, parameter: i64, value: i64, out: BytesWriter) -> i64:
        """SET_MARKET."""
        if parameter < STATE or parameter > LEVELS_MAX:
            return MALFORMED
        if self.rules == 0:
            return NO_RULES
        if market == 0 or market >= len(self.markets):
            return UNKNOWN_MARKET
        if not set_parameter(self.markets[market], parameter, value):
            return BAD_VALUE
        put_parameter(out, SET_MARKET, market, 0, parameter, value)
        return 0

    def set_account(self, account: i64, parameter: i64, value: i64, out: BytesWriter) -> i64:
        """SET_ACCOUNT."""
        if parameter != FROZEN:
            return MALFORMED
        if self.rules == 0:
            return NO_RULES
        if not self.is_user(account):
            return UNKNOWN_ACCOUNT
        if value < 0 or value > 1:
            return BAD_VALUE
        self.accounts[account].frozen = value == 1
        put_parameter(out, SET_ACCOUNT, 0, account, parameter, value)
        return 0

    def set_exchange(self, parameter: i64, value: i64, out: BytesWriter) -> i64:
        """SET_EXCHANGE."""
        if parameter < STATE or parameter > ACCOUNTS_MAX:
            return MALFORMED
        if self.rules == 0:
            return NO_RULES
        if parameter == STATE:
            if value < 0 or value > EXCHANGE_CANCEL_ONLY:
                return BAD_VALUE
            self.cancel_only = value == EXCHANGE_CANCEL_ONLY
        elif parameter == ORDERS_MAX:
            if value < 1 or value > 1 << 20:
                return BAD_VALUE
            self.orders_max = value
        else:
            if value < FIRST_USER or value > (1 << 31) - 1:
                return BAD_VALUE
            self.accounts_max = value
        put_parameter(out, SET_EXCHANGE, 0, 0, parameter, value)
        return 0


def name_of(padded: bytes) -> str:
    """The text of a 16-byte name, or "" if it is none."""
    text = padded.rstrip(b"\0")
    for letter in text:
        if letter not in NAME_LETTERS:
            return ""
    return text.decode("ascii")


def set_parameter(market: Market, parameter: i64, value: i64) -> bool:
    """Give a market's parameter a value.

    Returns False, and changes nothing, if it is out of range.
    """
    if parameter == STATE:
        if value < 0 or value > CLOSED_STATE:
            return False
        market.state = value
        return True
    if parameter == MAKER_FEE_PPM or parameter == TAKER_FEE_PPM:
        if value < 0 or value >= MILLION:
            return False
        if parameter == MAKER_FEE_PPM:
            market.maker_fee_ppm = value
        else:
            market.taker_fee_ppm = value
        return True
    if parameter == BAND_PPM:
        if value < 0 or value > MILLION:
            return False
        market.band_ppm = value
        return True
    if parameter == LEVELS_MAX:
        if value < 1 or value > 1 << 20:
            return False
        market.levels_max = value
        return True
    return set_range(market, parameter, value)


def set_range(market: Market, parameter: i64, value: i64) -> bool:
    """The four parameters that bound prices and quantities."""
    if value < 1 or value > MAX_UNITS:
        return False
    if parameter == PRICE_MIN and value <= market.price_max:
        market.price_min = value
    elif parameter == PRICE_MAX and value >= market.price_min:
        market.price_max = value
    elif parameter == QUANTITY_MIN and value <= market.quantity_max:
        market.quantity_min = value
    elif parameter == QUANTITY_MAX and value >= market.quantity_min:
        market.quantity_max = value
    else:
        return False
    return True
