"""Bad input to the WebSocket port: upgrades (W2), frames (W1, W4), JSON (W6), streams (C5, W3, W7,
W11), logins and signatures (W8).
"""

from __future__ import annotations

import json
import time
import zlib
from base64 import b64encode
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.badinput.rows import BAD_REQUEST, MALFORMED, Known
from tests.badinput.rows_numbers import SYMBOLS
from tests.world.ws_frames import BINARY, CLOSE, FIN, PING, PONG, TEXT, frame, head, says


class Refused(NamedTuple):
    """An HTTP error before the upgrade; the connection is closed."""

    status: int
    code: str
    message: str  # a part of it


class Closed(NamedTuple):
    """A Close frame with this code; the connection is closed."""

    code: int


class Error(NamedTuple):
    """An error frame; the connection stays open."""

    code: int
    message: str  # a part of it
    request_id: object = None


class Answer(NamedTuple):
    """An error answer to a request; the connection stays open."""

    status: int
    code: str
    message: str  # a part of it


class Accepted(NamedTuple):
    """Odd but accepted: this text comes back, and the connection stays open."""

    text: object


Outcome = Refused | Closed | Error | Answer | Accepted
Bytes = Callable[[Known], bytes]


class WsRow(NamedTuple):
    """One input."""

    id: str
    name: str
    send: bytes | Bytes
    outcome: Outcome
    who: str = ""  # logs in before, by a token
    logged: bool = False  # it reaches the engine, which rejects it
    times: int = 5
    cpu_ms: float = 10.0  # less than that on average, with its connection if it needs one


NOT_FOUND = Refused(404, "RESOURCE_NOT_FOUND", "Not Found")
UPGRADE_HERE = Refused(426, BAD_REQUEST, "This is a WebSocket address")
VERSION_13 = Refused(426, BAD_REQUEST, "WebSocket version 13 is required")
BROKEN = Refused(400, BAD_REQUEST, MALFORMED)
NO_KEY = Refused(400, BAD_REQUEST, "Invalid Sec-WebSocket-Key")
NO_ORIGIN = Refused(403, "FORBIDDEN", "Pages of this origin may not connect")
ONE_HOST = Refused(400, BAD_REQUEST, "Exactly one Host header is required")
NO_HOST = Refused(400, BAD_REQUEST, "Unknown host")
NO_BODY = Refused(400, BAD_REQUEST, "An upgrade has no body")
TOO_LARGE = Refused(400, BAD_REQUEST, "Request is too large")

HEADS: list[tuple[str, bytes, Refused]] = [
    *((f"{method}", head(method=method), UPGRADE_HERE)
      for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH")),
    ("an order by HTTP", b"POST /api/v1/order HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
     NOT_FOUND),
    ("a form by HTTP", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nx=+1",
     UPGRADE_HERE),
    *((f"path {path}", head(path), NOT_FOUND)
      for path in ("/nope", "/ws/", "/WS", "/%77s", "/ws;x", "/ws/..", "/x/../ws", "/.", "/ws%00",
                   "//fair.example/ws", "http://x/ws", "*", "/api/v1/ping", "/admin/v1/x", "/ws.",
                   "/metrics", "/ws\\")),
    ("no Upgrade", head(Upgrade=None), UPGRADE_HERE),
    ("no Connection", head(Connection=None), UPGRADE_HERE),
    ("Connection: close", head(Connection="close"), UPGRADE_HERE),
    ("Upgrade: h2c", head(Upgrade="h2c"), UPGRADE_HERE),
    ("Upgrade: websockets", head(Upgrade="websockets"), UPGRADE_HERE),
    *((f"version {version!r}", head(Sec_WebSocket_Version=version), VERSION_13)
      for version in (None, "8", "0", "14", "013", "13, 8", "13,13", "x", "1" * 400, "\xb9\xb3")),
    ("version, two lines", head(lines=b"Sec-WebSocket-Version: 13\r\n"), VERSION_13),
    *((f"key {name}", head(Sec_WebSocket_Key=key), NO_KEY)
      for name, key in {
          "missing": "", "of 15 bytes": b64encode(bytes(15)).decode(), "of 17 bytes":
          b64encode(bytes(17)).decode(), "no base64": "!" * 24, "without its end":
          "dGhlIHNhbXBsZSBub25jZQ", "of 8 KB": "A" * 8192, "beyond ASCII": "\xe9" * 24,
      }.items()),
    ("two keys", head(lines=b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), NO_KEY),
    *((f"Origin {origin[:40]}", head(Origin=origin), NO_ORIGIN)
      for origin in (
          "https://evil.example", "null", "http://localhost.evil.example", "evil.example",
          "http://localhost@evil.example", "https://evil.example/localhost", "file://",
          "https://evil.example#localhost", "http://[::1", "http://127.0.0.1.evil.example", "*",
          "http://evil.example:8001", "http://\xe9vil.example", "https://" + "a" * 4000,
      )),
    ("two Origins", head(Origin="http://localhost", lines=b"Origin: http://localhost\r\n"),
     NO_ORIGIN),
    ("two Hosts", head(Origin="http://localhost", lines=b"Host: localhost\r\n"), ONE_HOST),
    ("no Host", head(Host=None), ONE_HOST),
    *((f"Host {host[:40]}", head(Host=host), NO_HOST)
      for host in ("evil.example", "", "x:", "localhost.evil.example", "localhost@x", "h" * 300)),
    *((version, head(version=version), BROKEN)
      for version in ("HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/3.0", "HTTP/1.2", "HTTP/11",
                      "http/1.1", "ICE/1.0", "")),
    ("no HTTP", b"hello\r\n\r\n", BROKEN),
    ("nothing", b"\r\n\r\n", BROKEN),
    ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BROKEN),
    ("unknown method", head(method="FETCH"), BROKEN),
    ("lower-case method", head(method="get"), BROKEN),
    ("LF in its lines", head().replace(b"\r\n", b"\n") + b"\r\n\r\n", BROKEN),
    ("LF in a header", head(lines=b"X: a\nY: b\r\n"), BROKEN),
    ("CR in a header", head(lines=b"X: a\rb\r\n"), BROKEN),
    ("NUL in a header", head(lines=b"X: a\0b\r\n"), BROKEN),
    ("NUL in the path", head("/ws\0"), BROKEN),
    ("space in the path", head("/ws x"), BROKEN),
    ("path beyond ASCII", head("/\xff"), BROKEN),
    ("folded header", head(lines=b"X: a\r\n folded\r\n"), BROKEN),
    ("space before the colon", head(lines=b"X : a\r\n"), BROKEN),
    ("header without a colon", head(lines=b"nonsense\r\n"), BROKEN),
    ("header without a name", head(lines=b": a\r\n"), BROKEN),
    ("101 headers", head(lines=b"a: b\r\n" * 101), BROKEN),
    ("a body", head(Content_Length="5") + b"hello", NO_BODY),
    ("chunks", head(Transfer_Encoding="chunked") + b"0\r\n\r\n", NO_BODY),
    ("length and chunks", head(Content_Length="5", Transfer_Encoding="chunked"), BROKEN),
    ("length negative", head(Content_Length="-5"), BROKEN),
    ("16 KB", head(lines=b"X: " + b"x" * 16_384 + b"\r\n"), TOO_LARGE),
    ("a head without end", head()[:-2] + b"X: " + b"x" * 600_000, TOO_LARGE),
    ("a path of 20 KB", head("/" + "w" * 20_000), TOO_LARGE),
]  # fmt: skip
HANDSHAKES = [WsRow("W2", name, send, outcome) for name, send, outcome in HEADS]

PROTOCOL, UNSUPPORTED, NOT_TEXT, POLICY, TOO_BIG = map(Closed, (1002, 1003, 1007, 1008, 1009))
GOODBYE = Closed(1000)
HELLO = b'{"id":1,"method":"SUBSCRIBE","params":[]}'
ACCEPTED = Accepted({"id": 1, "result": None})
BOMB = zlib.compress(b" " * 10**6)


def _sized(form: int, size: int, payload: bytes = HELLO) -> bytes:
    """A text frame with its size in this form: 126 or 127."""
    width = 2 if form == 126 else 8
    return bytes((FIN | TEXT, 0x80 | form)) + size.to_bytes(width, "big") + bytes(4) + payload


MESSAGES: list[tuple[str, bytes, Outcome]] = [
    ("4,097 bytes", frame(b" " * 4097), TOO_BIG),
    ("64 KB", frame(b" " * 65_535), TOO_BIG),
    ("a megabyte", frame(b" " * (1 << 20)), TOO_BIG),
    ("large fragments", frame(b" " * 4000, TEXT) + frame(b" " * 97, FIN), TOO_BIG),
    ("65 fragments", frame(b"", TEXT) + frame(b"", 0) * 64, TOO_BIG),
    ("100,000 fragments", frame(b"", TEXT) + frame(b"", 0) * 100_000, TOO_BIG),
    ("binary", frame(HELLO, FIN | BINARY), UNSUPPORTED),
    ("binary, in fragments", frame(HELLO, BINARY) + frame(b"", FIN), UNSUPPORTED),
    ("compressed", frame(zlib.compress(HELLO), FIN | 0x40 | TEXT), PROTOCOL),
    ("a bomb", frame(BOMB, FIN | 0x40 | TEXT), PROTOCOL),
    ("RSV2", frame(HELLO, FIN | 0x20 | TEXT), PROTOCOL),
    ("RSV3", frame(HELLO, FIN | 0x10 | TEXT), PROTOCOL),
    ("RSV1 on a ping", frame(b"", FIN | 0x40 | PING), PROTOCOL),
    ("RSV1 on a continuation", frame(HELLO, TEXT) + frame(b"", FIN | 0x40), PROTOCOL),
    *((f"opcode {opcode}", frame(b"", FIN | opcode), PROTOCOL)
      for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    ("no mask", frame(HELLO, masked=False), PROTOCOL),
    ("no mask on a ping", frame(b"", FIN | PING, masked=False), PROTOCOL),
    ("no mask on a Close", frame(b"", FIN | CLOSE, masked=False), PROTOCOL),
    ("a continuation of nothing", frame(HELLO, FIN), PROTOCOL),
    ("a continuation of what has ended", frame(HELLO, TEXT) + frame(b"", FIN) + frame(b"", FIN),
     PROTOCOL),
    ("two beginnings", frame(b"{", TEXT) + frame(HELLO), PROTOCOL),
    ("a length of 2^63", _sized(127, 1 << 63), PROTOCOL),
    ("a length of 2^64 - 1", _sized(127, (1 << 64) - 1), PROTOCOL),
    ("a length of 2^62", _sized(127, 1 << 62), TOO_BIG),
    ("a length of 2^32", _sized(127, 1 << 32), TOO_BIG),
    ("a length of 4,097, and little of it", _sized(126, 4097), TOO_BIG),
    ("a short text, its size in 2 bytes", _sized(126, len(HELLO)), PROTOCOL),
    ("a short text, its size in 8 bytes", _sized(127, len(HELLO)), PROTOCOL),
    ("4,000 bytes, their size in 8 bytes", _sized(127, 4000), PROTOCOL),
    *((f"invalid UTF-8: {name}", frame(text), NOT_TEXT)
      for name, text in {
          "a byte": b'{"id":1,"method":"\xff"}', "overlong": b'{"id":1,"method":"\xc1\x93"}',
          "surrogate": b'{"id":1,"method":"\xed\xa0\x80"}', "Latin-1": b'{"method":"\xe9"}',
          "beyond": b'{"method":"\xf4\x90\x80\x80"}', "half of a character": b'{"method":"\xe2\x82',
          "UTF-16": '{"id":1}'.encode("utf-16"),
      }.items()),
    ("invalid UTF-8 in fragments", frame(b'{"id":"\xe2\x82', TEXT) + frame(b'"}', FIN), NOT_TEXT),
]  # fmt: skip
CONTROLS: list[tuple[str, bytes, Outcome]] = [
    ("a ping of 126 bytes", frame(b"x" * 126, FIN | PING), PROTOCOL),
    ("a pong of 126 bytes", frame(b"x" * 126, FIN | PONG), PROTOCOL),
    ("a Close of 126 bytes", frame(b"\x03\xe8" + b"x" * 124, FIN | CLOSE), PROTOCOL),
    ("a ping in fragments", frame(b"x", PING) + frame(b"x", FIN), PROTOCOL),
    ("a pong in fragments", frame(b"x", PONG), PROTOCOL),
    ("a Close in fragments", frame(b"", CLOSE), PROTOCOL),
    ("100 pings", frame(b"", FIN | PING) * 100, POLICY),
    ("20,000 pings", frame(b"x" * 125, FIN | PING) * 20_000, POLICY),
    ("20,000 pongs", frame(b"x" * 125, FIN | PONG) * 20_000, POLICY),
    ("100 texts", frame(b"{}") * 100, POLICY),
    ("20,000 texts", frame(b"{}") * 20_000, POLICY),
    ("a Close", frame(b"\x03\xe8", FIN | CLOSE), GOODBYE),
    ("a Close without a word", frame(b"", FIN | CLOSE), GOODBYE),
    ("a Close of one byte", frame(b"\x03", FIN | CLOSE), PROTOCOL),
    *((f"Close {code}", frame(code.to_bytes(2, "big"), FIN | CLOSE), PROTOCOL)
      for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535)),
    *((f"Close {code}", frame(code.to_bytes(2, "big") + b"bye", FIN | CLOSE), GOODBYE)
      for code in (1001, 1011, 1014, 3000, 4999)),
    ("a Close whose reason is no UTF-8", frame(b"\x03\xe8\xff", FIN | CLOSE), NOT_TEXT),
    ("orders behind a Close", frame(b"\x03\xe8", FIN | CLOSE)
     + says(id=1, method="order.cancelAll", params={"symbol": "SOL_USDC"}), GOODBYE),
]  # fmt: skip
SIZES = [
    ("64 fragments", frame(HELLO, TEXT) + frame(b"", 0) * 62 + frame(b"", FIN), ACCEPTED),
    ("4,096 bytes", frame(HELLO + b" " * (4096 - len(HELLO))), ACCEPTED),
    ("an unsolicited pong", frame(b"x", FIN | PONG) + frame(HELLO), ACCEPTED),
]
FRAMES = [
    *(WsRow("W1", *row, times=3 if len(row[1]) > 500_000 else 5) for row in (*MESSAGES, *SIZES)),
    *(WsRow("W4", *row, times=3 if len(row[1]) > 500_000 else 5) for row in CONTROLS),
]

NOT_JSON = Error(4000, "Frame is not valid JSON")
NO_OBJECT = Error(4000, "Frame must be a JSON object")
TWICE = Error(4000, "A field is given twice")
NO_METHOD = Error(4000, "A frame needs a method", 1)
UNKNOWN_METHOD = Error(4001, "Unknown method", 1)
NO_LIST = Error(4000, "params is a list of streams", 1)
NO_ID = Error(4000, "An id is a number or a string")
JSON: list[tuple[str, str, Outcome]] = [
    *((f"{text[:24]!r} is no object", text, NO_OBJECT)
      for text in ("null", "[]", "1", '"SUBSCRIBE"', "true", "-0.0", '[{"method":"SUBSCRIBE"}]')),
    *((name, text, NOT_JSON)
      for name, text in {
          "empty": "", "spaces": "   ", "broken off": HELLO.decode()[:-1], "something behind":
          HELLO.decode() + "x", "two objects": HELLO.decode() * 2, "comma at the end":
          '{"id":1,"method":"SUBSCRIBE","params":[],}', "single quotes": "{'method':'SUBSCRIBE'}",
          "comment": "/* */" + HELLO.decode(), "NUL behind": HELLO.decode() + "\0",
          "byte order mark": "\ufeff" + HELLO.decode(), "key without quotes": "{method:1}",
          "UTF-16 without a mark": HELLO.decode().encode("utf-16-le").decode(),
          "line break in a string": '{"method":"SUB\nSCRIBE"}', "hex": '{"id":0x1}', "octal":
          '{"id":010}', "4,000 open brackets": "[" * 4000, "objects 800 deep": '{"a":' * 800,
          "brackets 2,000 deep": '{"id":1,"method":"LOGIN","params":' + "[" * 2000 + "]" * 2000
          + "}", "bad escape": '{"method":"\\x41"}', "half of an escape": '{"method":"\\u12"}',
          "lone surrogate": '{"method":"\\ud800"}', "lone surrogate in a key": '{"\\udc00":1}',
          "lone surrogate in a name": '{"method":"SUBSCRIBE","params":["\\ud800"]}',
          "lone surrogate in an id": '{"method":"SUBSCRIBE","params":[],"id":"\\udfff"}',
      }.items()),
    *((f"{name} in an id", HELLO.decode().replace('"id":1', f'"id":{name}'), Error(4000, told))
      for name in ("NaN", "Infinity", "-Infinity") for told in ("Not a JSON value",)),
    ("method twice", '{"id":1,"method":"SUBSCRIBE","method":"LOGIN","params":[]}', TWICE),
    ("id twice", '{"id":1,"id":2,"method":"SUBSCRIBE","params":[]}', TWICE),
    ("twice, once escaped", '{"id":1,"m\\u0065thod":"LOGIN","method":"SUBSCRIBE"}', TWICE),
    ("twice in params", '{"id":1,"method":"LOGIN","params":{"token":"a","token":"b"}}', TWICE),
    ("no method", '{"id":1,"params":[]}', NO_METHOD),
    *((f"method {text}", f'{{"id":1,"method":{text},"params":[]}}', NO_METHOD)
      for text in ("null", "true", "[]", "{}", '["SUBSCRIBE"]')),
    *((f"method {text[:24]}", f'{{"id":1,"method":{text},"params":[]}}', UNKNOWN_METHOD)
      for text in ('""', '"subscribe"', '"SUBSCRIBE "', '"SUBSCRIBE\\u0000"', "1", "-1.5e9",
                   "9" * 3000, '"\\uff33UBSCRIBE"', '"__class__"', '"' + "A" * 4000 + '"',
                   '"order."', '"order.place\\n"', '"ORDER.PLACE"', '"order.fill"',
                   '"orders.cancelAll"', '"LIST_SUBSCRIPTIONS"', '"LOGOUT"', '"PING"',
                   '"../admin"', "\"' OR 1=1 --\"")),
    *((f"{method} {text}", f'{{"id":1,"method":"{method}"{text}}}', NO_LIST)
      for method in ("SUBSCRIBE", "UNSUBSCRIBE")
      for text in ("", ',"params":null', ',"params":"depth.SOL_USDC"', ',"params":{}',
                   ',"params":true', ',"params":1', ',"params":[null]', ',"params":[true]',
                   ',"params":[["depth.SOL_USDC"]]', ',"params":["depth.SOL_USDC",{}]')),
    *((f"id {text}", HELLO.decode().replace('"id":1', f'"id":{text}'), NO_ID)
      for text in ("{}", "[]", "[1]", '{"id":1}')),
    ("deep id", HELLO.decode().replace('"id":1', '"id":' + "[" * 900 + "]" * 900), NO_ID),
    *((f"id {text[:24]}", HELLO.decode().replace('"id":1', f'"id":{text}'),
       Accepted({"id": json.loads(text), "result": None}))
      for text in ("1.5", '"x"', "-1", "true", "false", "1e5", "9" * 4000,
                   '"' + "x" * 4000 + '"', '"\\u0000"', '"\\ud83d\\ude00"', '""')),
]  # fmt: skip
TEXTS = [WsRow("W6", name, frame(text.encode()), outcome, times=4) for name, text, outcome in JSON]


def subscribing(*names: str, **fields: object) -> bytes:
    """SUBSCRIBE to these names."""
    return says(id=1, method="SUBSCRIBE", params=names, **fields)


def _invalid(name: str) -> Error:
    return Error(4006, f"Invalid stream: {name}", 1)


NAMES = {
    "wildcard": "depth@SOL_USDC*", "star": "depth.*", "all": "*", "question mark": "depth.SOL_USD?",
    "newline": "depth.SOL_USDC\n", "newline inside": "depth.SOL\nSUBSCRIBE x", "CRLF":
    "depth.SOL_USDC\r\nPING\r\n", "NUL": "depth.SOL_USDC\0", "SQL": "trade.' OR 1=1 --", "space":
    " depth.SOL_USDC", "tab": "depth.SOL_USDC\t", "braces": "depth.{SOL,BTC}_USDC", "path":
    "depth.../../etc/passwd", "Redis": "__keyspace@0__:*", "empty": "", "dot": ".", "dots": "...",
    "no symbol": "depth.", "no kind": ".SOL_USDC", "kind alone": "depth", "lower case":
    "depth.sol_usdc", "upper-case kind": "DEPTH.SOL_USDC", "other kind": "aggTrade.SOL_USDC",
    "interval missing": "kline.SOL_USDC", "interval empty": "kline..SOL_USDC", "no interval":
    "kline.7m.SOL_USDC", "interval in capitals": "kline.1M.SOL_USDC", "odd speed":
    "depth.100ms.SOL_USDC", "speed beyond ASCII": "depth.\u0662\u0660\u0660ms.SOL_USDC", "too long":
    "externalTicker." + "x" * 64, "4,000 characters": "depth." + "x" * 3900, "full width":
    "depth.\uff33OL_USDC", "emoji": "\U0001f600", "private, unknown": "account.transfers",
    "private alone": "account", "private of another": "account.orderUpdate@3", "private, empty":
    "account.orderUpdate.", "private wildcard": "account.*", "markup": "<script>", "reversed":
    "SOL_USDC.depth", "Binance's": "solusdc@depth", "a number": "1", "attribute": "__class__",
}  # fmt: skip
_MARKETS = {name: text for name, text in SYMBOLS.items() if len(text) < 100}
STREAMS = [
    *(WsRow("C5", f"stream, {name}", subscribing(text), _invalid(text[:20]))
      for name, text in NAMES.items()),
    *(WsRow("W11", f"{kind} of market {name}", subscribing(f"{kind}.{text}"),
            _invalid(f"{kind}.{text}"), times=2)
      for name, text in _MARKETS.items()
      for kind in ("depth", "kline.1m", "trade")),
    *(WsRow("W11", f"{kind} of an unknown market", subscribing(f"{kind}.DOGE_USDC"),
            _invalid(f"{kind}.DOGE_USDC"))
      for kind in ("depth", "depth.200ms", "bookTicker", "trade", "ticker", "kline.1m")),
    WsRow("W11", "private of an unknown market", subscribing("account.orderUpdate.DOGE_USDC"),
          _invalid("account.orderUpdate.DOGE_USDC"), who="rich"),
    WsRow("W3", "201 streams", subscribing(*(f"stockPrice.{i}" for i in range(201))),
          Error(4029, "At most 200 subscriptions", 1)),
    WsRow("W7", "names without a subscription",
          says(id=1, method="UNSUBSCRIBE", params=["depth.SOL_USDC", "account.orderUpdate"]),
          ACCEPTED),
    WsRow("W7", "what cannot be subscribed",
          says(id=1, method="UNSUBSCRIBE", params=["x\n", "", "depth@*", "\0"]), ACCEPTED),
    WsRow("W7", "the same 150 times in a frame", subscribing(*["liquidation"] * 150), ACCEPTED),
]  # fmt: skip

EXPIRED = Error(4003, "Request has expired", 1)
NO_SIGNATURE = Error(4002, "Invalid signature", 1)
NOT_LOGGED_IN = Error(4002, "Unauthorized", 1)
NEEDS_ONE = Error(4002, "Private streams need a signature or LOGIN", 1)
NEEDS_TOKEN = Error(4000, "LOGIN needs a token or a signature", 1)


def signed(
    *, key: str = "rich", at_ms: int = 0, window: str = "5000", method: str = "SUBSCRIBE",
    over: str = "", **parts: object,
) -> Bytes:  # fmt: skip
    """A signed frame. over: the signed instruction, if not that of the method.

    parts: key_, signature, timestamp, window_ replace the right ones.
    """

    def made(known: Known) -> bytes:
        instruction = over or {"LOGIN": "login"}.get(method, "subscribe")
        timestamp = str(time.time_ns() // 1_000_000 + at_ms)
        text = f"instruction={instruction}&timestamp={timestamp}&window={window}"
        secret = known.keys[key]
        right: dict[str, object] = {
            "key_": b64encode(bytes(secret.verify_key)).decode(),
            "signature": b64encode(secret.sign(text.encode()).signature).decode(),
            "timestamp": timestamp,
            "window_": window,
        }
        names = {} if method == "LOGIN" else {"params": ["account.orderUpdate"]}
        return says(id=1, method=method, signature=[*(right | parts).values()], **names)

    return made


def _private(signature: object) -> bytes:
    return subscribing("account.balanceUpdate", signature=signature)


def _login(**params: object) -> bytes:
    return says(id=1, method="LOGIN", params=params)


def _login_of(who: str) -> Bytes:
    return lambda known: _login(token=known.tokens[who])


_PLACES: dict[str, dict[str, Any]] = {"SUBSCRIBE": {}, "LOGIN": {"method": "LOGIN"}}

_KEYS: dict[str, object] = {
    "empty": "", "no base64": "!!!", "of zeros": b64encode(bytes(32)).decode(), "of 31 bytes":
    b64encode(bytes(31)).decode(), "of 2 KB": "A" * 2000, "null": None, "list": [], "true": True,
    "number": 1, "beyond ASCII": "\xe9" * 44,
}  # fmt: skip


def _values(*values: object) -> tuple[object, ...]:
    """Values of every JSON type."""
    return values


def _signatures() -> list[WsRow]:
    """The same signatures for private streams and for a login."""
    rows = []
    for name, place in _PLACES.items():
        sent: list[tuple[str, Bytes, Outcome]] = [
            ("unknown key", signed(key="unknown", **place), NOT_LOGGED_IN),
            ("revoked key", signed(key="revoked", **place), NOT_LOGGED_IN),
            *((f"key {form}", signed(key_=text, **place), NOT_LOGGED_IN)
              for form, text in _KEYS.items()),
            *((f"signature {form}", signed(signature=text, **place),
               NOT_LOGGED_IN if type(text) not in (str, int) else NO_SIGNATURE)
              for form, text in {
                  "of 63 bytes": b64encode(bytes(63)).decode(), "zeros":
                  b64encode(bytes(64)).decode(), "no base64": "!!!!", "empty": "", "of 3 KB":
                  "A" * 3000, "hexadecimal": "0" * 128, "number": 1, "null": None, "object": {},
              }.items()),
            ("the key of another", signed(
                key="other", key_=b64encode(bytes(range(32))).decode(), **place), NOT_LOGGED_IN),
            ("over another instruction", signed(over="orderExecute", **place), NO_SIGNATURE),
            ("over the other's instruction", signed(
                over="login" if name == "SUBSCRIBE" else "subscribe", **place), NO_SIGNATURE),
            ("over another window", signed(window_="5001", **place), NO_SIGNATURE),
            ("6 s old", signed(at_ms=-6000, **place), EXPIRED),
            ("6 s ahead", signed(at_ms=6000, **place), EXPIRED),
            ("window 60,001", signed(window="60001", **place), EXPIRED),
            *((f"window {window[:12]!r}", signed(window=window, **place), EXPIRED)
              for window in ("-1", "5e3", "", "x", "9" * 500, "\u0665", " 5000", "0x10")),
            *((f"timestamp {str(at)[:17]!r}, {type(at).__name__}",
               signed(timestamp=at, **place), EXPIRED)
              for at in ("1795316350287000", "1795316350", "0", "-1", "x", "", "9" * 2000, "NaN",
                         "\u0661", 1.5, 1795316350287000)),
            *((f"timestamp {at!r}", signed(timestamp=at, **place), NOT_LOGGED_IN)
              for at in _values(None, True, [], {})),
        ]  # fmt: skip
        rows += [
            WsRow("W8", f"{name}, {what}", send, outcome, times=3) for what, send, outcome in sent
        ]
    return rows


AUTH = [
    *_signatures(),
    WsRow("W8", "private without a signature", subscribing("account.orderUpdate"), NEEDS_ONE),
    WsRow("W8", "private and public without one",
          subscribing("depth.SOL_USDC", "account.rfqUpdate"), NEEDS_ONE),
    WsRow("W8", "signature null", _private(None), NEEDS_ONE),
    *(WsRow("W8", f"signature {str(form)[:10]} {len(str(form))}", _private(form), NO_SIGNATURE)
      for form in _values("", "x", True, 1, {}, [], [[]], ["a"], ["a"] * 3, ["a"] * 5,
                          ["a"] * 500)),
    WsRow("W8", "signature of four lists", _private([[], [], [], []]), NOT_LOGGED_IN),
    WsRow("W8", "trader's key may not read", signed(key="trader"),
          Error(4002, "Not permitted to read", 1)),
    WsRow("W8", "trader's token may not read", subscribing("account.orderUpdate"),
          Error(4002, "Not permitted to read", 1), who="trader"),
    *(WsRow("W8", f"LOGIN of a token {who}", _login_of(who), NOT_LOGGED_IN)
      for who in ("expired", "revoked", "unknown")),
    *(WsRow("W8", f"LOGIN, token {str(token)[:10]!r} {len(str(token))}", _login(token=token),
            NOT_LOGGED_IN)
      for token in ("", "x", "A" * 43, "A" * 3900, "\xe9" * 43, "Bearer x", "' OR 1=1 --", 1, 1.5,
                    "\0" * 43)),
    *(WsRow("W8", f"LOGIN, token {token!r}", _login(token=token), NEEDS_TOKEN)
      for token in _values(None, True, [], {}, ["x"])),
    *(WsRow("W8", f"LOGIN, params {params!r}", says(id=1, method="LOGIN", params=params),
            NEEDS_TOKEN)
      for params in _values(None, [], "x", 1, True)),
    WsRow("W8", "LOGIN without params", says(id=1, method="LOGIN"), NEEDS_TOKEN),
    *(WsRow("W8", f"LOGIN, signature {str(form)[:20]}", says(id=1, method="LOGIN", signature=form),
            NO_SIGNATURE)
      for form in _values("x", [], ["a"] * 3, {}, True)),
    WsRow("W8", "LOGIN as another account", _login_of("other"),
          Error(4000, "Already logged in as another account", 1), who="rich"),
    WsRow("W8", "LOGIN twice", _login_of("rich"), ACCEPTED, who="rich"),
    WsRow("W8", "LOGIN as the same by another token", _login_of("reader"), ACCEPTED, who="rich"),
]  # fmt: skip

WS = [*HANDSHAKES, *FRAMES, *TEXTS, *STREAMS, *AUTH]
