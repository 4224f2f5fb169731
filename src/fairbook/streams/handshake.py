"""The request that begins a WebSocket: whether it is one, and whether it may.

How it works: the head of the request is parsed and judged here, whole and at once. The WebSocket
library gets to see only a head that is in order, in our words.

Always true: whatever is refused is refused in JSON with a code, as everywhere in the exchange.

Not here: bytes coming and going (server.py).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from http import HTTPStatus
from typing import Final, NoReturn
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from fairbook.api.errors import INVALID_CLIENT_REQUEST, ApiError, BadRequest, not_found

HEAD_BYTES_MAX: Final = 16 * 1024
HEAD_END: Final = b"\r\n\r\n"
PATHS: Final = (b"/", b"/ws")
ANY_ORIGIN: Final = "*"

_HEADERS_MAX: Final = 100
_LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "::1")
_VERSION: Final = b"13"
_UPGRADE_REQUIRED: Final = 426


class _Head:
    """What the parser finds."""

    def __init__(self) -> None:
        self.url = b""
        self.lines: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        """A part of the path and query."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line."""
        self.lines.append((name.lower(), value))

    def values(self, name: bytes) -> list[bytes]:
        """Of all lines with this lower-case name."""
        return [value for found, value in self.lines if found == name]


def accepted(head: bytes, origins: Collection[str]) -> bytes:
    """Judge a request's head, which ends with HEAD_END; return one that opens the same WebSocket.

    origins: whose pages may connect, such as "https://example.org", or ANY_ORIGIN; besides those of
    the same host and of this machine. Raises ApiError.
    """
    found = _Head()
    parser = HttpRequestParser(found)
    wants_upgrade = False
    try:
        parser.feed_data(head)
    except HttpParserUpgrade:
        wants_upgrade = True
    except HttpParserError:
        _malformed()
    if len(found.lines) > _HEADERS_MAX or parser.get_http_version() != "1.1":
        _malformed()
    if _path(found.url) not in PATHS:
        raise not_found()
    upgrades = b",".join(found.values(b"upgrade")).lower().split(b",")
    is_websocket = b"websocket" in [word.strip() for word in upgrades]
    if parser.get_method() != b"GET" or not wants_upgrade or not is_websocket:
        raise _upgrade_required("This is a WebSocket address")
    if found.values(b"sec-websocket-version") != [_VERSION]:
        raise _upgrade_required("WebSocket version 13 is required")
    if found.values(b"transfer-encoding") or found.values(b"content-length") not in ([], [b"0"]):
        raise BadRequest("An upgrade has no body")
    _check_origin(found.values(b"origin"), found.values(b"host"), origins)
    return (
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n" % _key(found)
    )


def refusal(error: ApiError) -> bytes:
    """The whole response of a refused request."""
    body = error.body()
    lines = [
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
        "content-type: application/json; charset=utf-8",
        f"content-length: {len(body)}",
        "connection: close",
    ]
    if error.retry_after_s:
        lines.append(f"retry-after: {error.retry_after_s}")
    if error.status == _UPGRADE_REQUIRED:
        lines += ["upgrade: websocket", "sec-websocket-version: 13"]
    return "\r\n".join((*lines, "", "")).encode() + body


def too_large() -> ApiError:
    """The head is longer than any client's."""
    return BadRequest("Request is too large")


def _path(url: bytes) -> bytes:
    """Without the query, each run of slashes as one: people forget whether a base ends in one."""
    path = url.partition(b"?")[0]
    while b"//" in path:
        path = path.replace(b"//", b"/")
    return path


def _key(head: _Head) -> bytes:
    values = head.values(b"sec-websocket-key")
    try:
        if len(values) == 1 and len(base64.b64decode(values[0], validate=True)) == 16:
            return values[0]
    except binascii.Error:
        pass
    raise BadRequest("Invalid Sec-WebSocket-Key")


def _check_origin(given: list[bytes], hosts: list[bytes], origins: Collection[str]) -> None:
    """Browsers say whose page connects; other programs say nothing, and may connect."""
    if not given or ANY_ORIGIN in origins:
        return
    origin = given[0].decode("latin-1")
    if len(given) == 1 and len(hosts) <= 1:
        host = _host_name("//" + hosts[0].decode("latin-1")) if hosts else None
        from_host = _host_name(origin)
        if origin in origins or (from_host and from_host in (host, *_LOCAL_HOSTS)):
            return
    raise ApiError(403, "FORBIDDEN", "Not from pages of this origin")


def _host_name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _upgrade_required(message: str) -> ApiError:
    return ApiError(_UPGRADE_REQUIRED, INVALID_CLIENT_REQUEST, message)


def _malformed() -> NoReturn:
    raise BadRequest("Malformed HTTP request")
