"""Cancel on disconnect through a whole process that is killed, or told to stop."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fairbook.core import records
from fairbook.log.files import FileLog
from tests.e2e.rest import Rest
from tests.e2e.venue import Venue

ORDER = {"symbol": "SOL_USDC", "side": "Bid", "orderType": "Limit", "quantity": "0.01"}


async def place_over_socket(venue: Venue, end: Any) -> None:
    """One order that stays, two that go with the connection; then `end`, while it is open."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"ws://127.0.0.1:{venue.ws_port}/") as socket,
    ):
        frames: list[tuple[str, Any]] = [
            ("LOGIN", {"token": venue.demo("demo1")["token"]}),
            ("order.place", ORDER | {"price": "130", "clientId": 1}),
            ("order.cancelOnDisconnect", {"enabled": True}),
            ("order.place", ORDER | {"price": "131", "clientId": 2}),
            ("order.place", ORDER | {"price": "132", "clientId": 3}),
        ]
        for number, (method, params) in enumerate(frames):
            await socket.send_str(json.dumps({"id": number, "method": method, "params": params}))
        answers = [json.loads(await socket.receive_str()) for _ in frames]
        assert not any("error" in answer for answer in answers), answers
        end()


def own_orders(venue: Venue) -> list[int]:
    """Client ids of the open orders that this test placed."""
    rest = Rest(venue.http_port, venue.demo("demo1")["token"])
    orders = rest.call("GET", "/api/v1/orders").body
    rest.close()
    return sorted(order["clientId"] for order in orders if order["clientId"] is not None)


def session_ends(folder: Path) -> list[int]:
    """The sessions that were ended, in the order of the log."""
    log = FileLog(folder)
    try:
        frames = [entry.frame for entry in log.read(1)]
    finally:
        log.close()
    size = records.COMMAND_BYTES
    commands = [frame[at : at + size] for frame in frames for at in range(0, len(frame), size)]
    return [
        records.read_placed(command).session
        for command in commands
        if command[0] == records.END_SESSION
    ]


@pytest.mark.parametrize("ending", ["kill", "stop"])
def test_orders_do_not_outlive_their_connection(tmp_path: Path, ending: str) -> None:
    """Killed, the next process ends them before anybody is heard; told to stop, this one does. In
    both cases it is logged once.
    """
    venue = Venue(tmp_path)
    with venue:
        asyncio.run(place_over_socket(venue, venue.kill if ending == "kill" else venue.stop))
        venue.start()
        assert own_orders(venue) == [1]
        venue.kill()
        assert session_ends(tmp_path) == [1]
