"""Orders over WebSocket: the commands and answers of HTTP, with many requests in flight.

Design: a request is checked, translated and submitted when it arrives; its waiter sends the answer
when the outcome comes. Rate limits, deadline and client ids are those that the account has over
HTTP.

Invariants:
- commands are executed and answered in the order of arrival, each once; a request that did not
  become a command is refused at once;
- access is checked again for every request: a revoked key cannot trade.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Final, NamedTuple

from fairbook.api import errors, orders
from fairbook.api.errors import ApiError, BadRequest
from fairbook.api.field_names import check_spelling
from fairbook.api.listings import Listings
from fairbook.api.orders import OrderCommand
from fairbook.api.requests import Fields
from fairbook.core.units import NS_PER_SECOND
from fairbook.gateway.account_shares import AccountShare, AccountShares
from fairbook.gateway.cancel_on_disconnect import SessionNumbers
from fairbook.gateway.rate_limits import REFUSED_PAUSE_S, RateLimits, too_many
from fairbook.gateway.request import JsonOrReply, Reply, Request
from fairbook.gateway.submitter import Submitter
from fairbook.net.addresses import address_key
from fairbook.ports.accounts import READ, TRADE, Access
from fairbook.ports.connections import Caller

REQUESTS_A_TURN: Final = 16  # of a connection that had to wait for its account
ACCOUNTS_MAX: Final = 16  # that place orders in the session of one connection

logger = logging.getLogger(__name__)


class HeldRequest(NamedTuple):
    """A request that waits for its account."""

    share: AccountShare
    again: Callable[[], bool]


class OrderConnection:
    """One connection: its requests in flight, and its session."""

    __slots__ = (
        "accounts", "caller", "cancels_on_disconnect", "held", "is_held",
        "is_refused", "is_waiting", "kept", "session", "share", "turns", "waiting",
    )  # fmt: skip

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.share = AccountShare()  # in which `kept` counts
        self.is_held = False  # it is read no further, as the account is busy or it was refused
        self.held: HeldRequest | None = None
        self.is_refused = False  # as too many, or not logged in: it must pause
        self.is_waiting = False  # for its turn, or in a pause
        self.kept: deque[bytes] = deque()  # messages that were read before it was held
        self.turns = 0  # requests that may go on although the account is busy
        self.cancels_on_disconnect = False  # new orders are placed in the session
        self.session = 0  # its number; 0 before it is first needed
        self.accounts: set[int] = set()  # that have placed orders in the session
        self.waiting: list[tuple[bytes, JsonOrReply | ApiError]] | None = None
        """Answers that follow a long one, while that is built."""

    def must_wait(self) -> bool:
        """Whether nothing more may be handled now."""
        return self.held is not None or self.is_refused

    def takes_turn(self) -> bool:
        """Whether a request may go on although the account is busy."""
        if not self.turns:
            return False
        self.turns -= 1
        return True


OrderAnswer = OrderCommand | bytes | Awaitable[bytes]
"""As of an HTTP handler: the command whose outcome is the answer, the answer, or a coroutine."""
OrderHandler = Callable[[OrderConnection, Access, Fields], OrderAnswer]
"""Takes the connection, what it is logged in with and the fields. Raises ApiError."""


class WebSocketOrders:
    """The order requests of all WebSocket connections. Call it in the thread of the loop."""

    def __init__(
        self,
        *,
        submitter: Submitter,
        listings: Listings,
        sessions: SessionNumbers,
        status: Callable[[Request], Awaitable[bytes]],
        rates: RateLimits,
        shares: AccountShares,
        is_live: Callable[[Access], bool],
        is_stopping: Callable[[], bool],
    ) -> None:
        """status: the handler of GET /api/v1/order."""
        self._submitter = submitter
        self._scales_of = listings.scales
        self._sessions = sessions
        self._status = status
        self._rates = rates
        self._shares = shares
        self._is_live = is_live
        self._is_stopping = is_stopping
        self._connections: dict[Caller, OrderConnection] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._methods: dict[str, tuple[int, OrderHandler]] = {
            "order.place": (TRADE, self._place),
            "order.cancel": (TRADE, self._handler(orders.cancel_command)),
            "order.amend": (TRADE, self._handler(orders.amend_command)),
            "order.cancelAll": (TRADE, self._handler(orders.cancel_all_command)),
            "order.status": (READ, self._read_status),
            "order.cancelOnDisconnect": (TRADE, self._cancel_on_disconnect),
        }

    def request(self, caller: Caller, request_id: bytes, method: str, params: Any) -> bool:
        """As RequestHandler has it."""
        known = self._methods.get(method)
        if known is None:
            return False
        permission, handler = known
        connection = self._connections.get(caller)
        if connection is None:
            connection = self._connections[caller] = OrderConnection(caller)
        share: AccountShare | None = None
        try:
            access = self._access(caller)
            share = self._shares[access.account]
            if (share.is_busy or connection.is_held) and not connection.takes_turn():
                again = partial(self.request, caller, request_id, method, params)
                self._hold(connection, share, again)
                return True
            self._rates.account.take(access.account)
            if not access.permissions & permission:
                raise ApiError(403, "FORBIDDEN", "Permission denied")
            if type(params) is not dict:
                raise BadRequest("params must be a JSON object")
            check_spelling(params)
            answer = handler(connection, access, params)
            if isinstance(answer, OrderCommand):
                respond = partial(self._respond, connection, request_id)
                self._submitter.execute(answer, respond, share)
            elif isinstance(answer, bytes):
                share.spend()
                caller.reply(_result(request_id, answer))
            else:
                share.begin()
                self._spawn(self._respond_later(connection, request_id, answer, share))
        except ApiError as error:
            caller.reply(_refusal(request_id, error))
            if error.status in (401, 429):
                connection.is_refused = True
                self._stop_reading(connection, connection.share)
            elif share is not None:
                share.spend()
        except Exception:
            logger.exception("%s failed", method)
            caller.reply(_refusal(request_id, errors.outcome_unknown()))
        return True

    def ended(self, caller: Caller) -> None:
        """End the session of the connection, which cancels the orders placed in it."""
        connection = self._connections.pop(caller, None)
        if connection is None:
            return
        connection.held = None
        if connection.session:
            self._sessions.end(connection.session, connection.accounts)

    def keep(self, caller: Caller, payload: bytes) -> None:
        """As RequestHandler has it."""
        connection = self._connections[caller]
        share = connection.share
        if share.has_room(len(payload)):
            share.held_bytes += len(payload)
            connection.kept.append(payload)
        else:
            caller.handle(payload)  # It is refused.

    def _hold(
        self, connection: OrderConnection, share: AccountShare, again: Callable[[], bool]
    ) -> None:
        """Hold a request, and what its connection sends after it, until it has its turn."""
        if connection.is_waiting:
            raise too_many(NS_PER_SECOND)
        connection.held = HeldRequest(share, again)
        self._stop_reading(connection, share)

    def _stop_reading(self, connection: OrderConnection, share: AccountShare) -> None:
        """Read no further until what was read is handled. share: in which that counts."""
        if not connection.is_held:
            connection.share = share
            connection.is_held = connection.is_waiting = True
            connection.caller.hold()
            self._spawn(self._handle_kept(connection))

    async def _handle_kept(self, connection: OrderConnection) -> None:
        """Handle what is held and kept: each time the account is busy, when the turn has come; and
        each time it was refused by a rate limit, after a pause.
        """
        share, kept = connection.share, connection.kept
        while connection.must_wait():
            connection.is_waiting = True
            if connection.is_refused:
                connection.is_refused = False
                await asyncio.sleep(REFUSED_PAUSE_S)
            if connection.held is not None:
                await connection.held.share.turn(0)
            connection.is_waiting = False
            held, connection.held = connection.held, None
            connection.turns = REQUESTS_A_TURN
            if held is not None:
                held.again()
            while kept and not connection.must_wait():
                payload = kept.popleft()
                share.held_bytes -= len(payload)
                connection.caller.handle(payload)
        connection.turns = 0
        connection.is_held = False
        connection.caller.go_on()

    def _access(self, caller: Caller) -> Access:
        """What the caller is logged in with."""
        if self._is_stopping():
            raise errors.maintenance()
        access = caller.access
        if access is None or not self._is_live(access):
            self._rates.address.take(address_key(caller.address))
            raise errors.unauthorized()
        return access

    def _place(self, connection: OrderConnection, access: Access, fields: Fields) -> OrderCommand:
        account = access.account
        session = connection.session if connection.cancels_on_disconnect else 0
        order = orders.place_command(
            fields, account=account, credential=access.credential, scales_of=self._scales_of,
            session=session,
        )  # fmt: skip
        if session and account not in connection.accounts:
            if len(connection.accounts) >= ACCOUNTS_MAX:
                raise BadRequest("Too many accounts on one connection")
            connection.accounts.add(account)
        return order

    def _handler(self, to_command: Callable[..., OrderCommand | bytes]) -> OrderHandler:
        return lambda _connection, access, fields: to_command(
            fields, account=access.account, credential=access.credential,
            scales_of=self._scales_of, text_of=self._submitter.text_of,
        )  # fmt: skip

    def _cancel_on_disconnect(
        self, connection: OrderConnection, _access: Access, fields: Fields
    ) -> bytes:
        """Applies to orders that are placed from now on; earlier orders keep their setting."""
        enabled = fields.get("enabled")
        if type(enabled) is not bool:
            raise BadRequest("Missing or malformed field: enabled")
        if enabled and not connection.session:
            connection.session = self._sessions.begin()
        connection.cancels_on_disconnect = enabled
        return b'{"enabled":true}' if enabled else b'{"enabled":false}'

    def _read_status(
        self, connection: OrderConnection, access: Access, fields: Fields
    ) -> Awaitable[bytes]:
        request = Request(b"", b"", {}, connection.caller.address)
        request.account, request.fields = access.account, fields
        return self._status(request)

    def _respond(
        self,
        connection: OrderConnection,
        request_id: bytes,
        answer: JsonOrReply | ApiError,
        _position: int = 0,
    ) -> None:
        """Answer a request in flight."""
        if connection.waiting is not None:
            connection.waiting.append((request_id, answer))
            return
        if isinstance(answer, Reply):
            connection.waiting = []
            self._spawn(self._respond_whole(connection, request_id, answer))
            return
        if isinstance(answer, ApiError):
            connection.caller.reply(_refusal(request_id, answer))
        else:
            connection.caller.reply(_result(request_id, answer))

    async def _respond_whole(
        self, connection: OrderConnection, request_id: bytes, long: Reply
    ) -> None:
        """Answer with all pieces of a long answer, and then what has come after it."""
        assert long.pieces is not None
        whole = b"".join([piece async for piece in long.pieces])
        waiting, connection.waiting = connection.waiting or [], None
        self._respond(connection, request_id, whole)
        for following in waiting:
            self._respond(connection, *following)

    async def _respond_later(
        self,
        connection: OrderConnection,
        request_id: bytes,
        awaited: Awaitable[bytes],
        share: AccountShare,
    ) -> None:
        answer: bytes | ApiError
        try:
            answer = await awaited
        except ApiError as error:
            answer = error.with_traceback(None)
        except Exception:
            logger.exception("a request failed")
            answer = errors.server_error()
        finally:
            share.end()
        self._respond(connection, request_id, answer)

    def _spawn(self, responding: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(responding)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _result(request_id: bytes, result: bytes) -> bytes:
    return b'{"id":%b,"status":200,"result":%b}' % (request_id, result)


def _refusal(request_id: bytes, error: ApiError) -> bytes:
    return b'{"id":%b,"status":%d,"error":%b}' % (request_id, error.status, error.body())
