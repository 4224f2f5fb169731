"""Traders that load an exchange until it is killed, and journals of the answers they got.

Design: each trader is a thread with its own connection and seed. It places, amends and cancels
orders on SOL_USDC until its connection breaks. Every order has a new client id.

Invariant: an answer is in the journal before the next request is sent, so at most one request of a
trader (an order or a batch) has an unknown outcome.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.world.rest_client import OutcomeUnknown, Reply, RestClient

SYMBOL = "SOL_USDC"
UNITS = 100  # ticks of one USDC, and lots of one SOL
MIDDLE = 14_000  # ticks
NEAREST, FARTHEST = 20, 3_000  # ticks from the middle
BATCH_MAX = 5  # orders in one request
LIVE_MAX = 40  # open orders a trader likes to have
CLIENT_IDS = 10_000_000  # for each trader


@dataclass(slots=True)
class Placement:
    """An order that was sent. `reply` is None while its outcome is unknown."""

    account: str
    body: dict[str, Any]
    reply: Reply | None = None

    @property
    def client_id(self) -> int:
        number: int = self.body["clientId"]
        return number


@dataclass(slots=True)
class Journal:
    """The requests of one trader and their answers, in order."""

    placements: list[Placement] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)  # order ids
    amended: list[tuple[int, int, int]] = field(default_factory=list)  # id, ticks, lots
    surprises: list[str] = field(default_factory=list)


def text(units: int) -> str:
    """Ticks or lots as decimal text."""
    return f"{Decimal(units) / UNITS:f}"


class Closing(Exception):
    """The exchange is stopping and did not execute the request."""


class Trader(threading.Thread):
    """Trades until the connection ends or the exchange stops.

    number: separates its client ids from those of other traders.
    """

    def __init__(self, *, port: int, account: str, token: str, number: int, seed: str) -> None:
        super().__init__(name=f"trader {number}", daemon=True)
        self.account = account
        self.rest = RestClient(port, token)
        self.chance = random.Random(seed)
        self.next_client_id = number * CLIENT_IDS
        self.live: list[tuple[int, int]] = []  # (order id, client id)
        self.journal = Journal()

    def run(self) -> None:
        try:
            while True:
                self._act()
        except (OutcomeUnknown, Closing):
            self.rest.close()

    def _act(self) -> None:
        crowded = len(self.live) >= LIVE_MAX
        draw = self.chance.random() * (0.45 if crowded else 1.0)
        if draw < 0.45 and self.live:
            self._amend() if draw < 0.12 else self._cancel()
        elif draw < 0.82:
            self._place(self._passive())
        elif draw < 0.97:
            self._place(self._aggressive())
        else:
            self._place_several([self._passive() for _ in range(self.chance.randint(1, BATCH_MAX))])

    def _passive(self) -> dict[str, Any]:
        side = self.chance.choice(("Bid", "Ask"))
        body = self._limit(side, self._passive_ticks(side), self.chance.randint(1, 300))
        if self.chance.random() < 0.2:
            body["postOnly"] = True
        return body

    def _passive_ticks(self, side: str) -> int:
        away = self.chance.randint(NEAREST, FARTHEST)
        return MIDDLE - away if side == "Bid" else MIDDLE + away

    def _aggressive(self) -> dict[str, Any]:
        side = self.chance.choice(("Bid", "Ask"))
        lots = self.chance.randint(1, 200)
        kind = self.chance.choice(("GTC", "IOC", "FOK", "quantity", "quote"))
        if kind == "quantity":
            terms = {"orderType": "Market", "quantity": text(lots)}
        elif kind == "quote":
            terms = {"orderType": "Market", "quoteQuantity": text(lots * 140)}
        else:
            sign = 1 if side == "Bid" else -1
            return self._limit(side, MIDDLE + sign * 150, lots) | {"timeInForce": kind}
        return {"symbol": SYMBOL, "side": side, **terms}

    def _limit(self, side: str, ticks: int, lots: int) -> dict[str, Any]:
        return {
            "symbol": SYMBOL,
            "side": side,
            "orderType": "Limit",
            "price": text(ticks),
            "quantity": text(lots),
        }

    def _begin(self, body: dict[str, Any]) -> Placement:
        self.next_client_id += 1
        placement = Placement(self.account, body | {"clientId": self.next_client_id})
        self.journal.placements.append(placement)
        return placement

    def _place(self, body: dict[str, Any]) -> None:
        placement = self._begin(body)
        placement.reply = self.rest.call("POST", "/api/v1/order", placement.body)
        self._note(placement, placement.reply)

    def _place_several(self, bodies: list[dict[str, Any]]) -> None:
        placements = [self._begin(body) for body in bodies]
        reply = self.rest.call("POST", "/api/v1/orders", [each.body for each in placements])
        for place, placement in enumerate(placements):
            item = reply.body[place] if reply.status == 200 else reply.body
            status = reply.status
            if item.get("operation") == "Err":
                status = 504 if item["code"] == "TIMEOUT" else 400
            placement.reply = Reply(status, item, reply.headers)
        for placement in placements:
            if placement.reply is not None:
                self._note(placement, placement.reply)

    def _note(self, placement: Placement, reply: Reply) -> None:
        status, answer, _ = reply
        if status == 200:
            if answer["status"] in ("New", "PartiallyFilled"):
                self.live.append((int(answer["id"]), placement.client_id))
        elif answer["code"] == "MAINTENANCE":
            raise Closing
        elif answer["code"] not in (
            "INVALID_ORDER",
            "TIMEOUT",
        ):  # A post-only order may have crossed.
            self.journal.surprises.append(f"{placement.body}: {status} {answer}")

    def _pick(self) -> tuple[int, int]:
        place = self.chance.randrange(len(self.live))
        self.live[place], self.live[-1] = self.live[-1], self.live[place]
        return self.live[-1]

    def _cancel(self) -> None:
        order_id, client_id = self._pick()
        named: dict[str, Any] = {"orderId": str(order_id)}
        if self.chance.random() < 0.3:
            named = {"clientId": client_id}
        reply = self.rest.call("DELETE", "/api/v1/order", {"symbol": SYMBOL, **named})
        self.live.pop()
        if reply.status == 200 and reply.body["status"] == "Cancelled":
            self.journal.cancelled.append(int(reply.body["id"]))
        elif reply.body["code"] == "MAINTENANCE":
            raise Closing
        elif reply.body["code"] not in (
            "INVALID_ORDER",
            "TIMEOUT",
        ):  # It may have been filled meanwhile.
            self.journal.surprises.append(f"cancel {named}: {reply.status} {reply.body}")

    def _amend(self) -> None:
        order_id, _ = self._pick()
        side = self.chance.choice(("Bid", "Ask"))
        ticks, lots = self._passive_ticks(side), self.chance.randint(1, 400)
        body = {"symbol": SYMBOL, "orderId": str(order_id)}
        body |= {"price": text(ticks), "quantity": text(lots)}
        reply = self.rest.call("PATCH", "/api/v1/order", body)
        if reply.status == 200:
            self.journal.amended.append((order_id, ticks, lots))
            if reply.body["status"] not in ("New", "PartiallyFilled"):
                self.live.pop()
        elif reply.body["code"] in ("INVALID_ORDER", "INVALID_QUANTITY", "TIMEOUT"):
            self.live.pop()  # Filled, or filled beyond the new total; leave it to rest.
        elif reply.body["code"] == "MAINTENANCE":
            raise Closing
        else:
            self.journal.surprises.append(f"amend {body}: {reply.status} {reply.body}")
