"""Find the endpoint of a request: paths match byte for byte, but for doubled slashes."""

from httptools import HttpParserError, parse_url

from fairbook.api.errors import not_found
from fairbook.gateway.request import Endpoint, Endpoints, MethodNotAllowed


class Routes:
    """The endpoints of one port. `under`: of paths whose last part is a name, by method and the
    path before the name.
    """

    def __init__(self, endpoints: Endpoints, under: Endpoints | None = None) -> None:
        self.endpoints = endpoints
        self.under = under or {}

    def extended(self, more: "Routes") -> "Routes":
        """With those of `more`, which replace equal ones."""
        return Routes(self.endpoints | more.endpoints, self.under | more.under)

    def find(self, method: bytes, url: bytes) -> tuple[Endpoint, bytes, bytes]:
        """The endpoint of a request, its path and its query. Raises 404, 405; HttpParserError for
        a malformed URL.
        """
        if method == b"HEAD":
            method = b"GET"  # The server leaves out the body.
        endpoint = self.endpoints.get((method, url))
        if endpoint is not None:
            return endpoint, url, b""
        parsed = parse_url(url)
        path = parsed.path
        if not path or not path.isascii():
            raise HttpParserError("no path")
        while b"//" in path:
            path = path.replace(b"//", b"/")
        tables = [(self.endpoints, path)]
        parent, _, name = path.rpartition(b"/")
        if name:
            tables.append((self.under, parent + b"/"))
        for endpoints, key in tables:
            endpoint = endpoints.get((method, key))
            if endpoint is not None:
                return endpoint, path, parsed.query or b""
            allowed = {m.decode() for m, known in endpoints if known == key}
            if allowed:
                raise MethodNotAllowed(sorted(allowed | ({"HEAD"} if "GET" in allowed else set())))
        raise not_found()
