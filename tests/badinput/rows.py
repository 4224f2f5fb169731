"""A Row of the tables of bad input, and the requests that most rows are made of.

A row has the bytes to send and the expected answer. The bytes are constant, or a function of what
is Known of the running exchange (tokens, keys, order ids).
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from nacl.signing import SigningKey

BAD_REQUEST = "INVALID_CLIENT_REQUEST"
MALFORMED = "Malformed HTTP request"
NO_ANSWER = 0  # as a status: the connection ends without a word


@dataclass
class Known:
    """Keys and tokens by name, order ids by market."""

    tokens: dict[str, str] = field(default_factory=dict)
    keys: dict[str, SigningKey] = field(default_factory=dict)
    order_ids: dict[str, int] = field(default_factory=dict)


Bytes = Callable[[Known], bytes]


class Row(NamedTuple):
    """One bad input and its expected answer."""

    id: str  # of the list of bad inputs: N, H, C, A, O and a number
    name: str
    send: bytes | Bytes
    status: int
    code: str
    message: str  # a part of it
    closes: bool = False  # the server ends the connection after its answer
    logged: bool = False  # it reaches the engine, which rejects it
    ends: bool = False  # the client says nothing more after it
    times: int = 20
    cpu_ms: float = 10.0  # less than that on average


def request(
    method: str,
    path: str,
    body: bytes | str = b"",
    *,
    who: str = "rich",
    headers: Mapping[str, str] | None = None,
) -> Bytes:
    """A request with the token of `who` (none if empty), and Content-Length if it has a body.
    headers: additions and replacements; "" leaves one out.
    """
    data = body.encode() if isinstance(body, str) else body

    def made(known: Known) -> bytes:
        lines = {"Host": "x"}
        if who:
            lines["Authorization"] = f"Bearer {known.tokens[who]}"
        if data or method == "POST":
            lines |= {"Content-Type": "application/json", "Content-Length": str(len(data))}
        lines |= headers or {}
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
        return f"{method} {path} HTTP/1.1\r\n{text}\r\n".encode("latin-1") + data

    return made


def order_json(**fields: object) -> str:
    """A limit order that rests far from the market; `...` leaves a field out."""
    order = {
        "symbol": "SOL_USDC",
        "side": "Bid",
        "orderType": "Limit",
        "price": "100",
        "quantity": "0.1",
        **fields,
    }
    return json.dumps({name: value for name, value in order.items() if value is not ...})


def order(
    changes: Mapping[str, object] | None = None, *, who: str = "rich", **fields: object
) -> Bytes:
    """POST `order_json`."""
    return request("POST", "/api/v1/order", order_json(**{**(changes or {}), **fields}), who=who)


def written(price: str = '"100"', quantity: str = '"0.1"') -> Bytes:
    """POST an order with this literal JSON for its numbers."""
    text = order_json(price="PRICE", quantity="QUANTITY")
    text = text.replace('"PRICE"', price).replace('"QUANTITY"', quantity)
    return request("POST", "/api/v1/order", text)


def signed(
    method: str,
    path: str,
    instruction: str,
    fields: Mapping[str, str],
    *,
    key: str = "rich",
    at_ms: int = 0,
    window: str = "5000",
    query: str = "",
    headers: Mapping[str, str] | None = None,
) -> Bytes:
    """A signed request with these fields in its body, or in `query`, which is sent literally.

    at_ms: relative to now. headers: replace the right ones after signing.
    """
    body = "" if query or not fields else json.dumps(dict(fields))

    def made(known: Known) -> bytes:
        timestamp = str(time.time_ns() // 1_000_000 + at_ms)
        pairs = [f"{name}={value}" for name, value in sorted(fields.items())]
        parts = [f"instruction={instruction}", *pairs, f"timestamp={timestamp}", f"window={window}"]
        secret = known.keys[key]
        lines = {
            "X-API-Key": b64encode(bytes(secret.verify_key)).decode(),
            "X-Signature": b64encode(secret.sign("&".join(parts).encode()).signature).decode(),
            "X-Timestamp": timestamp,
            "X-Window": window,
            **(headers or {}),
        }
        place = f"{path}?{query}" if query else path
        return request(method, place, body, who="", headers=lines)(known)

    return made
