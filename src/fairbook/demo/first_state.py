"""The demo exchange: what `fairbook up` lists, whom it funds, and the keys it hands out.

How it works: `prepare` brings an exchange to its first state through the ordinary Commands port.
Its steps (`listings`, `account_openings`, `credits_due`, `ladders`, `market_openings`) are those
commands that are missing: what an earlier start did, or the generated day (generated.py), is not
done again. `credentials` keeps the same keys and tokens over restarts; `DIR/demo.json` is where
their secret halves live.

Always true:
- killed anywhere and started again, the first state is the same: nobody from outside trades before
  `prepare` returned, so what a step left behind is still there to be seen, and nothing is credited
  twice;
- once the accounts store knows the accounts, the first state was complete, and no later start
  changes the exchange.

Not here: a living book (maker); who serves requests (processes.py).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from nacl.bindings import crypto_sign_seed_keypair

from fairbook.accounts.sqlite import SqliteAccounts
from fairbook.core import records
from fairbook.log import durable_file
from fairbook.ports.accounts import ALL_PERMISSIONS
from fairbook.ports.commands import Commands
from fairbook.ports.queries import Catalogue, Queries, StateView

FILE_NAME: Final = "demo.json"
LABEL: Final = "demo"
USERS: Final = {"demo1": 1, "demo2": 2, "maker": 3, "taker": 4}
TRADERS: Final = ("demo1", "demo2")  # whose keys and tokens are for anybody who tries the demo
MAKERS: Final = ("maker", "taker")  # the maker's process trades as both

MAKER_FEE_PPM: Final = 800
TAKER_FEE_PPM: Final = 1_000
BAND_PPM: Final = 50_000
LADDER_LEVELS: Final = 10
LADDER_STEP_PPM: Final = 1_000  # between two levels, of the middle price


class DemoFailed(Exception):
    """The exchange in this directory is not the demo's, or refused to become it."""


@dataclass(frozen=True, slots=True)
class DemoAsset:
    """An asset. In whole units: what each account starts with, the most there may ever be."""

    name: str
    decimals: int
    start_units: int
    cap_units: int


@dataclass(frozen=True, slots=True)
class DemoMarket:
    """A market: the middle of its ladder in ticks, and the size of a level in lots."""

    name: str
    base: int
    quote: int
    lot_atoms: int
    tick_atoms: int
    middle_ticks: int
    level_lots: int


class Credential(NamedTuple):
    """What a trader needs. The key and its seed in base64, as clients take them."""

    api_key: str
    api_secret: str
    token: str


# Ids are places in these lists, from 1. Balances are bounded by 2^62 atoms: with its native 18
# decimals that would be 4.6 ETH in all, therefore 8 here.
ASSETS: Final = (
    DemoAsset("SOL", decimals=9, start_units=100_000, cap_units=1_000_000_000),
    DemoAsset("BTC", decimals=8, start_units=1_000, cap_units=21_000_000),
    DemoAsset("ETH", decimals=8, start_units=10_000, cap_units=1_000_000_000),
    DemoAsset("USDC", decimals=6, start_units=100_000_000, cap_units=1_000_000_000_000),
)
MARKETS: Final = (
    # Tick 0.01, lot 0.01; 140 USDC, 50 SOL a level.
    DemoMarket(
        "SOL_USDC",
        base=1,
        quote=4,
        lot_atoms=10**7,
        tick_atoms=100,
        middle_ticks=14_000,
        level_lots=5_000,
    ),
    # Tick 0.1, lot 0.00001; 100,000 USDC, 0.2 BTC a level.
    DemoMarket(
        "BTC_USDC",
        base=2,
        quote=4,
        lot_atoms=10**3,
        tick_atoms=1,
        middle_ticks=1_000_000,
        level_lots=20_000,
    ),
    # Tick 0.01, lot 0.0001; 3,500 USDC, 5 ETH a level.
    DemoMarket(
        "ETH_USDC",
        base=3,
        quote=4,
        lot_atoms=10**4,
        tick_atoms=1,
        middle_ticks=350_000,
        level_lots=50_000,
    ),
)


def faucet_atoms() -> dict[str, int]:
    """What the faucet gives an account of each asset: as much again as the demo's start with."""
    return {asset.name: asset.start_units * 10**asset.decimals for asset in ASSETS}


async def prepare(
    commands: Commands, queries: Queries, catalogue: Catalogue, accounts: SqliteAccounts
) -> dict[str, int]:
    """Bring the exchange to the demo's first state, unless it was there before.

    Returns the account of each name in USERS. Must return before anybody may trade.
    Raises DemoFailed, and Stopped if the log fails.
    """
    known = _known_accounts(catalogue, accounts)
    if known is not None:
        return known

    outcomes = await _done(commands, [*listings(catalogue), *account_openings()])
    owners = owners_in(outcomes)
    view = await queries.at(await commands.settled())
    await _done(
        commands,
        [
            *_generated_ends(view),
            *(credit for owner in owners.values() for credit in credits_due(view, owner)),
            *ladders(view, owners["maker"]),
            *market_openings(catalogue),
        ],
    )

    # Last, because it says that all of the above is done.
    for name, account in owners.items():
        if accounts.user(USERS[name]) is None:
            accounts.add_user(user_id=USERS[name], name=name)
        accounts.set_account(USERS[name], account)
    return owners


def _known_accounts(catalogue: Catalogue, accounts: SqliteAccounts) -> dict[str, int] | None:
    """The account of each name, if the first state was complete before."""
    if any(catalogue.market_named(market.name) is None for market in MARKETS):
        return None
    known: dict[str, int] = {}
    for name, user_id in USERS.items():
        user = accounts.user(user_id)
        if user is None or user.account == 0:
            return None
        known[name] = user.account
    return known


async def _done(commands: Commands, batch: Sequence[bytes]) -> list[records.Outcome]:
    """Submit all, in order; return their outcomes. Raises DemoFailed as `require_done`."""
    answers = await asyncio.gather(*[commands.submit(command) for command in batch])
    outcomes = [records.read_outcome(answer.events) for answer in answers]
    require_done(outcomes)
    return outcomes


def require_done(outcomes: Iterable[records.Outcome]) -> None:
    """Raise DemoFailed if a command of the first state was rejected.

    Orders may be: if only the accounts store was lost, other people's may be in their way.
    """
    for outcome in outcomes:
        if outcome.status == records.REJECTED and outcome.command != records.PLACE:
            raise DemoFailed(
                f"the exchange refused to become the demo's: command {outcome.sequence}"
                f" (kind {outcome.command}) was rejected with code {outcome.reason};"
                " is its log another exchange's?"
            )


def listings(catalogue: Catalogue) -> Iterator[bytes]:
    """Rules, assets, markets and their parameters, as far as they are missing.

    A market that is closed, or takes cancels only, is opened as far as the ladder needs it.
    """
    if not catalogue.assets():
        yield records.rules()
    for number, asset in enumerate(ASSETS, start=1):
        listed = catalogue.asset_named(asset.name)
        if listed is None:
            yield records.list_asset(asset=number, decimals=asset.decimals, name=asset.name)
        cap_atoms = asset.cap_units * 10**asset.decimals
        if listed is None or listed.reserve_cap != cap_atoms:
            yield records.set_asset(asset=number, parameter=records.RESERVE_CAP, value=cap_atoms)
    for number, market in enumerate(MARKETS, start=1):
        traded = catalogue.market_named(market.name)
        if traded is None:
            yield records.list_market(
                market=number,
                base=market.base,
                quote=market.quote,
                lot_atoms=market.lot_atoms,
                tick_atoms=market.tick_atoms,
                name=market.name,
            )
        for parameter, value, found in (
            (records.MAKER_FEE_PPM, MAKER_FEE_PPM, traded and traded.maker_fee_ppm),
            (records.TAKER_FEE_PPM, TAKER_FEE_PPM, traded and traded.taker_fee_ppm),
            (records.BAND_PPM, BAND_PPM, traded and traded.band_ppm),
        ):
            if found != value:
                yield records.set_market(market=number, parameter=parameter, value=value)
        if traded is None or traded.state not in (records.OPEN, records.ONLY_POST):
            yield _state(number, records.ONLY_POST)


def _state(market: int, state: int) -> bytes:
    return records.set_market(market=market, parameter=records.STATE, value=state)


def account_openings() -> list[bytes]:
    """One for each of USERS, in their order."""
    return [records.open_account(user_id) for user_id in USERS.values()]


def owners_in(outcomes: Sequence[records.Outcome]) -> dict[str, int]:
    """The account of each of USERS, from outcomes that end with those of `account_openings`."""
    opened = outcomes[-len(USERS) :]
    return {name: outcome.account for name, outcome in zip(USERS, opened, strict=True)}


def credits_due(view: StateView, account: int) -> Iterator[bytes]:
    """What the account has not been given yet: it has none of it, and nobody has traded."""
    held = {asset: available + locked for asset, available, locked in view.balances(account)}
    for number, asset in enumerate(ASSETS, start=1):
        if held.get(number, 0) == 0:
            atoms = asset.start_units * 10**asset.decimals
            yield records.credit(account=account, asset=number, atoms=atoms)


def _generated_ends(view: StateView) -> Iterator[bytes]:
    """What a generated day that was cut short left on the book is in the ladders' way."""
    for account, session in view.sessions():
        if session == records.GENERATED_SESSION:
            yield records.end_session(account=account, session=session)


def ladders(view: StateView, account: int) -> Iterator[bytes]:
    """Resting orders around the middle of each market that are not there yet.

    Client ids are 1.. per account over all markets, so that an order is placed once.
    """
    client_id = 0
    for number, market in enumerate(MARKETS, start=1):
        step_ticks = market.middle_ticks * LADDER_STEP_PPM // 1_000_000
        for level in range(1, LADDER_LEVELS + 1):
            for side, sign in ((records.BID, -1), (records.ASK, 1)):
                client_id += 1
                if view.order(account, market=number, client_id=client_id) is not None:
                    continue
                yield records.place(
                    account=account,
                    market=number,
                    side=side,
                    price=market.middle_ticks + sign * level * step_ticks,
                    quantity=market.level_lots,
                    flags=records.HAS_CLIENT_ID | records.POST_ONLY,
                    client_id=client_id,
                )


def market_openings(catalogue: Catalogue) -> Iterator[bytes]:
    """What opens the markets to all that are not open. They must be listed."""
    for number in range(1, len(MARKETS) + 1):
        if catalogue.market(number).state != records.OPEN:
            yield _state(number, records.OPEN)


def credentials(
    path: Path, accounts: SqliteAccounts, owners: dict[str, int], names: Sequence[str] = TRADERS
) -> dict[str, Credential]:
    """Key and token of each of `names`: those in the file if they still work, else new ones.

    What new ones replace is revoked. The caller writes the result with `write_file`.
    """
    written = _read_file(path, names)
    found: dict[str, Credential] = {}
    for name in names:
        credential = written.get(name)
        if credential is None or not _works(credential, accounts, owners[name]):
            credential = _renew(accounts, owners[name])
        found[name] = credential
    return found


def _read_file(path: Path, names: Sequence[str]) -> dict[str, Credential]:
    """What the file says, as far as it can be read."""
    try:
        written = json.loads(path.read_bytes())["accounts"]
        return {
            name: Credential(
                str(written[name]["apiKey"]),
                str(written[name]["apiSecret"]),
                str(written[name]["token"]),
            )
            for name in names
        }
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}


def _works(credential: Credential, accounts: SqliteAccounts, account: int) -> bool:
    """Whether key, secret and token belong together, to this account, and are live."""
    try:
        seed = base64.b64decode(credential.api_secret, validate=True)
        public_key = base64.b64decode(credential.api_key, validate=True)
    except (binascii.Error, ValueError):
        return False
    if len(seed) != 32 or crypto_sign_seed_keypair(seed)[0] != public_key:
        return False
    return all(
        access is not None and access.account == account and access.permissions == ALL_PERMISSIONS
        for access in (accounts.by_key(public_key), accounts.by_token(credential.token))
    )


def _renew(accounts: SqliteAccounts, account: int) -> Credential:
    """A new key and token; the demo's old ones end."""
    for key in accounts.keys(account):
        if key.label == LABEL and key.revoked_ns == 0:
            accounts.revoke_key(account=account, key_id=key.key_id)
    for token in accounts.tokens(account):
        accounts.revoke_token(account=account, token_id=token.token_id)
    seed = secrets.token_bytes(32)
    public_key = crypto_sign_seed_keypair(seed)[0]
    accounts.add_key(
        account=account, public_key=public_key, label=LABEL, permissions=ALL_PERMISSIONS
    )
    text, _ = accounts.add_token(account=account, permissions=ALL_PERMISSIONS)
    return Credential(base64.b64encode(public_key).decode(), base64.b64encode(seed).decode(), text)


def write_file(path: Path, *, http_url: str, ws_url: str, traders: dict[str, Credential]) -> None:
    """Write addresses and credentials, readable by their owner alone: the old file or the new one,
    never a part.
    """
    content = {
        "http": http_url,
        "ws": ws_url,
        "accounts": {
            name: {
                "apiKey": credential.api_key,
                "apiSecret": credential.api_secret,
                "token": credential.token,
            }
            for name, credential in traders.items()
        },
    }
    durable_file.write_file(path, [json.dumps(content, indent=2).encode() + b"\n"])
