"""Requests of mix M1, prepared before anything is measured.

Design: a lane is one trader's sequence of requests. Of twenty steps, nine place a passive limit
order, nine cancel a live one of this lane, and two are a pair that trades: demo1 sells at the
middle, demo2 buys there. The order of the steps is random, from a seed.

Invariant: none is refused: a cancel follows its order, and a buyer at the middle finds a seller.
"""

import base64
import json
import random
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from fairbook.client.credentials import signed_text
from fairbook.demo.demo_venue import demo_venue

SYMBOL: Final = "SOL_USDC"
MIDDLE_TICKS: Final = 14_000  # a tick is 0.01
NEAR_TICKS: Final = 20  # passive orders are at least so far from the middle,
FAR_TICKS: Final = 600  # and at most so far: within the market's band
LIVE: Final = 4  # orders that a lane has before it is measured
BATCH: Final = 50
WINDOW_MS: Final = 60_000
PASSIVE, CANCEL, SELL, BUY, PING = range(5)
EXPECTED: Final = (b'"New"', b'"Cancelled"', b'"New"', b'"Filled"', b"pong")  # in the answers
BLOCK: Final = (PASSIVE,) * 9 + (CANCEL,) * 9 + (SELL,)  # and its buyer
TOKEN, SIGNED, SOCKET = "bearer", "signed", "WebSocket"  # how requests are authenticated and sent
WEBSOCKET_METHODS: Final = {"POST": "order.place", "DELETE": "order.cancel"}
TEXT, PONG = 0x81, 0x8A  # the first bytes of whole WebSocket frames
Fields = dict[str, str | int]


class Step(NamedTuple):
    """One request. trader: 0 or 1, whose it is."""

    request: bytes
    kind: int
    client_id: int = 0
    trader: int = 0


class Trader:
    """An account of the demo, by its entry of `demo.json`."""

    def __init__(self, credential: dict[str, str]) -> None:
        self._api_key = credential["apiKey"]
        self._token = credential["token"]
        seed = base64.b64decode(credential["apiSecret"])
        _, self._secret_key = crypto_sign_seed_keypair(seed)
        self._client_ids = 0

    def next_id(self) -> int:
        self._client_ids += 1
        return self._client_ids

    def http(self, method: str, path: str, body: Any, signed_ms: int | None = None) -> bytes:
        """A whole HTTP request; signed for a time in ms (`body` is a dict), or with the token."""
        if signed_ms is None:
            proof = f"Authorization: Bearer {self._token}\r\n"
        else:
            instruction = "orderExecute" if method == "POST" else "orderCancel"
            text = signed_text(instruction, [body])
            text += f"&timestamp={signed_ms}&window={WINDOW_MS}"
            signature = crypto_sign(text.encode(), self._secret_key)[:64]
            proof = (
                f"X-API-Key: {self._api_key}\r\n"
                f"X-Timestamp: {signed_ms}\r\nX-Window: {WINDOW_MS}\r\n"
                f"X-Signature: {base64.b64encode(signature).decode()}\r\n"
            )
        text = json.dumps(body, separators=(",", ":"))
        return (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{proof}"
            f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n{text}"
        ).encode()


class Mix:
    """Makes the steps. traders: demo1 and demo2. The same seed gives the same steps."""

    def __init__(self, traders: tuple[Trader, Trader], seed: int) -> None:
        self._traders = traders
        self._random = random.Random(seed)

    def m1(self, lane: int, count: int, way: str = TOKEN) -> list[Step]:
        """At least `count` steps of a lane, after LIVE passive orders.

        way: TOKEN, SIGNED or SOCKET. Signed ones must be sent within WINDOW_MS.
        """
        steps: list[Step] = []
        live: list[int] = []

        def add(kind: int) -> None:
            steps.append(self._step(kind, lane, live, way))

        for _ in range(LIVE):
            add(PASSIVE)
        while len(steps) < count + LIVE:
            block = list(BLOCK)
            self._random.shuffle(block)
            for kind in block:
                if kind == CANCEL and not live:
                    kind = PASSIVE  # The block's other passive orders get a cancel more.
                elif kind == PASSIVE and len(live) > 2 * LIVE:
                    kind = CANCEL
                add(kind)
                if kind == SELL:
                    add(BUY)
        return steps

    def _step(self, kind: int, lane: int, live: list[int], way: str) -> Step:
        trader = {SELL: 0, BUY: 1}.get(kind, lane % 2)
        owner = self._traders[trader]
        if kind == CANCEL:
            method, client_id = "DELETE", live.pop(self._random.randrange(len(live)))
            fields: Fields = {"clientId": client_id, "symbol": SYMBOL}
        else:
            method, client_id = "POST", owner.next_id()
            if kind == PASSIVE:
                live.append(client_id)
                fields = _order(client_id, *self._passive())
            else:
                fields = _order(client_id, "Ask" if kind == SELL else "Bid", MIDDLE_TICKS)
        if way == SOCKET:
            message = {"id": lane, "method": WEBSOCKET_METHODS[method], "params": fields}
            request = frame(json.dumps(message, separators=(",", ":")).encode())
        else:
            signed_ms = time.time_ns() // 1_000_000 if way == SIGNED else None
            request = owner.http(method, "/api/v1/order", fields, signed_ms)
        return Step(request, kind, client_id, trader)

    def _passive(self) -> tuple[str, int]:
        distance = self._random.randint(NEAR_TICKS, FAR_TICKS)
        if self._random.getrandbits(1):
            return "Bid", MIDDLE_TICKS - distance
        return "Ask", MIDDLE_TICKS + distance

    def resting(self, count: int) -> Iterator[Step]:
        """Steps that leave so many orders in the book, BATCH at a time."""
        for first in range(0, count, BATCH):
            trader = self._traders[first // BATCH % 2]
            orders = [
                _order(trader.next_id(), *self._passive()) for _ in range(min(BATCH, count - first))
            ]
            yield Step(trader.http("POST", "/api/v1/orders", orders), PASSIVE)

    def cleanup(self, lane: int, done: Sequence[Step], *, way: str = TOKEN) -> list[Step]:
        """Cancels of what is still live after these steps of a lane."""
        cancelled = {step.client_id for step in done if step.kind == CANCEL}
        placed = [step.client_id for step in done if step.kind == PASSIVE]
        way = SOCKET if way == SOCKET else TOKEN
        live = (client_id for client_id in placed if client_id not in cancelled)
        return [self._step(CANCEL, lane, [client_id], way) for client_id in live]

    def placed_and_cancelled(self, count: int) -> list[Step]:
        """At least `count` steps of demo1: a passive order, and its cancel."""
        live: list[int] = []
        kinds = (PASSIVE, CANCEL) * (count // 2 + 1)
        return [self._step(kind, 0, live, TOKEN) for kind in kinds]

    def burst(self, symbol: str) -> list[Step]:
        """BATCH sellers at the middle of a market of the demo, and a buyer of all of them."""
        books = {market.name: market.book for market in demo_venue().markets}
        book = books[symbol]
        assert book is not None
        ticks = book.middle_ticks
        seller, buyer = self._traders
        sells = [_order(seller.next_id(), "Ask", ticks, symbol, 1) for _ in range(BATCH)]
        buy = _order(buyer.next_id(), "Bid", ticks, symbol, BATCH)
        return [
            Step(seller.http("POST", "/api/v1/orders", sells), SELL),
            Step(buyer.http("POST", "/api/v1/order", buy), BUY),
        ]


def pings(count: int) -> list[Step]:
    """The cheapest request, so many times."""
    return [Step(b"GET /api/v1/ping HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", PING)] * count


def _order(client_id: int, side: str, ticks: int, symbol: str = SYMBOL, lots: int = 100) -> Fields:
    """ticks: of 0.01; lots: of 0.0001."""
    return {
        "clientId": client_id,
        "orderType": "Limit",
        "price": f"{ticks // 100}.{ticks % 100:02d}",
        "quantity": f"{lots / 10_000:.4f}",
        "side": side,
        "symbol": symbol,
    }


def frame(payload: bytes, first_byte: int = TEXT) -> bytes:
    """A WebSocket frame of at most 65,535 bytes, as a client sends it, with a mask of zero."""
    size = len(payload)
    sized = bytes((0x80 | size,)) if size <= 125 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((first_byte,)) + sized + bytes(4) + payload
