"""No path lets one person create money: each way that could is tried."""

from __future__ import annotations

import sqlite3

import pytest

from fairbook.core import admin_records, invariants, records
from fairbook.ports.digests import token_digest, webhook_digest
from tests.admin.operators_world import ANN, BEN, CLERK, SECRET, OperatorsWorld, with_operators
from tests.world.markets import SOL
from tests.world.memory_accounts import BOB

LIMIT = {"symbol": "SOL", "parameter": "creditMax", "value": "10"}
CREDIT = {"accountId": str(BOB), "symbol": "SOL", "quantity": "11", "reference": "big"}


@with_operators()
async def test_a_limit_is_changed_by_two(world: OperatorsWorld) -> None:
    proposed = await world.done("asset-limit", LIMIT)
    assert world.core.assets[SOL].credit_max != 10 * 10**9, "proposing changes nothing"
    (shown,) = await world.read("proposals")
    assert (shown["operator"], shown["act"], shown["fields"]) == (ANN, "asset-limit", LIMIT)
    number = {"proposal": proposed["proposal"]}
    assert await world.refused("approve", number, by=ANN) == (
        403, "FORBIDDEN", "Another operator must approve it",
    )  # fmt: skip
    assert (await world.refused("approve", number, by=CLERK))[0] == 403, "without the role"
    done = await world.done("approve", number, by=BEN)
    assert done["status"] == "done"
    assert world.core.assets[SOL].credit_max == 10 * 10**9
    unit = world.exchange.applied[-1]
    assert int.from_bytes(unit[8:16], "little") == int(proposed["proposal"]), "names the proposal"
    assert (await world.refused("approve", number, by=BEN))[0] == 404
    assert await world.read("proposals") == []


@pytest.mark.parametrize(
    ("act", "fields"),
    [
        ("asset-limit", LIMIT),
        ("list-asset", {"symbol": "GOLD", "decimals": "4"}),
        ("account-limit", {"accountId": str(BOB), "symbol": "SOL", "value": "3"}),
        ("exchange-limit", {"parameter": "withdrawalDelaySeconds", "value": "0"}),
        ("operator", {"operator": "5", "roles": "money"}),
        ("operator", {"operator": "3", "roles": "money, operators"}),
        ("operator-token", {"operator": "1", "tokenHash": "22" * 32}),
        ("operator-token", {"operator": "4", "tokenHash": "22" * 32}),
        ("revoke-operator-token", {"operator": "2", "tokenHash": token_digest("ben" * 14).hex()}),
    ],
)
@with_operators()
async def test_one_alone_changes_no_limit_operator_or_secret(
    world: OperatorsWorld, act: str, fields: dict[str, str]
) -> None:
    proposed = await world.done(act, fields)
    assert proposed["status"] == "proposed"
    assert world.acted()[0] == records.NOTE
    assert (await world.refused("approve", {"proposal": proposed["proposal"]}))[0] == 403
    assert (await world.done("approve", {"proposal": proposed["proposal"]}, by=BEN))["status"] == (
        "done"
    )


@with_operators()
async def test_a_new_operator_acts_when_two_have_agreed(world: OperatorsWorld) -> None:
    fields = {"operator": "5", "roles": "markets", "name": "dora", "accountId": str(BOB)}
    await world.agree("operator", fields)
    await world.agree(
        "operator-token", {"operator": "5", "tokenHash": token_digest("d" * 40).hex()}
    )
    reply = await world.client.ask(
        "POST", "/admin/v1/pause", {"reason": "x"}, token="d" * 40
    )  # fmt: skip
    assert reply.status == 200
    assert world.store.operators.operator(5).account == BOB
    await world.agree("operator", {"operator": "5", "roles": "none"})
    reply = await world.client.ask("POST", "/admin/v1/unpause", {"reason": "x"}, token="d" * 40)
    assert reply.status == 401


@with_operators()
async def test_a_credit_above_the_limit_waits_for_another(world: OperatorsWorld) -> None:
    await world.agree("asset-limit", LIMIT)
    before = world.balances()
    pending = await world.done("credit", CREDIT)
    assert pending["status"] == "pending" and world.balances() == before
    decision = {"referenceHash": pending["referenceHash"]}
    assert (await world.refused("confirm-credit", decision, by=ANN))[0] == 403
    assert (await world.refused("confirm-credit", decision, by=CLERK))[0] == 403
    (shown,) = await world.read("pending")
    assert (shown["quantity"], shown["operator"], shown["accountId"]) == ("11", ANN, str(BOB))
    await world.done("confirm-credit", decision, by=BEN)
    assert world.core.balances(BOB)[SOL - 1][1] == 1_011 * 10**9
    assert (await world.done("confirm-credit", decision, by=BEN))["status"] == "repeated"
    assert (await world.refused("refuse-credit", decision))[2] == "Already decided"
    invariants.check(world.core)


@with_operators()
async def test_a_refused_credit_moves_nothing(world: OperatorsWorld) -> None:
    await world.agree("asset-limit", LIMIT)
    pending = await world.done("credit", CREDIT)
    before = world.balances()
    await world.done("refuse-credit", {"referenceHash": pending["referenceHash"]})
    assert world.balances() == before and await world.read("pending") == []
    assert (await world.done("credit", CREDIT))["status"] == "pending"
    assert world.balances() == before


@with_operators()
async def test_a_dropped_proposal_is_logged_and_stays_ended(world: OperatorsWorld) -> None:
    number = {"proposal": (await world.done("asset-limit", LIMIT))["proposal"]}
    refused = await world.refused("drop", number, by=CLERK)
    assert refused[0] == 403, "neither the proposer nor with the role"
    await world.done("drop", number, by=BEN)
    assert world.acted()[0] == records.NOTE
    assert world.acted()[8:].startswith(f"drop {number['proposal']}".encode())
    for act in ("approve", "drop"):
        assert (await world.refused(act, number, by=BEN))[0] == 404
    assert world.core.assets[SOL].credit_max != 10 * 10**9


@with_operators()
async def test_a_proposal_ends_after_a_day(world: OperatorsWorld) -> None:
    proposed = await world.done("asset-limit", LIMIT)
    world.exchange.time_ns += 86_401 * 10**9
    world.exchange.do(admin_records.tick())
    refused = await world.refused("approve", {"proposal": proposed["proposal"]}, by=BEN)
    assert refused == (403, "FORBIDDEN", "The proposal is older than a day")
    assert await world.read("proposals") == []


@with_operators()
async def test_a_proposer_who_was_dismissed_counts_no_more(world: OperatorsWorld) -> None:
    proposed = await world.done("asset-limit", LIMIT)
    world.exchange.do(admin_records.set_operator(operator=ANN, roles=0))
    refused = await world.refused("approve", {"proposal": proposed["proposal"]}, by=BEN)
    assert refused == (403, "FORBIDDEN", "Its proposer may not do it any more")


@with_operators()
async def test_a_deposit_by_webhook_counts_once(world: OperatorsWorld) -> None:
    body = {"accountId": str(BOB), "symbol": "SOL", "quantity": "4", "reference": "tx 1"}
    first, again = await world.deposit(body), await world.deposit(body)
    assert [first.json()["status"], again.json()["status"]] == ["done", "repeated"]
    assert world.core.balances(BOB)[SOL - 1][1] == 1_004 * 10**9
    fields = {**body, "reference": "tx 1"}
    assert (await world.done("credit", fields))["status"] == "done", "another source"


@with_operators()
async def test_a_webhook_without_the_secret_moves_nothing(world: OperatorsWorld) -> None:
    body = {"accountId": str(BOB), "symbol": "SOL", "quantity": "4", "reference": "tx 1"}
    before = world.balances()
    now = int(world.now_s)
    refused = [
        await world.deposit(body, secret="another secret that is long enough too"),
        await world.deposit(body, signature="0" * 64),
        await world.deposit(body, stamp=str(now - 301)),
        await world.deposit(body, stamp=str(now + 301)),
        await world.deposit(body, stamp="now"),
        await world.deposit({**body, "more": "x"}),
        await world.deposit({**body, "quantity": "-1"}),
        await world.deposit({**body, "accountId": "99"}),
        await world.client.ask("POST", "/webhook/v1/deposits", body),
    ]
    assert [reply.status for reply in refused] == [401, 401, 400, 400, 400, 400, 400, 403, 401]
    assert world.balances() == before
    assert (await world.deposit(body)).status == 200


@with_operators()
async def test_a_webhook_above_the_limit_waits_and_its_secret_can_be_ended(
    world: OperatorsWorld,
) -> None:
    await world.agree("asset-limit", LIMIT)
    body = {"accountId": str(BOB), "symbol": "SOL", "quantity": "40", "reference": "tx 2"}
    before = world.balances()
    pending = (await world.deposit(body)).json()
    assert pending["status"] == "pending" and world.balances() == before
    await world.done("confirm-credit", {"referenceHash": pending["referenceHash"]}, by=BEN)
    assert world.core.balances(BOB)[SOL - 1][1] == 1_040 * 10**9
    secret = {"operator": "4", "tokenHash": webhook_digest(SECRET).hex()}
    await world.agree("revoke-operator-token", secret)
    refused = await world.deposit({**body, "reference": "tx 3"})
    assert refused.status == 403


@with_operators()
async def test_reasons_that_were_changed_are_not_shown(world: OperatorsWorld) -> None:
    await world.done("pause")
    database: sqlite3.Connection = world.store._database
    (digest,) = database.execute("SELECT digest FROM reason WHERE text = 'test'").fetchone()
    assert world.store.operators.reason(digest) == "test"
    database.execute("UPDATE reason SET text = 'nothing'")
    assert world.store.operators.reason(digest) is None
