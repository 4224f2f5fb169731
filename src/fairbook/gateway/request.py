"""One request and its reply, as endpoints see them: already authenticated, its fields read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from fairbook.api.requests import Fields

JSON_TYPE: Final = (b"content-type", b"application/json; charset=utf-8")
TEXT_TYPE: Final = (b"content-type", b"text/plain; charset=utf-8")

# What an endpoint reads. OF_BODY_OR_QUERY is for DELETE: some clients cannot send a body with it.
OF_QUERY: Final = 0
OF_BODY: Final = 1
OF_BODY_OR_QUERY: Final = 2
OF_ARRAY: Final = 3


class Request:
    """One request. What stands behind `body` is filled in on the way to the endpoint: `fields` of
    the body or the query, or `orders` of a batch, and the `account` that asks (0: nobody said so).
    """

    __slots__ = ("account", "address", "body", "fields", "headers", "orders", "path", "query")

    def __init__(
        self,
        path: bytes,
        *,
        query: bytes,
        headers: dict[bytes, bytes],
        address: str,
        body: bytes = b"",
    ) -> None:
        self.path = path
        self.query = query
        self.headers = headers
        self.address = address
        self.body = body
        self.account = 0
        self.fields: Fields = {}
        self.orders: list[Fields] = []


class Reply(NamedTuple):
    """A reply that is not simply 200 and JSON."""

    body: bytes
    status: int = 200
    content_type: tuple[bytes, bytes] = JSON_TYPE
    headers: tuple[tuple[bytes, bytes], ...] = ()


Handler = Callable[[Request], Awaitable[bytes | Reply]]


class Endpoint(NamedTuple):
    """What must hold before `handler` is called."""

    handler: Handler
    instruction: str = ""  # of the signed text
    permission: int = 0  # 0: public
    reads: int = OF_QUERY
    writes: bool = False  # it may change the exchange
    repeatable: bool = False  # with a clientId, doing it again changes nothing


Endpoints = dict[tuple[str, bytes], Endpoint]  # by method and path


def always(body: bytes) -> Handler:
    """An endpoint whose reply never changes."""

    async def reply(_call: Request) -> bytes:
        return body

    return reply


def refusing(error: Callable[[], Exception]) -> Handler:
    """An endpoint that always refuses."""

    async def refuse(_call: Request) -> Any:
        raise error()

    return refuse
