"""Bad input that takes several frames, or time: subscription storms, the subscription limit,
unfinished handshakes, expiring tokens, clients that stop reading.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fairbook.net import control_socket as control
from tests.badinput.rows import order_json
from tests.badinput.rows_ws import subscribing
from tests.badinput.target import Target
from tests.world.socket_client import SocketClient
from tests.world.waiting import wait_until
from tests.world.ws_frames import FIN, PONG, TEXT, frame, head, says

SYMBOLS = ("SOL_USDC", "BTC_USDC", "ETH_USDC")
INTERVALS = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d",
             "1w", "1month")  # fmt: skip
NAMES = [
    *(f"{kind}.{symbol}" for symbol in SYMBOLS
      for kind in ("depth", "depth.200ms", "depth.1000ms", "bookTicker", "trade", "ticker")),
    *(f"kline.{interval}.{symbol}" for symbol in SYMBOLS for interval in INTERVALS),
]  # fmt: skip
BUFFERED_MAX = 64 * 1024 + 256 * 1024  # of one client: docs/reference/streams.md


@pytest.fixture(autouse=True)
def closed(target: Target) -> Iterator[None]:
    """Close what a test opened."""
    target.watches["fleeting"].wait()
    yield
    while target.sockets:
        target.sockets.pop().close()


def streams(target: Target) -> dict[str, Any]:
    """The `streams` part of the exchange's status."""
    found: dict[str, Any] = control.ask(target.venue.folder, "status")["streams"]
    return found


def until_left(target: Target) -> None:
    """Wait until no subscription is left."""
    wait_until(lambda: not streams(target)["subscriptions"], lambda: streams(target))


def until_told(socket: SocketClient, request_id: object) -> list[Any]:
    """All texts up to the successful answer to this request."""
    texts = []
    while (text := socket.text()) != {"id": request_id, "result": None}:
        assert "error" not in text, text
        texts.append(text)
    return texts


def test_w7_storms_of_subscriptions(target: Target) -> None:
    """In any order and number: no error, nothing left behind by clients that disconnect; a client
    that is too fast is closed.
    """
    chance = random.Random(7)
    for number in range(30):
        socket = target.socket().upgrade()
        frames = []
        for _ in range(39):
            method = chance.choice(("SUBSCRIBE", "SUBSCRIBE", "UNSUBSCRIBE"))
            names = [chance.choice(NAMES) for _ in range(chance.randrange(1, 40))]
            frames.append(says(method=method, params=names))
        socket.send(b"".join(frames) + says(id="last", method="UNSUBSCRIBE", params=NAMES))
        if number % 3:
            until_told(socket, "last")  # The others are gone in the middle of it.
        socket.close()
    quick = target.socket().upgrade()
    quick.send(b"".join(says(method="SUBSCRIBE", params=NAMES[n % 9 :]) for n in range(1000)))
    assert quick.closed() == (1008, "too many frames")
    until_left(target)
    assert streams(target)["channels"] == 0


def test_w3_the_limit_of_subscriptions(target: Target) -> None:
    """200 are kept when one more is refused; unsubscribing makes room."""
    socket = target.socket().upgrade()
    names = [f"stockPrice.{i}" for i in range(198)]
    socket.send(says(id=0, method="SUBSCRIBE", params=[*names, "depth.SOL_USDC", "liquidation"]))
    until_told(socket, 0)
    for request in range(1, 4):
        socket.send(
            says(
                id=request, method="SUBSCRIBE", params=["liquidation", "one.more", "trade.SOL_USDC"]
            )
        )
        told = socket.text()
        assert (told["id"], told["error"]["code"]) == (request, 4029)
    assert streams(target)["subscriptions"] == 1
    socket.send(says(method="UNSUBSCRIBE", params=["liquidation"]) + subscribing("trade.SOL_USDC"))
    until_told(socket, 1)
    assert streams(target)["subscriptions"] == 2


def test_odd_handshakes_that_are_accepted(target: Target) -> None:
    """Slashes, queries, unsupported extensions and protocols, and frames right behind the head."""
    hello = json.dumps({"id": 1, "method": "SUBSCRIBE", "params": []}, ensure_ascii=False).encode()
    for request in (
        head("/ws"),
        head("//ws?x=1"),
        head("///"),
        head("/?" + "x" * 5000),
        head(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits"),
        head(Sec_WebSocket_Protocol="chat, binary"),
        head(Connection="keep-alive, Upgrade"),
        head(Upgrade="WebSocket"),
        head(Cookie="a=b"),
        head(Origin="http://localhost:3000"),
        head(Origin="http://127.0.0.1:8001"),
        head(Content_Length="0"),
        head(lines=b"X: y\r\n" * 80),
    ):
        socket = target.socket()
        socket.send(request + frame(hello))
        status, headers, _ = socket.response()
        assert status == 101
        assert headers["sec-websocket-accept"] == "s3pplmbitxaq9kygzzhzrbk+xoo="
        assert not {"sec-websocket-extensions", "sec-websocket-protocol"} & headers.keys()
        assert socket.text() == {"id": 1, "result": None}
        socket.close()
    socket = target.socket().upgrade()
    text = '{"id":"\u20ac\U0001f600","method":"SUBSCRIBE","params":[]}'.encode()
    socket.send(frame(text[:1], TEXT))
    for at in range(1, len(text)):  # In the middle of characters too.
        socket.send(
            frame(text[at : at + 1], FIN * (at == len(text) - 1))
            + frame(b"", FIN | PONG) * (at == 9)
        )
    assert socket.text() == {"id": "\u20ac\U0001f600", "result": None}


def test_an_expired_token_closes_its_connection(target: Target) -> None:
    """Within about a second; a later login with it fails."""
    watch = target.watches["fleeting"].wait()
    assert watch.told == (1008, "key or token has ended")
    assert 0 <= watch.ended_s - target.fleeting_until_s < 3
    socket = target.socket().upgrade()
    socket.send(says(id=1, method="LOGIN", params={"token": target.known.tokens["fleeting"]}))
    assert socket.text()["error"] == {"code": 4002, "message": "Unauthorized"}


@pytest.mark.parametrize("name", ["silent", "slow", "lf"])
def test_an_unfinished_handshake_is_closed(target: Target, name: str) -> None:
    """After 5 s: silence, four bytes a second, or lines that end in LF alone."""
    watch = target.watches[name].wait()
    assert watch.told is True
    assert 4 < watch.ended_s - watch.began_s < 9


def trade(trader: SocketClient, orders: int) -> None:
    """Place and cancel this number of orders at different prices."""
    for i in range(orders):
        params = json.loads(order_json(price=f"{1 + i / 100:.2f}"))
        trader.send(says(id=i, method="order.place", params=params))
    trader.send(says(id="all", method="order.cancelAll", params={"symbol": "SOL_USDC"}))
    for i in (*range(orders), "all"):
        told = trader.text()
        assert (told["id"], told["status"]) == (i, 200)


def test_w5_clients_that_stop_reading(target: Target) -> None:
    """A client that reads no private updates is closed. Depth is merged: a client that stops
    reading continues later without a gap. Their buffers are bounded; other clients do not notice.
    """
    token = target.known.tokens["rich"]
    before = streams(target)["slowClosed"]
    stuck = target.socket(receive_bytes=4096).upgrade(token)
    stuck.send(subscribing("account.orderUpdate", "account.orderUpdate.SOL_USDC"))
    paused = target.socket(receive_bytes=4096).upgrade()
    paused.send(subscribing("depth.SOL_USDC"))
    fast, trader = target.socket().upgrade(), target.socket().upgrade(token)
    fast.send(subscribing("depth.SOL_USDC"))
    updates = [text["data"] for text in until_told(fast, 1)]
    deadline = time.monotonic() + 20
    most = 0
    while (found := streams(target))["slowClosed"] == before:
        assert time.monotonic() < deadline, found
        most = max(most, found["bufferedBytes"])
        trade(trader, 50)
    assert stuck.closed() == (1013, "slow consumer")
    assert 0 < most < 2 * (BUFFERED_MAX + 64 * 1024)
    while not (found := streams(target))["slow"]:
        assert time.monotonic() < deadline, found
        trade(trader, 280)
        target.replayed.catch_up()
        updates += until_update(fast, target.replayed.exchange.markets[1].update_id)
    assert found["slowClosed"] == before + 1
    for _ in range(5):
        trade(trader, 100)
    target.replayed.catch_up()
    last_id = target.replayed.exchange.markets[1].update_id
    updates += until_update(fast, last_id)
    merged = until_update(paused, last_id)
    assert len(merged) < len(updates)
    assert levels(merged) == levels(updates)


def until_update(socket: SocketClient, last_id: int) -> list[Any]:
    """The depth messages up to this id."""
    messages: list[Any] = []
    while not messages or messages[-1]["u"] < last_id:
        text = socket.text()
        if "stream" in text:
            messages.append(text["data"])
    assert messages[-1]["u"] == last_id
    return messages


def levels(messages: list[Any]) -> dict[tuple[str, str], str]:
    """The levels that changed since the first message; no id may be missing."""
    reached = messages[0]["U"] - 1
    found = {}
    for message in messages:
        assert message["U"] == reached + 1
        reached = message["u"]
        for side in "ab":
            for price, quantity in message[side]:
                found[side, price] = quantity
    return found
