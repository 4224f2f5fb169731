"""The endpoints that change orders. The engine decides whether a command is allowed.

Invariant: the command is durable and applied before its answer, which is made from the command
and its own events alone.
"""

import asyncio
from collections.abc import Awaitable, Callable

from fairbook.api import orders
from fairbook.api.errors import ApiError, BadRequest
from fairbook.api.field_names import check_spelling
from fairbook.api.listings import Listings
from fairbook.api.orders import OrderCommand, PlaceCommand, client_id_text, place_command
from fairbook.api.requests import Fields
from fairbook.gateway.authentication import seen_error
from fairbook.gateway.request import Endpoint, Endpoints, Handler, JsonOrReply, Reply, Request
from fairbook.gateway.submitter import Submitter
from fairbook.ports.accounts import TRADE
from fairbook.ports.commands import Answer
from fairbook.ports.queries import StateView


class OrderEndpoints:
    """Place, cancel, amend, cancel all, and place a batch."""

    def __init__(self, submitter: Submitter, listings: Listings) -> None:
        self._submitter = submitter
        self._scales_of = listings.scales

    def endpoints(self) -> Endpoints:
        one, many = b"/api/v1/order", b"/api/v1/orders"
        cancel = self._handler(orders.cancel_command)
        amend = self._handler(orders.amend_command)
        cancel_all = self._handler(orders.cancel_all_command)
        return {
            (b"POST", one): Endpoint(
                self.place, "orderExecute", TRADE, "body", writes=True, repeatable=True
            ),
            (b"DELETE", one): Endpoint(cancel, "orderCancel", TRADE, "body or query", writes=True),
            (b"PATCH", one): Endpoint(amend, "orderAmend", TRADE, "body", writes=True),
            (b"POST", many): Endpoint(
                self.place_batch, "orderExecute", TRADE, "array", writes=True, repeatable=True
            ),
            (b"DELETE", many): Endpoint(
                cancel_all, "orderCancelAll", TRADE, "body or query", writes=True
            ),
        }

    def place(self, request: Request) -> OrderCommand | Awaitable[JsonOrReply]:
        order = self._place_command(request, request.fields)
        if request.seen is not None:
            return self._answer_again(order, request.seen)
        prefer = request.headers.get(b"prefer")
        if prefer is not None and b"respond-async" in prefer.lower():
            return self._place_async(order)
        return order

    async def _answer_again(self, order: PlaceCommand, seen: str) -> bytes:
        """What the order was answered, if its client id is remembered; else the error."""
        view = await self._submitter.view()
        return _known_result(view, order, seen).encode()

    async def _place_async(self, order: PlaceCommand) -> Reply:
        """`Prefer: respond-async`: the client asks for the outcome later, by client id."""
        if order.client_id is None:
            raise BadRequest("Prefer: respond-async requires a clientId")
        answer = await self._submitter.outcome(self._submitter.submit(order.command))
        client = client_id_text(order.client_id)
        body = f'{{"clientId":{client},"position":"{answer.position}"}}'.encode()
        return Reply(body, 202, headers=((b"preference-applied", b"respond-async"),))

    async def place_batch(self, request: Request) -> bytes:
        """Each order is placed on its own, in turn; a refusal of one does not stop the others."""
        submitted: list[tuple[PlaceCommand, asyncio.Future[Answer]] | str] = []
        view = None if request.seen is None else await self._submitter.view()
        for fields in request.orders:
            try:
                check_spelling(fields)
                order = self._place_command(request, fields)
                if view is not None and request.seen is not None:
                    submitted.append(_accepted(_known_result(view, order, request.seen)))
                else:
                    submitted.append((order, self._submitter.submit(order.command)))
            except ApiError as error:
                submitted.append(_refused(error))
        items = []
        for item in submitted:
            if isinstance(item, str):
                items.append(item)
                continue
            order, future = item
            try:
                answer = await self._submitter.outcome(future)
                items.append(_accepted(order.result(answer.events)))
            except ApiError as error:
                items.append(_refused(error))
        return f"[{','.join(items)}]".encode()

    def _place_command(self, request: Request, fields: Fields) -> PlaceCommand:
        return place_command(
            fields, account=request.account, credential=request.credential,
            scales_of=self._scales_of,
        )  # fmt: skip

    def _handler(self, to_command: Callable[..., OrderCommand | bytes]) -> Handler:
        return lambda request: to_command(
            request.fields, account=request.account, credential=request.credential,
            scales_of=self._scales_of, text_of=self._submitter.text_of,
        )  # fmt: skip


def _accepted(order: str) -> str:
    return '{"operation":"Ok",' + order[1:]


def _refused(error: ApiError) -> str:
    return '{"operation":"Err",' + error.body().decode()[1:]


def _known_result(view: StateView, order: PlaceCommand, seen: str) -> str:
    events = view.stored_outcome(order.command)
    if not events:
        raise seen_error(seen)
    return order.result(events)
