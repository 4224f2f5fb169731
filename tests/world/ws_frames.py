"""WebSocket from a client's side as bytes: the upgrade request, and frames with a zero mask."""

from __future__ import annotations

import json

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
FIN = 0x80
UPGRADE = {
    "Host": "127.0.0.1",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def head(
    path: str = "/", *, method: str = "GET", version: str = "HTTP/1.1", lines: bytes = b"",
    **changes: str | None,
) -> bytes:  # fmt: skip
    """A request for an upgrade. changes: headers by name with _ for -; None leaves one out."""
    headers: dict[str, str | None] = {name.lower(): value for name, value in UPGRADE.items()}
    headers |= {name.replace("_", "-").lower(): value for name, value in changes.items()}
    text = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)
    return f"{method} {path} {version}\r\n{text}".encode("latin-1") + lines + b"\r\n"


def frame(payload: bytes = b"", first: int = FIN | TEXT, *, masked: bool = True) -> bytes:
    """One frame of a client."""
    size, mask = len(payload), 0x80 if masked else 0
    if size < 126:
        sizes = bytes((mask | size,))
    elif size < 1 << 16:
        sizes = bytes((mask | 126,)) + size.to_bytes(2, "big")
    else:
        sizes = bytes((mask | 127,)) + size.to_bytes(8, "big")
    return bytes((first,)) + sizes + (bytes(4) if masked else b"") + payload


def says(**fields: object) -> bytes:
    """A JSON text in a frame."""
    return frame(json.dumps(fields).encode())
