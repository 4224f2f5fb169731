"""Commands that set up exchanges for tests: listed assets, open markets, funded accounts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fairbook.core import admin_records
from tests.world.money import credit

SOL, USDC, BTC = 1, 2, 3
SOL_USDC, BTC_USDC = 1, 2
MAKER_FEE_PPM, TAKER_FEE_PPM = 800, 1000


def open_market(
    market: int,
    name: str,
    *,
    base: int,
    quote: int,
    lot_atoms: int = 1,
    tick_atoms: int = 1,
    maker_fee_ppm: int = 0,
    taker_fee_ppm: int = 0,
) -> Iterator[bytes]:
    """List a market, set the fees that are not zero, and open it."""
    yield admin_records.list_market(
        market=market, base=base, quote=quote, lot_atoms=lot_atoms, tick_atoms=tick_atoms, name=name
    )
    if maker_fee_ppm:
        yield admin_records.set_market(
            market=market, parameter=admin_records.MAKER_FEE_PPM, value=maker_fee_ppm
        )
    if taker_fee_ppm:
        yield admin_records.set_market(
            market=market, parameter=admin_records.TAKER_FEE_PPM, value=taker_fee_ppm
        )
    yield admin_records.set_market(
        market=market, parameter=admin_records.STATE, value=admin_records.OPEN
    )


def fund(account: int, atoms: Mapping[int, int]) -> Iterator[bytes]:
    """Credit atoms by asset."""
    for asset, credited in atoms.items():
        yield credit(account=account, asset=asset, atoms=credited)


def open_accounts(accounts: Mapping[int, int], atoms: Mapping[int, int]) -> Iterator[bytes]:
    """Open the account of each user (user id -> account that results) and fund it."""
    for user_id, account in accounts.items():
        yield admin_records.open_account(user_id)
        yield from fund(account, atoms)


def two_markets() -> Iterator[bytes]:
    """SOL_USDC (lot 0.01 SOL, tick 0.01 USDC) and BTC_USDC, open, with fees of 8 and 10 bp."""
    yield admin_records.rules()
    for asset, decimals, name in ((SOL, 9, "SOL"), (USDC, 6, "USDC"), (BTC, 8, "BTC")):
        yield admin_records.list_asset(asset=asset, decimals=decimals, name=name)
    for market, symbol, base, lot_atoms, tick_atoms in (
        (SOL_USDC, "SOL_USDC", SOL, 10**7, 100),
        (BTC_USDC, "BTC_USDC", BTC, 1000, 1),
    ):
        yield from open_market(
            market, symbol, base=base, quote=USDC, lot_atoms=lot_atoms, tick_atoms=tick_atoms,
            maker_fee_ppm=MAKER_FEE_PPM, taker_fee_ppm=TAKER_FEE_PPM,
        )  # fmt: skip
