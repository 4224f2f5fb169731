"""Every route of the gateway with every kind of credential: none, wrong, ended, of each permission,
of another account, of an operator.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fairbook.api.contract.table import ROUTES, Route
from fairbook.gateway.endpoints.stubs import stub_endpoints
from fairbook.ports.accounts import ALL_PERMISSIONS, READ, TRADE, WITHDRAW
from tests.world.credentials import token_added, token_revoked
from tests.world.exchange_process import ExchangeProcess
from tests.world.rest_client import Reply, RestClient

ROUTED = {(route.method, route.path) for route in ROUTES}
FIXED = [
    Route(method.decode(), path.decode(), "", None, None, endpoint.instruction, endpoint.permission)
    for (method, path), endpoint in stub_endpoints().items()
    if endpoint.permission and (method.decode(), path.decode()) not in ROUTED
]
PRIVATE = [*(route for route in ROUTES if route.permission), *FIXED]
PUBLIC = [route for route in ROUTES if not route.permission]
TOKENS = {name: name * 8 for name in ("reader", "trader", "owner", "revoked", "expired", "other")}
PERMISSIONS = {"reader": READ, "trader": READ | TRADE, "owner": ALL_PERMISSIONS}
EXPIRED_S = 1.0


def name_of(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExchangeProcess]:
    folder = tmp_path_factory.mktemp("routes") / "d"
    unlimited = {"FAIRBOOK_GUESSES_PER_MINUTE": "0"}
    with ExchangeProcess(folder, "--no-replica", environment=unlimited) as process:
        account = process.account("demo1")
        process.stop()
        expires_ns = time.time_ns() + int(EXPIRED_S * 1e9)
        process.append_to_log(
            *(token_added(account, TOKENS[name], bits) for name, bits in PERMISSIONS.items()),
            token_added(account, TOKENS["revoked"]),
            token_revoked(account, TOKENS["revoked"]),
            token_added(account, TOKENS["expired"], expires_ns=expires_ns),
            token_added(process.account("demo2"), TOKENS["other"]),
        )
        process.start()
        time.sleep(max(expires_ns / 1e9 - time.time(), 0))
        yield process


def ask(venue: ExchangeProcess, route: Route, token: str) -> Reply:
    """A request without fields: a credential is checked before they are."""
    client = RestClient(venue.http_port, token)
    body: Any = None
    if route.method != "GET":
        body = [{}] if route.is_array else {}
    reply = client.call(route.method, route.path.replace("{id}", "00"), body)
    client.close()
    return reply


@pytest.mark.parametrize("route", PRIVATE, ids=name_of)
def test_who_may_use_a_private_route(venue: ExchangeProcess, route: Route) -> None:
    operator = json.loads((venue.folder / "admin.json").read_bytes())["token"]
    for token in ("", "no token", TOKENS["revoked"], TOKENS["expired"], operator):
        reply = ask(venue, route, token)
        assert (reply.status, reply.body["code"]) == (401, "UNAUTHORIZED"), token
    for name, bits in PERMISSIONS.items():
        if route.path == "/auth/v1/logout":
            continue  # It would end the token that others need.
        reply = ask(venue, route, TOKENS[name])
        if bits & route.permission:
            assert reply.status not in (401, 403), (name, reply.body)
        else:
            assert (reply.status, reply.body["code"]) == (403, "FORBIDDEN"), name


@pytest.mark.parametrize("route", PUBLIC, ids=name_of)
def test_a_public_route_needs_no_credential(venue: ExchangeProcess, route: Route) -> None:
    reply = ask(venue, route, "")
    assert reply.status in (200, 400)


def test_each_kind_of_permission_is_tried() -> None:
    assert {route.permission for route in PRIVATE} == {READ, TRADE, WITHDRAW}


def test_another_account_sees_and_ends_nothing_of_this_one(venue: ExchangeProcess) -> None:
    """Orders, withdrawals, sessions and keys, by their ids."""
    owner = RestClient(venue.http_port, TOKENS["owner"])
    other = RestClient(venue.http_port, TOKENS["other"])
    order = {"symbol": "SOL_USDC", "side": "Bid", "orderType": "Limit", "price": "1"}
    placed = owner.expect(200, "POST", "/api/v1/order", {**order, "quantity": "1"})
    named = {"symbol": "SOL_USDC", "orderId": placed["id"]}
    query = f"symbol=SOL_USDC&orderId={placed['id']}"
    assert other.call("GET", f"/api/v1/order?{query}").status == 404
    for method in ("DELETE", "PATCH"):
        body = named if method == "DELETE" else {**named, "price": "2", "quantity": "1"}
        refused = other.call(method, "/api/v1/order", body)
        assert (refused.status, refused.body["code"]) == (400, "INVALID_ORDER")
    other.expect(200, "DELETE", "/api/v1/orders", {"symbol": "SOL_USDC"})
    assert owner.expect(200, "GET", f"/api/v1/order?{query}")["id"] == placed["id"]
    for path in ("/api/v1/orders", "/wapi/v1/history/orders", "/wapi/v1/history/fills"):
        rows = other.expect(200, "GET", f"{path}?symbol=SOL_USDC")
        assert placed["id"] not in [row.get("id", row.get("orderId")) for row in rows]
    for kind in ("sessions", "keys"):
        for row in owner.expect(200, "GET", f"/auth/v1/{kind}"):
            assert other.call("DELETE", f"/auth/v1/{kind}/{row['id']}").status == 404
    body = {"symbol": "SOL", "quantity": "1", "address": "X", "blockchain": "Solana"}
    asked = owner.expect(200, "POST", "/wapi/v1/capital/withdrawals", body)
    assert other.expect(200, "GET", f"/wapi/v1/capital/withdrawals?id={asked['id']}") == []
    owner.expect(200, "DELETE", "/api/v1/order", named)
    for client in (owner, other):
        client.close()
