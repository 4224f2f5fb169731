"""Pages beside the interface: another ASGI application on the same port."""

import asyncio

from fairbook.gateway.gateway import Gateway, Receive, Scope, Send
from fairbook.gateway.http_server import HttpServer
from tests.world.direct_exchange import small_exchange
from tests.world.running_exchange import NO_LIMITS, DictAccounts, RunningExchange


def test_pages_get_what_is_not_of_the_interface() -> None:
    """Unknown paths of the interface stay JSON errors."""

    async def home(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["path"] == "/"
        headers = [(b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"home"})

    async def scene() -> None:
        exchange = small_exchange()
        gateway = Gateway(
            commands=exchange,
            queries=exchange,
            catalogue=exchange,
            accounts=DictAccounts(),
            limits=NO_LIMITS,
            pages=home,
        )
        venue = RunningExchange(exchange, gateway, HttpServer(gateway))
        venue.port = await venue.server.start("127.0.0.1", 0)
        client = await venue.connect()
        assert (await client.ask("GET", "/")).body == b"home"
        assert (await client.ask("GET", "/api/v1/ping")).body == b"pong"
        for path in ("/api/v1/nope", "//wapi/nope", "/admin/", "/auth/v1/nope"):
            assert (await client.ask("GET", path)).error()[0] == 404
        client.writer.close()
        await venue.server.stop(drain_s=1)

    asyncio.run(scene())
