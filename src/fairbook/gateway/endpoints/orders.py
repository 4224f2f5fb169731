"""The endpoints that change orders: translate, hand over, translate back. Whether an order is
allowed is the engine's decision.

Always true: the command is durable and applied before its reply; a reply is made from the command
and its own events alone.

Not here: authentication and limits (app.py), the words of the contract (api/orders.py).
"""

from __future__ import annotations

import asyncio
from typing import Final

from fairbook.api.errors import ApiError, BadRequest, rejected
from fairbook.api.numbers import Terms
from fairbook.api.orders import (
    amend_command,
    amended_text,
    cancel_all_command,
    cancel_command,
    place_command,
    placed_text,
    record_text,
)
from fairbook.core import records
from fairbook.core.records import Outcome, order_records, read_outcome, read_placed
from fairbook.gateway.listings import Listings
from fairbook.gateway.request import (
    OF_ARRAY,
    OF_BODY,
    OF_BODY_OR_QUERY,
    Endpoint,
    Endpoints,
    Reply,
    Request,
)
from fairbook.gateway.submitter import Submitter
from fairbook.ports.accounts import TRADE
from fairbook.ports.commands import Answer

BATCH_ORDERS_MAX: Final = 50


class Orders:
    """Place, cancel, amend, cancel all, and several at once."""

    def __init__(self, answers: Submitter, listings: Listings) -> None:
        self._answers = answers
        self._terms_of = listings.terms

    def endpoints(self) -> Endpoints:
        """Everything under /api/v1/order and /api/v1/orders that is not a GET."""
        order, orders = b"/api/v1/order", b"/api/v1/orders"
        return {
            ("POST", order): Endpoint(
                self.place, "orderExecute", TRADE, OF_BODY, writes=True, repeatable=True
            ),
            ("DELETE", order): Endpoint(
                self.cancel, "orderCancel", TRADE, OF_BODY_OR_QUERY, writes=True, repeatable=True
            ),
            ("PATCH", order): Endpoint(self.amend, "orderAmend", TRADE, OF_BODY, writes=True),
            ("POST", orders): Endpoint(
                self.place_several, "orderExecute", TRADE, OF_ARRAY, writes=True, repeatable=True
            ),
            ("DELETE", orders): Endpoint(
                self.cancel_all, "orderCancelAll", TRADE, OF_BODY_OR_QUERY, writes=True
            ),
        }

    async def place(self, call: Request) -> bytes | Reply:
        """POST /api/v1/order."""
        command, terms = place_command(call.fields, account=call.account, terms_of=self._terms_of)
        answers = self._answers
        prefer = call.headers.get(b"prefer")
        if prefer is not None and b"respond-async" in prefer.lower():
            return await self._place_and_leave(command)
        answer = await answers.outcome(answers.submit(command))
        return placed(command, answer, terms).encode()

    async def _place_and_leave(self, command: bytes) -> Reply:
        """`Prefer: respond-async`: what became of it is asked for later, by client id."""
        order = read_placed(command)
        if not order.flags & records.HAS_CLIENT_ID:
            raise BadRequest("Prefer: respond-async requires a clientId")
        answer = await self._answers.outcome(self._answers.submit(command))
        body = b'{"clientId":%d,"position":"%d"}' % (order.client_id, answer.position)
        return Reply(body, 202, headers=((b"preference-applied", b"respond-async"),))

    async def place_several(self, call: Request) -> bytes:
        """POST /api/v1/orders: each on its own, in the order of the array; one refusal stops none
        of the others.
        """
        if not 1 <= len(call.orders) <= BATCH_ORDERS_MAX:
            raise BadRequest(f"A batch has 1 to {BATCH_ORDERS_MAX} orders")
        waiting: list[tuple[bytes, Terms, asyncio.Future[Answer]] | ApiError] = []
        for fields in call.orders:
            try:
                command, terms = place_command(
                    fields, account=call.account, terms_of=self._terms_of
                )
                waiting.append((command, terms, self._answers.submit(command)))
            except ApiError as error:
                waiting.append(error)
        items = []
        for item in waiting:
            try:
                if isinstance(item, ApiError):
                    raise item
                command, terms, future = item
                text = placed(command, await self._answers.outcome(future), terms)
                items.append('{"operation":"Ok",' + text[1:])
            except ApiError as error:
                items.append('{"operation":"Err",' + error.body().decode()[1:])
        return f"[{','.join(items)}]".encode()

    async def cancel(self, call: Request) -> bytes:
        """DELETE /api/v1/order."""
        command, terms = cancel_command(call.fields, account=call.account, terms_of=self._terms_of)
        answer = await self._answers.outcome(self._answers.submit(command))
        return cancelled(command, answer, terms).encode()

    async def amend(self, call: Request) -> bytes:
        """PATCH /api/v1/order."""
        command, terms = amend_command(call.fields, account=call.account, terms_of=self._terms_of)
        answer = await self._answers.outcome(self._answers.submit(command))
        return amended(command, answer, terms).encode()

    async def cancel_all(self, call: Request) -> bytes:
        """DELETE /api/v1/orders: all open orders of one market."""
        command, terms = cancel_all_command(
            call.fields, account=call.account, terms_of=self._terms_of
        )
        if command is None:
            return b"[]"
        answer = await self._answers.outcome(self._answers.submit(command))
        return all_cancelled(command, answer, terms).encode()


def placed(command: bytes, answer: Answer, terms: Terms) -> str:
    """The JSON answer to PLACE; here and below, raises what a reject of the core becomes."""
    order = read_placed(command)
    outcome = read_outcome(answer.events)
    if outcome.status == records.REJECTED:
        raise rejected(outcome.reason, client_id=order.client_id)
    return placed_text(order, outcome, terms)


def cancelled(_command: bytes, answer: Answer, terms: Terms) -> str:
    """The JSON answer to CANCEL."""
    _accepted(answer)
    return record_text(order_records(answer.events)[0], terms)


def amended(_command: bytes, answer: Answer, terms: Terms) -> str:
    """The JSON answer to AMEND."""
    outcome = _accepted(answer)
    own = [o for o in order_records(answer.events) if o.order_id == outcome.order_id]
    return amended_text(own[-1], outcome, terms)


def all_cancelled(_command: bytes, answer: Answer, terms: Terms) -> str:
    """The JSON answer to CANCEL_ALL."""
    _accepted(answer)
    return f"[{','.join(record_text(order, terms) for order in order_records(answer.events))}]"


def _accepted(answer: Answer) -> Outcome:
    outcome = read_outcome(answer.events)
    if outcome.status == records.REJECTED:
        raise rejected(outcome.reason)
    return outcome
