"""Requests, replies and endpoints: what the HTTP server and the handlers exchange."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Final, Literal, NamedTuple, Protocol

from fairbook.api.errors import INVALID_CLIENT_REQUEST, ApiError, not_implemented
from fairbook.api.orders import OrderCommand
from fairbook.api.requests import Fields
from fairbook.gateway.account_shares import REQUEST_BYTES, AccountShare

JSON_TYPE: Final = (b"content-type", b"application/json; charset=utf-8")
TEXT_TYPE: Final = (b"content-type", b"text/plain; charset=utf-8")
STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
CLOSE: Final = (b"connection", b"close")
ID_PREFIX: Final = f"{secrets.token_hex(4)}-"
"""Of the ids of all requests of this process."""
_ID_LINE: Final = f"x-request-id: {ID_PREFIX}%d\r\n".encode()
_ID_AND_POSITION: Final = _ID_LINE + b"x-fairbook-position: %d\r\n"

Reads = Literal["query", "body", "body or query", "array"]
"""What the fields come from. "body or query" is for DELETE: some clients cannot send a body."""


class Sender:
    """Who sends the requests of a connection, as far as they have proved it."""

    __slots__ = ("api_key", "is_gone", "share")

    def __init__(self) -> None:
        self.is_gone = False  # the connection is lost
        self.api_key: bytes | None = None  # of the last valid signature
        self.share = AccountShare()  # of its account


class Request:
    """One request. The gateway sets `account` (0: not authenticated), its `share`, `credential`
    (its slot) and `fields` of the body or the query, or `orders` of a batch, before it calls the
    endpoint. `seen` is set if orders with client ids were signed by a signature that was used: only
    what is known of them may be answered, or else 400 with this message.
    """

    __slots__ = (
        "account", "address", "body", "credential", "fields", "headers", "held_bytes",
        "is_held", "number", "orders", "path", "query", "seen", "sender", "share",
    )  # fmt: skip

    share: AccountShare  # set with `account`
    held_bytes: int  # of the request and those behind it, if it is held

    def __init__(
        self,
        path: bytes,
        query: bytes,
        headers: dict[bytes, bytes],
        address: str,
        sender: Sender | None = None,
    ) -> None:
        """headers: by lower-case name."""
        self.path = path
        self.query = query
        self.headers = headers
        self.address = address
        self.sender = sender or Sender()
        self.body = b""
        self.account = 0
        self.credential = 0
        self.is_held = False  # it waits for its turn among those of its account, or has waited
        self.fields: Fields = {}
        self.orders: list[Fields] = []
        self.seen: str | None = None
        self.number = 0  # in this process

    @property
    def id(self) -> str:
        """What `X-Request-Id` says, and the lines of the log."""
        return f"{ID_PREFIX}{self.number}"

    def size(self) -> int:
        """The bytes that it takes while it is held."""
        headers = sum(len(name) + len(value) for name, value in self.headers.items())
        return REQUEST_BYTES + len(self.path) + headers + len(self.body)


class Reply(NamedTuple):
    """An answer that is not 200 with a JSON body.

    pieces: a body of unknown length, sent with back-pressure; then `body` is ignored.
    """

    body: bytes
    status: int = 200
    content_type: tuple[bytes, bytes] = JSON_TYPE
    headers: tuple[tuple[bytes, bytes], ...] = ()
    pieces: AsyncIterator[bytes] | None = None

    @property
    def closes(self) -> bool:
        return CLOSE in self.headers

    def head(self, date_line: bytes, *, is_closing: bool, more: bytes = b"") -> bytes:
        """more: further lines."""
        headers = [self.content_type, *self.headers]
        if self.pieces is None and self.status != HTTPStatus.NO_CONTENT:
            headers.append((b"content-length", b"%d" % len(self.body)))
        elif self.pieces is not None and not is_closing:
            headers.append((b"transfer-encoding", b"chunked"))
        if is_closing and not self.closes:
            headers.append(CLOSE)
        lines = [b"%s: %s\r\n" % header for header in headers]
        return b"".join((STATUS_LINES[self.status], date_line, *lines, more, b"\r\n"))


JsonOrReply = bytes | Reply
"""bytes: 200 with this JSON."""

Handler = Callable[[Request], JsonOrReply | OrderCommand | Awaitable[JsonOrReply]]
"""Returns the answer, the command whose outcome is the answer, or a coroutine. Raises ApiError."""


class Respond(Protocol):
    """Takes the answer to one request; called once. `position`: at which its command was executed;
    0: it was none, or that is not known.
    """

    def __call__(self, answer: JsonOrReply | ApiError, position: int = 0, /) -> None: ...


class Endpoint(NamedTuple):
    """A handler, and what must hold before it is called."""

    handler: Handler
    instruction: str = ""  # of the signed text
    permission: int = 0  # 0: public
    reads: Reads = "query"
    writes: bool = False  # it may change the exchange
    repeatable: bool = False  # with a clientId, doing it again changes nothing
    is_metered: bool = True  # a public request takes a token of its address


Endpoints = dict[tuple[bytes, bytes], Endpoint]  # by method and path


def always(answer: JsonOrReply) -> Handler:
    return lambda _request: answer


def not_offered(what: str) -> Handler:
    def refuse(_request: Request) -> JsonOrReply:
        raise not_implemented(what)

    return refuse


def to_reply(answer: JsonOrReply | ApiError) -> Reply:
    if not isinstance(answer, ApiError):
        return Reply(answer) if isinstance(answer, bytes) else answer
    headers: list[tuple[bytes, bytes]] = []
    if answer.retry_after_s:
        headers.append((b"retry-after", b"%d" % answer.retry_after_s))
    if isinstance(answer, MethodNotAllowed):
        headers.append((b"allow", answer.allowed.encode()))
    if answer.close:
        headers.append(CLOSE)
    return Reply(answer.body(), answer.status, headers=tuple(headers))


def ok_head(date_line: bytes) -> bytes:
    """The head of a 200 with JSON, without the lines that differ from answer to answer."""
    return b"%s%s%s: %s\r\n" % (STATUS_LINES[200], date_line, *JSON_TYPE)


def id_lines(number: int, position: int) -> bytes:
    """The request's id, and the position at which its command was executed, if there is one."""
    if position:
        return _ID_AND_POSITION % (number, position)
    return _ID_LINE % number


class MethodNotAllowed(ApiError):
    """405, with the allowed methods."""

    def __init__(self, allowed: list[str]) -> None:
        super().__init__(405, INVALID_CLIENT_REQUEST, "Method Not Allowed")
        self.allowed = ", ".join(allowed)
