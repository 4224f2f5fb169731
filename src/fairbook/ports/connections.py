"""Requests over WebSocket connections: the port between the stream server and the gateway."""

from collections.abc import Sequence
from typing import Any, Protocol

from fairbook.ports.accounts import Access


class Caller(Protocol):
    """One connection: any number of its requests may be under way. Compared by identity."""

    @property
    def access(self) -> Access | None:
        """The account it logged in to, if any."""

    @property
    def address(self) -> str:
        """The client's IP address."""

    def reply(self, payload: bytes) -> None:
        """Send one text frame. Does nothing after the connection has ended."""

    def hold(self) -> None:
        """Read no further. What was read already goes to `RequestHandler.keep`."""

    def handle(self, payload: bytes) -> None:
        """Handle a message that was kept."""

    def go_on(self) -> None:
        """Read again: nothing is kept any more."""


class RequestHandler(Protocol):
    """Handles the requests of connections that are not about subscriptions."""

    def request(self, caller: Caller, request_id: bytes, method: str, params: Any) -> bool:
        """Take a request; the answer goes to `caller.reply`, now or later. False: no such method.

        request_id: the JSON text of the client's id, `null` if it gave none. params: the JSON value
        with literal numbers (api/requests.py), None if there were none.
        """

    def keep(self, caller: Caller, payload: bytes) -> None:
        """Keep a message of a caller that is held, or refuse it."""

    def ended(self, caller: Caller) -> None:
        """The connection has ended. Called once for each caller that made a request."""


class Authority(Protocol):
    """Authenticates connections. Raises ApiError to refuse. `address` is the client's."""

    def by_token(self, token: str, *, address: str) -> Access:
        """The access of a bearer token."""

    def by_signature(self, parts: Sequence[Any], instruction: str, *, address: str) -> Access:
        """The access of [key, signature, timestamp in ms, window in ms] over `instruction=...`.

        The parts are as the client wrote them: strings or literal numbers.
        """

    def is_live(self, access: Access) -> bool:
        """Whether the key or token behind it is neither revoked nor expired."""
