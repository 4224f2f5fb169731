"""Bad JSON and bad HTTP (H). In rows that say so, the server closes the connection."""

from __future__ import annotations

import gzip
import zlib

from tests.badinput.rows import (
    BAD_REQUEST,
    MALFORMED,
    NO_ANSWER,
    Bytes,
    Known,
    Row,
    order_json,
    request,
)

ORDER = order_json()
NOT_JSON = (400, BAD_REQUEST, "Body is not valid JSON")
NO_OBJECT = (400, BAD_REQUEST, "Body must be a JSON object")
TWICE = (400, BAD_REQUEST, "A field is given twice")
TOO_LARGE = (413, BAD_REQUEST, "Body exceeds 16384 bytes")
BROKEN = (400, BAD_REQUEST, MALFORMED)
NO_TYPE = (415, BAD_REQUEST, "Content-Type must be application/json in UTF-8")
NO_ENCODING = (415, BAD_REQUEST, "Content-Encoding is not accepted")
NOT_FOUND = (404, "RESOURCE_NOT_FOUND", "Not Found")
NO_METHOD = (405, BAD_REQUEST, "Method Not Allowed")


def post(body: bytes | str, **headers: str) -> Bytes:
    """POST an order, or other bytes in its place."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return request("POST", "/api/v1/order", body, headers=named)


def head(lines: bytes, rest: bytes = b"", *, first: bytes = b"POST /api/v1/order") -> Bytes:
    """A request head with a token and these lines, and what follows it."""

    def made(known: Known) -> bytes:
        token = known.tokens["rich"].encode()
        return (
            first
            + b" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
            + token
            + (b"\r\nContent-Type: application/json\r\n" + lines + b"\r\n" + rest)
        )

    return made


def padded(length: int) -> str:
    """An order padded to this size in bytes."""
    start = ORDER[:-1] + ',"x":"'
    return start + "x" * (length - len(start) - 2) + '"}'


CHUNKED = b"Transfer-Encoding: chunked\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(ORDER)
DATA = ORDER.encode()

BODIES = [
    Row("H1", "one byte too many", post(padded(16 * 1024 + 1)), *TOO_LARGE, closes=True),
    Row("H1", "a megabyte", post(padded(1 << 20)), *TOO_LARGE, closes=True, times=10),
    Row("H1", "Content-Length of a gigabyte", head(b"Content-Length: 1000000000\r\n"), *TOO_LARGE,
        closes=True),
    Row("H1", "chunks without end", head(CHUNKED, b"4000\r\n" + b" " * 0x4000 + b"\r\n4000\r\n"
        + b" " * 0x4000), *TOO_LARGE, closes=True),
    Row("H1", "Content-Length says less", post(ORDER, Content_Length="30"), *NOT_JSON,
        closes=True),
    Row("H1", "Content-Length says more", post(ORDER, Content_Length="300"), NO_ANSWER, "", "",
        closes=True, ends=True),
    Row("H2", "Content-Length negative", post(ORDER, Content_Length="-5"), *BROKEN, closes=True),
    Row("H2", "Content-Length with a sign", post(ORDER, Content_Length="+5"), *BROKEN, closes=True),
    Row("H2", "Content-Length no number", post(ORDER, Content_Length="5x"), *BROKEN, closes=True),
    Row("H2", "Content-Length hexadecimal", post(ORDER, Content_Length="0x10"), *BROKEN,
        closes=True),
    Row("H2", "Content-Length of 30 digits", post(ORDER, Content_Length="9" * 30), *BROKEN,
        closes=True),
    Row("H2", "two lengths", head(b"Content-Length: 5\r\nContent-Length: 6\r\n", DATA), *BROKEN,
        closes=True),
    Row("H2", "Content-Length as a list", head(b"Content-Length: 5, 5\r\n", DATA), *BROKEN,
        closes=True),
    Row("H3", "side twice", post(ORDER[:-1] + ',"side":"Ask"}'), *TWICE),
    Row("H3", "price twice, once escaped", post(ORDER[:-1] + ',"\\u0070rice":"1"}'), *TWICE),
    Row("H3", "twice in an unused part", post(ORDER[:-1] + ',"x":{"a":1,"a":2}}'), *TWICE),
    Row("H3", "twice in a query",
        request("GET", "/api/v1/depth?symbol=SOL_USDC&symbol=ETH_USDC", who=""), *TWICE),
    Row("H3", "one value in the query and another in the body",
        request("DELETE", "/api/v1/order?orderId=2", '{"symbol":"SOL_USDC","orderId":"1"}'),
        400, BAD_REQUEST, "A field has two values: orderId"),
    Row("H3", "twice in the query and once in the body",
        request("DELETE", "/api/v1/order?orderId=1&orderId=1", '{"symbol":"SOL_USDC","orderId":1}'),
        *TWICE),
    Row("H3", "postOnly in the query of an order",
        request("POST", "/api/v1/order?postOnly=true", ORDER), 400, BAD_REQUEST,
        "postOnly belongs in the body"),
    Row("H3", "clientId in the query of an order",
        request("POST", "/api/v1/order?clientId=5", ORDER), 400, BAD_REQUEST,
        "clientId belongs in the body"),
    *(
        Row("H4", name, post(text), *NOT_JSON)
        for name, text in {
            "broken off": ORDER[:-1], "something behind": ORDER + "x", "two objects": ORDER * 2,
            "comma at the end": ORDER[:-1] + ",}", "single quotes": ORDER.replace('"', "'"),
            "comment": "/* */" + ORDER, "NUL behind": ORDER + "\0", "line break in a string":
            ORDER.replace("SOL_USDC", "SOL\nUSDC"), "nothing but spaces": "   ",
            "16,000 open brackets": "[" * 16_000, "objects 3,000 deep": '{"a":' * 3000,
            "hex": '{"a":0x1}', "octal": '{"a":010}', "key without quotes": "{a:1}",
            "bad escape": '{"a":"\\x41"}', "half of an escape": '{"a":"\\u12"}',
        }.items()
    ),
    *(
        Row("H4", f"{name} is no object", post(text), *NO_OBJECT)
        for name, text in {
            "array": f"[{ORDER}]", "text": '"order"', "number": "1", "null": "null", "true": "true",
        }.items()
    ),
    *(
        Row("H5", name, post(body), *NOT_JSON)
        for name, body in {
            "empty": b"", "byte order mark": b"\xef\xbb\xbf" + DATA,
            "UTF-16": ORDER.encode("utf-16"), "UTF-16 without a mark": ORDER.encode("utf-16-le"),
            "UTF-32": ORDER.encode("utf-32"), "invalid UTF-8": DATA.replace(b"SOL", b"S\xffL"),
            "overlong UTF-8": DATA.replace(b"SOL", b"\xc1\x93OL"),
            "surrogate in UTF-8": DATA.replace(b"SOL", b"\xed\xa0\x80"),
            "lone surrogate": DATA.replace(b"SOL_", b"\\ud800"),
            "lone surrogate in a key": DATA[:-1] + b',"\\udc00":1}',
            "Latin-1": "{\"symbol\":\"\xe9\"}".encode("latin-1"),
        }.items()
    ),
    *(
        Row("H5", kind, post(ORDER, Content_Type=kind), *NO_TYPE, closes=True)
        for kind in (
            "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
            "application/json; charset=utf-16", "application/jsonx", "application/xml", ";",
        )
    ),
    *(
        Row("H6", name, request("POST", "/api/v1/orders", text), 400, BAD_REQUEST, message)
        for name, text, message in (
            ("empty batch", "[]", "A batch has 1 to 50 orders"),
            ("batch of 51", "[" + ",".join(['{"symbol":"SOL_USDC"}'] * 51) + "]", "1 to 50 orders"),
            ("batch that is an object", ORDER, "Body must be a JSON array of objects"),
            ("batch of numbers", "[1]", "Body must be a JSON array of objects"),
            ("batch of batches", f"[[{ORDER}]]", "Body must be a JSON array of objects"),
        )
    ),
    Row("H15", "gzip", post(gzip.compress(DATA), Content_Encoding="gzip"), *NO_ENCODING,
        closes=True),
    Row("H15", "gzip bomb", post(gzip.compress(b" " * 10**7), Content_Encoding="gzip"),
        *NO_ENCODING, closes=True),
    Row("H15", "deflate", post(zlib.compress(DATA), Content_Encoding="deflate"), *NO_ENCODING,
        closes=True),
    Row("H16", "br", post(ORDER, Content_Encoding="br"), *NO_ENCODING, closes=True),
    Row("H16", "gzip, twice", post(ORDER, Content_Encoding="gzip, gzip"), *NO_ENCODING,
        closes=True),
]  # fmt: skip

FRAMES: dict[str, bytes | Bytes] = {
    "length and chunked": head(LENGTH + CHUNKED, b"0\r\n\r\n"),
    "chunked and length": head(CHUNKED + LENGTH, b"0\r\n\r\n"),
    "xchunked": head(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    "chunked, identity": head(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
    "chunk size no number": head(CHUNKED, b"zz\r\n"),
    "chunk size negative": head(CHUNKED, b"-1\r\n{}\r\n0\r\n\r\n"),
    "chunk size of 17 digits": head(CHUNKED, b"1" * 17 + b"\r\n"),
    "chunk without its end": head(CHUNKED, b"2\r\n{}xx0\r\n\r\n"),
    "folded header": head(b"X: a\r\n folded\r\n" + LENGTH, DATA),
    "space before the colon": head(b"X : a\r\n" + LENGTH, DATA),
    "header without a colon": head(b"nonsense\r\n" + LENGTH, DATA),
    "header without a name": head(b": a\r\n" + LENGTH, DATA),
    "NUL in a header": head(b"X: a\0b\r\n" + LENGTH, DATA),
    "LF in a header": head(b"X: a\nb\r\n" + LENGTH, DATA),
    "CR in a header": head(b"X: a\rb\r\n" + LENGTH, DATA),
    "LF only": b"GET /api/v1/ping HTTP/1.1\nHost: x\n\n",
}
HEADS = {
    "no HTTP": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64)),
    "no version": b"GET /\r\n\r\n",
    "HTTP/3.0": b"GET /api/v1/ping HTTP/3.0\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "unknown method": b"FETCH /api/v1/ping HTTP/1.1\r\n\r\n",
    "lower-case method": b"get /api/v1/ping HTTP/1.1\r\n\r\n",
    "CONNECT": b"CONNECT example.org:443 HTTP/1.1\r\n\r\n",
    "101 headers": b"GET /api/v1/ping HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n",
    "path of 9,000 bytes": b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n",
    "path beyond ASCII": b"GET /\xff HTTP/1.1\r\n\r\n",
    "space in the path": b"GET /api/v1/ping x HTTP/1.1\r\n\r\n",
    "NUL in the path": b"GET /api/v1/ping\0 HTTP/1.1\r\n\r\n",
}
LINES = [
    *(Row("H7", name, send, *BROKEN, closes=True) for name, send in FRAMES.items()),
    *(Row("H12", name, send, *BROKEN, closes=True) for name, send in HEADS.items()),
    Row("H8", "a head without end", b"GET /api/v1/ping HTTP/1.1\r\nA: " + b"x" * 600_000, 400,
        BAD_REQUEST, "Request is too large", closes=True, times=10),
]  # fmt: skip

PATHS = [
    *(
        Row("H11", f"{method} {path}", request(method, path, body), *NOT_FOUND)
        for method, path, body in (
            ("GET", "/api/v1/nope", ""), ("GET", "/api/v1/ping/", ""), ("GET", "/API/V1/PING", ""),
            ("GET", "/api/v1/%70ing", ""), ("GET", "/api/v1/ping;x", ""),
            ("GET", "/api/v1/x/../ping", ""), ("GET", "/api/v1/./ping", ""),
            ("GET", "/api/v1/%2e%2e/v1/ping", ""), ("GET", "/api/v1/..%2fadmin", ""),
            ("GET", "/api/v1%2fping", ""), ("GET", "/api/v1\\ping", ""), ("GET", "/index.php", ""),
            ("POST", "/api/v1/order/", ORDER), ("POST", "/api/v1/Order", ORDER),
            ("POST", "/admin/v1/credit", "{}"), ("POST", "//admin/v1/credit", "{}"),
            ("GET", "/api//v1/../../admin/v1/x", ""), ("GET", "/admin", ""),
            ("GET", "/metrics", ""), ("GET", "/debug/pprof/", ""),
            ("GET", "/.env", ""), ("POST", "/api/v2/order", ORDER),
        )
    ),
    *(
        Row("H10", f"{method} {path}", request(method, path, body), *NO_METHOD)
        for method, path, body in (
            ("POST", "/api/v1/ping", "{}"), ("PUT", "/api/v1/order", ORDER),
            ("OPTIONS", "/api/v1/order", ""), ("TRACE", "/api/v1/order", ""),
            ("POST", "/api/v1/markets/SOL_USDC", "{}"), ("PATCH", "/api/v1/orders", "{}"),
            ("DELETE", "/api/v1/capital", ""), ("PUT", "//api//v1//order", ORDER),
        )
    ),
    *(
        Row("H11", f"{name} does not make it another method",
            request("PUT", "/api/v1/order", ORDER, headers={name: "POST"}), *NO_METHOD)
        for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")
    ),
    *(
        Row("H14", f"query {query[:12]}", request("GET", f"/api/v1/depth?{query}", who=""), 400,
            BAD_REQUEST, "Malformed query")
        for query in ("symbol=%ff", "symbol=%c1%93", "&".join(f"a{i}=1" for i in range(65)))
    ),
]  # fmt: skip

HTTP = [*BODIES, *LINES, *PATHS]
