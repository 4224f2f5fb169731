"""The HTTP request that opens a WebSocket: parse its head, and accept or refuse it (RFC 6455, 4.2).

The WebSocket library never sees the client's own head: `check_head` returns an equivalent one that
consists of checked parts only.
"""

import base64
import binascii
import re
from collections.abc import Collection
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from fairbook.net.hosts import refusal
from fairbook.net.origins import ANY_ORIGIN, may_connect

HEAD_BYTES_MAX: Final = 16 * 1024
HEAD_END: Final = b"\r\n\r\n"
PATHS: Final = (b"/", b"/ws")

_HEADERS_MAX: Final = 100
_MALFORMED: Final = "Malformed HTTP request"


class HandshakeError(Exception):
    """The request is refused. status: 400, 403, 404 or 426; message: for the client."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def check_head(
    head: bytes, origins: Collection[str], hosts: Collection[str] | None = None
) -> bytes:
    """Check a request's head, which ends with HEAD_END; return one that opens the same WebSocket.

    origins: whose pages may connect, such as "https://example.org", or ANY_ORIGIN; pages of the
    same host and of this machine always may. hosts: names of this exchange; None: any. Raises
    HandshakeError.
    """
    found = _Head()
    parser = HttpRequestParser(found)
    wants_upgrade = False
    try:
        parser.feed_data(head)
    except HttpParserUpgrade:
        wants_upgrade = True
    except HttpParserError:
        raise HandshakeError(400, _MALFORMED) from None
    if len(found.lines) > _HEADERS_MAX or parser.get_http_version() != "1.1":
        raise HandshakeError(400, _MALFORMED)
    unknown_host = refusal(found.values(b"host"), hosts)
    if unknown_host is not None:
        raise HandshakeError(400, unknown_host)
    # Runs of slashes count as one, as base URLs may end with one.
    if re.sub(b"/+", b"/", found.url.partition(b"?")[0]) not in PATHS:
        raise HandshakeError(404, "Not Found")
    upgrades = b",".join(found.values(b"upgrade")).lower().split(b",")
    is_websocket = b"websocket" in [word.strip() for word in upgrades]
    if parser.get_method() != b"GET" or not wants_upgrade or not is_websocket:
        raise HandshakeError(426, "This is a WebSocket address")
    if found.values(b"sec-websocket-version") != [b"13"]:
        raise HandshakeError(426, "WebSocket version 13 is required")
    if found.values(b"transfer-encoding") or found.values(b"content-length") not in ([], [b"0"]):
        raise HandshakeError(400, "An upgrade has no body")
    _check_origin(found.values(b"origin"), found.values(b"host"), origins)
    return (
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n" % _key(found)
    )


class _Head:
    """Callbacks of the parser, and what it found."""

    def __init__(self) -> None:
        self.url = b""
        self.lines: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.lines.append((name.lower(), value))

    def values(self, name: bytes) -> list[bytes]:
        """The values of all lines with this lower-case name."""
        return [value for found, value in self.lines if found == name]


def _key(head: _Head) -> bytes:
    values = head.values(b"sec-websocket-key")
    try:
        if len(values) == 1 and len(base64.b64decode(values[0], validate=True)) == 16:
            return values[0]
    except binascii.Error:
        pass
    raise HandshakeError(400, "Invalid Sec-WebSocket-Key")


def _check_origin(given: list[bytes], hosts: list[bytes], origins: Collection[str]) -> None:
    """Browsers name the page that connects; other programs send no Origin, and may connect."""
    if not given or ANY_ORIGIN in origins:
        return
    if len(given) != 1 or not may_connect(given[0], hosts[0], origins):
        raise HandshakeError(403, "Pages of this origin may not connect")
