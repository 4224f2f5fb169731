"""Answer one request by its endpoint: on ports where no handler returns an order's command."""

import logging
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import cast

from fairbook.api.errors import ApiError, outcome_unknown, server_error
from fairbook.gateway.request import Endpoint, JsonOrReply, Request, Respond

logger = logging.getLogger(__name__)


async def answer_request(
    endpoint: Endpoint, request: Request, respond: Respond, *, admit: Callable[[Request], None]
) -> None:
    """admit: called first; raises ApiError to refuse the request."""
    try:
        admit(request)
        # No handler of these ports returns an order's command.
        answer = cast(JsonOrReply | Awaitable[JsonOrReply], endpoint.handler(request))
        respond(await answer if isawaitable(answer) else answer)
    except ApiError as error:
        respond(error.with_traceback(None))
    except Exception:
        logger.exception("%r failed", request.path, extra={"request": request.id})
        respond(outcome_unknown() if endpoint.writes else server_error())
