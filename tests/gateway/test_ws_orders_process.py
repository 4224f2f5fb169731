"""Orders over WebSocket through a whole process: what is said when, and what is left of them when
it is killed, or told to stop.
"""

import asyncio
import json
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fairbook.core import records
from fairbook.log.file_log import FileLog
from tests.world.exchange_process import ExchangeProcess

ORDER = {"symbol": "SOL_USDC", "side": "Bid", "orderType": "Limit", "quantity": "0.01"}


async def place_over_socket(venue: ExchangeProcess, end: Any) -> None:
    """One order that stays, two that go with the connection; then `end`, while it is open."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(venue.ws_url) as socket,
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


def own_orders(venue: ExchangeProcess) -> list[int]:
    """Client ids of the open orders that this test placed."""
    rest = venue.rest()
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
    venue = ExchangeProcess(tmp_path)
    with venue:
        asyncio.run(place_over_socket(venue, venue.kill if ending == "kill" else venue.stop))
        venue.start()
        assert own_orders(venue) == [1]
        venue.kill()
        assert session_ends(tmp_path) == [1]


IN_FLIGHT = 800
BEFORE_STOP = 1_000  # answers


async def pour(venue: ExchangeProcess) -> set[int]:
    """Keep orders in flight, and have the exchange stop meanwhile; the client ids of those that it
    said it had taken.
    """
    taken: set[int] = set()
    sent = answered = 0
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(venue.ws_url) as socket,
    ):
        await socket.send_json(
            {"method": "LOGIN", "params": {"token": venue.demo("demo1")["token"]}}
        )
        while True:
            while sent - answered < IN_FLIGHT and not socket.closed:
                sent += 1
                params = ORDER | {"price": "130", "clientId": sent}
                with suppress(ConnectionError):
                    await socket.send_json({"id": sent, "method": "order.place", "params": params})
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                return taken
            answer = json.loads(message.data)
            answered += 1
            if answered == BEFORE_STOP:
                venue.signal(signal.SIGTERM)
            if answer["status"] == 200:
                taken.add(answer["id"])
            else:
                assert answer["error"]["code"] == "MAINTENANCE", answer


def test_a_stop_answers_what_is_in_flight(tmp_path: Path) -> None:
    """Nobody is left without an answer to an order that was taken."""
    venue = ExchangeProcess(tmp_path)
    with venue:
        taken = asyncio.run(pour(venue))
        assert venue.wait() == 0
        venue.start()
        assert len(taken) >= BEFORE_STOP
        assert own_orders(venue) == sorted(taken)


async def first_heard(venue: ExchangeProcess) -> list[Any]:
    """What follows an order, for a client that also listens: ids and streams, in their order."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(venue.ws_url) as socket,
    ):
        await socket.send_json(
            {"method": "LOGIN", "params": {"token": venue.demo("demo1")["token"]}}
        )
        names = ["account.orderUpdate", "depth.SOL_USDC"]
        await socket.send_json({"id": 1, "method": "SUBSCRIBE", "params": names})
        for _ in range(14):  # The answer; twelve empty deltas of depth, and that of the ladder.
            await socket.receive_json()
        await socket.send_json({"id": 2, "method": "order.place", "params": ORDER | {"price": "1"}})
        heard = [await socket.receive_json() for _ in range(3)]
        return [message.get("stream", message.get("id")) for message in heard]


def test_an_answer_comes_before_what_streams_say_of_it(tmp_path: Path) -> None:
    """Orders come first: streams are folded and sent after them."""
    with ExchangeProcess(tmp_path) as venue:
        answer, *streams = asyncio.run(first_heard(venue))
        assert answer == 2
        assert sorted(streams) == ["account.orderUpdate", "depth.SOL_USDC"]
