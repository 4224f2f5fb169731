"""Cross-origin requests: which pages may read answers over HTTP, by the rule of the streams.

No credentials of a browser are allowed: there are no cookies, and a token is a header of its own.
"""

from collections.abc import Collection
from typing import Final

from fairbook.gateway.request import Endpoint, Reply, always
from fairbook.net.origins import may_connect

Headers = tuple[tuple[bytes, bytes], ...]

_VARY: Final = (b"vary", b"Origin")
_EXPOSED: Final = (
    b"access-control-expose-headers",
    b"Date, Retry-After, Preference-Applied, X-Request-Id, X-Fairbook-Position",
)
_ALLOWED: Final = (
    (b"access-control-allow-methods", b"GET, HEAD, POST, PATCH, DELETE"),
    (
        b"access-control-allow-headers",
        b"Authorization, Content-Type, Prefer, X-API-Key, X-Signature, X-Timestamp, X-Window",
    ),
    (b"access-control-max-age", b"600"),
)
PREFLIGHT: Final = Endpoint(always(Reply(b"", 204, headers=_ALLOWED)))


def cors_headers(origin: bytes, host: bytes | None, origins: Collection[str]) -> Headers:
    """What is added to the answer of a request with this Origin."""
    if not may_connect(origin, host, origins):
        return (_VARY,)
    return (_VARY, (b"access-control-allow-origin", origin), _EXPOSED)


def is_preflight(method: bytes, headers: dict[bytes, bytes]) -> bool:
    return method == b"OPTIONS" and b"access-control-request-method" in headers
