"""The contract table is the routes of a real gateway, and OpenAPI is the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from fairbook.api.contract.openapi import openapi
from fairbook.api.contract.page import page
from fairbook.api.contract.streams_table import STREAMS, streams
from fairbook.api.contract.table import ROUTES
from fairbook.api.stream_names import parse_stream_name
from fairbook.auth.endpoints import AuthEndpoints
from fairbook.auth.user_accounts import UserAccounts
from fairbook.gateway.gateway import Gateway, GatewayLimits
from fairbook.gateway.request import always
from fairbook.gateway.routes import Routes
from tests.world.contract_check import check_event, check_reply
from tests.world.direct_exchange import small_exchange
from tests.world.memory_accounts import MemoryAccounts

Rows = dict[tuple[str, str], tuple[str, int]]
"""(method, path): (instruction, permission)."""
FIXED_ANSWERS = always.__module__


def real_routes() -> dict[tuple[str, str], tuple[str, int, Any]]:
    """Of a gateway with sign-up, with their handlers; paths that end with a name are those of the
    table.
    """
    exchange = small_exchange()
    auth = AuthEndpoints(cast(UserAccounts, None), mode="open")
    gateway = Gateway(
        commands=exchange, queries=exchange, catalogue=exchange, accounts=MemoryAccounts(),
        limits=GatewayLimits(), more=Routes(auth.endpoints(), auth.endpoints_under()),
    )  # fmt: skip
    found = {}
    for (method, path), endpoint in gateway.routes.endpoints.items():
        row = (endpoint.instruction, endpoint.permission, endpoint.handler)
        found[method.decode(), path.decode()] = row
    for (method, path), endpoint in gateway.routes.under.items():
        name = "{symbol}" if path.endswith(b"/markets/") else "{id}"
        row = (endpoint.instruction, endpoint.permission, endpoint.handler)
        found[method.decode(), path.decode() + name] = row
    return found


def test_the_table_has_the_routes_of_the_gateway_and_no_others() -> None:
    """But for those that answer [] or 501, because a spot exchange has no such data."""
    table: Rows = {(r.method, r.path): (r.instruction, r.permission) for r in ROUTES}
    assert len(table) == len(ROUTES), "a route stands once"
    real = real_routes()
    assert {route: real[route][:2] for route in table} == table
    for route in set(real) - set(table):
        assert real[route][2].__module__ == FIXED_ANSWERS, f"{route} has no row"


def test_openapi_has_every_route_with_its_answers() -> None:
    document = openapi()
    assert document["openapi"] == "3.1.0"
    found = {(method.upper(), path) for path, each in document["paths"].items() for method in each}
    assert found == {(route.method, route.path) for route in ROUTES}
    for path, each in document["paths"].items():
        for operation in each.values():
            statuses = set(operation["responses"])
            assert {"400", "429", "503", "504"} < statuses and statuses & {"200", "201"}
            assert ("202" in statuses) == (
                path == "/api/v1/order" and "PlaceBody" in str(operation)
            )
            assert ("security" in operation) == ("401" in statuses and path != "/auth/v1/login")
    assert all(reference in json.dumps(document) for reference in ("OrderReply", "PlaceBody"))


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/api/v1/status", 200, b'{"status":"Ok","message":null,"more":1}'),
        ("GET", "/api/v1/status", 200, b'{"status":"Well","message":null}'),
        ("GET", "/api/v1/depth?symbol=X", 200, b'{"asks":[["1",2]],"bids":[]}'),
        ("GET", "/api/v1/markets/X", 200, b"[]"),
        ("POST", "/api/v1/order", 400, b'{"code":"X"}'),
        ("DELETE", "/auth/v1/keys/00", 200, b'{"done":true}'),
        ("GET", "/api/v1/status", 418, b'{"code":"INVALID_CLIENT_REQUEST","message":""}'),
        ("GET", "/api/v1/klines", 400, b'{"code":"ORDER_LIMIT","message":""}'),
        ("GET", "/api/v1/depth?symbol=X", 202, b'{"status":"durable"}'),
        ("GET", "/api/v1/new", 200, b"{}"),
    ],
)
def test_an_answer_that_is_not_in_the_table_fails_a_test(
    method: str, path: str, status: int, body: bytes
) -> None:
    with pytest.raises(AssertionError, match=path.partition("?")[0]):
        check_reply(method, path, status, body)


def test_a_message_that_is_not_in_the_table_fails_a_test() -> None:
    data = {"e": "balanceUpdate", "E": 1, "a": "SOL", "A": "1", "L": "0", "S": "0", "T": 1}
    check_event({"stream": "account.balanceUpdate", "data": data})
    with pytest.raises(AssertionError, match="unknown field"):
        check_event({"stream": "account.balanceUpdate", "data": {**data, "x": 1}})


def test_the_page_of_routes_is_current() -> None:
    path = Path(__file__).parents[2] / "docs" / "reference" / "http-api.md"
    assert path.read_text() == page(), "run `python -m fairbook.api.contract.page`"


def references(node: Any) -> set[str]:
    """All that is referred to in a document."""
    if isinstance(node, dict):
        own = {node["$ref"]} if "$ref" in node else set()
        return own.union(*map(references, node.values()))
    return set().union(*map(references, node)) if isinstance(node, list) else set()


@pytest.mark.parametrize("document", [openapi(), streams()], ids=["openapi", "streams"])
def test_what_is_referred_to_is_there(document: dict[str, Any]) -> None:
    names = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) <= names
    json.dumps(document)


def test_every_stream_of_the_table_is_a_stream() -> None:
    for stream in STREAMS:
        name = stream.name.format(symbol="SOL_USDC", every="200ms", interval="1m")
        parsed = parse_stream_name(name)
        assert parsed is not None and parsed.is_private == stream.is_private, name
