"""The web pages: files of the build, served from memory.

Design: `npm run build` in web/ writes index.html and assets/ to page/, and the operators' page to
admin/page/, each file also compressed (.br, .gz). Names in assets/ have a hash of their content, so
clients keep them for ever; index.html is asked for again each time. Paths of the page's own screens
all answer index.html.

Source of the headers: Content Security Policy level 3, Trusted Types.
"""

from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from fairbook.gateway.request import Endpoint, Endpoints, Reply, Request, always
from fairbook.gateway.routes import Routes

FOLDER: Final = Path(__file__).with_name("page")
SCREENS: Final = (
    "markets", "portfolio", "keys", "account", "transparency", "docs", "sign-up", "log-in",
)  # fmt: skip
CONTENT_TYPES: Final = {
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".txt": b"text/plain; charset=utf-8",
    ".webmanifest": b"application/manifest+json",
}
POLICY: Final = (
    b"default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self';"
    b" frame-ancestors 'none'; require-trusted-types-for 'script'"
)
SECURITY: Final = (
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
VARY: Final = (b"vary", b"accept-encoding")
FOREVER: Final = (b"cache-control", b"public, max-age=31536000, immutable")
EACH_TIME: Final = (b"cache-control", b"no-cache")
MISSING: Final = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Fairbook</title>
<h1>The page is not built</h1>
<p>The exchange runs: its API is at /api/v1, <a href="/openapi.json">described here</a>.
<p>With Node.js 20.19 or newer, <code>./dev up</code> builds the page at the next start.
</html>
"""


class PageFile(NamedTuple):
    """One file. `compressed`: (coding, reply), best first."""

    plain: Reply
    compressed: tuple[tuple[bytes, Reply], ...]

    def reply(self, request: Request) -> Reply:
        accepted = request.headers.get(b"accept-encoding", b"")
        codings = {each.strip() for each in accepted.lower().split(b",")}
        for coding, reply in self.compressed:
            if coding in codings:
                return reply
        return self.plain


def page_routes(folder: Path = FOLDER) -> Routes:
    """Routes of the public page: its files, and its screens, which are all index.html."""
    endpoints = file_endpoints(folder)
    index = endpoints[b"GET", b"/"]
    screens = {(b"GET", f"/{name}".encode()): index for name in SCREENS}
    return Routes(endpoints | screens, {(b"GET", b"/trade/"): index})


def file_endpoints(folder: Path) -> Endpoints:
    """Endpoints of the files of a page, which are read now; index.html, or a text that there is no
    page, answers "/". Files cost nothing, so they take no tokens.
    """
    missing = Endpoint(always(_reply(MISSING, ".html", EACH_TIME)), is_metered=False)
    endpoints: Endpoints = {(b"GET", b"/"): missing}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in CONTENT_TYPES:
            name = path.relative_to(folder).as_posix()
            age = FOREVER if name.startswith("assets/") else EACH_TIME
            name = "" if name == "index.html" else name
            endpoints[b"GET", f"/{name}".encode()] = _endpoint(path, age)
    return endpoints


def _endpoint(path: Path, age: tuple[bytes, bytes]) -> Endpoint:
    compressed = []
    for coding, suffix in ((b"br", ".br"), (b"gzip", ".gz")):
        other = path.with_name(path.name + suffix)
        if other.is_file():
            encoding = (b"content-encoding", coding)
            compressed.append((coding, _reply(other.read_bytes(), path.suffix, age, encoding)))
    file = PageFile(_reply(path.read_bytes(), path.suffix, age), tuple(compressed))
    return Endpoint(partial(PageFile.reply, file), is_metered=False)


def _reply(body: bytes, suffix: str, *headers: tuple[bytes, bytes]) -> Reply:
    content_type = (b"content-type", CONTENT_TYPES[suffix])
    return Reply(body, content_type=content_type, headers=(*headers, VARY, *SECURITY))
