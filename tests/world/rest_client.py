"""A plain caller of the exchange's HTTP interface: one keep-alive connection, a bearer token.

How it works: standard library only, and none of our own code, so that what it says about the
exchange does not depend on what the exchange thinks of itself.

Always true: a call returns the status and the decoded body, whatever the status is; `Unknown` means
that the connection ended before the answer was read, so that the command may have been done.
"""

from __future__ import annotations

import http.client
import json
from typing import Any, NamedTuple


class OutcomeUnknown(Exception):
    """No answer: what was asked may or may not have happened."""


class Reply(NamedTuple):
    """`body` is decoded JSON, or text where it is none."""

    status: int
    body: Any
    headers: dict[str, str]


class RestClient:
    """One connection of one account (of none, with an empty token)."""

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
