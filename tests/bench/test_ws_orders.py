"""The bench of orders over WebSocket: the same lanes as over HTTP, and a quick run."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from bench.order_mix import BUY, CANCEL, SELL, SOCKET, Mix, Trader, frame
from tests.bench.quick import needs_two_processors, quick_run


def _traders() -> tuple[Trader, Trader]:
    def trader(number: int) -> Trader:
        seed = base64.b64encode(bytes([number]) * 32).decode()
        return Trader({"apiKey": "", "apiSecret": seed, "token": f"token{number}"})

    return trader(1), trader(2)


def test_a_request_goes_over_a_connection_of_its_account() -> None:
    """Pairs trade between the two; everything else is asked for by the lane's owner."""
    for number in (0, 1):
        asked: dict[int, set[int]] = {0: set(), 1: set()}
        for step in Mix(_traders(), seed=1).m1(number, 200, way=SOCKET):
            message = json.loads(step.request[step.request.index(b"{") :])
            assert message["id"] == number
            is_cancel = step.kind == CANCEL
            assert message["method"] == ("order.cancel" if is_cancel else "order.place")
            assert message["params"]["clientId"] == step.client_id
            asked[step.trader].add(step.kind)
        assert asked[1 - number] == {BUY if number == 0 else SELL}


@pytest.mark.parametrize("size", [0, 125, 126, 4000])
def test_a_frame_is_masked_with_zero(size: int) -> None:
    """So the payload is sent as it is, behind 6 or 8 bytes."""
    made = frame(b"x" * size)
    head = 6 if size <= 125 else 8
    assert made[:2] == bytes((0x81, 0x80 | (size if size <= 125 else 126)))
    assert made[head - 4 :] == bytes(4) + b"x" * size


@needs_two_processors
def test_a_quick_run_writes_its_tables(tmp_path: Path) -> None:
    text = quick_run(tmp_path, "ws-orders")
    assert " 0 of them wrong." in text
    for row in ("| HTTP, bearer | 32 | ", "| WebSocket | 2 | ", "| WebSocket | 8 | "):
        assert row in text
