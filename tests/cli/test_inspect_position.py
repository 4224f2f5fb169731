"""`fairbook inspect --at`: the summary is of the state at that position."""

from __future__ import annotations

import pytest

from fairbook.cli import main
from fairbook.core import admin_records as admin
from fairbook.core import records, state
from tests.world.logged_exchange import ANN, BEN, LoggedExchange
from tests.world.markets import SOL_USDC


def inspected(
    logged: LoggedExchange, capsys: pytest.CaptureFixture[str], position: int
) -> list[str]:
    assert main(["inspect", str(logged.directory), "--at", str(position)]) == 0
    return capsys.readouterr().out.splitlines()


def trade(logged: LoggedExchange) -> None:
    for account, side in ((ANN, records.ASK), (BEN, records.BID)):
        logged.do(
            records.place(account=account, market=SOL_USDC, side=side, quantity=50, price=10_000)
        )


def test_the_summary_is_of_the_state_at_a_position(
    logged: LoggedExchange, capsys: pytest.CaptureFixture[str]
) -> None:
    trade(logged)
    logged.do(
        records.place(account=BEN, market=SOL_USDC, side=records.BID, quantity=50, price=9_000)
    )
    position, digest = logged.position, state.digest(logged.core).hex()
    logged.do(records.cancel_all(account=BEN))
    logged.do(admin.pause(admin.BY_OPERATOR, 2))
    lines = inspected(logged, capsys, position)
    assert lines[0] == f"position  {position}, 2027-01-15T08:00:04.000000000Z"
    assert f"digest    {digest}" in lines
    assert "trading   not paused" in lines
    assert "accounts  2 of users, 0 operators" in lines
    assert (
        "  SOL_USDC Open: best bid 90 USDC, no asks, 1 resting orders, last trade 1: 0.5 SOL at"
        " 100 USDC, 2027-01-15T08:00:03.000000000Z"
    ) in lines
    assert "  BTC_USDC Open: no bids, no asks, 0 resting orders, no trade" in lines
    assert lines[-3:] == ["  2000 SOL", "  200000 USDC", "  2000 BTC"]
    later = inspected(logged, capsys, logged.position)
    assert "trading   paused by an operator: the disk is nearly full" in later
    assert f"digest    {state.digest(logged.core).hex()}" in later
    assert any("no bids, no asks, 0 resting orders, last trade 1" in line for line in later)


def test_digest_and_chain_are_those_of_replay(
    logged: LoggedExchange, capsys: pytest.CaptureFixture[str]
) -> None:
    trade(logged)
    lines = inspected(logged, capsys, 2)
    assert main(["replay", str(logged.directory), "--to", "2"]) == 0
    words = capsys.readouterr().out.split()
    for name in ("sequence", "digest", "chain"):
        assert f"{name:<10}{words[words.index(name) + 1]}" in lines


def test_inspecting_changes_nothing(
    logged: LoggedExchange, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log is in use by another writer, and is left as it is."""
    trade(logged)
    files = {path: path.read_bytes() for path in logged.directory.rglob("*") if path.is_file()}
    for options in (["--at", "2"], ["--account", "2"], ["--account", "2", "--from", "1"]):
        assert main(["inspect", str(logged.directory), *options]) == 0
    assert files == {
        path: path.read_bytes() for path in logged.directory.rglob("*") if path.is_file()
    }
    capsys.readouterr()
    trade(logged)
    assert inspected(logged, capsys, 5)[0].startswith("position  5, ")
