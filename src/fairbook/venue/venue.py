"""A venue as its configuration says: whole units, checked as far as one file can be."""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from fairbook.api.errors import BadRequest
from fairbook.api.numbers import UNITS_OUT, Scale
from fairbook.core import admin_records
from fairbook.core.units import MAX_DECIMALS, MAX_LISTED_ATOMS, tick_size
from fairbook.venue.config_tables import (
    AccountTable,
    AssetTable,
    BookTable,
    HookTable,
    KeyTable,
    MarketTable,
    OperatorTable,
    VenueTable,
)
from fairbook.venue.toml_file import Path, Problem, hint, parse

SIGN_UP: Final = ("open", "invitation", "closed")
WITHDRAWALS: Final = ("automatic", "manual")
STATES: Final = {
    "open": admin_records.OPEN,
    "post_only": admin_records.ONLY_POST,
    "limit_only": admin_records.ONLY_LIMIT,
    "cancel_only": admin_records.ONLY_CANCEL,
    "closed": admin_records.CLOSED_STATE,
}
PERMISSIONS: Final = {
    "read": admin_records.MAY_READ,
    "trade": admin_records.MAY_TRADE,
    "withdraw": admin_records.MAY_WITHDRAW,
}
ROLES: Final = {
    "accounts": admin_records.ACCOUNTS_ROLE,
    "markets": admin_records.MARKETS_ROLE,
    "money": admin_records.MONEY_ROLE,
    "operators": admin_records.OPERATORS_ROLE,
}
EVENTS: Final = (
    "all", "checkpoint", "liabilities", "signed-up", "withdrawal-requested", "proposed",
    "pause", "unpause", "market-state", "announce", "freeze", "unfreeze", "close-account",
    "reset-password",
    "credit", "debit", "confirm-credit", "refuse-credit", "approve-withdrawal",
    "confirm-withdrawal", "reject-withdrawal",
)  # fmt: skip
MAKERS: Final = ("maker", "taker")
"""The accounts with which the market maker trades."""
OPERATORS: Final = 2
GENERATED_MARKETS_MAX: Final = 20  # with a first book, if there is a generated day

_DECIMAL: Final = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?")
_ASSET_NAME: Final = re.compile(r"[A-Z0-9]{1,16}")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")


class VenueAsset(NamedTuple):
    """An asset. `limits`: atoms by field of the core's asset, where the file has them."""

    name: str
    decimals: int
    limits: Mapping[str, int]
    faucet_atoms: int
    path: Path

    @property
    def scale(self) -> Scale:
        return Scale("Amount", step=1, decimals=self.decimals)


class FirstBook(NamedTuple):
    """Post-only orders of the first state: `levels` of each side, `step_ticks` apart."""

    account: str
    middle_ticks: int
    level_lots: int
    levels: int
    step_ticks: int


class VenueMarket(NamedTuple):
    """A market. `parameters`: whole units by field of the core's market, where the file has them;
    `group_fees`: (group, field, ppm).
    """

    name: str
    base: str
    quote: str
    lot_atoms: int
    tick_atoms: int
    parameters: Mapping[str, int]
    group_fees: tuple[tuple[int, str, int], ...]
    price: Scale
    quantity: Scale
    book: FirstBook | None
    maker: Mapping[str, Any] | None
    path: Path


class VenueKey(NamedTuple):
    """A public key of an account."""

    public_key: bytes
    permissions: int
    label: str


class VenueAccount(NamedTuple):
    """An account of the first state. `balances`: atoms by asset."""

    name: str
    user_id: int
    balances: Mapping[str, int]
    fee_group: int | None
    keys: tuple[VenueKey, ...]
    write_key: bool
    path: Path


class VenueOperator(NamedTuple):
    """One of the first two operators. `token_hash`: as the log has it; None: a token is made.
    `user_id`: of their own account; 0: none.
    """

    name: str
    number: int
    roles: int
    user_id: int
    token_hash: bytes | None
    path: Path


class VenueHook(NamedTuple):
    """A program or a URL that is told of events. `secret_file`: beside the configuration."""

    events: frozenset[str]
    command: tuple[str, ...]
    url: str | None
    secret_file: str | None


class Venue(NamedTuple):
    """The configuration. `server`: settings by name; `limits`: of the exchange, by field."""

    name: str
    sign_up: str
    withdrawals: str
    generated_day: bool
    server: Mapping[str, Any]
    limits: Mapping[str, int]
    assets: tuple[VenueAsset, ...]
    markets: tuple[VenueMarket, ...]
    accounts: tuple[VenueAccount, ...]
    operators: tuple[VenueOperator, ...]
    webhook_secret_file: str | None
    hooks: tuple[VenueHook, ...]

    @property
    def user_ids(self) -> dict[str, int]:
        """By name of the account."""
        return {account.name: account.user_id for account in self.accounts}

    @property
    def has_maker(self) -> bool:
        return any(market.maker is not None for market in self.markets)

    def faucet_atoms(self) -> dict[str, int]:
        """The most that one account gets, by asset; empty: there is no faucet."""
        return {asset.name: asset.faucet_atoms for asset in self.assets if asset.faucet_atoms}


def venue_of(text: str, name: str) -> Venue:
    """name: of the file, for messages. Raises ConfigError."""
    try:
        return _venue(parse(text))
    except Problem as problem:
        raise problem.at_line(text, name) from None


def _venue(table: VenueTable) -> Venue:
    _one_of(table.sign_up, SIGN_UP, ("sign_up",))
    _one_of(table.withdrawals, WITHDRAWALS, ("withdrawals",))
    assets = tuple(_asset(asset, ("assets", at)) for at, asset in enumerate(table.assets))
    _require_different((asset.name for asset in assets), "assets", "name")
    by_name = {asset.name: asset for asset in assets}
    accounts = tuple(
        _account(account, by_name, at + 1, ("accounts", at))
        for at, account in enumerate(table.accounts)
    )
    _require_different((account.name for account in accounts), "accounts", "name")
    user_ids = {account.name: account.user_id for account in accounts}
    names = list(user_ids)
    markets = tuple(
        _market(market, by_name, names, ("markets", at)) for at, market in enumerate(table.markets)
    )
    _require_different((market.name for market in markets), "markets", "symbol")
    keys = (key.public_key for account in accounts for key in account.keys)
    _require_different(keys, "accounts", "public_key")
    venue = Venue(
        table.name, table.sign_up, table.withdrawals, table.generated_day, table.server,
        _limits(table), assets, markets, accounts, _operators(table.operators, user_ids),
        None if table.webhook is None else table.webhook.secret_file,
        tuple(_hook(hook, ("hooks", at)) for at, hook in enumerate(table.hooks)),
    )  # fmt: skip
    books = sum(market.book is not None for market in markets)
    if table.generated_day and not (
        1 <= books <= GENERATED_MARKETS_MAX and set(MAKERS) <= set(names)
    ):
        raise Problem(
            ("generated_day",),
            "generated_day needs accounts maker and taker, and a [markets.book] in 1 to"
            f" {GENERATED_MARKETS_MAX} markets",
        )
    return venue


def _hook(table: HookTable, path: Path) -> VenueHook:
    for event in table.events:
        _one_of(event, EVENTS, (*path, "events"))
    if not table.events:
        raise Problem((*path, "events"), f"events: at least one of {', '.join(EVENTS)}")
    if bool(table.command) == (table.url is not None):
        raise Problem(path, "a hook has either a command or a url")
    if table.url is not None:
        url = urlsplit(table.url)
        if url.scheme not in ("http", "https") or not url.hostname or url.username is not None:
            raise Problem((*path, "url"), f"url: https://HOST/PATH, not {table.url!r}")
    return VenueHook(frozenset(table.events), table.command, table.url, table.secret_file)


def _limits(table: VenueTable) -> dict[str, int]:
    exchange = table.exchange
    return {
        field: value
        for field in exchange.__struct_fields__
        if (value := getattr(exchange, field)) is not None
    }


def _asset(table: AssetTable, path: Path) -> VenueAsset:
    if not _ASSET_NAME.fullmatch(table.name):
        raise Problem((*path, "name"), f"name: 1 to 16 of A-Z 0-9, not {table.name!r}")
    if table.decimals > MAX_DECIMALS:
        raise Problem((*path, "decimals"), f"decimals: at most {MAX_DECIMALS}")
    scale = Scale("Amount", step=1, decimals=table.decimals)
    limits: dict[str, int] = {}
    for field, name in (
        ("cap", "reserve_cap"),
        ("credit_max", "credit_max"),
        ("daily_withdrawal_max", "daily_withdrawal_max"),
    ):
        text = getattr(table, field)
        if text is not None:
            limits[name] = _units(scale, text, (*path, field))
    faucet = 0 if table.faucet is None else _units(scale, table.faucet, (*path, "faucet"))
    if faucet > limits["credit_max"]:
        raise Problem((*path, "faucet"), "faucet: more than credit_max")
    return VenueAsset(table.name, table.decimals, limits, faucet, path)


def _market(
    table: MarketTable, assets: Mapping[str, VenueAsset], accounts: Iterable[str], path: Path
) -> VenueMarket:
    base_name, _, quote_name = table.symbol.partition("_")
    for name in (base_name, quote_name):
        if name not in assets:
            raise Problem(
                (*path, "symbol"),
                f"symbol: BASE_QUOTE of two assets; {name or table.symbol!r} is none"
                f"{hint(name, assets)}",
            )
    base, quote = assets[base_name], assets[quote_name]
    lot_atoms = _listed_atoms(_fraction(table.lot, (*path, "lot")), base, (*path, "lot"))
    tick = _fraction(table.tick, (*path, "tick")) * _fraction(table.lot, (*path, "lot"))
    tick_atoms = _listed_atoms(tick, quote, (*path, "tick"))
    step, decimals = tick_size(
        lot_atoms=lot_atoms, tick_atoms=tick_atoms, base_decimals=base.decimals,
        quote_decimals=quote.decimals,
    )  # fmt: skip
    if step == 0:
        raise Problem((*path, "tick"), f"tick: more than {MAX_DECIMALS} decimals")
    price = Scale("Price", step=step, decimals=decimals)
    quantity = Scale("Quantity", step=lot_atoms, decimals=base.decimals)
    if table.maker is not None and not set(MAKERS) <= set(accounts):
        raise Problem((*path, "maker"), "a market with a maker needs accounts maker and taker")
    return VenueMarket(
        table.symbol, base_name, quote_name, lot_atoms, tick_atoms,
        _parameters(table, price, quantity, path), tuple(_group_fees(table, path)), price, quantity,
        None if table.book is None else _book(table.book, price, quantity, accounts, path),
        table.maker, path,
    )  # fmt: skip


def _parameters(table: MarketTable, price: Scale, quantity: Scale, path: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    if table.state is not None:
        found["state"] = STATES[_one_of(table.state, STATES, (*path, "state"))]
    for field in ("maker_fee_ppm", "taker_fee_ppm", "band_ppm", "levels_max", "walk_max"):
        value = getattr(table, field)
        if value is not None:
            found[field] = value
    for scale, fields in (
        (price, ("price_min", "price_max")),
        (quantity, ("quantity_min", "quantity_max")),
    ):
        for field in fields:
            text = getattr(table, field)
            if text is not None:
                found[field] = _units(scale, text, (*path, field))
    return found


def _group_fees(table: MarketTable, path: Path) -> Iterator[tuple[int, str, int]]:
    groups = [fees.group for fees in table.group_fees]
    _require_different(groups, "group_fees", "group", (*path, "group_fees"))
    for fees in table.group_fees:
        for field in ("maker_fee_ppm", "taker_fee_ppm"):
            value = getattr(fees, field)
            if value is not None:
                yield fees.group, field, value


def _book(
    table: BookTable, price: Scale, quantity: Scale, accounts: Iterable[str], path: Path
) -> FirstBook:
    path = (*path, "book")
    _one_of(table.account, list(accounts), (*path, "account"))
    middle = _units(price, table.middle, (*path, "middle"))
    step_ticks = middle * table.step_ppm // 1_000_000
    if step_ticks < 1 or table.levels * step_ticks >= middle:
        raise Problem((*path, "step_ppm"), "step_ppm: levels are at least a tick apart, above zero")
    lots = _units(quantity, table.quantity, (*path, "quantity"))
    return FirstBook(table.account, middle, lots, table.levels, step_ticks)


def _account(
    table: AccountTable, assets: Mapping[str, VenueAsset], user_id: int, path: Path
) -> VenueAccount:
    if not _NAME.fullmatch(table.name):
        raise Problem((*path, "name"), "name: 1 to 64 letters, digits, dots, - and _")
    balances = {}
    for asset, text in table.balances.items():
        at = (*path, "balances", asset)
        _one_of(asset, assets, at)
        balances[asset] = _units(assets[asset].scale, text, at)
    keys = tuple(_key(key, (*path, "keys", at)) for at, key in enumerate(table.keys))
    return VenueAccount(table.name, user_id, balances, table.fee_group, keys, table.write_key, path)


def _key(table: KeyTable, path: Path) -> VenueKey:
    try:
        public_key = base64.b64decode(table.public_key, validate=True)
    except ValueError:
        public_key = b""
    if len(public_key) != 32:
        raise Problem((*path, "public_key"), "public_key: 32 bytes in base64")
    permissions = _bits(table.permissions, PERMISSIONS, (*path, "permissions"))
    return VenueKey(public_key, permissions, table.label)


def _operators(
    tables: tuple[OperatorTable, ...], user_ids: Mapping[str, int]
) -> tuple[VenueOperator, ...]:
    if len(tables) != OPERATORS:
        raise Problem(
            ("operators", 0),
            f"name exactly {OPERATORS} operators: the two add others together, when it runs",
        )
    found = []
    for at, table in enumerate(tables):
        path: Path = ("operators", at)
        if not _NAME.fullmatch(table.name):
            raise Problem((*path, "name"), "name: 1 to 64 letters, digits, dots, - and _")
        token_hash = table.token_hash
        if token_hash is not None and not _HASH.fullmatch(token_hash):
            raise Problem((*path, "token_hash"), "token_hash: 64 hexadecimal digits")
        roles = _bits(table.roles, ROLES, (*path, "roles"))
        hashed = None if token_hash is None else bytes.fromhex(token_hash)
        user_id = 0
        if table.account is not None:
            user_id = user_ids[_one_of(table.account, user_ids, (*path, "account"))]
        found.append(VenueOperator(table.name, at + 1, roles, user_id, hashed, path))
    _require_different((operator.name for operator in found), "operators", "name")
    hashes = [operator.token_hash for operator in found if operator.token_hash]
    _require_different(hashes, "operators", "token_hash")
    return tuple(found)


def _bits(words: Iterable[str], known: Mapping[str, int], path: Path) -> int:
    bits = 0
    for word in words:
        bits |= known[_one_of(word, known, path)]
    if not bits:
        raise Problem(path, f"{path[-1]}: at least one of {', '.join(known)}")
    return bits


def _one_of(word: str, known: Iterable[str], path: Path) -> str:
    names = list(known)
    if word not in names:
        raise Problem(path, f"{path[-1]}: unknown {word!r}{hint(word, names)}")
    return word


def _units(scale: Scale, text: str, path: Path) -> int:
    try:
        units = scale.units(text)
    except BadRequest as error:
        raise Problem(path, f"{path[-1]}: {error.message}") from None
    if units >= UNITS_OUT:
        raise Problem(path, f"{path[-1]}: {text} is too large")
    return units


def _fraction(text: str, path: Path) -> Fraction:
    if not _DECIMAL.fullmatch(text) or not Fraction(text):
        raise Problem(path, f"{path[-1]}: a decimal above zero, such as 0.01, not {text!r}")
    return Fraction(text)


def _listed_atoms(amount: Fraction, asset: VenueAsset, path: Path) -> int:
    atoms = amount * 10**asset.decimals
    if atoms.denominator != 1:
        what = "a lot" if path[-1] == "lot" else "a tick of one lot"
        raise Problem(path, f"{path[-1]}: {what} must be a whole number of atoms of {asset.name}")
    if atoms > MAX_LISTED_ATOMS:
        raise Problem(path, f"{path[-1]}: more than 10^18 atoms of {asset.name}")
    return int(atoms)


def _require_different(
    values: Iterable[object], table: str, field: str, path: Path | None = None
) -> None:
    seen = set()
    for at, value in enumerate(values):
        if value in seen:
            raise Problem((*(path or (table,)), at, field), f"{field}: the same twice")
        seen.add(value)
