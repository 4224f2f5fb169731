"""Orders over a connection that lasts: the commands and the answers of HTTP, many in flight.

How it works: a request is checked, translated and submitted where it arrives. Commands end in the
order in which they were submitted, and those of a frame at once: so all connections share one
queue, whose first future alone is listened to, and a request costs no task, no timer and no
callback. Rate limits, deadline and client ids are those that the account has over HTTP.

Always true:
- commands are executed, and answered, in the order in which they came, each once; what never became
  a command is refused at once;
- access is looked at anew for every request: a revoked key trades no more;
- after a command was submitted no answer says that nothing happened, unless that is known.

Not here: frames and LOGIN (marketdata), whether an order is allowed (core).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from fairbook.api.errors import (
    ApiError,
    BadRequest,
    maintenance,
    outcome_unknown,
    unauthorized,
)
from fairbook.api.numbers import Terms
from fairbook.api.orders import amend_command, cancel_all_command, cancel_command, place_command
from fairbook.api.requests import Fields
from fairbook.gateway.cancel_on_disconnect import SessionNumbers
from fairbook.gateway.endpoints.orders import all_cancelled, amended, cancelled, placed
from fairbook.gateway.listings import Listings
from fairbook.gateway.rate_limits import TokenBuckets
from fairbook.gateway.request import Handler, Request
from fairbook.gateway.submitter import Submitter, answer_in
from fairbook.net.addresses import address_key
from fairbook.ports.accounts import READ, TRADE, Access
from fairbook.ports.commands import Answer
from fairbook.ports.connections import Caller

IN_FLIGHT_MAX: Final = 1024  # requests of one connection without an answer
ACCOUNTS_MAX: Final = 16  # that place orders to be cancelled with one connection

Finish = Callable[[bytes, Answer, Terms], str]
"""The JSON of a result, from the command and what came of it; raises ApiError."""

logger = logging.getLogger(__name__)


class OrderConnection:
    """One connection: what it has asked for, and how it wants to end."""

    __slots__ = ("accounts", "caller", "ends_orders", "in_flight", "session")

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.in_flight = 0
        self.ends_orders = False  # orders placed now are cancelled when it ends
        self.session = 0  # their number; 0 before the first wish
        self.accounts: set[int] = set()  # whose they are


Pending = tuple[asyncio.Future[Answer], OrderConnection, bytes, bytes, Finish, Terms]
"""A command without an answer: with the request's id, the command, and what makes the answer."""


class WebSocketOrders:
    """Takes the requests of all connections. In the loop's thread."""

    def __init__(
        self,
        *,
        answers: Submitter,
        listings: Listings,
        sessions: SessionNumbers,
        status: Handler,
        of_account: TokenBuckets[int],
        of_address: TokenBuckets[str],
        is_live: Callable[[Access], bool],
        is_stopping: Callable[[], bool],
    ) -> None:
        """status: the endpoint that answers GET /api/v1/order."""
        self._answers = answers
        self._terms_of = listings.terms
        self._sessions = sessions
        self._status = status
        self._of_account = of_account
        self._of_address = of_address
        self._is_live = is_live
        self._is_stopping = is_stopping
        self._lines: dict[Caller, OrderConnection] = {}
        self._pending: deque[Pending] = deque()  # as submitted
        self._is_listening = False  # the first of them will call `_answer`
        self._reads: set[asyncio.Task[None]] = set()
        self._methods = {
            "order.place": (TRADE, self._place),
            "order.cancel": (TRADE, self._cancel),
            "order.amend": (TRADE, self._amend),
            "order.cancelAll": (TRADE, self._cancel_all),
            "order.status": (READ, self._read),
            "order.cancelOnDisconnect": (TRADE, self._cancel_on_disconnect),
        }

    def request(self, caller: Caller, request_id: bytes, method: str, params: Any) -> bool:
        """Take a request; its answer goes to `caller.reply`, now or later. False: no such method.

        request_id: the JSON text of the client's id. params: JSON value with literal numbers; None
        if there were none.
        """
        known = self._methods.get(method)
        if known is None:
            return False
        permission, handler = known
        try:
            account = self._admit(caller, permission)
            if type(params) is not dict:
                raise BadRequest("params must be a JSON object")
            line = self._lines.get(caller)
            if line is None:
                line = self._lines[caller] = OrderConnection(caller)
            if line.in_flight >= IN_FLIGHT_MAX:
                raise ApiError(429, "TOO_MANY_REQUESTS", "Too many requests in flight")
            handler(line, request_id, account, params)
        except ApiError as error:
            caller.reply(_refusal(request_id, error))
        except Exception:
            logger.exception("%s failed", method)
            caller.reply(_refusal(request_id, outcome_unknown()))
        return True

    def ended(self, caller: Caller) -> None:
        """The connection of a caller has ended: cancel what is to be cancelled with it."""
        line = self._lines.pop(caller, None)
        if line is not None and line.session:
            self._sessions.end(line.session, line.accounts)

    def _admit(self, caller: Caller, permission: int) -> int:
        """The account that asks, if it may, and not too often."""
        if self._is_stopping():
            raise maintenance()
        access = caller.access
        if access is None or not self._is_live(access):
            self._of_address.take(address_key(caller.address))
            raise unauthorized()
        self._of_account.take(access.account)
        if not access.permissions & permission:
            raise ApiError(403, "FORBIDDEN", "Permission denied")
        return access.account

    def _place(
        self, line: OrderConnection, request_id: bytes, account: int, fields: Fields
    ) -> None:
        session = line.session if line.ends_orders else 0
        command, terms = place_command(
            fields, account=account, terms_of=self._terms_of, session=session
        )
        if session and account not in line.accounts:
            if len(line.accounts) >= ACCOUNTS_MAX:
                raise BadRequest("Too many accounts on one connection")
            line.accounts.add(account)
        self._submit(line, request_id, command, placed, terms)

    def _cancel(
        self, line: OrderConnection, request_id: bytes, account: int, fields: Fields
    ) -> None:
        command, terms = cancel_command(fields, account=account, terms_of=self._terms_of)
        self._submit(line, request_id, command, cancelled, terms)

    def _amend(
        self, line: OrderConnection, request_id: bytes, account: int, fields: Fields
    ) -> None:
        command, terms = amend_command(fields, account=account, terms_of=self._terms_of)
        self._submit(line, request_id, command, amended, terms)

    def _cancel_all(
        self, line: OrderConnection, request_id: bytes, account: int, fields: Fields
    ) -> None:
        command, terms = cancel_all_command(fields, account=account, terms_of=self._terms_of)
        if command is None:
            line.caller.reply(_result(request_id, b"[]"))
        else:
            self._submit(line, request_id, command, all_cancelled, terms)

    def _cancel_on_disconnect(
        self, line: OrderConnection, request_id: bytes, _account: int, fields: Fields
    ) -> None:
        """Of orders that are placed from here on: those before keep what held for them."""
        enabled = fields.get("enabled")
        if type(enabled) is not bool:
            raise BadRequest("Missing or malformed field: enabled")
        if enabled and not line.session:
            line.session = self._sessions.begin()
        line.ends_orders = enabled
        line.caller.reply(
            _result(request_id, b'{"enabled":%b}' % (b"true" if enabled else b"false"))
        )

    def _submit(
        self, line: OrderConnection, request_id: bytes, command: bytes, finish: Finish, terms: Terms
    ) -> None:
        future = self._answers.submit(command)
        line.in_flight += 1
        self._pending.append((future, line, request_id, command, finish, terms))
        if not self._is_listening:
            self._is_listening = True
            future.add_done_callback(self._answer)

    def _answer(self, _first: asyncio.Future[Answer]) -> None:
        """Tell what became of all commands up to the first that has not ended."""
        pending = self._pending
        try:
            while pending and pending[0][0].done():
                future, line, request_id, command, finish, terms = pending.popleft()
                line.in_flight -= 1
                line.caller.reply(_outcome(future, request_id, command, finish, terms))
        finally:
            self._is_listening = bool(pending)
            if pending:
                pending[0][0].add_done_callback(self._answer)

    def _read(self, line: OrderConnection, request_id: bytes, account: int, fields: Fields) -> None:
        call = Request(b"", query=b"", headers={}, address=line.caller.address)
        call.account, call.fields = account, fields
        line.in_flight += 1
        task = asyncio.get_running_loop().create_task(self._tell_status(line, request_id, call))
        self._reads.add(task)
        task.add_done_callback(self._reads.discard)

    async def _tell_status(self, line: OrderConnection, request_id: bytes, call: Request) -> None:
        try:
            text = await self._status(call)
            assert type(text) is bytes
            reply = _result(request_id, text)
        except ApiError as error:
            reply = _refusal(request_id, error)
        except Exception:
            logger.exception("order.status failed")
            reply = _refusal(request_id, ApiError(500, "SERVER_ERROR", "Our mistake"))
        line.in_flight -= 1
        line.caller.reply(reply)


def _outcome(
    future: asyncio.Future[Answer],
    request_id: bytes,
    command: bytes,
    finish: Finish,
    terms: Terms,
) -> bytes:
    """The answer to a command that has ended, or of which that will never be known."""
    try:
        return _result(request_id, finish(command, answer_in(future), terms).encode())
    except ApiError as error:
        return _refusal(request_id, error)
    except Exception:
        logger.exception("an answer failed")
        return _refusal(request_id, outcome_unknown())


def _result(request_id: bytes, text: bytes) -> bytes:
    return b'{"id":%b,"status":200,"result":%b}' % (request_id, text)


def _refusal(request_id: bytes, error: ApiError) -> bytes:
    return b'{"id":%b,"status":%d,"error":%b}' % (request_id, error.status, error.body())
