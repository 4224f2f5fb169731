"""`fairbook inspect --order` and `--client-id`: each way an order can go, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fairbook.cli import main
from fairbook.cli.reason_text import CLOSE_SENTENCES, REJECT_SENTENCES
from fairbook.core import admin_records as admin
from fairbook.core import parts, records
from fairbook.core.records import ASK, BID, FOK, IOC
from tests.world.credentials import token_added
from tests.world.logged_exchange import ANN, BEN, LoggedExchange
from tests.world.markets import SOL_USDC

Inspect = Callable[..., list[str]]
BY_QUOTE = records.MARKET_ORDER | records.BY_QUOTE


@pytest.fixture
def inspect(logged: LoggedExchange, capsys: pytest.CaptureFixture[str]) -> Inspect:
    """Lines without their indent; heads of frames are left out."""

    def run(*options: object) -> list[str]:
        assert main(["inspect", str(logged.directory), *map(str, options)]) == 0
        lines = capsys.readouterr().out.splitlines()
        return [line.strip() for line in lines if not line.startswith("[")]

    return run


def order(account: int, side: int, lots: int, price: int = 0, **terms: Any) -> bytes:
    """In SOL_USDC: lots and ticks of 0.01. Price 0: a market order."""
    if price == 0:
        terms = {"tif": IOC, "flags": records.MARKET_ORDER} | terms
    return records.place(
        account=account, market=SOL_USDC, side=side, quantity=lots, price=price, **terms
    )


def market(parameter: int, value: int) -> bytes:
    return admin.set_market(market=SOL_USDC, parameter=parameter, value=value)


def test_an_order_that_rests_and_is_filled_as_maker(
    logged: LoggedExchange, inspect: Inspect
) -> None:
    """Fees are those of the maker, in the asset that is received."""
    sell = logged.do(order(ANN, ASK, 150, 10_000, client_id=5, flags=records.HAS_CLIENT_ID))
    first = logged.do(order(BEN, BID, 50, 10_100, tif=IOC))
    assert inspect("--order", sell.order_id) == [
        f"order {sell.order_id} of account 2 (user 7), client id 5",
        "placed to sell 1.5 SOL at 100 USDC in SOL_USDC, good till cancelled (GTC)",
        "by the exchange itself",
        "1.5 SOL rests at 100 USDC: there were no bids, so nothing crossed",
        (
            "filled 0.5 SOL at 100 USDC as maker, fee 0.04 USDC"
            f" (trade 1, against order {first.order_id} of account 3)"
        ),
        "at position 3: open, 1 of 1.5 SOL left at 100 USDC, first in the queue at this price",
    ]
    logged.do(order(BEN, BID, 100))
    assert inspect("--order", sell.order_id)[-2:] == [
        "filled: all of it was traded",
        "at position 4: closed, 1.5 of 1.5 SOL was filled for 150 USDC, fees 0.12 USDC",
    ]


def test_an_order_that_is_filled_in_part_when_it_comes(
    logged: LoggedExchange, inspect: Inspect
) -> None:
    sell = logged.do(order(ANN, ASK, 100, 10_000))
    buy = logged.do(order(BEN, BID, 300, 10_001))
    assert inspect("--order", buy.order_id) == [
        f"order {buy.order_id} of account 3 (user 8)",
        "placed to buy 3 SOL at 100.01 USDC in SOL_USDC, good till cancelled (GTC)",
        "by the exchange itself",
        "the best ask was 100 USDC, at or below its limit of 100.01 USDC: it could trade at once",
        (
            "filled 1 SOL at 100 USDC as taker, fee 0.001 SOL"
            f" (trade 1, against order {sell.order_id} of account 2)"
        ),
        "2 SOL rests at 100.01 USDC: no ask at or below its limit of 100.01 USDC was left",
        "at position 3: open, 2 of 3 SOL left at 100.01 USDC, first in the queue at this price",
    ]


def test_the_book_is_the_one_that_the_order_met_in_its_frame(
    logged: LoggedExchange, inspect: Inspect
) -> None:
    """Commands before it in the same frame have changed the book; later ones have not."""
    _, buy, _, _ = logged.frame(
        order(ANN, ASK, 100, 10_500),
        order(BEN, BID, 100, 10_000),
        order(ANN, ASK, 100, 10_400),
        order(BEN, BID, 100, 10_000),
    )
    lines = inspect("--order", buy.order_id)
    assert lines[3] == (
        "1 SOL rests at 100 USDC: the best ask was 105 USDC, above its limit of 100 USDC,"
        " so nothing crossed"
    )
    assert "first in the queue" in lines[-1]


def test_the_place_of_an_order_in_its_queue(logged: LoggedExchange, inspect: Inspect) -> None:
    for lots in (100, 250):
        logged.do(order(ANN, BID, lots, 10_000))
    last = logged.do(order(BEN, BID, 100, 10_000))
    assert inspect("--order", last.order_id)[-1].endswith(
        "2 orders with 3.5 SOL before it at this price"
    )


def test_an_amended_order(logged: LoggedExchange, inspect: Inspect) -> None:
    """Less at the same price keeps the place; another price is matched anew."""
    sell = logged.do(order(ANN, ASK, 100, 10_300))
    buy = logged.do(order(BEN, BID, 200, 10_000))
    change: dict[str, Any] = {"account": BEN, "market": SOL_USDC, "order_id": buy.order_id}
    logged.do(records.amend(**change, quantity=150))
    logged.do(records.amend(**change, price=10_200))
    logged.do(records.amend(**change, price=10_400))
    logged.do(records.amend(**change, quantity=100))
    assert inspect("--order", buy.order_id)[4:] == [
        "amended by the exchange itself: now 1.5 SOL in all at 100 USDC",
        "it keeps its place in the queue: only the quantity was lowered",
        "amended by the exchange itself: now 1.5 SOL in all at 102 USDC",
        "it lost its place in the queue, and is matched like a new order",
        (
            "1.5 SOL rests at 102 USDC: the best ask was 103 USDC, above its limit of 102 USDC,"
            " so nothing crossed"
        ),
        "amended by the exchange itself: now 1.5 SOL in all at 104 USDC",
        "it lost its place in the queue, and is matched like a new order",
        "the best ask was 103 USDC, at or below its limit of 104 USDC: it could trade at once",
        (
            "filled 1 SOL at 103 USDC as taker, fee 0.001 SOL"
            f" (trade 1, against order {sell.order_id} of account 2)"
        ),
        "0.5 SOL rests at 104 USDC: no ask at or below its limit of 104 USDC was left",
        (
            "amendment by the exchange itself was refused:"
            f" {REJECT_SENTENCES[records.BAD_QUANTITY]};"
            " the market took quantities from 0.01 SOL to 10995116277.76 SOL"
        ),
        "at position 7: open, 0.5 of 1.5 SOL left at 104 USDC, first in the queue at this price",
    ]


def test_who_cancelled_an_order(logged: LoggedExchange, inspect: Inspect) -> None:
    """The client by a token, an operator, the end of a connection or of the gateway."""
    logged.do(token_added(ANN, "a secret"))
    logged.do(admin.set_operator(operator=1, roles=admin.ALL_ROLES))
    logged.do(admin.begin_gateway())
    sell = [
        logged.do(order(ANN, ASK, 100, 10_000 + number, session=session)).order_id
        for number, session in enumerate((0, 0, 0, 9, 10))
    ]
    logged.do(records.cancel(account=ANN, market=SOL_USDC, order_id=sell[0], credential=1))
    logged.do(records.end_session(account=ANN, session=9))
    logged.frame(admin.begin_gateway(), admin.tick())
    logged.do(admin.tick())
    logged.do(records.cancel(account=ANN, market=SOL_USDC, order_id=sell[0]))
    assert inspect("--order", sell[0])[4:6] == [
        "cancelled: a cancel of this order was requested by the client (credential 1, token)",
        (
            "cancel by the exchange itself was refused: the account has no such open order in this"
            " market"
        ),
    ]
    assert inspect("--order", sell[3])[4] == (
        "cancelled: the connection that had placed it was closed (cancel on disconnect);"
        " it was session 9"
    )
    assert inspect("--order", sell[4])[2] == (
        "by the exchange itself, over WebSocket session 10: cancelled when that ends"
    )
    assert "the gateway that it came through was ended" in inspect("--order", sell[4])[4]
    logged.do(
        parts.with_operator(
            records.cancel_all(account=ANN), operator=1, reference=77, reason_hash=bytes(32)
        )
    )
    for order_id in sell[1:3]:
        assert inspect("--order", order_id)[4:] == [
            (
                "cancelled: the open orders of the account were cancelled all at once by operator 1"
                " (reference 77)"
            ),
            "at position 15: closed, nothing of 1 SOL was filled",
        ]


EXPIRIES: dict[str, tuple[bytes, int, str]] = {
    "ioc, beyond its limit": (
        order(BEN, BID, 300, 9_999, tif=IOC),
        records.IMMEDIATE_OR_CANCEL,
        "the best ask was 100 USDC, above its limit of 99.99 USDC",
    ),
    "ioc, filled in part": (
        order(BEN, BID, 300, 10_000, tif=IOC),
        records.IMMEDIATE_OR_CANCEL,
        "no ask at or below its limit of 100 USDC was left",
    ),
    "fok": (
        order(BEN, BID, 300, 10_000, tif=FOK),
        records.FILL_OR_KILL,
        "only 1 SOL was at or below its limit of 100 USDC",
    ),
    "fok, own orders": (
        order(ANN, BID, 100, 10_000, tif=FOK),
        records.FILL_OR_KILL,
        "some of what was at or below its limit of 100 USDC was of its own account",
    ),
    "market, no orders": (
        order(BEN, ASK, 300),
        records.INSUFFICIENT_LIQUIDITY,
        "there were no bids",
    ),
    "market, not enough orders": (
        order(BEN, BID, 300),
        records.INSUFFICIENT_LIQUIDITY,
        "no asks were left",
    ),
    "by quote, less than a lot": (
        order(BEN, BID, 999_999, flags=BY_QUOTE),
        records.INSUFFICIENT_LIQUIDITY,
        "the best ask was 100 USDC, and its total is less than one lot there",
    ),
}


@pytest.mark.parametrize("case", EXPIRIES)
def test_why_an_order_expired(logged: LoggedExchange, inspect: Inspect, case: str) -> None:
    command, reason, facts = EXPIRIES[case]
    logged.do(order(ANN, ASK, 100, 10_000))
    expired = logged.do(command)
    assert expired.status == records.EXPIRED
    assert (
        inspect("--order", expired.order_id)[-2] == f"expired: {CLOSE_SENTENCES[reason]}; {facts}"
    )


def test_a_market_order_that_met_the_band(logged: LoggedExchange, inspect: Inspect) -> None:
    logged.do(market(admin.BAND_PPM, 50_000))
    logged.frame(order(ANN, ASK, 100, 10_000), order(ANN, ASK, 100, 10_501))
    expired = logged.do(order(BEN, BID, 200))
    assert inspect("--order", expired.order_id)[-2] == (
        "expired: the next price was further from the first one than the market allows for market"
        " orders; from the best ask, 100 USDC, it may go no further than 105 USDC (5 %)"
    )


def test_an_order_that_met_more_orders_than_one_may(
    logged: LoggedExchange, inspect: Inspect
) -> None:
    logged.do(market(admin.WALK_MAX, 1))
    logged.frame(order(ANN, ASK, 100, 10_000), order(ANN, ASK, 100, 10_000))
    expired = logged.do(order(BEN, BID, 200, 10_000))
    assert inspect("--order", expired.order_id)[-2] == (
        "expired: it met more orders than one command, or the commands of one frame, may look at;"
        " the market allows 1 orders for one command"
    )


def test_orders_that_self_trade_prevention_ended(logged: LoggedExchange, inspect: Inspect) -> None:
    """RejectTaker ends the order that comes, RejectMaker the one that rests."""
    because = (
        "expired: it would have traded with an order of its own account (self-trade prevention)"
    )
    resting = logged.do(order(ANN, ASK, 100, 10_000)).order_id
    taker = logged.do(order(ANN, BID, 100, 10_000)).order_id
    assert (
        inspect("--order", taker)[-2]
        == f"{because}; it met order {resting}; its rule is RejectTaker"
    )
    flags = records.REJECT_MAKER << records.STP_SHIFT
    newer = logged.do(order(ANN, BID, 100, 10_000, flags=flags)).order_id
    assert inspect("--order", resting)[-2] == f"{because}; order {newer} of the same account came"
    assert "self-trade prevention RejectMaker" in inspect("--order", newer)[1]


REFUSALS: dict[str, tuple[bytes, int, str]] = {
    "funds": (
        order(BEN, BID, 1_000_000, 10_000, text="id"),
        records.INSUFFICIENT_FUNDS,
        "it needed 1000000 USDC; 100000 USDC was available, 0 USDC locked",
    ),
    "funds of a market order": (
        order(BEN, ASK, 100_001, text="id"),
        records.INSUFFICIENT_FUNDS,
        "it needed 1000.01 SOL; 1000 SOL was available, 0 SOL locked",
    ),
    "post only": (
        order(BEN, BID, 100, 10_000, flags=records.POST_ONLY, text="id"),
        records.WOULD_CROSS,
        "the best ask was 100 USDC",
    ),
    "price": (
        order(BEN, BID, 100, 1 << 41, text="id"),
        records.BAD_PRICE,
        "the market took prices from 0.01 USDC to 10995116277.76 USDC",
    ),
    "quantity": (
        order(BEN, BID, -5, 10_000, text="id"),
        records.BAD_QUANTITY,
        "the market took quantities from 0.01 SOL to 10995116277.76 SOL",
    ),
    "credential": (
        order(BEN, BID, 100, 10_000, text="id", credential=3),
        records.BAD_CREDENTIAL,
        "there is no credential 3",
    ),
    "market": (
        records.place(account=BEN, market=9, side=BID, quantity=1, price=1, text="id"),
        records.UNKNOWN_MARKET,
        "",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_why_an_order_was_refused(logged: LoggedExchange, inspect: Inspect, case: str) -> None:
    """It has no order id: its client id finds it."""
    command, reason, facts = REFUSALS[case]
    logged.do(order(ANN, ASK, 100, 10_000))
    assert logged.do(command).status == records.REJECTED
    lines = inspect("--account", BEN, "--client-id", "id")
    assert lines[0] == "refused order of account 3 (user 8), client id id"
    assert lines[1].startswith("refused to ")
    assert lines[2] == "; ".join([f"why: {REJECT_SENTENCES[reason]}", *([facts] if facts else [])])
    assert lines == inspect("--user", 8, "--client-id", "id")


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (admin.pause(admin.BY_OPERATOR, 1), ("trading was paused, and only cancels were accepted;"
         " paused by an operator: an operator has paused it")),
        (market(admin.STATE, admin.ONLY_POST), ("the state of the market did not allow such orders;"
         " SOL_USDC was PostOnly")),
        (admin.set_account(account=BEN, parameter=admin.FROZEN, value=1), "the account was frozen"),
        (admin.set_exchange(parameter=admin.ORDERS_MAX, value=1), ("the account had as many open"
         " orders as it may have; it had 1 open orders, the limit was 1")),
    ],
)  # fmt: skip
def test_an_order_that_was_not_allowed(
    logged: LoggedExchange, inspect: Inspect, setting: bytes, sentence: str
) -> None:
    logged.do(order(BEN, BID, 100, 10_000))
    logged.do(setting)
    assert logged.do(order(BEN, BID, 100, 10_000, text="id")).status == records.REJECTED
    assert inspect("--account", BEN, "--client-id", "id")[2] == f"why: {sentence}"


def test_all_orders_with_a_client_id(logged: LoggedExchange, inspect: Inspect) -> None:
    """The accepted one, the same again, and another that may not have its client id."""
    numbered: dict[str, Any] = {"client_id": 5, "flags": records.HAS_CLIENT_ID}
    first = logged.do(order(ANN, ASK, 100, 10_000, **numbered))
    logged.do(order(ANN, ASK, 100, 10_000, **numbered))
    logged.do(order(ANN, ASK, 100, 10_001, **numbered))
    logged.do(order(BEN, BID, 100, 9_000, **numbered))
    logged.do(records.cancel(account=ANN, **numbered))
    assert inspect("--account", ANN, "--client-id", 5) == [
        f"order {first.order_id} of account 2 (user 7), client id 5",
        "placed to sell 1 SOL at 100 USDC in SOL_USDC, good till cancelled (GTC)",
        "by the exchange itself",
        "1 SOL rests at 100 USDC: there were no bids, so nothing crossed",
        "sent again by the exchange itself: answered with the first result, nothing changed",
        "cancelled: a cancel of this order was requested by the exchange itself",
        "at position 6: closed, nothing of 1 SOL was filled",
        "",
        "refused order of account 2 (user 7), client id 5",
        "refused to sell 1 SOL at 100.01 USDC in SOL_USDC, good till cancelled (GTC)",
        f"why: {REJECT_SENTENCES[records.DUPLICATE_CLIENT_ID]}",
        "sent by the exchange itself",
    ]


def test_an_order_as_of_a_position(logged: LoggedExchange, inspect: Inspect) -> None:
    sell = logged.do(order(ANN, ASK, 100, 10_000))
    logged.do(records.cancel_all(account=ANN))
    assert inspect("--order", sell.order_id, "--at", 2)[-1] == (
        "at position 2: open, 1 of 1 SOL left at 100 USDC, first in the queue at this price"
    )
    assert "closed" in inspect("--order", sell.order_id)[-1]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--order", "1048576"], 1, "no order has the id 1048576, up to position 1"),
        (["--account", "2", "--client-id", "x"], 1, "no order of account 2 has the client id x"),
        (["--order", "1048576", "--at", "9"], 1, "the log ends at position 1"),
        (["--user", "99"], 1, "no account was opened for user 99"),
        (["--client-id", "x"], 2, "--client-id needs --account or --user"),
        (["--account", "2", "--client-id", "a b"], 2, "cannot be a client id"),
        (["--order", "1", "--account", "2"], 2, "--order goes with --at only"),
        (["--order", "1", "--from", "2"], 2, "--from and --to go with --account"),
        (["--account", "2", "--user", "7"], 2, "--account and --user exclude each other"),
        (["--order", "one"], 2, "a whole number is expected"),
    ],
)
def test_what_is_not_found_or_cannot_be_asked(
    logged: LoggedExchange,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    code: int,
    said: str,
) -> None:
    assert main(["inspect", str(logged.directory), *options]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert captured.err.count("\n") == 1
