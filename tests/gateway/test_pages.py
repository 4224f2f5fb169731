"""The web page: files of a build beside the API, from memory."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from fairbook.gateway.page_files import SCREENS, page_routes
from tests.world.http_client import HttpClient
from tests.world.running_exchange import NO_LIMITS, Extras, run_exchange

SCRIPT = b"let a = 1;" * 200_000
ONE_A_MINUTE = NO_LIMITS._replace(address_per_minute=1, address_burst=10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_bytes(b"<!doctype html>home")
    (tmp_path / "NOTICE.txt").write_bytes(b"notice")
    (tmp_path / "assets" / "app-1a2b.js").write_bytes(SCRIPT)
    (tmp_path / "assets" / "app-1a2b.js.gz").write_bytes(gzip.compress(SCRIPT, mtime=0))
    (tmp_path / "assets" / "app-1a2b.js.br").write_bytes(b"as brotli")
    (tmp_path / "assets" / "app-1a2b.js.map").write_bytes(b"{}")
    return tmp_path


async def test_files_are_served_beside_the_api(folder: Path) -> None:
    """GET and HEAD, whatever the rate limit and the query; other paths stay JSON errors."""
    extras = Extras(more=page_routes(folder))
    async with run_exchange(ONE_A_MINUTE, extras=extras) as venue:
        client = await venue.connect()
        for name in ("", "trade/SOL_USDC", "markets", "keys?x=1", *SCREENS):
            page = await client.ask("GET", f"/{name}")
            assert (page.status, page.body) == (200, b"<!doctype html>home"), name
            assert page.headers["content-type"] == "text/html; charset=utf-8"
            assert page.headers["cache-control"] == "no-cache"
            policy = page.headers["content-security-policy"]
            assert "default-src 'self'" in policy and "require-trusted-types-for" in policy
            assert page.headers["x-content-type-options"] == "nosniff"
        assert (await client.ask("GET", "/NOTICE.txt")).headers["cache-control"] == "no-cache"
        refused = await client.ask("POST", "/markets")
        assert (refused.status, refused.headers["allow"]) == (405, "get, head")
        assert (await client.ask("GET", "/api/v1/ping")).body == b"pong"
        others = ("/api/v1/nope", "//wapi/nope", "/admin/", "/auth/v1/nope", "/nope.html")
        hidden = ("/assets/app-1a2b.js.br", "/assets/app-1a2b.js.map", "/assets/../index.html")
        for path in (*others, *hidden):
            assert (await client.ask("GET", path)).error()[0] == 404, path


@pytest.mark.parametrize(
    ("accepted", "coding", "body"),
    [
        ("gzip, deflate, br", "br", b"as brotli"),
        ("gzip", "gzip", gzip.compress(SCRIPT, mtime=0)),
        ("identity", None, SCRIPT),
    ],
)
async def test_a_file_comes_as_the_client_takes_it(
    folder: Path, accepted: str, coding: str | None, body: bytes
) -> None:
    async with run_exchange(extras=Extras(more=page_routes(folder))) as venue:
        client: HttpClient = await venue.connect()
        url = "/assets/app-1a2b.js"
        reply = await client.ask("GET", url, headers={"Accept-Encoding": accepted})
        assert reply.headers.get("content-encoding") == coding
        assert reply.body[:9] == body[:9] and len(reply.body) == len(body)
        assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert reply.headers["vary"] == "accept-encoding"


async def test_without_a_build_the_page_says_so(tmp_path: Path) -> None:
    async with run_exchange(extras=Extras(more=page_routes(tmp_path))) as venue:
        client = await venue.connect()
        for path in ("/", "/trade/SOL_USDC"):
            page = await client.ask("GET", path)
            assert page.status == 200 and b"The page is not built" in page.body
