"""What a configuration changes in an exchange: each thing once, and nothing that is fixed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.app.venue_file import VenueFile, apply_first_state, load_venue
from fairbook.core import admin_records, invariants, records
from fairbook.core.exchange import Exchange
from fairbook.engine.engine import Engine
from fairbook.engine.local_instance import begin_instance
from fairbook.venue.changes import ConfigChange, changes, not_in_file
from fairbook.venue.first_state import check, has_first_state
from fairbook.venue.toml_file import ConfigError, Problem
from fairbook.venue.venue import venue_of
from tests.demo.first_states import IN_MEMORY, exchange_of, run
from tests.venue.config_texts import SMALL, many_markets

ALICE, BOB = 2, 3


def written(folder: Path, text: str) -> VenueFile:
    path = folder / "v.toml"
    path.write_text(text)
    return load_venue(path)


def start(directory: Path, file: VenueFile) -> Exchange:
    """Apply the first state as a start does; the state afterwards."""

    async def work(engine: Engine, accounts: SqliteAccounts) -> None:
        await begin_instance(engine.commands, engine.runner.exchange)
        await apply_first_state(file, engine.commands, engine.runner.exchange, accounts)

    run(directory, work, IN_MEMORY)
    return exchange_of(directory)


def do(exchange: Exchange, found: list[ConfigChange]) -> None:
    for change in found:
        outcome = records.read_outcome(exchange.apply(change.command, exchange.time_ns))
        assert outcome.status != records.REJECTED, (change.text, outcome.reason)
    invariants.check(exchange)


def test_the_first_state_is_what_the_file_says(tmp_path: Path) -> None:
    exchange = start(tmp_path / "a", written(tmp_path, SMALL))
    (market,) = exchange.markets[1:]
    assert (market.name, market.state, market.taker_fee_ppm) == ("ABC_EUR", 0, 2_000)
    assert (market.price_min, market.price_max) == (50, 2_000)
    assert [row[1] for row in exchange.balances(ALICE)] == [1_005_000, 200_000]
    assert [row[1] for row in exchange.balances(BOB)] == [0, 0]
    assert exchange.tables.accounts[BOB].fee_group == 3
    (key,) = exchange.credentials(admin_records.OF_ACCOUNT, ALICE)
    assert (key.credential_type, key.permissions) == (admin_records.PUBLIC_KEY, 3)
    operators = exchange.tables.operators[1:]
    assert [operator.roles for operator in operators] == [admin_records.MARKETS_ROLE, 15]
    assert [len(operator.credentials) for operator in operators] == [1, 0]
    assert has_first_state(exchange)


def test_a_first_balance_may_be_larger_than_a_later_credit(tmp_path: Path) -> None:
    file = written(tmp_path, SMALL.replace('credit_max = "5000"', 'credit_max = "1"'))
    exchange = start(tmp_path / "a", file)
    assert [row[1] for row in exchange.balances(ALICE)] == [1_005_000, 200_000]
    assert exchange.assets[2].credit_max == 100


def test_the_same_file_again_changes_nothing(tmp_path: Path) -> None:
    file = written(tmp_path, SMALL)
    before = start(tmp_path / "a", file)
    after = start(tmp_path / "a", file)
    assert after.sequence == before.sequence + 1, "only the gateway begins"
    assert changes(file.venue, after) == []


def test_a_later_file_moves_no_money_and_adds_nobody(tmp_path: Path) -> None:
    """Not even if it is applied by a start: balances, accounts and operators are of the first."""
    before = start(tmp_path / "a", written(tmp_path, SMALL))
    richer = SMALL.replace('ABC = "100.5"', 'ABC = "999999"').replace(
        'name = "bob"', 'name = "bob"\nbalances = { EUR = "7000" }'
    )
    richer = richer.replace('name = "ben"', f'name = "ben"\ntoken_hash = "{"2" * 64}"')
    after = start(tmp_path / "a", written(tmp_path, richer))
    for account in (ALICE, BOB):
        assert after.balances(account) == before.balances(account)
    # An operator who never had a credential gets the first one: that is part of the first state.
    assert len(after.tables.operators[2].credentials) == 1
    again = richer.replace("2" * 64, "3" * 64).replace("1" * 64, "4" * 64)
    last = start(tmp_path / "a", written(tmp_path, again))
    assert [len(operator.credentials) for operator in last.tables.operators[1:]] == [1, 1]

    other = SMALL + '\n[[accounts]]\nname = "eve"\nbalances = { EUR = "5" }\n'
    with pytest.raises(ConfigError, match="account eve is new"):
        start(tmp_path / "a", written(tmp_path, other))


def test_the_file_of_another_exchange_is_refused(tmp_path: Path) -> None:
    start(tmp_path / "a", written(tmp_path, SMALL))
    directory = tmp_path / "a"

    async def work(engine: Engine, accounts: SqliteAccounts) -> None:
        exchange = engine.runner.exchange
        await apply_first_state(written(tmp_path, SMALL), engine.commands, exchange, accounts)
        renamed = written(tmp_path, SMALL.replace('name = "alice"', 'name = "alicia"'))
        with pytest.raises(ConfigError, match=r"account 1 is alicia here, and alice"):
            await apply_first_state(renamed, engine.commands, exchange, accounts)

    run(directory, work, IN_MEMORY)


@pytest.mark.parametrize(
    ("old", "new", "text", "needs_two"),
    [
        ("taker_fee_ppm = 2000", "taker_fee_ppm = 1", "ABC_EUR: taker_fee_ppm 2000 -> 1", False),
        ('price_max = "20"', 'price_max = "30"', "ABC_EUR: price_max 20 -> 30", False),
        ('lot = "1"', 'lot = "1"\nstate = "cancel_only"', "ABC_EUR: state open -> cancel_only",
         False),
        ("fee_group = 3", "fee_group = 4", "account bob: fee_group 3 -> 4", False),
        ('cap = "1000000"', 'cap = "1000001"', "ABC: cap 1000000 -> 1000001", True),
        ('credit_max = "5000"', 'credit_max = "4"', "EUR: credit_max 5000 -> 4", True),
        ('name = "Small"', 'name = "S"\n[exchange]\nwithdrawal_delay_s = 60',
         "exchange: withdrawal_delay_s 0 -> 60", True),
        ("price_max", 'group_fees = [{ group = 2, taker_fee_ppm = 5 }]\nprice_max',
         "ABC_EUR: taker_fee_ppm of fee group 2 5", False),
    ],
)  # fmt: skip
def test_a_difference_is_said_and_done_once(old: str, new: str, text: str, needs_two: bool) -> None:
    exchange = check(venue_of(SMALL, "v.toml"))
    venue = venue_of(SMALL.replace(old, new, 1), "v.toml")
    found = changes(venue, exchange)
    assert [(change.text, change.needs_two) for change in found] == [(text, needs_two)]
    do(exchange, found)
    assert changes(venue, exchange) == []


def test_a_new_market_is_listed_with_its_parameters_and_opened() -> None:
    exchange = check(venue_of(SMALL, "v.toml"))
    more = SMALL + (
        '\n[[assets]]\nname = "XYZ"\ndecimals = 3\ncap = "9"\ncredit_max = "9"\n'
        '[[markets]]\nsymbol = "XYZ_EUR"\ntick = "0.1"\nlot = "0.1"\nmaker_fee_ppm = 7\n'
    )
    venue = venue_of(more, "v.toml")
    found = changes(venue, exchange)
    assert [change.text for change in found] == [
        "list asset XYZ, 3 decimals",
        "XYZ: cap 9",
        "XYZ: credit_max 9",
        "list market XYZ_EUR, tick 0.1, lot 0.1",
        "XYZ_EUR: maker_fee_ppm 7",
        "XYZ_EUR: state open",
    ]
    assert all(change.needs_two for change in found), "two list a new asset"
    do(exchange, found)
    assert changes(venue, exchange) == []
    assert not_in_file(venue_of(SMALL, "v.toml"), exchange) == ["XYZ", "XYZ_EUR"]
    assert changes(venue_of(SMALL, "v.toml"), exchange) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('tick = "0.01"', 'tick = "0.02"', "the tick of ABC_EUR is 0.01, and tick and lot never"),
        ('lot = "1"', 'lot = "2"', "the lot of ABC_EUR is 1, and tick and lot never change"),
        ("decimals = 4", "decimals = 5", "ABC has 4 decimals, and decimals never change"),
    ],
)
def test_what_never_changes_is_refused_in_words(old: str, new: str, message: str) -> None:
    exchange = check(venue_of(SMALL, "v.toml"))
    with pytest.raises(Problem, match=message):
        changes(venue_of(SMALL.replace(old, new, 1), "v.toml"), exchange)


def test_bounds_may_move_past_each_other() -> None:
    """Up, down and apart: in every order of the two commands' need."""
    made = random.Random(5)
    exchange = check(venue_of(SMALL, "v.toml"))
    for _ in range(200):
        low, high = sorted(made.sample(range(1, 100_000), 2))
        text = SMALL.replace('"0.5"', f'"{low / 100:.2f}"').replace('"20"', f'"{high / 100:.2f}"')
        do(exchange, changes(venue_of(text, "v.toml"), exchange))
        market = exchange.markets[1]
        assert (market.price_min, market.price_max) == (low, high)


def test_a_thousand_markets_are_listed_in_bounded_pieces(tmp_path: Path) -> None:
    file = written(tmp_path, many_markets(1_000))
    exchange = start(tmp_path / "a", file)
    assert len(exchange.markets) == 1_001 and len(exchange.assets) == 1_002
    assert all(market.state == admin_records.OPEN for market in exchange.markets[1:])
    assert changes(file.venue, exchange) == []
    again = start(tmp_path / "a", file)
    assert again.sequence == exchange.sequence + 1
