"""A blocking HTTP client: one keep-alive connection with a bearer token.

It uses only the standard library, as an independent reader of the answers; each is checked by the
contract table.
A call returns status and decoded body, whatever the status.
"""

from __future__ import annotations

import http.client
import json
from typing import Any, NamedTuple

from tests.world.contract_check import check_reply


class OutcomeUnknown(Exception):
    """The connection ended without an answer; the command may have been executed."""


class Reply(NamedTuple):
    """body: decoded JSON, or text."""

    status: int
    body: Any
    headers: dict[str, str]


class RestClient:
    """One connection of one account; an empty token sends none."""

    def __init__(self, port: int, token: str = "", *, timeout_s: float = 15.0) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
        self.headers = {"Content-Type": "application/json"}
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, body: Any = None) -> Reply:
        """Send one request and read its answer. Raises Unknown."""
        encoded = None if body is None else json.dumps(body)
        try:
            self.connection.request(method, path, encoded, self.headers)
            response = self.connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            raise OutcomeUnknown(f"{method} {path}: {error!r}") from error
        headers = {name.lower(): value for name, value in response.getheaders()}
        check_reply(method, path, response.status, text)
        if not headers.get("content-type", "").startswith("application/json"):
            return Reply(response.status, text.decode(), headers)
        return Reply(response.status, json.loads(text), headers)

    def expect(self, status: int, method: str, path: str, body: Any = None) -> Any:
        """The body of an answer that has to have this status."""
        reply = self.call(method, path, body)
        assert reply.status == status, f"{method} {path} {body}: {reply.status} {reply.body}"
        return reply.body

    def close(self) -> None:
        """End the connection."""
        self.connection.close()
