"""Orders over WebSocket in a whole process: the order of messages, and a kill or stop."""

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

ALONE = ("--no-replica", "--no-recorder")
ORDER = {"symbol": "SOL_USDC", "side": "Bid", "orderType": "Limit", "quantity": "0.01"}


async def place_over_socket(venue: ExchangeProcess, end: Any) -> None:
    """Place one order that stays and two in a session; then call `end`, still connected."""
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
        await asyncio.gather(asyncio.to_thread(end), socket.receive())


def own_orders(venue: ExchangeProcess) -> list[int]:
    """Client ids of the open orders that this test placed."""
    rest = venue.rest()
    orders = rest.call("GET", "/api/v1/orders").body
    rest.close()
    return sorted(order["clientId"] for order in orders if order["clientId"] is not None)


def session_ends(folder: Path) -> list[int]:
    """The ended sessions, in the order of the log."""
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
def test_orders_are_cancelled_when_the_process_ends(tmp_path: Path, ending: str) -> None:
    """After a kill the next process cancels them by its BEGIN_GATEWAY, before it listens; at a stop
    this one ends the session.
    """
    venue = ExchangeProcess(tmp_path, *ALONE)
    with venue:
        asyncio.run(place_over_socket(venue, venue.kill if ending == "kill" else venue.stop))
        venue.start()
        assert own_orders(venue) == [1]
        venue.kill()
        assert session_ends(tmp_path) == ([] if ending == "kill" else [1])


IN_FLIGHT = 800
BEFORE_STOP = 1_000  # answers


async def keep_ordering(venue: ExchangeProcess) -> set[int]:
    """Keep orders in flight while the exchange stops; return the accepted client ids."""
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


def test_a_stop_answers_the_orders_in_flight(tmp_path: Path) -> None:
    """Every logged order is answered."""
    venue = ExchangeProcess(tmp_path, *ALONE)
    with venue:
        taken = asyncio.run(keep_ordering(venue))
        assert venue.wait() == 0
        venue.start()
        assert len(taken) >= BEFORE_STOP
        assert own_orders(venue) == sorted(taken)


async def messages_after_an_order(venue: ExchangeProcess) -> list[Any]:
    """Answers and stream updates after an order, in the order of arrival."""
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


def test_an_answer_comes_before_its_stream_updates(tmp_path: Path) -> None:
    """Streams are folded and sent after the answers."""
    with ExchangeProcess(tmp_path, *ALONE) as venue:
        answer, *streams = asyncio.run(messages_after_an_order(venue))
        assert answer == 2
        assert sorted(streams) == ["account.orderUpdate", "depth.SOL_USDC"]
