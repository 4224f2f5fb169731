"""Every answer that tests get is decoded strictly by the contract table."""

from __future__ import annotations

from typing import Any

import msgspec

from fairbook.api.contract.openapi import STATUS_OF
from fairbook.api.contract.reply_shapes import ErrorReply
from fairbook.api.contract.streams_table import STREAMS
from fairbook.api.contract.table import ROUTES, Route
from fairbook.gateway.endpoints.stubs import stub_endpoints, stub_endpoints_under

PREFIXES = ("/api/", "/wapi/", "/auth/")
BY_PATH = {(route.method, route.path): route for route in ROUTES}
UNDER = {
    (route.method, route.path.partition("{")[0]): route for route in ROUTES if "{" in route.path
}
FIXED = {(method.decode(), path.decode()) for method, path in stub_endpoints()}
FIXED_UNDER = tuple(path.decode() for _, path in stub_endpoints_under())
EVERYWHERE = {
    (400, "INVALID_CLIENT_REQUEST"), (403, "FORBIDDEN"), (404, "RESOURCE_NOT_FOUND"),
    (405, "METHOD_NOT_ALLOWED"), (413, "INVALID_CLIENT_REQUEST"), (415, "INVALID_CLIENT_REQUEST"),
    (429, "TOO_MANY_REQUESTS"), (500, "SERVER_ERROR"), (503, "MAINTENANCE"),
    (503, "TRADING_PAUSED"), (504, "TIMEOUT"),
}  # fmt: skip
AUTHENTICATION = {(401, "UNAUTHORIZED"), (401, "INVALID_SIGNATURE")}
PUBLIC = {stream.name.split(".")[0]: stream.message for stream in STREAMS if not stream.is_private}
PRIVATE = {stream.name: stream.message for stream in STREAMS if stream.is_private}


def route_of(method: str, path: str) -> Route | None:
    """The row of a request; None for what the table leaves out."""
    path = path.partition("?")[0]
    method = "GET" if method == "HEAD" else method
    found = BY_PATH.get((method, path))
    return found or UNDER.get((method, path.rpartition("/")[0] + "/"))


def check_reply(method: str, path: str, status: int, body: bytes) -> None:
    """Raise AssertionError if an answer is not what the table says."""
    if not path.startswith(PREFIXES) or method == "HEAD" or not body:
        return
    route = route_of(method, path)
    said = f"{method} {path} {status}: {body[:500]!r}"
    if status < 400:
        if route is None:
            fixed = (method, path.partition("?")[0]) in FIXED or path.startswith(FIXED_UNDER)
            assert fixed, f"no row of the table: {said}"
            return
        assert status == route.status or (status == 202 and route.accepted), said
        if route.reply is None:
            return
    is_success = status < 400
    expected: Any = ErrorReply if not is_success else route and route.reply
    if status == 202 and route is not None:
        expected = route.accepted
    try:
        found = msgspec.json.decode(body, type=expected, strict=True)
    except msgspec.DecodeError as error:
        raise AssertionError(f"{said}: {error}") from None
    if route is not None and not is_success:
        assert (status, found.code) in _errors(route), said


def _errors(route: Route) -> set[tuple[int, str]]:
    own = {(int(STATUS_OF.get(code, "400")), code) for code in route.errors}
    if (route.method, route.path) in FIXED or route.path.startswith(FIXED_UNDER):
        own.add((501, "NOT_IMPLEMENTED"))  # by a gateway without that part
    return EVERYWHERE | own | (AUTHENTICATION if route.permission else set())


def check_event(message: Any) -> None:
    """The same of a message of a stream, as decoded JSON; other messages are left alone."""
    if not isinstance(message, dict) or "stream" not in message:
        return
    head, *rest = message["stream"].split(".")
    expected = PRIVATE.get(f"account.{rest[0]}") if head == "account" else PUBLIC.get(head)
    assert expected is not None, f"no row of the table: {message}"
    try:
        msgspec.convert(message["data"], expected, strict=True)
    except msgspec.ValidationError as error:
        raise AssertionError(f"{message}: {error}") from None
