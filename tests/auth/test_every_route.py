"""Every private route of the contract table, with every kind of credential."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from fairbook.api.contract.table import ROUTES, Route
from fairbook.ports.accounts import ALL_PERMISSIONS, READ, TRADE, WITHDRAW
from tests.world.credentials import token_added, token_revoked
from tests.world.exchange_process import ExchangeProcess
from tests.world.rest_client import Reply, RestClient

PRIVATE = [route for route in ROUTES if route.permission]
PUBLIC = [route for route in ROUTES if not route.permission]
TOKENS = {name: name * 8 for name in ("reader", "trader", "owner", "revoked", "expired")}
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
    for token in ("", "no token", TOKENS["revoked"], TOKENS["expired"]):
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
