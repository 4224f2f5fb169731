"""GET /api/v1/checkpoints: digests of engine and replicas, for anyone to compare."""

import msgspec

from fairbook.api.requests import number_field
from fairbook.api.status import checkpoint_object
from fairbook.gateway.request import Endpoint, Endpoints, Request
from fairbook.ports.queries import Checkpoints


def checkpoint_endpoints(checkpoints: Checkpoints) -> Endpoints:

    async def newest(request: Request) -> bytes:
        found = checkpoints.checkpoints(number_field(request.fields, "from", 0))
        return msgspec.json.encode([checkpoint_object(each) for each in found])

    return {(b"GET", b"/api/v1/checkpoints"): Endpoint(newest)}
