"""Static files beside the API, from a table in memory."""

from fairbook.gateway.request import Reply
from tests.world.http_client import HttpClient
from tests.world.running_exchange import NO_LIMITS, Extras, RunningExchange, with_exchange

HTML = (b"content-type", b"text/html; charset=utf-8")
SCRIPT = (b"content-type", b"text/javascript")
PAGES = {
    "/": Reply(b"home", content_type=HTML),
    "/app.js": Reply(
        b"x" * 2_000_000, content_type=SCRIPT, headers=((b"cache-control", b"no-cache"),)
    ),
}


@with_exchange(
    NO_LIMITS._replace(address_per_minute=1, address_burst=10), extras=Extras(pages=PAGES)
)
async def test_static_files_are_served_beside_the_api(
    venue: RunningExchange, client: HttpClient
) -> None:
    """GET and HEAD, whatever the rate limit and the query; other paths stay JSON errors."""
    for _ in range(20):
        page = await client.ask("GET", "/")
        assert (page.status, page.body) == (200, b"home")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
    script = await client.ask("GET", "//app.js?v=%ff")
    assert script.body == b"x" * 2_000_000
    assert script.headers["cache-control"] == "no-cache"
    await client.send(b"HEAD /app.js HTTP/1.1\r\nHost: x\r\n\r\n")
    head = await client.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n") and b"content-length: 2000000\r\n" in head
    assert (await client.ask("GET", "/api/v1/ping")).body == b"pong"
    refused = await client.ask("POST", "/app.js")
    assert (refused.status, refused.headers["allow"]) == (405, "get, head")
    for path in ("/api/v1/nope", "//wapi/nope", "/admin/", "/auth/v1/nope", "/nope.html"):
        assert (await client.ask("GET", path)).error()[0] == 404
