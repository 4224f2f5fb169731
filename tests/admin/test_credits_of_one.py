"""What one operator can credit alone: at most creditMax of an asset in a day."""

from __future__ import annotations

import asyncio
from typing import Any

from fairbook.core import admin_records, invariants
from tests.admin.operators_world import (
    ANN,
    BEN,
    SECRET,
    WEBHOOK,
    OperatorsWorld,
    with_operators,
)
from tests.world.markets import SOL
from tests.world.memory_accounts import ALICE, BOB

LIMIT = {"symbol": "SOL", "parameter": "creditMax", "value": "10"}
DAY_NS = 86_400 * 10**9


def credit(quantity: str, reference: str, **more: str) -> dict[str, Any]:
    known = {"accountId": str(BOB), "symbol": "SOL", "quantity": quantity}
    return {**known, "reference": reference, **more}


def sol_of_bob(world: OperatorsWorld) -> int:
    available: int = world.core.balances(BOB)[SOL - 1][1]
    return available // 10**9


@with_operators()
async def test_several_credits_of_a_day_are_one_for_the_limit(world: OperatorsWorld) -> None:
    await world.agree("asset-limit", LIMIT)
    statuses = [(await world.done("credit", credit("4", f"part {n}")))["status"] for n in range(4)]
    assert statuses == ["done", "done", "proposed", "proposed"]
    assert sol_of_bob(world) == 1_008
    assert (await world.done("credit", credit("4", "part 0")))["status"] == "repeated"
    assert (await world.done("credit", credit("9", "of ben"), by=BEN))["status"] == "done"
    first = (await world.read("proposals"))[0]
    await world.done("approve", {"proposal": first["proposal"]}, by=BEN)
    assert sol_of_bob(world) == 1_021
    world.exchange.time_ns += DAY_NS + 1
    world.exchange.do(admin_records.tick())
    assert (await world.done("credit", credit("10", "tomorrow")))["status"] == "done"
    invariants.check(world.core)


@with_operators()
async def test_two_credits_at_once_count_each_other(world: OperatorsWorld) -> None:
    await world.agree("asset-limit", LIMIT)
    ann = world.gateway.operator("ann" * 14)
    assert ann is not None
    acts = (world.gateway.act(ann, "credit", credit("6", f"at once {n}"), "x") for n in range(3))
    found = await asyncio.gather(*acts)
    assert sorted(each["status"] for each in found) == ["done", "proposed", "proposed"]


@with_operators()
async def test_an_asset_without_a_limit_is_credited_by_two(world: OperatorsWorld) -> None:
    await world.agree("list-asset", {"symbol": "GOLD", "decimals": "4"})
    gold = credit("1", "gold", symbol="GOLD")
    proposed = await world.done("credit", gold)
    assert proposed["status"] == "proposed"
    body = {"accountId": str(BOB), "symbol": "GOLD", "quantity": "1", "reference": "x"}
    assert (await world.deposit(body)).error()[:2] == (403, "FORBIDDEN")
    await world.done("approve", {"proposal": proposed["proposal"]}, by=BEN)
    assert [balance[1] for balance in world.core.balances(BOB)][-1] == 10_000


@with_operators()
async def test_an_own_account_is_one_however_it_is_written(world: OperatorsWorld) -> None:
    for number in (str(ALICE), f"0{ALICE}"):
        refused = await world.refused("credit", credit("1", "x", accountId=number), by=BEN)
        assert refused[0] == 403, number


@with_operators()
async def test_the_secret_of_the_webhook_is_no_token(world: OperatorsWorld) -> None:
    await world.agree("asset-limit", LIMIT)
    pending = await world.done("credit", credit("11", "big"), by=ANN)
    body = {"referenceHash": pending["referenceHash"], "reason": "x"}
    reply = await world.client.ask("POST", "/admin/v1/confirm-credit", body, token=SECRET)
    assert reply.status == 401
    assert world.core.operator_roles(WEBHOOK)


@with_operators()
async def test_the_name_of_an_operator_changes_and_the_own_account_stays(
    world: OperatorsWorld,
) -> None:
    roles = {"operator": str(BEN), "roles": "accounts, markets, money, operators"}
    await world.agree("operator", {**roles, "name": "benjamin"})
    known = world.store.operators.operator(BEN)
    assert (known.name, known.account) == ("benjamin", ALICE)
    for wrong in ({"accountId": "abc"}, {"name": "a\nb"}):
        assert (await world.refused("operator", {**roles, **wrong}))[0] == 400


@with_operators()
async def test_a_closed_account_has_no_orders_keys_or_sessions(world: OperatorsWorld) -> None:
    await world.done("close-account", {"accountId": str(BOB)})
    account = await world.client.ask("GET", f"/admin/v1/account?accountId={BOB}", token="ann" * 14)
    found = account.json()
    assert (found["frozen"], found["openOrderCount"], found["credentials"]) == (True, 0, [])
