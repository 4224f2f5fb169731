"""Pages beside the interface: another ASGI application on the same port."""

from fairbook.gateway.gateway import Receive, Scope, Send
from tests.world.http_client import HttpClient
from tests.world.running_exchange import Extras, RunningExchange, play


def test_pages_get_what_is_not_of_the_interface() -> None:
    """Unknown paths of the interface stay JSON errors."""

    async def home(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["path"] == "/"
        headers = [(b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"home"})

    async def story(venue: RunningExchange, client: HttpClient) -> None:
        assert (await client.ask("GET", "/")).body == b"home"
        assert (await client.ask("GET", "/api/v1/ping")).body == b"pong"
        for path in ("/api/v1/nope", "//wapi/nope", "/admin/", "/auth/v1/nope"):
            assert (await client.ask("GET", path)).error()[0] == 404

    play(story, extras=Extras(pages=home))
