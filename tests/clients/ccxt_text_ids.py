"""Orders with texts as `clientOrderId`, through ccxt, while the exchange is killed and started.

Started as `python -m tests.clients.ccxt_text_ids VENUE.json ROUNDS SEED`. For each text: create,
create again, fetch, cancel, and create once more, which must answer with the first order. A call
that gets no answer is repeated. In each round the script prints KILL once, which asks for a
kill; its last line is a JSON object with the order id of each text.
"""

from __future__ import annotations

import json
import random
import string
import sys
import time
from collections.abc import Callable
from typing import Any

import ccxt  # type: ignore[import-not-found,unused-ignore]

from tests.clients.ccxt_client import SYMBOL, amount, client, far_below

IDS_IN_A_ROUND = 100
CHARACTERS = string.ascii_letters + string.digits + "._:/-"
PATIENCE_S = 60.0


def main(path: str, rounds: int, seed: int) -> None:
    with open(path, encoding="utf-8") as file:
        venue = json.load(file)
    chance = random.Random(f"texts {seed}")
    ex = client(venue)
    ex.enableRateLimit = False
    user = User(ex, price=far_below(venue), lots=amount(venue))
    orders: dict[str, str] = {}
    for _ in range(rounds):
        kill_at = chance.randrange(IDS_IN_A_ROUND)
        for number in range(IDS_IN_A_ROUND):
            if number == kill_at:
                print("KILL", flush=True)
            text = new_text(chance, orders)
            orders[text] = user.trade(text, looks_back=chance.random() < 0.1)
    print(json.dumps(orders), flush=True)


def new_text(chance: random.Random, known: dict[str, str]) -> str:
    """One that is new, and that ccxt does not turn into a number, as it does with "007"."""
    while True:
        length = chance.choice((1, 2, 3, 8, 20, 36, 36))
        text = "".join(chance.choices(CHARACTERS, k=length))
        if known and chance.random() < 0.3:  # Like one before, but for its end.
            text = (chance.choice(list(known))[:35] + text)[:36]
        try:
            float(text)
        except ValueError:
            if text not in known:
                return text


class User:
    """One ccxt client that repeats what was not answered."""

    def __init__(self, ex: Any, *, price: float, lots: float) -> None:
        self.ex = ex
        self.price = price
        self.lots = lots
        self.was_repeated = False  # the last call was sent more than once

    def trade(self, text: str, *, looks_back: bool) -> str:
        """Create, repeat, fetch and cancel one order. looks_back: also in the history."""
        named = {"clientOrderId": text}
        order = self.create(text)
        assert (order["clientOrderId"], order["status"]) == (text, "open"), order
        again = self.create(text)
        assert again["id"] == order["id"], (order, again)
        found = self.ask(lambda: self.ex.fetch_open_order("", SYMBOL, named))
        assert (found["id"], found["clientOrderId"]) == (order["id"], text), found
        self.cancel(text, order["id"])
        if looks_back:
            past = self.ask(lambda: self.ex.private_get_wapi_v1_history_orders(named))
            told = [(each["id"], each["clientId"], each["status"]) for each in past]
            assert told == [(order["id"], text, "Cancelled")], past
        last = self.create(text)
        assert last["id"] == order["id"], "also after it was closed"
        return str(order["id"])

    def create(self, text: str) -> Any:
        params = {"clientOrderId": text}
        return self.ask(
            lambda: self.ex.create_order(SYMBOL, "limit", "buy", self.lots, self.price, params)
        )

    def cancel(self, text: str, order_id: str) -> None:
        """A cancel that was sent twice may find the order closed, by itself."""
        try:
            params = {"clientOrderId": text}
            order = self.ask(lambda: self.ex.cancel_order("", SYMBOL, params))
        except ccxt.InvalidOrder as error:
            assert self.was_repeated and "Order Not Found" in str(error), error
            return
        told = (order["id"], order["clientOrderId"], order["status"])
        assert told == (order_id, text, "canceled"), order

    def ask(self, call: Callable[[], Any]) -> Any:
        """The answer to a call. It is repeated while there is none."""
        self.was_repeated = False
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return call()
            except ccxt.NetworkError as error:
                if "RESOURCE_NOT_FOUND" in str(error) or time.monotonic() > deadline:
                    raise
                self.was_repeated = True
                time.sleep(0.02)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
