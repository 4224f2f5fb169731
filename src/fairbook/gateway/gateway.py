"""The gateway: one ASGI application, one port, one table of endpoints by method and path.

How it works: a request is found in the table, read, authenticated, limited and given to its
endpoint; whatever is refused on the way becomes the JSON error of the contract. The path of an
order is the same as any other, and makes few objects.

Always true:
- every reply is JSON (ping and time: text), errors of ours included;
- after the first byte of a command was submitted no reply says that nothing happened, unless that
  is known.

Not here: HTTP itself (server.py), what endpoints do (orders.py, queries.py, stubs.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from fairbook.api.errors import (
    ApiError,
    BadRequest,
    maintenance,
    not_found,
    outcome_unknown,
)
from fairbook.api.requests import (
    BODY_BYTES_MAX,
    Fields,
    query_fields,
    read_array,
    read_object,
    read_query,
    signed_pairs,
)
from fairbook.gateway.auth import Authenticator, Headers, Signed, query_pairs
from fairbook.gateway.cancel_on_disconnect import SessionNumbers
from fairbook.gateway.endpoints.account import AccountEndpoints
from fairbook.gateway.endpoints.capital import CapitalEndpoints
from fairbook.gateway.endpoints.checkpoints import checkpoint_endpoints
from fairbook.gateway.endpoints.faucet import faucet_endpoints
from fairbook.gateway.endpoints.history import HistoryEndpoints
from fairbook.gateway.endpoints.markets import MarketEndpoints
from fairbook.gateway.endpoints.orders import Orders
from fairbook.gateway.endpoints.stubs import stub_endpoints, stub_endpoints_under
from fairbook.gateway.listings import Listings
from fairbook.gateway.login import LoginCheck
from fairbook.gateway.rate_limits import TokenBuckets
from fairbook.gateway.read_barrier import ReadBarrier
from fairbook.gateway.request import (
    OF_ARRAY,
    OF_BODY,
    OF_BODY_OR_QUERY,
    OF_QUERY,
    Endpoint,
    Endpoints,
    Reply,
    Request,
)
from fairbook.gateway.submitter import Submitter
from fairbook.gateway.ws_orders import WebSocketOrders
from fairbook.net.addresses import address_key
from fairbook.ports.accounts import Access, Accounts, Transfers
from fairbook.ports.commands import Commands
from fairbook.ports.history import History
from fairbook.ports.queries import Catalogue, Checkpoints, Queries

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

CLOSE: Final = (b"connection", b"close")

_OURS: Final = (b"/api/", b"/wapi/", b"/auth/", b"/admin/")
_JSON_TYPES: Final = frozenset((b"application/json", b"application/json; charset=utf-8"))

logger = logging.getLogger(__name__)


class GatewayLimits(NamedTuple):
    """How much one may ask. Per minute 0: no limit."""

    account_per_minute: int = 2000
    account_burst: int = 100
    address_per_minute: int = 1200
    address_burst: int = 100
    deadline_s: float = 2.0


class Gone(Exception):
    """The client left before its request was complete: there is nobody to answer."""


class Gateway:
    """The application. `stopping` is set by the server: requests that come after it are refused."""

    def __init__(
        self,
        *,
        commands: Commands,
        queries: Queries,
        catalogue: Catalogue,
        accounts: Accounts,
        limits: GatewayLimits,
        authenticator: Authenticator | None = None,
        pages: Application | None = None,
        checkpoints: Checkpoints | None = None,
        history: History | None = None,
        transfers: Transfers | None = None,
        faucet_atoms: Mapping[str, int] | None = None,
    ) -> None:
        """`pages` serves every path that is not of the API; without it they are 404.

        What needs `history` (and, for what goes in and out, `transfers`) is 501 without it. So is
        the faucet without `faucet_atoms`: by asset, what one account may be given in all.
        """
        self.stopping = False
        self._pages = pages
        self._authenticator = authenticator or Authenticator(accounts)
        self._of_account: TokenBuckets[int] = TokenBuckets(
            per_minute=limits.account_per_minute, burst=limits.account_burst
        )
        self._of_address = _buckets_of_addresses(limits)
        self._guesses = _buckets_of_addresses(limits)
        answers = Submitter(commands, queries, deadline_s=limits.deadline_s)
        listings = Listings(catalogue)
        markets = MarketEndpoints(answers, listings)
        account = AccountEndpoints(answers, listings)
        barrier = ReadBarrier(answers, history)
        self.orders = Orders(answers, listings).endpoints()
        """The endpoints of orders, which the server may ask for a `reply` without ASGI."""
        self.entry = WebSocketOrders(
            answers=answers,
            listings=listings,
            sessions=SessionNumbers(commands),
            status=account.order,
            of_account=self._of_account,
            of_address=self._of_address,
            is_live=accounts.is_live,
            is_stopping=lambda: self.stopping,
        )
        self.authority = LoginCheck(accounts, self._authenticator, self._guesses)
        self._endpoints: Endpoints = {
            **stub_endpoints(),
            **markets.endpoints(),
            **account.endpoints(),
            **self.orders,
            **HistoryEndpoints(barrier, listings).endpoints(),
            **CapitalEndpoints(answers, listings, barrier, transfers).endpoints(),
            **faucet_endpoints(answers, listings, transfers, faucet_atoms),
        }
        self._endpoints_under: Endpoints = {**stub_endpoints_under(), **markets.endpoints_under()}
        """Of paths whose last part is a name, by method and what is before it."""
        if checkpoints is not None:
            self._endpoints |= checkpoint_endpoints(checkpoints)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request."""
        reply: bytes | Reply
        address = scope["client"][0] if scope["client"] else ""
        try:
            endpoint = self._find(scope)
            if endpoint is None:
                assert self._pages is not None
                await self._pages(scope, receive, send)
                return
            headers = dict(scope["headers"])
            call = Request(
                scope["raw_path"],
                query=scope["query_string"],
                headers=headers,
                address=address,
                body=await _read_body(headers, receive) if endpoint.reads else b"",
            )
            reply = await self.reply(endpoint, call)
        except ApiError as error:
            reply = error_reply(self.charged(error, address))
        except Gone:
            return
        if type(reply) is bytes:
            reply = Reply(reply)
        assert isinstance(reply, Reply)
        headers_out = [
            reply.content_type,
            (b"content-length", b"%d" % len(reply.body)),
            *reply.headers,
        ]
        start = {"type": "http.response.start", "status": reply.status, "headers": headers_out}
        await send(start)
        await send({"type": "http.response.body", "body": reply.body})

    def charged(self, error: ApiError, address: str) -> ApiError:
        """What to say to a request that is refused before it is known who asks: it costs its
        address as much as a public one, so this may be 429. Those who say who they are do not pay
        from that allowance.
        """
        try:
            self._of_address.take(address_key(address))
        except ApiError as too_many:
            too_many.close = error.close
            return too_many
        return error

    async def reply(self, endpoint: Endpoint, call: Request) -> bytes | Reply:
        """Whatever is to be said to a request whose body is read. Raises nothing."""
        try:
            if self.stopping:
                raise maintenance()
            if endpoint.permission:
                wait_s = self._admit(endpoint, call)
                if wait_s:
                    await asyncio.sleep(wait_s)
            else:
                self._of_address.take(address_key(call.address))
                if call.query:
                    call.fields = query_fields(read_query(call.query))
            return await endpoint.handler(call)
        except ApiError as error:
            return error_reply(error)
        except Exception:
            logger.exception("%s failed", call.path.decode("latin-1"))
            return error_reply(
                outcome_unknown()
                if endpoint.writes
                else ApiError(500, "SERVER_ERROR", "Our mistake")
            )

    def _admit(self, endpoint: Endpoint, call: Request) -> float:
        """Authenticate, read the fields, and see to permission, limits and the replay rule.

        Returns the seconds until the request may go on, 0 for nearly all.
        """
        address = address_key(call.address)
        self._guesses.check(address)
        try:
            if endpoint.reads:
                _check_body(call.headers, call.body)
            access, signed = self._who(call, endpoint)
        except ApiError as error:
            if error.status == 401:
                self._guesses.take(address)  # Guessing is paid for by whoever guesses.
                raise
            raise self.charged(error, call.address) from None
        if not access.permissions & endpoint.permission:
            self._of_account.take(access.account)
            raise ApiError(403, "FORBIDDEN", "Permission denied")
        self._of_account.take(access.account, len(call.orders) or 1)
        call.account = access.account
        if signed is not None and endpoint.writes and not _is_repeatable(endpoint, call):
            return self._authenticator.refuse_repeated(signed)
        return 0.0

    def _who(self, call: Request, endpoint: Endpoint) -> tuple[Access, Signed | None]:
        """Authenticate, and read the fields of the call."""
        authorization = call.headers.get(b"authorization")
        if authorization is not None and b"x-signature" not in call.headers:
            access = self._authenticator.by_token(authorization)
            _read_fields(call, endpoint, read_query(call.query) if call.query else [])
            return access, None
        signed = self._authenticator.begin(call.headers)
        pairs = read_query(call.query)
        bodies = _read_fields(call, endpoint, pairs)
        signed_query = query_pairs(pairs)
        groups = [signed_query + signed_pairs(fields) for fields in bodies] or [signed_query]
        return self._authenticator.finish(signed, endpoint.instruction, groups), signed

    def _find(self, scope: Scope) -> Endpoint | None:
        """The endpoint of a path that is not written as in the table; None: it is for `pages`.
        Raises 404, 405.
        """
        method, path = scope["method"], scope["raw_path"]
        endpoint = self._endpoints.get((method, path))
        if endpoint is not None:
            return endpoint
        while b"//" in path:
            path = path.replace(b"//", b"/")
        scope["raw_path"] = path
        tables = [(self._endpoints, path)]
        parent, _, name = path.rpartition(b"/")
        if name:
            tables.append((self._endpoints_under, parent + b"/"))
        for endpoints, key in tables:
            endpoint = endpoints.get((method, key))
            if endpoint is not None:
                return endpoint
            allowed = sorted(m for m, known in endpoints if known == key)
            if allowed:
                raise MethodNotAllowed(allowed)
        if self._pages is not None and not path.startswith(_OURS):
            return None
        raise not_found()


def _buckets_of_addresses(limits: GatewayLimits) -> TokenBuckets[str]:
    return TokenBuckets(per_minute=limits.address_per_minute, burst=limits.address_burst)


class MethodNotAllowed(ApiError):
    """405, with what is allowed."""

    def __init__(self, allowed: list[str]) -> None:
        super().__init__(405, "INVALID_CLIENT_REQUEST", "Method Not Allowed")
        self.allowed = ", ".join(allowed)


def error_reply(error: ApiError) -> Reply:
    """The reply that an error becomes."""
    headers: list[tuple[bytes, bytes]] = []
    if error.retry_after_s:
        headers.append((b"retry-after", b"%d" % error.retry_after_s))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.allowed.encode()))
    if error.close:
        headers.append(CLOSE)
    return Reply(error.body(), error.status, headers=tuple(headers))


async def _read_body(headers: Headers, receive: Receive) -> bytes:
    """The whole body, or a little more than is allowed of it. Raises 413 or Gone."""
    if len(headers.get(b"content-length", b"")) > 5:
        raise too_large()  # Not worth receiving.
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False) and len(body) <= BODY_BYTES_MAX:
        message = await receive()
        body += message.get("body", b"")
    if message["type"] != "http.request":
        raise Gone
    return body


def _check_body(headers: Headers, body: bytes) -> None:
    """Refuse what need not be read: 413, 415."""
    if len(body) > BODY_BYTES_MAX:
        raise too_large()
    if b"content-encoding" in headers:
        raise _unsupported("Content-Encoding is not accepted")
    content_type = headers.get(b"content-type")
    if content_type is not None and content_type not in _JSON_TYPES:
        _check_type(content_type)


def _check_type(content_type: bytes) -> None:
    kind, _, parameters = content_type.lower().replace(b" ", b"").partition(b";")
    if kind != b"application/json" or parameters not in (b"", b"charset=utf-8", b'charset="utf-8"'):
        raise _unsupported("Content-Type must be application/json in UTF-8")


def _unsupported(message: str) -> ApiError:
    return ApiError(415, "INVALID_CLIENT_REQUEST", message, close=True)


def too_large() -> ApiError:
    """A body that is larger than any of ours."""
    return ApiError(
        413, "INVALID_CLIENT_REQUEST", f"Body exceeds {BODY_BYTES_MAX} bytes", close=True
    )


def _read_fields(call: Request, endpoint: Endpoint, pairs: list[tuple[str, str]]) -> list[Fields]:
    """Fill in `fields` or `orders`; return the objects of the body, which are part of the signed
    text.
    """
    reads = endpoint.reads
    if reads in (OF_BODY, OF_ARRAY) and any(name == "clientId" for name, _ in pairs):
        # Signed there, it is the same text as in the body, and would keep no order from happening
        # twice.
        raise BadRequest("clientId belongs in the body")
    if reads == OF_BODY:
        call.fields = read_object(call.body)
        return [call.fields]
    if reads == OF_ARRAY:
        call.orders = read_array(call.body)
        return call.orders
    call.fields = query_fields(pairs)
    if reads == OF_QUERY or not call.body:
        return []
    assert reads == OF_BODY_OR_QUERY
    fields = read_object(call.body)
    if not call.fields.keys().isdisjoint(fields):
        raise BadRequest("A field is given twice")
    call.fields.update(fields)
    return [fields]


def _is_repeatable(endpoint: Endpoint, call: Request) -> bool:
    """Whether the client ids of a request see to it that it happens once."""
    return endpoint.repeatable and all(
        _is_one_name(fields.get("clientId")) for fields in call.orders or [call.fields]
    )


def _is_one_name(client_id: Any) -> bool:
    """Whether a client id is there, and what was signed could not be read as another one: a null is
    signed as "None", and "a b" of one client as "a%20b" of another.
    """
    if type(client_id) is not str or client_id in ("", "None", "null"):
        return False
    return quote(client_id, safe="") == client_id
