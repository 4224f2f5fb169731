"""Requests of mix M1, made before anything is measured.

How it works: each connection gets a list of whole HTTP requests, with what the answer must
contain. Of twenty, nine place a passive limit order, nine cancel a live one of this connection,
and two are a pair that trades: demo1 sells at the middle, demo2 buys there. The order of the steps
is drawn; every order has a client id.

Always true: sent in their order, each after the answer to the one before, none is refused: a
cancel follows its order, and a buyer at the middle always finds a seller.

Not here: sending (orders_load.py).
"""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from fairbook.demo.first_state import MARKETS

SYMBOL: Final = "SOL_USDC"
MIDDLE_TICKS: Final = 14_000  # a tick is 0.01
NEAR_TICKS: Final = 20  # passive orders are at least so far from the middle,
FAR_TICKS: Final = 600  # and at most so far: within the market's band
LIVE: Final = 4  # orders that a connection has before it is measured
BATCH: Final = 50
WINDOW_MS: Final = 60_000
PASSIVE, CANCEL, SELL, BUY, PING = range(5)
EXPECTED: Final = (b'"New"', b'"Cancelled"', b'"New"', b'"Filled"', b"pong")
BLOCK: Final = (PASSIVE,) * 9 + (CANCEL,) * 9 + (SELL,)  # and its buyer


class Step(NamedTuple):
    """One request, and what is needed to end cleanly behind it."""

    request: bytes
    kind: int
    client_id: int


@dataclass(slots=True)
class Trader:
    """An account of the demo, and how its requests are authenticated."""

    api_key: str
    secret_key: bytes
    token: str
    client_ids: int = 0

    @classmethod
    def of(cls, credential: dict[str, str]) -> Self:
        """From an entry of `demo.json`."""
        seed = base64.b64decode(credential["apiSecret"])
        _, secret_key = crypto_sign_seed_keypair(seed)
        return cls(credential["apiKey"], secret_key, credential["token"])

    def next_id(self) -> int:
        """A client id that this account has not used."""
        self.client_ids += 1
        return self.client_ids

    def request(
        self, method: str, path: str, fields: dict[str, str | int], signed_ms: int | None
    ) -> bytes:
        """A request with a JSON body; signed for a time in ms, or (None) with the token."""
        body = json.dumps(fields, separators=(",", ":"))
        if signed_ms is None:
            proof = f"Authorization: Bearer {self.token}\r\n"
        else:
            instruction = "orderExecute" if method == "POST" else "orderCancel"
            text = f"instruction={instruction}&"
            text += "".join(f"{name}={fields[name]}&" for name in sorted(fields))
            text += f"timestamp={signed_ms}&window={WINDOW_MS}"
            signature = crypto_sign(text.encode(), self.secret_key)[:64]
            proof = (
                f"X-API-Key: {self.api_key}\r\n"
                f"X-Timestamp: {signed_ms}\r\nX-Window: {WINDOW_MS}\r\n"
                f"X-Signature: {base64.b64encode(signature).decode()}\r\n"
            )
        return with_body(method, path, proof, body)


def with_body(method: str, path: str, proof: str, body: str) -> bytes:
    """A whole request; `proof`: header lines that authenticate it."""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{proof}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


class Flow:
    """Makes the lists. `traders`: demo1 and demo2. The same seed, the same steps."""

    def __init__(self, traders: tuple[Trader, Trader], seed: int) -> None:
        self._traders = traders
        self._random = random.Random(seed)

    def m1(self, connection: int, count: int, *, signed: bool, seconds: float) -> list[Step]:
        """At least `count` steps of a connection, after LIVE to begin with.

        Signed ones carry the times at which they are due if they are sent over `seconds`.
        """
        owner = self._traders[connection % 2]
        now_ms = time.time_ns() // 1_000_000
        steps: list[Step] = []
        live: list[int] = []

        def add(kind: int) -> None:
            at_ms = now_ms + int(len(steps) / count * seconds * 1000) if signed else None
            steps.append(self._step(kind, owner, live, at_ms))

        for _ in range(LIVE):
            add(PASSIVE)
        while len(steps) < count + LIVE:
            block = list(BLOCK)
            self._random.shuffle(block)
            for kind in block:
                if kind == CANCEL and not live:
                    kind = PASSIVE  # Its cancel comes where there is one more than usual.
                elif kind == PASSIVE and len(live) > 2 * LIVE:
                    kind = CANCEL
                add(kind)
                if kind == SELL:
                    add(BUY)
        return steps

    def _step(self, kind: int, owner: Trader, live: list[int], at_ms: int | None) -> Step:
        if kind == CANCEL:
            client_id = live.pop(self._random.randrange(len(live)))
            fields: dict[str, str | int] = {"clientId": client_id, "symbol": SYMBOL}
            return Step(owner.request("DELETE", "/api/v1/order", fields, at_ms), kind, client_id)
        if kind == PASSIVE:
            trader, side, ticks = owner, *self._passive()
        else:
            trader = self._traders[0 if kind == SELL else 1]
            side, ticks = "Ask" if kind == SELL else "Bid", MIDDLE_TICKS
        client_id = trader.next_id()
        if kind == PASSIVE:
            live.append(client_id)
        fields = _order(client_id, side, ticks)
        return Step(trader.request("POST", "/api/v1/order", fields, at_ms), kind, client_id)

    def _passive(self) -> tuple[str, int]:
        distance = self._random.randint(NEAR_TICKS, FAR_TICKS)
        if self._random.getrandbits(1):
            return "Bid", MIDDLE_TICKS - distance
        return "Ask", MIDDLE_TICKS + distance

    def resting(self, count: int) -> Iterator[bytes]:
        """Requests that leave so many orders in the book, BATCH at a time."""
        for first in range(0, count, BATCH):
            trader = self._traders[first // BATCH % 2]
            orders = [
                _order(trader.next_id(), *self._passive()) for _ in range(min(BATCH, count - first))
            ]
            body = json.dumps(orders, separators=(",", ":"))
            proof = f"Authorization: Bearer {trader.token}\r\n"
            yield with_body("POST", "/api/v1/orders", proof, body)

    def cleanup(self, connection: int, done: list[Step]) -> list[Step]:
        """Cancels for what is still live behind these steps of a connection."""
        owner = self._traders[connection % 2]
        live: dict[int, None] = {}
        for step in done:
            if step.kind == PASSIVE:
                live[step.client_id] = None
            elif step.kind == CANCEL:
                del live[step.client_id]
        return [self._step(CANCEL, owner, [client_id], None) for client_id in live]


def burst(traders: tuple[Trader, Trader], symbol: str) -> tuple[bytes, bytes]:
    """BATCH sellers at the middle of a market of the demo, and a buyer who takes all of them."""
    middle_ticks = next(market.middle_ticks for market in MARKETS if market.name == symbol)
    seller, buyer = traders
    fields = {"orderType": "Limit", "price": f"{middle_ticks // 100}", "symbol": symbol}
    sells = [
        fields | {"clientId": seller.next_id(), "side": "Ask", "quantity": "0.0001"}
        for _ in range(BATCH)
    ]
    body = json.dumps(sells, separators=(",", ":"))
    proof = f"Authorization: Bearer {seller.token}\r\n"
    buy: dict[str, str | int] = {
        **fields, "clientId": buyer.next_id(), "side": "Bid", "quantity": f"{BATCH / 10_000:.4f}"
    }  # fmt: skip
    return (
        with_body("POST", "/api/v1/orders", proof, body),
        buyer.request("POST", "/api/v1/order", buy, None),
    )


def pings(count: int) -> list[Step]:
    """The cheapest request there is, so many times."""
    request = b"GET /api/v1/ping HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    return [Step(request, PING, 0)] * count


def _order(client_id: int, side: str, ticks: int) -> dict[str, str | int]:
    return {
        "clientId": client_id,
        "orderType": "Limit",
        "price": f"{ticks // 100}.{ticks % 100:02d}",
        "quantity": "0.01",
        "side": side,
        "symbol": SYMBOL,
    }
