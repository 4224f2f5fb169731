"""Every answer that tests get is decoded strictly by the contract table."""

from __future__ import annotations

from typing import Any

import msgspec

from fairbook.api.contract.reply_shapes import DurableReply, ErrorReply
from fairbook.api.contract.streams_table import STREAMS
from fairbook.api.contract.table import ROUTES, Route

PREFIXES = ("/api/", "/wapi/", "/auth/")
BY_PATH = {(route.method, route.path): route for route in ROUTES}
UNDER = {
    (route.method, route.path.partition("{")[0]): route for route in ROUTES if "{" in route.path
}
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
    if status >= 400:
        expected: Any = ErrorReply
    elif route is None or route.reply is None or status == 204:
        return
    else:
        expected = DurableReply if status == 202 else route.reply
    try:
        msgspec.json.decode(body, type=expected, strict=True)
    except msgspec.DecodeError as error:
        raise AssertionError(f"{method} {path} {status}: {error}: {body[:500]!r}") from None


def check_event(message: Any) -> None:
    """The same of a message of a stream, as decoded JSON; other messages are left alone."""
    if not isinstance(message, dict) or "stream" not in message:
        return
    head, *rest = message["stream"].split(".")
    expected = PRIVATE.get(f"account.{rest[0]}") if head == "account" else PUBLIC.get(head)
    if expected is None:
        return
    try:
        msgspec.convert(message["data"], expected, strict=True)
    except msgspec.ValidationError as error:
        raise AssertionError(f"{message}: {error}") from None
