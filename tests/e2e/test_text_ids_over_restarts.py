"""A text as client id stays with its order over restarts: in answers, streams and history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairbook.history.sqlite_store import FILE_NAME
from tests.world.commands import run_fairbook
from tests.world.exchange_process import ExchangeProcess
from tests.world.http_client import bid
from tests.world.socket_client import SocketClient
from tests.world.ws_frames import says

TEXTS = ["killed", "stopped", "recorded/again"]


def test_texts_of_open_orders_survive_restarts(tmp_path: Path) -> None:
    """Orders are placed, and closed by a later process: after a kill, after a stop, which writes
    the snapshot that the recorder begins with, and after the history is removed.
    """
    with ExchangeProcess(tmp_path) as venue:
        ids = {text: place(venue, text) for text in (*TEXTS, "open")}
        for text, restart in zip(TEXTS, (killed, stopped, forgotten), strict=True):
            restart(venue)
            assert {order["clientId"] for order in get(venue, "/api/v1/orders")} == {
                *TEXTS[TEXTS.index(text) :], "open",
            }  # fmt: skip
            socket = watching(venue)
            cancel(venue, ids[text])
            update = socket.text()["data"]
            socket.close()
            assert (update["e"], update["c"]) == ("orderCancelled", text)
        for text, order_id in ids.items():
            (row,) = get(venue, f"/wapi/v1/history/orders?clientOrderId={text}")
            assert (row["id"], row["clientId"]) == (order_id, text)
            assert row["status"] == ("New" if text == "open" else "Cancelled")
        venue.stop()
    done = run_fairbook("verify", tmp_path)
    assert done.returncode == 0, done.stderr


def killed(venue: ExchangeProcess) -> None:
    get(venue, "/wapi/v1/history/orders")  # Everything is recorded.
    venue.kill()
    venue.start()


def stopped(venue: ExchangeProcess) -> None:
    venue.stop()
    venue.start()


def forgotten(venue: ExchangeProcess) -> None:
    venue.stop()
    for ending in ("", "-wal", "-shm"):
        Path(f"{venue.folder / FILE_NAME}{ending}").unlink(missing_ok=True)
    venue.start()


def watching(venue: ExchangeProcess) -> SocketClient:
    """A new subscriber of the account's orders. It learns their texts from the engine's state."""
    socket = SocketClient(venue.ws_port).upgrade(venue.demo("demo1")["token"])
    socket.send(says(id=1, method="SUBSCRIBE", params=["account.orderUpdate"]))
    assert socket.text() == {"id": 1, "result": None}
    return socket


def get(venue: ExchangeProcess, path: str) -> Any:
    rest = venue.rest()
    try:
        return rest.expect(200, "GET", path)
    finally:
        rest.close()


def place(venue: ExchangeProcess, text: str) -> str:
    rest = venue.rest()
    order = rest.expect(200, "POST", "/api/v1/order", bid("50", "0.1", clientOrderId=text))
    rest.close()
    assert order["clientId"] == text
    return str(order["id"])


def cancel(venue: ExchangeProcess, order_id: str) -> None:
    """By order id: the event of it has no text."""
    rest = venue.rest()
    named = {"symbol": "SOL_USDC", "orderId": order_id}
    order = rest.expect(200, "DELETE", "/api/v1/order", named)
    rest.close()
    assert order["clientId"] in TEXTS
