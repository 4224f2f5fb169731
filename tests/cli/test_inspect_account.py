"""`fairbook inspect --account`: what the state has of an account, and what concerned it."""

from __future__ import annotations

import pytest

from fairbook.cli import main
from fairbook.cli.reason_text import REJECT_SENTENCES
from fairbook.core import admin_records as admin
from fairbook.core import parts, records
from fairbook.core.ledger import EXTERNAL
from tests.world.credentials import token_added, token_revoked
from tests.world.logged_exchange import ANN, BEN, LoggedExchange
from tests.world.markets import SOL, SOL_USDC
from tests.world.money import new_reference


def inspected(
    logged: LoggedExchange, capsys: pytest.CaptureFixture[str], *options: object
) -> list[str]:
    assert main(["inspect", str(logged.directory), *map(str, options)]) == 0
    return capsys.readouterr().out.splitlines()


def held(logged: LoggedExchange, atoms: int) -> bytes:
    """Hold SOL of ANN; the reference."""
    reference = new_reference()
    hold = admin.hold(
        account=ANN, asset=SOL, atoms=atoms, reference=reference, detail=bytes([1] * 32)
    )
    assert logged.do(hold).status == records.DONE
    return reference


def sell(lots: int, price: int) -> bytes:
    return records.place(
        account=ANN, market=SOL_USDC, side=records.ASK, quantity=lots, price=price, text="mine"
    )


def test_balances_are_those_of_the_state(
    logged: LoggedExchange, capsys: pytest.CaptureFixture[str]
) -> None:
    """Available, locked in orders and held, as of a position and at the end."""
    reference = held(logged, 5 * 10**9)
    order_id = logged.do(sell(250, 10_000)).order_id
    position = logged.position
    logged.do(admin.release(reference))
    logged.do(records.cancel_all(account=ANN))
    before = inspected(logged, capsys, "--account", ANN, "--at", position)
    assert before[:2] == [f"state at position {position}", "account 2 (user 7)"]
    assert "  992.5 SOL available, 2.5 SOL locked in orders, 5 SOL held for withdrawals" in before
    assert "open orders (1 of at most 10000)" in before
    (order,) = [line for line in before if line.startswith(f"  {order_id}: ")]
    assert "sell 2.5 of 2.5 SOL left at 100 USDC in SOL_USDC" in order
    assert order.endswith("client id mine")
    (waiting,) = [line for line in before if reference.hex() in line]
    assert waiting.startswith("  withdrawal of 5 SOL since ")
    after = inspected(logged, capsys, "--user", 7)
    assert "  1000 SOL available, 0 SOL locked in orders, 0 SOL held for withdrawals" in after
    assert "open orders (0 of at most 10000): none" in after
    assert "waiting for a decision: none" in after
    assert logged.core.balances(ANN)[0] == (SOL, 1000 * 10**9, 0)


def test_every_balance_adds_up(logged: LoggedExchange, capsys: pytest.CaptureFixture[str]) -> None:
    """EXTERNAL, the other side of all credits, is the only account below zero."""
    lines = inspected(logged, capsys, "--account", EXTERNAL)
    assert lines[1] == "account 0, the other side of every deposit and withdrawal"
    assert "  -2000 SOL available, 0 SOL locked in orders, 0 SOL held for withdrawals" in lines


def test_limits_fees_and_credentials(
    logged: LoggedExchange, capsys: pytest.CaptureFixture[str]
) -> None:
    """No secret and no whole hash is shown."""
    logged.frame(token_added(ANN, "first"), token_added(ANN, "second"))
    logged.do(token_revoked(ANN, "first"))
    for parameter, value in ((admin.FROZEN, 1), (admin.FEE_GROUP, 3)):
        logged.do(admin.set_account(account=ANN, parameter=parameter, value=value))
    logged.do(
        admin.set_market(market=SOL_USDC, parameter=admin.MAKER_FEE_PPM, value=150, fee_group=3)
    )
    logged.do(
        admin.set_account(
            account=ANN, asset=SOL, parameter=admin.DAILY_WITHDRAWAL_MAX, value=7 * 10**9
        )
    )
    logged.do(admin.pause(admin.BY_OPERATOR, 1))
    lines = inspected(logged, capsys, "--account", ANN)
    assert lines[2] == "trading   paused by an operator: an operator has paused it"
    assert (
        lines[3] == "frozen    yes: it can cancel orders, but not place or amend any, nor withdraw"
    )
    assert lines[4].startswith("fees      fee group 3: SOL_USDC maker 0.015 %, taker 0.1 %; BTC")
    (limited,) = [line for line in lines if line.endswith("may be withdrawn today")]
    assert "; at most 7 SOL more" in limited
    one, two = lines[lines.index("credentials") + 1 :]
    assert one.startswith("  1: token ")
    assert ", revoked 2027-01-15" in one
    assert two.startswith("  2: token ")
    assert "revoked" not in two
    for credential in logged.core.credentials(admin.OF_ACCOUNT, ANN):
        assert credential.digest.hex() not in "\n".join(lines)


def test_what_concerned_an_account(
    logged: LoggedExchange, capsys: pytest.CaptureFixture[str]
) -> None:
    """Orders, fills and money in words; what concerns another account alone is left out."""
    first = logged.position + 1
    order_id = logged.do(sell(250, 10_000)).order_id
    logged.do(records.place(account=BEN, market=SOL_USDC, side=records.BID, quantity=1, price=1))
    taker = logged.do(
        records.place(account=BEN, market=SOL_USDC, side=records.BID, quantity=50, price=10_000)
    )
    logged.do(records.amend(account=ANN, market=SOL_USDC, order_id=order_id, quantity=200))
    logged.do(records.cancel_all(account=ANN))
    logged.do(sell(10**9, 10_000))
    reference = held(logged, 10**9)
    logged.do(
        parts.with_operator(
            admin.set_operator(operator=1, roles=15), operator=9, reason_hash=bytes(32)
        )
    )
    logged.do(admin.release(reference))
    lines = inspected(logged, capsys, "--account", ANN, "--from", first)
    lines = lines[: lines.index(f"state at position {logged.position}")]
    words = [line.strip() for line in lines if not line.startswith("[")]
    sequence = int(words[0].split()[0].removeprefix("#"))
    assert words[:9] == [
        (
            f"#{sequence} order to sell 2.5 SOL at 100 USDC in SOL_USDC, good till cancelled"
            f" (GTC), client id mine, by the exchange itself: order {order_id} is open"
        ),
        (
            f"order {order_id} filled 0.5 SOL at 100 USDC as maker, fee 0.04 USDC"
            f" (trade 1, against order {taker.order_id} of account 3)"
        ),
        (
            f"#{sequence + 3} amendment of order {order_id}, by the exchange itself:"
            f" order {order_id} is open"
        ),
        f"order {order_id} amended: now 2 SOL in all at 100 USDC",
        (
            f"#{sequence + 4} cancel of all orders in all markets, by the exchange itself:"
            " 1 cancelled"
        ),
        (
            f"order {order_id} cancelled: the open orders of the account were cancelled all at"
            " once; 0.5 of 2 SOL was filled for 50 USDC, fees 0.04 USDC"
        ),
        (
            f"#{sequence + 5} order to sell 10000000 SOL at 100 USDC in SOL_USDC, good till"
            " cancelled (GTC), client id mine, by the exchange itself: refused,"
            f" {REJECT_SENTENCES[records.DUPLICATE_CLIENT_ID]}"
        ),
        words[7],
        "held: 1 SOL",
    ]
    assert words[-1] == "released: 1 SOL"
    assert len(words) == 11
    assert f"[{first + 1}]" not in "\n".join(lines)
    assert inspected(logged, capsys, "--account", ANN, "--from", first, "--to", first)[1].endswith(
        "is open"
    )


def test_an_unknown_account_is_named(
    logged: LoggedExchange, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(logged.directory), "--account", "99"]) == 1
    assert "there is no account 99, up to position 1" in capsys.readouterr().err
