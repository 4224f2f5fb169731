"""Shared by the ccxt scripts: a client for each account, and prices that fit the book.

Runs under the interpreters of the clients.
"""

from __future__ import annotations

import itertools
import time
from decimal import Decimal
from typing import Any

import ccxt  # type: ignore[import-not-found,unused-ignore]

from tests.clients.scenario import exact

SYMBOL, MARKET = "SOL/USDC", "SOL_USDC"
Venue = dict[str, Any]
clients: dict[str, Any] = {}
client_ids = itertools.count(time.time_ns() // 1_000_000 % 1_000_000_000)


def client(venue: Venue, account: str = "demo1") -> Any:
    """A ccxt exchange for a demo account, created once."""
    if account not in clients:
        clients[account] = fresh(venue, **venue["accounts"][account])
        clients[account].load_markets()
    return clients[account]


def fresh(venue: Venue, *, apiKey: str, apiSecret: str, **_: str) -> Any:
    """A new ccxt exchange with these keys."""
    made = ccxt.backpack({"apiKey": apiKey, "secret": apiSecret})
    made.urls["api"] = {"public": venue["http"], "private": venue["http"]}
    return made


def spread(venue: Venue) -> tuple[float, float, float]:
    """(best bid, a price inside the spread, best ask)."""
    ex = client(venue)
    book = ex.fetch_order_book(SYMBOL)
    bid, ask = book["bids"][0][0], book["asks"][0][0]
    inside = float(ex.price_to_precision(SYMBOL, (bid + ask) / 2))
    assert bid < inside < ask, f"no room between {bid} and {ask}"
    return bid, inside, ask


def far_below(venue: Venue) -> float:
    """A price at which a bid rests."""
    return float(client(venue).price_to_precision(SYMBOL, spread(venue)[0] * 0.8))


def balance(venue: Venue, code: str, account: str = "demo1") -> tuple[Decimal, Decimal]:
    """(free, used)."""
    got = client(venue, account).fetch_balance()
    free, used, total = (exact(got[code][name]) for name in ("free", "used", "total"))
    assert abs(free + used - total) < Decimal("1e-6"), got[code]
    return free, used


def amount(venue: Venue, steps: int = 10) -> float:
    """A quantity of so many steps, above the market's minimum."""
    market = client(venue).market(SYMBOL)
    step = exact(market["precision"]["amount"])
    return float(max(step * steps, exact(market["limits"]["amount"]["min"] or 0) * steps))


def clean(venue: Venue) -> None:
    """Cancel every order of both accounts."""
    for account in ("demo1", "demo2"):
        for symbol in ("SOL/USDC", "BTC/USDC"):
            client(venue, account).cancel_all_orders(symbol)
