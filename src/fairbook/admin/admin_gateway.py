"""The operators' port: `/admin/v1`, the webhook of deposits, and the operators' page.

Design: `POST /admin/v1/ACT` with a JSON body executes an act of acts.py; `GET /admin/v1/NAME` reads
one of readings.py. A bearer token of an operator is needed, of which the log has the hash. The same
acts and readings come over the control socket (`fairbook admin`), with the same tokens. Requests
that a browser sends for the page of another address are refused.
"""

from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from fairbook.accounts.logged_notes import ReadFrame
from fairbook.accounts.sqlite_accounts import SqliteAccounts
from fairbook.accounts.sqlite_operators import REASON_CHARACTERS_MAX
from fairbook.admin.act_fields import ActFields
from fairbook.admin.act_runner import ActRunner, KeyChange
from fairbook.admin.acts import ACTS, DECISIONS
from fairbook.admin.announcements import Announcements
from fairbook.admin.operators import OperatorAccess, operator_of
from fairbook.admin.readings import AdminReadings, ReadActs
from fairbook.api.errors import ApiError, BadRequest, maintenance, not_found, unauthorized
from fairbook.api.listings import Listings
from fairbook.api.requests import query_fields, read_object, read_query
from fairbook.core.exchange import Exchange
from fairbook.gateway.guesses import Guesses
from fairbook.gateway.page_files import file_endpoints
from fairbook.gateway.plain_answer import answer_request
from fairbook.gateway.rate_limits import TokenBuckets
from fairbook.gateway.request import Endpoint, Endpoints, Request, Respond
from fairbook.gateway.routes import Routes
from fairbook.net.addresses import address_key
from fairbook.ports.commands import Commands
from fairbook.ports.events import Emit, ignore_event
from fairbook.ports.queries import Catalogue, Queries

PAGE: Final = Path(__file__).with_name("page")
PREFIX: Final = b"/admin/v1/"
BEARER: Final = b"Bearer "
GUESSES_PER_MINUTE: Final = 60
GUESSES_BURST: Final = 20

encode = msgspec.json.encode


class AdminGateway:
    """Answers the requests of operators."""

    def __init__(
        self,
        *,
        commands: Commands,
        exchange: Exchange,
        queries: Queries,
        catalogue: Catalogue,
        store: SqliteAccounts,
        read_frame: ReadFrame,
        read_acts: ReadActs,
        announcements: Announcements,
        emit: Emit = ignore_event,
        key_change: KeyChange | None = None,
        more: Endpoints | None = None,
    ) -> None:
        """more: endpoints that need no operator."""
        self._exchange = exchange
        self._listings = listings = Listings(catalogue)
        self._acts = ActRunner(
            commands,
            exchange,
            listings,
            store.operators,
            read_frame,
            announcements,
            emit,
            key_change,
        )
        self._readings = AdminReadings(exchange, queries, listings, store, read_acts, self._acts)
        self._guesses = Guesses(TokenBuckets(per_minute=GUESSES_PER_MINUTE, burst=GUESSES_BURST))
        self._is_stopping = False
        endpoints = file_endpoints(PAGE) | (more or {})
        for name in (*ACTS, *DECISIONS):
            endpoints[b"POST", PREFIX + name.encode()] = Endpoint(
                self._post, permission=1, reads="body", writes=True
            )
        for name in self._readings.readings:
            endpoints[b"GET", PREFIX + name.encode()] = Endpoint(self._get, permission=1)
        self.routes = Routes(endpoints)

    def add(self, endpoints: Endpoints) -> None:
        """Before the port is opened: further endpoints, which need no operator."""
        self.routes = self.routes.extended(Routes(endpoints))

    def is_operator(self, request: Request) -> bool:
        """Whether a request has the token of an operator. Raises 429."""
        try:
            self._operator(request)
        except ApiError as error:
            if error.status != 401:
                raise
            return False
        return True

    def stop(self) -> None:
        """Refuse all requests from now on."""
        self._is_stopping = True

    def charge(self, error: ApiError, address: str) -> ApiError:
        """The answer to a request that was refused before `handle`."""
        return self._guesses.charge(error, address_key(address))

    def handle(
        self, endpoint: Endpoint, request: Request, respond: Respond
    ) -> Coroutine[Any, Any, None]:
        """Answer a request whose body is read."""
        return answer_request(endpoint, request, respond, admit=self._admit)

    def _admit(self, request: Request) -> None:
        if self._is_stopping:
            raise maintenance()
        _refuse_other_origins(request)

    def _operator(self, request: Request) -> OperatorAccess:
        """Raises 401, 429."""
        header = request.headers.get(b"authorization", b"")
        operator = None
        if header.startswith(BEARER):
            operator = operator_of(self._exchange, header[len(BEARER) :].decode("latin-1"))
        if operator is None:
            raise self._guesses.charge(unauthorized(), address_key(request.address))
        return operator

    async def _post(self, request: Request) -> bytes:
        operator = self._operator(request)
        content_type = request.headers.get(b"content-type", b"application/json").lower()
        if not content_type.startswith(b"application/json"):
            raise ApiError(415, "INVALID_CLIENT_REQUEST", "Content-Type must be application/json")
        fields = read_object(request.body)
        reason = fields.pop("reason", None)
        name = request.path[len(PREFIX) :].decode()
        return encode(await self.act(operator, name, fields, reason))

    async def _get(self, request: Request) -> bytes:
        self._operator(request)
        name = request.path[len(PREFIX) :].decode()
        return encode(await self.read(name, query_fields(read_query(request.query))))

    async def act(
        self, operator: OperatorAccess, name: str, fields: Mapping[str, Any], reason: object
    ) -> dict[str, Any]:
        """Execute, propose, approve or drop. Raises ApiError."""
        if name in DECISIONS:
            given = ActFields(fields, self._listings)
            sequence = given.number("proposal", least=1)
            if name == "drop":
                return await self._acts.drop(operator, sequence, _reason(reason))
            return await self._acts.approve(operator, sequence, _reason(reason))
        return await self._acts.run(operator, name, fields, _reason(reason))

    async def read(self, name: str, fields: Mapping[str, Any]) -> Any:
        """Raises ApiError."""
        reading = self._readings.readings.get(name)
        if reading is None:
            raise not_found()
        return await reading(ActFields(fields, self._listings))

    def operator(self, token: str) -> OperatorAccess | None:
        """Of a token that came over the control socket."""
        return operator_of(self._exchange, token)


def _refuse_other_origins(request: Request) -> None:
    """Host is one of this exchange's names already. Raises 403."""
    origin = request.headers.get(b"origin")
    if origin is not None and origin.partition(b"://")[2] != request.headers[b"host"]:
        raise ApiError(403, "FORBIDDEN", "This port answers no page of another address")


def _reason(given: object) -> str:
    if not isinstance(given, str) or not given.strip() or not given.isprintable():
        raise BadRequest("reason: say why, in a printable text")
    if len(given) > REASON_CHARACTERS_MAX:
        raise BadRequest(f"reason: at most {REASON_CHARACTERS_MAX} characters")
    return str(given)
