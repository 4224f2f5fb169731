"""Bad orders over WebSocket: the HTTP rows as frames, and errors that only frames can have (W10).

The literal body of a row becomes the `params` of a frame, its token a LOGIN before. A body that is
invalid JSON makes the frame invalid. Rows about signatures, lengths and encodings of HTTP have no
frame.
"""

from __future__ import annotations

import json
from urllib.parse import parse_qsl

from nacl.signing import SigningKey

from tests.badinput.rows import Known, Row, order_json
from tests.badinput.rows_auth import AUTH
from tests.badinput.rows_http import BODIES
from tests.badinput.rows_numbers import NUMBERS, STRINGS
from tests.badinput.rows_ws import Answer, Bytes, Closed, Error, Outcome, WsRow
from tests.world.ws_frames import frame, says

METHODS = {
    ("POST", "/api/v1/order"): "order.place",
    ("PATCH", "/api/v1/order"): "order.amend",
    ("DELETE", "/api/v1/order"): "order.cancel",
    ("DELETE", "/api/v1/orders"): "order.cancelAll",
    ("GET", "/api/v1/order"): "order.status",
}
MESSAGE_BYTES_MAX = 4096
BEARER = b"Authorization: Bearer "
WHOLE = {
    "Body is not valid JSON": "Frame is not valid JSON",
    "Not a JSON value": "Not a JSON value",
    "A field is given twice": "A field is given twice",
}
WHOSE = ("rich", "reader", "trader", "frozen")
NO_OBJECT = Answer(400, "INVALID_CLIENT_REQUEST", "params must be a JSON object")
NOT_LOGGED_IN = Answer(401, "UNAUTHORIZED", "Unauthorized")
FORBIDDEN = Answer(403, "FORBIDDEN", "Permission denied")
_NAMES = (*WHOSE, "other", "expired", "revoked", "unknown", "exact", "short")
UNKNOWN = Known(
    tokens={who: who for who in _NAMES},
    keys={who: SigningKey(bytes(32)) for who in _NAMES},
    order_ids={"foreign": 1},
)


def _request(row: Row, known: Known) -> tuple[str, str, bytes] | None:
    """Account name, method, and JSON of the params of a row; None if it cannot be a frame."""
    if row.closes or isinstance(row.send, bytes):
        return None
    first, _, body = row.send(known).partition(b"\r\n\r\n")
    lines = first.split(b"\r\n")
    verb, place, _ = lines[0].decode("latin-1").split(" ", 2)
    path, _, query = place.partition("?")
    method = METHODS.get((verb, path))
    tokens = [line[22:].decode("latin-1") for line in lines if line.startswith(BEARER)]
    whose = [who for who in WHOSE if tokens == [known.tokens[who]]]
    if method is None or not whose or (query and verb != "GET"):
        return None
    return whose[0], method, body if verb != "GET" else json.dumps(dict(parse_qsl(query))).encode()


def _frame(row: Row) -> Bytes:
    def made(known: Known) -> bytes:
        found = _request(row, known)
        assert found is not None
        _, method, params = found
        return frame(b'{"id":1,"method":"%b","params":%b}' % (method.encode(), params))

    return made


def _outcome(row: Row, data: bytes) -> Outcome:
    """The expected outcome over WebSocket for a status and code of HTTP."""
    head_bytes = 6 if len(data) < 126 + 6 else 8 if len(data) < (1 << 16) + 8 else 14
    text = data[head_bytes:]
    if len(text) > MESSAGE_BYTES_MAX:
        return Closed(1009)
    try:
        text.decode()
    except UnicodeError:
        return Closed(1007)
    if row.message in WHOLE:
        return Error(4000, WHOLE[row.message])
    if row.message == "Body must be a JSON object":
        return NO_OBJECT
    return Answer(row.status, row.code, row.message)


def _of_http() -> list[WsRow]:
    rows = []
    for row in (*NUMBERS, *STRINGS, *BODIES, *AUTH):
        found = _request(row, UNKNOWN)
        if found is not None:
            who, method, _ = found
            send = _frame(row)
            outcome = _outcome(row, send(UNKNOWN))
            # An order that the frame's size keeps out never gets as far as the engine.
            logged = row.logged and isinstance(outcome, Answer)
            rows.append(WsRow(row.id, f"{method}: {row.name}", send, outcome, who, logged, times=3))
    return rows


def _asks(method: str, params: object) -> bytes:
    return says(id=1, method=method, params=params)


_ORDER = json.loads(order_json())
_ONE: dict[str, object] = {"symbol": "SOL_USDC", "orderId": "1"}
REQUESTS: dict[str, dict[str, object]] = {
    "order.place": _ORDER,
    "order.amend": {**_ONE, "price": "1"},
    "order.cancel": _ONE,
    "order.cancelAll": {"symbol": "SOL_USDC"},
    "order.status": _ONE,
    "order.cancelOnDisconnect": {"enabled": True},
}
NOT_ENABLED: list[dict[str, object]] = [
    {},
    {"enabled": None},
    {"enabled": "true"},
    {"enabled": 1},
    {"enabled": []},
]


def _wrong_ids() -> list[WsRow]:
    """Invalid ids: nothing is placed."""
    rows = []
    for text in ("{}", "[]", "[1]"):
        data = b'{"id":%b,"method":"order.place","params":%b}' % (
            text.encode(),
            order_json().encode(),
        )
        told = Error(4000, "An id is a number or a string")
        rows.append(WsRow("W10", f"order.place, id {text}", frame(data), told, who="rich"))
    return rows


WS_ORDERS = [
    *_of_http(),
    *(WsRow("W10", f"{method} before LOGIN", _asks(method, params), NOT_LOGGED_IN)
      for method, params in REQUESTS.items()),
    *(WsRow("W10", f"{method}, params {params!r}", _asks(method, params), NO_OBJECT, who="rich")
      for method in REQUESTS
      for params in (None, [], "x", 1, True, [_ONE])),
    *(WsRow("W10", f"{method} without params", says(id=1, method=method), NO_OBJECT, who="rich")
      for method in REQUESTS),
    *(WsRow("A9", f"{method} by a reader", _asks(method, params), FORBIDDEN, who="reader")
      for method, params in REQUESTS.items() if method != "order.status"),
    WsRow("A9", "order.status by a trader", _asks("order.status", _ONE), FORBIDDEN, who="trader"),
    *(WsRow("W10", f"cancelOnDisconnect {params!r}", _asks("order.cancelOnDisconnect", params),
            Answer(400, "INVALID_CLIENT_REQUEST", "Missing or malformed field: enabled"),
            who="rich")
      for params in NOT_ENABLED),
    *_wrong_ids(),
]  # fmt: skip
