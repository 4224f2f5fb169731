"""The acts of operators: one logged command each, with who and why; a refused one does nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fairbook.admin.acts import ACTS, documentation
from fairbook.core import admin_records, invariants, records
from fairbook.core.parts import Parts
from fairbook.core.records import COMMAND_BYTES, Command
from fairbook.ports.digests import reason_digest
from tests.admin.operators_world import ANN, BEN, CLERK, TOKENS, OperatorsWorld, with_operators
from tests.world.markets import SOL, SOL_USDC, USDC
from tests.world.memory_accounts import ALICE, BOB

MARKET = {"symbol": "SOL_USDC"}


@with_operators()
async def test_an_act_is_one_command_with_operator_credential_and_reason(
    world: OperatorsWorld,
) -> None:
    count = len(world.exchange.applied)
    answer = await world.done("market-state", {**MARKET, "state": "CancelOnly"})
    assert len(world.exchange.applied) == count + 1
    assert answer == {
        "act": "market-state", "status": "done", "position": str(world.exchange.position),
        "sequence": str(world.core.sequence),
    }  # fmt: skip
    unit, parts, command = world.exchange.applied[-1], Parts(), Command()
    parts.read(unit, 0)
    command.read(unit, COMMAND_BYTES, 0)
    assert (parts.operator, parts.operator_credential) == (ANN, 1)
    assert parts.reason == reason_digest("test")
    assert world.store.operators.reason(parts.reason) == "test"
    assert (command.kind, command.market) == (records.SET_MARKET, SOL_USDC)
    assert world.core.markets[SOL_USDC].state == admin_records.ONLY_CANCEL


@pytest.mark.parametrize(
    ("parameter", "value", "field", "expected"),
    [
        ("takerFeePpm", "1500", "taker_fee_ppm", 1_500),
        ("makerFeePpm", 0, "maker_fee_ppm", 0),
        ("minPrice", "1.5", "price_min", 150),
        ("maxPrice", "2000", "price_max", 200_000),
        ("minQuantity", "0.05", "quantity_min", 5),
        ("bandPpm", "20000", "band_ppm", 20_000),
        ("levelsMax", "10", "levels_max", 10),
        ("walkMax", "7", "walk_max", 7),
    ],
)
@with_operators()
async def test_parameters_of_a_market(
    world: OperatorsWorld, parameter: str, value: Any, field: str, expected: int
) -> None:
    await world.done("market-parameter", {**MARKET, "parameter": parameter, "value": value})
    assert getattr(world.core.markets[SOL_USDC], field) == expected


@with_operators()
async def test_fee_groups(world: OperatorsWorld) -> None:
    fields = {**MARKET, "parameter": "takerFeePpm", "group": "5"}
    await world.done("market-parameter", {**fields, "value": "3"})
    await world.done("fee-group", {"accountId": str(BOB), "group": "5"})
    market = world.core.markets[SOL_USDC]
    assert market.taker_fee_of(5) == 3
    assert world.core.tables.accounts[BOB].fee_group == 5
    await world.done("group-fee-end", fields)
    assert market.taker_fee_of(5) == market.taker_fee_ppm


@with_operators()
async def test_listing(world: OperatorsWorld) -> None:
    await world.agree("list-asset", {"symbol": "GOLD", "decimals": "4"})
    steps = {"tick": "0.01", "lot": "1"}
    await world.done("list-market", {"symbol": "GOLD_USDC", **steps})
    await world.done("market-state", {"symbol": "GOLD_USDC", "state": "Open"})
    market = world.core.markets[-1]
    assert (market.name, market.lot_atoms, market.tick_atoms) == ("GOLD_USDC", 10_000, 10_000)
    assert (await world.refused("list-market", {"symbol": "GOLD_USDC", **steps}))[2] == (
        "Already listed"
    )
    status, code, _ = await world.refused("list-market", {"symbol": "GOLD_NONE", **steps})
    assert (status, code) == (400, "INVALID_ASSET")
    rough = {"tick": "0.01", "lot": "0.00001"}
    assert (
        "atoms of GOLD" in (await world.refused("list-market", {"symbol": "GOLD_SOL", **rough}))[2]
    )


@with_operators()
async def test_a_pause_stops_trading_and_no_cancel(world: OperatorsWorld) -> None:
    order = records.place(account=ALICE, market=SOL_USDC, side=0, price=100, quantity=1)
    world.exchange.do(order)
    await world.done("pause")
    refused = records.read_outcome(world.exchange.apply(order).events)
    assert refused.reason == records.TRADING_PAUSED
    assert (await world.read("exchange"))["pauses"] == ["operator"]
    world.exchange.do(records.cancel_all(account=ALICE))
    assert (await world.done("pause"))["status"] == "repeated"
    await world.done("unpause")
    world.exchange.do(order)


@with_operators()
async def test_a_pause_outlasts_that_of_a_full_disk(world: OperatorsWorld) -> None:
    """There is one pause of operators: the operator's replaces the one that ends by itself."""
    world.exchange.do(admin_records.pause(admin_records.BY_OPERATOR, 2))
    await world.done("pause")
    assert world.core.pause(admin_records.BY_OPERATOR).reason == 1


@with_operators()
async def test_accounts(world: OperatorsWorld) -> None:
    """Freeze, cancel, revoke: by the clerk, who may not touch markets or money."""
    world.exchange.do(
        records.place(account=BOB, market=SOL_USDC, side=0, price=100, quantity=1),
        admin_records.add_credential(
            detail=bytes(32), credential_type=admin_records.TOKEN, owner=BOB, permissions=7
        ),
    )
    bob = {"accountId": str(BOB)}
    await world.done("freeze", bob, by=CLERK)
    assert world.core.tables.accounts[BOB].frozen
    shown = await world.read(f"account?accountId={BOB}", by=CLERK)
    assert (shown["frozen"], shown["openOrderCount"]) == (True, 1)
    assert shown["balances"]["USDC"] == {"available": "999.99", "locked": "0.01", "staked": "0"}
    assert [order["price"] for order in shown["openOrders"]] == ["1"]
    (token,) = shown["credentials"]
    await world.done("cancel-orders", bob, by=CLERK)
    await world.done("revoke", {**bob, "credential": token["credential"]}, by=CLERK)
    await world.done("unfreeze", bob, by=CLERK)
    shown = await world.read(f"account?accountId={BOB}")
    assert (shown["openOrderCount"], shown["credentials"], shown["frozen"]) == (0, [], False)

    closing = {**MARKET, "state": "Closed"}
    assert await world.refused("market-state", closing, by=CLERK) == (
        403, "FORBIDDEN", "Permission denied",
    )  # fmt: skip
    assert (await world.refused("announce", {"text": "hello"}, by=CLERK))[0] == 403
    money = {**bob, "symbol": "SOL", "quantity": "1", "reference": "r"}
    assert (await world.refused("credit", money, by=CLERK))[0] == 403


@with_operators()
async def test_a_credit_counts_once_by_its_reference(world: OperatorsWorld) -> None:
    fields = {"accountId": str(BOB), "symbol": "SOL", "quantity": "2.5", "reference": "invoice 7"}
    before = world.core.balances(BOB)[SOL - 1][1]
    first = await world.done("credit", fields)
    again = await world.done("credit", fields, by=BEN)
    assert (first["status"], again["status"]) == ("done", "repeated")
    assert world.core.balances(BOB)[SOL - 1][1] == before + 25 * 10**8
    other = await world.refused("credit", {**fields, "quantity": "3"})
    assert other == (400, "INVALID_CLIENT_REQUEST", "The reference was used for something else")
    await world.done("debit", {**fields, "reference": "back"})
    assert world.core.balances(BOB)[SOL - 1][1] == before
    too_much = {**fields, "quantity": "1000000", "reference": "x"}
    assert (await world.refused("debit", too_much))[1] == "INSUFFICIENT_FUNDS"
    invariants.check(world.core)


@pytest.mark.parametrize("name", list(ACTS))
@with_operators()
async def test_every_act_refuses_what_is_missing_unknown_or_absurd(
    world: OperatorsWorld, name: str
) -> None:
    """No field is guessed, no field ignored, and none makes a server error."""
    fields = [field.name for field in ACTS[name].fields]
    count = len(world.exchange.applied)
    given = dict.fromkeys(fields, "1")
    assert (await world.post(name, {**given, "reasons": "x"})).status == 400
    for missing in (field.name for field in ACTS[name].fields if not field.is_optional):
        left = {field: "1" for field in fields if field != missing}
        assert (await world.post(name, left)).status == 400
    absurd: list[Any] = [
        "", "x" * 5_000, "-1", "1e9", "9" * 40, "\u202e", "é", None, [], {}, True, 10**40, 1.5,
        2**32, 2**40, 2**63, str(2**62),
    ]  # fmt: skip
    for value in absurd:
        for field in fields:
            reply = await world.post(name, {**given, field: value})
            assert reply.status in (200, 400, 401, 403, 415), (field, value, reply.body)
    reasons: list[Any] = ["", "   ", "x" * 501, "a\nb", None, []]
    for reason in reasons:
        reply = await world.post(name, given, reason=reason)
        assert reply.status == 400
    done = world.exchange.applied[count:]
    assert all(unit[-COMMAND_BYTES + 2] & records.HAS_OPERATOR for unit in done)


@with_operators()
async def test_who_is_no_operator_is_refused(world: OperatorsWorld) -> None:
    """No token, a wrong one, an account's, one that was revoked, an operator without roles."""
    world.exchange.do(
        admin_records.add_credential(
            detail=reason_digest("x"), credential_type=admin_records.TOKEN, owner=BOB, permissions=7
        )
    )
    paths = [("GET", f"/admin/v1/{name}") for name in ("markets", "accounts", "log")]
    paths += [("POST", f"/admin/v1/{name}") for name in (*ACTS, "approve", "drop")]
    for token in (None, "wrong", "x" * 100):
        for method, path in paths[:: 5 if token else 1]:
            reply = await world.client.ask(method, path, {"reason": "x"}, token=token)
            assert reply.status in (401, 429), path
    world.exchange.do(admin_records.set_operator(operator=CLERK, roles=0))
    reply = await world.client.ask("GET", "/admin/v1/markets", token=TOKENS[CLERK])
    assert reply.status in (401, 429)
    assert (await world.read("markets"))[0]["symbol"] == "SOL_USDC", "a valid token is served"


@with_operators()
async def test_an_operator_never_acts_on_their_own_account(world: OperatorsWorld) -> None:
    """Ben's account is Alice's: he neither credits nor freezes it, nor confirms a credit to it."""
    own = {"accountId": str(ALICE), "symbol": "SOL", "quantity": "1", "reference": "r"}
    says = (403, "FORBIDDEN", "An operator may not act on their own account")
    assert await world.refused("credit", own, by=BEN) == says
    assert await world.refused("unfreeze", {"accountId": str(ALICE)}, by=BEN) == says
    await world.agree("asset-limit", {"symbol": "SOL", "parameter": "creditMax", "value": "0"})
    pending = await world.done("credit", own)
    assert pending["status"] == "pending"
    decision = {"referenceHash": pending["referenceHash"]}
    assert await world.refused("confirm-credit", decision, by=BEN) == says
    limit = {"accountId": str(ALICE), "symbol": "SOL", "value": "5"}
    proposed = await world.done("account-limit", limit)
    approving = await world.refused("approve", {"proposal": proposed["proposal"]}, by=BEN)
    assert approving == says


@with_operators()
async def test_readings(world: OperatorsWorld) -> None:
    user = world.store.add_user(name="robert", email="Bob@Example.org")
    world.store.set_account(user.user_id, BOB)
    assert await world.read("accounts?search=bob@e") == [
        {"accountId": str(BOB), "name": "robert", "email": "Bob@Example.org"}
    ]
    assert await world.read("accounts?search=ROB") != []
    assert await world.read("accounts?search=*") == []
    assert await world.read(f"accounts?after={BOB}") == []
    assets = {asset["symbol"]: asset for asset in await world.read("assets")}
    assert assets["USDC"]["supply"] == "2000" and assets["USDC"]["creditMax"] == "1000000"
    operators = await world.read("operators")
    assert [operator["name"] for operator in operators] == ["1", "ben", "3", "4"]
    assert operators[2]["roles"] == ["accounts"]
    assert await world.read("log?from=7") == [{"first": 7}]
    assert (await world.client.ask("GET", "/admin/v1/none", token=TOKENS[ANN])).status == 404
    assert (await world.client.ask("GET", "/api/v1/markets", token=TOKENS[ANN])).status == 404
    assert USDC == 2


def test_the_documentation_has_the_table_of_acts() -> None:
    path = Path(__file__).parents[2] / "docs" / "operate" / "operators.md"
    assert documentation() in path.read_text(), "run `python -m fairbook.admin.acts`"


@with_operators()
async def test_announcements_are_those_that_the_log_has(world: OperatorsWorld) -> None:
    """The newest first, ten at most; a planted one is not shown after a start."""
    changes: list[list[str]] = []
    world.announcements.on_change = lambda: changes.append(world.announcements.texts())
    for number in range(12):
        await world.done("announce", {"text": f"news {number}"})
    shown = [f"news {number}" for number in range(11, 1, -1)]
    assert changes[-1] == shown
    await world.announcements.load()
    assert world.announcements.texts() == shown
    newest = world.store.operators.announcements(1)[0]
    world.store.operators.add_announcement(newest._replace(sequence=900, text="send us money"))
    await world.announcements.load()
    assert world.announcements.texts() == shown[:9]
    await world.done("end-announcements")
    assert changes[-1] == []
    await world.announcements.load()
    assert world.announcements.texts() == []
