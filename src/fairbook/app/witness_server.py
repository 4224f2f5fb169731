"""What a witness serves: the checkpoints that it keeps, as an exchange serves its own."""

from collections.abc import Coroutine
from typing import Any, Final

import msgspec

from fairbook.api.errors import ApiError, maintenance
from fairbook.api.requests import query_fields, read_query
from fairbook.app.watcher import Watcher
from fairbook.gateway.endpoints.checkpoints import WitnessEndpoints
from fairbook.gateway.plain_answer import answer_request
from fairbook.gateway.rate_limits import TokenBuckets
from fairbook.gateway.request import Endpoint, Request, Respond
from fairbook.gateway.routes import Routes
from fairbook.net.addresses import address_key
from fairbook.ports.queries import LogProofs

PER_MINUTE: Final = 600  # requests of an address
BURST: Final = 100


class WitnessGateway:
    """Answers the requests of one HTTP server."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._buckets = TokenBuckets(per_minute=PER_MINUTE, burst=BURST)
        self._is_stopping = False
        proofs = LogProofs(newest=watcher.newest, notes=watcher.file.notes_from, chain=None)
        endpoints = WitnessEndpoints(proofs).endpoints()
        self.routes = Routes({(b"GET", b"/"): Endpoint(self._status), **endpoints})

    def stop(self) -> None:
        self._is_stopping = True

    def charge(self, error: ApiError, address: str) -> ApiError:
        return error

    def handle(
        self, endpoint: Endpoint, request: Request, respond: Respond
    ) -> Coroutine[Any, Any, None]:
        return answer_request(endpoint, request, respond, admit=self._admit)

    def _admit(self, request: Request) -> None:
        if self._is_stopping:
            raise maintenance()
        self._buckets.take(address_key(request.address))
        request.fields = query_fields(read_query(request.query))

    async def _status(self, _request: Request) -> bytes:
        return msgspec.json.encode(self._watcher.status())
