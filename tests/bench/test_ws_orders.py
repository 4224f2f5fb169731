"""The bench of orders over WebSocket: the same lanes as over HTTP, every answer as it should be.

Its figures are not looked at.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.orders_flow import BUY, CANCEL, SELL, Flow
from bench.ws_load import NumberedLane, SocketTrader, frame
from tests.bench.test_orders import TIMEOUT_S, can_run


def _traders() -> tuple[SocketTrader, SocketTrader]:
    def trader(number: int) -> SocketTrader:
        seed = base64.b64encode(bytes([number]) * 32).decode()
        return SocketTrader.of({"apiKey": "", "apiSecret": seed, "token": f"token{number}"})

    return trader(1), trader(2)


def test_a_request_goes_over_a_connection_of_its_account() -> None:
    """Pairs trade between the two; whatever else a lane asks for is its owner's."""
    traders = _traders()
    for number in (0, 1):
        lane = NumberedLane(number=number)
        lane.steps = Flow(traders, seed=1).m1(number, 200, signed=False, seconds=1.0)
        asked: dict[int, set[int]] = {0: set(), 1: set()}
        for at, step in enumerate(lane.steps):
            lane.at = at
            message = json.loads(b'{"id":1,' + step.request)
            is_cancel = step.kind == CANCEL
            assert message["method"] == ("order.cancel" if is_cancel else "order.place")
            assert message["params"]["clientId"] == step.client_id
            asked[lane.trader()].add(step.kind)
        assert asked[1 - number] == {BUY if number == 0 else SELL}


@pytest.mark.parametrize("size", [0, 125, 126, 4000])
def test_a_frame_is_masked_with_zero(size: int) -> None:
    """So what is sent is the text as it is, behind 6 or 8 bytes."""
    made = frame(b"x" * size)
    head = 6 if size <= 125 else 8
    assert made[:2] == bytes((0x81, 0x80 | (size if size <= 125 else 126)))
    assert made[head - 4 :] == bytes(4) + b"x" * size


@pytest.mark.skipif(not can_run(), reason="needs Linux and two processors")
def test_a_quick_run_writes_its_tables(tmp_path: Path) -> None:
    """Every answer is checked by the bench itself, which else ends with 1."""
    file = tmp_path / "figures.md"
    file.write_text("<!-- figures of bench ws-orders -->\n<!-- end of figures -->\n")
    command = [sys.executable, "-m", "bench", "ws-orders", "--quick"]
    command += ["--write", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    text = file.read_text()
    assert " 0 of them not as they should be." in text
    for row in ("| HTTP, bearer | 32 | ", "| WebSocket | 2 | ", "| WebSocket | 8 | "):
        assert row in text
