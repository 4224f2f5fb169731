"""The demo's first state: the same after any interruption."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.app.venue_file import apply_first_state, load_venue
from fairbook.core import admin_records, records
from fairbook.core.exchange import Exchange
from fairbook.engine.engine import Engine
from fairbook.engine.local_instance import begin_instance
from fairbook.ports.commands import Answer, Waiter
from fairbook.venue.toml_file import ConfigError
from tests.demo.first_states import IN_MEMORY, exchange_of, picture, prepare, run
from tests.world.money import debit


class Killed(BaseException):
    """Stands for the end of the process."""


class KillAfter:
    """Commands of a process that is killed after a number of them."""

    def __init__(self, engine: Engine, commands_max: int) -> None:
        self._engine = engine
        self._left = commands_max

    def enqueue(self, command: bytes, waiter: Waiter) -> None:
        if self._left == 0:
            raise Killed
        self._left -= 1
        self._engine.commands.enqueue(command, waiter)

    def submit(self, command: bytes) -> asyncio.Future[Answer]:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.enqueue(command, future)
        return future

    def settled(self) -> asyncio.Future[int]:
        return self._engine.commands.settled()


@pytest.fixture(scope="module")
def first_state(tmp_path_factory: pytest.TempPathFactory) -> Exchange:
    directory = tmp_path_factory.mktemp("first")
    run(directory, prepare)
    return exchange_of(directory)


def test_the_first_state_has_markets_ladders_and_balances(first_state: Exchange) -> None:
    names = [market.name for market in first_state.markets[1:]]
    assert names == ["SOL_USDC", "BTC_USDC", "ETH_USDC"]
    for market, (step, decimals) in zip(
        first_state.markets[1:], ((1, 2), (1, 1), (1, 2)), strict=True
    ):
        assert (market.price_step, market.price_decimals) == (step, decimals)
        assert market.state == admin_records.OPEN
        assert (market.maker_fee_ppm, market.taker_fee_ppm) == (800, 1_000)
        bids, asks = first_state.depth(market.id, 100)
        assert len(bids) == len(asks) == 10
        assert bids[0][0] < asks[0][0]
        # A market order through all levels stays within the band.
        assert asks[-1][0] <= asks[0][0] + asks[0][0] * market.band_ppm // 1_000_000
    for account in (2, 3):
        assert all(
            available > 0 and locked == 0
            for _, available, locked in first_state.balances(account)[-4:]
        )


def test_after_a_kill_at_any_command_the_next_start_completes_it(
    tmp_path: Path, first_state: Exchange
) -> None:
    expected = picture(first_state)
    total = first_state.sequence
    assert total < 250

    for logged in range(total):
        directory = tmp_path / str(logged)

        async def interrupted(
            engine: Engine, accounts: SqliteAccounts, logged: int = logged
        ) -> None:
            commands = KillAfter(engine, logged)
            with pytest.raises(Killed):
                await begin_instance(commands, engine.runner.exchange)
                exchange = engine.runner.exchange
                await apply_first_state(load_venue(None), commands, exchange, accounts)

        run(directory, interrupted, IN_MEMORY)
        run(directory, prepare, IN_MEMORY)
        assert picture(exchange_of(directory)) == expected, f"killed after command {logged}"


def test_after_a_kill_while_the_accounts_are_stored_nothing_is_credited_twice(
    tmp_path: Path, first_state: Exchange
) -> None:

    async def prepare_without_accounts(engine: Engine, accounts: SqliteAccounts) -> None:
        del accounts
        lost = SqliteAccounts(tmp_path / "other.db")
        await prepare(engine, lost)
        lost.close()

    run(tmp_path / "a", prepare_without_accounts)

    async def store_half(engine: Engine, accounts: SqliteAccounts) -> None:
        del engine
        accounts.add_user(user_id=1, name="demo1")
        accounts.set_account(1, 2)
        accounts.add_user(user_id=2, name="demo2")

    run(tmp_path / "a", store_half)
    run(tmp_path / "a", prepare)
    assert picture(exchange_of(tmp_path / "a")) == picture(first_state)


def test_a_later_start_changes_nothing(tmp_path: Path) -> None:
    """Balances, cancelled orders and a closed market stay as they are."""
    run(tmp_path, prepare)

    async def trade(engine: Engine, accounts: SqliteAccounts) -> None:
        del accounts
        for command in (
            debit(account=2, asset=1, atoms=100_000 * 10**9),
            records.cancel_all(account=4),
            admin_records.set_market(
                market=1, parameter=admin_records.STATE, value=admin_records.ONLY_CANCEL
            ),
        ):
            answer = await engine.commands.submit(command)
            assert records.read_outcome(answer.events).status == records.DONE

    run(tmp_path, trade)
    before = exchange_of(tmp_path)
    run(tmp_path, prepare)
    after = exchange_of(tmp_path)
    assert after.sequence == before.sequence + 1, "only the gateway begins"
    assert picture(after) == picture(before)
    assert after.balances(2)[-4][1:] == (0, 0)


def test_the_log_of_another_exchange_is_refused(tmp_path: Path) -> None:

    async def other(engine: Engine, accounts: SqliteAccounts) -> None:
        del accounts
        for command in (
            admin_records.rules(),
            admin_records.list_asset(asset=1, decimals=2, name="GOLD"),
        ):
            await engine.commands.submit(command)

    async def refused(engine: Engine, accounts: SqliteAccounts) -> None:
        with pytest.raises(ConfigError, match="another exchange"):
            await prepare(engine, accounts)

    run(tmp_path, other)
    run(tmp_path, refused)
