"""The first state of the demo exchange: its assets, markets, funded accounts and resting orders.

Design: `prepare` submits the commands that are missing, so what an earlier start or the generated
day has done is not done again. The log has its rules, and an instance of the gateway, before that.

Invariants:
- killed at any point and started again, the result is the same: clients are not let in before
  `prepare` returns, so all effects of earlier steps are visible, and nothing is credited twice;
- once the accounts store has the demo's accounts, the first state was complete, and no later start
  changes the exchange.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.core import admin_records, records
from fairbook.ports.accounts import AccountRefused
from fairbook.ports.commands import Commands
from fairbook.ports.queries import Catalogue, Queries, StateView

USERS: Final = {"demo1": 1, "demo2": 2, "maker": 3, "taker": 4}
"""User ids by name."""

MAKER_FEE_PPM: Final = 800
TAKER_FEE_PPM: Final = 1_000
BAND_PPM: Final = 50_000
LADDER_LEVELS: Final = 10
LADDER_STEP_PPM: Final = 1_000  # Between two levels, of the middle price.

logger = logging.getLogger(__name__)


class DemoError(Exception):
    """The exchange in this directory is not the demo, and cannot become it."""


class DemoAsset(NamedTuple):
    """In whole units: the balance of each account at the start, and the cap of the reserve."""

    name: str
    decimals: int
    start_units: int
    cap_units: int


class DemoMarket(NamedTuple):
    """Against USDC. Middle and level size are those of the ladder: the resting orders."""

    name: str
    base: int
    lot_atoms: int
    tick_atoms: int
    middle_ticks: int
    level_lots: int


# Ids are the positions in these lists, from 1. Balances are below 2^62 atoms: with its native 18
# decimals that would be 4.6 ETH in all, so ETH has 8 here.
ASSETS: Final = (
    DemoAsset("SOL", decimals=9, start_units=100_000, cap_units=1_000_000_000),
    DemoAsset("BTC", decimals=8, start_units=1_000, cap_units=21_000_000),
    DemoAsset("ETH", decimals=8, start_units=10_000, cap_units=1_000_000_000),
    DemoAsset("USDC", decimals=6, start_units=100_000_000, cap_units=1_000_000_000_000),
)
USDC: Final = 4
MARKETS: Final = (
    # Tick 0.01, lot 0.01; 140 USDC, 50 SOL per level.
    DemoMarket(
        "SOL_USDC", base=1, lot_atoms=10**7, tick_atoms=100, middle_ticks=14_000, level_lots=5_000
    ),
    # Tick 0.1, lot 0.00001; 100,000 USDC, 0.2 BTC per level.
    DemoMarket(
        "BTC_USDC", base=2, lot_atoms=10**3, tick_atoms=1, middle_ticks=1_000_000, level_lots=20_000
    ),
    # Tick 0.01, lot 0.0001; 3,500 USDC, 5 ETH per level.
    DemoMarket(
        "ETH_USDC", base=3, lot_atoms=10**4, tick_atoms=1, middle_ticks=350_000, level_lots=50_000
    ),
)


def faucet_atoms() -> dict[str, int]:
    """The faucet's limit per account and asset: once more the balance at the start."""
    return {asset.name: asset.start_units * 10**asset.decimals for asset in ASSETS}


async def prepare(
    commands: Commands, queries: Queries, catalogue: Catalogue, accounts: SqliteAccounts
) -> dict[str, int]:
    """Complete the first state, and return the account of each name in USERS. Must return before
    clients are let in. Raises DemoError, and Stopped if the log fails.
    """
    known = _known_accounts(catalogue, accounts, await queries.at(0))
    if known is not None:
        return known

    outcomes = await _submit(commands, [*missing_listings(catalogue), *account_openings()])
    opened = opened_accounts(outcomes)
    view = await queries.at(await commands.settled())
    await _submit(
        commands,
        [
            *(credit for each in opened.values() for credit in missing_credits(view, each)),
            *missing_ladder_orders(view, opened["maker"]),
            *missing_market_openings(catalogue),
        ],
    )

    # Last, because it shows that all of the above is done.
    for name, account in opened.items():
        if accounts.user(USERS[name]) is None:
            accounts.add_user(user_id=USERS[name], name=name)
        try:
            accounts.set_account(USERS[name], account)
        except AccountRefused as contradiction:
            logger.error("%s: %s; the log decides", name, contradiction)
    return opened


def _known_accounts(
    catalogue: Catalogue, accounts: SqliteAccounts, view: StateView
) -> dict[str, int] | None:
    """The account of each name by the log; None if the first state was never complete, as the
    store does not have the accounts.
    """
    if any(catalogue.market_named(market.name) is None for market in MARKETS):
        return None
    known: dict[str, int] = {}
    for name, user_id in USERS.items():
        user = accounts.user(user_id)
        if user is None or user.account == 0:
            return None
        known[name] = view.account_of_user(user_id)
    return known if all(known.values()) else None


async def _submit(commands: Commands, batch: Sequence[bytes]) -> list[records.Outcome]:
    answers = await asyncio.gather(*[commands.submit(command) for command in batch])
    outcomes = [records.read_outcome(answer.events) for answer in answers]
    require_done(outcomes)
    return outcomes


def require_done(outcomes: Iterable[records.Outcome]) -> None:
    """Raise DemoError if a command other than an order was rejected.

    An order may be: if only the accounts store was lost, orders of others may cross it.
    """
    for outcome in outcomes:
        if outcome.status == records.REJECTED and outcome.command != records.PLACE:
            raise DemoError(
                f"this is not the demo exchange: its command {outcome.sequence} (kind"
                f" {outcome.command}) was rejected with code {outcome.reason}; is this the log of"
                " another exchange?"
            )


def missing_listings(catalogue: Catalogue) -> Iterator[bytes]:
    """Assets, markets and their parameters; a market is open for the ladder's orders."""
    for number, asset in enumerate(ASSETS, start=1):
        listed = catalogue.asset_named(asset.name)
        if listed is None:
            yield admin_records.list_asset(asset=number, decimals=asset.decimals, name=asset.name)
        cap_atoms = asset.cap_units * 10**asset.decimals
        if listed is None or listed.reserve_cap != cap_atoms:
            yield admin_records.set_asset(
                asset=number, parameter=admin_records.RESERVE_CAP, value=cap_atoms
            )
    for number, market in enumerate(MARKETS, start=1):
        traded = catalogue.market_named(market.name)
        if traded is None:
            yield admin_records.list_market(
                market=number,
                base=market.base,
                quote=USDC,
                lot_atoms=market.lot_atoms,
                tick_atoms=market.tick_atoms,
                name=market.name,
            )
        for parameter, value, found in (
            (admin_records.MAKER_FEE_PPM, MAKER_FEE_PPM, traded and traded.maker_fee_ppm),
            (admin_records.TAKER_FEE_PPM, TAKER_FEE_PPM, traded and traded.taker_fee_ppm),
            (admin_records.BAND_PPM, BAND_PPM, traded and traded.band_ppm),
        ):
            if found != value:
                yield admin_records.set_market(market=number, parameter=parameter, value=value)
        if traded is None or traded.state not in (admin_records.OPEN, admin_records.ONLY_POST):
            yield _set_state(number, admin_records.ONLY_POST)


def _set_state(market: int, state: int) -> bytes:
    return admin_records.set_market(market=market, parameter=admin_records.STATE, value=state)


def account_openings() -> list[bytes]:
    """One for each of USERS. Opening an account again changes nothing."""
    return [admin_records.open_account(user_id) for user_id in USERS.values()]


def opened_accounts(outcomes: Sequence[records.Outcome]) -> dict[str, int]:
    """The account of each of USERS, from outcomes that end with those of `account_openings`."""
    opened = outcomes[-len(USERS) :]
    return {name: outcome.account for name, outcome in zip(USERS, opened, strict=True)}


def missing_credits(view: StateView, account: int) -> Iterator[bytes]:
    """Of each asset that the account has nothing of. It has not traded yet."""
    held = {asset: available + locked for asset, available, locked in view.balances(account)}
    for number, asset in enumerate(ASSETS, start=1):
        if held.get(number, 0) == 0:
            atoms = asset.start_units * 10**asset.decimals
            reference = start_reference(account, number)
            yield admin_records.credit(
                account=account, asset=number, atoms=atoms, reference=reference
            )


def start_reference(account: int, asset: int) -> bytes:
    """Of the balance with which an account of the demo begins."""
    return blake2b(f"demo start {account} {asset}".encode(), digest_size=16).digest()


def missing_ladder_orders(view: StateView, account: int) -> Iterator[bytes]:
    """Client ids, counted from 1 over all markets, show which orders are placed already."""
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


def missing_market_openings(catalogue: Catalogue) -> Iterator[bytes]:
    for number in range(1, len(MARKETS) + 1):
        if catalogue.market(number).state != admin_records.OPEN:
            yield _set_state(number, admin_records.OPEN)
