"""The tables and fields of a venue's configuration file. Reference: docs/operate/configuration.md.

Amounts, prices and quantities are texts, as in the public API; a field that is None is not set by
the file, and the exchange keeps what it has.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

Text = Annotated[str, Meta(min_length=1, max_length=200)]
Count = Annotated[int, Meta(ge=0, le=2_000_000_000)]


class AssetTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[assets]]"""

    name: Text
    decimals: Count
    cap: str | None = None  # the most that may exist
    credit_max: str  # a larger credit waits for a second operator
    daily_withdrawal_max: str | None = None  # of one account
    faucet: str | None = None  # the most that one account gets from the faucet


class GroupFeesTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[markets.group_fees]]: rates of the accounts in one fee group."""

    group: Annotated[int, Meta(ge=1, le=255)]
    maker_fee_ppm: Count | None = None
    taker_fee_ppm: Count | None = None


class BookTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[markets.book]: orders with which the book begins, the same on both sides of a price."""

    account: Text
    middle: Text  # a price
    quantity: Text  # of each level
    levels: Annotated[int, Meta(ge=1, le=100)] = 10
    step_ppm: Annotated[int, Meta(ge=1, le=100_000)] = 1_000  # between two levels, of the middle


class MarketTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[markets]]"""

    symbol: Text  # BASE_QUOTE
    tick: Text
    lot: Text
    state: str | None = None  # a new market without it is opened
    maker_fee_ppm: Count | None = None
    taker_fee_ppm: Count | None = None
    price_min: str | None = None
    price_max: str | None = None
    quantity_min: str | None = None
    quantity_max: str | None = None
    band_ppm: Count | None = None
    levels_max: Count | None = None
    walk_max: Count | None = None
    group_fees: tuple[GroupFeesTable, ...] = ()
    book: BookTable | None = None
    maker: dict[str, Any] | None = None  # the plan of the market maker


class KeyTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[accounts.keys]]: the public half of a key pair."""

    public_key: Text
    permissions: tuple[str, ...] = ("read",)
    label: Annotated[str, Meta(max_length=100)] = ""


class AccountTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[accounts]]: an account of the first state."""

    name: Text
    balances: dict[str, str] = {}
    fee_group: Annotated[int, Meta(ge=0, le=255)] | None = None
    keys: tuple[KeyTable, ...] = ()
    write_key: bool = False  # a key and a token of it are written to demo.json


class OperatorTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[operators]]: one of the first two operators."""

    name: Text
    roles: tuple[str, ...] = ("accounts", "markets", "money", "operators")
    account: str | None = None  # their own, on which they may not act
    token_hash: str | None = None  # without it the exchange makes a token and writes it to a file


class WebhookTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[webhook]: a payment system that reports deposits."""

    secret_file: Text  # beside the configuration, or absolute; the token of an operator


class HookTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[hooks]]: a program or a URL that is told of events; either `command` or `url`."""

    events: tuple[Text, ...]
    command: tuple[Text, ...] = ()
    url: Text | None = None
    secret_file: Text | None = None  # beside the configuration, or absolute


class ExchangeTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[exchange]: limits of the whole exchange."""

    orders_max: Count | None = None  # open orders of an account
    accounts_max: Count | None = None
    credentials_max: Count | None = None
    owner_credentials_max: Count | None = None
    references_max: Count | None = None
    withdrawal_delay_s: Count | None = None  # from a new key to its first withdrawal


class VenueTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    name: Text
    sign_up: str = "closed"
    withdrawals: str = "manual"
    generated_day: bool = False  # a day of generated trades before the first start
    server: dict[str, Any] = {}  # settings of `fairbook up`, by name
    exchange: ExchangeTable = ExchangeTable()
    webhook: WebhookTable | None = None
    hooks: tuple[HookTable, ...] = ()
    assets: tuple[AssetTable, ...]
    markets: tuple[MarketTable, ...]
    accounts: tuple[AccountTable, ...] = ()
    operators: tuple[OperatorTable, ...]
