"""Send each bad input to the WebSocket port of a running exchange: check answer, connection, state,
other connections and cost.

As in test_bad_input.py. A row that closes its connection gets a new one each time. Another
connection is asked after each row and must answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.badinput.rows_ws import WS, Accepted, Answer, Closed, Error, Refused, WsRow
from tests.badinput.rows_ws_orders import WS_ORDERS
from tests.badinput.summary import WS_COSTS
from tests.badinput.target import Target
from tests.world.socket_client import SocketClient
from tests.world.ws_frames import CLOSE, FIN, frame, says

ROWS = [*WS, *WS_ORDERS]
PROBE = says(id="probe", method="SUBSCRIBE", params=[])


@pytest.fixture(scope="module")
def other(target: Target) -> Iterator[SocketClient]:
    """A connection that behaves well."""
    socket = target.socket().upgrade(target.known.tokens["other"])
    target.sockets.clear()
    target.replayed.catch_up()
    yield socket
    socket.close()


@pytest.fixture(autouse=True)
def closed(target: Target, other: SocketClient) -> Iterator[None]:
    """Close what a test opened."""
    yield
    while target.sockets:
        target.sockets.pop().close()


def named(row: WsRow) -> str:
    """The test id of a row."""
    return f"ws {row.id} {row.name}".encode("ascii", "backslashreplace").decode()[:70]


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_bad_input(row: WsRow, target: Target, other: SocketClient) -> None:
    before = target.replayed.state
    commands = target.replayed.commands
    inputs = [row.send if isinstance(row.send, bytes) else row.send(target.known)
              for _ in range(row.times)]  # fmt: skip
    cpu_s = target.cpu_s()
    token = target.known.tokens[row.who] if row.who else ""
    if isinstance(row.outcome, Refused):
        for data in inputs:
            require_refused(row.outcome, target.socket(), data)
    elif isinstance(row.outcome, Closed):
        for data in inputs:
            require_closed(row.outcome, target.socket().upgrade(token), data)
    else:
        require_answered(row.outcome, target.socket().upgrade(token), inputs)
    cost_ms = (target.cpu_s() - cpu_s) * 1000 / row.times
    WS_COSTS[named(row)] = (row.times, cost_ms)
    other.send(says(id=row.name[:20], method="order.cancelOnDisconnect", params={"enabled": False}))
    assert other.text() == {"id": row.name[:20], "status": 200, "result": {"enabled": False}}
    assert target.replayed.catch_up() == before, "the state changed"
    assert target.replayed.commands == commands + (row.times if row.logged else 0)
    assert cost_ms < row.cpu_ms


def require_refused(outcome: Refused, socket: SocketClient, data: bytes) -> None:
    """An HTTP error in JSON, and then the end of the connection."""
    socket.send(data)
    status, headers, body = socket.response()
    assert headers["content-type"] == "application/json; charset=utf-8"
    found = json.loads(body)
    assert (status, found["code"]) == (outcome.status, outcome.code), found
    assert list(found) == ["code", "message"] and outcome.message in found["message"], found
    assert socket.ends()
    socket.close()


def require_closed(outcome: Closed, socket: SocketClient, data: bytes) -> None:
    """A Close frame with the code; the connection ends as soon as it is answered."""
    socket.send(data)
    code, reason = socket.closed()
    assert code == outcome.code, reason
    socket.send(frame(b"\x03\xe8", FIN | CLOSE))
    assert socket.ends()
    socket.close()


def require_answered(
    outcome: Error | Answer | Accepted, socket: SocketClient, inputs: list[bytes]
) -> None:
    """An answer each time, and one to the next frame too."""
    socket.send(b"".join(inputs))
    for _ in inputs:
        found = socket.text()
        if isinstance(outcome, Accepted):
            assert found == outcome.text
        elif isinstance(outcome, Error):
            assert list(found) == ["id", "error"], found
            assert found["id"] == outcome.request_id, found
            assert found["error"]["code"] == outcome.code, found
            assert outcome.message in found["error"]["message"], found
        else:
            assert list(found) == ["id", "status", "error"], found
            assert (found["id"], found["status"]) == (1, outcome.status), found
            assert found["error"]["code"] == outcome.code, found
            assert outcome.message in found["error"]["message"], found
    socket.send(PROBE)
    assert socket.text() == {"id": "probe", "result": None}
    socket.close()


def test_every_id_of_the_list_has_a_row() -> None:
    """Every id of the list that a frame can be has a row."""
    orders = {row.id for row in WS_ORDERS}
    numbers = {"N": (*range(1, 11), 13, 14, 16), "H": (3, 4, 5), "C": (1, 2, 3, 6),
               "A": (9, 10, 13)}  # fmt: skip
    assert orders == {f"{kind}{n}" for kind, all_of in numbers.items() for n in all_of} | {"W10"}
    assert {row.id for row in WS} == {"C5", *(f"W{n}" for n in (1, 2, 3, 4, 6, 7, 8, 11))}
    assert len({(row.id, row.name) for row in ROWS}) == len(ROWS) >= 800
